/** Tokens of texts in a public vocabulary, counted in a thread of its own (token-worker.ts). */
import { Worker } from 'node:worker_threads';
import type { CountResult, CountTask, Vocabulary } from '../workers/token-worker.ts';
import { workerFile } from '../workers/worker-file.ts';

export interface VocabularyCounter {
  /** How many tokens each text has; null where it cannot be told in time. Never rejects. */
  count(vocabulary: Vocabulary, texts: readonly string[], signal?: AbortSignal): Promise<number[] | null>;
  /** Answers what is asked with null, at once, and all that is asked from now on. */
  close(): void;
}

/**
 * Starts its thread when it is first needed, and ends it when it has had nothing to do for `idleMs`: a vocabulary is
 * some 100 MB. A count that takes longer than `timeoutMs`, the loading included, is given up together with the thread:
 * it would hold up every count behind it.
 */
export function createVocabularyCounter({
  timeoutMs,
  idleMs = 60_000,
}: {
  timeoutMs: number;
  idleMs?: number;
}): VocabularyCounter {
  const waiting = new Map<number, (counts: number[] | null) => void>();
  let worker: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  let closed = false;
  let lastId = 0;

  function drop(): void {
    clearTimeout(idle);
    void worker?.terminate();
    worker = undefined;
    for (const answer of waiting.values()) answer(null);
    waiting.clear();
  }

  function start(): Worker {
    const started = new Worker(workerFile('token-worker'));
    // A thread that waits for work keeps no process from ending.
    started.unref();
    started.on('message', ({ id, counts }: CountResult) => {
      waiting.get(id)?.(counts);
      waiting.delete(id);
    });
    // The file is not there, or a count failed: what asked goes without, and the next count tries again.
    started.on('error', () => started === worker && drop());
    return started;
  }

  return {
    count(vocabulary, texts, signal) {
      if (closed || signal?.aborted === true) return Promise.resolve(null);
      return new Promise((resolve) => {
        const id = (lastId += 1);
        const late = setTimeout(drop, timeoutMs);
        const answer = (counts: number[] | null) => {
          clearTimeout(late);
          resolve(counts);
        };
        waiting.set(id, answer);
        // Nobody waits for it any more; the count itself goes on, and is given up in time.
        signal?.addEventListener('abort', () => resolve(null), { once: true });
        clearTimeout(idle);
        idle = setTimeout(drop, idleMs).unref();
        worker ??= start();
        worker.postMessage({ id, vocabulary, texts } satisfies CountTask, []);
      });
    },
    close() {
      closed = true;
      drop();
    },
  };
}
