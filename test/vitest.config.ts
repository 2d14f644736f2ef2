import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: resolve(import.meta.dirname, '..'),
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    // Real listeners, real SQLite, at times a real browser, on machines with two cores that do other things too.
    testTimeout: 20_000,
    hookTimeout: 30_000,
    pool: 'forks',
    // A worker goes on with the next file: no file mocks modules or leaves anything running, and what all of them
    // import is read and compiled a few times rather than a hundred times.
    isolate: false,
    // More than the cores: most tests wait for sockets, processes and pages, not for a core.
    maxWorkers: availableParallelism() + 1,
  },
});
