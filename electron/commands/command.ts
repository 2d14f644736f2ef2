/** What a command of the command line is, and what all of them share: reading arguments, amounts, output, failing. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { messageOf } from '#shared/caught.ts';
import { formatUsd, parseAmount, type Nano } from '#shared/money.ts';
import { UsageError } from '../options.ts';

export { UsageError } from '../options.ts';

export interface Context {
  env: NodeJS.ProcessEnv;
  home: string;
  version: string;
  /** The folder of the built program. */
  programDir: string;
  /** How this program is started again, for units of the service manager: the executable and its first arguments. */
  self: readonly string[];
  print(text: string): void;
  complain(text: string): void;
}

export interface Command {
  /** One line in the list of commands. */
  summary: string;
  /** All of `faregate NAME --help`. */
  help: string;
  /** The exit code: 0 done, 1 failed, 2 not understood. */
  run(args: readonly string[], context: Context): Promise<number>;
}

/** The command was understood and cannot be done; the message says what to do. Exit code 1. */
export class CommandError extends Error {}

/** As node:util does, but that what cannot be understood is a `UsageError`. */
export function readArguments<const Options extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: Options,
  limits: { min?: number; max?: number } = {},
) {
  const { min = 0, max = 0 } = limits;
  const parsed = parse(args, options);
  if (parsed.positionals.length > max)
    throw new UsageError(`Unexpected argument '${parsed.positionals[max] ?? ''}'.`);
  if (parsed.positionals.length < min) throw new UsageError('An argument is missing.');
  return parsed;
}

function parse<const Options extends ParseArgsOptionsConfig>(args: readonly string[], options: Options) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true });
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error });
  }
}

/** Every command that talks to a gateway knows these. */
export const commonOptions = {
  'data-dir': { type: 'string' },
  json: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig;

export const commonHelp = `  --data-dir DIR   the data folder of the gateway to talk to (default: this user's)
  --json           print JSON, with amounts in whole nano-dollars
  --help           show this text`;

/** `10`, `$10.00`, `0.005`; `none` is no limit. */
export function readLimit(option: string, text: string): Nano | null {
  if (/^none$/i.test(text.trim())) return null;
  const amount = parseAmount(text);
  if (!amount.ok)
    throw new UsageError(`${option}: ${amount.message.replace(', or leave it empty', ", or 'none'")}`);
  if (amount.nano === null)
    throw new UsageError(`${option}: enter an amount in dollars such as 10.00, or 'none'.`);
  return amount.nano;
}

/** Text in columns; a column whose heading starts with `>` is aligned to the right. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const right = headings.map((heading) => heading.startsWith('>'));
  const lines = [headings.map((heading) => heading.replace(/^>/, '').toUpperCase()), ...rows];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return right[column] ? cell.padStart(width) : cell.padEnd(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export const count = (value: number) => value.toLocaleString('en-US');
/** `1 request`, `1,302 requests`. */
export const requests = (value: number) => `${count(value)} ${value === 1 ? 'request' : 'requests'}`;
export const money = (nano: Nano | null) => (nano === null ? 'unknown' : formatUsd(nano));

/** A time for a person, in the machine's own zone: `2026-11-22 18:40`. */
export function moment(iso: string | null): string {
  if (iso === null) return 'never';
  const at = new Date(iso);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
