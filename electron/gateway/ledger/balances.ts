/**
 * The balances of keys, providers and of all together, in memory: what has been committed, and what admission reads.
 * Only the ledger changes the amounts; here windows begin and end.
 */
import type { Every } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';
import {
  windowAt,
  type Balance,
  type KeyScope,
  type Limits,
  type Scope,
  type SessionScope,
  type TopUp,
  type Window,
} from '../config/limits.ts';
import type { KeyRecord, ScopeRecord, Statements } from './ledger-statements.ts';

/** A balance with the requests that run against it. */
export interface RunningBalance<Of extends Scope | SessionScope = Scope | SessionScope> extends Balance<Of> {
  running: number;
  requests: number;
}

/** A key's totals as committed. */
export interface Account extends RunningBalance<KeyScope> {
  /** What each session of it may cost; null = no limit. */
  sessionLimitNano: Nano | null;
  usageCreditsNano: Nano;
  usageOwnKeyNano: Nano;
  unpricedRequests: number;
  inputTokens: number;
  outputTokens: number;
  lastUsedAt: number | null;
}

/** Each is given out with its window as of now. */
export interface Balances {
  key(id: string): Account | undefined;
  /** A provider that was never used has a balance of zero. */
  provider(id: string): RunningBalance<Scope>;
  global(): RunningBalance<Scope>;
  /** All that a request counts against, its key first. The key may be gone by the time it is settled. */
  against(request: Counted): RunningBalance[];
  openKey(record: KeyRecord): void;
  closeKey(id: string): void;
  setSessionLimit(account: Account, limitNano: Nano | null): void;
  /** Ends what has ended, and returns whose window or top-up did since the last call. */
  takeEnded(): Scope[];
}

/** What a request counts against, beside all keys together. */
export interface Counted {
  keyId: string;
  /** Empty where it is not known. */
  providerId: string;
  /** null where the request names none: then only the other limits hold. */
  session: string | null;
}

/** A request that runs, as far as it counts in its session. */
export interface Running extends Pick<Counted, 'keyId' | 'session'> {
  amountNano: Nano;
}

/** Sessions in memory that no request runs in; those that are dropped are summed up again when they go on. */
const MOST_IDLE_SESSIONS = 1_000;

const GLOBAL_SCOPE = 'global';

/** As it is stored. */
export function scopeId(scope: Scope): string {
  return scope.kind === 'global' ? GLOBAL_SCOPE : scope.id;
}

