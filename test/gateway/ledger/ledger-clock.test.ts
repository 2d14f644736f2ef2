/** Windows under a clock that is wrong: it gives no money twice, whichever way it was set. */
import { describe, expect, test } from 'vitest';
import { usedIn, type Scope } from '../../../electron/gateway/config/limits.ts';
import { booksForEachTest, draft } from '../../support/ledger.ts';

const books = booksForEachTest();
const { clock } = books;
const DAY = 24 * 3_600_000;

const daily = { recurring: { amountNano: 1000, every: 'day' as const } };
const used = (scope: Scope) => {
  const { window } =
    (scope.kind === 'key' ? books.ledger.account(scope.id) : books.ledger.balance(scope)) ?? {};
  return window ? usedIn(window) : null;
};

describe.each([
  ['a key', (id: string): Scope => ({ kind: 'key', id })],
  ['a provider', (): Scope => ({ kind: 'provider', id: 'prv_openai' })],
  ['all keys', (): Scope => ({ kind: 'global' })],
])('a daily limit of %s', (_, scopeOf) => {
  function limited(): { key: string; scope: Scope } {
    const key = books.newKey();
    const scope = scopeOf(key);
    books.ledger.setLimits(scope, { limitNano: null, ...daily });
    return { key, scope };
  }
  const refusedMore = (key: string, than: number) => {
    const result = books.ledger.hold(draft(key), { wantNano: than + 1, atLeastNano: than + 1 });
    expect(result).toHaveProperty('refused');
  };

  test('goes on where the clock is set back and put right again, also over a restart', () => {
    const { key, scope } = limited();
    books.spend(key, 600);
    clock.advance(-3 * DAY);
    expect(used(scope)).toBe(600);
    books.spend(key, 100);
    refusedMore(key, 300);
    books.reopen();
    expect(used(scope)).toBe(700);
    refusedMore(key, 300);
    clock.advance(3 * DAY);
    expect(used(scope)).toBe(700);
    clock.advance(DAY);
    books.ledger.endPeriods();
    expect(used(scope)).toBe(0);
  });

  test('counts what was spent before, where the clock was set forward and put right again', () => {
    const { key, scope } = limited();
    books.spend(key, 600);
    clock.advance(40 * DAY);
    expect(used(scope)).toBe(0);
    books.spend(key, 150);
    clock.advance(-40 * DAY);
    expect(used(scope)).toBe(750);
    refusedMore(key, 250);
    books.reopen();
    expect(used(scope)).toBe(750);
    // The day that the clock was sent to begins with what was spent in it then.
    clock.advance(40 * DAY);
    expect(used(scope)).toBe(150);
  });

  test('counts from when it was set, also where the clock was set forward and put right before anything was spent', () => {
    const key = books.newKey();
    books.spend(key, 900);
    clock.advance(1000);
    const scope = scopeOf(key);
    books.ledger.setLimits(scope, { limitNano: null, ...daily });
    books.spend(key, 50);
    clock.advance(2 * DAY);
    expect(used(scope)).toBe(0);
    clock.advance(-2 * DAY);
    expect(used(scope)).toBe(50);
    clock.advance(2 * DAY);
    books.reopen();
    expect(used(scope)).toBe(0);
    clock.advance(-2 * DAY);
    expect(used(scope)).toBe(50);
    books.hold(key, 950);
  });

  test('has what a cost was corrected by while the clock was set forward', () => {
    const { key, scope } = limited();
    const id = books.spend(key, 600);
    clock.advance(2 * DAY);
    expect(used(scope)).toBe(0);
    books.ledger.correct(id, 900, 'The bill says so.');
    expect(used(scope)).toBe(0);
    clock.advance(-2 * DAY);
    expect(used(scope)).toBe(900);
    refusedMore(key, 100);
    books.reopen();
    expect(used(scope)).toBe(900);
  });

  test('has what a cost was corrected by that was spent before, while the clock is set back', () => {
    const { key, scope } = limited();
    const id = books.spend(key, 600);
    clock.advance(2 * DAY);
    books.spend(key, 150);
    clock.advance(-2 * DAY);
    expect(used(scope)).toBe(750);
    books.ledger.correct(id, 100, 'The bill says so.');
    expect(used(scope)).toBe(250);
    books.ledger.correct(id, 900, 'It did not.');
    expect(used(scope)).toBe(1050);
    books.reopen();
    expect(used(scope)).toBe(1050);
    clock.advance(2 * DAY);
    expect(used(scope)).toBe(150);
  });

  test('that began when the clock was years ahead is over when the next day begins', () => {
    const { key, scope } = limited();
    books.spend(key, 300);
    clock.advance(3650 * DAY);
    books.spend(key, 1000);
    clock.advance(-3650 * DAY);
    expect(used(scope)).toBe(1300);
    refusedMore(key, 0);
    clock.advance(DAY);
    books.ledger.endPeriods();
    expect(used(scope)).toBe(0);
    books.reopen();
    expect(used(scope)).toBe(0);
    books.spend(key, 200);
    books.reopen();
    expect(used(scope)).toBe(200);
    // The day before is not paid for twice.
    clock.advance(-DAY);
    expect(used(scope)).toBe(500);
    refusedMore(key, 500);
    clock.advance(2 * DAY);
    expect(used(scope)).toBe(0);
  });

  test('is not shaken by seconds', () => {
    const { key, scope } = limited();
    books.spend(key, 600);
    clock.advance(-5000);
    expect(used(scope)).toBe(600);
    clock.advance(5000);
    expect(used(scope)).toBe(600);
  });
});

test('a top-up that has ended stays ended where the clock is set back over a restart', () => {
  const key = books.newKey(daily);
  books.ledger.setTopUp(key, 500);
  books.spend(key, 1400);
  clock.advance(DAY);
  books.spend(key, 10);
  expect(books.ledger.account(key)?.topUp).toBeNull();
  books.reopen();
  clock.advance(-DAY);
  books.reopen();
  expect(books.ledger.account(key)?.topUp).toBeNull();
  expect(books.ledger.hold(draft(key), { wantNano: 1, atLeastNano: 1 })).toMatchObject({
    refused: 'reached',
  });
});

test('a window that ends while nobody asks is told of, and its money is free for whoever waits', () => {
  const key = books.newKey(daily);
  books.ledger.setTopUp(key, 5);
  books.spend(key, 900);
  books.seen.freed.length = 0;
  clock.advance(DAY - 1);
  books.ledger.endPeriods();
  expect(books.ledger.account(key)?.window?.usedNano).toBe(0);
  expect(books.seen.freed).toEqual([key]);
  books.ledger.endPeriods();
  expect(books.seen.freed).toEqual([key]);
});
