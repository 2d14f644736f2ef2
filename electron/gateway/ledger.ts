/**
 * The ledger: holds, usage rows and totals. The only writer of money.
 *
 * SQLite is the truth; the balances in memory mirror what has been committed and are what admission reads. Every
 * change is one synchronous transaction first and the mirror second, with no await between check and hold, so that
 * concurrent requests cannot both take the last dollar. One process owns the file (see store.ts).
 */
import type { Billing, DialectId, RequestFlag, RequestRow } from '#shared/model.ts';
import { assertNano, type Nano } from '#shared/money.ts';
import {
  isReached,
  tightestLimit,
  windowAt,
  type Balance,
  type Limits,
  type TightestLimit,
} from './limits.ts';
import { statements, type HoldRecord, type KeyRecord } from './ledger-statements.ts';
import { newestVersion, type Store } from './store.ts';
import { toRequestRow, type StoredRequest } from './requests.ts';

/** What is known of a request before it is sent: enough to settle it should this process die. */
export interface HoldDraft {
  keyId: string;
  /** The provider's slug. */
  provider: string;
  billing: Billing;
  dialect: DialectId;
  model: string;
  stream: boolean;
  /** The price the hold was computed with, as JSON; null where there is none. */
  price: string | null;
  client: string | null;
  session: string | null;
  agent: string | null;
  parentAgent: string | null;
}

export interface Hold extends HoldDraft {
  id: number;
  at: number;
  amountNano: Nano;
}

export type HoldResult =
  | { held: Hold }
  /** `reached`: nothing left. `busy`: enough would be left if `others` running requests gave back. `short`: never. */
  | { refused: 'reached' | 'busy' | 'short'; limit: TightestLimit; others: number };

/** How a request ended. */
export interface Outcome {
  model: string;
  status: number;
  usage: {
    inputTokens: number;
    cachedInputTokens: number;
    cacheWriteTokens: number;
    cacheWrite1hTokens: number;
    outputTokens: number;
    reasoningTokens: number;
    webSearches: number;
  };
  /** null = the cost is unknown: the model has no price. */
  costNano: Nano | null;
  /** The part of a `credits` provider's cost that ran on the person's own key; ignored for other billings. */
  ownKeyNano: Nano;
  reportedCostNano: Nano | null;
  computedCostNano: Nano | null;
  /** What the cached input would have cost in addition at the plain input price; null where that is unknown. */
  savedNano: Nano | null;
  priceSource: string | null;
  price: string | null;
  flags: readonly RequestFlag[];
  firstByteMs: number | null;
  durationMs: number;
}

/** A key's totals as committed. */
export interface Account extends Balance {
  usageCreditsNano: Nano;
  usageOwnKeyNano: Nano;
  requests: number;
  unpricedRequests: number;
  inputTokens: number;
  outputTokens: number;
  running: number;
  lastUsedAt: number | null;
}

export interface Ledger {
  /** The account as it stands now, its window rolled over if it has ended. Undefined for an unknown key. */
  account(keyId: string): Readonly<Account> | undefined;
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
  setLimits(keyId: string, limits: Limits): void;
  correct(requestId: number, costNano: Nano, reason: string): RequestRow | null;
  /**
   * Gives rows without a price the cost that `priceOf` says, all in one transaction; rows that have one by now, and
   * those it answers null for, stay as they are. Returns how many were priced. The caller keeps the number of rows small
   * and comes back for more: every stream stands still meanwhile.
   */
  priceUnpriced(requestIds: readonly number[], priceOf: RowPricer, reason: string): number;
  totals(): {
    usageNano: Nano;
    heldNano: Nano;
    todayNano: Nano;
    monthNano: Nano;
    requests: number;
    running: number;
  };
  /** A sentence that says what to do, while something could not be written; null when all is well. */
  problem(): string | null;
  /** Tries again to write what could not be written. */
  retry(): void;
}

