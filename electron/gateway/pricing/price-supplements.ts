/**
 * What is known of models beside the catalogue: those it has not or has wrongly, and names that move from one model to
 * the next. Data only; model-prices.ts puts it together with price-terms.ts.
 *
 * Every block names its page and the day it was read. Amounts are US dollars per million tokens, per 1,000 pieces for
 * fees. What could be compared was compared with LiteLLM's price map of 2026-08-01 and models.dev of 2026-07-02; where
 * they disagree the line says `disputed` (or `assumed`), which makes the cost an open estimate.
 */
import type { TokenClass } from './cost.ts';

/** The day on which all of this was last held against the catalogue; one that was made later has the last word. */
export const COMPARED = '2026-11-22';

export type Usd = Partial<Record<TokenClass, number>>;

/** A span of days in UTC, the first included and the last not; an hour may be given too. */
interface Span {
  from?: string;
  until?: string;
}

export interface Known {
  vendor: string;
  /** Against the whole name in lower case. */
  models: RegExp;
  /** The page, and the day it was read. */
  source: string;
  read: string;
}

/** A price of a model, in place of the catalogue's or where that has none. */
export interface KnownPrice extends Known, Span {
  usd: Usd;
  /** Every token of a request with more input than `above` costs these. */
  steps?: readonly { above: number; usd: Usd }[];
  /** Twice the price in the vendor's busy hours. */
  peak?: 'deepseek';
  disputed?: string;
  /** The catalogue's word counts where it has one. */
  onlyWhereUnknown?: true;
}

/** A name that stands for another model of the catalogue. */
export interface KnownAlias extends Known, Span {
  to: string;
  disputed?: string;
  /** The name moves without notice: only what the answer says is certain. */
  guessed?: true;
}

/** Additions to the catalogue's price. */
export interface KnownDetail extends Known, Span {
  usd?: Usd;
  /** Dearer from here on, which not all sources say. */
  steps?: { above: number; usd: Usd };
  disputed?: string;
}

export const openai = {
  vendor: 'openai',
  source: 'developers.openai.com/api/docs/pricing',
  read: '2026-08-27',
};
export const anthropic = {
  vendor: 'anthropic',
  source: 'platform.claude.com/docs/en/about-claude/pricing',
  read: '2026-10-24',
};
export const google = {
  vendor: 'google',
  source: 'ai.google.dev/gemini-api/docs/pricing',
  read: '2026-10-07',
};
export const xai = { vendor: 'x-ai', source: 'docs.x.ai/developers/pricing', read: '2026-10-01' };
export const groq = { vendor: 'groq', source: 'groq.com/pricing', read: '2026-08-01' };
export const deepseek = {
  vendor: 'deepseek',
  source: 'api-docs.deepseek.com/quick_start/pricing',
  read: '2026-10-16',
};
export const mistral = { vendor: 'mistral', source: 'mistral.ai/pricing/api', read: '2026-08-01' };
export const perplexity = {
  vendor: 'perplexity',
  source: 'docs.perplexity.ai/getting-started/pricing',
  read: '2026-08-01',
};

