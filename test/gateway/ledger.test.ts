/** The ledger over real files: every hold is settled once, sums are those of the rows, and what fails, fails closed. */
import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Billing } from '#shared/model.ts';
import { createAdmission } from '../../electron/gateway/admission.ts';
import { createKeys } from '../../electron/gateway/keys.ts';
import {
  createLedger,
  LedgerUnavailable,
  type Hold,
  type HoldDraft,
  type Ledger,
  type Outcome,
} from '../../electron/gateway/ledger.ts';
import type { Limits } from '../../electron/gateway/limits.ts';
import { openStore, type Store } from '../../electron/gateway/store.ts';
import { fakeClock, temporaryFolder, usd } from '../support/gateway.ts';

const noLimits: Limits = { limitNano: null, recurring: null };
const clock = fakeClock('2026-11-18T10:00:00Z');
const seen = { problems: 0, freed: [] as string[] };

let folder: string;
let store: Store;
let ledger: Ledger;
let wake: (keyId: string) => void = () => {};

function open(): void {
  store = openStore(folder);
  ledger = createLedger(store, () => clock.now(), {
    changed: () => {},
    freed(keyId) {
      seen.freed.push(keyId);
      wake(keyId);
    },
    settled: () => {},
    problemChanged: () => (seen.problems += 1),
  });
}

/** As a crash: the file is closed as it is, with its holds. */
function reopen(): void {
  store.close();
  open();
}

beforeEach(() => {
  folder = temporaryFolder();
  clock.set('2026-11-18T10:00:00Z');
  Object.assign(seen, { problems: 0, freed: [] });
  wake = () => {};
  open();
});

afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

function newKey(limits: Partial<Limits> = {}): string {
  const keys = createKeys(store, () => clock.now());
  const { key } = keys.create({ name: 'k', expiresAt: null, limits: { ...noLimits, ...limits } });
  ledger.openAccount(key.id);
  return key.id;
}

const draft = (keyId: string, more: Partial<HoldDraft> = {}): HoldDraft => ({
  keyId,
  provider: 'openai',
  billing: 'own-key',
  dialect: 'openai-chat',
  model: 'gpt-4o-mini',
  stream: false,
  price: '{"source":"test"}',
  ...more,
});

function hold(keyId: string, amount: number, more: Partial<HoldDraft> = {}, atLeast = amount): Hold {
  const result = ledger.hold(draft(keyId, more), { wantNano: amount, atLeastNano: atLeast });
  if (!('held' in result)) throw new Error(`refused: ${result.refused}`);
  return result.held;
}

const outcome = (costNano: number | null, more: Partial<Outcome> = {}): Outcome => ({
  model: 'gpt-4o-mini',
  status: 200,
  usage: {
    inputTokens: 10,
    cachedInputTokens: 4,
    cacheWriteTokens: 0,
    cacheWrite1hTokens: 0,
    outputTokens: 7,
    reasoningTokens: 2,
    webSearches: 0,
  },
  costNano,
  ownKeyNano: 0,
  reportedCostNano: null,
  computedCostNano: costNano,
  priceSource: 'test',
  price: null,
  flags: [],
  firstByteMs: null,
  durationMs: 5,
  ...more,
});

function spend(
  keyId: string,
  cost: number | null,
  more: Partial<HoldDraft> = {},
  ended: Partial<Outcome> = {},
): number {
  const held = hold(keyId, cost ?? 0, more);
  ledger.settle(held, outcome(cost, ended));
  return held.id;
}

const rows = (table: string) =>
  store.db.prepare<[], Record<string, unknown>>(`SELECT * FROM ${table} ORDER BY rowid`).all();
const holds = () => rows('holds');

/** Everything that admission reads equals what the file says: SQLite is the truth, memory its mirror. */
function expectBooksToBalance(keyId: string): void {
  const account = ledger.account(keyId);
  const sums = store.db
    .prepare(
      `SELECT coalesce(sum(cost_nano), 0) AS usageNano, coalesce(sum(cost_own_key_nano), 0) AS usageOwnKeyNano,
         coalesce(sum(coalesce(cost_nano, 0) - cost_own_key_nano), 0) AS usageCreditsNano, count(*) AS requests,
         coalesce(sum(cost_nano IS NULL), 0) AS unpricedRequests, coalesce(sum(input_tokens), 0) AS inputTokens,
         coalesce(sum(output_tokens), 0) AS outputTokens FROM requests WHERE key_id = ?`,
    )
    .get(keyId);
  expect(account).toMatchObject(sums as object);
  const stored = store.db
    .prepare(
      `SELECT usage_credits_nano AS usageCreditsNano, usage_own_key_nano AS usageOwnKeyNano, requests,
         unpriced_requests AS unpricedRequests, input_tokens AS inputTokens, output_tokens AS outputTokens
       FROM keys WHERE id = ?`,
    )
    .get(keyId);
  expect(account).toMatchObject(stored as object);
}

