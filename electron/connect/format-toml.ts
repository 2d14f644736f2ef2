/**
 * TOML. The library reads, and replaces values in place; what is added is written as plain text in the two places where
 * that is always right: keys of the root in front of everything, tables at the end. (The library would add a table as an
 * inline one with a comma behind its last entry, which is TOML 1.1 and not understood by all readers.)
 */
import { parse, patch } from '@decimalturn/toml-patch';
import { ConfigConflictError, ConfigSyntaxError, isTable, type Format, type Path } from './format.ts';

export const tomlFormat: Format = {
  read(text) {
    try {
      return parse(text);
    } catch (error) {
      const line = error instanceof Error && 'line' in error ? Number(error.line) : null;
      throw new ConfigSyntaxError(line, error);
    }
  },

  set(text, path, value, eol) {
    const keys = plain(path);
    const [first = ''] = keys;
    const table = tomlFormat.read(text);
    if (has(table, keys)) return patched(text, keys, value);
    if (keys.length === 1 && !isTable(value)) return `${key(first)} = ${literal(value)}${eol}${text}`;
    if (!isTable(value) || isInline(text, keys)) return patched(text, keys, value);
    const lines = Object.entries(value).map(([name, inner]) => `${key(name)} = ${literal(inner)}`);
    const block = [`[${keys.map(key).join('.')}]`, ...lines, ''].join(eol);
    const gap = text === '' ? '' : text.endsWith('\n') ? eol : eol + eol;
    return `${text}${gap}${block}`;
  },

  remove(text, path) {
    const keys = plain(path);
    const value = keys.reduce<unknown>(
      (at, name) => (isTable(at) ? at[name] : undefined),
      tomlFormat.read(text),
    );
    const removed = keys.length === 1 ? withoutLine(text, keys) : withoutTable(text, keys, value);
    return removed ?? patched(text, keys, undefined);
  },
};

function plain(path: Path): string[] {
  return path.map((segment) => {
    if (typeof segment === 'string') return segment;
    throw new ConfigConflictError('has no named list here');
  });
}

function has(table: unknown, keys: readonly string[]): boolean {
  return keys.reduce<unknown>((at, name) => (isTable(at) ? at[name] : undefined), table) !== undefined;
}

/** `parent = { … }`: a table of it cannot be written elsewhere. */
function isInline(text: string, keys: readonly string[]): boolean {
  return new RegExp(`^[ \\t]*${escapeRegExp(keys[0] ?? '')}[ \\t]*=`, 'm').test(text);
}

function patched(text: string, keys: readonly string[], value: unknown): string {
  const root: unknown = parse(text);
  let table = root;
  for (const name of keys.slice(0, -1)) {
    if (!isTable(table)) throw new ConfigConflictError(`has something else where "${name}" would go`);
    table = table[name] ??= {};
  }
  const last = keys.at(-1) ?? '';
  if (!isTable(table)) throw new ConfigConflictError(`has something else where "${last}" would go`);
  if (value === undefined) delete table[last];
  else table[last] = value;
  return patch(text, root);
}

/** `key = value` on a line of its own at the root. */
function withoutLine(text: string, [name = '']: readonly string[]): string | null {
  const root = /^[ \t]*\[/m.exec(text)?.index ?? text.length;
  const line = new RegExp(`^[ \\t]*${escapeRegExp(name)}[ \\t]*=[^\\r\\n]*(?:\\r?\\n|$)`, 'm').exec(
    text.slice(0, root),
  );
  return line && text.slice(0, line.index) + text.slice(line.index + line[0].length);
}

/** A table with a heading: its heading and its lines, and not the comments or blank lines of others around it. */
function withoutTable(text: string, keys: readonly string[], value: unknown): string | null {
  const heading = new RegExp(
    `(?:(?<=\\n)\\r?\\n)?^[ \\t]*\\[[ \\t]*${keys.map((name) => `"?${escapeRegExp(name)}"?`).join('[ \\t]*\\.[ \\t]*')}[ \\t]*\\][ \\t]*(?:\\r?\\n|$)`,
    'm',
  ).exec(text);
  if (!heading || !isTable(value)) return null;
  let end = heading.index + heading[0].length;
  const left = new Set(Object.keys(value));
  const kept: string[] = [];
  while (left.size > 0) {
    const line = /^[^\n]*(?:\n|$)/.exec(text.slice(end))?.[0] ?? '';
    if (line === '' || line.trimStart().startsWith('[')) return null;
    const [, name] = /^[ \t]*"?([\w-]+)"?[ \t]*=/.exec(line) ?? [];
    if (name !== undefined && left.delete(name)) end += line.length;
    else {
      kept.push(line);
      end += line.length;
    }
  }
  return text.slice(0, heading.index) + kept.join('') + text.slice(end);
}

const escapeRegExp = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
const key = (name: string) => (/^[\w-]+$/.test(name) ? name : literal(name));

/** A basic string takes the escapes of JSON, all but one: DEL has to be written out (TOML 1.0, strings). */
function literal(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value).replaceAll('\u007f', String.raw`\u007f`);
  if (typeof value === 'boolean' || Number.isSafeInteger(value)) return String(value);
  throw new ConfigConflictError('takes texts, switches and whole numbers only here');
}