/** Tried from the top. */
export const knownPrices: readonly KnownPrice[] = [
  // Fine-tuned models have a price of their own; one that is not here or in the catalogue has none.
  fill(openai, /^ft:gpt-4\.1-2025-04-14(:.*)?$/, { input: 3, cachedInput: 0.75, output: 12 }),
  fill(openai, /^ft:gpt-4\.1-mini-2025-04-14(:.*)?$/, { input: 0.8, cachedInput: 0.2, output: 3.2 }),
  fill(openai, /^ft:gpt-4\.1-nano-2025-04-14(:.*)?$/, { input: 0.2, cachedInput: 0.05, output: 0.8 }),
  fill(openai, /^ft:o4-mini-2025-04-16(:.*)?$/, { input: 4, cachedInput: 1, output: 16 }),
  fill(openai, /^gpt-5-search-api(-2025-10-14)?$/, { input: 1.25, cachedInput: 0.125, output: 10 }),

  // Free of charge at the Gemini API, whatever the account pays for else.
  { ...google, models: /^gemma-(3|3n|4)-[a-z0-9-]+-it$/, usd: { input: 0, output: 0 } },

  // Newer than the catalogue that ships with the application.
  {
    ...anthropic,
    models: /^claude-sonnet-5-5(-\d{8})?$/,
    until: '2026-10-07',
    usd: { input: 2, cachedInput: 0.2, cacheWrite: 2.5, cacheWrite1h: 4, output: 10 },
    onlyWhereUnknown: true,
  },
  fill(anthropic, /^claude-sonnet-5-5(-\d{8})?$/, {
    input: 2,
    cachedInput: 0.1,
    cacheWrite: 2.5,
    cacheWrite1h: 4,
    output: 10,
  }),
  {
    ...anthropic,
    models: /^claude-haiku-5-5(-\d{8})?$/,
    usd: { input: 0.1, cachedInput: 0.01, cacheWrite: 0.125, cacheWrite1h: 0.2, output: 0.5 },
    steps: [
      {
        above: 100_000,
        usd: { input: 0.5, cachedInput: 0.05, cacheWrite: 0.625, cacheWrite1h: 1, output: 2.5 },
      },
    ],
    onlyWhereUnknown: true,
  },
  {
    ...xai,
    models: /^grok-4\.7(-latest)?$/,
    usd: { input: 2, cachedInput: 0.5, output: 6 },
    steps: [{ above: 199_999, usd: { input: 4, cachedInput: 1, output: 12 } }],
    onlyWhereUnknown: true,
  },

  // The catalogue matches the name to gpt-oss-120b.
  {
    ...groq,
    models: /^openai\/gpt-oss-safeguard-20b$/,
    usd: { input: 0.075, cachedInput: 0.037, output: 0.3 },
    disputed: 'the catalogue takes it for gpt-oss-120b',
  },

  // DeepSeek: the catalogue ends with the prices of summer 2025, and its busy hours begin before they existed.
  ...deepseekPrices(/^deepseek-(chat|reasoner)$/, [
    ['2025-09-05T16:00:00Z', '2025-09-29', { input: 0.56, cachedInput: 0.07, output: 1.68 }],
    ['2025-09-29', '2026-04-24', { input: 0.28, cachedInput: 0.028, output: 0.42 }],
  ]),
  {
    ...deepseek,
    models: /^deepseek-(chat|reasoner)$/,
    from: '2026-04-24',
    until: '2026-08-16T16:00:00Z',
    usd: { input: 0.14, cachedInput: 0.0028, output: 0.28 },
    disputed: 'an old name that DeepSeek answers with V4 Flash',
  },
  {
    ...deepseek,
    models: /^deepseek-(chat|reasoner)$/,
    from: '2026-08-16T16:00:00Z',
    usd: { input: 0.22, cachedInput: 0.007, output: 0.66 },
    peak: 'deepseek',
    disputed: 'an old name that DeepSeek answers with V4 Flash',
  },
  ...deepseekPrices(/^deepseek-v4-flash$/, [
    ['2026-04-24', '2026-08-16T16:00:00Z', { input: 0.14, cachedInput: 0.0028, output: 0.28 }],
  ]),
  ...deepseekPrices(/^deepseek-v4-pro$/, [
    ['2026-04-24', '2026-08-16T16:00:00Z', { input: 0.435, cachedInput: 0.003625, output: 0.87 }],
  ]),
  {
    ...deepseek,
    models: /^deepseek-v4-flash$/,
    from: '2026-08-16T16:00:00Z',
    usd: { input: 0.22, cachedInput: 0.007, output: 0.66 },
    peak: 'deepseek',
  },
  {
    ...deepseek,
    models: /^deepseek-v4-pro$/,
    from: '2026-08-16T16:00:00Z',
    usd: { input: 0.66, cachedInput: 0.022, output: 1.98 },
    peak: 'deepseek',
  },
  {
    ...deepseek,
    models: /^deepseek-flash$/,
    usd: { input: 0.15, cachedInput: 0.003, output: 0.6 },
    peak: 'deepseek',
    onlyWhereUnknown: true,
  },

  fill(mistral, /^(open-mixtral-8x22b)(-2404)?$/, { input: 2, output: 6 }),
  fill(mistral, /^devstral-medium-2507$/, { input: 0.4, output: 2 }),
];

export const knownAliases: readonly KnownAlias[] = [
  // Mistral's changelog (docs.mistral.ai/resources/changelogs): which generation `-latest` is.
  { ...mistral, models: /^mistral-large-latest$/, from: '2025-12-02', to: 'mistral-large-2512' },
  {
    ...mistral,
    models: /^mistral-small-latest$/,
    from: '2026-03-16',
    to: 'mistral-small-2603',
    disputed: 'three generations are listed under this name',
  },
  { ...mistral, models: /^devstral-(medium-)?latest$/, from: '2025-12-09', to: 'devstral-2512' },
  { ...mistral, models: /^mistral-medium-2604$/, to: 'mistral-medium-3-5' },
  { ...mistral, models: /^mistral-large-3$/, to: 'mistral-large-2512' },
  { ...mistral, models: /^ministral-3-(3|8|14)b-2512$/, to: 'ministral-$1b-2512' },
  {
    ...xai,
    models: /^grok-4\.20(-beta)?-0309(-(non-)?reasoning)?$/,
    to: 'grok-4.20',
    disputed: 'listed at $2 and $6 too',
  },
  // Moves without notice; the answer names the model.
  { ...google, models: /^gemini-flash-latest$/, to: 'gemini-3.5-flash', guessed: true },
  { ...google, models: /^gemini-flash-lite-latest$/, to: 'gemini-3.5-flash-lite', guessed: true },
  { ...google, models: /^gemini-pro-latest$/, to: 'gemini-3.1-pro-preview', guessed: true },
];

