/** Numbers and times as the window shows them. Money is formatted by #shared/money.ts. */
import { formatPercent, nearestLimit } from '#shared/limit-share.ts';
import type { KeyRow } from '#shared/model.ts';

const whole = new Intl.NumberFormat('en-US');
const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });

export const formatCount = (count: number) => whole.format(count);

/** Counts that matter by size: `842`, `12.4K`, `1.3M`. */
export const formatCompact = (count: number) =>
  count < 10_000 ? whole.format(count) : compact.format(count);

/** Where three counts share a line: `842`, `9.6K`, `1.3M`. */
export const formatTight = (count: number) => (count < 1_000 ? whole.format(count) : compact.format(count));

/** British order, with every month as three letters: `Sept` alone would be wider than its column. */
export function dates(options: Intl.DateTimeFormatOptions) {
  const format = new Intl.DateTimeFormat('en-GB', options);
  return { format: (moment: Date) => format.format(moment).replace('Sept', 'Sep') };
}

const dateTime = dates({ dateStyle: 'medium', timeStyle: 'medium' });
const dayOfYear = dates({ day: 'numeric', month: 'short' });
const monthOfYear = dates({ month: 'short', year: 'numeric' });
const dayOfAnyYear = dates({ day: 'numeric', month: 'short', year: 'numeric' });
const clock = dates({ timeStyle: 'medium' });
const shortClock = dates({ timeStyle: 'short' });
const dayAndClock = dates({
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});

/** Local date and time to the second. */
export const formatExact = (iso: string) => dateTime.format(new Date(iso));

/** `19 Nov` in this year, `Nov 2025` before it; the exact time is always a hover away. */
export function formatDate(iso: string, now: number): string {
  const moment = new Date(iso);
  return (moment.getFullYear() === new Date(now).getFullYear() ? dayOfYear : monthOfYear).format(moment);
}

const calendarDay = dates({ dateStyle: 'medium', timeZone: 'UTC' });

/** A day without a time zone, such as that of a price list: `2026-09-23` as `23 Sep 2026`; anything else as it is. */
export const formatCalendarDay = (day: string) =>
  /^\d{4}-\d{2}-\d{2}$/.test(day) ? calendarDay.format(new Date(`${day}T00:00:00Z`)) : day;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `just now`, `5 min ago`, `3 h ago`, `2 d ago`, then the date. A time ahead of this clock counts as now. */
export function formatAgo(iso: string, now: number): string {
  const past = now - Date.parse(iso);
  if (past < MINUTE) return 'just now';
  if (past < HOUR) return `${Math.floor(past / MINUTE)} min ago`;
  if (past < DAY) return `${Math.floor(past / HOUR)} h ago`;
  if (past < 30 * DAY) return `${Math.floor(past / DAY)} d ago`;
  return formatDate(iso, now);
}

/** The clock alone where it is today, with the day before it otherwise; the day and its year of what is long ago. */
export function formatWhen(iso: string, now: number, withSeconds = false): string {
  const moment = new Date(iso);
  const today = moment.toDateString() === new Date(now).toDateString();
  if (today) return (withSeconds ? clock : shortClock).format(moment);
  if (now - moment.getTime() > 300 * DAY) return dayOfAnyYear.format(moment);
  return dayAndClock.format(moment).replace(',', '');
}

/** Local day and time of day, for a filter: `22 Nov 14:05`. */
export const formatShort = (iso: string) => dayAndClock.format(new Date(iso)).replace(',', '');

const weekday = dates({ weekday: 'short' });

/** A moment to come: `15:00`, `tomorrow 00:00`, `Mon 00:00`, `1 Dec 00:00`. */
export function formatAhead(iso: string, now: number): string {
  const moment = new Date(iso);
  const midnight = new Date(now);
  midnight.setHours(0, 0, 0, 0);
  // Rounded, because a day of a change to or from summer time is 23 or 25 hours long.
  const days = Math.floor((moment.getTime() - midnight.getTime() + HOUR) / DAY);
  const at = shortClock.format(moment);
  if (moment.toDateString() === midnight.toDateString()) return at;
  const tomorrow = new Date(midnight);
  tomorrow.setDate(tomorrow.getDate() + 1);
  if (moment.toDateString() === tomorrow.toDateString()) return `tomorrow ${at}`;
  if (days < 7) return `${weekday.format(moment)} ${at}`;
  return `${dayOfYear.format(moment)} ${at}`;
}

export function formatDuration(ms: number): string {
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) return `${(ms / SECOND).toFixed(1)} s`;
  return `${Math.floor(ms / MINUTE)} min ${Math.floor((ms % MINUTE) / SECOND)} s`;
}

export interface LimitProgress {
  /** Used part of the limit; more than 1 where a limit was lowered. */
  share: number;
  /** 0 to 1, for the width of the bar. */
  used: number;
  /** The part beyond `used` that is held for running requests; `used + held` is at most 1. */
  held: number;
  percent: string;
  /** Which of the key's limits is nearest to its end. */
  of: 'all-time' | 'recurring';
}

/** How far a key is toward the limit it will meet first; null without a limit. For the bar only, never for deciding. */
export function limitProgress(
  row: Pick<KeyRow, 'usageNano' | 'heldNano' | 'limitNano' | 'recurring'> & Partial<Pick<KeyRow, 'topUp'>>,
): LimitProgress | null {
  const nearest = nearestLimit(row);
  if (!nearest) return null;
  const { share, limitNano, every } = nearest;
  const used = Math.min(share, 1);
  const held = Math.min(limitNano > 0 ? row.heldNano / limitNano : 0, 1 - used);
  return { share, used, held, percent: formatPercent(share), of: every === null ? 'all-time' : 'recurring' };
}

/** Of a whole, to the nearest percent; never nothing where there is something. */
export function formatShare(value: number): string {
  if (value > 0 && value < 0.005) return '<1%';
  return `${whole.format(Math.round(value * 100))}%`;
}

/** `+12%`, `-3%`, `±0%`; a change too large for percents as a factor. */
export function formatSignedPercent(change: number): string {
  if (change >= 10) return `×${whole.format(Math.round(change + 1))}`;
  const percent = Math.round(change * 100);
  return `${percent > 0 ? '+' : percent < 0 ? '−' : '±'}${whole.format(Math.abs(percent))}%`;
}
