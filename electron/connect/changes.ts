/** The change to one file: planned from its bytes, told from the bytes later, taken back from the record. Pure. */
import { structuredPatch } from 'diff';
import type { DiffLine } from '#shared/connect.ts';
import { applyEntries, readEntries } from './edit.ts';
import { FileError, sha256 } from './files.ts';
import {
  canonical,
  ConfigConflictError,
  ConfigSyntaxError,
  isTable,
  type Entry,
  type Path,
} from './format.ts';
import type { EntryRecord, FileRecord } from './records.ts';
import type { FileEdit } from './tools.ts';

const DIFF_CONTEXT = 3;

/** The text that the entries make of it, and what has to be known to take them back. @throws FileError */
export function planFile(edit: FileEdit, original: Buffer | null): { text: string; entries: EntryRecord[] } {
  const before = decode(edit.path, original);
  return explained(edit.path, () => {
    const stood = readEntries(
      edit.format,
      before,
      edit.entries.map((entry) => entry.path),
    );
    const entries = edit.entries.map(({ path, value }, index) => ({
      path: [...path],
      wrote: value === undefined ? null : hashOf(value),
      ...(stood[index] === undefined ? {} : { before: stood[index] }),
      depth: depthOf(edit, before, path),
    }));
    return { text: applyEntries(edit.format, before, edit.entries), entries };
  });
}

export type Standing = 'ours' | 'partly' | 'theirs';

/** How much of what was written is still there. A file that cannot be read any more has nothing of ours. */
export function standingOf(file: FileRecord, current: Buffer | null): Standing {
  if (current === null) return 'theirs';
  if (isAsWritten(file, current)) return 'ours';
  try {
    const values = readEntries(
      file.format,
      current.toString('utf8'),
      file.entries.map((entry) => entry.path),
    );
    const kept = file.entries.filter((entry, index) => isOurs(entry, values[index])).length;
    return kept === file.entries.length ? 'ours' : kept === 0 ? 'theirs' : 'partly';
  } catch {
    return 'theirs';
  }
}

/**
 * What the file is to be once ours is gone from it. Untouched since: the bytes it had, `null` = no file. Changed since:
 * each entry that still is as it was written goes back to what stood there, and everything else stays.
 * @throws FileError where the changed file cannot be read.
 */
export function withoutOurs(
  file: FileRecord,
  current: Buffer | null,
): { bytes: Buffer | null; exact: boolean } {
  const original = file.original === null ? null : Buffer.from(file.original, 'base64');
  if (current === null) return { bytes: null, exact: original === null };
  // Not written yet, or taken back by hand.
  if (original?.equals(current)) return { bytes: original, exact: true };
  if (isAsWritten(file, current)) return { bytes: original, exact: true };
  const text = decode(file.path, current);
  return explained(file.path, () => {
    const values = readEntries(
      file.format,
      text,
      file.entries.map((entry) => entry.path),
    );
    const ours = file.entries.filter((entry, index) => isOurs(entry, values[index]));
    const back = applyEntries(
      file.format,
      text,
      ours.map(({ path, before }) => ({ path, value: before })),
    );
    return { bytes: Buffer.from(withoutEmptied(file, ours, back)), exact: false };
  });
}

/** Tables that were made for our entries and now hold nothing. */
function withoutEmptied(file: FileRecord, ours: readonly EntryRecord[], text: string): string {
  let current = text;
  for (const { path, depth } of ours) {
    for (let length = path.length - 1; length > depth; length -= 1) {
      const parent = path.slice(0, length);
      const [value] = readEntries(file.format, current, [parent]);
      const empty = isTable(value)
        ? Object.keys(value).length === 0
        : Array.isArray(value) && value.length === 0;
      if (!empty) break;
      current = applyEntries(file.format, current, [{ path: parent, value: undefined }]);
    }
  }
  return current;
}

/** A file whose gateway has another address now. */
export interface Readdressed {
  bytes: Buffer | null;
  /** Whether it leads to the new address. */
  leads: boolean;
  /** The record while the file may have either address, and once it has the new one. */
  during: FileRecord;
  after: FileRecord;
}

/**
 * Puts the new address wherever one of our entries holds the old one, also in an entry that has more in it by now than
 * was written. Everything else of the file stays, and what can be taken back later stays the same.
 * @throws FileError where the file cannot be read.
 */
