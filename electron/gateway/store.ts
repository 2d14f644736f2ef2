/** The SQLite file: opened by one process, migrated, and made durable without making anyone wait for the disk. */
import Database from 'better-sqlite3';
import type { Database as Connection } from 'better-sqlite3';
import { closeSync, existsSync, fdatasync, fdatasyncSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { migrations } from './migrations/index.ts';

export type { Connection };

/** The data folder cannot be used as it is: from a newer version, in use by another process, damaged, read-only. */
export class DataFolderError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'DataFolderError';
  }
}

export interface Store {
  readonly db: Connection;
  /** Runs `work` in one IMMEDIATE transaction; what it wrote is asked to be on disk soon after. */
  write<T>(work: () => T): T;
  /**
   * Writes as much as the largest request does, and takes it out again. A smaller write can find room in pages that are
   * there already, where the disk is full.
   * @throws what SQLite says, where it cannot be written.
   */
  proveWritable(): void;
  /** Waits until everything written so far is on disk. */
  synced(): Promise<void>;
  close(): void;
}

export const DATABASE_FILE = 'faregate.db';

/** Only a stranger's tool can lock the file, and every stream stands still while a write waits for it. */
const BUSY_MS = 250;

/** What a request writes is a few kilobytes, and a few hundred where its price has many tiers; doubled as hex. */
const PROOF_BYTES = 192 * 1024;

/** @throws DataFolderError with what to do, where the folder cannot be used. */
export function openStore(dataDir: string): Store {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new DataFolderError(
      `The data folder ${dataDir} cannot be created. Choose another one or correct its permissions.`,
      cause,
    );
  }
  const lock = takeLock(dataDir);
  try {
    return openDatabase(dataDir, lock);
  } catch (cause) {
    lock.close();
    throw cause;
  }
}

function openDatabase(dataDir: string, lock: Connection): Store {
  const path = join(dataDir, DATABASE_FILE);
  let db: Connection | undefined;
  try {
    db = new Database(path, { timeout: BUSY_MS });
    db.pragma('journal_mode = WAL');
    // With a write-ahead log, NORMAL keeps every commit through the death of the process and costs microseconds; the
    // log is pushed to the disk right after (see syncSoon), so a power cut loses milliseconds, not transactions.
    db.pragma('synchronous = NORMAL');
    db.pragma('foreign_keys = ON');
    migrate(db, path);
    // SQLite opens a file it may not write without a word, and only a write tells: better here than at a request.
    db.pragma(`user_version = ${newestVersion()}`);
  } catch (cause) {
    db?.close();
    if (cause instanceof DataFolderError) throw cause;
    throw new DataFolderError(describeOpenFailure(path, cause), cause);
  }
  return withDurability(db, `${path}-wal`, lock);
}

/**
 * One process a data folder: two gateways would each admit up to the whole limit. The lock is SQLite's own on a file
 * beside the ledger, because the operating system gives it back however the process ends.
 */
function takeLock(dataDir: string): Connection {
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

/** Brings the file to the newest version in one transaction: all of it or nothing. */
export function migrate(db: Connection, path: string, target: number = newestVersion()): void {
  const current = Number(db.pragma('user_version', { simple: true }));
  if (current > newestVersion()) {
    throw new DataFolderError(
      `${path} was written by a newer version of Faregate (schema ${current}, this one knows ${newestVersion()}). Install the newer version, or start with another --data-dir.`,
    );
  }
  const pending = migrations.filter(({ version }) => version > current && version <= target);
  if (pending.length === 0) return;
  db.transaction(() => {
    for (const migration of pending) {
      migration.up(db);
      db.pragma(`user_version = ${migration.version}`);
    }
  }).immediate();
}

export function newestVersion(): number {
  return migrations.at(-1)?.version ?? 0;
}

function withDurability(db: Connection, walPath: string, lock: Connection): Store {
  let wal: number | undefined;
  let dirty = false;
  let syncing = false;
  let waiters: (() => void)[] = [];

  // Group commit by nature: while one fdatasync runs in the thread pool, what commits meanwhile shares the next one.
  const syncSoon = () => {
    dirty = true;
    if (syncing) return;
    if (wal === undefined && existsSync(walPath)) wal = openSync(walPath, 'r+');
    if (wal === undefined) return;
    syncing = true;
    dirty = false;
    const told = waiters;
    waiters = [];
    fdatasync(wal, () => {
      syncing = false;
      for (const tell of told) tell();
      if (dirty && db.open) syncSoon();
    });
  };

  // Prepared once: a transaction is opened twice for every request.
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const rollback = db.prepare('ROLLBACK');

  const insertProof = db.prepare(
    "INSERT INTO settings (name, value) VALUES ('ledger.proof', hex(randomblob(?))) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
  );
  const removeProof = db.prepare("DELETE FROM settings WHERE name = 'ledger.proof'");

  const store: Store = {
    db,
    proveWritable() {
      store.write(() => insertProof.run(PROOF_BYTES));
      store.write(() => removeProof.run());
    },
    write(work) {
      begin.run();
      try {
        const result = work();
        commit.run();
        syncSoon();
        return result;
      } catch (error) {
        // A full disk or an I/O error may have ended the transaction already.
        if (db.inTransaction) rollback.run();
        throw error;
      }
    },
    synced() {
      if (!dirty && !syncing) return Promise.resolve();
      return new Promise((resolve) => {
        waiters.push(resolve);
        syncSoon();
      });
    },
    close() {
      if (wal !== undefined) {
        fdatasyncSync(wal);
        closeSync(wal);
      }
      // The last connection's close checkpoints the log into the file and removes it.
      db.close();
      lock.close();
    },
  };
  return store;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function describeOpenFailure(path: string, cause: unknown): string {
  const code = codeOf(cause);
  if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB') {
    return `${path} is damaged and cannot be read. Put a backup in its place, or move it away to start with an empty ledger.`;
  }
  if (code.startsWith('SQLITE_READONLY') || code === 'SQLITE_CANTOPEN') {
    return `${path} cannot be written. Correct the permissions of the file and its folder.`;
  }
  if (code === 'SQLITE_FULL') return `The disk that holds ${path} is full. Free some space and start again.`;
  return `${path} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}.`;
}
