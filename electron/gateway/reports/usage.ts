/**
 * What was spent, summed by time and by who or what spent it. Local time is the machine's: days of 23 or 25 hours and
 * offsets of a quarter of an hour come out right, because every period is a pair of instants before SQL sees it.
 */
import type { Output, Parsed } from '#shared/contract.ts';
import type { Every, UsageGroup, UsagePoint } from '#shared/model.ts';
import { localeFirstWeekday, windowAt } from '../config/limits.ts';
import { UTC_DAY_MS } from '../ledger/rollup.ts';
import { spans, type Dimension } from '../ledger/rollup-statements.ts';
import type { Store } from '../store/store.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { merge, PLAIN, ROWS, SUMS, sumsOf, type Sums } from './sums.ts';

export interface Usage {
  /** Sums of the requests that started in [from, to), by local time, or by who or what they were. */
  summary(range: Parsed<'usage.summary'>): UsageGroup[];
  /** The same by time and by group at once, oldest first. */
  series(range: Parsed<'usage.series'>): UsagePoint[];
  sparklines(range: Parsed<'usage.sparklines'>): Output<'usage.sparklines'>;
  sessions: Sessions;
}

type Filter = Pick<Parsed<'usage.series'>, 'keyId' | 'provider' | 'model' | 'client'>;

/** [from, to) in milliseconds, cut to what is asked for; `at` is where the whole period starts. */
interface Period {
  at: number;
  from: number;
  to: number;
}

/** Part of a period that is read from one table. */
interface Piece {
  from: number;
  to: number;
  period: number;
}

interface SumsOf extends Sums {
  period: number;
  group: string;
}

const columns: Readonly<Record<Dimension, string>> = {
  key: 's.key_id',
  model: 's.model',
  provider: 's.provider',
  client: 's.client',
  none: "''",
};

const PIECES = `pieces (a, b, period) AS MATERIALIZED (
  SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(@pieces))`;

/** By the hour rows are read one by one, so it is for the last days, not for the history. */
const LONGEST_BY_HOUR_MS = 31 * 24 * 3_600_000 + 7_200_000;

/** A day at the end of winter time and a February, and some room. */
const SHORTEST_MS = { month: 27 * 86_400_000, day: 20 * 3_600_000 } as const;

/** The range cannot be answered; the message says what to ask instead. */
export class RangeTooLong extends Error {}

