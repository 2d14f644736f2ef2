/**
 * What was spent, summed by time and by who or what spent it. Local time is the machine's: days of 23 or 25 hours and
 * offsets of a quarter of an hour come out right, because every period is a pair of instants before SQL sees it.
 */
import type { Every, SessionUsage, UsageGroup, UsagePoint } from '#shared/model.ts';
import type { Output, Parsed } from '#shared/contract.ts';
import { localeFirstWeekday, windowAt } from './limits.ts';
import type { Store } from './store.ts';

export interface Usage {
  /** Sums of the requests that started in [from, to), by local time, or by who or what they were. */
  summary(range: Parsed<'usage.summary'>): UsageGroup[];
  /** The same by time and by group at once, oldest first. */
  series(range: Parsed<'usage.series'>): UsagePoint[];
  sparklines(range: Parsed<'usage.sparklines'>): Output<'usage.sparklines'>;
  sessions(filter: Parsed<'usage.sessions'>): Output<'usage.sessions'>;
}

type Sums = Omit<UsageGroup, 'group'>;
type Filter = Pick<Parsed<'usage.series'>, 'keyId' | 'provider' | 'model' | 'client'>;
type Dimension = 'key' | 'model' | 'provider' | 'client' | 'session' | 'agent' | 'none';

/** [from, to) in milliseconds, cut to what is asked for; `at` is where the whole period starts. */
interface Period {
  at: number;
  from: number;
  to: number;
}

const columns: Readonly<Record<Dimension, string>> = {
  key: 'r.key_id',
  model: 'r.model',
  provider: 'r.provider',
  client: "coalesce(r.client, '')",
  session: "coalesce(r.session, '')",
  agent: "coalesce(r.agent, '')",
  none: "''",
};

const SUMS = `count(*) AS requests, sum(r.status NOT BETWEEN 200 AND 299) AS errors,
  sum(instr(r.flags, 'estimated') > 0) AS estimatedRequests, sum(r.cost_nano IS NULL) AS unpricedRequests,
  sum(r.input_tokens) AS inputTokens, sum(r.cached_input_tokens) AS cachedInputTokens,
  sum(r.cache_write_tokens) AS cacheWriteTokens, sum(r.output_tokens) AS outputTokens,
  sum(r.reasoning_tokens) AS reasoningTokens, coalesce(sum(r.cost_nano), 0) AS costNano,
  sum(coalesce(r.cost_nano, 0) - r.cost_own_key_nano) AS costCreditsNano, sum(r.cost_own_key_nano) AS costOwnKeyNano,
  coalesce(sum(r.saved_nano), 0) AS savedNano`;