export const knownDetails: readonly KnownDetail[] = [
  { ...openai, models: /^ft:gpt-4o-2024/, usd: { cachedInput: 1.875 } },
  { ...openai, models: /^ft:gpt-4o-mini-2024/, usd: { cachedInput: 0.15 } },
  // Audio of the first audio models, which the catalogue would bill as text.
  { ...openai, models: /^gpt-4o-audio-preview-2024-10-01$/, usd: { audioInput: 100, audioOutput: 200 } },
  {
    ...openai,
    models: /^gpt-4o-audio-preview(-2024-12-17|-2025-06-03)?$/,
    usd: { audioInput: 40, audioOutput: 80 },
  },
  { ...openai, models: /^gpt-4o-mini-audio-preview/, usd: { audioInput: 10, audioOutput: 20 } },
  // The catalogue has today's price of cached input for the day before o3 became cheaper too.
  { ...openai, models: /^o3(-2025-04-16)?$/, until: '2025-06-10', usd: { cachedInput: 2.5 } },
  { ...openai, models: /^gpt-4o(-mini)?-transcribe/, disputed: 'audio is listed at $2.50 and $6' },
  { ...openai, models: /^gpt-image-2/, disputed: 'output is listed at $10 and $30' },
  // Beyond 200,000 tokens Sonnet 4 costs like Sonnet 4.5 (long context, in beta).
  {
    ...anthropic,
    models: /^claude-(sonnet-4-0|sonnet-4-20250514|4-sonnet.*)$/,
    steps: {
      above: 200_000,
      usd: { input: 6, cachedInput: 0.6, cacheWrite: 7.5, cacheWrite1h: 12, output: 22.5 },
    },
  },
  // Beyond 128,000 tokens the fourth generation costs twice (docs.x.ai, models, 2025).
  { ...xai, models: /^grok-4(-0709|-latest)?$/, steps: { above: 128_000, usd: { input: 6, output: 30 } } },
  {
    ...xai,
    models: /^grok-4(-1)?-fast/,
    steps: { above: 128_000, usd: { input: 0.4, output: 1 } },
  },
  {
    ...xai,
    models: /^grok-4\.5/,
    until: '2026-09-01',
    disputed: 'cached input is listed at $0.30 and $0.50',
  },
  { ...xai, models: /^grok-4\.20-multi-agent/, disputed: 'listed at $1.25 and $2.50 too' },
  { ...google, models: /^gemini-3\.6-flash/, disputed: 'an introductory price that not all sources have' },
  { ...google, models: /^gemini-2\.5-flash-preview/, disputed: 'cached input is listed at $0.03 and $0.075' },
  {
    ...google,
    models: /^gemini-2\.5-flash-lite-preview-06/,
    disputed: 'a price of its own in other sources',
  },
  { ...google, models: /^gemini-2\.5-flash-image/, disputed: 'cached and audio input are not listed' },
  { ...google, models: /^gemini-3\.1-flash-image/, disputed: 'input is listed at $0.25 and $0.50' },
  { ...google, models: /-tts/, disputed: 'listed at the price of the text model too' },
  { ...google, models: /native-audio/, disputed: 'listed at the price of the text model too' },
  { ...google, models: /^gemini-2\.0-flash-exp/, disputed: 'listed as free too' },
  { ...groq, models: /^gemma-7b-it$/, disputed: 'listed at $0.05 and $0.08 too' },
  { ...mistral, models: /^mistral-large-2407$/, disputed: 'listed at $3 and $9 too' },
  { ...mistral, models: /^mistral-(medium|small)$/, disputed: 'which generation it stands for' },
  { ...mistral, models: /^open-mistral-nemo/, disputed: 'listed at $0.15 and $0.30' },
  { ...mistral, models: /^mistral-medium-latest$/, disputed: 'listed at $0.40 and $1.50' },
  { ...mistral, models: /^ministral-8b-latest$/, disputed: 'listed at $0.10 and $0.15' },
  { ...deepseek, models: /^deepseek-v3\.2$/, disputed: 'listed at three prices' },
  { ...deepseek, models: /^deepseek-v4-flash$/, from: '2026-09-10', disputed: 'billed as deepseek-flash' },
  {
    vendor: 'moonshotai',
    models: /^kimi-k2-turbo/,
    source: 'models.dev',
    read: '2026-07-02',
    disputed: 'listed at $2.40 and $10 too',
  },
  // Counts citations and searches that the answer gives in fields of its own.
  { ...perplexity, models: /^sonar-deep-research/, disputed: 'citations are billed beside the tokens' },
];

function fill(page: Omit<Known, 'models'>, models: RegExp, usd: Usd): KnownPrice {
  return { ...page, models, usd, onlyWhereUnknown: true };
}

function deepseekPrices(
  models: RegExp,
  spans: readonly [from: string, until: string, usd: Usd][],
): KnownPrice[] {
  return spans.map(([from, until, usd]) => ({ ...deepseek, models, from, until, usd }));
}
