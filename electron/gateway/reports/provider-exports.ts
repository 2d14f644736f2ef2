/**
 * What providers let a person export of their usage and costs, read into one shape: sums by UTC day and model. The format
 * is told by the columns; columns that are not known are left alone. Seen in real exports:
 *
 * - OpenAI costs: start_time, start_time_iso, amount_value, amount_currency, line_item (`gpt-5-2025-08-07, cached input`)
 * - OpenAI usage: start_time, model, num_model_requests, input_tokens, input_cached_tokens, output_tokens
 * - Anthropic cost: usage_date_utc, model (`Claude Haiku 4.5`), token_type, cost_usd, cost_type
 * - Anthropic usage: usage_date_utc, model_version, usage_input_tokens_no_cache, …_cache_write_5m, …_cache_read
 * - OpenRouter activity: created_at, cost_total, byok_usage_inference, tokens_prompt, tokens_cached, model_permaslug
 *
 * The JSON answers of the same providers' APIs have the same fields in time buckets and are read by the same code.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ProviderKind } from '#shared/model.ts';
import { decimalToNano, type Nano } from '#shared/money.ts';
import { billClasses, billFormats, type BillClass, type BillFormat } from '#shared/reconciliation.ts';
import { entryOf } from '../base/entry.ts';
import { ExportError, readLines, type Line } from './export-lines.ts';

export { ExportError } from './export-lines.ts';

/** What was billed for one model on one day. */
export interface BilledGroup {
  /** YYYY-MM-DD in UTC. */
  day: string;
  /** As the export names it; null where it gives the line to no model. */
  model: string | null;
  nano: Nano | null;
  requests: number | null;
  classes: Map<BillClass, { nano: Nano | null; tokens: number | null }>;
}

export interface ProviderExport {
  format: BillFormat;
  groups: BilledGroup[];
  /** First and last day that the export covers, days without a line included. */
  from: string;
  to: string;
  notes: string[];
}

export const exportFacts: Readonly<Record<BillFormat, { name: string; kind: ProviderKind; money: boolean }>> =
  {
    'openai-costs': { name: 'OpenAI costs', kind: 'openai', money: true },
    'openai-usage': { name: 'OpenAI usage', kind: 'openai', money: false },
    'anthropic-cost': { name: 'Anthropic cost', kind: 'anthropic', money: true },
    'anthropic-usage': { name: 'Anthropic usage', kind: 'anthropic', money: false },
    'openrouter-activity': { name: 'OpenRouter activity', kind: 'openrouter', money: true },
  };

/** What a reader makes of a line; undefined parts are not in it. */
interface Item {
  model: string | null;
  nano?: Nano;
  requests?: number;
  class?: BillClass;
  tokens?: Partial<Record<BillClass, number>>;
}

/** Lines between two looks at everything else that the process does. */
const LINES_A_TURN = 500;

/** @throws ExportError */
export async function readExport(text: string): Promise<ProviderExport> {
  const source = readLines(text);
  const groups = new Map<string, BilledGroup>();
  let format: BillFormat | undefined;
  let [from, to, number] = ['9999', '0000', 0];
  for await (const { line, decimalComma } of source) {
    number += 1;
    if (number % LINES_A_TURN === 0) await nextTurn();
    format ??= formatOf(line);
    const cellAt = (column: string, value: string) => new Cell(number, column, value, decimalComma);
    const day = dayOf(line, cellAt);
    if (day < from) from = day;
    if (day > to) to = day;
    const item = readers[format](line, cellAt);
    if (item) add(groups, day, item);
  }
  if (format === undefined)
    throw new ExportError('The file has a heading and no lines. Export a period with usage.');
  return { format, groups: [...groups.values()], from, to, notes: source.notes };
}

function add(groups: Map<string, BilledGroup>, day: string, item: Item): void {
  const key = `${day}\n${item.model ?? ''}`;
  let group = groups.get(key);
  if (!group)
    groups.set(key, (group = { day, model: item.model, nano: null, requests: null, classes: new Map() }));
  if (item.nano !== undefined) group.nano = sum(group.nano, item.nano);
  if (item.requests !== undefined) group.requests = sum(group.requests, item.requests);
  const part = (name: BillClass) => {
    let found = group.classes.get(name);
    if (!found) group.classes.set(name, (found = { nano: null, tokens: null }));
    return found;
  };
  if (item.class !== undefined && item.nano !== undefined) {
    const found = part(item.class);
    found.nano = sum(found.nano, item.nano);
  }
  for (const name of billClasses) {
    const tokens = item.tokens?.[name] ?? 0;
    if (tokens === 0) continue;
    const found = part(name);
    found.tokens = sum(found.tokens, tokens);
  }
}

