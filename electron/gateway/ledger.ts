/**
 * The ledger: holds, usage rows and totals. The only writer of money.
 *
 * SQLite is the truth; the balances in memory mirror what has been committed and are what admission reads. Every
 * change is one synchronous transaction first and the mirror second, with no await between check and hold, so that
 * concurrent requests cannot both take the last dollar. One process owns the file (see store.ts).
 */
import type { RequestRow } from '#shared/model.ts';
import { assertNano, type Nano } from '#shared/money.ts';
import {
  createBalances,
  scopeId,
  sumOf,
  withLimits,
  type Account,
  type Counted,
  type RunningBalance,
} from './balances.ts';
import { createCorrections, type Corrections } from './corrections.ts';
import {
  appliedLimits,
  hasLimit,
  isReached,
  leastOf,
  type AppliedLimit,
  type Limits,
  type Scope,
  type SharedScope,
  type TopUp,
} from './limits.ts';
import { statements } from './ledger-statements.ts';
import {
  holdOf,
  orphanOutcome,
  ownPart,
  recordOf,
  type Hold,
  type HoldDraft,
  type Outcome,
} from './holds.ts';
import { createPeriodTotals } from './period-totals.ts';
import { createRollup } from './rollup.ts';
import type { Store } from './store.ts';
import { toRequestRow, type StoredRequest } from './requests.ts';

export type { Account, RunningBalance } from './balances.ts';
export type { Hold, HoldDraft, Outcome } from './holds.ts';
export type { RowCost, RowPricer } from './corrections.ts';

export type HoldResult =
  | { held: Hold }
  /**
   * `reached`: nothing left. `busy`: enough would be left if `others` running requests gave back. `short`: never.
   * The limit is the one that decides: the key's, the provider's or that of all keys.
   */
  | { refused: 'reached' | 'busy' | 'short'; limit: AppliedLimit; others: number };

export interface Ledger extends Corrections {
  /** The account as it stands now, its window rolled over if it has ended. Undefined for an unknown key. */
  account(keyId: string): Readonly<Account> | undefined;
  /** What a provider, or all keys together, have cost, deleted ones included. */
  balance(scope: SharedScope): Readonly<RunningBalance>;
  /** What a request of this key to this provider counts against: as they stand now, those without a limit left out. */
  limiting(request: Counted): readonly Readonly<RunningBalance>[];
  /** Called when the key's row exists in the store. */
  openAccount(keyId: string): void;
  closeAccount(keyId: string): void;
  /**
   * Sets `wantNano` aside, or all that is left where that is at least `atLeastNano`.
   * @throws LedgerUnavailable where the hold cannot be written.
   */
  hold(draft: HoldDraft, amount: { wantNano: Nano; atLeastNano: Nano }): HoldResult;
  /**
   * Replaces a hold by what the request really cost. Exactly once: a second call for the same hold changes nothing.
   * @throws RangeError where the cost is beyond what sums can hold; the hold then stays.
   */
  settle(hold: Hold, outcome: Outcome): void;
  setLimits(scope: Scope, limits: Limits): void;
  /** null removes it. Until when is the key's window's end, where it has one. */
  setTopUp(keyId: string, amountNano: Nano | null): void;
  /** Ends the windows and top-ups whose time has come, and tells of them. */
  endPeriods(): void;
  totals(): {
    usageNano: Nano;
    heldNano: Nano;
    todayNano: Nano;
    monthNano: Nano;
    requests: number;
    running: number;
  };
  /** Brings the sums that are shown by time, group and session up to date with the rows. */
  rollUp(): void;
  /** A sentence that says what to do, while something could not be written; null when all is well. */
  problem(): string | null;
  /** Tries again to write what could not be written. */
  retry(): void;
}

export interface LedgerListener {
  /** Totals, holds or limits changed. */
  changed(scope: Scope): void;
  /** There may be more room than before: for one key, or for any (null). */
  freed(keyId: string | null): void;
  /** Made into a row only where somebody wants one. */
  settled(row: () => RequestRow): void;
  problemChanged(): void;
}

/** The ledger cannot be written: requests on limited keys must not be served. The message says what to do. */
export class LedgerUnavailable extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'LedgerUnavailable';
  }
}

