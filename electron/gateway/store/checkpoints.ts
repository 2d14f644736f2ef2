/**
 * Copies the write-ahead log into the database in a thread of its own. SQLite would do it inside of a commit, and wait
 * twice for the disk while every stream stands still.
 *
 * The log is written from its front again once all of it is copied. Under load something is always added meanwhile, so
 * that a log which has become long gets a second pass, and what is to be written waits for it: it is short, since hardly
 * anything is left to copy.
 */
import { Worker } from 'node:worker_threads';
import type { CheckpointResult, CheckpointTask } from '../workers/checkpoint-worker.ts';
import { workerFile } from '../workers/worker-file.ts';

export interface Checkpoints {
  /** A transaction was written. */
  committed(): void;
  /** A transaction could not be written. */
  failed(): void;
  /** Calls `write` in the next turn of the event loop, or as soon as a second pass is over. */
  soon(write: () => void): void;
  /**
   * Ends the thread, or gives it up where the disk holds it up. To be awaited before the database is closed, so that it
   * is closed as the last one and takes its log away.
   */
  end(): Promise<void>;
}

export interface CheckpointOptions {
  /** Whether the file at the path is still the one that is open: no other one may be given this one's log. */
  isInPlace(): boolean;
  /** Whether SQLite itself is to make checkpoints in commits: until the thread, or after a failure the next pass, has. */
  automatic(on: boolean): void;
  /** Only tests choose another one. */
  worker?: URL;
}

/** Transactions from one checkpoint to the next: a few megabytes of log, which are read in no time after a crash. */
const EVERY = 256;
/** Pages of the log from which on a second pass is worth that writes wait for it: 32 MB. */
const LONG = 8_192;
/** Longer than this no write waits, however slow the disk is. */
const WAIT_MS = 250;
/** Longer than this the end of the process waits for none. */
const END_MS = 1_000;

export function createCheckpoints(path: string, options: CheckpointOptions): Checkpoints {
  let thread: Worker | undefined;
  let state: 'idle' | 'first pass' | 'second pass' | 'slow pass' | 'off' = 'idle';
  let commits = 0;
  let waiting: (() => void)[] = [];
  let late: NodeJS.Timeout | undefined;

  function start(): Worker {
    const started = new Worker(options.worker ?? workerFile('checkpoint-worker'), { workerData: path });
    // A thread that waits for work keeps no process from ending.
    started.unref();
    started.on('message', passed);
    started.on('error', giveUp);
    return started;
  }

  function ask(task: CheckpointTask): void {
    thread?.postMessage(task, []);
  }

  function begin(): void {
    commits = 0;
    if (!options.isInPlace()) return;
    state = 'first pass';
    thread ??= start();
    ask('pass');
  }

  function passed(result: CheckpointResult): void {
    if (state === 'off') return;
    if (result !== null) options.automatic(false);
    if (state === 'first pass' && result !== null && result.log >= LONG && commits > 0) {
      state = 'second pass';
      late = setTimeout(() => {
        state = 'slow pass';
        release();
      }, WAIT_MS);
      ask('pass');
    } else {
      state = 'idle';
      release();
    }
  }

  function release(): void {
    clearTimeout(late);
    for (const write of waiting.splice(0)) write();
  }

  function giveUp(): void {
    if (state === 'off') return;
    state = 'off';
    thread = undefined;
    options.automatic(true);
    release();
  }

  return {
    committed() {
      commits += 1;
      if (commits >= EVERY && state === 'idle') begin();
    },
    failed() {
      // Where the disk was full, everything that waits is written in one go as soon as there is room, with no turn for
      // the thread between: the log would take the room that its own pages need in the database, and be full again.
      options.automatic(true);
    },
    soon(write) {
      // Looked at when its turn has come: one write during the second pass is one too many.
      setImmediate(() => {
        if (state === 'second pass') waiting.push(write);
        else write();
      });
    },
    async end() {
      const ending = thread;
      state = 'off';
      thread = undefined;
      release();
      if (ending === undefined) return;
      ending.ref();
      ending.postMessage('end' satisfies CheckpointTask, []);
      await new Promise<void>((resolve) => {
        const givenUp = setTimeout(() => {
          // Takes effect after what SQLite does just now. Nothing is lost by it: the next start reads the log.
          void ending.terminate();
          resolve();
        }, END_MS);
        ending.once('exit', () => {
          clearTimeout(givenUp);
          resolve();
        });
      });
    },
  };
}
