/** Periods, stacks and the month's projection: what the usage page makes of the gateway's sums. Pure, so that it has tests. */
import type { Output } from '#shared/contract.ts';
import type { Every, KeyRow } from '#shared/model.ts';
import { assertNano, type Nano } from '#shared/money.ts';

export type Point = Output<'usage.series'>[number];
export const groupings = ['key', 'model', 'provider', 'client'] as const;
export type Grouping = (typeof groupings)[number];
export const spans = ['7d', '30d', '90d', '12m'] as const;
export type Span = (typeof spans)[number];
export type Step = Exclude<Every, 'hour'>;
export const steps: readonly Step[] = ['day', 'week', 'month'];

export interface UsageView {
  span: Span;
  every: Step;
  by: Grouping;
}

/** A step that gives a chart a readable number of bars. */
const usualStep: Record<Span, Step> = { '7d': 'day', '30d': 'day', '90d': 'week', '12m': 'month' };

export function readUsageView(query: Readonly<Record<string, string>>): UsageView {
  const span = spans.find((each) => each === query['span']) ?? '30d';
  return {
    span,
    every: steps.find((each) => each === query['every']) ?? usualStep[span],
    by: groupings.find((each) => each === query['by']) ?? 'key',
  };
}

export interface Range {
  from: Date;
  /** Exclusive. */
  to: Date;
}

const midnight = (date: Date, days = 0, months = 0) =>
  new Date(date.getFullYear(), date.getMonth() + months, date.getDate() + days);

/** The span that ends with today, in whole local days, and the one of the same length before it. */
export function rangesOf(span: Span, now: Date): { current: Range; before: Range } {
  const to = midnight(now, 1);
  if (span === '12m') {
    const from = new Date(now.getFullYear(), now.getMonth() - 11, 1);
    return { current: { from, to }, before: { from: midnight(from, 0, -12), to: midnight(to, 0, -12) } };
  }
  const days = Number.parseInt(span, 10);
  const from = midnight(to, -days);
  return { current: { from, to }, before: { from: midnight(from, -days), to: from } };
}

const MONDAY = 1;

/**
 * Where each bar of the range starts, as the gateway aligns them: days at midnight, months on the first, weeks on the
 * weekday that the system's locale says, which the gateway knows and a browser may see otherwise.
 */
export function barStarts({ from, to }: Range, every: Step, firstWeekday = MONDAY): Date[] {
  const first =
    every === 'day'
      ? midnight(from)
      : every === 'week'
        ? midnight(from, -((from.getDay() - firstWeekday + 7) % 7))
        : new Date(from.getFullYear(), from.getMonth(), 1);
  const starts: Date[] = [];
  for (let at = first; at < to;) {
    starts.push(at);
    at = every === 'month' ? midnight(at, 0, 1) : midnight(at, every === 'day' ? 1 : 7);
  }
  return starts;
}

export interface Sums {
  costNano: Nano;
  savedNano: Nano;
  requests: number;
  errors: number;
  unpricedRequests: number;
  inputTokens: number;
  cachedInputTokens: number;
  outputTokens: number;
}

const fields = [
  'costNano',
  'savedNano',
  'requests',
  'errors',
  'unpricedRequests',
  'inputTokens',
  'cachedInputTokens',
  'outputTokens',
] as const satisfies readonly (keyof Sums)[];

export function sumOf(points: readonly Sums[]): Sums {
  const total = Object.fromEntries(fields.map((field) => [field, 0])) as Record<keyof Sums, number>;
  for (const point of points) for (const field of fields) total[field] += point[field];
  assertNano(total.costNano);
  return total;
}

export interface Group extends Sums {
  group: string;
}

/** Each group's sums, the dearest first; those that cost the same by their requests. */
export function groupsOf(points: readonly Point[]): Group[] {
  const byGroup = Map.groupBy(points, (point) => point.group);
  return [...byGroup]
    .map(([group, own]) => Object.assign(sumOf(own), { group }))
    .toSorted((a, b) => b.costNano - a.costNano || b.requests - a.requests);
}

export interface Stack {
  at: Date;
  /** Cost of each group that is shown on its own, and of the rest together, in the order of `groups`. */
  costs: Nano[];
}

/** Groups that stand in the chart on their own; more colours than this tell nobody anything. */
export const SHOWN_GROUPS = 6;

/** Bars from first to last without a gap; `groups` names what is stacked, null for all others. */
export function stacksOf(
  points: readonly Point[],
  range: Range,
  every: Step,
): { stacks: Stack[]; groups: (string | null)[] } {
  const all = groupsOf(points).filter(({ costNano }) => costNano > 0);
  const shown = all.slice(0, all.length > SHOWN_GROUPS ? SHOWN_GROUPS - 1 : SHOWN_GROUPS);
  const groups: (string | null)[] = shown.map(({ group }) => group);
  if (all.length > shown.length) groups.push(null);
  const byStart = Map.groupBy(points, ({ at }) => Date.parse(at));
  const [first] = points;
  const stacks = barStarts(range, every, first && new Date(first.at).getDay()).map((at) => {
    const own = byStart.get(at.getTime()) ?? [];
    const costs = groups.map((group) =>
      own
        .filter((point) =>
          group === null ? !shown.some((each) => each.group === point.group) : point.group === group,
        )
        .reduce((sum, point) => sum + point.costNano, 0),
    );
    return { at, costs };
  });
  return { stacks, groups };
}

