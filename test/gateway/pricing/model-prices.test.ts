/** Prices of models at their vendors: tiers, bands, hours, names and fees, and never a number that hides a doubt. */
import { afterEach, describe, expect, test } from 'vitest';
import { decimalToNano } from '#shared/money.ts';
import { noUsage, type CostTerms, type TokenUsage } from '../../../electron/gateway/dialects/dialect.ts';
import { catalogue } from '../../../electron/gateway/pricing/catalogue.ts';
import { cost, type Price, type TokenClass } from '../../../electron/gateway/pricing/cost.ts';
import { priceAtVendor } from '../../../electron/gateway/pricing/model-prices.ts';

const summer = '2026-08-01T12:00:00Z';

function priced(vendor: string, model: string, at = summer, address = ''): Price {
  const price = priceAtVendor(vendor, model, new Date(at), address);
  if (price === null) throw new Error(`${model} has no price at ${vendor}`);
  return price;
}

const usage = (counts: Partial<TokenUsage>): TokenUsage => ({ ...noUsage, ...counts });
const usd = (dollars: string) => Number(decimalToNano(dollars));
/** Half cached, so that every plain rate shows. */
const mixed = usage({ inputTokens: 2000, cachedInputTokens: 1000, outputTokens: 1000 });

/** Input, cached input and output in dollars per million: what `mixed` costs. */
const mixedNano = (input: number, cached: number, output: number) =>
  Math.round((input + cached + output) * 1_000_000);

describe('a service tier costs what its page says, per model', () => {
  test.each([
    ['openai', 'gpt-5', 'priority', [2.5, 0.25, 20]],
    ['openai', 'gpt-5-mini-2025-08-07', 'priority', [0.45, 0.045, 3.6]],
    ['openai', 'gpt-5.2', 'priority', [3.5, 0.35, 28]],
    ['openai', 'gpt-5.1-codex-mini', 'priority', [0.45, 0.045, 3.6]],
    ['openai', 'gpt-4.1', 'priority', [3.5, 0.875, 14]],
    ['openai', 'gpt-4.1-nano', 'priority', [0.2, 0.05, 0.8]],
    ['openai', 'gpt-4o-2024-08-06', 'priority', [4.25, 2.125, 17]],
    ['openai', 'gpt-4o-mini', 'priority', [0.25, 0.125, 1]],
    ['openai', 'o3', 'priority', [3.5, 0.875, 14]],
    ['openai', 'o4-mini', 'priority', [2, 0.5, 8]],
    ['openai', 'o4-mini', 'flex', [0.55, 0.1375, 2.2]],
    ['openai', 'gpt-5-nano', 'flex', [0.025, 0.0025, 0.2]],
    ['openai', 'gpt-5.6-luna', 'flex', [0.1, 0.01, 0.6]],
    ['google', 'gemini-3-pro-preview', 'priority', [3.6, 0.36, 21.6]],
    ['google', 'models/gemini-3.1-flash-lite', 'flex', [0.125, 0.0125, 0.75]],
    ['anthropic', 'claude-opus-4-7', 'fast', [30, 3, 150]],
    ['anthropic', 'claude-opus-4-8', 'fast', [10, 1, 50]],
    ['anthropic', 'claude-haiku-4-5', 'batch', [0.5, 0.05, 2.5]],
    ['groq', 'openai/gpt-oss-120b', 'flex', [0.15, 0.075, 0.6]],
    ['groq', 'openai/gpt-oss-120b', 'on_demand', [0.15, 0.075, 0.6]],
  ] as const)('%s, %s, %s', (vendor, model, tier, [input, cached, output]) => {
    expect(cost(priced(vendor, model), mixed, tier)).toEqual({
      nano: mixedNano(input, cached, output),
      assumed: false,
    });
  });

  test.each([
    ['openai', 'gpt-5.5', 'priority'],
    ['openai', 'gpt-5-pro', 'priority'],
    ['openai', 'gpt-4o', 'flex'],
    ['anthropic', 'claude-sonnet-4-6', 'priority'],
    ['anthropic', 'claude-sonnet-4-6', 'fast'],
    ['google', 'gemini-2.5-pro', 'priority'],
    ['x-ai', 'grok-4.3', 'priority'],
  ] as const)('or is an open estimate: %s, %s, %s', (vendor, model, tier) => {
    expect(cost(priced(vendor, model), mixed, tier).assumed).toBe(true);
  });

  test('and is an estimate beyond the inputs it is published for', () => {
    const price = priced('openai', 'gpt-5.4');
    const long = usage({ inputTokens: 300_000 });
    expect(cost(price, mixed, 'priority').assumed).toBe(false);
    expect(cost(price, long).assumed).toBe(false);
    expect(cost(price, long, 'priority').assumed).toBe(true);
  });
});

