/** The ledger's statements, prepared once, and the rows they read and write. */
import type { Billing, DialectId, RecurringLimit } from '#shared/model.ts';
import { readRequests, requestColumns, type StoredRequest } from './requests.ts';
import type { Store } from './store.ts';

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
}

export interface HoldRecord {
  id: number;
  key_id: string;
  at: number;
  amount_nano: number;
  provider: string;
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

const ACCOUNT_COLUMNS = `id, last_used_at, usage_credits_nano, usage_own_key_nano, requests, unpriced_requests,
  input_tokens, output_tokens, limit_nano, recurring_nano, recurring_every, window_start, window_used_nano`;

export function statements({ db }: Store) {
  return {
    accounts: db.prepare<[], KeyRecord>(`SELECT ${ACCOUNT_COLUMNS} FROM keys WHERE deleted_at IS NULL`),
    account: db.prepare<[string], KeyRecord>(`SELECT ${ACCOUNT_COLUMNS} FROM keys WHERE id = ?`),
    holds: db.prepare<[], HoldRecord>('SELECT * FROM holds ORDER BY id'),
    lastId: db.prepare(
      'SELECT max(coalesce((SELECT max(id) FROM requests), 0), coalesce((SELECT max(id) FROM holds), 0))',
    ),
    request: readRequests(db),
    insertHold: db.prepare<[HoldRecord]>(
      `INSERT INTO holds (id, key_id, at, amount_nano, provider, billing, dialect, model, stream, price,
         client, session, agent, parent_agent)
       VALUES (@id, @key_id, @at, @amount_nano, @provider, @billing, @dialect, @model, @stream, @price,
         @client, @session, @agent, @parent_agent)`,
    ),
    deleteHold: db.prepare<[number]>('DELETE FROM holds WHERE id = ?'),
    insertRequest: db.prepare<[StoredRequest]>(
      `INSERT INTO requests (${requestColumns.join(', ')}) VALUES (${requestColumns.map((name) => `@${name}`).join(', ')})`,
    ),
    addToKey: db.prepare(
      `UPDATE keys SET usage_credits_nano = usage_credits_nano + @credits, usage_own_key_nano = usage_own_key_nano + @own,
         requests = requests + 1, unpriced_requests = unpriced_requests + @unpriced, input_tokens = input_tokens + @input,
         output_tokens = output_tokens + @output, last_used_at = max(coalesce(last_used_at, 0), @at),
         window_start = @windowStart, window_used_nano = @windowUsed WHERE id = @id`,
    ),
    adjustKey: db.prepare(
      `UPDATE keys SET usage_credits_nano = usage_credits_nano + @credits, usage_own_key_nano = usage_own_key_nano + @own,
         unpriced_requests = unpriced_requests + @unpriced, window_used_nano = window_used_nano + @window WHERE id = @id`,
    ),
    setLimits: db.prepare(
      `UPDATE keys SET limit_nano = @limit, recurring_nano = @recurring, recurring_every = @every,
         window_start = @windowStart, window_used_nano = @windowUsed WHERE id = @id`,
    ),
    correctRequest: db.prepare(
      `UPDATE requests SET cost_nano = @cost, cost_own_key_nano = @own, computed_cost_nano = @computed, price = @price,
         price_source = @source, flags = @flags WHERE id = @id`,
    ),
    insertCorrection: db.prepare(
      'INSERT INTO corrections (request_id, at, cost_before_nano, cost_after_nano, reason) VALUES (?, ?, ?, ?, ?)',
    ),
    spentSince: db.prepare('SELECT coalesce(sum(cost_nano), 0) FROM requests WHERE at >= ?'),
  };
}
