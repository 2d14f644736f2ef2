/**
 * What a table has under a name that came from outside, in a path, a body or an answer: `constructor` is no entry of any,
 * though every object has one.
 */
export function entryOf<T>(table: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return table !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
}