describe('the length of the input', () => {
  test.each([
    ['openai', 'gpt-5.4', 271_999, 2.5, false],
    ['openai', 'gpt-5.4', 272_000, 5, false],
    ['openai', 'gpt-5.6-terra', 400_000, 4, false],
    ['google', 'gemini-2.5-pro', 200_000, 1.25, false],
    ['google', 'gemini-2.5-pro', 200_001, 2.5, false],
    ['x-ai', 'grok-4.3', 200_000, 2.5, false],
    ['x-ai', 'grok-4-1-fast-reasoning', 128_000, 0.2, false],
    ['x-ai', 'grok-4-1-fast-reasoning', 128_001, 0.4, true],
    ['anthropic', 'claude-sonnet-4-5', 200_001, 6, false],
    ['anthropic', 'claude-sonnet-4-6', 900_000, 3, false],
    ['anthropic', 'claude-sonnet-4-20250514', 200_001, 6, true],
    ['anthropic', 'claude-haiku-5-5', 100_001, 0.5, false],
  ] as const)('%s, %s with %i tokens: $%f', (vendor, model, inputTokens, dollars, assumed) => {
    const nano = Math.round(inputTokens * dollars * 1000);
    expect(cost(priced(vendor, model), usage({ inputTokens }))).toEqual({ nano, assumed });
  });
});

describe('the day and the hour', () => {
  test.each([
    // Summer of 2025: half price from 16:30 to 00:30.
    ['deepseek-chat', '2025-06-10T12:00:00Z', 0.27, false],
    ['deepseek-chat', '2025-06-10T20:00:00Z', 0.135, false],
    ['deepseek-chat', '2025-09-10T20:00:00Z', 0.56, false],
    ['deepseek-reasoner', '2026-01-15T03:00:00Z', 0.28, false],
    ['deepseek-chat', '2026-05-15T03:00:00Z', 0.14, true],
    // Busy hours exist since the middle of August 2026, on working days.
    ['deepseek-v4-flash', '2026-08-03T02:00:00Z', 0.14, false],
    ['deepseek-v4-pro', '2026-08-17T00:59:59Z', 0.66, false],
    ['deepseek-v4-pro', '2026-08-17T01:00:00Z', 1.32, false],
    ['deepseek-v4-pro', '2026-08-17T04:00:00Z', 0.66, false],
    ['deepseek-v4-pro', '2026-08-17T09:59:59Z', 1.32, false],
    ['deepseek-v4-pro', '2026-08-22T02:00:00Z', 0.66, false],
  ])('%s at %s: $%f', (model, at, dollars, assumed) => {
    const million = usage({ inputTokens: 1_000_000 });
    expect(cost(priced('deepseek', model, at), million)).toEqual({ nano: dollars * 1e9, assumed });
  });

  test.each([
    ['openai', 'o3', '2025-06-09T12:00:00Z', [10, 2.5, 40]],
    ['openai', 'o3', '2025-06-10T12:00:00Z', [2, 0.5, 8]],
    ['openai', 'gpt-5.6-sol', '2026-08-20T12:00:00Z', [5, 0.5, 30]],
    ['openai', 'gpt-5.6-sol', '2026-08-21T12:00:00Z', [4, 0.4, 20]],
    ['anthropic', 'claude-sonnet-5-5', '2026-10-06T12:00:00Z', [2, 0.2, 10]],
    ['anthropic', 'claude-sonnet-5-5', '2026-10-07T12:00:00Z', [2, 0.1, 10]],
    ['mistral', 'mistral-large-latest', '2026-08-01T12:00:00Z', [0.5, 0.05, 1.5]],
  ] as const)('%s, %s on %s', (vendor, model, at, [input, cached, output]) => {
    expect(cost(priced(vendor, model, at), mixed)).toEqual({
      nano: mixedNano(input, cached, output),
      assumed: false,
    });
  });
});

