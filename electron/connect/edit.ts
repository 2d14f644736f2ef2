/**
 * Configuration files of other programs, changed in as few bytes as the change needs. Each format reads a text as a
 * value and sets or removes one entry of it; what it did is then compared with what was meant, so that a file that a
 * library understands otherwise than we do is left alone rather than spoilt.
 */
import { dotenvFormat } from './format-dotenv.ts';
import { jsonFormat } from './format-json.ts';
import { tomlFormat } from './format-toml.ts';
import { yamlFormat } from './format-yaml.ts';
import {
  ConfigConflictError,
  ConfigSyntaxError,
  indexOfNamed,
  isTable,
  same,
  type Entry,
  type Format,
  type Path,
} from './format.ts';

const formats = {
  json: jsonFormat,
  toml: tomlFormat,
  yaml: yamlFormat,
  dotenv: dotenvFormat,
} as const satisfies Record<string, Format>;
export type FormatName = keyof typeof formats;

const BOM = '\uFEFF';

/**
 * Sets and removes all entries. Byte order mark and line ends stay what they are.
 * @throws ConfigSyntaxError, ConfigConflictError
 */
export function applyEntries(name: FormatName, text: string, entries: readonly Entry[]): string {
  return withinStack(() => applied(name, text, entries));
}

/** The libraries and what compares values call themselves: a text that is nested without end is none of ours. */
function withinStack<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof RangeError) throw new ConfigSyntaxError(null, error);
    throw error;
  }
}

function applied(name: FormatName, text: string, entries: readonly Entry[]): string {
  const format: Format = formats[name];
  const mark = text.startsWith(BOM) ? BOM : '';
  let current = text.slice(mark.length);
  const eol = /\r\n/.test(current) ? '\r\n' : '\n';
  let meant = format.read(current);
  if (!isTable(meant)) throw new ConfigConflictError('is not a table of settings');
  for (const { path, value } of entries) {
    if (same(valueAt(meant, path), value)) continue;
    meant = withValue(meant, path, value);
    current = changed(format, current, { path, value }, eol);
  }
  if (!same(withoutEmptyTables(format.read(current)), withoutEmptyTables(meant)))
    throw new ConfigConflictError('cannot be changed without changing more than these entries');
  return mark + current;
}

function changed(format: Format, text: string, { path, value }: Entry, eol: string): string {
  try {
    return value === undefined ? format.remove(text, path, eol) : format.set(text, path, value, eol);
  } catch (error) {
    if (
      error instanceof ConfigSyntaxError ||
      error instanceof ConfigConflictError ||
      error instanceof RangeError
    )
      throw error;
    // A library's own objection, as to a name that it reads otherwise than it writes it.
    throw new ConfigConflictError('has a place that cannot be changed', { cause: error });
  }
}

/** What lies at each path; undefined where nothing does. @throws ConfigSyntaxError */
export function readEntries(name: FormatName, text: string, paths: readonly Path[]): unknown[] {
  const value = withinStack(() => formats[name].read(text.startsWith(BOM) ? text.slice(BOM.length) : text));
  return paths.map((path) => valueAt(value, path));
}

/** A table that is only the way to another is there or not, depending on how the format writes it. */
function withoutEmptyTables(value: unknown): unknown {
  if (!isTable(value)) return value;
  const kept = Object.entries(value)
    .map(([key, inner]) => [key, withoutEmptyTables(inner)] as const)
    .filter(([, inner]) => !isTable(inner) || Object.keys(inner).length > 0);
  return Object.fromEntries(kept);
}

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, segment) => {
    // What every object inherits is not in the file.
    if (typeof segment === 'string')
      return isTable(value) && Object.hasOwn(value, segment) ? value[segment] : undefined;
    return Array.isArray(value) ? value[indexOfNamed(value, segment.named)] : undefined;
  }, root);
}

/** A copy with the entry set; an empty table or list that removing leaves stays, as it does in the text. */
function withValue(root: unknown, path: Path, value: unknown): unknown {
  const [segment, ...rest] = path;
  if (segment === undefined) return value;
  if (typeof segment === 'string') {
    if (root !== undefined && !isTable(root)) {
      throw new ConfigConflictError(`has something else where "${segment}" would go`);
    }
    const copy: Record<string, unknown> = { ...root };
    const inner = withValue(copy[segment], rest, value);
    if (inner === undefined) delete copy[segment];
    else copy[segment] = inner;
    return copy;
  }
  if (root !== undefined && !Array.isArray(root)) {
    throw new ConfigConflictError(`has something else where the list with "${segment.named}" would go`);
  }
  const copy: unknown[] = [...(root ?? [])];
  const index = indexOfNamed(copy, segment.named);
  const inner = withValue(index === -1 ? undefined : copy[index], rest, value);
  if (inner === undefined) return copy.toSpliced(index, index === -1 ? 0 : 1);
  if (index === -1) return [...copy, inner];
  return copy.with(index, inner);
}
