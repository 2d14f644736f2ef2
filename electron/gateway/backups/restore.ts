/**
 * Puts a backup in the place of the ledger, whole or not at all: everything is prepared beside it, and one rename
 * decides. The ledger that was there is kept. What was used since the backup can be carried over from it.
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Database as Connection } from 'better-sqlite3';
import type { Every } from '#shared/model.ts';
import { windowAt } from '../config/limits.ts';
import { requestColumns } from '../ledger/requests.ts';
import {
  DATABASE_FILE,
  DataFolderError,
  finishRestore,
  isDamage,
  RESTORED_FILE,
  withFolder,
} from '../store/data-folder.ts';
import { migrate, newestVersion } from '../store/store.ts';
import { backupFolder, listBackups } from './backups.ts';

export interface RestoreOptions {
  /** Keep what was used since the backup, and the keys made since. */
  carryOver: boolean;
  /** Milliseconds since the epoch. */
  now: number;
}

export interface Restored {
  /** Where the ledger that was there is kept; null where there was none. */
  keptAs: string | null;
  /** How many requests since the backup were carried over; null where they were not, or could not be read. */
  carried: number | null;
}

/** The backup cannot be put in place; nothing was changed. */
export class RestoreError extends Error {}

/** No store may have the folder open. @throws RestoreError, or DataFolderError where another process has it. */
export function restoreBackup(dataDir: string, name: string, options: RestoreOptions): Restored {
  return withFolder(dataDir, () => {
    finishRestore(dataDir);
    mustExist(dataDir, name);
    const path = join(dataDir, DATABASE_FILE);
    const draft = `${path}.restoring`;
    removeDatabase(draft);
    const kept = existsSync(path) ? keepAside(dataDir, options.now) : null;
    try {
      copyFileSync(join(backupFolder(dataDir), name), draft);
      chmodSync(draft, 0o600);
      const carried = prepare(draft, kept, options);
      sync(draft);
      renameSync(draft, join(dataDir, RESTORED_FILE));
      finishRestore(dataDir);
      return { keptAs: kept, carried };
    } catch (cause) {
      removeDatabase(draft);
      if (cause instanceof RestoreError || cause instanceof DataFolderError) throw cause;
      const detail = cause instanceof Error ? cause.message : String(cause);
      throw new RestoreError(`${name} could not be restored (${detail}). Nothing was changed.`, { cause });
    }
  });
}

/** @throws RestoreError where there is no backup of this name. */
export function mustExist(dataDir: string, name: string): void {
  if (!listBackups(dataDir).some((file) => file.name === name))
    throw new RestoreError(`There is no backup ${name}. Choose one of the list.`);
}

const KEPT = /^replaced-.*\.db$/;
const KEPT_COUNT = 3;

/** With its log, which may hold the newest of it. Of earlier ones few are kept: they are as large as the ledger. */
function keepAside(dataDir: string, now: number): string {
  const path = join(dataDir, DATABASE_FILE);
  // To the millisecond: what a second restore replaces is not what the first one did.
  const stamp = new Date(now).toISOString().replaceAll(/[-:Z]/g, '').replaceAll(/[T.]/g, '-');
  const kept = join(backupFolder(dataDir), `replaced-${stamp}.db`);
  removeDatabase(kept);
  for (const ending of ['', '-wal']) {
    if (!existsSync(path + ending)) continue;
    copyFileSync(path + ending, kept + ending);
    chmodSync(kept + ending, 0o600);
  }
  const names = readdirSync(backupFolder(dataDir))
    .filter((name) => KEPT.test(name))
    .toSorted();
  for (const name of names.slice(0, -KEPT_COUNT)) removeDatabase(join(backupFolder(dataDir), name));
  return kept;
}

/** Looks the copy over, brings it to the newest version, and carries over. */
function prepare(draft: string, kept: string | null, { carryOver, now }: RestoreOptions): number | null {
  const db = new Database(draft);
  try {
    // Nothing may stay in a log beside it: the file alone is renamed.
    db.pragma('journal_mode = DELETE');
    if (db.pragma('quick_check(1)', { simple: true }) !== 'ok')
      throw new RestoreError('This backup is damaged. Choose another one; nothing was changed.');
    migrate(db, draft);
    return carryOver && kept !== null ? carryFrom(db, kept, now) : null;
  } catch (cause) {
    if (!isDamage(cause)) throw cause;
    throw new RestoreError('This backup is damaged. Choose another one; nothing was changed.', { cause });
  } finally {
    db.close();
  }
}

/** null where the old ledger cannot be read, whole or at all. */
function carryFrom(db: Connection, kept: string, now: number): number | null {
  try {
    db.prepare('ATTACH ? AS old').run(kept);
    if (Number(db.pragma('old.user_version', { simple: true })) !== newestVersion()) return null;
    return db.transaction(() => carry(db, now))();
  } catch (cause) {
    if (isDamage(cause) || cause instanceof Database.SqliteError) return null;
    throw cause;
  }
}

/**
 * Requests are the same where id, time and key are: another restore may have given an id twice. Their rows come with
 * what they count in: the totals of their key and provider, and, by the mark of the roll-up, the sums of the days.
 */
