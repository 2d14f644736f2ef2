import { describe, expect, test } from 'vitest';
import {
  barStarts,
  changeOf,
  outlooks,
  projectMonth,
  rangesOf,
  stacksOf,
  SHOWN_GROUPS,
  type Point,
} from '../../renderer/usage/series.ts';
import { keyRow } from './fake-backend.ts';

const USD = 1_000_000_000;
/** Local, as the gateway gives them. */
const local = (month: number, day: number) => new Date(2026, month - 1, day);

function point(at: Date, group: string, costNano: number): Point {
  return {
    at: at.toISOString(),
    group,
    costNano,
    costCreditsNano: 0,
    costOwnKeyNano: costNano,
    savedNano: 0,
    requests: 1,
    errors: 0,
    estimatedRequests: 0,
    unpricedRequests: 0,
    inputTokens: 10,
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: 1,
    reasoningTokens: 0,
  };
}

const now = new Date(2026, 10, 22, 15);
const sums = (points: Point[], span: '7d' | '90d' | '12m', every: 'day' | 'week' | 'month') => {
  const { stacks } = stacksOf(points, rangesOf(span, now).current, every);
  return stacks
    .filter(({ costs }) => costs.some(Boolean))
    .map(({ at, costs }) => [at.toDateString(), costs[0]]);
};

describe('bars', () => {
  test.each([
    ['Sunday', 8, 15],
    ['Monday', 9, 16],
    ['Saturday', 7, 14],
  ])('of weeks that begin on %s, as the gateway says, are all there', (_, one, other) => {
    const points = [point(local(11, one), 'a', 3 * USD), point(local(11, other), 'a', 5 * USD)];
    expect(sums(points, '90d', 'week')).toEqual([
      [local(11, one).toDateString(), 3 * USD],
      [local(11, other).toDateString(), 5 * USD],
    ]);
  });

  test('of days and months begin at midnight and on the first, without a gap', () => {
    expect(barStarts(rangesOf('7d', now).current, 'day')).toHaveLength(7);
    expect(barStarts(rangesOf('12m', now).current, 'month')).toHaveLength(12);
    expect(sums([point(local(11, 20), 'a', USD)], '7d', 'day')).toEqual([
      [local(11, 20).toDateString(), USD],
    ]);
    expect(sums([point(local(3, 1), 'a', USD)], '12m', 'month')).toEqual([[local(3, 1).toDateString(), USD]]);
  });

  test('more groups than can be told apart are one, and nothing is lost', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const points = names.map((name, index) => point(local(11, 20), name, (10 - index) * USD));
    const { stacks, groups } = stacksOf(points, rangesOf('7d', now).current, 'day');
    expect(groups).toEqual(['a', 'b', 'c', 'd', 'e', null]);
    expect(groups).toHaveLength(SHOWN_GROUPS);
    expect(stacks.flatMap(({ costs }) => costs).reduce((sum, cost) => sum + cost, 0)).toBe(52 * USD);
  });
});

test('the change is against what was there before, and nothing where that was nothing', () => {
  expect(changeOf(150, 100)).toBe(0.5);
  expect(changeOf(150, 0)).toBeNull();
});

test('the month goes on at the pace of the last seven whole days, and a key meets its nearest limit', () => {
  const days = [15, 16, 17, 18, 19, 20, 21].map((day) => point(local(11, day), 'k1', 2 * USD));
  const points = [point(local(11, 2), 'k1', 10 * USD), ...days, point(local(11, 22), 'k1', USD)];
  // From 22 November 15:00 there are 8 days and 9 hours left.
  const projected = 25 * USD + Math.round(2 * USD * (8 + 9 / 24));
  expect(projectMonth(points, now)).toEqual({ soFarNano: 25 * USD, projectedNano: projected });

  const keys = [
    keyRow({
      id: 'k1',
      name: 'both',
      usageNano: 90 * USD,
      limitNano: 100 * USD,
      recurring: {
        amountNano: 200 * USD,
        every: 'month',
        usedNano: 25 * USD,
        resetsAt: '2026-12-01T00:00:00.000Z',
      },
    }),
    keyRow({ id: 'k2', name: 'idle', usageNano: USD, limitNano: 100 * USD }),
    keyRow({ id: 'k3', name: 'unlimited' }),
  ];
  // The amounts are those of the limit that is met, not of the month: 90 + 16.75 of 100, the last 10 after 5 days at 2.
  expect(
    outlooks(points, keys, now).map((row) => [
      row.name,
      row.soFarNano / USD,
      row.projectedNano / USD,
      row.limitNano / USD,
      Math.round(row.share * 1000),
      row.reachedAt?.toString() ?? null,
    ]),
  ).toEqual([
    ['both', 90, 106.75, 100, 1068, new Date(2026, 10, 27, 15).toString()],
    ['idle', 1, 1, 100, 10, null],
  ]);
  const [spent] = outlooks(
    points,
    [keyRow({ id: 'k1', name: 'spent', usageNano: 90 * USD, limitNano: 80 * USD })],
    now,
  );
  expect(spent, 'what is reached already is not foretold').toMatchObject({
    reachedAt: null,
    soFarNano: 90 * USD,
  });
});
