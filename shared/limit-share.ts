/** How far a key is toward the limit it will meet first: the same percent in the window and in the tray. */
import type { Every, KeyRow } from './model.ts';
import type { Nano } from './money.ts';

export interface LimitShare {
  /** 1 = used up; above 1 where more was billed than was allowed. */
  share: number;
  usedNano: Nano;
  /** The top-up included. */
  limitNano: Nano;
  /** null for the all-time limit. */
  every: Every | null;
}

/** null without a limit. For showing only, never for deciding. */
export function nearestLimit(
  row: Pick<KeyRow, 'usageNano' | 'limitNano' | 'recurring'> & Partial<Pick<KeyRow, 'topUp'>>,
): LimitShare | null {
  const topUp = row.topUp?.amountNano ?? 0;
  const allTime = row.limitNano === null ? null : shareOf(row.usageNano, row.limitNano + topUp, null);
  const { recurring } = row;
  const window = recurring && shareOf(recurring.usedNano, recurring.amountNano + topUp, recurring.every);
  if (!allTime || !window) return allTime ?? window;
  return window.share > allTime.share ? window : allTime;
}

/** A limit of zero, with nothing on top of it, is used up from the start. */
function shareOf(usedNano: Nano, limitNano: Nano, every: Every | null): LimitShare {
  return { share: limitNano === 0 ? 1 : usedNano / limitNano, usedNano, limitNano, every };
}

/** Rounded down, so that 100 % is shown only where it is reached. */
export function formatPercent(share: number): string {
  if (share > 0 && share < 0.01) return '<1%';
  return `${Math.floor(share * 100).toLocaleString('en-US')}%`;
}
