/** The arithmetic of limits: how much room they leave, and where the current window of a recurring limit ends. Pure. */
import { NEAR_LIMIT_PERCENT } from '#shared/defaults.ts';
import type { Every, LimitState, RecurringLimit } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';

/** The limits of a key, a provider or all keys; null = no limit, 0 = blocks all. */
export interface Limits {
  limitNano: Nano | null;
  recurring: RecurringLimit | null;
}

/** What a limit is over. */
export type Scope = KeyScope | SharedScope;
export interface KeyScope {
  kind: 'key';
  id: string;
}
export type SharedScope = { kind: 'provider'; id: string } | { kind: 'global' };
/** One session of a key, by the id that its client sends. The amount is the key's: each of its sessions may cost it. */
export interface SessionScope {
  kind: 'session';
  keyId: string;
  id: string;
}

/** The current window of a recurring limit. Times in milliseconds; `end` is the first instant of the next window. */
export interface Window {
  /** From when on it counts: where it begins, or when the limit was set within it. */
  start: number;
  end: number;
  usedNano: Nano;
  /** While the clock stands before `start`: what was spent from the calendar window of now up to `start`. */
  carried?: { from: number; nano: Nano } | undefined;
  /** As long as nothing was settled in this one: the last one that something was, which is what the file has. */
  before?: Window | undefined;
}

/** Money on top of each limit; `until` null = until it is removed. */
export interface TopUp {
  amountNano: Nano;
  until: number | null;
}

/** What a scope has cost and holds, with its limits. */
export interface Balance<Of extends Scope | SessionScope = Scope | SessionScope> extends Limits {
  scope: Of;
  usageNano: Nano;
  heldNano: Nano;
  window: Window | null;
  topUp: TopUp | null;
}

/** A limit as it applies now. */
export interface AppliedLimit<Of extends Scope | SessionScope = Scope | SessionScope> {
  scope: Of;
  /** The top-up included. */
  limitNano: Nano;
  usedNano: Nano;
  heldNano: Nano;
  /** Room for another hold; below zero where the limit was lowered under what is spent and held. */
  roomNano: Nano;
  /** null for the all-time limit. */
  recurring: { every: Every; resetsAt: number } | null;
}

export function appliedLimits<Of extends Scope | SessionScope>(balance: Balance<Of>): AppliedLimit<Of>[] {
  const { scope, limitNano, recurring, window, usageNano, heldNano, topUp } = balance;
  const applied: AppliedLimit<Of>[] = [];
  const add = (amountNano: Nano, usedNano: Nano, period: AppliedLimit['recurring']) => {
    const topped = amountNano + (topUp?.amountNano ?? 0);
    applied.push({
      scope,
      limitNano: topped,
      usedNano,
      heldNano,
      // A hold from before the reset counts against the new window until it is settled there.
      roomNano: topped - usedNano - heldNano,
      recurring: period,
    });
  };
  if (limitNano !== null) add(limitNano, usageNano, null);
  if (recurring !== null && window !== null)
    add(recurring.amountNano, usedIn(window), { every: recurring.every, resetsAt: window.end });
  return applied;
}

/**
 * The room under the tightest limit of all, below zero where more is spent and held than allowed; null where there is
 * no limit. The same as the least `roomNano` of `appliedLimits`, without making them: every request asks for it.
 */
export function leastRoom(balances: readonly Balance[]): Nano | null {
  let least = Infinity;
  for (const { limitNano, recurring, window, usageNano, heldNano, topUp } of balances) {
    const topped = (topUp?.amountNano ?? 0) - heldNano;
    if (limitNano !== null) least = Math.min(least, limitNano + topped - usageNano);
    if (recurring !== null && window !== null)
      least = Math.min(least, recurring.amountNano + topped - usedIn(window));
  }
  return least === Infinity ? null : least;
}

export function usedIn(window: Window): Nano {
  return window.usedNano + (window.carried?.nano ?? 0);
}

export function hasLimit({ limitNano, recurring }: Limits): boolean {
  return limitNano !== null || recurring !== null;
}

export function leastOf<T>(all: readonly T[], by: (one: T) => number): T | null {
  return all.reduce<T | null>((least, next) => (least === null || by(next) < by(least) ? next : least), null);
}

