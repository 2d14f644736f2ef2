/** What the tray says of the gateway, worked out from the rows the window shows too. Pure. */
import { formatPercent, nearestLimit, type LimitShare } from '#shared/limit-share.ts';
import type { Every, KeyRow, SharedLimits, Status } from '#shared/model.ts';
import { formatLimit, formatUsd } from '#shared/money.ts';

export type TrayState = 'ok' | 'near' | 'reached' | 'paused';

export interface Overview {
  state: TrayState;
  paused: boolean;
  /** What needs the person, in a few words; null when nothing does. */
  problem: string | null;
  today: string;
  month: string;
  /** The limits that will be met first, nearest first, with the page that shows each. */
  nearest: { label: string; page: string }[];
}

/** More would make a menu that is read instead of glanced at. */
const SHOWN_LIMITS = 4;

export function overview(status: Status, keys: Iterable<KeyRow>, shared: SharedLimits): Overview {
  const limits = [
    ...[...keys]
      // What a key that is switched off has used up is no news.
      .filter(({ status: state }) => state === 'active')
      .map((row) => ({ name: row.name, page: `#/keys/${encodeURIComponent(row.id)}`, row })),
    { name: 'All keys', page: '#/limits', row: shared.global },
    ...shared.providers.map((row) => ({ name: row.name, page: '#/limits', row })),
  ].flatMap(({ name, page, row }) => {
    const nearest = nearestLimit(row);
    // A limit of zero is a way to block a key, and nothing to be warned of.
    return nearest && nearest.limitNano > 0 ? [{ name, page, nearest, state: row.limitState }] : [];
  });
  const is = (state: KeyRow['limitState']) => limits.some((limit) => limit.state === state);
  const stateOf = (): TrayState => {
    // Where nothing is served at all, a limit that is reached tells nothing more.
    if (status.paused) return 'paused';
    if (status.problem !== null || is('reached')) return 'reached';
    return is('near') ? 'near' : 'ok';
  };
  return {
    state: stateOf(),
    paused: status.paused,
    problem: status.problem,
    today: `${formatUsd(status.totals.todayNano)} today`,
    month: `${formatUsd(status.totals.monthNano)} this month`,
    nearest: limits
      .toSorted((a, b) => b.nearest.share - a.nearest.share || a.name.localeCompare(b.name))
      .slice(0, SHOWN_LIMITS)
      .map(({ name, page, nearest }) => ({ label: `${name}: ${describe(nearest)}`, page })),
  };
}

export const thisPeriod = {
  hour: 'this hour',
  day: 'today',
  week: 'this week',
  month: 'this month',
} as const satisfies Record<Every, string>;

function describe({ share, limitNano, every }: LimitShare): string {
  return `${formatPercent(share)} of ${formatLimit(limitNano)}${every === null ? '' : ` ${thisPeriod[every]}`}`;
}