/** A cost worked out after the fact, with what it was worked out from. */
export interface RowCost {
  costNano: Nano;
  computedCostNano: Nano | null;
  /** As JSON, frozen in the row. */
  price: string | null;
  priceSource: string | null;
  /** Adds the flag; one that the row has stays. */
  estimated: boolean;
}

export type RowPricer = (row: StoredRequest) => RowCost | null;

interface CostChange {
  before: StoredRequest;
  after: StoredRequest;
  delta: Nano;
  ownDelta: Nano;
  /** Whether it counts in the key's current window. */
  inWindow: boolean;
}

export interface LedgerListener {
  /** A key's totals, holds or limits changed. */
  changed(keyId: string): void;
  /** There may be more room than before. */
  freed(keyId: string): void;
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
  const { db } = store;
  const sql = statements(store);
  const accounts = new Map<string, Account>();
  const openHolds = new Map<number, Hold>();
  /** Settlements that could not be written yet, oldest first: the hold stays until they are. */
  const unwritten: { hold: Hold; outcome: Outcome; settledAt: number }[] = [];
  let fault: string | null = null;

  for (const record of sql.accounts.all()) accounts.set(record.id, toAccount(record, now()));
  let nextId = Number(sql.lastId.pluck().get()) + 1;
  const period = createPeriodTotals();
  recover();

  /**
   * After a crash nobody knows what the provider generated, so each orphan hold is settled in full and flagged:
   * at most what the request was allowed to cost, and open to correction.
   */
  function recover(): void {
    for (const record of sql.holds.all()) {
      const orphan: Hold = {
        id: record.id,
        keyId: record.key_id,
        at: record.at,
        amountNano: record.amount_nano,
        provider: record.provider,
        billing: record.billing,
        dialect: record.dialect,
        model: record.model,
        stream: record.stream === 1,
        price: record.price,
        client: record.client,
        session: record.session,
        agent: record.agent,
        parentAgent: record.parent_agent,
      };
      const unpriced = orphan.price === null && orphan.billing !== 'free';
      openHolds.set(orphan.id, orphan);
      const account = accounts.get(orphan.keyId);
      if (account) {
        account.heldNano += orphan.amountNano;
        account.running += 1;
      }
      // Where even this cannot be written the gateway starts all the same, and refuses what it has to.
      settle(orphan, {
        model: orphan.model,
        status: 0,
        usage: noTokens,
        costNano: unpriced ? null : orphan.amountNano,
        ownKeyNano: 0,
        reportedCostNano: null,
        computedCostNano: null,
        savedNano: null,
        priceSource: null,
        price: orphan.price,
        flags: unpriced ? ['unpriced', 'interrupted'] : ['estimated', 'interrupted'],
        firstByteMs: null,
        durationMs: 0,
      });
    }
  }

  /** Starts the next window where the current one has ended. A clock set back leaves the window as it is. */
  function rollWindow(account: Account): void {
    if (account.recurring === null || account.window === null) return;
    const at = now();
    if (at < account.window.end) return;
    account.window = { ...windowAt(at, account.recurring.every), usedNano: 0 };
  }

  function current(keyId: string): Account | undefined {
    const account = accounts.get(keyId);
    if (account) rollWindow(account);
    return account;
  }

