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
    // One less than the cores, the default, would be one worker; most tests wait for sockets and pages, not for a core.
    maxWorkers: Math.max(2, availableParallelism() - 1),
  },
});