/** `rollUp` brings the sums up to date. */
export function createUsage({ db }: Store, rollUp: () => void, now: () => number): Usage {
  const extent = db.prepare<[], { first: number | null; last: number | null }>(
    'SELECT (SELECT min(at) FROM requests) AS first, (SELECT max(at) FROM requests) AS last',
  );

  /**
   * What lies before the first request or behind the last one is left out, and whole periods are read where nothing
   * else is in them: "all time" is as long as the history, and "until now" has no ragged end.
   */
  function within(from: string, to: string, every: Every = 'month'): { from: number; to: number } | null {
    const { first, last } = extent.get() ?? { first: null, last: null };
    if (first === null || last === null) return null;
    const [a, b] = [Date.parse(from), Date.parse(to)];
    if (b <= first || a > last || a >= b) return null;
    return {
      from: a <= first ? windowAt(first, every).start : a,
      to: b > last ? windowAt(last, every).end : b,
    };
  }

  const nameOf = db.prepare<[number], string>('SELECT name FROM usage_names WHERE id = ?').pluck();
  /** Rows whose group is the number of a name, with the name. Looked up anew each time: a number is given again. */
  function named(rows: readonly SumsOf[]): readonly SumsOf[] {
    const names = new Map<unknown, string>();
    for (const row of rows) {
      let name = names.get(row.group);
      if (name === undefined) names.set(row.group, (name = nameOf.get(Number(row.group)) ?? ''));
      row.group = name;
    }
    return rows;
  }

  /** The sums of each period: of whole months and days from the table, of what is left at the edges from the rows. */
  function read(periods: readonly Period[], by: Dimension, filter: Filter): SumsOf[] {
    const pieces: Record<'month' | 'day' | 'rows', Piece[]> = { month: [], day: [], rows: [] };
    // No month lies in a shorter period: looking for one in each of a thousand days takes its time.
    const longest = Math.max(...periods.map(({ from, to }) => to - from));
    const levels = (['month', 'day'] as const).filter((level) => longest >= SHORTEST_MS[level]);
    for (const [period, { from, to }] of periods.entries()) {
      cover(from, to, levels, (level, a, b) => pieces[level].push({ from: a, to: b, period }));
    }
    const found = periods.map(() => new Map<string, SumsOf>());
    const ask = (list: readonly Piece[], select: string, parameters: object) => {
      if (list.length === 0) return [];
      return db.prepare<[object], SumsOf>(`WITH ${PIECES} ${select}`).all({
        ...parameters,
        pieces: JSON.stringify(list.map(({ from, to, period }) => [from, to, period])),
      });
    };
    const add = (rows: readonly SumsOf[]) => {
      for (const row of rows) {
        const groups = found[row.period];
        if (groups) merge(groups, row.group, row);
      }
    };
    const { conditions, parameters } = conditionsOf(filter);
    const only = onlyDimension(by, filter);
    const summed = (source: string) =>
      `SELECT p.period AS period, ${columns[by]} AS "group", ${SUMS}
       FROM pieces AS p CROSS JOIN ${source}
       CROSS JOIN usage_series AS s ON s.id = u.series ${conditions} GROUP BY 1, 2`;
    for (const level of ['month', 'day'] as const) {
      const sumsOfSpan = (span: number) =>
        `usage_sums AS u ON u.span = ${span} AND u.start >= p.a AND u.start < p.b`;
      if (only === null) add(ask(pieces[level], summed(sumsOfSpan(spans[level].series)), parameters));
      else {
        // Grouping takes longer than reading: it is left out where each piece is one day or month.
        const single = pieces[level].every((piece) => piece.to - piece.from < 2 * SHORTEST_MS[level]);
        const rows = ask(
          pieces[level],
          `SELECT p.period AS period, u.series AS "group", ${single ? PLAIN : SUMS}
           FROM pieces AS p CROSS JOIN ${sumsOfSpan(spans[level][only.dimension])}
           ${only.name === undefined ? '' : 'AND u.series = (SELECT id FROM usage_names WHERE name = @name)'}
           ${single ? '' : 'GROUP BY 1, 2'}`,
          only.name === undefined ? {} : { name: only.name },
        );
        add(by === 'none' ? rows.map((row) => Object.assign(row, { group: '' })) : named(rows));
      }
    }
    add(ask(pieces.rows, summed(`${ROWS} AS u ON u.at >= p.a AND u.at < p.b`), parameters));
    return found.flatMap((groups) => [...groups.values()].toSorted((x, y) => (x.group < y.group ? -1 : 1)));
  }

  function byTime(
    range: { from: string; to: string },
    every: Every,
    by: Dimension,
    filter: Filter,
  ): { at: string; row: SumsOf }[] {
    rollUp();
    const span = within(range.from, range.to, every === 'hour' ? 'hour' : 'month');
    if (span === null) return [];
    if (every === 'hour' && span.to - span.from > LONGEST_BY_HOUR_MS)
      throw new RangeTooLong('By the hour at most 31 days can be shown. Choose a shorter time, or days.');
    const periods = periodsOf(span.from, span.to, every);
    const starts = periods.map(({ at }) => new Date(at).toISOString());
    return read(periods, by, filter).map((row) => ({ at: starts[row.period] ?? '', row }));
  }

  /** By session or agent: whole days in UTC from the table, the edges from the rows. */
  function bySession(from: number, to: number, by: 'session' | 'agent', filter: Filter): UsageGroup[] {
    const pieces: Record<'utcDay' | 'rows', Piece[]> = { utcDay: [], rows: [] };
    cover(from, to, ['utcDay'], (level, a, b) => pieces[level].push({ from: a, to: b, period: 0 }));
    const found = new Map<string, UsageGroup>();
    const ask = (list: readonly Piece[], select: string) => {
      if (list.length === 0) return;
      const rows = db.prepare<[object], UsageGroup>(`WITH ${PIECES} ${select}`).all({
        ...conditionsOf(filter).parameters,
        pieces: JSON.stringify(list.map((one) => [one.from, one.to, 0])),
      });
      for (const row of rows) merge(found, row.group, row);
    };
    const onlyKey = filter.provider === undefined && filter.model === undefined;
    if (onlyKey) {
      ask(
        pieces.utcDay,
        `SELECT ${by === 'session' ? 's.session' : 'u.agent'} AS "group", ${SUMS}
         FROM pieces AS p CROSS JOIN usage_agents AS u ON u.start >= p.a AND u.start < p.b
         CROSS JOIN usage_sessions AS s ON s.id = u.session
         ${conditionsOf(filter).conditions} GROUP BY 1`,
      );
    } else pieces.rows.push(...pieces.utcDay);
    ask(
      pieces.rows,
      `SELECT coalesce(u.${by}, '') AS "group", ${SUMS}
       FROM pieces AS p CROSS JOIN ${ROWS} AS u ON u.at >= p.a AND u.at < p.b
       CROSS JOIN usage_series AS s ON s.id = u.series
       WHERE u.session IS NOT NULL ${conditionsOf(filter).conditions.replace('WHERE', 'AND')} GROUP BY 1`,
    );
    return [...found.values()].toSorted((x, y) => (x.group < y.group ? -1 : 1));
  }

  return {
    summary({ from, to, groupBy, ...filter }) {
      if (groupBy === 'hour' || groupBy === 'day' || groupBy === 'week' || groupBy === 'month') {
        return byTime({ from, to }, groupBy, 'none', filter).map(({ at, row }) =>
          groupOf(row, periodName(Date.parse(at), groupBy)),
        );
      }
      rollUp();
      const span = within(from, to);
      if (span === null) return [];
      if (groupBy === 'session' || groupBy === 'agent') return bySession(span.from, span.to, groupBy, filter);
      return read([{ at: span.from, ...span }], groupBy, filter).map((row) => groupOf(row, row.group));
    },

    series: ({ from, to, every, by, ...filter }) =>
      byTime({ from, to }, every, by, filter).map(({ at, row }) => pointOf(row, at)),

    sparklines({ days }) {
      const today = new Date(now());
      const starts = Array.from({ length: days + 1 }, (_, index) =>
        new Date(today.getFullYear(), today.getMonth(), today.getDate() - days + 1 + index).getTime(),
      );
      const periods = starts
        .slice(0, -1)
        .map((from, index) => ({ at: from, from, to: starts[index + 1] ?? from }));
      rollUp();
      const lines = new Map<string, number[]>();
      for (const { period, group, costNano } of read(periods, 'key', {})) {
        if (costNano === 0) continue;
        const line = lines.get(group) ?? Array.from({ length: days }, () => 0);
        line[period] = costNano;
        lines.set(group, line);
      }
      return [...lines].map(([keyId, costNano]) => ({ keyId, costNano }));
    },

    sessions: createSessions(db, rollUp),
  };
}