  function mustHave(keyId: string): Account {
    const account = current(keyId);
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
    const limit = tightestLimit(account);
    let amountNano = assertNano(amount.wantNano);
    if (limit !== null) {
      if (fault !== null) throw new LedgerUnavailable(fault);
      // Any limit that is used up refuses for good, also where another one is tighter only because of holds.
      const reached = reachedLimit(account);
      if (reached) return { refused: 'reached', limit: reached, others: account.running };
      if (amountNano > limit.roomNano) {
        if (limit.roomNano < amount.atLeastNano) {
          const wouldFit = limit.roomNano + account.heldNano >= amount.atLeastNano;
          return {
            refused: account.running > 0 && wouldFit ? 'busy' : 'short',
            limit,
            others: account.running,
          };
        }
        amountNano = limit.roomNano;
      }
    }
    const heldNano = assertNano(account.heldNano + amountNano);
    const taken: Hold = { ...draft, id: nextId, at: now(), amountNano };
    try {
      store.write(() => sql.insertHold.run(holdParameters(taken)));
    } catch (cause) {
      const message = describeWriteFailure(cause);
      setFault(message);
      if (limit !== null) throw new LedgerUnavailable(message, cause);
      // Without a limit there is no promise to break: served, and written when the ledger can be written again.
    }
    nextId += 1;
    openHolds.set(taken.id, taken);
    account.heldNano = heldNano;
    account.running += 1;
    account.lastUsedAt = taken.at;
    listener.changed(draft.keyId);
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
      // A disk may come right by itself; a number that no sum can hold never will.
      if (cause instanceof RangeError) throw cause;
      unwritten.push({ hold: held, outcome, settledAt });
      setFault(describeWriteFailure(cause));
      return;
    }
    listener.freed(held.keyId);
  }

  function retry(): void {
    const freed = new Set<string>();
    try {
      for (let next = unwritten[0]; next !== undefined; next = unwritten[0]) {
        commitSettlement(next.hold, next.outcome, next.settledAt);
        unwritten.shift();
        freed.add(next.hold.keyId);
      }
      // A write that works is the proof, and an empty transaction is none: this one rewrites the file's first page.
      if (fault !== null) store.write(() => db.pragma(`user_version = ${newestVersion()}`));
      setFault(null);
    } catch (cause) {
      setFault(describeWriteFailure(cause));
    }
    // Last: whoever waits asks for money at once, and must find nothing half done.
    for (const keyId of freed) listener.freed(keyId);
  }

  function commitSettlement(held: Hold, outcome: Outcome, settledAt: number): void {
    const account = current(held.keyId);
    const cost = held.billing === 'free' ? 0 : outcome.costNano;
    const own = ownPart(held.billing, cost ?? 0, outcome.ownKeyNano);
    const row: StoredRequest = {
      id: held.id,
      key_id: held.keyId,
      at: held.at,
      settled_at: settledAt,
      provider: held.provider,
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
    };
    const credits = (cost ?? 0) - own;
    // Before anything is written: a sum that leaves the whole numbers must not be found out half way.
    const sums = account && {
      heldNano: assertNano(account.heldNano - held.amountNano),
      usageCreditsNano: assertNano(account.usageCreditsNano + credits),
      usageOwnKeyNano: assertNano(account.usageOwnKeyNano + own),
      usageNano: assertNano(account.usageNano + credits + own),
    };
    store.write(() => {
      sql.deleteHold.run(held.id);
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
        windowUsed: (account?.window?.usedNano ?? 0) + credits + own,
      });
    });
    openHolds.delete(held.id);
    if (account) {
      Object.assign(account, sums);
      account.running -= 1;
      account.requests += 1;
      if (cost === null) account.unpricedRequests += 1;
      account.inputTokens += row.input_tokens;
      account.outputTokens += row.output_tokens;
      account.lastUsedAt = Math.max(account.lastUsedAt ?? 0, held.at);
      if (account.window) account.window.usedNano += credits + own;
    }
    period.add(row.at, credits + own);
    listener.changed(held.keyId);
    listener.settled(() => toRequestRow(row));
  }

  function setLimits(keyId: string, next: Limits): void {
    const account = mustHave(keyId);
    const samePeriod = next.recurring !== null && account.recurring?.every === next.recurring.every;
    // A new amount keeps what the window has used; a new period starts a window of its own.
    const window =
      next.recurring === null
        ? null
        : samePeriod && account.window
          ? account.window
          : { ...windowAt(now(), next.recurring.every), start: now(), usedNano: 0 };
    store.write(() =>
      sql.setLimits.run({
        id: keyId,
        limit: next.limitNano,
        recurring: next.recurring?.amountNano ?? null,
        every: next.recurring?.every ?? null,
        windowStart: window?.start ?? null,
        windowUsed: window?.usedNano ?? 0,
      }),
    );
    Object.assign(account, { limitNano: next.limitNano, recurring: next.recurring, window });
    listener.changed(keyId);
    listener.freed(keyId);
  }

  function correct(requestId: number, costNano: Nano, reason: string): RequestRow | null {
    const before = sql.request.get(requestId);
    if (!before) return null;
    const change = changeOf(before, {
      costNano,
      computedCostNano: before.computed_cost_nano,
      price: before.price,
      priceSource: before.price_source,
      estimated: before.flags.split(',').includes('estimated'),
    });
    store.write(() => writeChange(change, reason));
    applyChange(change);
    listener.freed(before.key_id);
    return toRequestRow(change.after);
  }

  function priceUnpriced(requestIds: readonly number[], priceOf: RowPricer, reason: string): number {
    const changes: CostChange[] = [];
    for (const id of requestIds) {
      const before = sql.request.get(id);
      // Priced by an earlier run, or by hand in the meantime: once is enough.
      if (!before || before.cost_nano !== null) continue;
      const priced = priceOf(before);
      if (priced) changes.push(changeOf(before, priced));
    }
    if (changes.length === 0) return 0;
    store.write(() => {
      for (const change of changes) writeChange(change, reason);
    });
    for (const change of changes) applyChange(change);
    // Told even where money only went: what waits finds out at once that it has reached the limit.
    for (const keyId of new Set(changes.map(({ before }) => before.key_id))) listener.freed(keyId);
    return changes.length;
  }

  /** What another cost of a row changes, worked out before anything is written. */
  function changeOf(before: StoredRequest, cost: RowCost): CostChange {
    const own = ownPart(before.billing, assertNano(cost.costNano), before.cost_own_key_nano);
    const delta = assertNano(cost.costNano - (before.cost_nano ?? 0));
    const flags = new Set(before.flags.split(',').filter((flag) => flag !== '' && flag !== 'unpriced'));
    flags.add('corrected');
    if (cost.estimated) flags.add('estimated');
    const account = current(before.key_id);
    return {
      before,
      after: {
        ...before,
        cost_nano: cost.costNano,
        cost_own_key_nano: own,
        computed_cost_nano: cost.computedCostNano,
        price: cost.price,
        price_source: cost.priceSource,
        flags: [...flags].join(','),
      },
      delta,
      ownDelta: own - before.cost_own_key_nano,
      inWindow: account?.window != null && before.settled_at >= account.window.start,
    };
  }

  function writeChange({ before, after, delta, ownDelta, inWindow }: CostChange, reason: string): void {
    sql.insertCorrection.run(before.id, now(), before.cost_nano, after.cost_nano, reason);
    sql.correctRequest.run({
      id: before.id,
      cost: after.cost_nano,
      own: after.cost_own_key_nano,
      computed: after.computed_cost_nano,
      price: after.price,
      source: after.price_source,
      flags: after.flags,
    });
    sql.adjustKey.run({
      id: before.key_id,
      credits: delta - ownDelta,
      own: ownDelta,
      unpriced: before.cost_nano === null ? -1 : 0,
      window: inWindow ? delta : 0,
    });
  }

  /** After the commit: the mirror in memory, and whoever looks. */
  function applyChange({ before, after, delta, ownDelta, inWindow }: CostChange): void {
    const account = accounts.get(before.key_id);
    if (account) {
      account.usageCreditsNano += delta - ownDelta;
      account.usageOwnKeyNano += ownDelta;
      account.usageNano += delta;
      if (before.cost_nano === null) account.unpricedRequests -= 1;
      if (account.window && inWindow) account.window.usedNano += delta;
    }
    period.add(before.at, delta);
    listener.changed(before.key_id);
    listener.settled(() => toRequestRow(after));
  }

  /** Spend of today and of this month in the machine's time zone, kept up as rows are settled. */
  function createPeriodTotals() {
    let day = { ...windowAt(now(), 'day'), total: 0 };
    let month = { ...windowAt(now(), 'month'), total: 0 };
    const sumFrom = (start: number) => Number(sql.spentSince.pluck().get(start));
    day.total = sumFrom(day.start);
    month.total = sumFrom(month.start);
    const roll = () => {
      const at = now();
      if (at >= day.end) day = { ...windowAt(at, 'day'), total: 0 };
      if (at >= month.end) month = { ...windowAt(at, 'month'), total: 0 };
    };
    return {
      add(at: number, nano: Nano) {
        roll();
        if (at >= day.start) day.total += nano;
        if (at >= month.start) month.total += nano;
      },
      read() {
        roll();
        return { todayNano: day.total, monthNano: month.total };
      },
    };
  }

  return {
    account: current,
    openAccount(keyId) {
      const record = sql.account.get(keyId);
      if (record) accounts.set(keyId, toAccount(record, now()));
    },
    closeAccount(keyId) {
      accounts.delete(keyId);
    },
    hold,
    settle,
    setLimits,
    correct,
    priceUnpriced,
    totals() {
      let [usageNano, heldNano, requests, running] = [0, 0, 0, 0];
      for (const account of accounts.values()) {
        usageNano += account.usageNano;
        heldNano += account.heldNano;
        requests += account.requests;
        running += account.running;
      }
      return { usageNano, heldNano, requests, running, ...period.read() };
    },
    problem: () => fault,
    retry,
  };
}

