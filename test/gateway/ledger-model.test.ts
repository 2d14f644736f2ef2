/** The ledger under any sequence of events: the limit holds after each of them, and the books balance. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Hold } from '../../electron/gateway/ledger.ts';
import { booksForEachTest, draft, outcome } from '../support/ledger.ts';

const books = booksForEachTest();

type Step =
  | { do: 'hold'; key: number; want: number; least: number }
  | { do: 'settle'; which: number; percent: number }
  | { do: 'pass-time'; ms: number }
  | { do: 'break' | 'mend' | 'crash' };

const share = fc.integer({ min: 0, max: 600 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('hold' as const), key: fc.nat(2), want: share, least: share }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat(50), percent: fc.nat(100) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass-time' as const), ms: fc.nat(40 * 60_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('break' as const, 'mend' as const, 'crash' as const) }),
  },
);

test('whatever is held, settled, broken, mended or cut off', { timeout: 60_000 }, () => {
  const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const limits = [1000, 700, null] as const;
    const keys = [
      books.newKey({ limitNano: 1000 }),
      books.newKey({ recurring: { amountNano: 700, every: 'hour' } }),
      books.newKey(),
    ];
    let open: Hold[] = [];
    const writable = (yes: boolean) => books.store.db.pragma(`query_only = ${yes ? 'OFF' : 'ON'}`);

    for (const one of steps) {
      if (one.do === 'hold') {
        const amount = {
          wantNano: Math.max(one.want, one.least),
          atLeastNano: Math.min(one.want, one.least),
        };
        try {
          const result = books.ledger.hold(draft(keys[one.key] ?? ''), amount);
          if ('held' in result) open.push(result.held);
        } catch {
          expect(books.ledger.problem()).not.toBeNull();
        }
      } else if (one.do === 'settle') {
        const [held] = open.splice(one.which % Math.max(1, open.length), 1);
        if (held) books.ledger.settle(held, outcome(Math.floor((held.amountNano * one.percent) / 100)));
      } else if (one.do === 'pass-time') books.clock.advance(one.ms);
      else if (one.do === 'crash') {
        // What could not be written before a crash is lost with it: the crash comes to a ledger that is well.
        writable(true);
        books.ledger.retry();
        books.reopen();
        open = [];
      } else writable(one.do === 'mend');

      for (const [index, key] of keys.entries()) {
        const { usageNano, heldNano, window } = books.ledger.account(key) ?? {
          usageNano: NaN,
          heldNano: NaN,
          window: null,
        };
        const limit = limits[index] ?? Infinity;
        const used = window === null ? usageNano : window.usedNano;
        // What was held before the hour ended counts in the new one from its start.
        expect(used + heldNano).toBeLessThanOrEqual(limit);
      }
    }

    writable(true);
    books.ledger.retry();
    for (const held of open) books.ledger.settle(held, outcome(held.amountNano));
    expect(books.ledger.problem()).toBeNull();
    expect(books.rows('holds')).toEqual([]);
    for (const key of keys) {
      books.expectToBalance(key);
      expect(books.ledger.account(key)).toMatchObject({ heldNano: 0, running: 0 });
    }
    expect(books.ledger.totals()).toMatchObject({ heldNano: 0, running: 0 });
  });
  fc.assert(property, { numRuns: 150 });
});
