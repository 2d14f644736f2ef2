/** Usage rows as they are stored and as they are shown: reading only, the ledger alone writes them. */
import type { Billing, DialectId, RequestRow, UsageGroup } from '#shared/model.ts';
import { RequestFlag } from '#shared/model.ts';
import type { Parsed } from '#shared/contract.ts';
import type { Connection, Store } from './store.ts';

/** A row of `requests`; see migrations/0001-ledger.ts. */
export interface StoredRequest {
  id: number;
  key_id: string;
  at: number;
  settled_at: number;
  provider: string;
  billing: Billing;
  dialect: DialectId;
  model_asked: string;
  model: string;
  status: number;
  stream: number;
  input_tokens: number;
  cached_input_tokens: number;
  cache_write_tokens: number;
  cache_write_1h_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  web_searches: number;
  cost_nano: number | null;
  cost_own_key_nano: number;
  reported_cost_nano: number | null;
  computed_cost_nano: number | null;
  held_nano: number;
  price: string | null;
  price_source: string | null;
  flags: string;
  first_byte_ms: number | null;
  duration_ms: number;
}

export const requestColumns = [
  'id',
  'key_id',
  'at',
  'settled_at',
  'provider',
  'billing',
  'dialect',
  'model_asked',
  'model',
  'status',
  'stream',
  'input_tokens',
  'cached_input_tokens',
  'cache_write_tokens',
  'cache_write_1h_tokens',
  'output_tokens',
  'reasoning_tokens',
  'web_searches',
  'cost_nano',
  'cost_own_key_nano',
  'reported_cost_nano',
  'computed_cost_nano',
  'held_nano',
  'price',
  'price_source',
  'flags',
  'first_byte_ms',
  'duration_ms',
] as const satisfies readonly (keyof StoredRequest)[];

export function toRequestRow(row: StoredRequest): RequestRow {
  return {
    id: row.id,
    at: new Date(row.at).toISOString(),
    keyId: row.key_id,
    provider: row.provider,
    dialect: row.dialect,
    modelAsked: row.model_asked,
    model: row.model,
    status: row.status,
    stream: row.stream === 1,
    inputTokens: row.input_tokens,
    cachedInputTokens: row.cached_input_tokens,
    cacheWriteTokens: row.cache_write_tokens,
    cacheWrite1hTokens: row.cache_write_1h_tokens,
    outputTokens: row.output_tokens,
    reasoningTokens: row.reasoning_tokens,
    webSearches: row.web_searches,
    costNano: row.cost_nano,
    reportedCostNano: row.reported_cost_nano,
    computedCostNano: row.computed_cost_nano,
    priceSource: row.price_source,
    flags: RequestFlag.array().parse(row.flags.split(',').filter(Boolean)),
    firstByteMs: row.first_byte_ms,
    durationMs: row.duration_ms,
  };
}

export function readRequests(db: Connection) {
  return db.prepare<[number], StoredRequest>('SELECT * FROM requests WHERE id = ?');
}

export interface RequestLog {
  list(filter: Parsed<'requests.list'>): { rows: RequestRow[]; next: number | null };
  /** Sums of the rows that started in [from, to), by local day, key, model or provider. */
  summary(range: Parsed<'usage.summary'>): UsageGroup[];
}

export function createRequestLog({ db }: Store): RequestLog {
  return {
    list({ keyId, status, model, before, limit }) {
      const conditions: string[] = [];
      const parameters: Record<string, string | number> = { limit: limit + 1 };
      const where = (condition: string, name?: string, value?: string | number) => {
        conditions.push(condition);
        if (name !== undefined && value !== undefined) parameters[name] = value;
      };
      if (keyId !== undefined) where('key_id = @keyId', 'keyId', keyId);
      if (model !== undefined) where('(model = @model OR model_asked = @model)', 'model', model);
      if (before != null) where('id < @before', 'before', before);
      if (status === 'ok') where('status BETWEEN 200 AND 299');
      else if (status === 'error') where('status NOT BETWEEN 200 AND 299');
      else if (status !== undefined) where('status = @status', 'status', status);
      const filter = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
      const found = db
        .prepare<[typeof parameters], StoredRequest>(
          `SELECT * FROM requests ${filter} ORDER BY id DESC LIMIT @limit`,
        )
        .all(parameters);
      const rows = found.slice(0, limit).map(toRequestRow);
      return { rows, next: found.length > limit ? (rows.at(-1)?.id ?? null) : null };
    },

    summary({ from, to, groupBy }) {
      const group = {
        // The machine's own days: SQLite's localtime follows the zone's rules for each date.
        day: "strftime('%Y-%m-%d', at / 1000, 'unixepoch', 'localtime')",
        key: 'key_id',
        model: 'model',
        provider: 'provider',
      }[groupBy];
      return db
        .prepare<[number, number], UsageGroup>(
          `SELECT ${group} AS "group", count(*) AS requests, sum(input_tokens) AS inputTokens,
             sum(cached_input_tokens) AS cachedInputTokens, sum(output_tokens) AS outputTokens,
             coalesce(sum(cost_nano), 0) AS costNano, sum(coalesce(cost_nano, 0) - cost_own_key_nano) AS costCreditsNano,
             sum(cost_own_key_nano) AS costOwnKeyNano, sum(cost_nano IS NULL) AS unpricedRequests
           FROM requests WHERE at >= ? AND at < ? GROUP BY 1 ORDER BY 1`,
        )
        .all(Date.parse(from), Date.parse(to));
    },
  };
}