describe('a hold', () => {
  test('is in the file before the request is sent, and gone with its settlement', () => {
    const key = newKey();
    const held = hold(key, usd('0.25'));
    expect(holds()).toMatchObject([
      { id: held.id, key_id: key, amount_nano: usd('0.25'), model: 'gpt-4o-mini' },
    ]);
    expect(ledger.account(key)).toMatchObject({ heldNano: usd('0.25'), running: 1, usageNano: 0 });
    ledger.settle(held, outcome(usd('0.10')));
    expect(holds()).toEqual([]);
    expect(ledger.account(key)).toMatchObject({
      heldNano: 0,
      running: 0,
      usageNano: usd('0.10'),
      requests: 1,
    });
    expectBooksToBalance(key);
  });

  test('is settled once, however often it is tried', () => {
    const key = newKey();
    const held = hold(key, 1000);
    ledger.settle(held, outcome(700));
    ledger.settle(held, outcome(900));
    expect(rows('requests')).toHaveLength(1);
    expect(ledger.account(key)).toMatchObject({ usageNano: 700, heldNano: 0, running: 0 });
    expectBooksToBalance(key);
  });

  test('fits exactly into what is left, and not into a nano-dollar less', () => {
    const key = newKey({ limitNano: 1000 });
    spend(key, 400);
    hold(key, 100);
    expect(ledger.hold(draft(key), { wantNano: 501, atLeastNano: 501 })).toMatchObject({ refused: 'busy' });
    expect(hold(key, 500).amountNano).toBe(500);
  });

  test('takes all that is left where that is useful still', () => {
    const key = newKey({ limitNano: 1000 });
    spend(key, 400);
    expect(hold(key, 5000, {}, 600).amountNano).toBe(600);
  });

  test('is refused as short where nobody else holds the money, as reached where it is spent', () => {
    const key = newKey({ limitNano: 1000 });
    spend(key, 400);
    expect(ledger.hold(draft(key), { wantNano: 700, atLeastNano: 700 })).toMatchObject({
      refused: 'short',
      limit: { limitNano: 1000, usedNano: 400, roomNano: 600 },
    });
    spend(key, 600);
    expect(ledger.hold(draft(key), { wantNano: 0, atLeastNano: 0 })).toMatchObject({ refused: 'reached' });
  });

  test('is refused by a limit of zero even where it is for nothing', () => {
    const key = newKey({ limitNano: 0 });
    expect(ledger.hold(draft(key), { wantNano: 0, atLeastNano: 0 })).toMatchObject({ refused: 'reached' });
  });

  test('has to fit into both limits of a key', () => {
    const key = newKey({ limitNano: 10_000, recurring: { amountNano: 500, every: 'day' } });
    expect(ledger.hold(draft(key), { wantNano: 501, atLeastNano: 501 })).toMatchObject({
      refused: 'short',
      limit: { limitNano: 500, recurring: { every: 'day' } },
    });
    spend(key, 500);
    expect(ledger.hold(draft(key), { wantNano: 1, atLeastNano: 1 })).toMatchObject({
      refused: 'reached',
      limit: { recurring: { every: 'day' } },
    });
  });

  test('that is left by a crash is settled in full at the next start, and flagged', () => {
    const key = newKey({ limitNano: usd('1'), recurring: { amountNano: usd('1'), every: 'day' } });
    spend(key, usd('0.10'));
    hold(key, usd('0.30'), { stream: true });
    const unpriced = hold(key, 0, { price: null });
    const free = hold(key, 0, { billing: 'free', price: '{"source":"free"}' });
    clock.advance(60_000);
    reopen();
    expect(holds()).toEqual([]);
    expect(ledger.account(key)).toMatchObject({
      usageNano: usd('0.40'),
      heldNano: 0,
      running: 0,
      requests: 4,
      unpricedRequests: 1,
      window: { usedNano: usd('0.40') },
    });
    const recovered = rows('requests').filter(({ status }) => status === 0);
    expect(recovered).toMatchObject([
      { cost_nano: usd('0.30'), flags: 'estimated,interrupted', stream: 1, held_nano: usd('0.30') },
      { id: unpriced.id, cost_nano: null, flags: 'unpriced,interrupted' },
      { id: free.id, cost_nano: 0 },
    ]);
    expectBooksToBalance(key);
  });

  test('of a key deleted since is settled at the next start too', () => {
    const key = newKey();
    hold(key, 500);
    createKeys(store, () => clock.now()).remove(key);
    reopen();
    expect(holds()).toEqual([]);
    expect(rows('requests')).toMatchObject([{ key_id: key, cost_nano: 500 }]);
    expect(rows('keys')).toMatchObject([{ usage_own_key_nano: 500, requests: 1 }]);
  });

  test('never has the id of an older hold or row, not even after a restart', () => {
    const key = newKey();
    const first = spend(key, 1);
    const second = hold(key, 1).id;
    reopen();
    const third = hold(key, 1).id;
    expect([first, second, third]).toEqual([first, first + 1, first + 2]);
  });
});

