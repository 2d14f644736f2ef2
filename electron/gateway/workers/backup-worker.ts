/**
 * Copies the ledger, or only looks whether it is whole, in a thread of its own: both read every page, and requests go on
 * meanwhile. The copy is what one moment's ledger was, since SQLite lets a reader keep its snapshot beside writers.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { codeOf, messageOf } from '#shared/caught.ts';

export interface BackupTask {
  /** The database. */
  source: string;
  /** Where the copy goes; null = only look whether the source is whole. */
  target: string | null;
}

/** `damaged`: the source cannot be read to its end, or is not what a database has to be. */
export type BackupResult =
  | { done: true; bytes: number }
  | { done: false; damaged: boolean; code: string; message: string };

function run({ source, target }: BackupTask): number {
  const db = new Database(source, { readonly: true, fileMustExist: true });
  try {
    mustBeWhole(db);
    return target === null ? 0 : copy(db, target);
  } finally {
    db.close();
  }
}

function copy(db: Database.Database, target: string): number {
  const draft = `${target}.new`;
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  try {
    rmSync(draft, { force: true });
    // It has the hashes of keys and the sealed credentials in it. SQLite fills an empty file and leaves its mode.
    writeFileSync(draft, '', { mode: 0o600 });
    db.prepare('VACUUM INTO ?').run(draft);
    const copied = new Database(draft, { readonly: true });
    try {
      mustBeWhole(copied);
    } finally {
      copied.close();
    }
    sync(draft);
    renameSync(draft, target);
    if (process.platform !== 'win32') sync(dirname(target));
    return statSync(target).size;
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

class Damaged extends Error {}

function mustBeWhole(db: Database.Database): void {
  const found = db.pragma('quick_check(1)', { simple: true });
  if (found !== 'ok') throw new Damaged(String(found));
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function describe(error: unknown): BackupResult {
  const code = codeOf(error);
  const damaged = error instanceof Damaged || code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB';
  return { done: false, damaged, code, message: messageOf(error) };
}

function answer(): BackupResult {
  try {
    return { done: true, bytes: run(workerData as BackupTask) };
  } catch (error) {
    return describe(error);
  }
}

parentPort?.postMessage(answer(), []);
