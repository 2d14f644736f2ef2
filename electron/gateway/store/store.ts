/** The SQLite file: opened by one process, migrated, and made durable without making anyone wait for the disk. */
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import type { Database as Connection } from 'better-sqlite3';
import { codeOf } from '#shared/caught.ts';
import { createCheckpoints } from './checkpoints.ts';
import { migrations } from './migrations/index.ts';

export type { Connection };

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

export interface Store {
  readonly db: Connection;
  /** Runs `work` in one IMMEDIATE transaction; what it wrote is asked to be on disk soon after. */
  write<T>(work: () => T): T;
  /** Calls `write` in the next turn of the event loop, or a little later where a checkpoint asks for it. */
  soon(write: () => void): void;
  /**
   * Writes as much as the largest request does, and takes it out again. A smaller write can find room in pages that are
   * there already, where the disk is full.
   * @throws what SQLite says, where it cannot be written.
   */
  proveWritable(): void;
  /** Waits until everything written so far is on disk. */
  synced(): Promise<void>;
  /** Why what was written may not be on disk: the last time the disk was asked, it failed. null when all is well. */
  unsynced(): Error | null;
  /** Whether the files at the path are still those that are open: deleted or replaced ones take writes without a word. */
  isInPlace(): boolean;
  /** Copies what is open, wherever its files are by now. Everything waits for it. */
  copyTo(target: string): void;
  /** Ends the thread that makes checkpoints. Awaited before `close` where much was written. */
  endCheckpoints(): Promise<void>;
  close(): void;
}

export const DATABASE_FILE = 'faregate.db';

/** Only a stranger's tool can lock the file, and every stream stands still while a write waits for it. */
const BUSY_MS = 250;

/** What a request writes is a few kilobytes, and a few hundred where its price has many tiers; doubled as hex. */
const PROOF_BYTES = 192 * 1024;

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

/** @throws DataFolderError with what to do, where the folder cannot be used. */
export function openStore(dataDir: string): Store {
  makeDataFolder(dataDir);
  const lock = takeLock(dataDir);
  try {
    finishRestore(dataDir);
    mustNotBeGone(dataDir);
    return openDatabase(dataDir, lock);
  } catch (cause) {
    lock.close();
    throw cause;
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

/** A ledger that vanished is not taken for a first start: that would forget keys and usage without a word. */
function mustNotBeGone(dataDir: string): void {
  const path = join(dataDir, DATABASE_FILE);
  if (existsSync(path) || !existsSync(join(dataDir, 'backups'))) return;
  throw new DataFolderError(
    `${path} is gone, but there are backups of it. Restore one, or move the folder "backups" away to start with an empty ledger.`,
    undefined,
    true,
  );
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
    throw asDataFolderError(path, cause);
  }
  return withDurability(db, path, lock);
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

/** A power cut loses what was committed within this time and the one that the disk needs. */
const SYNC_MS = 8;

function withDurability(db: Connection, path: string, lock: Connection): Store {
  const walPath = `${path}-wal`;
  const opened = fileId(path);
  let openedWal: string | null = null;
  let failure: Error | null = null;
  let wal: number | undefined;
  let dirty = false;
  let syncing = false;
  let timer: NodeJS.Timeout | undefined;
  let waiters: (() => void)[] = [];

  // What commits within a few milliseconds, or while one fdatasync runs in the thread pool, shares the next one.
  const syncSoon = () => {
    dirty = true;
    timer ??= setTimeout(sync, SYNC_MS).unref();
  };
  const sync = () => {
    clearTimeout(timer);
    timer = undefined;
    if (syncing || !dirty) return;
    if (wal === undefined && existsSync(walPath)) {
      wal = openSync(walPath, 'r+');
      openedWal = fileId(walPath);
    }
    if (wal === undefined) return;
    syncing = true;
    dirty = false;
    const told = waiters;
    waiters = [];
    fdatasync(wal, (error) => {
      syncing = false;
      failure = error;
      for (const tell of told) tell();
      if (dirty && db.open) (waiters.length > 0 ? sync : syncSoon)();
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

  const isInPlace = () => fileId(path) === opened && (openedWal === null || fileId(walPath) === openedWal);
  const automaticPages = Number(db.pragma('wal_autocheckpoint', { simple: true }));
  const checkpoints = createCheckpoints(path, {
    isInPlace,
    automatic: (on) => void db.pragma(`wal_autocheckpoint = ${on ? automaticPages : 0}`),
  });

  const store: Store = {
    db,
    soon: checkpoints.soon,
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
        checkpoints.committed();
        return result;
      } catch (error) {
        // A full disk or an I/O error may have ended the transaction already.
        if (db.inTransaction) rollback.run();
        checkpoints.failed();
        throw error;
      }
    },
    synced() {
      if (!dirty && !syncing) return Promise.resolve();
      return new Promise((resolve) => {
        waiters.push(resolve);
        dirty = true;
        sync();
      });
    },
    unsynced: () => failure,
    isInPlace,
    copyTo(target) {
      mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
      // Half a copy must not be taken for one.
      const draft = `${target}.new`;
      writeFileSync(draft, '', { mode: 0o600 });
      db.prepare('VACUUM INTO ?').run(draft);
      renameSync(draft, target);
    },
    endCheckpoints: checkpoints.end,
    close() {
      clearTimeout(timer);
      void checkpoints.end();
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

/** Which file lies at the path; null where none does. */
function fileId(path: string): string | null {
  // As BigInt: file numbers of some systems are beyond what a number can say.
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found ? `${found.dev} ${found.ino}` : null;
}

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
  return `${path} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}.`;
}