/** `running` gives every request whose cost is not on record yet. */
export function createBalances(
  sql: Statements,
  now: () => number,
  running: () => Iterable<Running>,
): Balances {
  const keys = new Map<string, Account>();
  const providers = new Map<string, RunningBalance<Scope>>();
  /** Of keys with a limit per session, by key and session. What they have cost is in the rows; here it is kept summed. */
  const sessions = new Map<string, Map<string, RunningBalance<SessionScope>>>();
  const ended = new Set<Balance<Scope>>();

  for (const record of sql.accounts.all()) openKey(record);
  const global: RunningBalance<Scope> = emptyBalance({ kind: 'global' });
  for (const record of sql.scopes.all()) {
    if (record.id === GLOBAL_SCOPE) Object.assign(global, limitsOf(record, now()));
    else {
      const scope: Scope = { kind: 'provider', id: record.id };
      const balance = { ...emptyBalance(scope), usageNano: record.usage_nano, ...limitsOf(record, now()) };
      providers.set(record.id, balance);
    }
  }
  // Keys that were deleted have spent what they have spent.
  const { usage = 0, requests = 0 } = sql.keyTotals.get() ?? {};
  Object.assign(global, { usageNano: usage, requests });

  function openKey(record: KeyRecord): void {
    keys.set(record.id, toAccount(record, now()));
  }

  /** Starts the next window where the current one has ended. A clock set back ends none. */
  function current<B extends Balance<Scope>>(balance: B): B {
    const { window, recurring, topUp } = balance;
    if (recurring === null && topUp === null) return balance;
    const at = now();
    if (topUp !== null && topUp.until !== null && at >= topUp.until) {
      balance.topUp = null;
      ended.add(balance);
    }
    if (recurring === null || window === null) return balance;
    if (at >= window.end) {
      balance.window = { ...windowAt(at, recurring.every), usedNano: 0, before: window.before ?? window };
      ended.add(balance);
    } else if (at < window.start && window.before !== undefined) {
      // The clock was wrong, and nothing came of it.
      balance.window = window.before;
      ended.add(balance);
      return current(balance);
    } else if (at < window.start) carry(balance, window, recurring.every, at);
    else if (window.carried) window.carried = undefined;
    return balance;
  }

  /**
   * The clock was set back behind the window's start. What is spent goes on counting in that window; where the calendar
   * says that an earlier one runs, what was spent in it counts too. So a clock that was wrong gives no money twice, in
   * whichever direction it was. With the next one that the calendar begins it is over: a clock that was years ahead for
   * an hour locks nothing for years.
   */
  function carry(balance: Balance<Scope>, window: Window, every: Every, at: number): void {
    const { start, end } = windowAt(at, every);
    if (end > window.start) window.carried = undefined;
    else if (window.carried === undefined || start < window.carried.from)
      window.carried = { from: start, nano: spentBetween(balance.scope, start, window.start) };
    else if (start > window.carried.from) moveBack(balance, { start, end });
  }

  /** Written at once: what a restart would find in the file is the window that goes on for years. */
  function moveBack(balance: Balance<Scope>, { start, end }: { start: number; end: number }): void {
    const { scope } = balance;
    const usedNano = spentBetween(scope, start, end);
    try {
      sql.setWindow[scope.kind === 'key' ? 'key' : 'shared'].run(start, usedNano, scopeId(scope));
    } catch {
      // A ledger that cannot be written refuses whoever has a limit; the next look comes when it can.
      return;
    }
    balance.window = { start, end, usedNano };
    ended.add(balance);
  }

  function spentBetween(scope: Scope, from: number, to: number): Nano {
    const bounds = scope.kind === 'global' ? [from, to] : [from, to, scope.id];
    return Number(sql.spentBetween[scope.kind].get(...bounds));
  }

  function sessionBalance({ scope: { id: keyId }, sessionLimitNano }: Account, id: string): RunningBalance {
    const ofKey = sessions.get(keyId) ?? new Map<string, RunningBalance<SessionScope>>();
    sessions.set(keyId, ofKey);
    let balance = ofKey.get(id);
    if (balance === undefined) {
      balance = emptyBalance({ kind: 'session', keyId, id });
      balance.usageNano = sumOf(0, sql.sessionSpent.get({ keyId, session: id }) ?? 0);
      for (const request of running()) {
        if (request.keyId !== keyId || request.session !== id) continue;
        balance.heldNano += request.amountNano;
        balance.running += 1;
      }
      ofKey.set(id, balance);
    }
    balance.limitNano = sessionLimitNano;
    return balance;
  }

  function dropIdleSessions(): void {
    let count = 0;
    for (const ofKey of sessions.values()) count += ofKey.size;
    if (count <= MOST_IDLE_SESSIONS) return;
    for (const [keyId, ofKey] of sessions) {
      for (const [id, balance] of ofKey) if (balance.running === 0) ofKey.delete(id);
      if (ofKey.size === 0) sessions.delete(keyId);
    }
  }

  function providerBalance(id: string): RunningBalance<Scope> {
    let balance = providers.get(id);
    if (balance === undefined) {
      balance = emptyBalance<Scope>({ kind: 'provider', id });
      providers.set(id, balance);
    }
    return current(balance);
  }

  return {
    key(id) {
      const account = keys.get(id);
      return account && current(account);
    },
    provider: providerBalance,
    against({ keyId, providerId, session }) {
      const account = keys.get(keyId);
      const counted: RunningBalance[] = account ? [current(account)] : [];
      if (account && session !== null && account.sessionLimitNano !== null)
        counted.push(sessionBalance(account, session));
      if (providerId !== '') counted.push(providerBalance(providerId));
      counted.push(current(global));
      return counted;
    },
    global: () => current(global),
    openKey,
    closeKey(id) {
      keys.delete(id);
      sessions.delete(id);
    },
    setSessionLimit(account, limitNano) {
      account.sessionLimitNano = limitNano;
      // Without one its sessions are not counted; what they cost until there is one again is in the rows.
      if (limitNano === null) sessions.delete(account.scope.id);
    },
    takeEnded() {
      dropIdleSessions();
      for (const balance of [...keys.values(), ...providers.values(), global]) current(balance);
      const scopes = [...ended].map(({ scope }) => scope);
      ended.clear();
      return scopes;
    },
  };
}