describe('the totals', () => {
  test('are the sums of the rows, in memory, in the file and after a restart', () => {
    const key = newKey({ recurring: { amountNano: usd('100'), every: 'month' } });
    const other = newKey();
    for (let index = 1; index <= 20; index += 1) spend(index % 3 === 0 ? other : key, index * 37 + 1);
    spend(key, null);
    const before = [ledger.account(key), ledger.account(other), ledger.totals()];
    expectBooksToBalance(key);
    expectBooksToBalance(other);
    reopen();
    expect([ledger.account(key), ledger.account(other), ledger.totals()]).toEqual(before);
  });

  test.each<[Billing, { reportedOwn: number; credits: number; own: number; cost: number }]>([
    ['own-key', { reportedOwn: 0, credits: 0, own: 900, cost: 900 }],
    ['own-key', { reportedOwn: 300, credits: 0, own: 900, cost: 900 }],
    ['credits', { reportedOwn: 0, credits: 900, own: 0, cost: 900 }],
    ['credits', { reportedOwn: 300, credits: 600, own: 300, cost: 900 }],
    ['credits', { reportedOwn: 5000, credits: 0, own: 900, cost: 900 }],
    ['free', { reportedOwn: 300, credits: 0, own: 0, cost: 0 }],
  ])(
    'of %s split a cost into what was paid from credits and what ran on the own key: %o',
    (billing, expected) => {
      const key = newKey();
      spend(key, 900, { billing }, { ownKeyNano: expected.reportedOwn });
      expect(ledger.account(key)).toMatchObject({
        usageNano: expected.cost,
        usageCreditsNano: expected.credits,
        usageOwnKeyNano: expected.own,
      });
      expectBooksToBalance(key);
    },
  );

  test('of today and of the month begin anew with the day and the month', () => {
    const key = newKey();
    clock.set('2026-11-29T12:00:00');
    spend(key, 100);
    clock.set('2026-11-30T12:00:00');
    spend(key, 10);
    expect(ledger.totals()).toMatchObject({ todayNano: 10, monthNano: 110, usageNano: 110 });
    clock.set('2026-12-01T00:00:00');
    expect(ledger.totals()).toMatchObject({ todayNano: 0, monthNano: 0, usageNano: 110 });
    spend(key, 1);
    reopen();
    expect(ledger.totals()).toMatchObject({ todayNano: 1, monthNano: 1, usageNano: 111 });
  });

  test('count an unpriced request without giving it a cost', () => {
    const key = newKey();
    spend(key, null, {}, { flags: ['unpriced'] });
    expect(ledger.account(key)).toMatchObject({
      usageNano: 0,
      requests: 1,
      unpricedRequests: 1,
      inputTokens: 10,
    });
    expect(rows('requests')).toMatchObject([{ cost_nano: null, flags: 'unpriced' }]);
  });
});

