/** The ledger over real files: every hold is settled once, and sums are those of the rows. */
import { describe, expect, test } from 'vitest';
import type { Billing } from '#shared/model.ts';
import type { Limits } from '../../../electron/gateway/config/limits.ts';
import { usd } from '../../support/gateway.ts';
import { booksForEachTest, draft, noLimits, outcome } from '../../support/ledger.ts';

const books = booksForEachTest();
const { clock, seen, reopen, newKey, removeKey, hold, spend, rows } = books;

describe('a hold', () => {
  test('is in the file before the request is sent, and gone with its settlement', () => {
    const key = newKey();
    const held = hold(key, usd('0.25'));
    expect(rows('holds')).toMatchObject([
      { id: held.id, key_id: key, amount_nano: usd('0.25'), model: 'gpt-4o-mini' },
    ]);
    expect(books.ledger.account(key)).toMatchObject({ heldNano: usd('0.25'), running: 1, usageNano: 0 });
    books.ledger.settle(held, outcome(usd('0.10')));
    expect(rows('holds')).toEqual([]);
    expect(books.ledger.account(key)).toMatchObject({
      heldNano: 0,
      running: 0,
      usageNano: usd('0.10'),
      requests: 1,
    });
    books.expectToBalance(key);
  });

  test('is settled once, however often it is tried', () => {
    const key = newKey();
    const held = hold(key, 1000);
    books.ledger.settle(held, outcome(700));
    books.ledger.settle(held, outcome(900));
    expect(rows('requests')).toHaveLength(1);
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 700, heldNano: 0, running: 0 });
    books.expectToBalance(key);
  });

  test('fits exactly into what is left, and not into a nano-dollar less', () => {
    const key = newKey({ limitNano: 1000 });
    spend(key, 400);
    hold(key, 100);
    expect(books.ledger.hold(draft(key), { wantNano: 501, atLeastNano: 501 })).toMatchObject({
      refused: 'busy',
    });
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
    expect(books.ledger.hold(draft(key), { wantNano: 700, atLeastNano: 700 })).toMatchObject({
      refused: 'short',
      limit: { limitNano: 1000, usedNano: 400, roomNano: 600 },
    });
    spend(key, 600);
    expect(books.ledger.hold(draft(key), { wantNano: 0, atLeastNano: 0 })).toMatchObject({
      refused: 'reached',
    });
  });

  test('is refused by a limit of zero even where it is for nothing', () => {
    const key = newKey({ limitNano: 0 });
    expect(books.ledger.hold(draft(key), { wantNano: 0, atLeastNano: 0 })).toMatchObject({
      refused: 'reached',
    });
  });

  test('has to fit into both limits of a key', () => {
    const key = newKey({ limitNano: 10_000, recurring: { amountNano: 500, every: 'day' } });
    expect(books.ledger.hold(draft(key), { wantNano: 501, atLeastNano: 501 })).toMatchObject({
      refused: 'short',
      limit: { limitNano: 500, recurring: { every: 'day' } },
    });
    spend(key, 500);
    expect(books.ledger.hold(draft(key), { wantNano: 1, atLeastNano: 1 })).toMatchObject({
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
    expect(rows('holds')).toEqual([]);
    expect(books.ledger.account(key)).toMatchObject({
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
    books.expectToBalance(key);
  });

  test('of a key deleted since is settled at the next start too', () => {
    const key = newKey();
    hold(key, 500);
    removeKey(key);
    reopen();
    expect(rows('holds')).toEqual([]);
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
    const before = [books.ledger.account(key), books.ledger.account(other), books.ledger.totals()];
    books.expectToBalance(key);
    books.expectToBalance(other);
    reopen();
    expect([books.ledger.account(key), books.ledger.account(other), books.ledger.totals()]).toEqual(before);
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
      expect(books.ledger.account(key)).toMatchObject({
        usageNano: expected.cost,
        usageCreditsNano: expected.credits,
        usageOwnKeyNano: expected.own,
      });
      books.expectToBalance(key);
    },
  );

  test('of today and of the month begin anew with the day and the month', () => {
    const key = newKey();
    clock.set('2026-11-29T12:00:00');
    spend(key, 100);
    clock.set('2026-11-30T12:00:00');
    spend(key, 10);
    expect(books.ledger.totals()).toMatchObject({ todayNano: 10, monthNano: 110, usageNano: 110 });
    clock.set('2026-12-01T00:00:00');
    expect(books.ledger.totals()).toMatchObject({ todayNano: 0, monthNano: 0, usageNano: 110 });
    spend(key, 1);
    reopen();
    expect(books.ledger.totals()).toMatchObject({ todayNano: 1, monthNano: 1, usageNano: 111 });
  });

  test('count an unpriced request without giving it a cost', () => {
    const key = newKey();
    spend(key, null, {}, { flags: ['unpriced'] });
    expect(books.ledger.account(key)).toMatchObject({
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
    expect(books.ledger.hold(draft(key), { wantNano: 1, atLeastNano: 1 })).toMatchObject({
      refused: 'reached',
    });
    clock.set('2026-11-18T23:59:59.999');
    expect(books.ledger.hold(draft(key), { wantNano: 1, atLeastNano: 1 })).toMatchObject({
      refused: 'reached',
    });
    clock.set('2026-11-19T00:00:00');
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 1000, window: { usedNano: 0 } });
    spend(key, 300);
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 1300, window: { usedNano: 300 } });
  });

  test('counts a request that began before the reset in the window it was settled in', () => {
    clock.set('2026-11-18T23:59:00');
    const key = newKey(daily(1000));
    const held = hold(key, 800);
    clock.set('2026-11-19T00:01:00');
    expect(books.ledger.hold(draft(key), { wantNano: 300, atLeastNano: 300 })).toMatchObject({
      refused: 'busy',
    });
    books.ledger.settle(held, outcome(700));
    expect(books.ledger.account(key)?.window?.usedNano).toBe(700);
  });

  test('is known after a restart, and empty where it ended meanwhile', () => {
    clock.set('2026-11-18T12:00:00');
    const key = newKey(daily(1000));
    spend(key, 600);
    reopen();
    expect(books.ledger.account(key)?.window?.usedNano).toBe(600);
    clock.set('2026-11-20T12:00:00');
    reopen();
    expect(books.ledger.account(key)?.window?.usedNano).toBe(0);
  });

  test('stays as it is where the clock is set back', () => {
    clock.set('2026-11-18T12:00:00');
    const key = newKey(daily(1000));
    spend(key, 600);
    clock.set('2026-11-17T12:00:00');
    expect(books.ledger.account(key)?.window?.usedNano).toBe(600);
    reopen();
    expect(books.ledger.account(key)?.window?.usedNano).toBe(600);
  });

  test('keeps what is used when the amount is changed, and is emptied when the period is', () => {
    const key = newKey(daily(1000));
    spend(key, 600);
    books.ledger.setLimits({ kind: 'key', id: key }, { limitNano: null, ...daily(5000) } as Limits);
    expect(books.ledger.account(key)?.window?.usedNano).toBe(600);
    books.ledger.setLimits(
      { kind: 'key', id: key },
      { limitNano: null, recurring: { amountNano: 5000, every: 'hour' } },
    );
    expect(books.ledger.account(key)?.window?.usedNano).toBe(0);
    reopen();
    expect(books.ledger.account(key)).toMatchObject({
      usageNano: 600,
      recurring: { every: 'hour' },
      window: { usedNano: 0 },
    });
    books.ledger.setLimits({ kind: 'key', id: key }, noLimits);
    expect(books.ledger.account(key)).toMatchObject({ recurring: null, window: null });
  });
});

