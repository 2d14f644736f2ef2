/** What the formats of configuration files share: where an entry stands, how values are compared, what can be wrong. */
/** A key of a table, or the item of a list that has this name. */
export type Segment = string | { named: string };
export type Path = readonly Segment[];

export interface Entry {
  path: Path;
  /** undefined = is to be absent. */
  value: unknown;
}

/** The text cannot be read; the line counts from 1, where it is known. */
export class ConfigSyntaxError extends Error {
  readonly line: number | null;
  constructor(line: number | null, cause?: unknown) {
    super(`not valid${line === null ? '' : ` at line ${line}`}`, { cause });
    this.line = line;
  }
}

/** The text can be read and has something else in the place, or cannot be changed without changing more. */
export class ConfigConflictError extends Error {}

export interface Format {
  /** The whole text as a value; an empty text is an empty table. @throws ConfigSyntaxError */
  read(text: string): unknown;
  set(text: string, path: Path, value: unknown, eol: string): string;
  remove(text: string, path: Path, eol: string): string;
}

/** Compares as data: neither the order of keys nor the classes of a parser count. */
export function same(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

/** One text for equal values. */
export function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, inner: unknown) =>
      isTable(inner)
        ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
        : inner,
    ) ?? 'undefined'
  );
}

export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Where in the list the item of this name stands; -1 where it does not. */
export function indexOfNamed(list: readonly unknown[], name: string): number {
  return list.findIndex((item) => isTable(item) && item['name'] === name);
}