function carry(db: Connection, now: number): number {
  const others = requestColumns.filter((name) => name !== 'id' && name !== 'series');
  db.exec(`
    CREATE TEMP TABLE carried AS SELECT o.id AS old_id, o.id AS id FROM old.requests AS o
      WHERE NOT EXISTS (SELECT 1 FROM main.requests AS r WHERE r.id = o.id AND r.at = o.at AND r.key_id = o.key_id);
    CREATE TEMP TABLE newest AS SELECT max(
      coalesce((SELECT max(id) FROM main.requests), 0), coalesce((SELECT max(id) FROM main.holds), 0),
      coalesce((SELECT max(id) FROM old.requests), 0), coalesce((SELECT max(id) FROM old.holds), 0)) AS id;
    -- What was running when the backup was made has ended since: its true cost takes the place of its hold.
    DELETE FROM main.holds WHERE EXISTS (SELECT 1 FROM old.requests AS o
      WHERE o.id = holds.id AND o.at = holds.at AND o.key_id = holds.key_id);
    UPDATE carried SET id = (SELECT id FROM newest) + carried.rowid
      WHERE EXISTS (SELECT 1 FROM main.requests AS r WHERE r.id = carried.id)
         OR EXISTS (SELECT 1 FROM main.holds AS h WHERE h.id = carried.id);
    -- Requests that were running when the old ledger was lost count in full, as after any crash.
    INSERT INTO main.holds SELECT o.* FROM old.holds AS o
      WHERE NOT EXISTS (SELECT 1 FROM main.holds AS h WHERE h.id = o.id)
        AND NOT EXISTS (SELECT 1 FROM main.requests AS r WHERE r.id = o.id);

    INSERT INTO main.usage_series (key_id, provider, billing, model_asked, model, client)
      SELECT s.key_id, s.provider, s.billing, s.model_asked, s.model, s.client FROM old.usage_series AS s
      WHERE true ON CONFLICT DO NOTHING;
    INSERT INTO main.requests (id, series, ${others.join(', ')})
      SELECT c.id, (SELECT m.id FROM old.usage_series AS s JOIN main.usage_series AS m
          USING (key_id, provider, billing, model_asked, model, client) WHERE s.id = o.series),
        ${others.map((name) => `o.${name}`).join(', ')}
      FROM carried AS c JOIN old.requests AS o ON o.id = c.old_id;
    INSERT INTO main.corrections (request_id, at, cost_before_nano, cost_after_nano, reason)
      SELECT c.id, o.at, o.cost_before_nano, o.cost_after_nano, o.reason
      FROM carried AS c JOIN old.corrections AS o ON o.request_id = c.old_id;
    INSERT OR IGNORE INTO main.usage_open
      SELECT id FROM carried WHERE id <= (SELECT up_to FROM main.usage_rolled);

    UPDATE main.keys SET
        usage_credits_nano = usage_credits_nano + s.credits, usage_own_key_nano = usage_own_key_nano + s.own,
        requests = requests + s.count, unpriced_requests = unpriced_requests + s.unpriced,
        input_tokens = input_tokens + s.input, output_tokens = output_tokens + s.output,
        last_used_at = max(coalesce(last_used_at, 0), s.at)
      FROM (SELECT r.key_id, sum(coalesce(r.cost_nano, 0) - r.cost_own_key_nano) AS credits,
          sum(r.cost_own_key_nano) AS own, count(*) AS count, sum(r.cost_nano IS NULL) AS unpriced,
          sum(r.input_tokens) AS input, sum(r.output_tokens) AS output, max(r.at) AS at
        FROM carried JOIN main.requests AS r USING (id) GROUP BY r.key_id) AS s
      WHERE keys.id = s.key_id;
    INSERT INTO main.keys SELECT * FROM old.keys WHERE id NOT IN (SELECT id FROM main.keys);
    INSERT INTO main.limit_scopes (id, usage_nano)
      SELECT r.provider_id, sum(coalesce(r.cost_nano, 0)) FROM carried JOIN main.requests AS r USING (id)
      WHERE r.provider_id IS NOT NULL GROUP BY r.provider_id
      ON CONFLICT (id) DO UPDATE SET usage_nano = usage_nano + excluded.usage_nano;
  `);
  carryWindows(db, 'keys', now);
  carryWindows(db, 'limit_scopes', now);
  return Number(db.prepare('SELECT count(*) FROM carried').pluck().get());
}

/** What a window has used is what was settled in it: added up, since both ledgers may have rows of it. */
function carryWindows(db: Connection, table: 'keys' | 'limit_scopes', now: number): void {
  const windows = db
    .prepare<[], { id: string; every: Every; start: number | null }>(
      `SELECT m.id, m.recurring_every AS every, coalesce(o.window_start, m.window_start) AS start
       FROM main.${table} AS m LEFT JOIN old.${table} AS o ON o.id = m.id AND o.recurring_every = m.recurring_every
       WHERE m.recurring_every IS NOT NULL`,
    )
    .all();
  const which = table === 'keys' ? 'key_id = @id' : "(@id = 'global' OR provider_id = @id)";
  const spent = db
    .prepare<[{ id: string; from: number }], number>(
      `SELECT coalesce(sum(cost_nano), 0) FROM main.requests WHERE settled_at >= @from AND ${which}`,
    )
    .pluck();
  const set = db.prepare(`UPDATE main.${table} SET window_start = ?, window_used_nano = ? WHERE id = ?`);
  for (const { id, every, start } of windows) {
    const from = Math.max(start ?? 0, windowAt(now, every).start);
    set.run(from, spent.get({ id, from }), id);
  }
}

function removeDatabase(path: string): void {
  for (const ending of ['', '-wal', '-shm', '-journal']) rmSync(path + ending, { force: true });
}

function sync(path: string): void {
  const file = openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