/** Change against before as a share of it; null where there was nothing to compare with. */
export function changeOf(now: number, before: number): number | null {
  return before === 0 ? null : (now - before) / before;
}

/** Days whose average is taken for the days to come. */
const PACE_DAYS = 7;

export interface Projection {
  soFarNano: Nano;
  /** At the end of the month, at the pace of the last days. */
  projectedNano: Nano;
}

/** `points` are days of the range that `paceRange` gives. */
export function projectMonth(points: readonly Pick<Point, 'at' | 'costNano'>[], now: Date): Projection {
  const monthStart = new Date(now.getFullYear(), now.getMonth(), 1).getTime();
  const end = monthEnd(now);
  // Today is not over: the pace is of whole days.
  const today = midnight(now).getTime();
  const paceStart = midnight(now, -PACE_DAYS).getTime();
  const within = (from: number, to: number) =>
    points
      .filter(({ at }) => Date.parse(at) >= from && Date.parse(at) < to)
      .reduce((sum, { costNano }) => sum + costNano, 0);
  const soFarNano = within(monthStart, end);
  const perDay = within(paceStart, today) / PACE_DAYS;
  const daysLeft = (end - now.getTime()) / 86_400_000;
  return { soFarNano, projectedNano: Math.round(soFarNano + perDay * daysLeft) };
}

/** As a number of milliseconds: the first instant of the month that follows. */
const monthEnd = (now: Date) => new Date(now.getFullYear(), now.getMonth() + 1, 1).getTime();

/** The last day of the month that runs. */
export const lastOfMonth = (now: Date) => new Date(now.getFullYear(), now.getMonth() + 1, 0);

/** A limit of nothing is met from the start. */
const shareAt = (usedNano: Nano, limitNano: Nano) => (limitNano === 0 ? 1 : usedNano / limitNano);

/** Days that `projectMonth` needs. */
export function paceRange(now: Date): Range {
  const monthStart = new Date(now.getFullYear(), now.getMonth(), 1);
  const paceStart = midnight(now, -PACE_DAYS);
  return { from: monthStart < paceStart ? monthStart : paceStart, to: midnight(now, 1) };
}

export interface Outlook extends Projection {
  id: string;
  name: string;
  /** With what was put on top of it. */
  limitNano: Nano;
  /** Whether the limit, and with it what counts, begins anew each month; otherwise it is for all time. */
  monthly: boolean;
  /** What counts toward the limit at the end of the month, as a share of it. */
  share: number;
  /** When it is met at this pace; null where that is not in this month, or has been. */
  reachedAt: Date | null;
}

/**
 * Keys with a limit that the rest of the month counts toward: a monthly limit, or one for all time. Dearest share
 * first. Of a key with both, the limit that is met first; the amounts are those that count toward it.
 */
export function outlooks(points: readonly Point[], keys: readonly KeyRow[], now: Date): Outlook[] {
  const byKey = Map.groupBy(points, ({ group }) => group);
  const rows = keys.flatMap((key): Outlook[] => {
    const { soFarNano: month, projectedNano } = projectMonth(byKey.get(key.id) ?? [], now);
    const toCome = projectedNano - month;
    const topUp = key.topUp?.amountNano ?? 0;
    const limits: Pick<Outlook, 'soFarNano' | 'limitNano' | 'monthly'>[] = [];
    if (key.limitNano !== null)
      limits.push({ soFarNano: key.usageNano, limitNano: key.limitNano + topUp, monthly: false });
    if (key.recurring?.every === 'month') {
      const { usedNano, amountNano } = key.recurring;
      limits.push({ soFarNano: usedNano, limitNano: amountNano + topUp, monthly: true });
    }
    const nearest = limits
      .map((limit) => Object.assign(limit, { share: shareAt(limit.soFarNano + toCome, limit.limitNano) }))
      .toSorted((a, b) => b.share - a.share)[0];
    if (!nearest) return [];
    const missing = nearest.limitNano - nearest.soFarNano;
    const left = monthEnd(now) - now.getTime();
    const reachedAt =
      missing > 0 && missing <= toCome ? new Date(now.getTime() + (missing / toCome) * left) : null;
    return [{ id: key.id, name: key.name, ...nearest, projectedNano: nearest.soFarNano + toCome, reachedAt }];
  });
  return rows.toSorted((a, b) => b.share - a.share);
}
