import { describe, expect, test } from 'vitest';
import { csvCell } from '#shared/csv.ts';
import type { RequestRow } from '#shared/model.ts';
import { passesFilter, readFilter, type RequestFilter } from '../../renderer/activity/filter.ts';
import { createLog, PAGE_ROWS } from '../../renderer/activity/log.ts';
import { requestRow } from './fake-backend.ts';

/**
 * A history of `count` requests behind the contract's paging, and the cursors it was asked with. `outline`: in how many
 * stretches of ids the gateway tells how many there are; it knows nothing of those that are `missing`.
 */
function history(
  count: number,
  {
    outline = 0,
    missing = new Set<number>(),
    fits = () => true,
  }: { outline?: number; missing?: ReadonlySet<number>; fits?: (id: number) => boolean } = {},
) {
  const asked: (number | null | undefined)[] = [];
  const state = { failing: false, newest: count };
  const log = createLog(
    async ({ before, limit = 100 }) => {
      asked.push(before);
      if (state.failing) return { ok: false, error: { code: 'internal', message: 'The disk is full.' } };
      const from = before ?? state.newest + 1;
      // Now and then a page comes back short, as the contract allows.
      const length = Math.min(limit, from - 1, from % 7 === 0 ? 30 : limit);
      const ids: number[] = [];
      for (let id = from - 1; id > 0 && ids.length < length; id -= 1)
        if (fits(id) && !missing.has(id)) ids.push(id);
      const oldest = ids.at(-1) ?? 1;
      return { ok: true, value: { rows: ids.map((id) => requestRow(id)), next: oldest > 1 ? oldest : null } };
    },
    {
      ask: async () =>
        outline === 0
          ? null
          : Array.from({ length: outline }, (_, at) => {
              const before = count + 1 - Math.round((at * count) / outline);
              const first = count + 1 - Math.round(((at + 1) * count) / outline);
              let requests = 0;
              for (let id = first; id < before; id += 1) if (fits(id)) requests += 1;
              return { first, before, requests };
            }).filter(({ requests }) => requests > 0),
      exact: missing.size === 0,
    },
  );
  return { log, asked, state };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));
const ids = (rows: (RequestRow | undefined)[]) => rows.map((row) => row?.id);

