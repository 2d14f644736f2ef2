/** The rollup's statements, prepared once, and the columns in which requests are summed. */
import type { Connection } from '../store/store.ts';

/** The sums of `usage_sums` and `usage_agents`, in the order of their columns. */
export const sumColumns = [
  'requests',
  'errors',
  'estimated',
  'unpriced',
  'input_tokens',
  'cached_input_tokens',
  'cache_write_tokens',
  'output_tokens',
  'reasoning_tokens',
  'cost_nano',
  'own_key_nano',
  'saved_nano',
] as const;

/** The spans of `usage_sums`: of a whole combination, and of one thing about it. */
export const spans = {
  day: { series: 1, key: 2, model: 3, provider: 4, client: 5, none: 6 },
  month: { series: 11, key: 12, model: 13, provider: 14, client: 15, none: 16 },
} as const;

/** What sums are kept for by itself. */
export const dimensions = ['key', 'model', 'provider', 'client', 'none'] as const;
export type Dimension = (typeof dimensions)[number];

export type SumsOf = Record<(typeof sumColumns)[number], number>;

/** In the order of `sumColumns`. */
export const columnsOf = (sums: SumsOf): number[] => sumColumns.map((column) => sums[column]);

/** What a row adds to the sums, or a change of one. */
export type Row = SumsOf & {
  id: number;
  at: number;
  series: number;
  key_id: string;
  client: string | null;
  session: string | null;
  agent: string | null;
  parent_agent: string | null;
};

const WHO = 'r.id, r.at, r.series, r.key_id, r.client, r.session, r.agent, r.parent_agent';
/** A row of `requests AS r` in the columns of the sums. */
export const rowSums = `1 AS requests, r.status NOT BETWEEN 200 AND 299 AS errors,
  instr(r.flags, 'estimated') > 0 AS estimated, r.cost_nano IS NULL AS unpriced, r.input_tokens, r.cached_input_tokens,
  r.cache_write_tokens, r.output_tokens, r.reasoning_tokens, coalesce(r.cost_nano, 0) AS cost_nano,
  r.cost_own_key_nano AS own_key_nano, coalesce(r.saved_nano, 0) AS saved_nano`;
const ROW = `${WHO}, ${rowSums}`;
const CHANGE = `${WHO}, 0 AS requests, 0 AS errors, c.estimated, c.unpriced, 0 AS input_tokens, 0 AS cached_input_tokens,
  0 AS cache_write_tokens, 0 AS output_tokens, 0 AS reasoning_tokens, c.cost_nano, c.own_key_nano, c.saved_nano`;

export function rollupStatements(db: Connection) {
  const columns = [...sumColumns, 'first_id', 'last_id'].join(', ');
  const places = [...sumColumns, 'first_id', 'last_id'].map(() => '?').join(', ');
  const adding = `${sumColumns.map((name) => `${name} = ${name} + excluded.${name}`).join(', ')},
    first_id = min(first_id, excluded.first_id), last_id = max(last_id, excluded.last_id)`;
  return {
    rolled: db.prepare<[], { up_to: number; zone: string }>('SELECT up_to, zone FROM usage_rolled'),
    newest: db.prepare<[], { id: number | null }>('SELECT max(id) AS id FROM requests'),
    ended: db.prepare<[], { id: number }>(
      'SELECT o.id FROM usage_open AS o CROSS JOIN requests AS r ON r.id = o.id',
    ),
    anyChange: db.prepare('SELECT 1 FROM usage_changes LIMIT 1'),
    rows: db.prepare<[number, number], Row>(
      `SELECT ${ROW} FROM requests AS r WHERE r.id > ? AND r.id <= ?
       UNION ALL SELECT ${ROW} FROM usage_open AS o CROSS JOIN requests AS r ON r.id = o.id`,
    ),
    changes: db.prepare<[], Row>(
      `SELECT ${CHANGE} FROM usage_changes AS c CROSS JOIN requests AS r ON r.id = c.request_id`,
    ),
    clearChanges: db.prepare('DELETE FROM usage_changes'),
    mark: db.prepare('UPDATE usage_rolled SET up_to = ?'),
    setZone: db.prepare('UPDATE usage_rolled SET zone = ?'),
    open: db.prepare('INSERT OR IGNORE INTO usage_open VALUES (?)'),
    close: db.prepare('DELETE FROM usage_open WHERE id = ?'),
    findSeries: db
      .prepare<string[], number>(
        `SELECT id FROM usage_series
         WHERE key_id = ? AND provider = ? AND billing = ? AND model_asked = ? AND model = ? AND client = ?`,
      )
      .pluck(),
    addSeries: db.prepare<string[]>(
      'INSERT INTO usage_series (key_id, provider, billing, model_asked, model, client) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    series: db.prepare<[number], { key_id: string; model: string; provider: string; client: string }>(
      'SELECT key_id, model, provider, client FROM usage_series WHERE id = ?',
    ),
    findName: db.prepare<[string], number>('SELECT id FROM usage_names WHERE name = ?').pluck(),
    addName: db.prepare<[string]>('INSERT INTO usage_names (name) VALUES (?)'),
    addSums: db.prepare<number[]>(
      `INSERT INTO usage_sums (span, start, series, ${columns}) VALUES (?, ?, ?, ${places})
       ON CONFLICT (span, start, series) DO UPDATE SET ${adding}`,
    ),
    addSession: db
      .prepare<(string | number)[], number>(
        `INSERT INTO usage_sessions (key_id, session, client, first_at, last_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (session, key_id) DO UPDATE SET first_at = min(first_at, excluded.first_at),
           last_at = max(last_at, excluded.last_at)
         RETURNING id`,
      )
      .pluck(),
    addAgent: db.prepare<(string | number)[]>(
      `INSERT INTO usage_agents (session, agent, start, parent, ${columns}) VALUES (?, ?, ?, ?, ${places})
       ON CONFLICT (session, agent, start) DO UPDATE SET ${adding}`,
    ),
    dropSums: db.prepare('DELETE FROM usage_sums'),
    /** Right after everything was rolled up: what is still running has no row. */
    rolledRows: db.prepare<[], Row>(`SELECT ${ROW} FROM requests AS r`),
    dead: db.prepare<[], { id: number }>(
      'SELECT o.id FROM usage_open AS o WHERE NOT EXISTS (SELECT 1 FROM requests AS r WHERE r.id = o.id)',
    ),
  };
}
