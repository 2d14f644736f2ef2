/**
 * What a price goes by beside the model: service tiers, regions, fees by the piece. Data only, in the manner of
 * price-supplements.ts: every block has its page and the day it was read, and says where sources disagree.
 */
import type { Fee, SearchContext } from './cost.ts';
import {
  anthropic,
  google,
  groq,
  mistral,
  openai,
  perplexity,
  xai,
  type Known,
  type Usd,
} from './price-supplements.ts';

const openaiPriority = { ...openai, source: 'openai.com/api-priority-processing', read: '2026-08-01' };

export interface KnownTier extends Known {
  tier: string;
  percent: number;
  usd?: Usd;
  /** Up to here its price is published. */
  upTo?: number;
  assumed?: true;
}

export interface KnownFees extends Known {
  usd: Partial<Record<Fee, number>>;
  previewSearches?: number;
  /** The catalogue's fee for searches is another tool's. */
  overrides?: true;
  requestsByContext?: Readonly<Record<SearchContext, number>>;
  uncertain?: readonly Fee[];
}

/** Per model: OpenAI's priority is no plain double. Tried from the top, by the catalogue's name of the model. */
export const knownTiers: readonly KnownTier[] = [
  // Prices are published up to the long context only.
  { ...openaiPriority, models: /^gpt-5\.5$/, tier: 'priority', percent: 250, upTo: 271_999, assumed: true },
  {
    ...openaiPriority,
    models: /^gpt-5(\.[1246]|\.3)?(-codex|-sol|-terra|-luna)?$|^gpt-5\.4-mini$|^gpt-4\.1-nano$/,
    tier: 'priority',
    percent: 200,
    upTo: 271_999,
  },
  { ...openaiPriority, models: /^gpt-5-mini$|^gpt-5\.1-codex-mini$/, tier: 'priority', percent: 180 },
  { ...openaiPriority, models: /^(gpt-4\.1(-mini)?|gpt-4o-2024-05-13|o3)$/, tier: 'priority', percent: 175 },
  { ...openaiPriority, models: /^gpt-4o$/, tier: 'priority', percent: 170 },
  {
    ...openaiPriority,
    models: /^gpt-4o-mini$/,
    tier: 'priority',
    percent: 167,
    usd: { input: 0.25, cachedInput: 0.125, output: 1 },
  },
  {
    ...openaiPriority,
    models: /^o4-mini$/,
    tier: 'priority',
    percent: 182,
    usd: { input: 2, cachedInput: 0.5, output: 8 },
  },
  { ...openai, models: /^gpt-5\.4$/, tier: 'flex', percent: 50, usd: { cachedInput: 0.13 }, assumed: true },
  {
    ...openai,
    models:
      /^(gpt-5(-mini|-nano)?|gpt-5\.4-(mini|nano|pro)|gpt-5\.5(-pro)?|gpt-5\.6-(sol|terra|luna)|o3|o4-mini)$/,
    tier: 'flex',
    percent: 50,
  },
  { ...openai, models: /./, tier: 'batch', percent: 50 },

  // Multiplies every class, cache reads and writes too (build-with-claude/fast-mode).
  { ...anthropic, models: /^claude-opus-4-[67]$/, tier: 'fast', percent: 600 },
  { ...anthropic, models: /^claude-opus-(4-8|5|5-5)$/, tier: 'fast', percent: 200 },
  { ...anthropic, models: /./, tier: 'batch', percent: 50 },
  // Paid for in advance, by a commitment that the price list does not show.
  { ...anthropic, models: /./, tier: 'priority', percent: 100, assumed: true },

  {
    ...google,
    models: /^gemini-(3-flash-preview|3(\.1)?-pro-preview|3\.1-flash-lite|3\.5-flash)$/,
    tier: 'priority',
    percent: 180,
  },
  { ...google, models: /./, tier: 'priority', percent: 180, assumed: true },
  { ...google, models: /^gemini-(3\.1-flash-lite|3(\.1)?-pro-preview)$/, tier: 'flex', percent: 50 },
  { ...google, models: /./, tier: 'batch', percent: 50 },

  // More requests a minute at the price of the standard tier (console.groq.com/docs/flex-processing).
  { ...groq, models: /./, tier: 'flex', percent: 100 },
  { ...groq, models: /./, tier: 'batch', percent: 50 },
  { ...mistral, models: /./, tier: 'batch', percent: 50 },
];

