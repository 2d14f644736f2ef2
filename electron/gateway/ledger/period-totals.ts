/** Spend of today and of this month in the machine's time zone, kept up as rows are settled. */
import type { Nano } from '#shared/money.ts';
import { windowAt } from '../config/limits.ts';
import type { Statements } from './ledger-statements.ts';
import { spans } from './rollup-statements.ts';

export interface PeriodTotals {
  /** `at` is when the request began, in milliseconds. */
  add(at: number, nano: Nano): void;
  read(): { todayNano: Nano; monthNano: Nano };
}

/** The sums have to be up to date. */
export function createPeriodTotals(sql: Pick<Statements, 'spent'>, now: () => number): PeriodTotals {
  const fresh = (every: 'day' | 'month') => ({ ...windowAt(now(), every), total: 0 });
  let [day, month] = [fresh('day'), fresh('month')];
  day.total = sql.spent.get(spans.day.none, day.start) ?? 0;
  month.total = sql.spent.get(spans.month.none, month.start) ?? 0;
  const roll = () => {
    const at = now();
    if (at >= day.end) day = fresh('day');
    if (at >= month.end) month = fresh('month');
  };
  return {
    add(at, nano) {
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
