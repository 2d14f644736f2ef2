/**
 * The log: usage rows, newest first, by any filter, however long the history is. The ids of a page are found in an index
 * that fits the filter; only the rows of the page are read.
 */
import type { LogFilter, LogStretch, Parsed } from '#shared/contract.ts';
import type { RequestDetail, RequestRow } from '#shared/model.ts';
import { windowAt } from '../config/limits.ts';
import {
  billOf,
  DEAR_ROWS,
  ODD_ROWS,
  readRequests,
  toRequestRow,
  type StoredRequest,
} from '../ledger/requests.ts';
import { spans } from '../ledger/rollup-statements.ts';
import type { Store } from '../store/store.ts';

export interface RequestLog {
  list(filter: Parsed<'requests.list'>): { rows: RequestRow[]; next: number | null };
  /**
   * How many rows there are and between which ids, newest first, out of the sums: exact over all that lies in whole days,
   * nearly so at the edges of a time. null where neither sums nor a short look at the rows can tell.
   */
  outline(filter: LogFilter): LogStretch[] | null;
  get(id: number): RequestDetail | undefined;
}

/** Ids from `low` up to but not including `high`. */
interface IdRange {
  low: number;
  high: number;
}

type Parameters = Record<string, string | number>;

/** `rollUp` brings the sums up to date, which say where in the history to look. */
export function createRequestLog({ db }: Store, rollUp: () => void): RequestLog {
  const request = readRequests(db);
  const byIds = db.prepare<[string], StoredRequest>(
    'SELECT * FROM requests WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC',
  );
  const corrections = db.prepare<
    [number],
    { at: number; cost_before_nano: number | null; cost_after_nano: number; reason: string }
  >('SELECT * FROM corrections WHERE request_id = ? ORDER BY rowid');
  const newest = db.prepare<[], number | null>('SELECT max(id) FROM requests').pluck();
  const daysBetween = db.prepare<[number, number], { low: number | null; high: number | null }>(
    `SELECT min(first_id) AS low, max(last_id) + 1 AS high FROM usage_sums
     WHERE span = ${spans.day.none} AND start >= ? AND start < ?`,
  );

  /** The newest ids that fit, at most `count`, newest first. */
  function find(filter: LogFilter, before: number, count: number): number[] {
    const series = seriesOf(filter);
    if (series?.length === 0) return [];
    const { conditions, parameters } = conditionsOf(filter);
    const all = (source: string, more: string[], range: IdRange, extra: Parameters, most: number) =>
      db
        .prepare<[Parameters], number>(
          `SELECT id FROM ${source} WHERE ${[...more, 'id >= @low', 'id < @high', ...conditions].join(' AND ')}
           ORDER BY id DESC LIMIT @most`,
        )
        .pluck()
        .all({ ...parameters, ...range, ...extra, most });

    const ids: number[] = [];
    for (const range of rangesOf(filter, before)) {
      const missing = count - ids.length;
      if (missing <= 0) break;
      const few = fewOf(filter);
      if (few !== null) {
        const within = series === null ? [] : ['series IN (SELECT value FROM json_each(@series))'];
        const extra = series === null ? {} : { series: JSON.stringify(series) };
        ids.push(...all(few.source, [few.rows, ...within], range, extra, missing));
      } else if (series === null || filter.session !== undefined || filter.agent !== undefined) {
        const within = series === null ? [] : ['series IN (SELECT value FROM json_each(@series))'];
        const extra = series === null ? {} : { series: JSON.stringify(series) };
        ids.push(...all('requests NOT INDEXED', within, range, extra, missing));
      } else {
        // The newest of each combination, and of those the newest: what is older than the page is not looked at.
        let best: number[] = [];
        let { low } = range;
        for (const one of series) {
          const found = all(
            'requests INDEXED BY requests_by_series',
            ['series = @one'],
            { low, high: range.high },
            { one },
            missing,
          );
          if (found.length === 0) continue;
          best = [...best, ...found].toSorted((a, b) => b - a).slice(0, missing);
          if (best.length === missing) low = best.at(-1) ?? low;
        }
        ids.push(...best);
      }
    }
    return ids;
  }

  /** The combinations that the filter lets through; null where it lets all through. */
  function seriesOf({ keyId, model, provider, client, search }: LogFilter): number[] | null {
    const conditions: string[] = [];
    const parameters: Parameters = {};
    const where = (condition: string, name: string, value: string | null | undefined) => {
      if (value == null || value === '') return;
      conditions.push(condition);
      parameters[name] = value;
    };
    where('key_id = @keyId', 'keyId', keyId);
    where('(model = @model OR model_asked = @model)', 'model', model);
    where('provider = @provider', 'provider', provider);
    where('client = @client', 'client', client);
    const names = ['model', 'model_asked', 'provider', 'client'];
    const pattern = search && `%${search.replace(/[\\%_]/g, '\\$&')}%`;
    where(`(${names.map((name) => `${name} LIKE @search ESCAPE '\\'`).join(' OR ')})`, 'search', pattern);
    if (conditions.length === 0) return null;
    return db
      .prepare<[Parameters], number>(`SELECT id FROM usage_series WHERE ${conditions.join(' AND ')}`)
      .pluck()
      .all(parameters);
  }

  /** Where in the history the rows can be, newest first. */
  function rangesOf({ from, to, session, agent }: LogFilter, before: number): IdRange[] {
    const whole = { low: 0, high: before };
    if (from !== undefined || to !== undefined) {
      const first = from === undefined ? -Infinity : windowAt(Date.parse(from), 'day').start;
      const end = to === undefined ? Infinity : Date.parse(to);
      const { low, high } = daysBetween.get(Math.max(first, -MAX_TIME), Math.min(end, MAX_TIME)) ?? {
        low: null,
        high: null,
      };
      if (low === null || high === null) return [];
      Object.assign(whole, { low, high: Math.min(high, before) });
    }
    if (session === undefined && agent === undefined) return [whole];
    const days = db
      .prepare<[Parameters], IdRange>(
        `SELECT min(first_id) AS low, max(last_id) + 1 AS high FROM usage_agents WHERE ${[
          ...(session === undefined
            ? []
            : ['session IN (SELECT id FROM usage_sessions WHERE session = @session)']),
          ...(agent === undefined ? [] : ['agent = @agent']),
        ].join(' AND ')} GROUP BY start`,
      )
      .all({ ...(session === undefined ? {} : { session }), ...(agent === undefined ? {} : { agent }) });
    return joined(days)
      .map(({ low, high }) => ({ low: Math.max(low, whole.low), high: Math.min(high, whole.high) }))
      .filter(({ low, high }) => low < high);
  }

  /** Of those that an index has apart, counted in it. */
  function fewOutline(filter: LogFilter, { source, rows }: Few): LogStretch[] {
    const series = seriesOf(filter);
    const [range] = rangesOf(filter, Number.MAX_SAFE_INTEGER);
    const last = newest.get() ?? null;
    if (range === undefined || last === null) return [];
    // The rest of the filter is in no index; times are, nearly, in the range.
    const { from: _, to: __, ...indexed } = filter;
    const { conditions, parameters } = conditionsOf(indexed);
    if (series !== null) conditions.push('series IN (SELECT value FROM json_each(@series))');
    const low = Math.max(range.low, 0);
    return db
      .prepare<[Parameters], LogStretch>(
        `SELECT min(id) AS first, max(id) + 1 AS before, count(*) AS requests FROM ${source}
         WHERE ${[rows, 'id >= @low', 'id < @high', ...conditions].join(' AND ')}
         GROUP BY id / @step ORDER BY id DESC`,
      )
      .all({
        ...parameters,
        ...(series === null ? {} : { series: JSON.stringify(series) }),
        low,
        high: range.high,
        step: Math.max(1, Math.ceil((Math.min(range.high, last + 1) - low) / OUTLINE_PARTS)),
      });
  }

  /** Of a session or an agent: by day, and few. */
  function sessionOutline({ session, agent, keyId }: LogFilter): LogStretch[] {
    const conditions = [
      ...(session === undefined ? [] : ['s.session = @session']),
      ...(agent === undefined ? [] : ['u.agent = @agent']),
      ...(keyId === undefined ? [] : ['s.key_id = @keyId']),
    ];
    return db
      .prepare<[object], LogStretch>(
        `SELECT min(u.first_id) AS first, max(u.last_id) + 1 AS before, sum(u.requests) AS requests
         FROM usage_sessions AS s CROSS JOIN usage_agents AS u ON u.session = s.id
         WHERE ${conditions.join(' AND ')} GROUP BY u.start ORDER BY before DESC`,
      )
      .all({ session, agent, keyId });
  }

  /**
   * Of a session or an agent and more: counted where its rows are. null where that is in too much of the history, as it is
   * for an agent whose name many sessions have.
   */
  function sessionPartOutline(filter: LogFilter): LogStretch[] | null {
    const series = seriesOf(filter);
    const { conditions, parameters } = conditionsOf(filter);
    if (series !== null) conditions.push('series IN (SELECT value FROM json_each(@series))');
    const count = db.prepare<[Parameters], LogStretch>(
      `SELECT min(id) AS first, max(id) + 1 AS before, count(*) AS requests FROM requests NOT INDEXED
       WHERE ${['id >= @low', 'id < @high', ...conditions].join(' AND ')} HAVING count(*) > 0`,
    );
    const ranges = rangesOf(filter, Number.MAX_SAFE_INTEGER);
    if (ranges.reduce((sum, { low, high }) => sum + high - low, 0) > MOST_COUNTED) return null;
    const within = { ...parameters, ...(series === null ? {} : { series: JSON.stringify(series) }) };
    return ranges.flatMap((range) => count.all({ ...within, ...range }));
  }

  /** Whole months where there are any, days before and after them. */
  function sumsOutline(filter: LogFilter): LogStretch[] {
    const only = onlyName(filter);
    const series = only === null ? seriesOf(filter) : null;
    const first = filter.from === undefined ? -MAX_TIME : windowAt(Date.parse(filter.from), 'day').start;
    const end = filter.to === undefined ? MAX_TIME : Date.parse(filter.to);
    const month = {
      from: filter.from === undefined ? first : firstMonthFrom(first),
      to: filter.to === undefined ? end : windowAt(end, 'month').start,
    };
    // Of a shorter time all is read by the day.
    if (month.from >= month.to) month.from = month.to = end;
    const dimension = only?.dimension ?? (series === null ? 'none' : 'series');
    const which =
      only !== null
        ? 'AND series = (SELECT id FROM usage_names WHERE name = @name)'
        : series !== null
          ? 'AND series IN (SELECT value FROM json_each(@series))'
          : '';
    const counted =
      filter.status === undefined ? 'requests' : filter.status === 'error' ? 'errors' : 'requests - errors';
    const part = (level: 'day' | 'month', from: string, to: string) =>
      `SELECT start, first_id, last_id, ${counted} AS requests FROM usage_sums
       WHERE span = ${spans[level][dimension]} AND start >= ${from} AND start < ${to} ${which}`;
    return db
      .prepare<[object], LogStretch>(
        `SELECT min(first_id) AS first, max(last_id) + 1 AS before, sum(requests) AS requests FROM (
           ${part('month', '@monthFrom', '@monthTo')}
           UNION ALL ${part('day', '@first', '@monthFrom')}
           UNION ALL ${part('day', '@monthTo', '@end')}
         ) GROUP BY start HAVING sum(requests) > 0 ORDER BY before DESC`,
      )
      .all({
        first,
        end,
        monthFrom: month.from,
        monthTo: month.to,
        name: only?.name,
        series: series === null ? undefined : JSON.stringify(series),
      });
  }

  return {
    outline(filter) {
      rollUp();
      const { session, agent, keyId: _, ...rest } = filter;
      if (session !== undefined || agent !== undefined) {
        const isAll = Object.values(rest).every((value) => value === undefined);
        return isAll ? sessionOutline(filter) : sessionPartOutline(filter);
      }
      const few = fewOf(filter);
      // Errors are summed; flags, single statuses and costs are not.
      const summed =
        filter.flag === undefined && filter.minCostNano === undefined && filter.status === 'error';
      return few === null || summed ? sumsOutline(filter) : fewOutline(filter, few);
    },

    list({ limit, before, ...filter }) {
      rollUp();
      const ids = find(filter, before ?? Number.MAX_SAFE_INTEGER, limit + 1);
      const page = ids.slice(0, limit);
      return {
        rows: byIds.all(JSON.stringify(page)).map(toRequestRow),
        next: ids.length > limit ? (page.at(-1) ?? null) : null,
      };
    },

    get(id) {
      const row = request.get(id);
      if (!row) return undefined;
      return {
        ...toRequestRow(row),
        settledAt: new Date(row.settled_at).toISOString(),
        billing: row.billing,
        heldNano: row.held_nano,
        ...billOf(row),
        corrections: corrections.all(id).map((one) => ({
          at: new Date(one.at).toISOString(),
          beforeNano: one.cost_before_nano,
          afterNano: one.cost_after_nano,
          reason: one.reason,
        })),
      };
    },
  };
}

