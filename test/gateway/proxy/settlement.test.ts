/** From what was seen of an answer to its cost: whose number counts, and what is flagged. */
import { describe, expect, test } from 'vitest';
import type { AnswerFacts, TokenUsage } from '../../../electron/gateway/dialects/dialect.ts';
import { noUsage } from '../../../electron/gateway/dialects/dialect.ts';
import { billableOf, readBill } from '../../../electron/gateway/pricing/bill.ts';
import type { Price } from '../../../electron/gateway/pricing/cost.ts';
import { outcomeOf, type SettlementBasis, type Ending } from '../../../electron/gateway/proxy/settlement.ts';

/** Nano-dollars a token, in and out. */
const priced = (source: string, input: number, output: number): Price => ({
  source,
  guessed: false,
  rates: {
    input: { base: input * 1e6, steps: [] },
    output: { base: output * 1e6, steps: [] },
  },
  webSearches: null,
  requests: null,
});

const known: Record<string, Price> = {
  asked: priced('catalogue', 1, 10),
  answered: priced('catalogue', 2, 20),
};

const asked = (more: Partial<SettlementBasis> = {}): SettlementBasis => ({
  model: 'asked',
  estimate: ({ outputChars }) => ({ inputTokens: 100, outputTokens: Math.ceil(outputChars / 4) }),
  heldNano: 1_000_000,
  clamped: false,
  fallback: false,
  serviceTier: null,
  price: known['asked'] ?? null,
  priceOf: (model) => known[model] ?? null,
  ...more,
});

const tokens = (counts: Partial<TokenUsage>): TokenUsage => ({ ...noUsage, ...counts });

const answer = (more: Partial<AnswerFacts> = {}): AnswerFacts => ({
  model: 'asked',
  serviceTier: null,
  terms: {},
  usage: tokens({ inputTokens: 100, outputTokens: 10 }),
  usageIsFinal: true,
  extraPasses: [],
  reportedCostNano: null,
  reportedCostIsBilled: true,
  reportedOwnKeyNano: 0,
  outputChars: 0,
  outputCalls: 0,
  outputText: null,
  failed: false,
  ...more,
});

const ending = (more: Partial<Ending> = {}): Ending => ({
  status: 200,
  how: 'complete',
  neverArrived: false,
  firstByteMs: 1,
  durationMs: 2,
  ...more,
});

describe('the cost of a complete answer', () => {
  test('is tokens at the price of the model asked for', () => {
    expect(outcomeOf(asked(), answer(), ending())).toMatchObject({
      costNano: 200,
      computedCostNano: 200,
      reportedCostNano: null,
      priceSource: 'catalogue',
      flags: [],
    });
  });

  test('is what the provider says it charged, with the computed one beside it', () => {
    expect(outcomeOf(asked(), answer({ reportedCostNano: 497_013 }), ending())).toMatchObject({
      costNano: 497_013,
      computedCostNano: 200,
      priceSource: 'reported by the provider',
      flags: [],
    });
    expect(outcomeOf(asked(), answer({ reportedCostNano: 0 }), ending()).costNano).toBe(0);
  });

  test('is at the price of the model that answered, where another one did', () => {
    expect(outcomeOf(asked(), answer({ model: 'answered' }), ending())).toMatchObject({
      model: 'answered',
      costNano: 400,
    });
    expect(outcomeOf(asked(), answer({ model: 'asked-2026-01-01' }), ending()).costNano).toBe(200);
  });

  test('is at the person’s own price for what was asked, whichever model answered', () => {
    const own = asked({ price: priced('own', 5, 50) });
    expect(outcomeOf(own, answer({ model: 'answered' }), ending())).toMatchObject({
      costNano: 1000,
      priceSource: 'own',
    });
  });

  test('is unknown without a price, and not zero', () => {
    const unpriced = asked({ price: null, priceOf: () => null });
    expect(outcomeOf(unpriced, answer(), ending())).toMatchObject({ costNano: null, flags: ['unpriced'] });
    expect(outcomeOf(unpriced, answer({ reportedCostNano: 7 }), ending())).toMatchObject({
      costNano: 7,
      flags: [],
    });
  });

  test('above what was held is counted in full, and flagged', () => {
    expect(outcomeOf(asked({ heldNano: 199 }), answer(), ending())).toMatchObject({
      costNano: 200,
      flags: ['overrun'],
    });
    expect(outcomeOf(asked({ heldNano: 200 }), answer(), ending()).flags).toEqual([]);
  });

  test('has the hidden passes in it, each at its own model', () => {
    const extraPasses = [
      { model: 'answered', usage: tokens({ inputTokens: 7, outputTokens: 1 }) },
      { model: null, usage: tokens({ inputTokens: 3 }) },
    ];
    expect(outcomeOf(asked(), answer({ extraPasses }), ending())).toMatchObject({
      costNano: 200 + 34 + 3,
      flags: [],
    });
  });

  test('counts a hidden pass of a model nobody knows at the price asked for, and says that it is an estimate', () => {
    const extraPasses = [{ model: 'unheard-of', usage: tokens({ inputTokens: 7 }) }];
    expect(outcomeOf(asked(), answer({ extraPasses }), ending())).toMatchObject({
      costNano: 207,
      flags: ['estimated'],
    });
  });

  test('at a price that was guessed is an estimate', () => {
    const guessed = asked({ price: { ...priced('maker', 1, 10), guessed: true } });
    expect(outcomeOf(guessed, answer(), ending())).toMatchObject({ costNano: 200, flags: ['estimated'] });
  });
});

