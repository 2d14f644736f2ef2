/**
 * The ledger: holds, usage rows and totals. The only writer of money.
 *
 * SQLite is the truth; the balances in memory are what admission reads. A hold is checked and taken there in one
 * synchronous step, so that concurrent requests cannot both take the last dollar, and is written before anything is
 * sent; a settlement changes them once it is written, before the client has the end of its answer. What comes at the
 * same time shares a transaction. One process owns the file (see data-folder.ts).
 */
import type { RequestRow } from '#shared/model.ts';
import { assertNano, type Nano } from '#shared/money.ts';
import { ABSENT, Roster } from '../base/roster.ts';
import {
  hasLimit,
  leastRoom,
  whyNoRoom,
  type Limits,
  type NoRoom,
  type Scope,
  type SharedScope,
  type TopUp,
} from '../config/limits.ts';
import { isDamage } from '../store/data-folder.ts';
import type { Store } from '../store/store.ts';
import {
  createBalances,
  scopeId,
  withLimits,
  type Account,
  type Counted,
  type RunningBalance,
} from './balances.ts';
import { createCorrections, type Corrections } from './corrections.ts';
import { holdOf, orphanOutcome, type Hold, type HoldDraft, type Outcome } from './holds.ts';
import {
  applyTo,
  costOf,
  emptyGroup,
  endOf,
  groupWriter,
  type End,
  type Settlement,
} from './ledger-group.ts';
import { statements } from './ledger-statements.ts';
import { createPeriodTotals } from './period-totals.ts';
import { toRequestRow } from './requests.ts';
import { createRollup } from './rollup.ts';
import { describeWriteFailure, LedgerUnavailable } from './write-failure.ts';

export type { Account, RunningBalance } from './balances.ts';
export type { Hold, HoldDraft, Outcome } from './holds.ts';
export type { RowCost, RowPricer } from './corrections.ts';

export type HoldResult = { held: Hold } | NoRoom;