const MAX_TIME = 8.64e15;
/** Of the outline of what is not summed. */
const OUTLINE_PARTS = 200;
/** Rows that are looked at to count some of them: a few milliseconds. */
const MOST_COUNTED = 20_000;

/** The first instant of the first month that begins at or after `at`. */
function firstMonthFrom(at: number): number {
  const { start, end } = windowAt(at, 'month');
  return start === at ? start : end;
}

/** The one thing of which there are sums by itself, where nothing else is asked for. */
function onlyName({ keyId, provider, client, model, search }: LogFilter) {
  if (model !== undefined || (search !== undefined && search !== '')) return null;
  const all = [
    ['key', keyId],
    ['provider', provider],
    ['client', client],
  ] as const;
  const given = all.flatMap(([dimension, name]) => (name === undefined ? [] : [{ dimension, name }]));
  return given.length === 1 ? (given[0] ?? null) : null;
}

function isOdd({ flag, status }: LogFilter): boolean {
  return (
    flag !== undefined || status === 'error' || (typeof status === 'number' && (status < 200 || status > 299))
  );
}

/** Rows that an index has apart from the others, and what they are in its own words. */
interface Few {
  source: string;
  rows: string;
}

/** Where to look for what the filter lets through, if that is part of a few. */
function fewOf(filter: LogFilter): Few | null {
  if (isOdd(filter)) return { source: 'requests INDEXED BY requests_odd', rows: ODD_ROWS };
  if (filter.minCostNano === undefined) return null;
  return { source: 'requests INDEXED BY requests_dear', rows: DEAR_ROWS };
}

