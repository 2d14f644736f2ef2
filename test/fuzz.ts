/**
 * The hostile inputs of `test/gateway/fuzz.test.ts` for as long as it is told:
 *
 *   npm run fuzz -- --minutes 30
 *
 * A failure prints the smallest input that shows it and the seed that finds it again; it becomes a test of its own.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  console.error('--minutes takes a number above 0, such as 30.');
  process.exit(2);
}
const { status } = spawnSync(
  process.execPath,
  [join(import.meta.dirname, 'run.ts'), 'vitest', 'test/gateway/fuzz.test.ts'],
  { stdio: 'inherit', env: { ...process.env, FUZZ_MINUTES: String(minutes) } },
);
process.exit(status ?? 1);
