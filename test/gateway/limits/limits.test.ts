/** The arithmetic of limits, in the time zones that make it hard. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { Every } from '#shared/model.ts';
import {
  appliedLimits,
  leastRoom,
  limitState,
  localeFirstWeekday,
  windowAt,
  type Balance,
} from '../../../electron/gateway/config/limits.ts';

const machineZone = process.env['TZ'];

afterEach(() => {
  if (machineZone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = machineZone;
});

/** Node reads the variable anew when it is set. */
function inZone(zone: string): void {
  process.env['TZ'] = zone;
}

function windowOf(
  iso: string,
  every: Every,
  firstWeekday = 1,
): { start: string; end: string; hours: number } {
  const { start, end } = windowAt(Date.parse(iso), every, firstWeekday);
  return {
    start: new Date(start).toISOString(),
    end: new Date(end).toISOString(),
    hours: (end - start) / 3_600_000,
  };
}

describe('the window', () => {
  test('of a day has 23 or 25 hours where the clock changes', () => {
    inZone('Europe/Berlin');
    expect(windowOf('2026-03-29T12:00:00Z', 'day')).toEqual({
      start: '2026-03-28T23:00:00.000Z',
      end: '2026-03-29T22:00:00.000Z',
      hours: 23,
    });
    expect(windowOf('2026-10-25T12:00:00Z', 'day').hours).toBe(25);
    expect(windowOf('2026-11-18T12:00:00Z', 'day').hours).toBe(24);
    inZone('America/New_York');
    expect(windowOf('2026-03-08T12:00:00Z', 'day').hours).toBe(23);
    expect(windowOf('2026-11-01T12:00:00Z', 'day')).toEqual({
      start: '2026-11-01T04:00:00.000Z',
      end: '2026-11-02T05:00:00.000Z',
      hours: 25,
    });
    inZone('Australia/Lord_Howe');
    expect(windowOf('2026-10-04T03:00:00Z', 'day').hours).toBe(23.5);
    expect(windowOf('2026-04-05T03:00:00Z', 'day').hours).toBe(24.5);
  });

  test('of a day that has no midnight begins with its first moment', () => {
    // Cairo's summer time begins at midnight: 23:59:59 is followed by 01:00.
    inZone('Africa/Cairo');
    expect(windowOf('2026-04-24T10:00:00Z', 'day')).toEqual({
      start: '2026-04-23T22:00:00.000Z',
      end: '2026-04-24T21:00:00.000Z',
      hours: 23,
    });
  });

  test('of an hour is an hour of real time, the repeated one twice', () => {
    inZone('Europe/Berlin');
    const [before, after] = ['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z'].map((at) =>
      windowOf(at, 'hour'),
    );
    expect(before).toEqual({ start: '2026-10-25T00:00:00.000Z', end: '2026-10-25T01:00:00.000Z', hours: 1 });
    expect(after).toEqual({ start: '2026-10-25T01:00:00.000Z', end: '2026-10-25T02:00:00.000Z', hours: 1 });
  });

  test('of an hour follows the local clock where the zone is half an hour off', () => {
    inZone('Asia/Kolkata');
    expect(windowOf('2026-11-18T10:45:00Z', 'hour').start).toBe('2026-11-18T10:30:00.000Z');
    inZone('Asia/Kathmandu');
    expect(windowOf('2026-11-18T10:20:00Z', 'hour').start).toBe('2026-11-18T10:15:00.000Z');
  });

  test.each([
    ['2026-02-10T00:00:00', 28],
    ['2028-02-29T23:59:59', 29],
    ['2026-04-30T23:59:59', 30],
    ['2026-12-31T23:59:59', 31],
  ])('of the month of %s has %i days', (local, days) => {
    inZone('UTC');
    const { start, end } = windowAt(new Date(local).getTime(), 'month');
    expect((end - start) / 86_400_000).toBe(days);
    expect(new Date(start).getUTCDate()).toBe(1);
    expect(new Date(end).getUTCDate()).toBe(1);
  });

  test('of a month is as much longer or shorter as its clock changes', () => {
    inZone('America/New_York');
    expect(windowOf('2026-03-15T00:00:00Z', 'month').hours).toBe(31 * 24 - 1);
    expect(windowOf('2026-11-15T00:00:00Z', 'month').hours).toBe(30 * 24 + 1);
  });

  test('of a week begins on the day it is told to, at local midnight, and has seven days', () => {
    inZone('Europe/Berlin');
    // 18 November 2026 is a Wednesday.
    expect(windowOf('2026-11-18T10:00:00Z', 'week', 1).start).toBe('2026-11-15T23:00:00.000Z');
    expect(windowOf('2026-11-18T10:00:00Z', 'week', 0).start).toBe('2026-11-14T23:00:00.000Z');
    expect(windowOf('2026-11-18T10:00:00Z', 'week', 6).start).toBe('2026-11-13T23:00:00.000Z');
    expect(windowOf('2026-11-22T22:59:59Z', 'week', 1).start).toBe('2026-11-15T23:00:00.000Z');
    expect(windowOf('2026-11-22T23:00:00Z', 'week', 1).start).toBe('2026-11-22T23:00:00.000Z');
    expect(windowOf('2026-10-21T10:00:00Z', 'week', 1).hours).toBe(7 * 24 + 1);
  });

  test('of a week begins on the first day of the locale', () => {
    expect(localeFirstWeekday('de-DE')).toBe(1);
    expect(localeFirstWeekday('en-US')).toBe(0);
    expect(localeFirstWeekday('ar-EG')).toBe(6);
  });

  test.each([
    'UTC',
    'Europe/Berlin',
    'America/New_York',
    'Australia/Lord_Howe',
    'Africa/Cairo',
    'America/Havana',
    'Asia/Kathmandu',
    'Pacific/Apia',
    'Atlantic/Azores',
    'America/Nuuk',
    // Midnight is skipped, or comes twice.
    'America/Santiago',
    'Asia/Beirut',
    'America/Asuncion',
    // Two hours at once; a quarter; a summer time that pauses for a month.
    'Antarctica/Troll',
    'Pacific/Chatham',
    'Africa/Casablanca',
  ])('holds every moment, and ends where the next one begins: %s', (zone) => {
    inZone(zone);
    const moment = fc.integer({ min: Date.parse('2009-01-01Z'), max: Date.parse('2031-01-01Z') });
    fc.assert(
      fc.property(moment, fc.constantFrom(...Every.options), fc.nat(6), (now, every, firstWeekday) => {
        const { start, end } = windowAt(now, every, firstWeekday);
        expect(start).toBeLessThanOrEqual(now);
        expect(end).toBeGreaterThan(now);
        if (every === 'hour') return;
        expect(windowAt(end, every, firstWeekday).start).toBe(end);
        expect(windowAt(end - 1, every, firstWeekday)).toEqual({ start, end });
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the limit that leaves the least room', () => {
  const balance = (more: Partial<Balance>): Balance => ({
    scope: { kind: 'global' },
    topUp: null,
    usageNano: 0,
    heldNano: 0,
    limitNano: null,
    recurring: null,
    window: null,
    ...more,
  });
  const window = (usedNano: number) => ({ start: 0, end: 1000, usedNano });

  test('is none for a key without limits', () => {
    expect(leastRoom([balance({ usageNano: 5, heldNano: 5 })])).toBeNull();
  });

  test('counts what is held against both limits', () => {
    expect(leastRoom([balance({ usageNano: 30, heldNano: 20, limitNano: 100 })])).toBe(50);
    const both = balance({
      usageNano: 30,
      heldNano: 20,
      limitNano: 100,
      recurring: { amountNano: 60, every: 'day' },
      window: window(10),
    });
    expect(leastRoom([both])).toBe(30);
    expect(appliedLimits(both)).toMatchObject([
      { limitNano: 100, usedNano: 30, roomNano: 50, recurring: null },
      { limitNano: 60, usedNano: 10, roomNano: 30, recurring: { every: 'day', resetsAt: 1000 } },
    ]);
  });

  test('may be overdrawn', () => {
    expect(leastRoom([balance({ usageNano: 90, heldNano: 20, limitNano: 50 })])).toBe(-60);
  });

  test('is the least of all limits that apply, whichever they are', () => {
    const amount = fc.integer({ min: 0, max: 1000 });
    const any = fc.record({
      usageNano: amount,
      heldNano: amount,
      limitNano: fc.option(amount),
      recurring: fc.option(fc.record({ amountNano: amount, every: fc.constant('day' as const) })),
      used: amount,
      carried: fc.option(fc.record({ from: fc.constant(0), nano: amount }), { nil: undefined }),
      topUp: fc.option(fc.record({ amountNano: amount, until: fc.constant(null) })),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 4 }), (all) => {
        const balances = all.map(({ used, carried, ...more }) =>
          balance({ ...more, window: more.recurring && { ...window(used), carried } }),
        );
        const rooms = balances.flatMap(appliedLimits).map(({ roomNano }) => roomNano);
        expect(leastRoom(balances)).toBe(rooms.length === 0 ? null : Math.min(...rooms));
      }),
    );
  });

  test.each<[string, Partial<Balance>]>([
    ['none', {}],
    ['none', { usageNano: 1e15 }],
    ['ok', { limitNano: 100, usageNano: 79 }],
    ['near', { limitNano: 100, usageNano: 80 }],
    ['near', { limitNano: 100, usageNano: 99 }],
    ['reached', { limitNano: 100, usageNano: 100 }],
    ['reached', { limitNano: 100, usageNano: 101 }],
    ['reached', { limitNano: 0 }],
    // What is only held may come back.
    ['ok', { limitNano: 100, usageNano: 10, heldNano: 90 }],
    [
      'near',
      { limitNano: 100, usageNano: 10, recurring: { amountNano: 10, every: 'day' }, window: window(8) },
    ],
    ['reached', { recurring: { amountNano: 10, every: 'day' }, window: window(10) }],
    ['reached', { recurring: { amountNano: 0, every: 'day' }, window: window(0) }],
    [
      'reached',
      { limitNano: 100, usageNano: 100, recurring: { amountNano: 10, every: 'day' }, window: window(0) },
    ],
  ])('is %s of %o', (state, more) => {
    expect(limitState(balance(more))).toBe(state);
  });
});