function isReached(limit: { limitNano: Nano; usedNano: Nano }): boolean {
  return limit.usedNano >= limit.limitNano;
}

/**
 * Why money cannot be had. `reached`: nothing left. `busy`: enough would be left if `others` running requests gave
 * back. `short`: never. The limit is the one that decides: the key's, its session's, the provider's or that of all keys.
 */
export interface NoRoom {
  refused: 'reached' | 'busy' | 'short';
  limit: AppliedLimit;
  others: number;
}

/** Why `atLeastNano` cannot be had; null where it can. */
export function whyNoRoom(
  balances: readonly (Balance & { running: number })[],
  atLeastNano: Nano,
): NoRoom | null {
  const limits = balances.flatMap(appliedLimits);
  const tightest = leastOf(limits, ({ roomNano }) => roomNano);
  if (tightest === null) return null;
  const othersOf = ({ scope: { kind } }: AppliedLimit) =>
    balances.find(({ scope }) => scope.kind === kind)?.running ?? 0;
  // Any limit that is used up refuses for good, also where another one is tighter only because of holds.
  const reached = lastToReset(limits.filter(isReached));
  if (reached) return { refused: 'reached', limit: reached, others: othersOf(reached) };
  if (tightest.roomNano >= atLeastNano) return null;
  // Were all that is held given back: would it fit then?
  const least = leastOf(limits, ({ roomNano, heldNano }) => roomNano + heldNano) ?? tightest;
  const wouldFit = least.roomNano + least.heldNano >= atLeastNano;
  const limit = wouldFit ? tightest : least;
  return { refused: wouldFit ? 'busy' : 'short', limit, others: othersOf(limit) };
}

/** Of several limits that are used up the one that resets last decides; an all-time limit never does. */
function lastToReset(limits: readonly AppliedLimit[]): AppliedLimit | null {
  return leastOf(limits, ({ recurring }) => -(recurring?.resetsAt ?? Infinity));
}

/** By settled usage alone: what is only held may come back. */
export function limitState(balance: Balance): LimitState {
  const applied = appliedLimits(balance);
  if (applied.length === 0) return 'none';
  if (applied.some(isReached)) return 'reached';
  return applied.some(({ usedNano, limitNano }) => usedNano * 100 >= limitNano * NEAR_LIMIT_PERCENT)
    ? 'near'
    : 'ok';
}

/**
 * The window that holds `now`, aligned to the calendar of the machine's time zone. `Date`'s local constructor carries
 * it through daylight-saving changes: a day may have 23 or 25 hours, and an hour that occurs twice is two windows.
 * A week starts on the day that the machine's locale says.
 */
export function windowAt(now: number, every: Every, firstWeekday?: number): { start: number; end: number } {
  const date = new Date(now);
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  switch (every) {
    case 'hour': {
      // Real hours, not local ones: stepping a local clock back over an hour that repeats would give an empty window.
      const start = now - (date.getMinutes() * 60_000 + date.getSeconds() * 1000 + date.getMilliseconds());
      return { start, end: start + 3_600_000 };
    }
    case 'day':
      return { start: new Date(year, month, day).getTime(), end: new Date(year, month, day + 1).getTime() };
    case 'week': {
      const first = day - ((date.getDay() - (firstWeekday ?? localeFirstWeekday()) + 7) % 7);
      return {
        start: new Date(year, month, first).getTime(),
        end: new Date(year, month, first + 7).getTime(),
      };
    }
    case 'month':
      return { start: new Date(year, month, 1).getTime(), end: new Date(year, month + 1, 1).getTime() };
  }
}

/** 0 = Sunday … 6 = Saturday, of the machine's locale; Monday (ISO 8601) where the runtime does not know. */
export function localeFirstWeekday(locale: string = Intl.DateTimeFormat().resolvedOptions().locale): number {
  const info: unknown = new Intl.Locale(locale);
  const week = hasWeekInfo(info) ? info.getWeekInfo() : { firstDay: 1 };
  return week.firstDay % 7;
}

function hasWeekInfo(locale: unknown): locale is { getWeekInfo(): { firstDay: number } } {
  return typeof locale === 'object' && locale !== null && 'getWeekInfo' in locale;
}