const groupOf = (row: Sums, group: string): UsageGroup => ({ ...sumsOf(row), group });
const pointOf = (row: SumsOf, at: string): UsagePoint => ({ ...sumsOf(row), at, group: row.group });

type Level = 'month' | 'day' | 'utcDay';

/**
 * Cuts [from, to) into whole windows of the first level, what is left at both ends into those of the next, and the rest
 * into `rows`.
 */
function cover<L extends Level>(
  from: number,
  to: number,
  [level, ...finer]: readonly L[],
  take: (level: L | 'rows', from: number, to: number) => void,
): void {
  if (from >= to) return;
  if (level === undefined) return take('rows', from, to);
  const { start, end } = windowOf(from, level);
  const first = start === from ? from : end;
  const last = windowOf(to, level).start;
  if (first >= last) return cover(from, to, finer, take);
  cover(from, first, finer, take);
  take(level, first, last);
  cover(last, to, finer, take);
}

function windowOf(at: number, level: Level): { start: number; end: number } {
  if (level !== 'utcDay') return windowAt(at, level);
  const start = at - (at % UTC_DAY_MS);
  return { start, end: start + UTC_DAY_MS };
}

/** The dimension whose own sums answer the question, where it asks for one thing only; null where it asks for more. */
function onlyDimension(by: Dimension, filter: Filter): { dimension: Dimension; name?: string } | null {
  const given = (
    [
      ['key', filter.keyId],
      ['provider', filter.provider],
      ['model', filter.model],
      ['client', filter.client],
    ] as const
  ).filter(([, value]) => value !== undefined);
  const [first, ...others] = given;
  if (first === undefined) return { dimension: by };
  const [dimension, name = ''] = first;
  return others.length === 0 && (by === 'none' || by === dimension) ? { dimension, name } : null;
}

/** On `s`, a row of `usage_series` or of `usage_sessions`, which both have the columns that are asked for. */
function conditionsOf(filter: Filter): { conditions: string; parameters: Record<string, string> } {
  const names = { keyId: 'key_id', provider: 'provider', model: 'model', client: 'client' } as const;
  const parameters: Record<string, string> = {};
  const conditions: string[] = [];
  for (const name of ['keyId', 'provider', 'model', 'client'] as const) {
    const value = filter[name];
    if (value === undefined) continue;
    conditions.push(`s.${names[name]} = @${name}`);
    parameters[name] = value;
  }
  return { conditions: conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '', parameters };
}

function periodsOf(from: number, to: number, every: Every): Period[] {
  const firstWeekday = localeFirstWeekday();
  const periods: Period[] = [];
  for (let at = from; at < to;) {
    const { start, end } = windowAt(at, every, firstWeekday);
    periods.push({ at: start, from: at, to: Math.min(end, to) });
    at = end;
  }
  return periods;
}

/** As the contract names a period: with its offset where the clock alone could mean two hours. */
function periodName(at: number, every: Every): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, '0');
  const month = `${date.getFullYear()}-${two(date.getMonth() + 1)}`;
  if (every === 'month') return month;
  const day = `${month}-${two(date.getDate())}`;
  if (every !== 'hour') return day;
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? '-' : '+';
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}${sign}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
}