describe('where the provider did not say what was used', () => {
  const silent = answer({ usage: null, usageIsFinal: false });

  test('the input is estimated from the body and the output from what was seen', () => {
    const seen = { ...silent, outputChars: 41 };
    expect(outcomeOf(asked(), seen, ending({ how: 'client-gone' }))).toMatchObject({
      usage: { inputTokens: 100, outputTokens: 11 },
      costNano: 100 + 110,
      flags: ['interrupted', 'estimated'],
    });
  });

  test('a running count is a lower bound, not the end', () => {
    const running = answer({
      usageIsFinal: false,
      usage: tokens({ inputTokens: 30, outputTokens: 1 }),
      outputChars: 80,
    });
    expect(outcomeOf(asked(), running, ending({ how: 'stopped' }))).toMatchObject({
      usage: { inputTokens: 30, outputTokens: 20 },
      costNano: 230,
      flags: ['stopped', 'estimated'],
    });
  });

  test('a final count stands, however the connection ended', () => {
    expect(outcomeOf(asked(), answer(), ending({ how: 'client-gone' }))).toMatchObject({
      costNano: 200,
      flags: ['interrupted'],
    });
  });

  test('a request that may have arrived costs its input', () => {
    expect(outcomeOf(asked(), silent, ending({ status: 0, how: 'upstream-gone' }))).toMatchObject({
      costNano: 100,
      flags: ['interrupted', 'estimated'],
    });
  });

  test('a request that cannot have arrived costs nothing', () => {
    const never = ending({ status: 0, how: 'upstream-gone', neverArrived: true });
    expect(outcomeOf(asked(), silent, never)).toMatchObject({ costNano: 0, flags: ['interrupted'] });
  });

  test.each([400, 401, 429, 500, 529])('a refusal with status %i costs nothing', (status) => {
    expect(outcomeOf(asked(), silent, ending({ status }))).toMatchObject({ costNano: 0, status, flags: [] });
  });

  test('an error inside a successful answer costs nothing where nothing was generated before it', () => {
    expect(outcomeOf(asked(), { ...silent, failed: true }, ending())).toMatchObject({
      costNano: 0,
      flags: [],
    });
    expect(outcomeOf(asked(), { ...silent, failed: true, outputChars: 4 }, ending())).toMatchObject({
      costNano: 110,
      flags: ['estimated'],
    });
  });
});

