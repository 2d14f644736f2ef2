/** Usage rows as they are stored and as they are shown: reading only, the ledger alone writes them. */
import { DEAR_NANO } from '#shared/defaults.ts';
import type { Billing, DialectId, RequestDetail, RequestRow } from '#shared/model.ts';
import { RequestFlag } from '#shared/model.ts';
import { noUsage, type TokenUsage } from '../dialects/dialect.ts';
import { readBill } from '../pricing/bill.ts';
import type { Connection } from '../store/store.ts';

/** A row of `requests`; see migrations/0001-ledger.ts. */
export interface StoredRequest {
  id: number;
  key_id: string;
  at: number;
  settled_at: number;
  provider: string;
  provider_id: string | null;
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
  client: string | null;
  session: string | null;
  agent: string | null;
  parent_agent: string | null;
  saved_nano: number | null;
  /** The row of usage_series; see rollup.ts. */
  series: number;
}

export const requestColumns = [
  'id',
  'key_id',
  'at',
  'settled_at',
  'provider',
  'provider_id',
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
  'client',
  'session',
  'agent',
  'parent_agent',
  'saved_nano',
  'series',
] as const satisfies readonly (keyof StoredRequest)[];

/** The counts as `cost()` takes them; what the row does not keep is none. */
export function usageOf(row: StoredRequest): TokenUsage {
  return {
    ...noUsage,
    inputTokens: row.input_tokens,
    cachedInputTokens: row.cached_input_tokens,
    cacheWriteTokens: row.cache_write_tokens,
    cacheWrite1hTokens: row.cache_write_1h_tokens,
    outputTokens: row.output_tokens,
    reasoningTokens: row.reasoning_tokens,
    webSearches: row.web_searches,
  };
}

export function toRequestRow(row: StoredRequest): RequestRow {
  return {
    id: row.id,
    at: new Date(row.at).toISOString(),
    keyId: row.key_id,
    provider: row.provider,
    dialect: row.dialect,
    modelAsked: row.model_asked,
    model: row.model,
    client: row.client,
    session: row.session,
    agent: row.agent,
    parentAgent: row.parent_agent,
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
    savedNano: row.saved_nano,
    priceSource: row.price_source,
    flags: flagsOf(row),
    firstByteMs: row.first_byte_ms,
    durationMs: row.duration_ms,
  };
}

/** The flags of a row, which are stored as one text. */
export function flagsOf({ flags }: Pick<StoredRequest, 'flags'>): RequestFlag[] {
  return flags === '' ? [] : RequestFlag.array().parse(flags.split(','));
}

/** As the index `requests_odd` has it: few rows, each with a flag or without success. */
export const ODD_ROWS = "(flags <> '' OR status < 200 OR status > 299)";

/** As the index `requests_dear` has it: what cost at least `DEAR_NANO`. */
export const DEAR_ROWS = `cost_nano >= ${DEAR_NANO}`;

export function readRequests(db: Connection) {
  return db.prepare<[number], StoredRequest>('SELECT * FROM requests WHERE id = ?');
}

/** What the row froze of its price, as a person is told about it. */
export function billOf(row: StoredRequest): Pick<RequestDetail, 'lineItems' | 'price'> {
  const bill = readBill(row.price);
  if (bill === null || bill.source === null) return { lineItems: [], price: null };
  return {
    lineItems: bill.items,
    price: {
      source: bill.source,
      date: bill.date ?? null,
      guessed: bill.guessed,
      serviceTier: bill.serviceTier ?? null,
      tierPercent: bill.percent ?? null,
      region: bill.terms?.region ?? null,
      aboveTokens: bill.above ?? null,
      doubts: bill.doubts ?? [],
      reportedDiffersNano: bill.reportedDiffersNano ?? null,
    },
  };
}
