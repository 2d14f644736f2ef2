/** A ledger that cannot be written fails closed, says so, and catches up when it can. */
import { describe, expect, test } from 'vitest';
import { createKeys } from '../../../electron/gateway/config/keys.ts';
import { LedgerUnavailable } from '../../../electron/gateway/ledger/write-failure.ts';
import { createAdmission } from '../../../electron/gateway/proxy/admission.ts';
import { boundOfBody } from '../../support/bounds.ts';
import { usd } from '../../support/gateway.ts';
import { booksForEachTest, draft, noLimits, outcome } from '../../support/ledger.ts';

const books = booksForEachTest();
const { clock, seen, reopen, newKey, hold, spend, rows } = books;

describe('a ledger that cannot be written', () => {
  const breakIt = ({ db } = books.store) => void db.pragma('query_only = ON');
  const mendIt = () => books.store.db.pragma('query_only = OFF');

  test('refuses requests on limited keys, says why, and serves them again once it is mended', () => {
    const key = newKey({ limitNano: 1000 });
    breakIt();
    expect(() => hold(key, 10)).toThrow(LedgerUnavailable);
    expect(books.ledger.problem()).toMatch(/cannot be written/);
    expect(seen.problems).toBe(1);
    expect(books.ledger.account(key)).toMatchObject({ heldNano: 0, running: 0 });
    books.ledger.retry();
    expect(books.ledger.problem()).not.toBeNull();
    mendIt();
    books.ledger.retry();
    expect(books.ledger.problem()).toBeNull();
    expect(seen.problems).toBe(2);
    expect(hold(key, 10).amountNano).toBe(10);
  });

  test('serves keys without a limit and writes their usage down when it can', () => {
    const key = newKey();
    breakIt();
    const held = hold(key, 10);
    books.ledger.settle(held, outcome(7));
    expect(books.ledger.problem()).not.toBeNull();
    expect(books.ledger.account(key)).toMatchObject({ heldNano: 10, running: 1, usageNano: 0 });
    mendIt();
    books.ledger.retry();
    expect(books.ledger.problem()).toBeNull();
    expect(books.ledger.account(key)).toMatchObject({ heldNano: 0, running: 0, usageNano: 7, requests: 1 });
    books.expectToBalance(key);
  });

  test('writes the holds of keys without a limit down as well, so that a crash leaves their cost behind', () => {
    const key = newKey();
    breakIt();
    const [, ended] = [hold(key, 10), hold(key, 20)];
    books.ledger.settle(ended, outcome(7));
    mendIt();
    books.ledger.retry();
    expect(rows('holds')).toMatchObject([{ amount_nano: 10 }]);
    reopen();
    expect(books.ledger.account(key)).toMatchObject({ heldNano: 0, usageNano: 17, requests: 2 });
    books.expectToBalance(key);
  });

  test('keeps a hold until its settlement is written, in the order the requests ended', () => {
    const key = newKey({ limitNano: 1000 });
    const [first, second] = [hold(key, 400), hold(key, 300)];
    breakIt();
    books.ledger.settle(second, outcome(200, { model: 'second' }));
    books.ledger.settle(first, outcome(100, { model: 'first' }));
    books.ledger.settle(first, outcome(999));
    expect(books.ledger.account(key)).toMatchObject({ heldNano: 700, usageNano: 0 });
    mendIt();
    // The next request is what finds out that the ledger is well again.
    expect(hold(key, 700).amountNano).toBe(700);
    expect(books.ledger.account(key)).toMatchObject({ heldNano: 700, usageNano: 300, requests: 2 });
    expect(rows('requests')).toMatchObject([{ model: 'first' }, { model: 'second' }]);
    books.expectToBalance(key);
  });

  test('does not keep the gateway from starting with what a crash has left behind', () => {
    const key = newKey({ limitNano: 1000 });
    hold(key, 400);
    reopen(breakIt);
    expect(books.ledger.problem()).toMatch(/cannot be written/);
    expect(books.ledger.account(key)).toMatchObject({ heldNano: 400, usageNano: 0 });
    expect(() => hold(key, 10)).toThrow(LedgerUnavailable);
    mendIt();
    expect(hold(key, 600).amountNano).toBe(600);
    expect(books.ledger.account(key)).toMatchObject({ heldNano: 600, usageNano: 400, requests: 1 });
    books.expectToBalance(key);
  });

  test('is not what a cost is that no sum can hold: that request alone is refused its settlement', () => {
    const [key, other] = [newKey(), newKey({ limitNano: 1000 })];
    spend(key, Number.MAX_SAFE_INTEGER);
    const held = hold(key, 500);
    expect(() => books.ledger.settle(held, outcome(1))).toThrow(RangeError);
    expect(books.ledger.problem()).toBeNull();
    expect(books.ledger.account(key)).toMatchObject({ heldNano: 500, running: 1, requests: 1 });
    spend(other, 700);
    books.ledger.settle(held, outcome(0));
    expect(rows('holds')).toEqual([]);
    books.expectToBalance(key);
    books.expectToBalance(other);
  });

  test('on a full disk names the disk', () => {
    const key = newKey({ limitNano: usd('1') });
    const pages = Number(books.store.db.pragma('page_count', { simple: true }));
    books.store.db.pragma(`max_page_count = ${pages}`);
    const large = { price: 'x'.repeat(200_000) };
    expect(() => hold(key, 10, large)).toThrow(/disk is full.*Free some space/);
    expect(books.ledger.problem()).toMatch(/disk is full/);
    // A small write still finds room: no reason to say that all is well, and to take it back at the next request.
    const problems = seen.problems;
    for (let second = 0; second < 3; second += 1) books.ledger.retry();
    expect(seen.problems).toBe(problems);
    expect(books.ledger.problem()).toMatch(/disk is full/);
    books.store.db.pragma('max_page_count = 1000000');
    books.ledger.retry();
    expect(books.ledger.problem()).toBeNull();
    expect(rows('settings')).toEqual([]);
    expect(hold(key, 10, large).amountNano).toBe(10);
  });

  test('changes no limit it cannot write', () => {
    const key = newKey({ limitNano: 1000 });
    breakIt();
    expect(() => books.ledger.setLimits({ kind: 'key', id: key }, noLimits)).toThrow(/readonly/);
    expect(books.ledger.account(key)?.limitNano).toBe(1000);
    mendIt();
  });

  test('lets those who wait go on when it is mended', async () => {
    const key = newKey({ limitNano: 1000 });
    const row = createKeys(books.store, () => clock.now()).get(key);
    if (!row) throw new Error('no key');
    const admission = createAdmission(books.ledger, { waitMs: 60_000 });
    books.wake = admission.wake;
    const held = hold(key, 1000);
    const bound = { ...boundOfBody('openai-embeddings', Buffer.from('{"model":"m"}')), fixedNano: 600 };
    const waiting = admission.admit(row, draft(key), { bound }, () => new AbortController().signal);
    breakIt();
    books.ledger.settle(held, outcome(300));
    mendIt();
    books.ledger.retry();
    await expect(waiting).resolves.toMatchObject({ hold: { amountNano: 600 }, clamp: null });
    expect(books.ledger.problem()).toBeNull();
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 300, heldNano: 600, running: 1 });
    expect(rows('requests')).toHaveLength(1);
  });
});
