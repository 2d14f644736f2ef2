/** The log as a file, for the window and the command line alike: one row after the other, nothing is held back. */
import { csvLine } from './csv.ts';
import type { RequestRow } from './model.ts';
import { formatPlainUsd } from './money.ts';

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

export type ExportFormat = 'csv' | 'json';

/** What comes first, what a row becomes, and what comes last. */
export const exportFormats: Readonly<
  Record<
    ExportFormat,
    { head: string; line(row: RequestRow, keyName: string, isFirst: boolean): string; tail: string }
  >
> = {
  csv: {
    head: csvLine(columns.map(([name]) => name)),
    line: (row, keyName) => csvLine(columns.map(([, value]) => value(row, keyName))),
    tail: '',
  },
  json: {
    head: '[',
    line: (row, keyName, isFirst) => `${isFirst ? '' : ','}\n${JSON.stringify({ ...row, keyName })}`,
    tail: '\n]\n',
  },
};