describe('a name', () => {
  test.each([
    ['openai', 'gpt-4o-2024-08-06'],
    ['openai', 'GPT-4o-mini'],
    ['openai', 'gpt-5.6-sol-2026-07-01'],
    ['openai', 'ft:gpt-4o-mini-2024-07-18:acme::AbCdEf'],
    ['openai', 'ft:gpt-4.1-2025-04-14:acme::AbCdEf'],
    ['anthropic', 'claude-haiku-4-5-20251001'],
    ['anthropic', 'claude-opus-4-1-20250805'],
    ['google', 'models/gemini-2.5-flash'],
    ['google', 'publishers/google/models/gemini-2.5-pro-preview-05-06'],
    ['google', 'gemini-2.0-flash-001'],
    ['mistral', 'magistral-medium-2509'],
    ['x-ai', 'grok-3-latest'],
  ])('that is listed, or a listed one with a date behind it, is certain: %s, %s', (vendor, model) => {
    expect(priced(vendor, model)).toMatchObject({ guessed: false });
  });

  test.each([
    ['google', 'gemini-flash-latest'],
    ['anthropic', 'claude-sonnet-5-something'],
    ['google', 'gemini-3-pro-preview-extra'],
  ])('that only begins like a listed one, or moves, is a guess: %s, %s', (vendor, model) => {
    expect(priced(vendor, model).guessed).toBe(true);
  });

  test.each([
    ['openai', 'ft:gpt-5-2026-01-01:acme::AbCdEf'],
    ['openai', 'gpt-4o-unheard-of'],
    ['openai', 'my-deployment'],
    ['anthropic', 'claude-opus-99'],
    ['mistral', 'mistral-large-9999'],
    ['google', 'tunedModels/mine'],
  ])('that is not known has no price: %s, %s', (vendor, model) => {
    expect(priceAtVendor(vendor, model, new Date(summer))).toBeNull();
  });

  test('that sources do not agree about is an open estimate, with the reason', () => {
    const price = priced('mistral', 'mistral-small-latest');
    expect(price.disputed).toMatch(/three generations/);
    expect(cost(price, usage({ inputTokens: 1000 }))).toEqual({ nano: 150_000, assumed: true });
  });
});

describe('a region', () => {
  const of = (price: Price, terms: CostTerms = {}) => cost(price, usage({ inputTokens: 1000 }), null, terms);

  test('that the answer of a newer Claude names makes every token a tenth dearer', () => {
    expect(of(priced('anthropic', 'claude-opus-4-7'), { region: 'us' })).toEqual({
      nano: 5_500_000,
      assumed: false,
    });
    expect(of(priced('anthropic', 'claude-opus-4-7'), { region: 'global' }).nano).toBe(5_000_000);
    expect(of(priced('anthropic', 'claude-haiku-4-5'), { region: 'us' }).nano).toBe(1_000_000);
  });

  test('that OpenAI’s address names does so too, from GPT-5.4 on', () => {
    const address = 'https://eu.api.openai.com/v1';
    expect(of(priced('openai', 'gpt-5.4', summer, address)).nano).toBe(2_750_000);
    expect(of(priced('openai', 'gpt-5.2', summer, address)).nano).toBe(1_750_000);
    expect(of(priced('openai', 'gpt-5.4', summer, 'https://api.openai.com/v1')).nano).toBe(2_500_000);
  });
});

test('writing to the cache is part of the input before GPT-5.6, and dearer since', () => {
  const written = usage({ inputTokens: 2000, cacheWriteTokens: 2000 });
  expect(cost(priced('openai', 'gpt-5.2'), written)).toEqual({ nano: 3_500_000, assumed: false });
  expect(cost(priced('openai', 'gpt-5.6-terra'), written)).toEqual({ nano: 5_000_000, assumed: false });
  expect(cost(priced('google', 'gemini-2.5-flash'), written).assumed).toBe(true);
});

describe('a fee by the piece', () => {
  test.each([
    ['openai', 'gpt-5', { webSearches: 2 }, {}, '0.02', false],
    ['openai', 'gpt-4.1', { webSearches: 1 }, { previewSearch: true }, '0.025', false],
    ['openai', 'gpt-5', { webSearches: 1 }, { previewSearch: true }, '0.01', false],
    ['openai', 'gpt-4o-mini', { webSearches: 1 }, {}, '0.01', true],
    ['openai', 'gpt-4o-search-preview', { webSearches: 1 }, {}, '0.025', true],
    ['openai', 'gpt-4.1', { fileSearches: 2 }, {}, '0.005', false],
    ['openai', 'gpt-5', { codeSessions: 1 }, {}, '0.03', true],
    ['anthropic', 'claude-3-haiku-20240307', { webSearches: 1 }, {}, '0.01', false],
    ['anthropic', 'claude-haiku-4-5', { otherTools: 1 }, {}, '0', true],
    ['google', 'gemini-2.5-flash', { webSearches: 1 }, {}, '0.035', true],
    ['google', 'gemini-3-flash-preview', { webSearches: 2, mapSearches: 1 }, {}, '0.042', true],
    [
      'x-ai',
      'grok-4.3',
      { webSearches: 1, xSearches: 1, codeSessions: 1, fileSearches: 2 },
      {},
      '0.02',
      false,
    ],
    ['perplexity', 'sonar', {}, { searchContext: 'low' }, '0.005', false],
    ['perplexity', 'sonar-pro', {}, { searchContext: 'high' }, '0.014', false],
    ['perplexity', 'sonar-reasoning-pro', {}, { searchContext: 'medium' }, '0.01', false],
    ['perplexity', 'sonar', {}, {}, '0.005', true],
    ['deepseek', 'deepseek-v4-flash', { webSearches: 1 }, {}, '0', true],
    ['groq', 'llama-3.3-70b-versatile', { otherTools: 1 }, {}, '0', true],
  ] as [string, string, Partial<TokenUsage>, CostTerms, string, boolean][])(
    '%s, %s: %o %o costs $%s',
    (vendor, model, counts, terms, dollars, assumed) => {
      expect(cost(priced(vendor, model), usage(counts), null, terms)).toEqual({
        nano: usd(dollars),
        assumed,
      });
    },
  );
});