/** One absurd cost on one key must not stop the sums that other keys share: they stay at the most a number can say. */
export function sumOf(nano: Nano, added: Nano): Nano {
  return Math.min(Number.MAX_SAFE_INTEGER, nano + added);
}

/** Limits with the window they lead to: a new amount keeps what the window has used, a new period starts its own. */
export function withLimits(
  balance: Balance<Scope>,
  next: Limits,
  now: number,
): Limits & { window: Window | null } {
  const { recurring } = next;
  if (recurring === null) return { ...next, window: null };
  const samePeriod = balance.recurring?.every === recurring.every;
  const kept = samePeriod ? balance.window : null;
  // It is written with the limits.
  const window = kept === null ? newWindow(recurring.every, now) : { ...kept, before: undefined };
  return { ...next, window };
}

/** A window that counts from now on, not from where the calendar's began. */
function newWindow(every: Every, now: number): Window {
  return { ...windowAt(now, every), start: now, usedNano: 0 };
}

function emptyBalance<Of extends Scope | SessionScope>(scope: Of): RunningBalance<Of> {
  return {
    scope,
    usageNano: 0,
    heldNano: 0,
    running: 0,
    requests: 0,
    limitNano: null,
    recurring: null,
    window: null,
    topUp: null,
  };
}

function toAccount(record: KeyRecord, at: number): Account {
  return {
    ...emptyBalance({ kind: 'key', id: record.id }),
    usageNano: record.usage_credits_nano + record.usage_own_key_nano,
    usageCreditsNano: record.usage_credits_nano,
    usageOwnKeyNano: record.usage_own_key_nano,
    requests: record.requests,
    unpricedRequests: record.unpriced_requests,
    inputTokens: record.input_tokens,
    outputTokens: record.output_tokens,
    lastUsedAt: record.last_used_at,
    ...limitsOf(record, at),
    topUp: topUpOf(record, at),
    sessionLimitNano: record.session_limit_nano,
  };
}

function limitsOf(
  record: Pick<
    ScopeRecord,
    'limit_nano' | 'recurring_nano' | 'recurring_every' | 'window_start' | 'window_used_nano'
  >,
  at: number,
): Limits & { window: Window | null } {
  const { limit_nano: limitNano, recurring_nano: amountNano, recurring_every: every } = record;
  if (amountNano === null || every === null) return { limitNano, recurring: null, window: null };
  // A start in the future is a clock set back: that window goes on.
  const calendar = windowAt(Math.max(at, record.window_start ?? at), every);
  const { window_start: start, window_used_nano: usedNano } = record;
  const stored = start === null ? undefined : { start, end: windowAt(start, every).end, usedNano };
  const window: Window =
    stored !== undefined && stored.start >= calendar.start
      ? stored
      : { ...calendar, usedNano: 0, before: stored };
  return { limitNano, recurring: { amountNano, every }, window };
}

/** One whose end the clock or the window has passed is over, also where the clock was set back since. */
function topUpOf(record: KeyRecord, at: number): TopUp | null {
  const { top_up_nano: amountNano, top_up_until: until, window_start: windowStart } = record;
  if (amountNano === null) return null;
  if (until !== null && until <= Math.max(at, windowStart ?? at)) return null;
  return { amountNano, until };
}
