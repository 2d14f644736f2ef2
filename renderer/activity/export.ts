/** The log as a file, a page at a time: neither the gateway nor the window ever holds all of it. */
import type { Answer, Output } from '#shared/contract.ts';
import type { RequestRow } from '#shared/model.ts';
import { formatPlainUsd } from '#shared/money.ts';
import { call } from '../actions.ts';
import { app } from '../store.ts';
import { csvLine } from '../ui/csv.ts';
import type { FileSink } from '../ui/file.ts';
import { questionOf, type RequestFilter } from './filter.ts';

export type ExportFormat = 'csv' | 'json';

const PAGE = 1_000;

/** Money as decimal dollars: every spreadsheet reads them. */
const dollars = (nano: number | null) => (nano === null ? '' : formatPlainUsd(nano));

const columns: readonly [
  name: string,
  value: (row: RequestRow, keyName: string) => string | number | boolean,
][] = [
  ['id', (row) => row.id],
  ['time', (row) => row.at],
  ['key', (_, keyName) => keyName],
  ['key_id', (row) => row.keyId],
  ['client', (row) => row.client ?? ''],
  ['session', (row) => row.session ?? ''],
  ['agent', (row) => row.agent ?? ''],
  ['provider', (row) => row.provider],
  ['model', (row) => row.model],
  ['model_asked', (row) => row.modelAsked],
  ['status', (row) => row.status],
  ['stream', (row) => row.stream],
  ['input_tokens', (row) => row.inputTokens],
  ['cached_input_tokens', (row) => row.cachedInputTokens],
  ['cache_write_tokens', (row) => row.cacheWriteTokens],
  ['output_tokens', (row) => row.outputTokens],
  ['reasoning_tokens', (row) => row.reasoningTokens],
  ['cost_usd', (row) => dollars(row.costNano)],
  ['reported_cost_usd', (row) => dollars(row.reportedCostNano)],
  ['computed_cost_usd', (row) => dollars(row.computedCostNano)],
  ['price_source', (row) => row.priceSource ?? ''],
  ['flags', (row) => row.flags.join(' ')],
  ['first_byte_ms', (row) => row.firstByteMs ?? ''],
  ['duration_ms', (row) => row.durationMs],
];

/**
 * Writes what the filter lets through, newest first, and returns how many rows. Throws the gateway's sentence where it
 * fails on the way, and the signal's reason where it was cancelled; the sink is for the caller to close or throw away.
 */
export async function exportRequests(
  filter: RequestFilter,
  format: ExportFormat,
  sink: FileSink,
  onProgress: (rows: number) => void,
  signal: AbortSignal,
): Promise<number> {
  const question = questionOf(filter);
  let before: number | null = null;
  let rows = 0;
  await sink.write(format === 'csv' ? csvLine(columns.map(([name]) => name)) : '[');
  do {
    signal.throwIfAborted();
    const answer: Answer<Output<'requests.list'>> = await call('requests.list', {
      ...question,
      before,
      limit: PAGE,
    });
    if (!answer.ok) throw new Error(answer.error.message);
    if (answer.value.rows.length > 0) {
      const text = answer.value.rows.map((row, at) => lineOf(row, format, rows + at === 0)).join('');
      await sink.write(text);
      rows += answer.value.rows.length;
      onProgress(rows);
    }
    before = answer.value.next;
  } while (before !== null);
  if (format === 'json') await sink.write('\n]\n');
  return rows;
}

function lineOf(row: RequestRow, format: ExportFormat, isFirst: boolean): string {
  const keyName = app.getState().keys[row.keyId]?.name ?? '';
  if (format === 'json') return `${isFirst ? '' : ','}\n${JSON.stringify({ ...row, keyName })}`;
  return csvLine(columns.map(([, value]) => value(row, keyName)));
}