/** What the index that finds the candidates leaves open. */
function conditionsOf({ status, session, agent, flag, minCostNano, from, to }: LogFilter): {
  conditions: string[];
  parameters: Parameters;
} {
  const conditions: string[] = [];
  const parameters: Parameters = {};
  const where = (condition: string, name: string, value: string | number | undefined) => {
    if (value === undefined) return;
    conditions.push(condition);
    parameters[name] = value;
  };
  where('session = @session', 'session', session);
  where('agent = @agent', 'agent', agent);
  where('cost_nano >= @minCostNano', 'minCostNano', minCostNano);
  // A flag is a whole word of the list: none is part of another.
  where('instr(flags, @flag) > 0', 'flag', flag);
  where('at >= @from', 'from', from && Date.parse(from));
  where('at < @to', 'to', to && Date.parse(to));
  if (status === 'ok') conditions.push('status BETWEEN 200 AND 299');
  else if (status === 'error') conditions.push('status NOT BETWEEN 200 AND 299');
  else where('status = @status', 'status', status);
  return { conditions, parameters };
}

/** Ranges that overlap are one; newest first. */
function joined(ranges: readonly IdRange[]): IdRange[] {
  const result: IdRange[] = [];
  for (const range of ranges.toSorted((a, b) => b.high - a.high)) {
    const last = result.at(-1);
    if (last !== undefined && range.high >= last.low) last.low = Math.min(last.low, range.low);
    else result.push({ ...range });
  }
  return result;
}