export function createLedger(store: Store, now: () => number, listener: LedgerListener): Ledger {
  const sql = statements(store);
  const balances = createBalances(sql, now);
  const openHolds = new Map<number, Hold>();
  /** Settlements that could not be written yet, oldest first: the hold stays until they are. */
  const unwritten: { hold: Hold; outcome: Outcome; settledAt: number }[] = [];
  let fault: string | null = null;

  let nextId = Number(sql.lastId.pluck().get()) + 1;
  const orphans = findOrphans();
  const rollup = createRollup(store, () => openHolds.keys());
  rollup.catchUp();
  const period = createPeriodTotals(sql, now);
  // Where even this cannot be written the gateway starts all the same, and refuses what it has to.
  for (const orphan of orphans) settle(orphan, orphanOutcome(orphan));

  /** The holds that a process left behind when it died, taken over as they are. */
  function findOrphans(): Hold[] {
    const found = sql.holds.all().map(holdOf);
    for (const orphan of found) {
      openHolds.set(orphan.id, orphan);
      for (const balance of balances.against(orphan)) {
        balance.heldNano += orphan.amountNano;
        balance.running += 1;
      }
    }
    return found;
  }

  function told({ keyId, providerId }: Counted): void {
    listener.changed({ kind: 'key', id: keyId });
    listener.changed({ kind: 'provider', id: providerId });
    listener.changed({ kind: 'global' });
  }

  /** Money under a limit that keys share may be any key's. */
  function freed({ keyId, providerId }: Counted): void {
    const shared = hasLimit(balances.global()) || hasLimit(balances.provider(providerId));
    listener.freed(shared ? null : keyId);
  }

  function mustHave(keyId: string): Account {
    const account = balances.key(keyId);
    if (!account) throw new Error(`no account for key ${keyId}`);
    return account;
  }

  function setFault(next: string | null): void {
    if (next === fault) return;
    fault = next;
    listener.problemChanged();
  }

  function hold(draft: HoldDraft, amount: { wantNano: Nano; atLeastNano: Nano }): HoldResult {
    if (unwritten.length > 0) retry();
    const account = mustHave(draft.keyId);
    const counted = balances.against(draft);
    const limits = counted.flatMap(appliedLimits);
    const tightest = leastOf(limits, ({ roomNano }) => roomNano);
    let amountNano = assertNano(amount.wantNano);
    if (tightest !== null) {
      if (fault !== null) throw new LedgerUnavailable(fault);
      const othersOf = ({ scope: { kind } }: AppliedLimit) =>
        counted.find(({ scope }) => scope.kind === kind)?.running ?? 0;
      // Any limit that is used up refuses for good, also where another one is tighter only because of holds.
      const reached = lastToReset(limits.filter(isReached));
      if (reached) return { refused: 'reached', limit: reached, others: othersOf(reached) };
      if (amountNano > tightest.roomNano) {
        if (tightest.roomNano < amount.atLeastNano) {
          // Were all that is held given back: would it fit then?
          const least = leastOf(limits, ({ roomNano, heldNano }) => roomNano + heldNano) ?? tightest;
          const wouldFit = least.roomNano + least.heldNano >= amount.atLeastNano;
          const limit = wouldFit ? tightest : least;
          return { refused: wouldFit ? 'busy' : 'short', limit, others: othersOf(limit) };
        }
        amountNano = tightest.roomNano;
      }
    }
    for (const { heldNano } of counted) assertNano(heldNano + amountNano);
    const taken: Hold = { ...draft, id: nextId, at: now(), amountNano };
    try {
      store.write(() => sql.insertHold.run(recordOf(taken)));
    } catch (cause) {
      const message = describeWriteFailure(cause);
      setFault(message);
      if (tightest !== null) throw new LedgerUnavailable(message, cause);
      // Without a limit there is no promise to break: served, and written when the ledger can be written again.
    }
    nextId += 1;
    openHolds.set(taken.id, taken);
    for (const balance of counted) {
      balance.heldNano += amountNano;
      balance.running += 1;
    }
    account.lastUsedAt = taken.at;
    told(draft);
    return { held: taken };
  }

  function settle(held: Hold, outcome: Outcome): void {
    if (!openHolds.has(held.id) || unwritten.some(({ hold: { id } }) => id === held.id)) return;
    const settledAt = now();
    if (unwritten.length > 0) {
      unwritten.push({ hold: held, outcome, settledAt });
      retry();
      return;
    }
    try {
      commitSettlement(held, outcome, settledAt);
    } catch (cause) {
      rollup.forget();
      // A disk may come right by itself; a number that no sum can hold never will.
      if (cause instanceof RangeError) throw cause;
      unwritten.push({ hold: held, outcome, settledAt });
      setFault(describeWriteFailure(cause));
      return;
    }
    freed(held);
  }

  function retry(): void {
    const written: Hold[] = [];
    try {
      for (let next = unwritten[0]; next !== undefined; next = unwritten[0]) {
        commitSettlement(next.hold, next.outcome, next.settledAt);
        unwritten.shift();
        written.push(next.hold);
      }
      if (fault !== null) store.proveWritable();
      setFault(null);
    } catch (cause) {
      rollup.forget();
      setFault(describeWriteFailure(cause));
    }
    // Last: whoever waits asks for money at once, and must find nothing half done.
    for (const held of written) freed(held);
  }

  function commitSettlement(held: Hold, outcome: Outcome, settledAt: number): void {
    const account = balances.key(held.keyId);
    const counted = balances.against(held);
    const shared = counted.filter((balance) => balance !== account);
    const cost = held.billing === 'free' ? 0 : outcome.costNano;
    const own = ownPart(held.billing, cost ?? 0, outcome.ownKeyNano);
    const row: StoredRequest = {
      id: held.id,
      key_id: held.keyId,
      at: held.at,
      // Never before the windows it counts in, wherever a wrong clock stands: that is how they are told apart later.
      settled_at: Math.max(settledAt, ...counted.map(({ window }) => window?.start ?? 0)),
      provider: held.provider,
      provider_id: held.providerId,
      billing: held.billing,
      dialect: held.dialect,
      model_asked: held.model,
      model: outcome.model,
      status: outcome.status,
      stream: held.stream ? 1 : 0,
      input_tokens: outcome.usage.inputTokens,
      cached_input_tokens: outcome.usage.cachedInputTokens,
      cache_write_tokens: outcome.usage.cacheWriteTokens,
      cache_write_1h_tokens: outcome.usage.cacheWrite1hTokens,
      output_tokens: outcome.usage.outputTokens,
      reasoning_tokens: outcome.usage.reasoningTokens,
      web_searches: outcome.usage.webSearches,
      cost_nano: cost === null ? null : assertNano(cost),
      cost_own_key_nano: assertNano(own),
      reported_cost_nano: outcome.reportedCostNano,
      computed_cost_nano: outcome.computedCostNano,
      held_nano: held.amountNano,
      price: outcome.price,
      price_source: outcome.priceSource,
      flags: outcome.flags.join(','),
      first_byte_ms: outcome.firstByteMs,
      duration_ms: outcome.durationMs,
      client: held.client,
      session: held.session,
      agent: held.agent,
      parent_agent: held.parentAgent,
      saved_nano: outcome.savedNano,
      series: 0,
    };
    const spent = cost ?? 0;
    const credits = spent - own;
    // Before anything is written: a sum that leaves the whole numbers must not be found out half way.
    const kept = account && {
      usageNano: assertNano(account.usageNano + spent),
      usageCreditsNano: account.usageCreditsNano + credits,
      usageOwnKeyNano: account.usageOwnKeyNano + own,
    };
    store.write(() => {
      sql.deleteHold.run(held.id);
      row.series = rollup.seriesOf(row);
      sql.insertRequest.run(row);
      sql.addToKey.run({
        id: held.keyId,
        at: held.at,
        credits,
        own,
        unpriced: cost === null ? 1 : 0,
        input: row.input_tokens,
        output: row.output_tokens,
        windowStart: account?.window?.start ?? null,
        windowUsed: (account?.window?.usedNano ?? 0) + spent,
      });
      for (const balance of shared) writeUsage(balance, spent);
    });
    openHolds.delete(held.id);
    for (const balance of counted) {
      balance.heldNano -= held.amountNano;
      balance.running -= 1;
      balance.requests += 1;
      balance.usageNano = sumOf(balance.usageNano, spent);
      if (balance.window) balance.window.usedNano = sumOf(balance.window.usedNano, spent);
    }
    if (account) {
      Object.assign(account, kept);
      if (cost === null) account.unpricedRequests += 1;
      account.inputTokens += row.input_tokens;
      account.outputTokens += row.output_tokens;
      account.lastUsedAt = Math.max(account.lastUsedAt ?? 0, held.at);
    }
    period.add(row.at, spent);
    told(held);
    listener.settled(() => toRequestRow(row));
    rollup.rowWritten();
  }

  /** `added` to what is spent under a limit that keys share. The usage of all keys is in the keys' own totals. */
  function writeUsage({ scope, usageNano, window }: RunningBalance, added: Nano): void {
    if (scope.kind === 'key' || (window === null && (added === 0 || scope.kind === 'global'))) return;
    sql.setScopeUsage.run({
      id: scopeId(scope),
      usage: scope.kind === 'global' ? 0 : sumOf(usageNano, added),
      windowStart: window?.start ?? null,
      windowUsed: sumOf(window?.usedNano ?? 0, added),
    });
  }

  function setLimits(scope: Scope, limits: Limits): void {
    const balance = scope.kind === 'key' ? mustHave(scope.id) : sharedBalance(scope);
    const next = withLimits(balance, limits, now());
    const parameters = {
      id: scopeId(scope),
      limit: next.limitNano,
      recurring: next.recurring?.amountNano ?? null,
      every: next.recurring?.every ?? null,
      windowStart: next.window?.start ?? null,
      windowUsed: next.window?.usedNano ?? 0,
    };
    // There is nothing left to be on top of where the last limit goes.
    const topUp = hasLimit(next) ? balance.topUp : null;
    store.write(() =>
      scope.kind === 'key'
        ? sql.setLimits.run({ ...parameters, ...topUpColumns(topUp) })
        : sql.setScopeLimits.run(parameters),
    );
    Object.assign(balance, next, { topUp });
    listener.changed(scope);
    listener.freed(scope.kind === 'key' ? scope.id : null);
  }

  function setTopUp(keyId: string, amountNano: Nano | null): void {
    const account = mustHave(keyId);
    const topUp = amountNano === null ? null : { amountNano, until: account.window?.end ?? null };
    store.write(() => sql.setTopUp.run({ id: keyId, ...topUpColumns(topUp) }));
    account.topUp = topUp;
    listener.changed({ kind: 'key', id: keyId });
    listener.freed(keyId);
  }

  function sharedBalance(scope: SharedScope): RunningBalance {
    return scope.kind === 'global' ? balances.global() : balances.provider(scope.id);
  }

  return {
    account: (keyId) => balances.key(keyId),
    balance: sharedBalance,
    limiting: (request) => balances.against(request).filter(hasLimit),
    openAccount(keyId) {
      const record = sql.account.get(keyId);
      if (record) balances.openKey(record);
    },
    closeAccount: (keyId) => balances.closeKey(keyId),
    hold,
    settle,
    setLimits,
    setTopUp,
    endPeriods() {
      const ended = balances.takeEnded();
      for (const scope of ended) listener.changed(scope);
      const shared = ended.some(({ kind }) => kind !== 'key');
      if (shared) listener.freed(null);
      else for (const scope of ended) if (scope.kind === 'key') listener.freed(scope.id);
    },
    ...createCorrections({ store, sql, balances, period, now, told, freed, settled: listener.settled }),
    totals() {
      const { usageNano, heldNano, requests, running } = balances.global();
      return { usageNano, heldNano, requests, running, ...period.read() };
    },
    problem: () => fault,
    retry,
    rollUp: () => rollup.catchUp(),
  };
}

/** Of several limits that are used up the one that resets last decides; an all-time limit never does. */
function lastToReset(limits: readonly AppliedLimit[]): AppliedLimit | null {
  return leastOf(limits, ({ recurring }) => -(recurring?.resetsAt ?? Infinity));
}

function topUpColumns(topUp: TopUp | null): { topUp: number | null; topUpUntil: number | null } {
  return { topUp: topUp?.amountNano ?? null, topUpUntil: topUp?.until ?? null };
}

function describeWriteFailure(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code === 'SQLITE_FULL')
    return 'The disk is full: usage cannot be recorded. Free some space; limited keys are refused until then.';
  if (code.startsWith('SQLITE_READONLY') || code.startsWith('SQLITE_IOERR')) {
    return 'The ledger cannot be written. Check the data folder and its disk; limited keys are refused until then.';
  }
  const detail = cause instanceof Error ? cause.message : String(cause);
  return `The ledger cannot be written (${detail}). Limited keys are refused until it can.`;
}
