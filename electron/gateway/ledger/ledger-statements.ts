/** The ledger's statements, prepared once, and the rows they read and write. */
import type { Billing, DialectId, RecurringLimit } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';
import type { Connection, Store } from '../store/store.ts';
import { readRequests, requestColumns, type StoredRequest } from './requests.ts';

export interface KeyRecord {
  id: string;
  last_used_at: number | null;
  usage_credits_nano: number;
  usage_own_key_nano: number;
  requests: number;
  unpriced_requests: number;
  input_tokens: number;
  output_tokens: number;
  limit_nano: number | null;
  recurring_nano: number | null;
  recurring_every: RecurringLimit['every'] | null;
  window_start: number | null;
  window_used_nano: number;
  top_up_nano: number | null;
  top_up_until: number | null;
  session_limit_nano: number | null;
}

/** A row of `limit_scopes`; see migrations/0004-limit-scopes.ts. */
export interface ScopeRecord {
  id: string;
  usage_nano: number;
  limit_nano: number | null;
  recurring_nano: number | null;
  recurring_every: RecurringLimit['every'] | null;
  window_start: number | null;
  window_used_nano: number;
}

export interface HoldRecord {
  id: number;
  key_id: string;
  at: number;
  amount_nano: number;
  provider: string;
  provider_id: string | null;
  billing: Billing;
  dialect: DialectId;
  model: string;
  stream: number;
  price: string | null;
  client: string | null;
  session: string | null;
  agent: string | null;
  parent_agent: string | null;
}

const holdColumns = [
  'id',
  'key_id',
  'at',
  'amount_nano',
  'provider',
  'provider_id',
  'billing',
  'dialect',
  'model',
  'stream',
  'price',
  'client',
  'session',
  'agent',
  'parent_agent',
] as const satisfies readonly (keyof HoldRecord)[];

function inserting<Row>(db: Connection, table: string, columns: readonly (keyof Row & string)[]) {
  const places = columns.map(() => '?').join(', ');
  const insert = db.prepare<Row[keyof Row][]>(
    `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places})`,
  );
  const values: Row[keyof Row][] = [];
  return {
    run(row: Row) {
      // Not by `entries`, which makes an array for each column of each row.
      for (let index = 0; index < columns.length; index += 1) {
        const name = columns[index];
        if (name !== undefined) values[index] = row[name];
      }
      return insert.run(...values);
    },
  };
}

const ACCOUNT_COLUMNS = `id, last_used_at, usage_credits_nano, usage_own_key_nano, requests, unpriced_requests,
  input_tokens, output_tokens, limit_nano, recurring_nano, recurring_every, window_start, window_used_nano, top_up_nano, top_up_until,
  session_limit_nano`;

const SPENT_BETWEEN =
  'SELECT coalesce(sum(cost_nano), 0) FROM requests WHERE settled_at >= ? AND settled_at < ?';

export type Statements = ReturnType<typeof statements>;

