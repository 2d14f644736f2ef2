/** Prices and cost: exact to the nano-dollar, from the source that should win, and never a quiet zero. */
import { rmSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { providerKinds, type ProviderKind } from '#shared/model.ts';
import { decimalToNano } from '#shared/money.ts';
import {
  createProviders,
  type Provider,
  type Providers,
} from '../../../electron/gateway/config/providers.ts';
import { noUsage, type TokenUsage } from '../../../electron/gateway/dialects/dialect.ts';
import { cost, freePrice, rateAt, type Price } from '../../../electron/gateway/pricing/cost.ts';
import { createPrices, type Prices } from '../../../electron/gateway/pricing/prices.ts';
import { openStore, type Store } from '../../../electron/gateway/store/store.ts';
import { folderWithLedger } from '../../support/gateway.ts';

const at = Date.parse('2026-08-01T12:00:00Z');
const secrets = {
  seal: async (plain: string) => Buffer.from(plain),
  open: async (sealed: Buffer) => String(sealed),
};

let folder: string;
let store: Store;
let providers: Providers;
let prices: Prices;

beforeEach(async () => {
  folder = folderWithLedger();
  store = openStore(folder);
  providers = await createProviders(store, secrets, () => at);
  prices = createPrices(store, () => at);
});

afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

const provider = (kind: ProviderKind, more: { billing?: 'free'; baseUrl?: string } = {}): Promise<Provider> =>
  providers.create(kind, { baseUrl: 'http://127.0.0.1:9/v1', ...more });

/** A vendor's own address, where the catalogue looks by that. */
const hosted = (kind: ProviderKind): Promise<Provider> => providers.create(kind, {});

const flat = (rates: Record<string, number>, more: Partial<Price> = {}): Price => ({
  source: 'test',
  guessed: false,
  rates: Object.fromEntries(Object.entries(rates).map(([name, base]) => [name, { base, steps: [] }])),
  webSearches: null,
  requests: null,
  ...more,
});

const usage = (counts: Partial<TokenUsage>): TokenUsage => ({ ...noUsage, ...counts });

describe('cost', () => {
  test('is each class of tokens at its own price, parts taken out of their totals', () => {
    const price = flat({ input: 3e9, cachedInput: 3e8, cacheWrite: 375e7, cacheWrite1h: 6e9, output: 15e9 });
    const counts = usage({
      inputTokens: 1000,
      cachedInputTokens: 500,
      cacheWriteTokens: 300,
      cacheWrite1hTokens: 100,
      outputTokens: 10,
      reasoningTokens: 4,
    });
    // 200 plain, 500 read, 200 written for five minutes, 100 for an hour.
    const nano = 200 * 3000 + 500 * 300 + 200 * 3750 + 100 * 6000 + 10 * 15_000;
    expect(cost(price, counts)).toEqual({ nano, assumed: false });
  });

  test('rounds half a nano-dollar up, once for the whole request', () => {
    const price = flat({ input: 500_000, output: 500_000 });
    expect(cost(price, usage({ inputTokens: 1 })).nano).toBe(1);
    expect(cost(price, usage({ inputTokens: 1, outputTokens: 1 })).nano).toBe(1);
    expect(cost(flat({ input: 499_999 }), usage({ inputTokens: 1 })).nano).toBe(0);
  });

  test('puts every token on the step its input has passed, not the tokens beyond it alone', () => {
    const price: Price = {
      ...flat({}),
      rates: {
        input: { base: 1_250_000_000, steps: [{ above: 200_000, rate: 2_500_000_000 }] },
        output: { base: 10_000_000_000, steps: [{ above: 200_000, rate: 15_000_000_000 }] },
      },
    };
    expect(cost(price, usage({ inputTokens: 200_000, outputTokens: 10 })).nano).toBe(
      200_000 * 1250 + 10 * 10_000,
    );
    expect(cost(price, usage({ inputTokens: 200_001, outputTokens: 10 })).nano).toBe(
      200_001 * 2500 + 10 * 15_000,
    );
  });

  test('of a class without a price of its own is that of the related class, and says that it is assumed', () => {
    const price = flat({ input: 3e9, output: 15e9 });
    const read = cost(price, usage({ inputTokens: 100, cachedInputTokens: 60 }));
    expect(read).toEqual({ nano: 100 * 3000, assumed: true });
    const written = cost(price, usage({ inputTokens: 100, cacheWriteTokens: 50, cacheWrite1hTokens: 50 }));
    expect(written).toEqual({ nano: 50 * 3000 + 50 * 6000, assumed: true });
    const thought = cost(price, usage({ outputTokens: 10, reasoningTokens: 10 }));
    expect(thought).toEqual({ nano: 10 * 15_000, assumed: false });
  });

  test('of searches and requests is per piece, untouched by the service tier', () => {
    const price = flat({ input: 1e9, output: 1e9 }, { webSearches: 10_000_000_000, requests: 5_000_000_000 });
    const counts = usage({ inputTokens: 1000, webSearches: 2 });
    expect(cost(price, counts).nano).toBe(1_000_000 + 2 * 10_000_000 + 5_000_000);
    expect(cost(price, counts, 'flex').nano).toBe(500_000 + 2 * 10_000_000 + 5_000_000);
  });

  test('of searches that have no price is flagged as assumed', () => {
    expect(cost(flat({ input: 1 }), usage({ webSearches: 1 }))).toEqual({ nano: 0, assumed: true });
  });

  test('of a tier without a published price is an upper estimate, and flagged', () => {
    const price = flat({ input: 1e9 });
    const [standard, priority] = [null, 'priority'].map((tier) =>
      cost(price, usage({ inputTokens: 1000 }), tier),
    );
    expect(standard).toEqual({ nano: 1_000_000, assumed: false });
    expect(priority).toEqual({ nano: 2_000_000, assumed: true });
    expect(cost(price, usage({ inputTokens: 1000 }), 'standard')).toEqual(standard);
    expect(cost(price, usage({ inputTokens: 1000 }), 'default')).toEqual(standard);
  });

  test('at a free provider is nothing, whatever was used', () => {
    const counts = usage({ inputTokens: 1e6, outputTokens: 1e6, webSearches: 10 });
    expect(cost(freePrice, counts)).toEqual({ nano: 0, assumed: false });
  });

  test('is exact for any counts and prices, compared with fractions', () => {
    const rate = fc.integer({ min: 0, max: 200_000_000_000 });
    const tokens = fc.integer({ min: 0, max: 2_000_000 });
    fc.assert(
      fc.property(
        fc.record({ input: rate, cachedInput: rate, cacheWrite: rate, cacheWrite1h: rate, output: rate }),
        fc.array(tokens, { minLength: 5, maxLength: 5 }),
        (rates, [plain = 0, cached = 0, written = 0, written1h = 0, output = 0]) => {
          const counts = usage({
            inputTokens: plain + cached + written + written1h,
            cachedInputTokens: cached,
            cacheWriteTokens: written + written1h,
            cacheWrite1hTokens: written1h,
            outputTokens: output,
          });
          const millionths =
            BigInt(plain) * BigInt(rates.input) +
            BigInt(cached) * BigInt(rates.cachedInput) +
            BigInt(written) * BigInt(rates.cacheWrite) +
            BigInt(written1h) * BigInt(rates.cacheWrite1h) +
            BigInt(output) * BigInt(rates.output);
          const [whole, rest] = [millionths / 1_000_000n, millionths % 1_000_000n];
          expect(BigInt(cost(flat(rates), counts).nano)).toBe(whole + (rest >= 500_000n ? 1n : 0n));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('throws rather than be inexact where it leaves the safe integers', () => {
    expect(() => cost(flat({ output: 1e12 }), usage({ outputTokens: 1e15 }))).toThrow(RangeError);
  });
});

test('a step begins above its count, not at it', () => {
  const rate = {
    base: 1,
    steps: [
      { above: 10, rate: 2 },
      { above: 20, rate: 3 },
    ],
  };
  expect([10, 11, 20, 21].map((count) => rateAt(rate, count))).toEqual([1, 2, 2, 3]);
});

describe('the price of a model', () => {
  test('is the catalogue’s, with its version as the source', async () => {
    const price = prices.find(await provider('openai'), 'gpt-4o-mini', at);
    expect(price).toMatchObject({
      source: 'genai-prices 0.1.8: openai/gpt-4o-mini',
      guessed: false,
      rates: {
        input: { base: 150_000_000 },
        output: { base: 600_000_000 },
        cachedInput: { base: 75_000_000 },
      },
    });
  });

  test('is the person’s own before the catalogue’s, for that provider and that model alone', async () => {
    const [mine, other] = [await provider('openai'), await provider('openai')];
    prices.set({
      providerId: mine.id,
      model: 'gpt-4o-mini',
      input: '7',
      output: '0.000000001',
      perRequest: '0.002',
    });
    expect(prices.find(mine, 'gpt-4o-mini', at)).toMatchObject({
      source: 'own',
      date: '2026-08-01',
      guessed: false,
      rates: { input: { base: 7_000_000_000, steps: [] }, output: { base: 1, steps: [] } },
      requests: 2_000_000_000,
    });
    expect(prices.find(mine, 'gpt-4o', at)?.source).not.toBe('own');
    expect(prices.find(other, 'gpt-4o-mini', at)?.source).not.toBe('own');
  });

  test('of the person’s own keeps the known fees, and the share that a service tier costs', async () => {
    const mine = await provider('openai');
    const set = (model: string, more: { webSearch?: string } = {}) => {
      prices.set({ providerId: mine.id, model, input: '1', output: '1', ...more });
      return prices.find(mine, model, at) ?? freePrice;
    };
    const counts = usage({ inputTokens: 1000, webSearches: 1, fileSearches: 1 });
    expect(cost(set('gpt-5'), counts, 'flex')).toEqual({
      nano: 500_000 + 10_000_000 + 2_500_000,
      assumed: false,
    });
    expect(cost(set('gpt-5', { webSearch: '4' }), usage({ webSearches: 1 })).nano).toBe(4_000_000);
    // o4-mini at priority has a price for each class, which is no share of anything.
    expect(cost(set('o4-mini'), usage({ inputTokens: 1000 }), 'priority')).toEqual({
      nano: 1_820_000,
      assumed: true,
    });
    expect(cost(set('nobody-knows-it'), counts, 'flex')).toEqual({ nano: 500_000, assumed: true });
  });

  test('that a person set is there after a restart, and the catalogue’s again once it is removed', async () => {
    const mine = await provider('openai');
    prices.set({ providerId: mine.id, model: 'gpt-4o-mini', input: '7', output: '8' });
    prices = createPrices(store, () => at);
    expect(prices.find(mine, 'gpt-4o-mini', at)?.source).toBe('own');
    expect(prices.remove(mine.id, 'gpt-4o-mini')).toBe(true);
    expect(prices.remove(mine.id, 'gpt-4o-mini')).toBe(false);
    expect(prices.find(mine, 'gpt-4o-mini', at)?.source).toMatch(/^genai-prices/);
  });

  test.each(providerKinds)('that nobody knows is null and not zero: %s', async (kind) => {
    const asked = await provider(kind);
    const price = prices.find(asked, 'no-such-model-anywhere', at);
    expect(price).toEqual(asked.billing === 'free' ? freePrice : null);
  });

  test.each(['', ' ', '/', '\u0000', '../..', 'a'.repeat(10_000), '💥', '__proto__', 'constructor'])(
    'with an odd name (%j) is null',
    async (name) => {
      expect(prices.find(await provider('openai'), name, at)).toBeNull();
      expect(prices.find(await provider('openai-compatible'), name, at)).toBeNull();
    },
  );

  test('of a free provider is an explicit nothing', async () => {
    expect(prices.find(await provider('ollama'), 'llama3', at)).toBe(freePrice);
    expect(prices.find(await provider('openai', { billing: 'free' }), 'gpt-4o', at)).toBe(freePrice);
  });

  test('at an endpoint the catalogue does not know is the maker’s, and called a guess', async () => {
    const endpoint = await provider('openai-compatible');
    expect(prices.find(endpoint, 'gpt-4o-mini', at)).toMatchObject({
      guessed: true,
      rates: { input: { base: 150_000_000 } },
    });
    expect(prices.find(endpoint, 'openai/gpt-4o-mini', at)).toMatchObject({ guessed: true });
  });

  test.each([
    ['openai/gpt-4o-mini', 150_000_000],
    ['mistralai/mistral-large-2512', 500_000_000],
    ['us.anthropic.claude-haiku-4-5-20251001-v1:0', 1_000_000_000],
    ['anthropic.claude-opus-4-1-20250805-v1:0', 15_000_000_000],
    ['claude-haiku-4-5@20251001', 1_000_000_000],
  ])('at an endpoint that names models as clouds do is the maker’s, and a guess: %s', async (name, base) => {
    expect(prices.find(await provider('openai-compatible'), name, at)).toMatchObject({
      guessed: true,
      rates: { input: { base } },
    });
  });

  test('of a route of OpenRouter’s is that of the model, and a guess', async () => {
    const router = await hosted('openrouter');
    const find = (name: string) => prices.find(router, name, at);
    expect(find('anthropic/claude-haiku-4.5')).toMatchObject({ guessed: false });
    for (const variant of [':nitro', ':online', ':floor'])
      expect(find(`anthropic/claude-haiku-4.5${variant}`)).toMatchObject({
        guessed: true,
        rates: find('anthropic/claude-haiku-4.5')?.rates,
      });
    expect(find('nobody/knows-it:nitro')).toBeNull();
  });

  test('is found in microseconds once it was asked for', async () => {
    const openai = await provider('openai');
    const before = process.threadCpuUsage();
    for (let count = 0; count < 10_000; count++) prices.find(openai, 'gpt-5', at);
    // A tenth of a millisecond would be a search through the catalogue at every request.
    expect(process.threadCpuUsage(before).user).toBeLessThan(500_000);
  });

  test('that changes by date is the one of the day of the request', async () => {
    // o3 became four fifths cheaper on 10 June 2025.
    const openai = await provider('openai');
    const days = ['2025-01-15T12:00:00Z', '2026-08-01T12:00:00Z'].map((day) => Date.parse(day));
    const outputs = days.map((day) => prices.find(openai, 'o3', day)?.rates.output?.base);
    expect(outputs).toEqual([40_000_000_000, 8_000_000_000]);
  });

  test.each([
    ['xai', 'grok-4.3', '5'],
    ['gemini', 'gemini-2.5-flash', '35'],
    ['gemini', 'gemini-3-flash-preview', '14'],
    ['openai', 'gpt-5', '10'],
    ['anthropic', 'claude-haiku-4-5', '10'],
  ] as const)('has the search fee of %s, %s: $%s a thousand', async (kind, model, fee) => {
    expect(prices.find(await hosted(kind), model, at)?.webSearches).toBe(Number(decimalToNano(fee)));
  });

  test('of a free variant at OpenRouter is nothing, with a limit or without', async () => {
    const price = prices.find(await hosted('openrouter'), 'minimax/minimax-m2:free', at);
    const counts = usage({ inputTokens: 43, cachedInputTokens: 3, outputTokens: 11, reasoningTokens: 11 });
    expect(price && cost(price, counts)).toEqual({ nano: 0, assumed: false });
  });

  test.each([
    { input: '1e20', output: '1' },
    { input: '1', output: '1e99' },
    { input: '1', output: '1', cacheWrite: '10000.000000001' },
    { input: '1', output: '1', perRequest: '1000.01' },
  ])('that no sum could hold is refused, and nothing is stored: %o', async (amounts) => {
    const mine = await provider('openai');
    expect(() => prices.set({ providerId: mine.id, model: 'm', ...amounts })).toThrow(/at most \$/);
    expect(createPrices(store, () => at).list()).toEqual([]);
  });

  test('that lies damaged in the file is passed over at the start', async () => {
    const mine = await provider('openai');
    prices.set({ providerId: mine.id, model: 'good', input: '1', output: '1' });
    const add = store.db.prepare(
      'INSERT INTO prices (provider_id, model, price, set_at) VALUES (?, ?, ?, 0)',
    );
    add.run(mine.id, 'no-json', '{');
    add.run(
      mine.id,
      'too-much',
      JSON.stringify({ providerId: mine.id, model: 'x', input: '1e99', output: '1' }),
    );
    expect(
      createPrices(store, () => at)
        .list()
        .map(({ model }) => model),
    ).toEqual(['good']);
  });
});