export function createUsage({ db }: Store, now: () => number): Usage {
  const extent = db.prepare<[], { first: number | null; last: number | null }>(
    'SELECT (SELECT min(at) FROM requests) AS first, (SELECT max(at) FROM requests) AS last',
  );

  /** Nothing lies before the first request or behind the last one: "all time" is no longer than the history. */
  function within(from: string, to: string): { from: number; to: number } | null {
    const { first, last } = extent.get() ?? { first: null, last: null };
    if (first === null || last === null) return null;
    const range = { from: Math.max(Date.parse(from), first), to: Math.min(Date.parse(to), last + 1) };
    return range.from < range.to ? range : null;
  }

  function read(
    periods: readonly Period[],
    by: Dimension,
    filter: Filter,
  ): (Sums & { period: number; group: string })[] {
    const { conditions, parameters } = conditionsOf(filter);
    return db
      .prepare<[object], Sums & { period: number; group: string }>(
        `SELECT p.key AS period, ${columns[by]} AS "group", ${SUMS}
         FROM json_each(@periods) AS p
         CROSS JOIN requests AS r ON r.at >= p.value ->> 0 AND r.at < p.value ->> 1 ${conditions}
         GROUP BY 1, 2 ORDER BY 1, 2`,
      )
      .all({ ...parameters, periods: JSON.stringify(periods.map(({ from, to }) => [from, to])) });
  }

  function byTime(
    range: { from: string; to: string },
    every: Every,
    by: Dimension,
    filter: Filter,
  ): (Sums & { at: number; group: string })[] {
    const span = within(range.from, range.to);
    if (span === null) return [];
    const periods = periodsOf(span.from, span.to, every);
    const rows: (Sums & { at: number; group: string })[] = [];
    for (const { period, ...rest } of read(periods, by, filter))
      rows.push({ at: periods[period]?.at ?? 0, ...rest });
    return rows;
  }

  return {
    summary({ from, to, groupBy, ...filter }) {
      const groups: UsageGroup[] = [];
      if (groupBy === 'hour' || groupBy === 'day' || groupBy === 'week' || groupBy === 'month') {
        for (const { at, ...rest } of byTime({ from, to }, groupBy, 'none', filter))
          groups.push({ ...rest, group: periodName(at, groupBy) });
        return groups;
      }
      const span = within(from, to);
      if (span === null) return groups;
      for (const { period: _, ...rest } of read([{ at: span.from, ...span }], groupBy, filter))
        groups.push(rest);
      return groups;
    },

    series({ from, to, every, by, ...filter }) {
      const points: UsagePoint[] = [];
      for (const { at, ...rest } of byTime({ from, to }, every, by, filter))
        points.push({ at: new Date(at).toISOString(), ...rest });
      return points;
    },

    sparklines({ days }) {
      const today = new Date(now());
      const starts = Array.from({ length: days + 1 }, (_, index) =>
        new Date(today.getFullYear(), today.getMonth(), today.getDate() - days + 1 + index).getTime(),
      );
      const periods = starts
        .slice(0, -1)
        .map((from, index) => ({ at: from, from, to: starts[index + 1] ?? from }));
      const lines = new Map<string, number[]>();
      for (const { period, group, costNano } of read(periods, 'key', {})) {
        if (costNano === 0) continue;
        const line = lines.get(group) ?? Array.from({ length: days }, () => 0);
        line[period] = costNano;
        lines.set(group, line);
      }
      return [...lines].map(([keyId, costNano]) => ({ keyId, costNano }));
    },

    sessions({ from, to, keyId, client, session, before, limit }) {
      const { first, last } = extent.get() ?? { first: null, last: null };
      if (first === null || last === null) return { sessions: [], next: null };
      const { conditions, parameters } = conditionsOf({ keyId, client, session });
      const rows = db
        .prepare<
          [object],
          Sums & {
            id: number;
            session: string;
            client: string | null;
            key_id: string;
            agent: string | null;
            parent_agent: string | null;
            first_at: number;
            last_at: number;
          }
        >(
          `SELECT min(r.id) AS id, r.session, r.client, r.key_id, r.agent, max(r.parent_agent) AS parent_agent,
             min(r.at) AS first_at, max(r.at) AS last_at, ${SUMS}
           FROM requests AS r WHERE r.session IS NOT NULL ${conditions} GROUP BY r.key_id, r.session, r.agent`,
        )
        .all(parameters);
      const found = new Map<string, SessionUsage>();
      for (const {
        id,
        key_id,
        agent,
        parent_agent,
        first_at,
        last_at,
        session: name,
        client: program,
        ...sums
      } of rows) {
        const key = `${key_id}\n${name}`;
        const [firstAt, lastAt] = [new Date(first_at).toISOString(), new Date(last_at).toISOString()];
        const one = found.get(key);
        const agents = agent === null ? [] : [{ agent, parentAgent: parent_agent, ...sums }];
        found.set(
          key,
          one === undefined
            ? { id, session: name, client: program, keyId: key_id, firstAt, lastAt, agents, ...sums }
            : {
                ...one,
                ...added(one, sums),
                id: Math.min(one.id, id),
                client: one.client ?? program,
                firstAt: one.firstAt < firstAt ? one.firstAt : firstAt,
                lastAt: one.lastAt > lastAt ? one.lastAt : lastAt,
                agents: [...one.agents, ...agents],
              },
        );
      }
      const cursor = (one: SessionUsage) => `${one.lastAt}/${one.id}`;
      const all = [...found.values()]
        .filter(
          ({ firstAt, lastAt }) =>
            (from === undefined || Date.parse(lastAt) >= Date.parse(from)) &&
            (to === undefined || Date.parse(firstAt) < Date.parse(to)),
        )
        .toSorted((a, b) => (cursor(a) < cursor(b) ? 1 : -1))
        .filter((one) => before == null || cursor(one) < before);
      const page = all.slice(0, limit);
      const end = page.at(-1);
      for (const one of page) one.agents.sort((a, b) => b.costNano - a.costNano);
      return { sessions: page, next: all.length > limit && end ? cursor(end) : null };
    },
  };
}

function conditionsOf(filter: Filter & { session?: string | undefined }): {
  conditions: string;
  parameters: Record<string, string>;
} {
  const names = {
    keyId: 'key_id',
    provider: 'provider',
    model: 'model',
    client: 'client',
    session: 'session',
  } as const;
  const parameters: Record<string, string> = {};
  let conditions = '';
  for (const name of ['keyId', 'provider', 'model', 'client', 'session'] as const) {
    const value = filter[name];
    if (value === undefined) continue;
    conditions += ` AND r.${names[name]} = @${name}`;
    parameters[name] = value;
  }
  return { conditions, parameters };
}

function added(a: Sums, b: Sums): Sums {
  return {
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    estimatedRequests: a.estimatedRequests + b.estimatedRequests,
    unpricedRequests: a.unpricedRequests + b.unpricedRequests,
    inputTokens: a.inputTokens + b.inputTokens,
    cachedInputTokens: a.cachedInputTokens + b.cachedInputTokens,
    cacheWriteTokens: a.cacheWriteTokens + b.cacheWriteTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    reasoningTokens: a.reasoningTokens + b.reasoningTokens,
    costNano: a.costNano + b.costNano,
    costCreditsNano: a.costCreditsNano + b.costCreditsNano,
    costOwnKeyNano: a.costOwnKeyNano + b.costOwnKeyNano,
    savedNano: a.savedNano + b.savedNano,
  };
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