/** The limit that is used up by settled usage, if any: the one that resets last, since that one decides. */
function reachedLimit(account: Account): TightestLimit | null {
  const one = (balance: Balance) => tightestLimit({ ...balance, heldNano: 0 });
  const allTime = one({ ...account, recurring: null });
  if (allTime && isReached(allTime)) return allTime;
  const recurring = one({ ...account, limitNano: null });
  return recurring && isReached(recurring) ? recurring : null;
}

/** How much of a cost ran on the person's own provider key; the rest was paid from a gateway account's credits. */
function ownPart(billing: Billing, costNano: Nano, reportedOwnNano: Nano): Nano {
  if (billing === 'own-key') return costNano;
  return billing === 'credits' ? Math.min(reportedOwnNano, costNano) : 0;
}

function toAccount(record: KeyRecord, at: number): Account {
  const recurring =
    record.recurring_nano !== null && record.recurring_every !== null
      ? { amountNano: record.recurring_nano, every: record.recurring_every }
      : null;
  const window = recurring && windowAt(at, recurring.every);
  // A window stored by an earlier run counts as long as it has not ended; a start in the future is a clock set back.
  const sameWindow = window !== null && record.window_start !== null && record.window_start >= window.start;
  return {
    usageNano: record.usage_credits_nano + record.usage_own_key_nano,
    usageCreditsNano: record.usage_credits_nano,
    usageOwnKeyNano: record.usage_own_key_nano,
    heldNano: 0,
    running: 0,
    requests: record.requests,
    unpricedRequests: record.unpriced_requests,
    inputTokens: record.input_tokens,
    outputTokens: record.output_tokens,
    lastUsedAt: record.last_used_at,
    limitNano: record.limit_nano,
    recurring,
    window:
      window &&
      (sameWindow
        ? { start: record.window_start ?? window.start, end: window.end, usedNano: record.window_used_nano }
        : { ...window, usedNano: 0 }),
  };
}

const noTokens = {
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  webSearches: 0,
};

function holdParameters(hold: Hold): HoldRecord {
  return {
    id: hold.id,
    key_id: hold.keyId,
    at: hold.at,
    amount_nano: hold.amountNano,
    provider: hold.provider,
    billing: hold.billing,
    dialect: hold.dialect,
    model: hold.model,
    stream: hold.stream ? 1 : 0,
    price: hold.price,
    client: hold.client,
    session: hold.session,
    agent: hold.agent,
    parent_agent: hold.parentAgent,
  };
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