describe('the log', () => {
  test('pages follow one another without a gap however short they come back', async () => {
    const { log } = history(5_000);
    await log.reload();
    for (let guard = 0; !log.view().complete && guard < 100; guard += 1) {
      log.show(log.view().count - 10, log.view().count - 1);
      await settle();
    }
    expect(log.view()).toMatchObject({ count: 5_000, complete: true });
    log.show(4_990, 4_999);
    await settle();
    expect(ids([log.rowAt(4_998), log.rowAt(4_999)])).toEqual([2, 1]);
  });

  test('rows far from what is on screen are dropped, and come back where they stood', async () => {
    const { log, asked } = history(10_000);
    await log.reload();
    for (let page = 1; page < 20; page += 1) {
      log.show(page * PAGE_ROWS - 20, page * PAGE_ROWS - 1);
      await settle();
    }
    const inMemory = Array.from({ length: log.view().count }, (_, at) => log.rowAt(at)).filter(
      Boolean,
    ).length;
    expect(inMemory).toBeLessThanOrEqual(10 * PAGE_ROWS);
    expect(log.rowAt(2 * PAGE_ROWS + 5)).toBeUndefined();

    const before = asked.length;
    log.show(2 * PAGE_ROWS, 2 * PAGE_ROWS + 40);
    await settle();
    expect(log.rowAt(2 * PAGE_ROWS + 5)?.id).toBe(10_000 - 2 * PAGE_ROWS - 5);
    expect(asked.length).toBeGreaterThan(before);
  });

  test('a million rows are one list at once: its end and its middle are a page away, and nothing is asked for between', async () => {
    const { log, asked } = history(1_000_000, { outline: 12 });
    await log.reload();
    expect(log.view()).toMatchObject({
      count: 1_000_000,
      total: 1_000_000,
      guessed: true,
      complete: false,
    });
    const shown = async (first: number) => {
      for (let turn = 0; turn < 4 && !(log.rowAt(first) && log.rowAt(first + 30)); turn += 1) {
        log.show(first, first + 30);
        await settle();
      }
      return ids([log.rowAt(first), log.rowAt(first + 30)]);
    };
    expect(await shown(999_969)).toEqual([31, 1]);
    expect(await shown(500_000)).toEqual([500_000, 499_970]);
    expect(await shown(499_850)).toEqual([500_150, 500_120]);
    expect(await shown(0)).toEqual([1_000_000, 999_970]);
    log.add([requestRow(1_000_001)], false);
    expect(log.view().total).toBe(1_000_001);
    expect(asked.length).toBeLessThan(20);
  });

  test('a filter that lets few and uneven rows through is one list at once too, and ends where it ends', async () => {
    // None in the middle of the history, few at its beginning.
    const fits = (id: number) => (id > 60_000 ? id % 9 === 0 : id < 20_000 && id % 50 === 1);
    const { log, asked } = history(100_000, { outline: 10, fits });
    await log.reload();
    const total = Math.floor(100_000 / 9) - Math.floor(60_000 / 9) + 400;
    expect(log.view()).toMatchObject({ count: total, guessed: true });
    for (let turn = 0; turn < 12; turn += 1) {
      log.show(log.view().count - 30, log.view().count - 1);
      await settle();
    }
    const { count } = log.view();
    expect(Math.abs(count - total)).toBeLessThan(total / 100);
    // Where they stand is guessed; how many there are is not.
    expect(log.view().total).toBe(total);
    expect(ids([log.rowAt(count - 2), log.rowAt(count - 1)])).toEqual([51, 1]);
    expect(asked.length).toBeLessThan(20);

    // Read from the top to the bottom every row is there once.
    const seen: number[] = [];
    for (let first = 0; first < log.view().count; first += 30) {
      for (let turn = 0; turn < 3; turn += 1) {
        log.show(first, first + 30);
        await settle();
      }
      for (let at = first; at < first + 30; at += 1) seen.push(log.rowAt(at)?.id ?? 0);
    }
    const all = Array.from({ length: 100_000 }, (_, at) => 100_000 - at).filter(fits);
    expect(seen.slice(0, all.length)).toEqual(all);
    expect(log.view()).toMatchObject({ count: total, guessed: false, complete: true });
  });

  test('ids without a row leave no gap: the list is as much shorter', async () => {
    const missing = new Set([400, 401, 402, 777]);
    const { log } = history(1_000, { outline: 1, missing });
    await log.reload();
    for (let first = 960; first >= 0; first -= 40) {
      for (let turn = 0; turn < 3; turn += 1) {
        log.show(first, first + 40);
        await settle();
      }
    }
    for (let first = 0; first < 1_000; first += 40) {
      log.show(first, first + 40);
      await settle();
    }
    expect(log.view()).toMatchObject({ count: 996, guessed: false, complete: true });
    log.show(560, 640);
    await settle();
    expect(ids([log.rowAt(596), log.rowAt(597), log.rowAt(598)])).toEqual([403, 399, 398]);
  });

  test('a request that ends after younger ones takes its place between them', async () => {
    const { log } = history(50);
    await log.reload();
    log.add([requestRow(53)], false);
    log.add([requestRow(51)], false);
    expect(ids([log.rowAt(0), log.rowAt(1), log.rowAt(2)])).toEqual([53, 51, 50]);
    log.add([requestRow(52)], true);
    expect(log.view()).toMatchObject({ waiting: 1, count: 52 });
    log.reveal();
    expect(ids([log.rowAt(0), log.rowAt(1), log.rowAt(2)])).toEqual([53, 52, 51]);
  });

  test('new rows go on top at the top, and wait where someone reads', async () => {
    const { log } = history(50);
    await log.reload();
    log.add([requestRow(51)], false);
    expect(ids([log.rowAt(0), log.rowAt(1)])).toEqual([51, 50]);

    log.add([requestRow(52), requestRow(53)], true);
    expect(log.rowAt(0)?.id).toBe(51);
    expect(log.view()).toMatchObject({ waiting: 2, count: 51 });
    log.reveal();
    expect(ids([log.rowAt(0), log.rowAt(1), log.rowAt(2)])).toEqual([53, 52, 51]);
    expect(log.view()).toMatchObject({ waiting: 0, count: 53 });
  });

  test('a row that is known is replaced in place, an old one that is not loaded stays away', async () => {
    const { log } = history(5_000);
    await log.reload();
    log.add([requestRow(4_990, { costNano: 5, flags: ['corrected'] }), requestRow(3)], false);
    expect(log.rowAt(10)).toMatchObject({ id: 4_990, costNano: 5 });
    expect(log.rowAt(0)?.id).toBe(5_000);
    expect(log.view().count).toBe(PAGE_ROWS);
  });

  test('rows that run on for hours are cut into pages, and those are dropped like any other', async () => {
    const { log, state } = history(100);
    await log.reload();
    for (let id = 101; id <= 3_000; id += 1) log.add([requestRow(id)], false);
    state.newest = 3_000;
    expect(log.view().count).toBe(3_000);
    log.show(0, 40);
    expect(log.rowAt(2_900)).toBeUndefined();
    log.show(2_880, 2_920);
    await settle();
    expect(log.rowAt(2_900)?.id).toBe(100);
  });

  test('a failure is told: of the first page as the list’s, of an older one below what is shown', async () => {
    const { log, state } = history(1_000);
    state.failing = true;
    await log.reload();
    expect(log.view().load).toEqual({ state: 'failed', message: 'The disk is full.' });
    state.failing = false;
    await log.reload();
    state.failing = true;
    log.show(150, 199);
    await settle();
    expect(log.view()).toMatchObject({ olderFailure: 'The disk is full.', count: PAGE_ROWS });
    state.failing = false;
    log.retryOlder();
    await settle();
    expect(log.view()).toMatchObject({ olderFailure: null, count: 2 * PAGE_ROWS });
  });
});