describe('the window of a recurring limit', () => {
  const daily = (amountNano: number): Partial<Limits> => ({ recurring: { amountNano, every: 'day' } });

  test('is used up by settled requests and empty again with the next day, the all-time usage staying', () => {
    clock.set('2026-11-18T23:00:00');
    const key = newKey(daily(1000));
    spend(key, 1000);
    expect(ledger.hold(draft(key), { wantNano: 1, atLeastNano: 1 })).toMatchObject({ refused: 'reached' });
    clock.set('2026-11-18T23:59:59.999');
    expect(ledger.hold(draft(key), { wantNano: 1, atLeastNano: 1 })).toMatchObject({ refused: 'reached' });
    clock.set('2026-11-19T00:00:00');
    expect(ledger.account(key)).toMatchObject({ usageNano: 1000, window: { usedNano: 0 } });
    spend(key, 300);
    expect(ledger.account(key)).toMatchObject({ usageNano: 1300, window: { usedNano: 300 } });
  });

  test('counts a request that began before the reset in the window it was settled in', () => {
    clock.set('2026-11-18T23:59:00');
    const key = newKey(daily(1000));
    const held = hold(key, 800);
    clock.set('2026-11-19T00:01:00');
    expect(ledger.hold(draft(key), { wantNano: 300, atLeastNano: 300 })).toMatchObject({ refused: 'busy' });
    ledger.settle(held, outcome(700));
    expect(ledger.account(key)?.window?.usedNano).toBe(700);
  });

  test('is known after a restart, and empty where it ended meanwhile', () => {
    clock.set('2026-11-18T12:00:00');
    const key = newKey(daily(1000));
    spend(key, 600);
    reopen();
    expect(ledger.account(key)?.window?.usedNano).toBe(600);
    clock.set('2026-11-20T12:00:00');
    reopen();
    expect(ledger.account(key)?.window?.usedNano).toBe(0);
  });

  test('stays as it is where the clock is set back', () => {
    clock.set('2026-11-18T12:00:00');
    const key = newKey(daily(1000));
    spend(key, 600);
    clock.set('2026-11-17T12:00:00');
    expect(ledger.account(key)?.window?.usedNano).toBe(600);
    reopen();
    expect(ledger.account(key)?.window?.usedNano).toBe(600);
  });

  test('keeps what is used when the amount is changed, and is emptied when the period is', () => {
    const key = newKey(daily(1000));
    spend(key, 600);
    ledger.setLimits(key, { limitNano: null, ...daily(5000) } as Limits);
    expect(ledger.account(key)?.window?.usedNano).toBe(600);
    ledger.setLimits(key, { limitNano: null, recurring: { amountNano: 5000, every: 'hour' } });
    expect(ledger.account(key)?.window?.usedNano).toBe(0);
    reopen();
    expect(ledger.account(key)).toMatchObject({
      usageNano: 600,
      recurring: { every: 'hour' },
      window: { usedNano: 0 },
    });
    ledger.setLimits(key, noLimits);
    expect(ledger.account(key)).toMatchObject({ recurring: null, window: null });
  });
});

describe('setting limits', () => {
  test('is on file at once and wakes whoever waits', () => {
    const key = newKey({ limitNano: 100 });
    ledger.setLimits(key, { limitNano: 250, recurring: null });
    expect(seen.freed).toEqual([key]);
    expect(rows('keys')).toMatchObject([{ limit_nano: 250 }]);
    expect(hold(key, 250).amountNano).toBe(250);
  });

  test('below what is spent and held refuses new requests and keeps the hold', () => {
    const key = newKey({ limitNano: 1000 });
    spend(key, 300);
    const held = hold(key, 500);
    ledger.setLimits(key, { limitNano: 200, recurring: null });
    expect(ledger.hold(draft(key), { wantNano: 1, atLeastNano: 1 })).toMatchObject({ refused: 'reached' });
    ledger.settle(held, outcome(450));
    expect(ledger.account(key)).toMatchObject({ usageNano: 750, heldNano: 0 });
    expectBooksToBalance(key);
  });
});

