/** One pass after the other over the write-ahead log, whenever asked; see checkpoints.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';

/** Asked for a pass, or to end. */
export type CheckpointTask = 'pass' | 'end';

/** Pages in the log, and how many of them are in the database now. null: the pass failed, as on a full disk. */
export type CheckpointResult = { log: number; copied: number } | null;

const db = new Database(String(workerData), { fileMustExist: true, timeout: 0 });
// Without having read anything a connection does not know that there is a log.
const look = db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1');

function pass(): CheckpointResult {
  try {
    look.get();
    // PASSIVE waits for nobody and lets nobody wait (https://sqlite.org/pragma.html#pragma_wal_checkpoint).
    const [row] = db.pragma('wal_checkpoint(PASSIVE)') as { log: number; checkpointed: number }[];
    return row === undefined ? null : { log: row.log, copied: row.checkpointed };
  } catch {
    return null;
  }
}

parentPort?.on('message', (task: CheckpointTask) => {
  if (task === 'pass') parentPort?.postMessage(pass(), []);
  else {
    db.close();
    parentPort?.close();
  }
});