/** @throws ExportError beyond what a number holds exactly: no bill is, and what is no longer exact is not compared. */
function sum(before: number | null, more: number): number {
  const both = (before ?? 0) + more;
  if (!Number.isSafeInteger(both))
    throw new ExportError(
      'The lines of one day and model add up to more than any bill. Export the file again, unchanged.',
    );
  return both;
}

/** One cell of the file, for reading what stands in it and for saying where it cannot be read. */
class Cell {
  readonly line: number;
  readonly column: string;
  readonly value: string;
  readonly decimalComma: boolean;

  constructor(line: number, column: string, value: string, decimalComma: boolean) {
    this.line = line;
    this.column = column;
    this.value = value;
    this.decimalComma = decimalComma;
  }

  fault(what: string): ExportError {
    const shown = this.value.length > 40 ? `${this.value.slice(0, 40)}…` : this.value;
    return new ExportError(
      `Line ${this.line}, ${this.column}: “${shown}” is no ${what}. Export the file again, unchanged.`,
    );
  }

  nano(): Nano {
    const nano = decimalToNano(this.plainNumber());
    if (nano === null || nano > BigInt(Number.MAX_SAFE_INTEGER) || nano < -BigInt(Number.MAX_SAFE_INTEGER))
      throw this.fault('amount in dollars');
    return Number(nano);
  }

  count(): number {
    const value = Math.round(Number(this.plainNumber()));
    if (!Number.isSafeInteger(value) || value < 0) throw this.fault('count');
    return value;
  }

