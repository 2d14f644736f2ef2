import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  assertNano,
  decimalToNano,
  divideHalfUp,
  formatLimit,
  formatPlainUsd,
  formatUsd,
  formatUsdAlike,
  MAX_LIMIT_NANO,
  NANO_PER_USD,
  parseAmount,
  usdToNano,
} from '#shared/money.ts';

const nanos = fc.integer({ min: 0, max: MAX_LIMIT_NANO });

describe('what a person types into a limit', () => {
  test.each([
    ['10', 10_000_000_000],
    ['$10.00', 10_000_000_000],
    [' $ 10 ', 10_000_000_000],
    ['10 USD', 10_000_000_000],
    ['＄１０．５０', 10_500_000_000],
    ['1,000.50', 1_000_500_000_000],
    ['0.005', 5_000_000],
    ['5.', 5_000_000_000],
    ['0', 0],
    ['0.000000001', 1],
    ['0.1000000000000', 100_000_000],
    ['1000000', MAX_LIMIT_NANO],
  ])('%j is %d nano-dollars', (text, nano) => {
    expect(parseAmount(text)).toEqual({ ok: true, nano });
  });

  test.each(['', '   '])('%j is no limit', (text) => {
    expect(parseAmount(text)).toEqual({ ok: true, nano: null });
  });

  test.each(['abc', '1e999', '1e3', ',100', '1.2.3', '$', '.', 'NaN', 'Infinity', '0x10', '10 €', '1 000'])(
    '%j is refused with what to type instead',
    (text) => {
      expect(parseAmount(text)).toEqual({
        ok: false,
        message: 'Enter an amount in dollars such as 10.00, or leave it empty for no limit.',
      });
    },
  );

  test.each([
    ['10,50', '10.50'],
    ['1,00', '1.00'],
  ])('%j is asked about: a comma separates thousands', (text, meant) => {
    expect(parseAmount(text)).toEqual({ ok: false, message: `Write cents with a point: ${meant}.` });
  });

  test.each(['-1', '-$1', '$-1', '-0.01'])('%j is refused as negative', (text) => {
    expect(parseAmount(text)).toEqual({ ok: false, message: 'A limit cannot be negative.' });
  });

  test('more digits than a nano-dollar has are refused rather than rounded', () => {
    expect(parseAmount('0.0000000001')).toEqual({
      ok: false,
      message: 'Use at most nine digits after the point.',
    });
  });

  test('more than a limit may be is refused with the most it may be', () => {
    expect(parseAmount('1000000.01')).toEqual({
      ok: false,
      message: 'Enter at most $1,000,000.00, or leave it empty for no limit.',
    });
  });

  test('every amount that is shown for editing reads back as itself', () => {
    fc.assert(
      fc.property(nanos, (nano) => {
        expect(parseAmount(formatPlainUsd(nano))).toEqual({ ok: true, nano });
        expect(parseAmount(formatLimit(nano))).toEqual({ ok: true, nano });
      }),
    );
  });

  test('no text at all makes it throw or gives an amount out of bounds', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parsed = parseAmount(text);
        if (!parsed.ok || parsed.nano === null) return;
        expect(Number.isSafeInteger(parsed.nano) && parsed.nano >= 0 && parsed.nano <= MAX_LIMIT_NANO).toBe(
          true,
        );
      }),
    );
  });
});

describe('amounts as they are read', () => {
  test.each([
    [0, '$0.00'],
    [10_000_000_000, '$10.00'],
    [1_234_567_890_000, '$1,234.57'],
    [12_345_678, '$0.0123'],
    [450_000, '$0.000450'],
    [999_999_999, '$1.0000'],
    [1, '$0.000000001'],
    [20_000_000, '$0.02'],
    [-20_000_000, '-$0.02'],
  ])('%d nano-dollars are %s', (nano, text) => {
    expect(formatUsd(nano)).toBe(text);
  });

  test('amounts over their sum have as many digits as the smallest of them needs', () => {
    expect(formatUsdAlike([85_910_000, 12_681_900, 8_259_000])).toEqual([
      '$0.085910',
      '$0.012682',
      '$0.008259',
    ]);
    expect(formatUsdAlike([12_000_000_000, 0])).toEqual(['$12.00', '$0.00']);
  });

  test('an amount that is not zero is never shown as zero', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_LIMIT_NANO }), (nano) => {
        expect(formatUsd(nano)).toMatch(/[1-9]/);
      }),
    );
  });

  test.each([
    [500_000, '$0.0005'],
    [1_000_500_000_000, '$1,000.50'],
    [MAX_LIMIT_NANO, '$1,000,000.00'],
  ])('a limit of %d nano-dollars is shown as it was set: %s', (nano, text) => {
    expect(formatLimit(nano)).toBe(text);
  });
});

describe('decimals from price lists and providers', () => {
  test.each([
    ['0.15', 150_000_000n],
    ['6e-8', 60n],
    [6e-8, 60n],
    ['1E+2', 100_000_000_000n],
    ['.5', 500_000_000n],
    ['-1', -1_000_000_000n],
    ['0.0000000005', 1n],
    ['0.0000000004', 0n],
  ])('%j is %d', (text, nano) => {
    expect(decimalToNano(text)).toBe(nano);
  });

  test.each(['', '.', 'e5', 'abc', 'NaN', 'Infinity', '1e9999'])('%j is no decimal', (text) => {
    expect(decimalToNano(text)).toBeNull();
  });

  test('a decimal with up to nine digits is exact, however it is written', () => {
    fc.assert(
      fc.property(nanos, (nano) => {
        expect(usdToNano(formatPlainUsd(nano))).toBe(nano);
        expect(usdToNano(`${nano}e-9`)).toBe(nano);
      }),
    );
  });

  test.each([[null], [undefined], [{}], [true], [-0.5], ['1e300'], [Number.NaN]])(
    '%j is no reported cost',
    (value) => {
      expect(usdToNano(value)).toBeNull();
    },
  );
});

describe('arithmetic', () => {
  test('division rounds half up', () => {
    expect([0n, 1n, 2n, 3n, 4n, 5n].map((dividend) => divideHalfUp(dividend, 2n))).toEqual([
      0n,
      1n,
      1n,
      2n,
      2n,
      3n,
    ]);
  });

  test.each([0.5, Number.NaN, Infinity, Number.MAX_SAFE_INTEGER + 1])('%d is refused as money', (value) => {
    expect(() => assertNano(value)).toThrow(RangeError);
  });

  test('whole nano-dollars pass', () => {
    expect(assertNano(NANO_PER_USD)).toBe(1_000_000_000);
  });
});