/** Writing to the cache costs what the input costs, and nothing on top (guides/prompt-caching): before GPT-5.6. */
export const plainCacheWrites: readonly Known[] = [
  {
    ...openai,
    models: /^(?!gpt-(5\.[6-9]|[6-9])|chatgpt-5)/,
    source: 'developers.openai.com/api/docs/guides/prompt-caching',
  },
];

/** `inference_geo` of the answer, on Claude Opus 4.6 and what came after (platform.claude.com, data residency). */
export const knownRegions: readonly (Known & { percent: Readonly<Record<string, number>> })[] = [
  {
    ...anthropic,
    models: /^claude-(opus-4-[678]|opus-5|sonnet-4-6|sonnet-5|haiku-5|fable-|mythos-)/,
    percent: { us: 110 },
  },
];

/** Addresses that keep the work in one region, at a tenth more for every token. */
export const knownRegionalAddresses: readonly (Known & {
  address: RegExp;
  percent: number;
  assumed?: true;
})[] = [
  {
    ...openai,
    models: /^gpt-(5\.[4-9]|[6-9])/,
    address: /^https:\/\/(us|eu)\.api\.openai\.com\b/,
    percent: 110,
  },
  { ...xai, models: /./, address: /^https:\/\/us-[a-z0-9-]+\.api\.x\.ai\b/, percent: 110, assumed: true },
];

/** Tried from the top; the catalogue's own fee for searches comes before these. */
export const knownFees: readonly KnownFees[] = [
  {
    ...openai,
    // Was by the size of the search context, at $25 to $50, and is so in other sources.
    models: /-search-preview/,
    usd: { webSearches: 25, fileSearches: 2.5, codeSessions: 30 },
    overrides: true,
    uncertain: ['webSearches', 'codeSessions'],
  },
  {
    ...openai,
    // Search content is billed as a fixed block of 8,000 input tokens, which the usage may have or not.
    models: /^gpt-4(o|\.1)-mini/,
    usd: { webSearches: 10, fileSearches: 2.5, codeSessions: 30 },
    previewSearches: 25,
    uncertain: ['webSearches', 'codeSessions'],
  },
  {
    ...openai,
    models: /^(gpt-4|chatgpt-4o)/,
    usd: { webSearches: 10, fileSearches: 2.5, codeSessions: 30 },
    previewSearches: 25,
    uncertain: ['codeSessions'],
  },
  {
    ...openai,
    models: /./,
    // A container serves every call within twenty minutes, in other requests too.
    usd: { webSearches: 10, fileSearches: 2.5, codeSessions: 30 },
    uncertain: ['codeSessions'],
  },
  { ...anthropic, models: /./, usd: { webSearches: 10 } },
  // By the grounded request up to Gemini 2.5, by the query since. What is free each day is not known here.
  {
    ...google,
    models: /gemini-[12]\b/,
    usd: { webSearches: 35, mapSearches: 25, fileSearches: 0 },
    uncertain: ['webSearches', 'mapSearches'],
  },
  {
    ...google,
    models: /./,
    usd: { webSearches: 14, mapSearches: 14, fileSearches: 0 },
    uncertain: ['webSearches', 'mapSearches'],
  },
  {
    vendor: 'azure',
    models: /./,
    source: 'azure.microsoft.com/pricing/details/azure-openai',
    read: '2026-08-01',
    usd: { fileSearches: 2.5, codeSessions: 30 },
    // The catalogue has OpenAI's fees for it.
    uncertain: ['webSearches', 'fileSearches', 'codeSessions'],
  },
  { ...xai, models: /./, usd: { webSearches: 5, xSearches: 5, codeSessions: 5, fileSearches: 2.5 } },
  {
    vendor: 'openrouter',
    models: /./,
    source: 'openrouter.ai/docs/guides/features/server-tools/web-search',
    read: '2026-08-01',
    usd: { webSearches: 10 },
  },
  ...perplexityFees(/^sonar(-reasoning)?$/, { low: 5, medium: 8, high: 12 }),
  ...perplexityFees(/^sonar(-reasoning)?-pro$/, { low: 6, medium: 10, high: 14 }),
];

function perplexityFees(models: RegExp, requestsByContext: Record<SearchContext, number>): KnownFees[] {
  return [{ ...perplexity, models, usd: { requests: requestsByContext.high }, requestsByContext }];
}