describe('the bill that a row freezes', () => {
  const bill = (request: SettlementBasis, seen: AnswerFacts) =>
    readBill(outcomeOf(request, seen, ending()).price);

  test('says which price of which day, and its lines add up to the computed cost', () => {
    const dated = asked({ price: { ...priced('catalogue', 1, 10), date: '2026-09-23' } });
    expect(bill(dated, answer())).toEqual({
      source: 'catalogue',
      date: '2026-09-23',
      guessed: false,
      items: [
        { item: 'input', count: 100, per: 1_000_000, unitNano: 1_000_000, nano: 100 },
        { item: 'output', count: 10, per: 1_000_000, unitNano: 10_000_000, nano: 100 },
      ],
    });
  });

  test('is at the service tier of the answer, whatever was asked for', () => {
    const tiers = { flex: { percent: 50 }, priority: { percent: 175 } };
    const request = asked({ serviceTier: 'priority', price: { ...priced('catalogue', 1, 10), tiers } });
    expect(outcomeOf(request, answer({ serviceTier: 'flex' }), ending())).toMatchObject({
      costNano: 100,
      flags: [],
    });
    expect(outcomeOf(request, answer({ serviceTier: 'default' }), ending())).toMatchObject({
      costNano: 200,
      flags: [],
    });
    expect(bill(request, answer({ serviceTier: 'flex' }))).toMatchObject({
      serviceTier: 'flex',
      percent: 50,
    });
  });

  test('is at the tier asked for where the answer names none, openly an estimate', () => {
    const tiers = { priority: { percent: 175 } };
    const request = asked({ serviceTier: 'priority', price: { ...priced('catalogue', 1, 10), tiers } });
    expect(outcomeOf(request, answer(), ending())).toMatchObject({ costNano: 350, flags: ['estimated'] });
    expect(bill(request, answer())).toMatchObject({ serviceTier: 'priority', tierAsked: true });
    const usual = asked({ serviceTier: 'auto' });
    expect(outcomeOf(usual, answer(), ending()).flags).toEqual([]);
  });

  test('has the hidden passes’ lines with their models, and the reasons for doubt', () => {
    const extraPasses = [
      { model: 'answered', usage: tokens({ inputTokens: 7 }) },
      { model: 'unheard-of', usage: tokens({ inputTokens: 3 }) },
    ];
    const frozen = bill(asked(), answer({ extraPasses }));
    expect(frozen?.items.map(({ item, model, nano }) => [item, model, nano])).toEqual([
      ['input', undefined, 100],
      ['output', undefined, 100],
      ['input', 'answered', 14],
      ['input', 'unheard-of', 3],
    ]);
    expect(frozen?.doubts).toEqual(['no price: unheard-of']);
  });

  test('says how far the provider’s own figure is from it, where that is more than rounding', () => {
    const usage = tokens({ inputTokens: 100_000, outputTokens: 10 });
    const differs = (reportedCostNano: number) =>
      bill(asked(), answer({ usage, reportedCostNano }))?.reportedDiffersNano;
    expect(differs(100_100)).toBeUndefined();
    expect(differs(100_900)).toBeUndefined();
    expect(differs(150_100)).toBe(50_000);
    expect(differs(0)).toBe(-100_100);
  });

  test('of a model without a price keeps what it takes to price it later', () => {
    const seen = answer({
      serviceTier: 'flex',
      terms: { region: 'us' },
      usage: tokens({ inputTokens: 100, audioInputTokens: 60, outputTokens: 10, fileSearches: 1 }),
      extraPasses: [{ model: 'answered', usage: tokens({ inputTokens: 7 }) }],
    });
    const frozen = bill(asked({ price: null, priceOf: () => null }), seen);
    expect(frozen?.source).toBeNull();
    expect(frozen && billableOf(frozen)).toEqual({
      usage: seen.usage,
      serviceTier: 'flex',
      askedTier: null,
      terms: { region: 'us' },
      extraPasses: seen.extraPasses,
    });
  });
});