  /** `$1,234.50`, `1.234,50`, `0,05`, `1e-6`: a spreadsheet that touched the file may have written any of them. */
  private plainNumber(): string {
    const bare = this.value.replace(/^\((.*)\)$/, '-$1').replaceAll(/[\s$€'’_]|usd/gi, '');
    const [point, comma] = [bare.lastIndexOf('.'), bare.lastIndexOf(',')];
    if (comma === -1) return bare === '' ? '0' : bare;
    // With both, the one that stands last is the decimal sign.
    if (point > comma) return bare.replaceAll(',', '');
    if (point !== -1) return bare.replaceAll('.', '').replace(',', '.');
    const thousands = /^-?\d{1,3}(,\d{3})+$/.test(bare) && !this.decimalComma;
    return thousands ? bare.replaceAll(',', '') : bare.replace(',', '.');
  }
}

type CellAt = (column: string, value: string) => Cell;

const required: Readonly<Record<BillFormat, readonly (readonly string[])[]>> = {
  'openai-costs': [['amount_value'], ['start_time', 'start_time_iso']],
  'openai-usage': [['num_model_requests'], ['input_tokens'], ['start_time', 'start_time_iso']],
  'anthropic-cost': [['cost_usd'], ['usage_date_utc']],
  'anthropic-usage': [['usage_output_tokens'], ['usage_date_utc']],
  'openrouter-activity': [
    ['cost_total', 'usage'],
    ['model_permaslug', 'model'],
    ['created_at', 'date'],
  ],
};

function formatOf(line: Line): BillFormat {
  const has = (names: readonly string[]) => names.some((name) => name in line);
  const format = billFormats.find((name) => required[name].every(has));
  if (format !== undefined) return format;
  const names = Object.keys(line).slice(0, 12).join(', ');
  throw new ExportError(
    `This is no export that Faregate knows: it has the columns ${names}. Choose the costs or usage CSV of OpenAI, the cost or usage CSV of Anthropic, or the activity CSV of OpenRouter.`,
  );
}

const dayColumns = ['usage_date_utc', 'start_time_iso', 'start_time', 'created_at', 'date'];

/** Providers bill by days of UTC. A time without a zone is UTC in all of these exports. */
function dayOf(line: Line, cellAt: CellAt): string {
  const column = dayColumns.find((name) => (line[name] ?? '') !== '');
  if (column === undefined) throw cellAt(dayColumns.find((name) => name in line) ?? 'date', '').fault('day');
  const value = line[column] ?? '';
  const cell = cellAt(column, value);
  let time: number;
  if (/^\d{10}(\.0+)?$/.test(value)) time = Number(value) * 1000;
  else if (/^\d{13}$/.test(value)) time = Number(value);
  else if (/^\d{4}-\d{2}-\d{2}/.test(value)) {
    const zoned = /(Z|UTC|[+-]\d{2}:?\d{2})$/i.test(value.slice(10));
    time = Date.parse(
      `${value.slice(0, 10)}T${zoned ? value.slice(11).replace(/ ?UTC$/i, 'Z') : '00:00:00Z'}`,
    );
  } else throw cell.fault('day such as 2026-11-22');
  if (Number.isNaN(time)) throw cell.fault('day such as 2026-11-22');
  return new Date(time).toISOString().slice(0, 10);
}

const readers: Readonly<Record<BillFormat, (line: Line, cellAt: CellAt) => Item | null>> = {
  'openai-costs'(line, cellAt) {
    const value = line['amount_value'] ?? '';
    // A day without any cost has a line without an amount.
    if (value === '') return null;
    const currency = line['amount_currency'] ?? 'usd';
    if (currency !== '' && currency.toLowerCase() !== 'usd')
      throw cellAt('amount_currency', currency).fault('usd');
    return { nano: cellAt('amount_value', value).nano(), ...openaiLineItem(line['line_item'] ?? '') };
  },

  'openai-usage'(line, cellAt) {
    if ((line['model'] ?? '') === '' && (line['input_tokens'] ?? '') === '') return null;
    const count = (column: string) => cellAt(column, line[column] ?? '').count();
    const cached = count('input_cached_tokens');
    return {
      model: line['model'] || null,
      requests: count('num_model_requests'),
      tokens: {
        input: Math.max(0, count('input_tokens') - cached),
        cachedInput: cached,
        output: count('output_tokens'),
      },
    };
  },

  'anthropic-cost'(line, cellAt) {
    const type = line['token_type'] ?? '';
    const costType = line['cost_type'] ?? '';
    const model = line['model'] ?? '';
    return {
      // Searches and the like stand under no model, or under one that only says so.
      model: /^claude/i.test(model) ? model : null,
      nano: cellAt('cost_usd', line['cost_usd'] ?? '').nano(),
      class: /search/.test(`${type} ${costType}`)
        ? 'webSearch'
        : (entryOf(anthropicClasses, type) ?? 'other'),
    };
  },

  'anthropic-usage'(line, cellAt) {
    const count = (column: string) => cellAt(column, line[column] ?? '').count();
    return {
      model: line['model_version'] || null,
      tokens: {
        input: count('usage_input_tokens_no_cache'),
        cachedInput: count('usage_input_tokens_cache_read'),
        cacheWrite: count('usage_input_tokens_cache_write_5m'),
        cacheWrite1h: count('usage_input_tokens_cache_write_1h'),
        output: count('usage_output_tokens'),
        webSearch: count('web_search_count'),
      },
    };
  },

  'openrouter-activity'(line, cellAt) {
    const amount = (column: string) => cellAt(column, line[column] ?? '').nano();
    const count = (...columns: string[]) => {
      const column = columns.find((name) => (line[name] ?? '') !== '') ?? columns[0] ?? '';
      return cellAt(column, line[column] ?? '').count();
    };
    const cached = count('tokens_cached');
    return {
      model: line['model_permaslug'] || line['model'] || null,
      // What ran on the person's own key at the provider behind it is not in the credits, and is in the ledger.
      nano: amount('cost_total' in line ? 'cost_total' : 'usage') + amount('byok_usage_inference'),
      requests: 'generation_id' in line ? 1 : count('requests') + count('byok_requests'),
      tokens: {
        input: Math.max(0, count('tokens_prompt', 'prompt_tokens') - cached),
        cachedInput: cached,
        output: count('tokens_completion', 'completion_tokens'),
      },
    };
  },
};

/** `priority | gpt-5.6-sol, cached input, long context`, `gpt-audio-mini-2025-12-15 audio, input`, `web search tool calls`. */
function openaiLineItem(item: string): { model: string | null; class: BillClass } {
  if (/web search/i.test(item)) return { model: null, class: 'webSearch' };
  const [head = '', kind = ''] = item.replace(/^[\w ]+\| /, '').split(/,\s*/);
  const name = entryOf(openaiClasses, kind.toLowerCase());
  const model = head.split(' ')[0] ?? '';
  return model === '' || name === undefined ? { model: null, class: 'other' } : { model, class: name };
}

const openaiClasses: Readonly<Record<string, BillClass>> = {
  input: 'input',
  'cached input': 'cachedInput',
  'cache write': 'cacheWrite',
  'cache writes': 'cacheWrite',
  output: 'output',
};

const anthropicClasses: Readonly<Record<string, BillClass>> = {
  input_no_cache: 'input',
  uncached_input_tokens: 'input',
  input_cache_read: 'cachedInput',
  cache_read_input_tokens: 'cachedInput',
  input_cache_write_5m: 'cacheWrite',
  'cache_creation.ephemeral_5m_input_tokens': 'cacheWrite',
  input_cache_write_1h: 'cacheWrite1h',
  'cache_creation.ephemeral_1h_input_tokens': 'cacheWrite1h',
  output: 'output',
  output_tokens: 'output',
};
