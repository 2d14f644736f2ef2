/** One number: whatever happens to rows, the sums by time, group and session equal the rows, and the keys' totals. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Hold } from '../../../electron/gateway/ledger/ledger.ts';
import { createUsage, type Usage } from '../../../electron/gateway/reports/usage.ts';
import { booksForEachTest, outcome } from '../../support/ledger.ts';

const books = booksForEachTest();
const zone = process.env['TZ'];

afterEach(() => {
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
});

const usageNow = (): Usage =>
  createUsage(
    books.store,
    () => books.ledger.rollUp(),
    () => books.clock.now(),
  );
const always = { from: '2000-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z' };

const zones = ['UTC', 'Asia/Kathmandu', 'America/St_Johns', 'Pacific/Auckland'] as const;
const clients = ['claude-code', 'codex', null] as const;
const models = ['gpt-4o-mini', 'claude-haiku-4-5'] as const;

type Step =
  | { do: 'hold'; key: number; client: number; session: number; agent: boolean; model: number }
  | { do: 'settle'; which: number; cost: number | null; status: number; estimated: boolean }
  | { do: 'correct'; which: number; cost: number }
  | { do: 'pass-time'; hours: number }
  | { do: 'move'; zone: number }
  | { do: 'roll-up' | 'crash' | 'break' | 'mend' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('hold' as const),
      key: fc.nat(1),
      client: fc.nat(2),
      session: fc.nat(3),
      agent: fc.boolean(),
      model: fc.nat(1),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat(50),
      cost: fc.option(fc.nat(1000)),
      status: fc.constantFrom(200, 200, 429, 0),
      estimated: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('correct' as const), which: fc.nat(50), cost: fc.nat(1000) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass-time' as const), hours: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('move' as const), zone: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'roll-up' as const,
        'roll-up' as const,
        'crash' as const,
        'break' as const,
        'mend' as const,
      ),
    }),
  },
);

test('after any sequence of events', () => {
  const property = fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
    const keys = [books.newKey(), books.newKey()];
    let open: Hold[] = [];
    const writable = (yes: boolean) => books.store.db.pragma(`query_only = ${yes ? 'OFF' : 'ON'}`);
    for (const one of steps) {
      if (one.do === 'hold') {
        const sender = {
          client: clients[one.client] ?? null,
          session: one.session === 0 ? null : `s${one.session}`,
          agent: one.agent && one.session > 0 ? 'a' : null,
        };
        open.push(books.hold(keys[one.key] ?? '', 100, { ...sender, model: models[one.model] ?? '' }));
      } else if (one.do === 'settle') {
        const [held] = open.splice(one.which % Math.max(1, open.length), 1);
        const more = {
          status: one.status,
          savedNano: one.cost,
          flags: one.estimated ? (['estimated'] as const) : [],
        };
        if (held) books.ledger.settle(held, outcome(one.cost, { ...more, model: held.model }));
      } else if (one.do === 'correct') {
        const rows = books.rows('requests');
        const id = rows[one.which % Math.max(1, rows.length)]?.['id'];
        if (typeof id === 'number' && books.ledger.problem() === null) {
          writable(true);
          books.ledger.correct(id, one.cost, 'r');
        }
      } else if (one.do === 'pass-time') books.clock.advance(one.hours * 3_600_000);
      else if (one.do === 'roll-up') books.ledger.rollUp();
      else if (one.do === 'crash' || one.do === 'move') {
        // A process keeps the zone it was started in.
        if (one.do === 'move') process.env['TZ'] = zones[one.zone] ?? 'UTC';
        writable(true);
        books.ledger.retry();
        books.reopen();
        open = [];
      } else writable(one.do === 'mend');
    }
    writable(true);
    books.ledger.retry();
    expectOneNumber(keys);
    // What was still running is counted as well, once it ends.
    for (const held of open) books.ledger.settle(held, outcome(7, { model: held.model }));
    expectOneNumber(keys);
  });
  fc.assert(property, { numRuns: 40 });
  expect(books.rows('usage_open')).toEqual([]);
});

/** Sums of the rows themselves, by an expression over them. */
function fromRows(group: string, where = 'TRUE'): Map<string, number[]> {
  const rows = books.store.db
    .prepare<[], [string, ...number[]]>(
      `SELECT ${group}, count(*), sum(coalesce(cost_nano, 0)), sum(cost_nano IS NULL), sum(input_tokens),
         sum(status NOT BETWEEN 200 AND 299), sum(instr(flags, 'estimated') > 0), sum(cost_own_key_nano),
         sum(coalesce(saved_nano, 0)) FROM requests WHERE ${where} GROUP BY 1`,
    )
    .raw()
    .all();
  return new Map(rows.map(([name, ...sums]) => [name, sums]));
}

