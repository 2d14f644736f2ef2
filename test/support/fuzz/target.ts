/** What is read from the outside, and what must hold whatever stands in it. */
import assert from 'node:assert/strict';
import fc from 'fast-check';

export interface FuzzTarget {
  name: string;
  run(parameters: fc.Parameters<unknown>): Promise<{ failed: boolean; numRuns: number; report: string }>;
}

/** A target that draws from `inputs`, each within a bounded amount of work. */
export function target<T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  holds: (input: T) => void | Promise<void>,
): FuzzTarget {
  let last: Promise<unknown> = Promise.resolve();
  const property = fc.asyncProperty(inputs, async (input) => {
    const before = process.cpuUsage();
    const run = (async () => holds(input))();
    last = run.catch(() => undefined);
    await run;
    // A pattern that backtracks without end would take minutes. Work is counted and not time, which a busy machine takes.
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 10_000_000, 'one input took more than ten seconds of work');
  });
  return {
    name,
    async run(parameters) {
      const details = await fc.check(property, parameters as fc.Parameters<[T]>);
      // At its time limit the input that is being tried is left alone: the next target must not meet what it does.
      await last;
      const report = details.failed
        ? `${fc.defaultReportMessage(details) ?? 'failed'}\n${String(details.errorInstance)}`
        : '';
      return { failed: details.failed, numRuns: details.numRuns, report };
    },
  };
}

/** No input may leave anything behind in what every object inherits. */
export function expectUnpolluted(): void {
  assert.deepEqual(Object.keys(Object.prototype), []);
  assert.equal(Reflect.get({}, 'polluted'), undefined);
}

export const expectCount = (value: number, what: string) =>
  assert.ok(Number.isSafeInteger(value) && value >= 0, `${what} is ${value}`);