/** The class, the catalogue's name of its price, the counter that is a part of the input, and how many. */
const classes: readonly [TokenClass, string, keyof TokenUsage | null, number][] = [
  ['input', 'input_mtok', null, 1_001],
  ['cachedInput', 'cache_read_mtok', 'cachedInputTokens', 203],
  ['cacheWrite', 'cache_write_mtok', 'cacheWriteTokens', 37],
  ['output', 'output_mtok', 'outputTokens', 509],
];

/** Usage of some of the classes. */
function usageOf(some: typeof classes): TokenUsage {
  const counts: Partial<TokenUsage> = {};
  for (const [, , counter, count] of some) if (counter !== null) counts[counter] = count;
  const inputTokens = some.reduce((sum, [name, , , count]) => (name === 'output' ? sum : sum + count), 0);
  return usage({ ...counts, inputTokens });
}

test('every model of the catalogue costs what the catalogue says for every class, or says that it does not know', async () => {
  const at = new Date(summer);
  let [exact, estimated, without] = [0, 0, 0];
  for (const vendor of await catalogue.vendors()) {
    for (const { id } of vendor.models) {
      const price = priceAtVendor(vendor.id, id, at);
      const entry = catalogue.find(id, { vendor: vendor.id }, at);
      if (price === null || entry === null) {
        // A model that is billed in other units than tokens.
        expect([id, entry?.prices['input_mtok'] ?? entry?.prices['output_mtok']]).toEqual([id, undefined]);
        without += 1;
        continue;
      }
      const listed = classes.filter(([name]) => price.rates[name] !== undefined);
      if (listed.length < classes.length)
        expect([id, cost(price, usageOf(classes)).assumed]).toEqual([id, true]);
      const { nano, assumed } = cost(price, usageOf(listed));
      if (assumed || price.guessed || !price.source.startsWith(catalogue.info.name)) {
        estimated += 1;
        continue;
      }
      const millionths = listed.reduce((sum, [, name, , count]) => {
        // Before GPT-5.6 a write to the cache is input like any other.
        const rate = entry.prices[name] ?? entry.prices['input_mtok'];
        const dollars = typeof rate === 'object' ? rate.base : (rate ?? 0);
        return sum + (decimalToNano(dollars) ?? 0n) * BigInt(count);
      }, 0n);
      expect([id, BigInt(nano)]).toEqual([id, (millionths + 500_000n) / 1_000_000n]);
      exact += 1;
    }
  }
  expect(exact).toBeGreaterThan(1000);
  console.info(
    `Catalogue: ${exact} exact, ${estimated} open estimates or not its own, ${without} without tokens.`,
  );
});

describe('newer price data', () => {
  afterEach(() => catalogue.replace(null));

  const newer = (date: string) => ({
    info: { name: `prices of ${date}`, date },
    vendors: [
      {
        id: 'mistral',
        name: 'Mistral',
        api_pattern: 'https://api\\.mistral\\.ai',
        models: [
          {
            id: 'mistral-large-latest',
            match: { equals: 'mistral-large-latest' },
            prices: { input_mtok: 9, output_mtok: 9 },
          },
          {
            id: 'mistral-large-2512',
            match: { equals: 'mistral-large-2512' },
            prices: { input_mtok: 1, output_mtok: 1 },
          },
        ],
      },
    ],
  });
  const input = (at: string) => priced('mistral', 'mistral-large-latest', at).rates.input?.base;

  test('has the last word about the time after the tables here were compared, not about the time before', async () => {
    await catalogue.replace(newer('2027-03-01'));
    expect(input('2027-03-02T00:00:00Z')).toBe(9e9);
    expect(input('2026-08-01T00:00:00Z')).toBe(1e9);
    expect(priced('mistral', 'mistral-large-2512').source).toBe(
      'prices of 2027-03-01: mistral/mistral-large-2512',
    );
  });

  test('goes again, and leaves no trace', async () => {
    const { revision } = catalogue;
    await catalogue.replace(newer('2027-03-01'));
    await catalogue.replace(null);
    expect(catalogue.revision).toBe(revision + 2);
    expect(catalogue.info.name).toMatch(/^genai-prices/);
    expect(priced('openai', 'gpt-4o').rates.input?.base).toBe(2_500_000_000);
  });
});