interface Summed {
  requests: number;
  costNano: number;
  unpricedRequests: number;
  inputTokens: number;
  errors: number;
  estimatedRequests: number;
  costOwnKeyNano: number;
  savedNano: number;
}
const numbers = (one: Summed) => [
  one.requests,
  one.costNano,
  one.unpricedRequests,
  one.inputTokens,
  one.errors,
  one.estimatedRequests,
  one.costOwnKeyNano,
  one.savedNano,
];

function expectOneNumber(keys: readonly string[]): void {
  const usage = usageNow();
  const summed = (groupBy: Parameters<Usage['summary']>[0]['groupBy']) =>
    new Map(usage.summary({ ...always, groupBy }).map((one) => [one.group, numbers(one)]));
  const columns = {
    key: 'key_id',
    model: 'model',
    provider: 'provider',
    client: "coalesce(client, '')",
    day: localDay(),
  };
  for (const groupBy of ['key', 'model', 'provider', 'client', 'day'] as const)
    expect(summed(groupBy), groupBy).toEqual(fromRows(columns[groupBy]));
  for (const groupBy of ['session', 'agent'] as const)
    expect(summed(groupBy), groupBy).toEqual(fromRows(`coalesce(${groupBy}, '')`, 'session IS NOT NULL'));
  const sessions = new Map(
    usage.sessions({ limit: 200 }).sessions.map((one) => [`${one.keyId} ${one.session}`, numbers(one)]),
  );
  expect(sessions).toEqual(fromRows("key_id || ' ' || session", 'session IS NOT NULL'));
  for (const key of keys) {
    const account = books.ledger.account(key);
    expect(summed('key').get(key)?.slice(0, 3) ?? [0, 0, 0]).toEqual([
      account?.requests,
      account?.usageNano,
      account?.unpricedRequests,
    ]);
    books.expectToBalance(key);
  }
  const totals = books.ledger.totals();
  const today = new Date(books.clock.now());
  const since = (start: Date) =>
    usage
      .summary({ from: start.toISOString(), to: always.to, groupBy: 'key' })
      .reduce((sum, { costNano }) => sum + costNano, 0);
  expect(totals.todayNano).toBe(since(new Date(today.getFullYear(), today.getMonth(), today.getDate())));
  expect(totals.monthNano).toBe(since(new Date(today.getFullYear(), today.getMonth(), 1)));
}

/** As SQLite says it, which follows the zone of the process. */
function localDay(): string {
  return `strftime('%Y-%m-%d', at / 1000 + ${-new Date(books.clock.now()).getTimezoneOffset() * 60}, 'unixepoch')`;
}