export function readdressed(file: FileRecord, current: Buffer | null, from: string, to: string): Readdressed {
  if (current === null) return { bytes: null, leads: false, during: file, after: settled(file) };
  const text = decode(file.path, current);
  return explained(file.path, () => {
    const paths = file.entries.map(({ path }) => path);
    const before = readEntries(file.format, text, paths);
    const leaves = before.flatMap((value, at) => addressesIn(value, paths[at] ?? [], from, to));
    const moved = applyEntries(file.format, text, leaves);
    const now = readEntries(file.format, moved, paths);
    const entries = file.entries.map((entry, at) =>
      isOurs(entry, before[at])
        ? { ...entry, wroteBefore: hashOf(before[at]), wrote: hashOf(now[at]) }
        : entry,
    );
    // A file that the person changed too is not what was written, with either address.
    const written = isAsWritten(file, current)
      ? { writtenBefore: sha256(current), written: sha256(moved) }
      : {};
    const during = { ...file, ...written, entries };
    return {
      bytes: Buffer.from(moved),
      leads: now.some((value, at) => addressesIn(value, paths[at] ?? [], to, to).length > 0),
      during,
      after: settled(during),
    };
  });
}

/** Each text in the value that is the address `from`, or begins with it, as an entry that leads to `to`. */
function addressesIn(value: unknown, path: Path, from: string, to: string): Entry[] {
  if (typeof value === 'string') {
    const holds = value === from || value.startsWith(`${from}/`);
    return holds ? [{ path, value: to + value.slice(from.length) }] : [];
  }
  return isTable(value)
    ? Object.entries(value).flatMap(([name, inner]) => addressesIn(inner, [...path, name], from, to))
    : [];
}

function settled(record: FileRecord): FileRecord {
  const { writtenBefore: _, ...file } = record;
  const entries = file.entries.map((each) => {
    const { wroteBefore: __, ...entry } = each;
    return entry;
  });
  return { ...file, entries };
}

/** Lines with three of context; secrets on both sides are masked. */
export function diffOf(
  before: Buffer | null,
  after: Buffer | string | null,
  secret: string | null,
): DiffLine[] {
  const text = (side: Buffer | string | null) => (side === null ? '' : side.toString('utf8'));
  const patch = structuredPatch('', '', text(before), text(after), '', '', { context: DIFF_CONTEXT });
  const kinds: Readonly<Record<string, DiffLine['kind']>> = { '+': 'add', '-': 'remove', ' ': 'same' };
  const lines: DiffLine[] = [];
  for (const hunk of patch.hunks) {
    if (lines.length > 0) lines.push({ kind: 'gap', text: '' });
    for (const line of hunk.lines) {
      const kind = kinds[line[0] ?? ''];
      // The fourth kind of line says that the last one has no line end.
      if (kind) lines.push({ kind, text: masked(line.slice(1).replace(/\r$/, ''), secret) });
    }
  }
  return lines;
}

/** Whatever looks like a credential: by its own form, or by the name it is assigned to. */
function masked(line: string, secret: string | null): string {
  const known = secret === null ? line : line.replaceAll(secret, MASKED_NEW);
  return known
    .replaceAll(/\b(sk-|AIza|gsk_|xai-|ghp_|github_pat_)[\w-]{8,}/g, '$1…')
    .replaceAll(
      /((?:key|token|secret|password|authorization)\w*["']?\s*[:=]\s*["']?)(?!sk-)([^\s"',}]{8,})/gi,
      '$1…',
    );
}

/** Stands in a plan where the key will stand: it is made when the plan is carried out. */
export const PLACEHOLDER = 'sk-fg-0000000000000000000000000000000000000000000';
const MASKED_NEW = 'sk-fg-…';

const hashOf = (value: unknown) => (value === undefined ? null : sha256(canonical(value)));

const isOurs = ({ wrote, wroteBefore }: EntryRecord, value: unknown) => {
  const hash = hashOf(value);
  return hash === wrote || (wroteBefore !== undefined && hash === wroteBefore);
};

const isAsWritten = ({ written, writtenBefore }: FileRecord, bytes: Buffer) =>
  [written, writtenBefore].includes(sha256(bytes));

/** How many segments of the path lead to something already. */
function depthOf(edit: FileEdit, text: string, path: Path): number {
  const prefixes = path.map((_, index) => path.slice(0, index + 1));
  const found = readEntries(edit.format, text, prefixes).findIndex((value) => value === undefined);
  return found === -1 ? path.length : found;
}

/** A text that is not UTF-8 would come back as other bytes. */
function decode(file: string, bytes: Buffer | null): string {
  if (bytes === null) return '';
  try {
    // ignoreBOM keeps the mark in the text, and with it in the file.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FileError(`${file} is not UTF-8 text. Change it by hand.`, { cause });
  }
}

function explained<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof ConfigSyntaxError) {
      throw new FileError(`${file} is ${cause.message}, so it was left alone. Correct it, then try again.`, {
        cause,
      });
    }
    if (cause instanceof ConfigConflictError)
      throw new FileError(`${file} ${cause.message}. Change it by hand.`, { cause });
    throw cause;
  }
}
