/** The ledger under any sequence of events: every limit holds after each of them, and the books balance. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { leastRoom, usedIn, type Limits, type Scope } from '../../../electron/gateway/config/limits.ts';
import type { Hold } from '../../../electron/gateway/ledger/ledger.ts';
import { booksForEachTest, draft, outcome } from '../../support/ledger.ts';

const books = booksForEachTest();

type Step =
  | { do: 'hold'; key: number; provider: number; session: number; want: number; least: number }
  | { do: 'settle'; which: number; percent: number }
  | { do: 'correct'; which: number; cost: number }
  | { do: 'limit'; on: number; limits: Limits }
  | { do: 'top-up'; key: number; amount: number }
  | { do: 'session-limit'; key: number; amount: number | null }
  | { do: 'pass-time'; ms: number }
  | { do: 'delete-key' | 'break' | 'mend' | 'crash' | 'roll-up' };

const share = fc.integer({ min: 0, max: 600 });
const amount = fc.integer({ min: 0, max: 2000 });
const limits: fc.Arbitrary<Limits> = fc.record({
  limitNano: fc.option(amount),
  recurring: fc.option(
    fc.record({ amountNano: amount, every: fc.constantFrom('hour' as const, 'day' as const) }),
  ),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('hold' as const),
      key: fc.nat(2),
      provider: fc.nat(1),
      session: fc.nat(2),
      want: share,
      least: share,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat(50), percent: fc.nat(100) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('correct' as const), which: fc.nat(50), cost: share }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('limit' as const), on: fc.nat(5), limits }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('top-up' as const), key: fc.nat(2), amount }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('session-limit' as const),
      key: fc.nat(2),
      amount: fc.option(amount),
    }),
  },
  // Backwards as well: a clock is set by its person, by the network and by daylight saving in other systems.
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('pass-time' as const),
      ms: fc.integer({ min: -90 * 60_000, max: 120 * 60_000 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'delete-key' as const,
        'break' as const,
        'mend' as const,
        'crash' as const,
        'roll-up' as const,
      ),
    }),
  },
);

const providers = ['prv_one', 'prv_two'];
const sessions = ['session-1', 'session-2'];

test('whatever is held, settled, limited, topped up, deleted, broken, mended or cut off', () => {
  const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const keys = [
      books.newKey({ limitNano: 1000 }),
      books.newKey({ recurring: { amountNano: 700, every: 'hour' } }),
      books.newKey(),
    ];
    books.ledger.setSessionLimit(keys[2] ?? '', 400);
    const deleted = new Set<string>();
    const scopes: Scope[] = [
      ...keys.map((id) => ({ kind: 'key' as const, id })),
      ...providers.map((id) => ({ kind: 'provider' as const, id })),
      { kind: 'global' },
    ];
    /** The folder is the same for all runs of the property: what earlier ones left counts from here. */
    const before = providers.map((id) => books.ledger.balance({ kind: 'provider', id }).usageNano);
    const allBefore = books.ledger.totals().usageNano;
    for (const scope of scopes) if (scope.kind !== 'key') books.ledger.setLimits(scope, noLimit);
    let open: Hold[] = [];
    const settled = new Map<
      number,
      { key: string; provider: string; session: string | null; cost: number }
    >();
    const record = ({ id, keyId: key, providerId: provider, session }: Hold, cost: number) =>
      settled.set(id, { key, provider, session, cost });
    const writable = (yes: boolean) => books.store.db.pragma(`query_only = ${yes ? 'OFF' : 'ON'}`);
    const attempt = (change: () => void) => {
      try {
        change();
      } catch {
        // A change that cannot be written changes nothing; which those are is the broken ledger's.
      }
    };
    const settle = (held: Hold, cost: number) => {
      books.ledger.settle(held, outcome(cost));
      record(held, cost);
    };

    for (const one of steps) {
      if (one.do === 'hold') {
        const keyId = keys[one.key] ?? '';
        const wanted = {
          wantNano: Math.max(one.want, one.least),
          atLeastNano: Math.min(one.want, one.least),
        };
        if (deleted.has(keyId)) continue;
        const providerId = providers[one.provider] ?? '';
        try {
          const session = sessions[one.session] ?? null;
          const result = books.ledger.hold(draft(keyId, { providerId, session }), wanted);
          if ('held' in result) {
            open.push(result.held);
            const room = leastRoom(books.ledger.limiting({ keyId, providerId, session }));
            expect(room ?? 0).toBeGreaterThanOrEqual(0);
          }
        } catch (error) {
          if (books.ledger.problem() === null) throw error;
        }
      } else if (one.do === 'settle') {
        const [held] = open.splice(one.which % Math.max(1, open.length), 1);
        if (held) settle(held, Math.floor((held.amountNano * one.percent) / 100));
      } else if (one.do === 'correct') {
        const [id, row] = [...settled][one.which % Math.max(1, settled.size)] ?? [];
        if (id === undefined || row === undefined) continue;
        attempt(() => {
          if (books.ledger.correct(id, one.cost, 'why')) row.cost = one.cost;
        });
      } else if (one.do === 'limit') {
        const scope = scopes[one.on] ?? { kind: 'global' };
        if (scope.kind === 'key' && deleted.has(scope.id)) continue;
        attempt(() => books.ledger.setLimits(scope, one.limits));
      } else if (one.do === 'top-up') {
        const key = keys[one.key] ?? '';
        if (!deleted.has(key))
          attempt(() => books.ledger.setTopUp(key, one.amount === 0 ? null : one.amount));
      } else if (one.do === 'session-limit') {
        const key = keys[one.key] ?? '';
        if (!deleted.has(key)) attempt(() => books.ledger.setSessionLimit(key, one.amount));
      } else if (one.do === 'roll-up') {
        books.ledger.rollUp();
      } else if (one.do === 'pass-time') {
        books.clock.advance(one.ms);
        books.ledger.endPeriods();
      } else if (one.do === 'delete-key') {
        const [key = ''] = keys;
        attempt(() => {
          books.removeKey(key);
          books.ledger.closeAccount(key);
          deleted.add(key);
        });
      } else if (one.do === 'crash') {
        // What could not be written before a crash is lost with it: the crash comes to a ledger that is well.
        writable(true);
        books.ledger.retry();
        books.reopen();
        for (const held of open) record(held, held.amountNano);
        open = [];
      } else writable(one.do === 'mend');
    }

    writable(true);
    books.ledger.retry();
    for (const held of open) settle(held, held.amountNano);
    expect(books.ledger.problem()).toBeNull();
    expect(books.rows('holds')).toEqual([]);
    const sum = (fits: (row: { key: string; provider: string; session: string | null }) => boolean) =>
      [...settled.values()].filter(fits).reduce((total, { cost }) => total + cost, 0);
    const inBooks = () => ({
      keys: keys.filter((key) => !deleted.has(key)).map((key) => books.ledger.account(key)),
      providers: providers.map((id) => books.ledger.balance({ kind: 'provider', id })),
      global: books.ledger.balance({ kind: 'global' }),
    });
    const expected = {
      keys: keys
        .filter((key) => !deleted.has(key))
        .map((key) => ({ usageNano: sum((row) => row.key === key), heldNano: 0, running: 0 })),
      providers: providers.map((id, index) => ({
        usageNano: (before[index] ?? 0) + sum((row) => row.provider === id),
        heldNano: 0,
        running: 0,
      })),
      global: { usageNano: allBefore + sum(() => true), heldNano: 0, running: 0 },
    };
    expect(inBooks()).toMatchObject(expected);
    // Those that had no limit per session until now start from what is on record.
    const alive = keys.filter((key) => !deleted.has(key));
    for (const key of alive)
      if (books.ledger.account(key)?.sessionLimitNano === null) books.ledger.setSessionLimit(key, 5000);
    const ofSessions = () =>
      alive.flatMap((keyId) =>
        sessions.map((session) => {
          const counted = books.ledger.limiting({ keyId, providerId: '', session });
          return counted.find(({ scope }) => scope.kind === 'session');
        }),
      );
    const expectedOfSessions = alive.flatMap((key) =>
      sessions.map((session) => ({
        usageNano: sum((row) => row.key === key && row.session === session),
        heldNano: 0,
        running: 0,
      })),
    );
    expect(ofSessions()).toMatchObject(expectedOfSessions);
    for (const key of keys) if (!deleted.has(key)) books.expectToBalance(key);
    // What memory says is what the file says.
    const live = inBooks();
    const windows = (state: typeof live) =>
      [...state.keys, ...state.providers, state.global].map(
        // A window that nothing was spent in is not in the file; what counts in it from an earlier one is.
        (balance) => balance?.window && usedIn(balance.window),
      );
    books.reopen();
    expect(inBooks()).toMatchObject(expected);
    expect(windows(inBooks())).toEqual(windows(live));
    expect(ofSessions()).toMatchObject(expectedOfSessions);
  });
  fc.assert(property, { numRuns: 150 });
});

const noLimit: Limits = { limitNano: null, recurring: null };
