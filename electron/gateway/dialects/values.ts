/** Reading values whose shape nobody has promised: what is not there or of another kind reads as missing. */
export type JsonRecord = Record<string, unknown>;

const emptyRecord: JsonRecord = Object.freeze({});

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value where it is an object, else an empty one, so that a missing level reads as missing fields. */
export function record(value: unknown): JsonRecord {
  return isRecord(value) ? value : emptyRecord;
}

export function records(value: unknown): JsonRecord[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

/** Every object in a value, at any depth; without recursion, for the depth is the client's to choose. */
export function* objectsIn(value: unknown): Generator<JsonRecord> {
  const left = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== 'object' || next === null) continue;
    if (isRecord(next)) yield next;
    for (const inner of Object.values(next)) if (typeof inner === 'object') left.push(inner);
  }
}

/** More than any answer can have, and small enough that sums of such counts stay whole numbers. */
const MAX_COUNT = 1e12;

/** A count of tokens; undefined where the provider gave none, which is not the same as 0. */
export function count(value: unknown): number | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return undefined;
  return Math.min(Math.round(value), MAX_COUNT);
}

/**
 * A count as it is written by servers that report it, or read by those that are asked: as a string, too (JSON mapping of
 * protocol buffers, lax mode of pydantic), or with a fraction. undefined where there is none; a negative one is none.
 */
export function reported(value: unknown): number | undefined {
  if (typeof value !== 'string') return count(value);
  return /\d/.test(value) ? count(Number(value.replaceAll('_', ''))) : undefined;
}

export function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** What the longest name of a model is taken to be; a text beyond it is none, and is not kept. */
export const MAX_MODEL_NAME = 200;

/** The name of the model that answered, which goes into the ledger: a provider does not get to write what it likes there. */
export function modelName(value: unknown): string | null {
  const name = text(value);
  return name === null || name.length > MAX_MODEL_NAME ? null : name;
}

/** One event's JSON object; null where it is none. */
export function parseEvent(data: string): JsonRecord | null {
  try {
    const value: unknown = JSON.parse(data);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** The larger of the bounds that are set, so that the one the provider goes by is covered. */
export function largest(...values: unknown[]): number | null {
  const bounds = values.map(reported).filter((value) => value !== undefined);
  return bounds.length === 0 ? null : Math.max(...bounds);
}

/** The same where 0 is no bound: the protocol does not take it, and servers written in Go take it for none given. */
export function largestAboveZero(...values: unknown[]): number | null {
  return largest(...values) || null;
}

/** Whether a switch is on: servers with lax types take other values than `true` for it. */
export function isAsked(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}

/** Whether a bound that the request sets is as low as `bound` already. Unlike 0, see above, where that is none. */
export function isWithin(value: unknown, bound: number): boolean {
  const given = reported(value);
  return given !== undefined && given > 0 && given <= bound;
}

/** The larger of the numbers that are set; 1 where there is none. */
export function positive(...values: unknown[]): number {
  return Math.max(1, largest(...values) ?? 1);
}

/** Characters in all texts of an answer: generous, for the rare whole answer that reports no usage. */
export function textLength(value: unknown, depth = 0): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null || depth > 32) return 0;
  return Object.values(value).reduce<number>((sum, inner) => sum + textLength(inner, depth + 1), 0);
}