describe('any part of the time', () => {
  test('is summed to the millisecond, whatever the zone', () => {
    const key = books.newKey();
    for (const name of ['Asia/Kathmandu', 'America/New_York']) {
      process.env['TZ'] = name;
      // Over the end of summer time in New York, and a month.
      books.clock.set('2026-10-28T00:00:00Z');
      for (let index = 0; index < 60; index += 1) {
        books.spend(key, 1 + index, { session: `${name}${index % 7}` });
        books.clock.advance(3.7 * 3_600_000);
      }
    }
    const rows = books.rows('requests').map(({ at, cost_nano }) => [Number(at), Number(cost_nano)] as const);
    const usage = usageNow();
    const instants = rows.flatMap(([at]) => [at, at + 1]);
    const range = fc.tuple(fc.constantFrom(...instants), fc.constantFrom(...instants));
    const property = fc.property(range, ([a, b]) => {
      const [from, to] = [new Date(Math.min(a, b)).toISOString(), new Date(Math.max(a, b)).toISOString()];
      const expected = rows.reduce(
        (sum, [at, cost]) => sum + (at >= Math.min(a, b) && at < Math.max(a, b) ? cost : 0),
        0,
      );
      const sum = (list: { costNano: number }[]) => list.reduce((total, { costNano }) => total + costNano, 0);
      for (const groupBy of ['key', 'session', 'hour', 'day', 'week', 'month'] as const)
        expect([groupBy, sum(usage.summary({ from, to, groupBy }))]).toEqual([groupBy, expected]);
      expect(sum(usage.series({ from, to, every: 'day', by: 'model' }))).toBe(expected);
    });
    fc.assert(property, { numRuns: 30 });
  });

  test('a day that has 25 hours is one day, and its hour that occurs twice is two', () => {
    process.env['TZ'] = 'America/New_York';
    const key = books.newKey();
    for (const at of [
      '2026-11-01T04:30:00Z',
      '2026-11-01T05:30:00Z',
      '2026-11-01T06:30:00Z',
      '2026-11-02T04:59:00Z',
    ]) {
      books.clock.set(at);
      books.spend(key, 1);
    }
    const usage = usageNow();
    expect(usage.summary({ ...always, groupBy: 'day' })).toMatchObject([
      { group: '2026-11-01', requests: 4 },
    ]);
    expect(usage.summary({ ...always, groupBy: 'hour' }).map(({ group }) => group)).toEqual([
      '2026-11-01T00:00-04:00',
      '2026-11-01T01:00-04:00',
      '2026-11-01T01:00-05:00',
      '2026-11-01T23:00-05:00',
    ]);
    expect(usage.series({ ...always, every: 'month', by: 'none' })).toMatchObject([
      { at: '2026-11-01T04:00:00.000Z', group: '', requests: 4, costNano: 4 },
    ]);
    expect(usage.sparklines({ days: 3 })).toEqual([{ keyId: key, costNano: [0, 0, 4] }]);
  });
});

test('a session has its agents apart, and pages go on where the last one ended', () => {
  const key = books.newKey();
  for (const [session, agent, cost] of [
    ['one', null, 5],
    ['one', 'helper', 70],
    ['one', 'other', 9],
    ['two', null, 3],
    ['three', null, 2],
  ] as const) {
    books.clock.advance(1000);
    books.spend(key, cost, { client: 'claude-code', session, agent, parentAgent: agent && 'main' });
  }
  const usage = usageNow();
  const first = usage.sessions({ limit: 2 });
  expect(first.sessions.map(({ session }) => session)).toEqual(['three', 'two']);
  const second = usage.sessions({ limit: 2, before: first.next });
  expect(second).toMatchObject({
    sessions: [
      {
        session: 'one',
        client: 'claude-code',
        keyId: key,
        costNano: 84,
        requests: 3,
        agents: [
          { agent: 'helper', parentAgent: 'main', costNano: 70 },
          { agent: 'other', costNano: 9 },
        ],
      },
    ],
    next: null,
  });
  expect(usage.sessions({ limit: 9, client: 'codex' }).sessions).toEqual([]);
  expect(usage.sessions({ limit: 9, session: 'two' }).sessions).toHaveLength(1);
});

test('a request whose process died still belongs to its session', () => {
  const key = books.newKey();
  const sender = { client: 'codex', session: 's', agent: 't', parentAgent: null };
  books.hold(key, 40, sender);
  // A later one is in the sums before the process dies.
  books.spend(key, 2, sender);
  books.ledger.rollUp();
  books.reopen();
  expect(usageNow().sessions({ limit: 9 }).sessions).toMatchObject([
    { session: 's', client: 'codex', requests: 2, costNano: 42, agents: [{ agent: 't', requests: 2 }] },
  ]);
  const stored = { client: 'codex', session: 's', agent: 't', parent_agent: null };
  expect(books.rows('requests')).toMatchObject([stored, stored]);
});
