/**
 * The lines of a provider's export, one after the other: of a CSV as it was saved, or after a spreadsheet; of the JSON
 * answers of the providers' APIs with the columns that their CSV has.
 */
import { Readable } from 'node:stream';
import { parse } from 'csv-parse';
import { messageOf } from '#shared/caught.ts';

/** The file cannot be read; the message says what to do. */
export class ExportError extends Error {}

/** One line of an export: what its columns say, by lower-case name. */
export type Line = Readonly<Record<string, string>>;

export interface ExportLines extends AsyncIterable<{ line: Line; decimalComma: boolean }> {
  /** What a person should know of the file as a whole; complete once all lines were read. */
  notes: string[];
}

/** CSV or JSON, whichever it is. @throws ExportError, also while the lines are read */
export function readLines(text: string): ExportLines {
  const body = text.replace(/^\uFEFF/, '').trim();
  if (body === '') throw new ExportError('The file is empty.');
  return /^[[{]/.test(body) ? readJson(body) : readCsv(body);
}

function readCsv(text: string): ExportLines {
  const delimiter = delimiterOf(text);
  return {
    notes: [],
    async *[Symbol.asyncIterator]() {
      const records = Readable.from(pieces(text)).pipe(
        parse({
          bom: true,
          delimiter,
          columns: (names: string[]) =>
            names.map((name) => name.trim().toLowerCase().replaceAll(/\s+/g, '_')),
          relax_column_count: true,
          relax_quotes: true,
          skip_empty_lines: true,
          trim: true,
        }),
      );
      try {
        for await (const line of records) yield { line: line as Line, decimalComma: delimiter === ';' };
      } catch (error) {
        if (error instanceof ExportError) throw error;
        throw new ExportError(`The file cannot be read as CSV: ${messageOf(error)}`, { cause: error });
      }
    },
  };
}

/** In pieces, so that the parser gives way to others between them. */
function* pieces(text: string): Generator<string> {
  for (let at = 0; at < text.length; at += 65_536) yield text.slice(at, at + 65_536);
}

/** The sign that parts most columns of the heading; a spreadsheet of a language with decimal commas writes semicolons. */
function delimiterOf(text: string): string {
  const heading = /^.*$/m.exec(text)?.[0].replaceAll(/"[^"]*"/g, '') ?? '';
  const [best = ','] = [',', ';', '\t'].toSorted((a, b) => heading.split(b).length - heading.split(a).length);
  return best;
}

/** The buckets of a providers' API: each result becomes a line with the columns that the CSV would have. */
function readJson(text: string): ExportLines {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ExportError('The file begins like JSON and is not. Save the answer of the API unchanged.', {
      cause: error,
    });
  }
  const notes: string[] = [];
  return {
    notes,
    async *[Symbol.asyncIterator]() {
      for (const page of Array.isArray(value) ? value : [value]) {
        if (isObject(page) && page['has_more'] === true) {
          notes.push('The file holds one page of several; days of the other pages are missing.');
        }
        const entries = isObject(page) && Array.isArray(page['data']) ? page['data'] : [page];
        for (const entry of entries) for (const line of linesOf(entry)) yield { line, decimalComma: false };
      }
    },
  };
}

function linesOf(entry: unknown): Line[] {
  if (!isObject(entry))
    throw new ExportError('The JSON is no list of days. Save the answer of the API unchanged.');
  if (!Array.isArray(entry['results'])) return [flat(entry)];
  const { results, ...bucket } = entry;
  const day = flat(bucket);
  return results.map((result: unknown) => {
    const line = flat(isObject(result) ? result : {}, '', { ...day });
    if ('starting_at' in line) asAnthropicCsv(line);
    return line;
  });
}

/** Anthropic's API has cents as a decimal, and names for its columns that its CSV has not. */
function asAnthropicCsv(line: Record<string, string>): void {
  const copy = (to: string, from: string) => {
    line[to] = line[from] ?? '';
  };
  copy('usage_date_utc', 'starting_at');
  if ('amount' in line) {
    line['cost_usd'] = fromCents(line['amount'] ?? '');
    return;
  }
  copy('model_version', 'model');
  copy('usage_input_tokens_no_cache', 'uncached_input_tokens');
  copy('usage_input_tokens_cache_read', 'cache_read_input_tokens');
  copy('usage_input_tokens_cache_write_5m', 'cache_creation_ephemeral_5m_input_tokens');
  copy('usage_input_tokens_cache_write_1h', 'cache_creation_ephemeral_1h_input_tokens');
  copy('usage_output_tokens', 'output_tokens');
  copy('web_search_count', 'server_tool_use_web_search_requests');
}

/** Moves the point by two places, in the text: a float would round. */
function fromCents(text: string): string {
  return /e/i.test(text) ? String(Number(text) / 100) : `${text}e-2`;
}

/** `{amount: {value: 1}}` as `{amount_value: '1'}`, which is how the exports name it. */
function flat(
  value: Readonly<Record<string, unknown>>,
  prefix = '',
  line: Record<string, string> = {},
): Record<string, string> {
  for (const [name, part] of Object.entries(value)) {
    if (isObject(part)) flat(part, `${prefix}${name}_`, line);
    else line[`${prefix}${name}`] = typeof part === 'string' || typeof part === 'number' ? String(part) : '';
  }
  return line;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
