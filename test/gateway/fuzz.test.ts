/** A few hundred inputs for everything that reads what others wrote; `npm run fuzz` goes on for longer. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readerTargets } from '../support/fuzz/readers.ts';
import { openFuzzWorld, wireTargets, type FuzzWorld } from '../support/fuzz/wire.ts';

/** Over the wire each input is a request or two. */
const RUNS = 150;
/** The same inputs each time: what only chance finds is for `npm run fuzz`, and must not stop another change. */
const SEED = 20_261_123;
/** For `npm run fuzz`, which sets it: minutes in all. */
const minutes = Number(process.env['FUZZ_MINUTES'] ?? 0);

let world: FuzzWorld;
const targets = () => [...readerTargets, ...wireTargets(world)];
const tally: string[] = [];
beforeAll(async () => {
  world = await openFuzzWorld();
});
afterAll(async () => {
  console.log(`Hostile input (tried, survived):\n${tally.join('\n')}`);
  await world.close();
});

const names = [
  'JSON scanner',
  'streams and answers, every dialect',
  'requests, every dialect',
  'addresses',
  'configuration files',
  "providers' exports",
  'price data',
  'whole requests: no way past the meter',
  'bytes on the listener',
  'inputs of the contract',
];

describe('nothing that can be sent breaks', () => {
  test.each(names)('%s', { timeout: 180_000 + minutes * 60_000 }, async (name) => {
    const found = targets().find((each) => each.name === name);
    if (!found) throw new Error(`There is no target "${name}".`);
    const bounds =
      minutes > 0
        ? {
            numRuns: 1e9,
            interruptAfterTimeLimit: (minutes * 60_000) / names.length,
            markInterruptAsFailure: false,
          }
        : { numRuns: RUNS, seed: SEED };
    const { failed, numRuns, report } = await found.run(bounds);
    tally.push(`  ${name}: ${numRuns}, ${failed ? numRuns - 1 : numRuns}`);
    expect(failed, report).toBe(false);
  });

  test('every target is among them', () => {
    expect(targets().map(({ name }) => name)).toEqual(names);
  });
});
