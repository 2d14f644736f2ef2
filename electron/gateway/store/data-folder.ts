/** The data folder: whose it is, what of the ledger lies in it, and why it cannot be used. */
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Database as Connection } from 'better-sqlite3';
import { codeOf, messageOf } from '#shared/caught.ts';

export const DATABASE_FILE = 'faregate.db';

/** The data folder cannot be used as it is: from a newer version, in use by another process, damaged, read-only. */
export class DataFolderError extends Error {
  /** The ledger is damaged or gone: a backup in its place would mend it. */
  readonly restorable: boolean;
  constructor(message: string, cause?: unknown, restorable = false) {
    super(message, { cause });
    this.name = 'DataFolderError';
    this.restorable = restorable;
  }
}

/** Makes the folder where it is not there yet. @throws DataFolderError with what to do, where it cannot. */
export function makeDataFolder(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new DataFolderError(
      `The data folder ${dataDir} cannot be created. Choose another one or correct its permissions.`,
      cause,
    );
  }
}

/** Runs `work` while no other process, and no store, can have the folder open. @throws DataFolderError */
export function withFolder<T>(dataDir: string, work: () => T): T {
  const lock = takeLock(dataDir);
  try {
    return work();
  } finally {
    lock.close();
  }
}

/** A whole database in a file of this name is what a restore has decided on: from then on it is carried out, also by the next start. */
export const RESTORED_FILE = `${DATABASE_FILE}.restored`;

/** Puts what a restore has made in the ledger's place. The log of the old ledger must not be applied to the new one. */
export function finishRestore(dataDir: string): void {
  const restored = join(dataDir, RESTORED_FILE);
  if (!existsSync(restored)) return;
  const path = join(dataDir, DATABASE_FILE);
  for (const ending of ['-wal', '-shm', '-journal']) rmSync(path + ending, { force: true });
  renameSync(restored, path);
}

/**
 * A ledger that vanished, or that something has emptied, is not taken for a first start: that would forget keys and usage
 * without a word.
 */
export function mustNotBeGone(dataDir: string): void {
  const path = join(dataDir, DATABASE_FILE);
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  if ((size !== undefined && size > 0) || !existsSync(join(dataDir, 'backups'))) return;
  throw new DataFolderError(
    `${path} is ${size === undefined ? 'gone' : 'empty'}, but there are backups of it. Restore one, or move the folder "backups" away to start with an empty ledger.`,
    undefined,
    true,
  );
}

/**
 * One process a data folder: two gateways would each admit up to the whole limit. The lock is SQLite's own on a file
 * beside the ledger, because the operating system gives it back however the process ends.
 */
export function takeLock(dataDir: string): Connection {
  const path = join(dataDir, 'faregate.lock');
  let lock: Connection | undefined;
  try {
    lock = new Database(path, { timeout: 0 });
    lock.pragma('journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (cause) {
    lock?.close();
    if (codeOf(cause).startsWith('SQLITE_BUSY')) {
      throw new DataFolderError(
        `Faregate is already running with the data folder ${dataDir}. Use the running one, or start with another --data-dir.`,
        cause,
      );
    }
    throw new DataFolderError(
      `The data folder ${dataDir} cannot be written. Choose another one or correct its permissions.`,
      cause,
    );
  }
}

/** Whether SQLite says so: the file is not one of its own, or not whole. */
export function isDamage(cause: unknown): boolean {
  const code = codeOf(cause);
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB';
}

/** Why the database at `path` cannot be opened or read, and what to do. */
export function asDataFolderError(path: string, cause: unknown): DataFolderError {
  return new DataFolderError(describeOpenFailure(path, cause), cause, isDamage(cause));
}

function describeOpenFailure(path: string, cause: unknown): string {
  const code = codeOf(cause);
  if (isDamage(cause))
    return `${path} is damaged and cannot be read. Restore a backup, or move the file away to start with an empty ledger.`;
  if (code.startsWith('SQLITE_READONLY') || code === 'SQLITE_CANTOPEN') {
    return `${path} cannot be written. Correct the permissions of the file and its folder.`;
  }
  if (code === 'SQLITE_FULL') return `The disk that holds ${path} is full. Free some space and start again.`;
  return `${path} cannot be opened: ${messageOf(cause)}.`;
}