describe('setting limits', () => {
  test('is on file at once and wakes whoever waits', () => {
    const key = newKey({ limitNano: 100 });
    books.ledger.setLimits({ kind: 'key', id: key }, { limitNano: 250, recurring: null });
    expect(seen.freed).toEqual([key]);
    expect(rows('keys')).toMatchObject([{ limit_nano: 250 }]);
    expect(hold(key, 250).amountNano).toBe(250);
  });

  test('below what is spent and held refuses new requests and keeps the hold', () => {
    const key = newKey({ limitNano: 1000 });
    spend(key, 300);
    const held = hold(key, 500);
    books.ledger.setLimits({ kind: 'key', id: key }, { limitNano: 200, recurring: null });
    expect(books.ledger.hold(draft(key), { wantNano: 1, atLeastNano: 1 })).toMatchObject({
      refused: 'reached',
    });
    books.ledger.settle(held, outcome(450));
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 750, heldNano: 0 });
    books.expectToBalance(key);
  });
});

describe('a correction', () => {
  test('changes the row, every total and the window, and is kept beside the row', () => {
    const key = newKey({ recurring: { amountNano: 10_000, every: 'day' } });
    const id = spend(key, 900, {}, { flags: ['estimated', 'interrupted'] });
    const row = books.ledger.correct(id, 350, 'as on the invoice');
    expect(row).toMatchObject({
      costNano: 350,
      computedCostNano: 900,
      flags: ['estimated', 'interrupted', 'corrected'],
    });
    expect(books.ledger.account(key)).toMatchObject({
      usageNano: 350,
      usageOwnKeyNano: 350,
      window: { usedNano: 350 },
    });
    expect(books.ledger.totals()).toMatchObject({ usageNano: 350, todayNano: 350, monthNano: 350 });
    expect(rows('corrections')).toEqual([
      {
        request_id: id,
        at: clock.now(),
        cost_before_nano: 900,
        cost_after_nano: 350,
        reason: 'as on the invoice',
      },
    ]);
    books.expectToBalance(key);
    reopen();
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 350, window: { usedNano: 350 } });
  });

  test('gives an unpriced row its cost', () => {
    const key = newKey();
    const id = spend(key, null, { billing: 'credits' }, { flags: ['unpriced'] });
    expect(books.ledger.correct(id, 42, 'looked up')).toMatchObject({ costNano: 42, flags: ['corrected'] });
    expect(books.ledger.account(key)).toMatchObject({
      usageNano: 42,
      usageCreditsNano: 42,
      unpricedRequests: 0,
    });
    books.expectToBalance(key);
  });

  test('can be corrected again, back and forth, without leaving a trace in the sums', () => {
    const key = newKey();
    const id = spend(key, 900, { billing: 'credits' }, { ownKeyNano: 200 });
    books.ledger.correct(id, 0, 'free after all');
    books.ledger.correct(id, 900, 'was right');
    expect(books.ledger.account(key)?.usageNano).toBe(900);
    expect(rows('corrections')).toHaveLength(2);
    books.expectToBalance(key);
  });

  test('of a row from before the window leaves the window alone', () => {
    clock.set('2026-11-17T12:00:00');
    const key = newKey({ recurring: { amountNano: 10_000, every: 'day' } });
    const id = spend(key, 900);
    clock.set('2026-11-18T12:00:00');
    spend(key, 100);
    books.ledger.correct(id, 100, 'too much');
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 200, window: { usedNano: 100 } });
  });

  test('of a row the window never counted does not make room in it', () => {
    const key = newKey();
    const early = [spend(key, 900), spend(key, 900)];
    clock.advance(1000);
    books.ledger.setLimits(
      { kind: 'key', id: key },
      { limitNano: null, recurring: { amountNano: 1000, every: 'day' } },
    );
    spend(key, 500);
    books.ledger.correct(early[0] ?? 0, 100, 'too much');
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 1500, window: { usedNano: 500 } });
    reopen();
    books.ledger.correct(early[1] ?? 0, 100, 'too much');
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 700, window: { usedNano: 500 } });
  });

  test('frees money for whoever waits', () => {
    const key = newKey({ limitNano: 1000 });
    const id = spend(key, 1000);
    seen.freed = [];
    books.ledger.correct(id, 0, 'refunded');
    expect(seen.freed).toEqual([key]);
    expect(hold(key, 1000).amountNano).toBe(1000);
  });

  test('of a row that does not exist is nothing', () => {
    expect(books.ledger.correct(4711, 5, 'typo')).toBeNull();
    expect(rows('corrections')).toEqual([]);
  });

  test('of a deleted key’s row counts with that key', () => {
    const key = newKey();
    const id = spend(key, 900);
    removeKey(key);
    books.ledger.closeAccount(key);
    expect(books.ledger.correct(id, 400, 'too much')).toMatchObject({ costNano: 400 });
    expect(rows('keys')).toMatchObject([{ usage_own_key_nano: 400 }]);
  });
});
