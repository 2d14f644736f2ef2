import { describe, expect, test } from 'vitest';
import { formatAgo, formatCompact, formatDuration, limitProgress } from '../../renderer/format.ts';

const now = Date.parse('2026-11-22T12:00:00.000Z');
const before = (ms: number) => new Date(now - ms).toISOString();
const minute = 60_000;

test.each([
  [-5_000, 'just now'],
  [59_000, 'just now'],
  [minute, '1 min ago'],
  [59 * minute, '59 min ago'],
  [60 * minute, '1 h ago'],
  [24 * 60 * minute, '1 d ago'],
])('%i ms before now is "%s"', (past, text) => {
  expect(formatAgo(before(past), now)).toBe(text);
});

test.each([
  [812, '812 ms'],
  [5_230, '5.2 s'],
  [125_000, '2 min 5 s'],
])('%i ms lasts "%s"', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test.each([
  [9_999, '9,999'],
  [12_400, '12.4K'],
  [8_412_000, '8.4M'],
])('%i tokens are "%s"', (count, text) => {
  expect(formatCompact(count)).toBe(text);
});

describe('progress toward the limit', () => {
  const row = { usageNano: 50, heldNano: 0, limitNano: 100, recurring: null };
  const daily = (usedNano: number, amountNano: number) =>
    ({ amountNano, every: 'day', usedNano, resetsAt: '2026-11-23T00:00:00.000Z' }) as const;

  test('none without a limit', () => {
    expect(limitProgress({ ...row, limitNano: null })).toBeNull();
  });

  test('the limit that is nearer to its end is shown', () => {
    expect(limitProgress({ ...row, recurring: daily(80, 100) })).toMatchObject({
      of: 'recurring',
      used: 0.8,
    });
    expect(limitProgress({ ...row, recurring: daily(10, 100) })).toMatchObject({ of: 'all-time', used: 0.5 });
  });

  test('the bar ends where the limit does, with held money behind the settled', () => {
    expect(limitProgress({ ...row, usageNano: 90, heldNano: 30 })).toMatchObject({
      used: 0.9,
      held: expect.closeTo(0.1),
    });
    expect(limitProgress({ ...row, usageNano: 130 })).toMatchObject({ used: 1, held: 0, percent: '130%' });
  });

  test('a limit of zero is used up from the start', () => {
    expect(limitProgress({ ...row, usageNano: 0, limitNano: 0 })).toMatchObject({ used: 1, percent: '100%' });
  });

  test('100 % is not shown before it is reached, nor 0 % for something', () => {
    expect(limitProgress({ ...row, usageNano: 99_999, limitNano: 100_000 })?.percent).toBe('99%');
    expect(limitProgress({ ...row, usageNano: 1, limitNano: 100_000 })?.percent).toBe('<1%');
  });
});
