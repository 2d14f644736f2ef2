/** Cases worked out by hand, through the price look-up and the arithmetic: right, or openly an estimate. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { providerKinds, type ProviderKind } from '#shared/model.ts';
import { decimalToNano } from '#shared/money.ts';
import { createProviders, type Providers } from '../../../electron/gateway/config/providers.ts';
import { noUsage, type TokenUsage } from '../../../electron/gateway/dialects/dialect.ts';
import { cost } from '../../../electron/gateway/pricing/cost.ts';
import { createPrices, type Prices } from '../../../electron/gateway/pricing/prices.ts';
import { openStore, type Store } from '../../../electron/gateway/store/store.ts';
import { projectRoot, folderWithLedger } from '../../support/gateway.ts';

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
  providers = await createProviders(store, secrets, () => 0);
  prices = createPrices(store, () => 0);
});

afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

interface GoldenUsage {
  input_tokens: number;
  cached_input_tokens: number;
  cache_write_tokens: number;
  cache_write_1h_tokens?: number;
  output_tokens: number;
  reasoning_tokens: number;
  input_audio_tokens?: number;
  input_image_tokens?: number;
  output_audio_tokens?: number;
  output_image_tokens?: number;
}

interface GoldenCase {
  id: string;
  provider: string;
  model: string;
  date: string;
  usage: GoldenUsage | null;
  service_tier: string | null;
  server_tools: { web_searches?: number; file_search_calls?: number };
  extra_passes?: (GoldenUsage & { model: string })[];
  expected_usd: string | null;
  confidence: 'high' | 'medium' | 'low';
}

const noTools: GoldenCase['server_tools'] = {};

const goldenFile = resolve(projectRoot, '..', 'shared', 'fixtures', 'prices-golden.json');
const golden: GoldenCase[] = existsSync(goldenFile)
  ? (JSON.parse(readFileSync(goldenFile, 'utf8')) as { cases: GoldenCase[] }).cases
  : [];
if (golden.length === 0) console.warn(`SKIPPED: no golden prices at ${goldenFile}.`);

/** Vendors that have no kind of provider of their own are reached through their address. */
const endpoints: Readonly<Record<string, { kind: ProviderKind; baseUrl?: string }>> = {
  google: { kind: 'gemini' },
  perplexity: { kind: 'openai-compatible', baseUrl: 'https://api.perplexity.ai' },
  cohere: { kind: 'openai-compatible', baseUrl: 'https://api.cohere.com/v1' },
  voyage: { kind: 'openai-compatible', baseUrl: 'https://api.voyageai.com/v1' },
};

/** What only the provider's own report can say is billed as it reports (settlement.test.ts), whatever is computed. */
const reported: ReadonlySet<string> = new Set([
  'openrouter-cache-read-and-write-overlap',
  // The fee depends on the context size of the search, which the catalogue takes to be the largest.
  'perplexity-sonar-low',
]);

describe.skipIf(golden.length === 0)('the golden prices', () => {
  const table: string[] = [];
  let differing = 0;
  afterAll(() => {
    if (golden.length === 0) return;
    console.info(
      `Golden prices: ${golden.length - differing} of ${golden.length} exact. Not exact, or estimated: ${table.join('')}`,
    );
  });

  // Counting tokens is no request that has a cost: it is not metered.
  test.each(golden.filter(({ usage: counts }) => counts !== null))(
    '$id',
    async ({ id, model, date, expected_usd, confidence, ...asked }) => {
      const { kind, baseUrl } = endpoints[asked.provider] ?? { kind: kindOf(asked.provider) };
      const from = await providers.create(kind, baseUrl === undefined ? {} : { baseUrl });
      const when = Date.parse(date.length === 10 ? `${date}T12:00:00Z` : date);
      let estimated = false;
      const costOf = (name: string, counts: GoldenUsage | null, tools = noTools): number | null => {
        const price = prices.find(from, name, when);
        if (!price || !counts) return null;
        const { nano, assumed } = cost(price, tokensOf(counts, tools), asked.service_tier);
        estimated ||= assumed || price.guessed;
        return nano;
      };
      const parts = [
        costOf(model, asked.usage, asked.server_tools),
        ...(asked.extra_passes ?? []).map((pass) => costOf(pass.model, pass)),
      ];
      const actual = parts.reduce((sum, part) => (sum === null || part === null ? null : sum + part));
      const expected = expected_usd === null ? null : Number(decimalToNano(expected_usd));
      const exact =
        actual === null || expected === null ? actual === expected : Math.abs(actual - expected) <= 1;
      const verdict = `${exact ? 'exact' : `expected ${expected} nano, is ${actual}`}${estimated ? ', estimated' : ''}`;
      if (!exact || estimated) table.push(`\n  ${confidence} ${id}: ${verdict}`);
      if (!exact) differing += 1;
      // Where the sources of the case do not agree the cost is right, or says that it is an estimate.
      const open = reported.has(id) || (confidence !== 'high' && estimated);
      expect(exact || open, verdict).toBe(true);
    },
  );
});

function kindOf(name: string): ProviderKind {
  const kind = providerKinds.find((one) => one === name);
  if (kind === undefined) throw new Error(`no kind of provider for ${name}`);
  return kind;
}

function tokensOf(counts: GoldenUsage, tools: GoldenCase['server_tools']): TokenUsage {
  return {
    ...noUsage,
    inputTokens: counts.input_tokens,
    cachedInputTokens: counts.cached_input_tokens,
    cacheWriteTokens: counts.cache_write_tokens,
    cacheWrite1hTokens: counts.cache_write_1h_tokens ?? 0,
    audioInputTokens: counts.input_audio_tokens ?? 0,
    imageInputTokens: counts.input_image_tokens ?? 0,
    outputTokens: counts.output_tokens,
    reasoningTokens: counts.reasoning_tokens,
    audioOutputTokens: counts.output_audio_tokens ?? 0,
    imageOutputTokens: counts.output_image_tokens ?? 0,
    webSearches: tools.web_searches ?? 0,
    fileSearches: tools.file_search_calls ?? 0,
  };
}
