/** The arithmetic of a cost: for any price and any counts, against a reference in fractions. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { noUsage, type CostTerms, type TokenUsage } from '../../../electron/gateway/dialects/dialect.ts';
import {
  bandOf,
  cost,
  lineItems,
  tierName,
  tokenClasses,
  upperPercent,
  type Price,
} from '../../../electron/gateway/pricing/cost.ts';

const amount = fc.integer({ min: 0, max: 200_000_000_000 });
const rate = fc.record({
  base: amount,
  steps: fc.uniqueArray(fc.record({ above: fc.constantFrom(1_000, 200_000, 272_000), rate: amount }), {
    maxLength: 2,
    selector: ({ above }) => above,
  }),
});
const ascending = ({ base, steps }: { base: number; steps: { above: number; rate: number }[] }) => ({
  base,
  steps: steps.toSorted((a, b) => a.above - b.above),
});
const fees = fc.record({
  fileSearches: amount,
  codeSessions: amount,
  xSearches: amount,
  mapSearches: amount,
});
const anyPrice: fc.Arbitrary<Price> = fc
  .record({
    rates: fc.dictionary(fc.constantFrom(...tokenClasses), rate, { maxKeys: 12 }),
    webSearches: fc.option(amount),
    requests: fc.option(amount),
    fees: fc.option(fees, { nil: undefined }),
    percent: fc.constantFrom(50, 75, 180, 200, 600),
    region: fc.constantFrom(100, 110),
  })
  .map(({ rates, webSearches, requests, fees: byPiece, percent, region }) => ({
    source: 'test',
    guessed: false,
    rates: Object.fromEntries(Object.entries(rates).map(([name, one]) => [name, ascending(one)])),
    webSearches,
    requests,
    fees: byPiece ?? {},
    tiers: { flex: { percent } },
    regions: { us: region },
  }));

const usage = (counts: Partial<TokenUsage>): TokenUsage => ({ ...noUsage, ...counts });

const counters = Object.keys(noUsage) as (keyof TokenUsage)[];
const anyUsage: fc.Arbitrary<TokenUsage> = fc
  .record(Object.fromEntries(counters.map((name) => [name, fc.integer({ min: 0, max: 400_000 })])))
  .map(usage);
// What every object has is no tier and no region, whoever names it so.
const anyTier = fc.constantFrom(null, 'flex', 'default', 'unheard-of', 'constructor', '__proto__');
const anyTerms: fc.Arbitrary<CostTerms> = fc.constantFrom(
  {},
  { region: 'us' },
  { region: 'global' },
  { region: 'constructor' },
);

describe('for any price, counts, service tier and region', () => {
  test('the line items add up to the cost, and none is negative', () => {
    fc.assert(
      fc.property(anyPrice, anyUsage, anyTier, anyTerms, (price, counts, tier, terms) => {
        const items = lineItems(price, counts, tier, terms);
        const { nano } = cost(price, counts, tier, terms);
        expect(items.reduce((sum, { nano: part }) => sum + part, 0)).toBe(nano);
        expect(items.every(({ nano: part, count }) => part >= 0 && count > 0)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('count × unit price is the amount of each line, and together the cost, but for rounding', () => {
    fc.assert(
      fc.property(anyPrice, anyUsage, anyTier, anyTerms, (price, counts, tier, terms) => {
        let exact = 0n;
        for (const { count, per, unitNano, nano } of lineItems(price, counts, tier, terms)) {
          const line = (BigInt(count) * BigInt(unitNano) * 1_000_000n) / BigInt(per);
          exact += line;
          // A unit price of less than a nano-dollar a million is rounded for show: half of that, times the count.
          const off = BigInt(nano) * 1_000_000n - line;
          expect(off < 1_500_000n && off > -1_500_000n).toBe(true);
        }
        const off = BigInt(cost(price, counts, tier, terms).nano) * 1_000_000n - exact;
        expect(off < 6_000_000n && off > -6_000_000n).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('more of anything never costs less, where a longer input is not cheaper', () => {
    fc.assert(
      fc.property(anyPrice, anyUsage, fc.constantFrom(...counters), anyTier, (any, counts, name, tier) => {
        // A part of a total moves tokens from one rate to another: only totals and fees are more of something.
        fc.pre(!/^(cached|cacheWrite|audio|image|video|reasoning)/.test(name));
        const price = withoutSteps(any);
        const more = { ...counts, [name]: counts[name] + 1 };
        expect(cost(price, more, tier).nano).toBeGreaterThanOrEqual(cost(price, counts, tier).nano);
      }),
      { numRuns: 500 },
    );
  });

  test('the upper percent bounds what a tier and a region can make of it', () => {
    fc.assert(
      fc.property(anyPrice, anyUsage, anyTier, anyTerms, (any, counts, tier, terms) => {
        const price = { ...withoutSteps(any), webSearches: 0, requests: 0, fees: {} };
        const standard = cost(price, counts).nano;
        const upper = Math.ceil((standard * upperPercent(price, tier)) / 100);
        expect(cost(price, counts, tier, terms).nano).toBeLessThanOrEqual(upper + 6);
      }),
      { numRuns: 500 },
    );
  });
});

function withoutSteps(price: Price): Price {
  const rates = Object.entries(price.rates).map(([name, { base }]) => [name, { base, steps: [] }]);
  return { ...price, rates: Object.fromEntries(rates) };
}

const priced = (more: Partial<Price> = {}): Price => ({
  source: 'test',
  guessed: false,
  rates: { input: { base: 1_100_000_000, steps: [] }, output: { base: 4_400_000_000, steps: [] } },
  webSearches: null,
  requests: null,
  ...more,
});

describe('a bill', () => {
  test('shows each unit price with the service tier and the region in it', () => {
    const price = priced({ tiers: { flex: { percent: 50 } }, regions: { us: 110 } });
    const counts = usage({ inputTokens: 1000, outputTokens: 1 });
    expect(lineItems(price, counts, 'flex', { region: 'us' })).toEqual([
      { item: 'input', count: 1000, per: 1_000_000, unitNano: 605_000_000, nano: 605_000 },
      { item: 'output', count: 1, per: 1_000_000, unitNano: 2_420_000_000, nano: 2_420 },
    ]);
  });

  test('gives what rounding leaves over to the line that lost the most', () => {
    const price = priced({
      rates: {
        input: { base: 400_000, steps: [] },
        cachedInput: { base: 300_000, steps: [] },
        output: { base: 300_000, steps: [] },
      },
    });
    const counts = usage({ inputTokens: 2, cachedInputTokens: 1, outputTokens: 1 });
    expect(lineItems(price, counts).map(({ item, nano }) => [item, nano])).toEqual([
      ['cachedInput', 0],
      ['input', 1],
      ['output', 0],
    ]);
  });

  test('has a price of its own for a class at a tier that is no plain share of the standard price', () => {
    const tiers = { priority: { percent: 182, rates: { input: 2_000_000_000, output: 8_000_000_000 } } };
    const bill = lineItems(priced({ tiers }), usage({ inputTokens: 2952, outputTokens: 3000 }), 'priority');
    expect(bill.map(({ nano }) => nano)).toEqual([5_904_000, 24_000_000]);
    expect(upperPercent(priced({ tiers }), 'priority')).toBe(182);
  });

  test('goes by the size of the search context, and says so where it is not known', () => {
    const requestsByContext = { low: 5e9, medium: 8e9, high: 12e9 };
    const price = priced({ requestsByContext, requests: 12e9 });
    const of = (terms: CostTerms) => cost(price, noUsage, null, terms);
    expect(of({ searchContext: 'medium' })).toEqual({ nano: 8_000_000, assumed: false });
    expect(of({})).toEqual({ nano: 5_000_000, assumed: true });
  });

  test('of a tool whose fee may be less, or is not known, is an estimate', () => {
    const price = priced({ webSearches: 35e9, uncertain: ['webSearches'], fees: { fileSearches: 25e8 } });
    const of = (counts: Partial<TokenUsage>) => cost(price, usage(counts));
    expect(of({ fileSearches: 2 })).toEqual({ nano: 5_000_000, assumed: false });
    expect(of({ webSearches: 1 })).toEqual({ nano: 35_000_000, assumed: true });
    expect(of({ xSearches: 1 })).toEqual({ nano: 0, assumed: true });
    expect(of({ otherTools: 1 })).toEqual({ nano: 0, assumed: true });
  });

  test('has the preview tool’s price for searches made with it', () => {
    const price = priced({ webSearches: 10e9, previewSearches: 25e9 });
    expect(cost(price, usage({ webSearches: 1 }), null, { previewSearch: true }).nano).toBe(25_000_000);
    expect(cost(price, usage({ webSearches: 1 })).nano).toBe(10_000_000);
  });
});

test.each([
  [null, null],
  ['default', null],
  ['standard', null],
  ['ON_DEMAND', null],
  ['auto', null],
  ['SERVICE_TIER_FLEX', 'flex'],
  ['ON_DEMAND_PRIORITY', 'priority'],
  ['priority', 'priority'],
  ['PROVISIONED_THROUGHPUT', 'provisioned_throughput'],
])('the service tier %s is %s', (given, name) => {
  expect(tierName(given)).toBe(name);
});

test('a tier that nobody knows is the standard price, openly estimated', () => {
  expect(cost(priced(), usage({ inputTokens: 1000 }), 'scale')).toEqual({ nano: 1_100_000, assumed: true });
});

test('the band reached is the highest step that the input is above', () => {
  const steps = [
    { above: 10, rate: 2 },
    { above: 20, rate: 3 },
  ];
  const price = priced({ rates: { input: { base: 1, steps } } });
  expect([10, 11, 21].map((count) => bandOf(price, count))).toEqual([null, 10, 20]);
});
