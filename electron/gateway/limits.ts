/** The arithmetic of limits: how much room a key has, and where the current window of a recurring limit ends. Pure. */
import type { Every, LimitState, RecurringLimit } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';
import { NEAR_LIMIT_PERCENT } from '#shared/defaults.ts';

/** A key's limits; null = no limit, 0 = blocks all. */
export interface Limits {
  limitNano: Nano | null;
  recurring: RecurringLimit | null;
}

/** The current window of a recurring limit. Times in milliseconds; `end` is the first instant of the next window. */
export interface Window {
  /** From when on it counts: where it begins, or when the limit was set within it. */
  start: number;
  end: number;
  usedNano: Nano;
}

/** What a key has cost and holds, with its limits. */
export interface Balance extends Limits {
  usageNano: Nano;
  heldNano: Nano;
  window: Window | null;
}

/** The limit that leaves the least room; null where the key has none. */
export interface TightestLimit {
  limitNano: Nano;
  usedNano: Nano;
  /** Room for another hold; below zero where the limit was lowered under what is spent and held. */
  roomNano: Nano;
  /** null for the all-time limit. */
  recurring: { every: Every; resetsAt: number } | null;
}

export function tightestLimit(balance: Balance): TightestLimit | null {
  const { limitNano, recurring, window, usageNano, heldNano } = balance;
  const candidates: TightestLimit[] = [];
  if (limitNano !== null) {
    candidates.push({
      limitNano,
      usedNano: usageNano,
      roomNano: limitNano - usageNano - heldNano,
      recurring: null,
    });
  }
  if (recurring !== null && window !== null) {
    candidates.push({
      limitNano: recurring.amountNano,
      usedNano: window.usedNano,
      // A hold from before the reset counts against the new window until it is settled there.
      roomNano: recurring.amountNano - window.usedNano - heldNano,
      recurring: { every: recurring.every, resetsAt: window.end },
    });
  }
  return candidates.reduce<TightestLimit | null>(
    (tightest, next) => (tightest === null || next.roomNano < tightest.roomNano ? next : tightest),
    null,
  );
}

export function isReached(limit: { limitNano: Nano; usedNano: Nano }): boolean {
  return limit.usedNano >= limit.limitNano;
}

/** By settled usage alone: what is only held may come back. */
export function limitState(balance: Balance): LimitState {
  const shares: [used: Nano, limit: Nano][] = [];
  if (balance.limitNano !== null) shares.push([balance.usageNano, balance.limitNano]);
  if (balance.recurring !== null) shares.push([balance.window?.usedNano ?? 0, balance.recurring.amountNano]);
  if (shares.length === 0) return 'none';
  if (shares.some(([used, limit]) => used >= limit)) return 'reached';
  return shares.some(([used, limit]) => used * 100 >= limit * NEAR_LIMIT_PERCENT) ? 'near' : 'ok';
}

/**
 * The window that holds `now`, aligned to the calendar of the machine's time zone. `Date`'s local constructor carries
 * it through daylight-saving changes: a day may have 23 or 25 hours, and an hour that occurs twice is two windows.
 * A week starts on the day that the machine's locale says.
 */
export function windowAt(
  now: number,
  every: Every,
  firstWeekday: number = localeFirstWeekday(),
): { start: number; end: number } {
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
      const first = day - ((date.getDay() - firstWeekday + 7) % 7);
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
