import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { PATIENCE_MS } from './support/patience.ts';

/** What starts programs and browsers takes longest: begun last, one of these would run on when all others have ended. */
const longest = /\/test\/(electron|renderer)\//;

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) =>
      (longest.test(moduleId) ? 1e9 : 0) + statSync(moduleId).size;
    return files.toSorted((a, b) => rank(b) - rank(a));
  }
}

export default defineConfig({
  root: resolve(import.meta.dirname, '..'),
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    // Real listeners, real SQLite, at times a real browser, on machines that may be slow and do other things too. What
    // waits, waits for an event or a state: these only end what hangs, and are no measure of anything.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: PATIENCE_MS } },
    pool: 'forks',
    // A worker goes on with the next file: no file mocks modules or leaves anything running, and what all of them
    // import is read and compiled a few times rather than a hundred times.
    isolate: false,
    // It lives long and makes much that is soon forgotten: more room for that, in MB, is less collecting of it.
    execArgv: ['--min-semi-space-size=32', '--max-semi-space-size=64'],
    sequence: { sequencer: LongestFirst },
    // More than the cores: most tests wait for sockets, processes and pages, not for a core.
    maxWorkers: availableParallelism() + 1,
  },
});