describe('a correction', () => {
  test('changes the row, every total and the window, and is kept beside the row', () => {
    const key = newKey({ recurring: { amountNano: 10_000, every: 'day' } });
    const id = spend(key, 900, {}, { flags: ['estimated', 'interrupted'] });
    const row = ledger.correct(id, 350, 'as on the invoice');
    expect(row).toMatchObject({
      costNano: 350,
      computedCostNano: 900,
      flags: ['estimated', 'interrupted', 'corrected'],
    });
    expect(ledger.account(key)).toMatchObject({
      usageNano: 350,
      usageOwnKeyNano: 350,
      window: { usedNano: 350 },
    });
    expect(ledger.totals()).toMatchObject({ usageNano: 350, todayNano: 350, monthNano: 350 });
    expect(rows('corrections')).toEqual([
      {
        request_id: id,
        at: clock.now(),
        cost_before_nano: 900,
        cost_after_nano: 350,
        reason: 'as on the invoice',
      },
    ]);
    expectBooksToBalance(key);
    reopen();
    expect(ledger.account(key)).toMatchObject({ usageNano: 350, window: { usedNano: 350 } });
  });

  test('gives an unpriced row its cost', () => {
    const key = newKey();
    const id = spend(key, null, { billing: 'credits' }, { flags: ['unpriced'] });
    expect(ledger.correct(id, 42, 'looked up')).toMatchObject({ costNano: 42, flags: ['corrected'] });
    expect(ledger.account(key)).toMatchObject({ usageNano: 42, usageCreditsNano: 42, unpricedRequests: 0 });
    expectBooksToBalance(key);
  });

  test('can be corrected again, back and forth, without leaving a trace in the sums', () => {
    const key = newKey();
    const id = spend(key, 900, { billing: 'credits' }, { ownKeyNano: 200 });
    ledger.correct(id, 0, 'free after all');
    ledger.correct(id, 900, 'was right');
    expect(ledger.account(key)?.usageNano).toBe(900);
    expect(rows('corrections')).toHaveLength(2);
    expectBooksToBalance(key);
  });

  test('of a row from before the window leaves the window alone', () => {
    clock.set('2026-11-17T12:00:00');
    const key = newKey({ recurring: { amountNano: 10_000, every: 'day' } });
    const id = spend(key, 900);
    clock.set('2026-11-18T12:00:00');
    spend(key, 100);
    ledger.correct(id, 100, 'too much');
    expect(ledger.account(key)).toMatchObject({ usageNano: 200, window: { usedNano: 100 } });
  });

  test('of a row the window never counted does not make room in it', () => {
    const key = newKey();
    const early = [spend(key, 900), spend(key, 900)];
    clock.advance(1000);
    ledger.setLimits(key, { limitNano: null, recurring: { amountNano: 1000, every: 'day' } });
    spend(key, 500);
    ledger.correct(early[0] ?? 0, 100, 'too much');
    expect(ledger.account(key)).toMatchObject({ usageNano: 1500, window: { usedNano: 500 } });
    reopen();
    ledger.correct(early[1] ?? 0, 100, 'too much');
    expect(ledger.account(key)).toMatchObject({ usageNano: 700, window: { usedNano: 500 } });
  });

  test('frees money for whoever waits', () => {
    const key = newKey({ limitNano: 1000 });
    const id = spend(key, 1000);
    seen.freed = [];
    ledger.correct(id, 0, 'refunded');
    expect(seen.freed).toEqual([key]);
    expect(hold(key, 1000).amountNano).toBe(1000);
  });

  test('of a row that does not exist is nothing', () => {
    expect(ledger.correct(4711, 5, 'typo')).toBeNull();
    expect(rows('corrections')).toEqual([]);
  });

  test('of a deleted key’s row counts with that key', () => {
    const key = newKey();
    const id = spend(key, 900);
    createKeys(store, () => clock.now()).remove(key);
    ledger.closeAccount(key);
    expect(ledger.correct(id, 400, 'too much')).toMatchObject({ costNano: 400 });
    expect(rows('keys')).toMatchObject([{ usage_own_key_nano: 400 }]);
  });
});

