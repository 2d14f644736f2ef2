/** The sums that are shown of requests, as SQL reads them from tables of sums and from single rows alike. */
import type { UsageGroup } from '#shared/model.ts';
import { rowSums } from '../ledger/rollup-statements.ts';

export type Sums = Omit<UsageGroup, 'group'>;

const expressions: Readonly<Record<keyof Sums, string>> = {
  requests: 'u.requests',
  errors: 'u.errors',
  estimatedRequests: 'u.estimated',
  unpricedRequests: 'u.unpriced',
  inputTokens: 'u.input_tokens',
  cachedInputTokens: 'u.cached_input_tokens',
  cacheWriteTokens: 'u.cache_write_tokens',
  outputTokens: 'u.output_tokens',
  reasoningTokens: 'u.reasoning_tokens',
  costNano: 'u.cost_nano',
  costCreditsNano: 'u.cost_nano - u.own_key_nano',
  costOwnKeyNano: 'u.own_key_nano',
  savedNano: 'u.saved_nano',
};
/** Each sum as it stands in `u`, a table of sums or single rows made alike. */
export const PLAIN = Object.entries(expressions)
  .map(([name, value]) => `${value} AS ${name}`)
  .join(', ');
/** Each of them added up over the rows of `u`. */
export const SUMS = Object.entries(expressions)
  .map(([name, value]) => `sum(${value}) AS ${name}`)
  .join(', ');

/** Single requests in the columns of the sums. */
export const ROWS = `(SELECT r.at, r.series, r.session, r.agent, ${rowSums} FROM requests AS r)`;

export const noSums: Sums = {
  requests: 0,
  errors: 0,
  estimatedRequests: 0,
  unpricedRequests: 0,
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  costNano: 0,
  costCreditsNano: 0,
  costOwnKeyNano: 0,
  savedNano: 0,
};

/**
 * A literal, to be spread first in another: `Object.assign`, rest properties and a spread behind other properties take
 * microseconds for each of ten thousand rows.
 */
export const sumsOf = (row: Sums): Sums => ({
  requests: row.requests,
  errors: row.errors,
  estimatedRequests: row.estimatedRequests,
  unpricedRequests: row.unpricedRequests,
  inputTokens: row.inputTokens,
  cachedInputTokens: row.cachedInputTokens,
  cacheWriteTokens: row.cacheWriteTokens,
  outputTokens: row.outputTokens,
  reasoningTokens: row.reasoningTokens,
  costNano: row.costNano,
  costCreditsNano: row.costCreditsNano,
  costOwnKeyNano: row.costOwnKeyNano,
  savedNano: row.savedNano,
});

/** Adds the sums of `row` to those that are there under the name. */
export function merge<Row extends Sums>(into: Map<string, Row>, name: string, row: Row): void {
  const there = into.get(name);
  if (there === undefined) into.set(name, row);
  else addTo(there, row);
}

export function addTo(sums: Sums, more: Sums): void {
  for (const name of sumNames) sums[name] += more[name];
}

const sumNames = Object.keys(expressions) as (keyof Sums)[];