export function statements({ db }: Store) {
  return {
    accounts: db.prepare<[], KeyRecord>(`SELECT ${ACCOUNT_COLUMNS} FROM keys WHERE deleted_at IS NULL`),
    account: db.prepare<[string], KeyRecord>(`SELECT ${ACCOUNT_COLUMNS} FROM keys WHERE id = ?`),
    holds: db.prepare<[], HoldRecord>('SELECT * FROM holds ORDER BY id'),
    lastId: db.prepare(
      'SELECT max(coalesce((SELECT max(id) FROM requests), 0), coalesce((SELECT max(id) FROM holds), 0))',
    ),
    request: readRequests(db),
    // What every request runs is bound by position: names are looked up one by one, and cost as much as the row does.
    insertHold: inserting<HoldRecord>(db, 'holds', holdColumns),
    deleteHold: db.prepare<[number]>('DELETE FROM holds WHERE id = ?'),
    insertRequest: inserting<StoredRequest>(db, 'requests', requestColumns),
    /** What requests add, what the window comes to, and the key's id. */
    addToKey: db.prepare<
      [
        credits: Nano,
        own: Nano,
        requests: number,
        unpriced: number,
        input: number,
        output: number,
        at: number,
        windowStart: number | null,
        windowUsed: Nano,
        id: string,
      ]
    >(
      `UPDATE keys SET usage_credits_nano = usage_credits_nano + ?, usage_own_key_nano = usage_own_key_nano + ?,
         requests = requests + ?, unpriced_requests = unpriced_requests + ?, input_tokens = input_tokens + ?,
         output_tokens = output_tokens + ?, last_used_at = max(coalesce(last_used_at, 0), ?),
         window_start = ?, window_used_nano = ? WHERE id = ?`,
    ),
    adjustKey: db.prepare(
      `UPDATE keys SET usage_credits_nano = usage_credits_nano + @credits, usage_own_key_nano = usage_own_key_nano + @own,
         unpriced_requests = unpriced_requests + @unpriced, window_used_nano = window_used_nano + @window WHERE id = @id`,
    ),
    setLimits: db.prepare(
      `UPDATE keys SET limit_nano = @limit, recurring_nano = @recurring, recurring_every = @every,
         window_start = @windowStart, window_used_nano = @windowUsed, top_up_nano = @topUp, top_up_until = @topUpUntil
       WHERE id = @id`,
    ),
    setSessionLimit: db.prepare('UPDATE keys SET session_limit_nano = ? WHERE id = ?'),
    setTopUp: db.prepare('UPDATE keys SET top_up_nano = @topUp, top_up_until = @topUpUntil WHERE id = @id'),
    scopes: db.prepare<[], ScopeRecord>('SELECT * FROM limit_scopes'),
    keyTotals: db.prepare<[], { usage: number; requests: number }>(
      `SELECT coalesce(sum(usage_credits_nano + usage_own_key_nano), 0) AS usage, coalesce(sum(requests), 0) AS requests
       FROM keys`,
    ),
    setScopeUsage: db.prepare<[id: string, usage: Nano, windowStart: number | null, windowUsed: Nano]>(
      `INSERT INTO limit_scopes (id, usage_nano, window_start, window_used_nano)
       VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
         usage_nano = excluded.usage_nano, window_start = excluded.window_start, window_used_nano = excluded.window_used_nano`,
    ),
    adjustScope: db.prepare(
      `INSERT INTO limit_scopes (id, usage_nano) VALUES (@id, @usage) ON CONFLICT (id) DO UPDATE SET
         usage_nano = usage_nano + @usage, window_used_nano = window_used_nano + @window`,
    ),
    setScopeLimits: db.prepare(
      `INSERT INTO limit_scopes (id, limit_nano, recurring_nano, recurring_every, window_start, window_used_nano)
       VALUES (@id, @limit, @recurring, @every, @windowStart, @windowUsed) ON CONFLICT (id) DO UPDATE SET
         limit_nano = excluded.limit_nano, recurring_nano = excluded.recurring_nano, recurring_every = excluded.recurring_every,
         window_start = excluded.window_start, window_used_nano = excluded.window_used_nano`,
    ),
    correctRequest: db.prepare(
      `UPDATE requests SET cost_nano = @cost, cost_own_key_nano = @own, computed_cost_nano = @computed, price = @price,
         price_source = @source, flags = @flags WHERE id = @id`,
    ),
    insertCorrection: db.prepare(
      'INSERT INTO corrections (request_id, at, cost_before_nano, cost_after_nano, reason) VALUES (?, ?, ?, ?, ?)',
    ),
    setWindow: {
      key: db.prepare<[start: number, used: Nano, id: string]>(
        'UPDATE keys SET window_start = ?, window_used_nano = ? WHERE id = ?',
      ),
      shared: db.prepare<[start: number, used: Nano, id: string]>(
        'UPDATE limit_scopes SET window_start = ?, window_used_nano = ? WHERE id = ?',
      ),
    },
    /** Settled in [from, to), by one key, of one provider, or by all. */
    spentBetween: {
      key: db.prepare(`${SPENT_BETWEEN} AND key_id = ?`).pluck(),
      provider: db.prepare(`${SPENT_BETWEEN} AND provider_id = ?`).pluck(),
      global: db.prepare(SPENT_BETWEEN).pluck(),
    },
    /**
     * What a session has cost: its sums, and the rows and changes of rows that are not in them yet (rollup.ts), which
     * are few. Each part is found by an index.
     */
    sessionSpent: db
      .prepare<{ keyId: string; session: string }, number>(
        `SELECT
           (SELECT coalesce(sum(cost_nano), 0) FROM usage_agents WHERE session =
             (SELECT id FROM usage_sessions WHERE session = @session AND key_id = @keyId))
           + (SELECT coalesce(sum(r.cost_nano), 0) FROM requests AS r
             WHERE r.id > (SELECT up_to FROM usage_rolled) AND r.key_id = @keyId AND r.session = @session)
           + (SELECT coalesce(sum(r.cost_nano), 0) FROM usage_open AS o CROSS JOIN requests AS r ON r.id = o.id
             WHERE r.key_id = @keyId AND r.session = @session)
           + (SELECT coalesce(sum(c.cost_nano), 0) FROM usage_changes AS c CROSS JOIN requests AS r ON r.id = c.request_id
             WHERE r.key_id = @keyId AND r.session = @session)`,
      )
      .pluck(),
    /** By requests that began in a local day or month. */
    spent: db
      .prepare<[span: number, start: number], number>(
        'SELECT coalesce(sum(cost_nano), 0) FROM usage_sums WHERE span = ? AND start = ?',
      )
      .pluck(),
  };
}