describe('a ledger that cannot be written', () => {
  const breakIt = () => store.db.pragma('query_only = ON');
  const mendIt = () => store.db.pragma('query_only = OFF');

  test('refuses requests on limited keys, says why, and serves them again once it is mended', () => {
    const key = newKey({ limitNano: 1000 });
    breakIt();
    expect(() => hold(key, 10)).toThrow(LedgerUnavailable);
    expect(ledger.problem()).toMatch(/cannot be written/);
    expect(seen.problems).toBe(1);
    expect(ledger.account(key)).toMatchObject({ heldNano: 0, running: 0 });
    ledger.retry();
    expect(ledger.problem()).not.toBeNull();
    mendIt();
    ledger.retry();
    expect(ledger.problem()).toBeNull();
    expect(seen.problems).toBe(2);
    expect(hold(key, 10).amountNano).toBe(10);
  });

  test('serves keys without a limit and writes their usage down when it can', () => {
    const key = newKey();
    breakIt();
    const held = hold(key, 10);
    ledger.settle(held, outcome(7));
    expect(ledger.problem()).not.toBeNull();
    expect(ledger.account(key)).toMatchObject({ heldNano: 10, running: 1, usageNano: 0 });
    mendIt();
    ledger.retry();
    expect(ledger.problem()).toBeNull();
    expect(ledger.account(key)).toMatchObject({ heldNano: 0, running: 0, usageNano: 7, requests: 1 });
    expectBooksToBalance(key);
  });

  test('keeps a hold until its settlement is written, in the order the requests ended', () => {
    const key = newKey({ limitNano: 1000 });
    const [first, second] = [hold(key, 400), hold(key, 300)];
    breakIt();
    ledger.settle(second, outcome(200, { model: 'second' }));
    ledger.settle(first, outcome(100, { model: 'first' }));
    ledger.settle(first, outcome(999));
    expect(ledger.account(key)).toMatchObject({ heldNano: 700, usageNano: 0 });
    mendIt();
    // The next request is what finds out that the ledger is well again.
    expect(hold(key, 700).amountNano).toBe(700);
    expect(ledger.account(key)).toMatchObject({ heldNano: 700, usageNano: 300, requests: 2 });
    expect(rows('requests')).toMatchObject([{ model: 'first' }, { model: 'second' }]);
    expectBooksToBalance(key);
  });

  test('does not keep the gateway from starting with what a crash has left behind', () => {
    const key = newKey({ limitNano: 1000 });
    hold(key, 400);
    store.close();
    store = openStore(folder);
    breakIt();
    ledger = createLedger(store, () => clock.now(), {
      changed: () => {},
      freed: () => {},
      settled: () => {},
      problemChanged: () => {},
    });
    expect(ledger.problem()).toMatch(/cannot be written/);
    expect(ledger.account(key)).toMatchObject({ heldNano: 400, usageNano: 0 });
    expect(() => hold(key, 10)).toThrow(LedgerUnavailable);
    mendIt();
    expect(hold(key, 600).amountNano).toBe(600);
    expect(ledger.account(key)).toMatchObject({ heldNano: 600, usageNano: 400, requests: 1 });
    expectBooksToBalance(key);
  });

  test('is not what a cost is that no sum can hold: that request alone is refused its settlement', () => {
    const [key, other] = [newKey(), newKey({ limitNano: 1000 })];
    spend(key, Number.MAX_SAFE_INTEGER);
    const held = hold(key, 500);
    expect(() => ledger.settle(held, outcome(1))).toThrow(RangeError);
    expect(ledger.problem()).toBeNull();
    expect(ledger.account(key)).toMatchObject({ heldNano: 500, running: 1, requests: 1 });
    spend(other, 700);
    ledger.settle(held, outcome(0));
    expect(holds()).toEqual([]);
    expectBooksToBalance(key);
    expectBooksToBalance(other);
  });

  test('on a full disk names the disk', () => {
    const key = newKey({ limitNano: usd('1') });
    const pages = Number(store.db.pragma('page_count', { simple: true }));
    store.db.pragma(`max_page_count = ${pages}`);
    const large = { price: 'x'.repeat(200_000) };
    expect(() => hold(key, 10, large)).toThrow(/disk is full.*Free some space/);
    expect(ledger.problem()).toMatch(/disk is full/);
    store.db.pragma('max_page_count = 1000000');
    ledger.retry();
    expect(hold(key, 10, large).amountNano).toBe(10);
  });

  test('changes no limit it cannot write', () => {
    const key = newKey({ limitNano: 1000 });
    breakIt();
    expect(() => ledger.setLimits(key, noLimits)).toThrow(/readonly/);
    expect(ledger.account(key)?.limitNano).toBe(1000);
    mendIt();
  });

  test('lets those who wait go on when it is mended', async () => {
    const key = newKey({ limitNano: 1000 });
    const row = createKeys(store, () => clock.now()).get(key);
    if (!row) throw new Error('no key');
    const admission = createAdmission(ledger, { waitMs: 60_000, now: () => clock.now() });
    wake = admission.wake;
    const held = hold(key, 1000);
    const bound = { fixedNano: 600, outputTokens: 0, outputRate: 0, choices: 1 };
    const waiting = admission.admit(row, draft(key), bound, new AbortController().signal);
    breakIt();
    ledger.settle(held, outcome(300));
    mendIt();
    ledger.retry();
    await expect(waiting).resolves.toMatchObject({ hold: { amountNano: 600 }, clampTo: null });
    expect(ledger.problem()).toBeNull();
    expect(ledger.account(key)).toMatchObject({ usageNano: 300, heldNano: 600, running: 1 });
    expect(rows('requests')).toHaveLength(1);
  });
});