test.each<[RequestFilter, boolean]>([
  [{}, true],
  [{ key: 'k1' }, true],
  [{ key: 'k2' }, false],
  [{ status: 'ok' }, true],
  [{ status: 'error' }, false],
  [{ model: 'claude-latest' }, true],
  [{ model: 'gpt-4o' }, false],
  [{ q: 'SONNET' }, true],
  [{ q: 'claude-code' }, true],
  [{ q: 'gemini' }, false],
  [{ flag: 'estimated' }, true],
  [{ flag: 'overrun' }, false],
  [{ cost: 200_000_000 }, true],
  [{ cost: 200_000_001 }, false],
  [{ from: '2026-11-22T12:00:01.000Z' }, true],
  [{ to: '2026-11-22T12:00:01.000Z' }, false],
])('a pushed row is held against the filter %o as the gateway would: %s', (filter, passes) => {
  const row = requestRow(1, {
    modelAsked: 'claude-latest',
    client: 'claude-code',
    flags: ['estimated'],
    costNano: 200_000_000,
  });
  expect(passesFilter(row, filter)).toBe(passes);
});

test('what stands in the address is read, and what makes no sense is left out', () => {
  expect(
    readFilter({ key: 'k1', status: 'error', flag: 'nonsense', from: '2026-11-01', to: 'soon', q: '  gpt ' }),
  ).toEqual({ key: 'k1', status: 'error', from: '2026-11-01T00:00:00.000Z', q: 'gpt' });
  expect(readFilter({ cost: '1.50' })).toEqual({ cost: 1_500_000_000 });
  for (const cost of ['0.05', '-1', 'much']) expect(readFilter({ cost })).toEqual({});
});

test.each([
  ['plain', 'plain'],
  ['a "quoted", text', '"a ""quoted"", text"'],
  ['=HYPERLINK("x")', '"\'=HYPERLINK(""x"")"'],
  ['-5', '-5'],
  [12.5, '12.5'],
  [true, 'true'],
])('the cell %s is written as %s', (value, cell) => {
  expect(csvCell(value)).toBe(cell);
});
