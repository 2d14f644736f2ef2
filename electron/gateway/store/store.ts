/** The SQLite file: opened by one process, migrated, and made durable without making anyone wait for the disk. */
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import type { Database as Connection } from 'better-sqlite3';
import { createCheckpoints } from './checkpoints.ts';
import {
  asDataFolderError,
  DATABASE_FILE,
  DataFolderError,
  finishRestore,
  makeDataFolder,
  mustNotBeGone,
  takeLock,
} from './data-folder.ts';
import { migrations } from './migrations/index.ts';

export type { Connection };

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

/** Only a stranger's tool can lock the file, and every stream stands still while a write waits for it. */
const BUSY_MS = 250;

/** What a request writes is a few kilobytes, and a few hundred where its price has many tiers; doubled as hex. */
const PROOF_BYTES = 192 * 1024;

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
