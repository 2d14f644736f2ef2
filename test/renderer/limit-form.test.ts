import { describe, expect, test } from 'vitest';
import {
  draftOf,
  emptyDraft,
  emptyKeyDraft,
  errorsFrom,
  limitWarning,
  readDraft,
} from '../../renderer/keys/limit-form.ts';
import { keyRow } from './fake-backend.ts';

const usd = (dollars: number) => Math.round(dollars * 1e9);
const monthly = {
  amountNano: usd(5),
  every: 'month' as const,
  usedNano: usd(2),
  resetsAt: '2026-12-01T00:00:00.000Z',
};

describe('reading what was typed', () => {
  test.each([
    ['', null],
    ['   ', null],
    ['10', usd(10)],
    ['$10.00', usd(10)],
    ['1,000.50', usd(1000.5)],
    ['0.005', usd(0.005)],
    ['0', 0],
  ])('"%s" is %s nano-dollars', (amount, limitNano) => {
    expect(readDraft({ ...emptyDraft, amount })).toEqual({
      ok: true,
      limits: { limitNano, recurring: null },
    });
  });

  test.each(['abc', '-1', '1e999', '10,50', '$'])('"%s" is refused at its field', (amount) => {
    const read = readDraft({ ...emptyDraft, amount });
    expect(read).toEqual({ ok: false, errors: { amount: expect.stringMatching(/\w/) } });
  });

  test('both fields are checked at once', () => {
    const read = readDraft({ amount: 'x', recurringAmount: 'y', every: 'day' });
    expect(read.ok ? [] : Object.keys(read.errors)).toEqual(['amount', 'recurringAmount']);
  });

  test('a recurring amount takes its period with it; an empty one is none', () => {
    expect(readDraft({ amount: '', recurringAmount: '5', every: 'week' })).toEqual({
      ok: true,
      limits: { limitNano: null, recurring: { amountNano: usd(5), every: 'week' } },
    });
  });

  test.each([
    [null, null],
    [usd(10), null],
    [usd(0.0005), monthly],
    [0, monthly],
  ])('what a key has is read back as it was (limit %s)', (limitNano, recurring) => {
    const row = keyRow({ id: 'k', name: 'k', limitNano, recurring });
    expect(readDraft(draftOf(row))).toEqual({
      ok: true,
      limits: {
        limitNano,
        recurring: recurring && { amountNano: recurring.amountNano, every: recurring.every },
        sessionLimitNano: null,
      },
    });
  });

  test('a limit per session is of keys alone', () => {
    const row = keyRow({ id: 'k', name: 'k', sessionLimitNano: usd(2) });
    expect(draftOf(row)).toMatchObject({ amount: '', sessionAmount: '2.00' });
    expect(readDraft({ ...emptyKeyDraft, sessionAmount: '0.5' })).toMatchObject({
      limits: { limitNano: null, sessionLimitNano: usd(0.5) },
    });
    expect(readDraft({ ...emptyKeyDraft, sessionAmount: 'x' })).toEqual({
      ok: false,
      errors: { sessionAmount: expect.stringMatching(/\w/) as string },
    });
    expect(draftOf({ limitNano: null, recurring: null })).not.toHaveProperty('sessionAmount');
  });
});

describe('warnings', () => {
  const row = keyRow({ id: 'k', name: 'k', usageNano: usd(4), recurring: monthly });
  const warned = (
    limitNano: number | null,
    amountNano: number | null = null,
    every: 'month' | 'day' = 'month',
  ) => limitWarning({ limitNano, recurring: amountNano === null ? null : { amountNano, every } }, row);

  test('none for no limit and for a limit above the usage', () => {
    expect(warned(null)).toBeNull();
    expect(warned(usd(4) + 1)).toBeNull();
  });

  test('a limit at or below the usage says that it blocks at once, and how much was used', () => {
    for (const limit of [usd(4), usd(1)]) {
      expect(warned(limit)).toEqual({
        field: 'amount',
        text: expect.stringMatching(/\$4\.00.*blocks new requests at once/),
      });
    }
  });

  test('zero says that it blocks every request, also for a key without usage', () => {
    expect(limitWarning({ limitNano: 0, recurring: null }, null)?.text).toContain('blocks every request');
    expect(warned(null, 0)?.field).toBe('recurringAmount');
  });

  test('a recurring limit is compared with what was used in the same period only', () => {
    expect(warned(null, usd(2))?.field).toBe('recurringAmount');
    expect(warned(null, usd(2), 'day')).toBeNull();
    expect(warned(null, usd(3))).toBeNull();
  });
});

test.each([
  ['limitNano', 'amount'],
  ['recurring.amountNano', 'recurringAmount'],
  ['recurring', 'recurringAmount'],
  [undefined, 'form'],
  ['id', 'form'],
])('an answer about %s is shown at %s', (field, place) => {
  const error = { code: 'invalid_input' as const, message: 'No.', ...(field === undefined ? {} : { field }) };
  expect(errorsFrom(error)).toEqual({ [place]: 'No.' });
});
