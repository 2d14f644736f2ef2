/**
 * Copies of the ledger in `backups/` of the data folder: one a day, kept for a week, then one a week for four weeks. Each
 * is made and looked over in a thread of its own (backup-worker.ts).
 */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DATABASE_FILE } from '../store/data-folder.ts';
import type { BackupResult, BackupTask } from '../workers/backup-worker.ts';
import { workerFile } from '../workers/worker-file.ts';

export interface BackupFile {
  name: string;
  /** When it was begun, in milliseconds since the epoch. */
  at: number;
  bytes: number;
}

/** A backup could not be made; the message says what to do. */
export class BackupError extends Error {}

export interface Backups {
  /** Newest first. */
  list(): BackupFile[];
  /** @throws BackupError */
  create(): Promise<BackupFile>;
  /** Makes the backup of the day where there is none, and looks over the ledger once after the start. Never rejects. */
  tick(): Promise<void>;
}

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
const KEPT_WEEKS = 4;
/** What cannot be copied now is tried again after this. */
const RETRY_MS = 3_600_000;

const NAME = /^faregate-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)\.db$/;

export function backupFolder(dataDir: string): string {
  return join(dataDir, 'backups');
}

/** `faregate-20261122-195200.db`, in UTC: names in order are times in order. */
export function backupName(at: number): string {
  const [date = '', time = ''] = new Date(at).toISOString().split('T');
  return `faregate-${date.replaceAll('-', '')}-${time.slice(0, 8).replaceAll(':', '')}.db`;
}

/** Newest first; an empty list where there is no folder. */
export function listBackups(dataDir: string): BackupFile[] {
  const folder = backupFolder(dataDir);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  const found = names.flatMap((name): BackupFile[] => {
    const [, year, month, day, hour, minute, second] = NAME.exec(name) ?? [];
    if (year === undefined) return [];
    const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
    return Number.isNaN(at) ? [] : [{ name, at, bytes: statSync(join(folder, name)).size }];
  });
  return found.toSorted((a, b) => b.at - a.at);
}

/** Those that are not kept any longer: of the last days all are, of the weeks before them the newest of each. */
export function expiredBackups(files: readonly BackupFile[], now: number): BackupFile[] {
  // Weeks by the calendar: by distance from now, each day's newest would take the place of the one before.
  const weeks = new Set<number>();
  return files
    .toSorted((a, b) => b.at - a.at)
    .filter(({ at }, index) => {
      const week = Math.floor(at / WEEK_MS);
      const isNewestOfWeek = !weeks.has(week);
      weeks.add(week);
      // The newest is kept however old it is: it may be the only one.
      if (index === 0 || now - at < WEEK_MS) return false;
      return !isNewestOfWeek || now - at >= (1 + KEPT_WEEKS) * WEEK_MS;
    });
}

export function createBackups({
  dataDir,
  now,
  damaged,
  failed,
}: {
  dataDir: string;
  now: () => number;
  /** The ledger was found not to be whole. */
  damaged(message: string): void;
  /** The daily backup could not be made. */
  failed(error: BackupError): void;
}): Backups {
  const source = join(dataDir, DATABASE_FILE);
  let running: Promise<BackupFile> | null = null;
  let retryAt = -Infinity;
  let lookedOver = false;

  async function ask(target: string | null): Promise<BackupResult> {
    const result = await inThread({ source, target });
    if (!result.done && result.damaged) damaged(result.message);
    if (result.done) lookedOver = true;
    return result;
  }

  async function make(): Promise<BackupFile> {
    const at = now();
    const name = backupName(at);
    const result = await ask(join(backupFolder(dataDir), name));
    if (!result.done) throw new BackupError(describeFailure(result, dataDir));
    for (const old of expiredBackups(listBackups(dataDir), at))
      rmSync(join(backupFolder(dataDir), old.name), { force: true });
    return { name, at: Math.floor(at / 1000) * 1000, bytes: result.bytes };
  }

  const create = () => (running ??= make().finally(() => (running = null)));

  return {
    list: () => listBackups(dataDir),
    create,
    async tick() {
      const at = now();
      // By distance: a clock that was set back must not put the next one off for ever.
      const isDue = !listBackups(dataDir).some((file) => Math.abs(at - file.at) < DAY_MS);
      try {
        if (isDue && Math.abs(at - retryAt) >= RETRY_MS) {
          retryAt = at;
          await create();
        } else if (!lookedOver) {
          lookedOver = true;
          await ask(null);
        }
      } catch (error) {
        failed(error instanceof BackupError ? error : new BackupError(String(error)));
      }
    },
  };
}

function inThread(task: BackupTask): Promise<BackupResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerFile('backup-worker'), { workerData: task });
    // Half a backup is thrown away at the next one: none keeps the program from ending.
    worker.unref();
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new BackupError('The backup was broken off. Try again.')));
  });
}

function describeFailure(result: BackupResult & { done: false }, dataDir: string): string {
  const { damaged, code, message } = result;
  if (damaged) return 'The ledger is damaged, so it was not copied. Restore an earlier backup.';
  if (code === 'SQLITE_FULL' || code === 'ENOSPC')
    return 'The disk is full: the ledger was not copied. Free some space and try again.';
  return `The ledger could not be copied to ${backupFolder(dataDir)} (${message}). Check that folder and its disk.`;
}