export interface Ledger extends Corrections {
  /** The account as it stands now, its window rolled over if it has ended. Undefined for an unknown key. */
  account(keyId: string): Readonly<Account> | undefined;
  /** What a provider, or all keys together, have cost, deleted ones included. */
  balance(scope: SharedScope): Readonly<RunningBalance<Scope>>;
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
  /**
   * Resolves when what has been held and settled so far is written, so that no death of the process undoes it. Nothing
   * of a request may be sent before its hold is written, nor the end of an answer before its settlement.
   * @throws LedgerUnavailable where the hold that is asked about could not be written, and is therefore none.
   */
  written(hold?: Hold): Promise<void>;
  /** Writes it now. */
  flush(): void;
  setLimits(scope: Scope, limits: Limits): void;
  /** What each session of the key may cost; null = no limit. A top-up is on top of the key's own limits alone. */
  setSessionLimit(keyId: string, limitNano: Nano | null): void;
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
  /** Settlements that could not be written yet, and are lost where the process ends now. */
  unwritten(): number;
  /** What was found to be wrong for good, as a sentence for the person: limited keys are refused until a restart. */
  fail(sentence: string): void;
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

export interface LedgerOptions {
  /**
   * Called when there is something to write, with what writes it: everything that comes until then shares a transaction.
   * Unless told, it is written at once.
   */
  soon(write: () => void): void;
}

export function createLedger(
  store: Store,
  now: () => number,
  listener: LedgerListener,
  options: LedgerOptions = { soon: (write) => write() },
): Ledger {
  const sql = statements(store);
  /** Every id that was given out and whose row is not written yet. */
  const openHolds = new Roster<Hold>();
  const balances = createBalances(sql, now, () => openHolds);
  /** Waits for its transaction. The balances in memory have its holds already, and its settlements once they are written. */
  let group = emptyGroup();
  /** Settlements that could not be written yet, oldest first: the hold stays until they are. */
  const unwritten: Settlement[] = [];
  /** Holds that stand without being written: those that no limit is over. */
  let unwrittenHolds: { hold: Hold }[] = [];
  /** Holds that could not be written, until whoever asked for them is told. */
  const failed = new Map<number, LedgerUnavailable>();
  let fault: string | null = null;
  /** What no write that works can mend. */
  let broken: string | null = null;

  let nextId = Number(sql.lastId.pluck().get()) + 1;
  const orphans = findOrphans();
  const rollup = createRollup(store, () => Array.from(openHolds, ({ id }) => id));
  rollup.catchUp();
  const period = createPeriodTotals(sql, now);
  const writeGroup = groupWriter({ store, sql, balances, rollup });
  // Where even this cannot be written the gateway starts all the same, and refuses what it has to.
  for (const orphan of orphans) settle(orphan, orphanOutcome(orphan));
  // Now, and not soon: whoever looks first must find no hold of a process that is dead.
  flush();

  /** The holds that a process left behind when it died, taken over as they are. */
  function findOrphans(): Hold[] {
    const found = sql.holds.all().map(holdOf);
    for (const orphan of found) {
      // First: a session that is seen for the first time counts all that is open.
      const counted = balances.against(orphan);
      openHolds.add(orphan);
      for (const balance of counted) {
        balance.heldNano += orphan.amountNano;
        balance.running += 1;
      }
    }
    return found;
  }

  /** Once for each balance, however many requests have changed it. */
  function tell(counts: readonly Counted[]): void {
    if (counts.length === 0) return;
    for (const id of new Set(counts.map(({ keyId }) => keyId))) listener.changed({ kind: 'key', id });
    for (const id of new Set(counts.map(({ providerId }) => providerId)))
      listener.changed({ kind: 'provider', id });
    listener.changed({ kind: 'global' });
  }

  /** Whose money a request gives back: under a limit that keys share it may be any key's (null). */
  function freedBy({ keyId, providerId }: Counted): string | null {
    return hasLimit(balances.global()) || hasLimit(balances.provider(providerId)) ? null : keyId;
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

  function fail(sentence: string): void {
    // The first one is the cause of what follows.
    if (broken !== null) return;
    broken = sentence;
    listener.problemChanged();
  }

  function failedToWrite(cause: unknown): string {
    const message = describeWriteFailure(cause);
    if (isDamage(cause)) fail(message);
    setFault(message);
    return message;
  }

  function hold(draft: HoldDraft, amount: { wantNano: Nano; atLeastNano: Nano }): HoldResult {
    if (unwritten.length > 0) retry();
    const account = mustHave(draft.keyId);
    const counted = balances.against(draft);
    const roomNano = leastRoom(counted);
    let amountNano = assertNano(amount.wantNano);
    if (roomNano !== null) {
      const wrong = broken ?? fault;
      if (wrong !== null) throw new LedgerUnavailable(wrong);
      // A limit that is used up leaves no room, so with some left none is.
      const refused =
        roomNano > 0 && roomNano >= amount.atLeastNano ? null : whyNoRoom(counted, amount.atLeastNano);
      if (refused !== null) return refused;
      amountNano = Math.min(amountNano, roomNano);
    }
    for (const { heldNano } of counted) assertNano(heldNano + amountNano);
    const taken: Hold = { ...draft, id: nextId, at: now(), amountNano, ending: false, place: ABSENT };
    nextId += 1;
    openHolds.add(taken);
    for (const balance of counted) {
      balance.heldNano += amountNano;
      balance.running += 1;
    }
    account.lastUsedAt = taken.at;
    group.holds.push({ hold: taken, limited: roomNano !== null });
    groupGrew();
    throwIfFailed(taken);
    return { held: taken };
  }

  function settle(held: Hold, outcome: Outcome): void {
    if (!openHolds.has(held) || held.ending) return;
    const spent = assertNano(costOf(held, outcome) ?? 0);
    // Before anything is written: a sum that leaves the whole numbers must not be found out half way.
    const before = group.spent.get(held.keyId) ?? 0;
    assertNano((balances.key(held.keyId)?.usageNano ?? 0) + before + spent);
    group.spent.set(held.keyId, before + spent);
    held.ending = true;
    group.settlements.push({ hold: held, outcome, settledAt: now() });
    groupGrew();
  }

  function groupGrew(): void {
    group.size += 1;
    if (group.size === 1) options.soon(flush);
  }

  /** Writes what has been held and settled since the last time, in one transaction. */
  function flush(): void {
    if (group.size === 0) return;
    const { holds, settlements, told } = group;
    group = emptyGroup();
    if (unwritten.length > 0 && settlements.length > 0) {
      // What ended first is written first.
      unwritten.push(...settlements.splice(0));
      retry();
    }
    let freed: readonly End[] = [];
    try {
      freed = commit(holds, settlements);
    } catch (cause) {
      rollup.forget();
      const message = failedToWrite(cause);
      for (const each of holds)
        if (each.limited) takeBack(each.hold, message, cause);
        else unwrittenHolds.push(each);
      unwritten.push(...settlements);
    }
    told?.resolve();
    free(freed);
  }

  /** Without a limit there is no promise to break: such a hold stays, and is written as soon as that is possible. */
  function takeBack(taken: Hold, message: string, cause: unknown): void {
    failed.set(taken.id, new LedgerUnavailable(message, cause));
    const counted = balances.against(taken);
    openHolds.remove(taken);
    for (const balance of counted) {
      balance.heldNano -= taken.amountNano;
      balance.running -= 1;
    }
  }

  function throwIfFailed({ id }: Hold): void {
    const failure = failed.get(id);
    if (failure === undefined) return;
    failed.delete(id);
    throw failure;
  }

  async function written(held?: Hold): Promise<void> {
    if (group.size > 0) await (group.told ??= Promise.withResolvers<void>()).promise;
    if (held) throwIfFailed(held);
  }

  function retry(): void {
    flush();
    const freed: End[] = [];
    try {
      for (let next = unwritten[0]; next !== undefined; next = unwritten[0]) {
        freed.push(...commit([], [next]));
        unwritten.shift();
      }
      commit(
        unwrittenHolds.filter(({ hold: held }) => openHolds.has(held)),
        [],
      );
      unwrittenHolds = [];
      if (fault !== null) store.proveWritable();
      setFault(null);
    } catch (cause) {
      rollup.forget();
      failedToWrite(cause);
    }
    free(freed);
  }

  /** Last: whoever waits asks for money at once, and must find nothing half done. */
  function free(ends: readonly End[]): void {
    const keyIds = new Set(ends.map(({ hold: counts }) => freedBy(counts)));
    for (const keyId of keyIds.has(null) ? [null] : keyIds) listener.freed(keyId);
  }

  /** All of it or nothing: the transaction first, the balances in memory after it. */
  function commit(holds: readonly { hold: Hold }[], settlements: readonly Settlement[]): readonly End[] {
    const ends = settlements
      .filter(({ hold: held }) => openHolds.has(held))
      .map((each) => endOf(balances, each));
    if (holds.length + ends.length > 0) writeGroup(holds, ends);
    for (const end of ends) mirror(end);
    tell([...holds, ...ends].map(({ hold: counts }) => counts));
    for (const { row } of ends) {
      listener.settled(() => toRequestRow(row));
      rollup.rowWritten();
    }
    return ends;
  }

  function mirror(end: End): void {
    openHolds.remove(end.hold);
    applyTo(end);
    period.add(end.row.at, end.spent);
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

  function setSessionLimit(keyId: string, limitNano: Nano | null): void {
    const account = mustHave(keyId);
    if (limitNano === account.sessionLimitNano) return;
    store.write(() => sql.setSessionLimit.run(limitNano, keyId));
    balances.setSessionLimit(account, limitNano);
    listener.changed({ kind: 'key', id: keyId });
    listener.freed(keyId);
  }

  function setTopUp(keyId: string, amountNano: Nano | null): void {
    const account = mustHave(keyId);
    const topUp = amountNano === null ? null : { amountNano, until: account.window?.end ?? null };
    store.write(() => sql.setTopUp.run({ id: keyId, ...topUpColumns(topUp) }));
    account.topUp = topUp;
    listener.changed({ kind: 'key', id: keyId });
    listener.freed(keyId);
  }

  function sharedBalance(scope: SharedScope): RunningBalance<Scope> {
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
    written,
    flush,
    setLimits,
    setSessionLimit,
    setTopUp,
    endPeriods() {
      const ended = balances.takeEnded();
      for (const scope of ended) listener.changed(scope);
      const shared = ended.some(({ kind }) => kind !== 'key');
      if (shared) listener.freed(null);
      else for (const scope of ended) if (scope.kind === 'key') listener.freed(scope.id);
    },
    ...createCorrections({
      store,
      sql,
      balances,
      period,
      now,
      told: (counts) => tell([counts]),
      freed: (counts) => listener.freed(freedBy(counts)),
      settled: listener.settled,
    }),
    totals() {
      const { usageNano, heldNano, requests, running } = balances.global();
      return { usageNano, heldNano, requests, running, ...period.read() };
    },
    problem: () => broken ?? fault,
    retry,
    unwritten: () => unwritten.length,
    fail,
    rollUp: () => rollup.catchUp(),
  };
}

function topUpColumns(topUp: TopUp | null): { topUp: number | null; topUpUntil: number | null } {
  return { topUp: topUp?.amountNano ?? null, topUpUntil: topUp?.until ?? null };
}
