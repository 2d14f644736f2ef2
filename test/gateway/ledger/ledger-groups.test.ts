/** Requests of one turn share a transaction: none of the ledger's promises may be weaker for it. */
import { describe, expect, test, vi } from 'vitest';
import { LedgerUnavailable } from '../../../electron/gateway/ledger/write-failure.ts';
import { booksForEachTest, draft, outcome } from '../../support/ledger.ts';

/** What waits for the turn to end. */
let turns: (() => void)[] = [];
const books = booksForEachTest({ soon: (flush) => void turns.push(flush) });
const endTurn = () => {
  for (const flush of turns.splice(0)) flush();
};
const take = (keyId: string, nano: number) =>
  books.ledger.hold(draft(keyId), { wantNano: nano, atLeastNano: nano });

describe('a group of requests', () => {
  test('is written in one transaction, and waited for until it is', async () => {
    const key = books.newKey({ limitNano: 1000 });
    const write = vi.spyOn(books.store, 'write');
    const holds = [books.hold(key, 100), books.hold(key, 200), books.hold(key, 300)];
    let isWritten = false;
    const written = books.ledger.written(holds[0]).then(() => (isWritten = true));
    await Promise.resolve();
    expect(isWritten).toBe(false);
    expect(books.rows('holds')).toEqual([]);
    endTurn();
    await written;
    expect(books.rows('holds')).toHaveLength(3);
    for (const hold of holds) books.ledger.settle(hold, outcome(hold.amountNano / 2));
    books.hold(key, 50);
    // What is not on record yet is still held.
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 0, heldNano: 650, running: 4 });
    endTurn();
    expect(write).toHaveBeenCalledTimes(2);
    expect(books.ledger.account(key)).toMatchObject({
      usageNano: 300,
      heldNano: 50,
      running: 1,
      requests: 3,
    });
    const [row] = books.rows('keys');
    expect(row).toMatchObject({ usage_own_key_nano: 300, requests: 3 });
    books.expectToBalance(key);
  });

  test('cannot take the last money twice within a turn', () => {
    const key = books.newKey({ limitNano: 1000 });
    const results = Array.from({ length: 100 }, () => take(key, 100));
    expect(results.filter((result) => 'held' in result)).toHaveLength(10);
    expect(results.at(-1)).toMatchObject({ refused: 'busy', others: 10 });
    endTurn();
    expect(books.rows('holds')).toHaveLength(10);
  });

  test('whose settlement comes before its hold is written leaves nothing behind', () => {
    const key = books.newKey({ limitNano: 1000 });
    const hold = books.hold(key, 100);
    books.ledger.settle(hold, outcome(40));
    books.ledger.settle(hold, outcome(40));
    endTurn();
    expect(books.rows('holds')).toEqual([]);
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 40, heldNano: 0, running: 0, requests: 1 });
  });

  test('that a crash cuts off was never sent, and holds nothing', () => {
    const key = books.newKey({ limitNano: 1000 });
    books.hold(key, 100);
    turns = [];
    books.reopen();
    expect(books.ledger.account(key)).toMatchObject({ usageNano: 0, heldNano: 0 });
  });

  test('finds out a cost that no sum can hold before it is written, also where only the turn makes it so', () => {
    const key = books.newKey();
    const [one, two] = [books.hold(key, 1), books.hold(key, 1)];
    books.ledger.settle(one, outcome(Number.MAX_SAFE_INTEGER - 10));
    expect(() => books.ledger.settle(two, outcome(100))).toThrow(RangeError);
    books.ledger.settle(two, outcome(5));
    endTurn();
    expect(books.ledger.account(key)?.usageNano).toBe(Number.MAX_SAFE_INTEGER - 5);
  });

  test('that cannot be written gives limited keys their money back, serves the others, and keeps every cost', async () => {
    const [limited, free] = [books.newKey({ limitNano: 1000 }), books.newKey()];
    const running = books.hold(limited, 300);
    endTurn();
    books.store.db.pragma('query_only = ON');
    const refused = books.hold(limited, 200);
    const served = books.hold(free, 200);
    books.ledger.settle(running, outcome(250));
    const [told, passed] = [books.ledger.written(refused), books.ledger.written(served)];
    endTurn();
    await expect(told).rejects.toThrow(LedgerUnavailable);
    await passed;
    expect(books.ledger.account(limited)).toMatchObject({ usageNano: 0, heldNano: 300, running: 1 });
    expect(books.ledger.problem()).toMatch(/cannot be written/);
    books.ledger.settle(served, outcome(120));
    // Nobody waits for what was refused, but whoever settles it all the same changes nothing.
    books.ledger.settle(refused, outcome(200));
    endTurn();
    books.store.db.pragma('query_only = OFF');
    books.ledger.retry();
    expect(books.ledger.problem()).toBeNull();
    expect(books.ledger.account(limited)).toMatchObject({ usageNano: 250, heldNano: 0, running: 0 });
    expect(books.ledger.account(free)).toMatchObject({ usageNano: 120, heldNano: 0, running: 0 });
    expect(books.rows('holds')).toEqual([]);
    for (const key of [limited, free]) books.expectToBalance(key);
  });
});
