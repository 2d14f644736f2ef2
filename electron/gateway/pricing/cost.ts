/**
 * From a price and the counts of an answer to money: the only place where tokens become nano-dollars. All arithmetic is
 * in whole numbers (BigInt) and rounded half up once; the line items add up to exactly the cost.
 */
import type { LineItem } from '#shared/model.ts';
import { assertNano, divideHalfUp, type Nano } from '#shared/money.ts';
import { entryOf } from '../base/entry.ts';
import type { CostTerms, TokenUsage } from '../dialects/dialect.ts';

/** Nano-dollars per million tokens (per thousand for searches and requests); dearer steps by input length. */
export interface Rate {
  base: Nano;
  /** From more than `above` input tokens on, every token of the request costs `rate`. Ascending. */
  steps: readonly { above: number; rate: Nano }[];
}

export const tokenClasses = [
  'input',
  'cachedInput',
  'cacheWrite',
  'cacheWrite1h',
  'audioInput',
  'cachedAudioInput',
  'imageInput',
  'videoInput',
  'output',
  'reasoning',
  'audioOutput',
  'imageOutput',
] as const;
export type TokenClass = (typeof tokenClasses)[number];

/** What is billed by the piece: the counters of the usage, and the request itself. */
const fees = ['webSearches', 'fileSearches', 'codeSessions', 'xSearches', 'mapSearches', 'requests'] as const;
export type Fee = (typeof fees)[number];

/** A service tier (flex, priority, batch, fast) as a share of the standard price. */
export interface Tier {
  /** 50 = half the standard price, for every class of tokens. Fees by the piece have no tier. */
  percent: number;
  /** Nano-dollars per million of the classes whose price at this tier is no plain share of the standard one. */
  rates?: Partial<Record<TokenClass, Nano>>;
  /** With more input tokens than this the price is not published. */
  upTo?: number;
  /** The tier is known, its price for this model is not published or is disputed: a cost at it is an estimate. */
  assumed?: true;
}

export interface Price {
  /** Where the price comes from: `own`, `free`, or the catalogue with its version and entry. */
  source: string;
  /** Day of that source, YYYY-MM-DD. */
  date?: string;
  /** The vendor was guessed from the model's name: the cost is flagged as estimated. */
  guessed: boolean;
  /** Why the sources do not agree about this price: the cost is flagged as estimated. */
  disputed?: string;
  rates: Partial<Record<TokenClass, Rate>>;
  /** Per 1,000. */
  webSearches: Nano | null;
  /** Per 1,000 searches of a tool of the older version, where that has a price of its own (OpenAI). */
  previewSearches?: Nano;
  /** Per 1,000; the dearest where it depends on the search context. */
  requests: Nano | null;
  /** Per 1,000 requests, by the size of the search context (Perplexity). */
  requestsByContext?: Readonly<Record<SearchContext, Nano>>;
  /** Per 1,000, for what else is billed by the piece. */
  fees?: Partial<Record<Fee, Nano>>;
  /** Fees that may turn out lower than computed (free quotas, shared containers): an estimate where one is used. */
  uncertain?: readonly Fee[];
  tiers?: Readonly<Record<string, Tier>>;
  /** Percent of the token price by the region that the answer names (`inference_geo`). */
  regions?: Readonly<Record<string, number>>;
  /** Percent of the token price at this provider's address, where it processes in one region. */
  regional?: { percent: number; assumed?: true };
  /** Above this many input tokens the sources do not agree. */
  disputedAbove?: number;
}

export type SearchContext = NonNullable<CostTerms['searchContext']>;

export interface Cost {
  nano: Nano;
  /** Something about it is not certain: a class of tokens without a price of its own, a disputed price … */
  assumed: boolean;
}

/** An explicit $0: a provider that the person has declared free. */
export const freePrice: Price = {
  source: 'free',
  guessed: false,
  rates: {},
  webSearches: null,
  requests: null,
};

/** The cost of one request, rounded half up once. */
export function cost(
  price: Price,
  usage: TokenUsage,
  serviceTier: string | null = null,
  terms: CostTerms = {},
): Cost {
  const { lines, doubts } = bill(price, usage, serviceTier, terms);
  return { nano: totalOf(lines), assumed: doubts.length > 0 };
}

/**
 * The cost as a bill: lines of `count` × `unitNano` / `per`, service tier and region included, that add up to exactly
 * `cost()`. What rounding leaves over goes to the lines that lost the most of it.
 */
export function lineItems(
  price: Price,
  usage: TokenUsage,
  serviceTier: string | null = null,
  terms: CostTerms = {},
): LineItem[] {
  const { lines } = bill(price, usage, serviceTier, terms);
  return itemise(lines, totalOf(lines));
}

/** What is known of a cost, all in one: for the row that keeps it. */
export function costInDetail(
  price: Price,
  usage: TokenUsage,
  serviceTier: string | null,
  terms: CostTerms,
): { nano: Nano; items: LineItem[]; doubts: string[] } {
  const { lines, doubts } = bill(price, usage, serviceTier, terms);
  const nano = totalOf(lines);
  return { nano, items: itemise(lines, nano), doubts };
}

/** A line before it is rounded: nano-dollars × 10^10. */
interface Line {
  what: TokenClass | Fee;
  count: number;
  /** Nano-dollars × 10^4 per million or thousand. */
  unit: bigint;
  scaled: bigint;
}

/** Tokens are priced per million, and tier and region are percents of percents. */
const SCALE = 10_000_000_000n;

/**
 * Cached and written tokens are parts of the input, reasoning of the output; what is left of each total is billed at
 * the plain rate. A service tier and a region change the price of tokens, not of fees.
 */
function bill(
  price: Price,
  usage: TokenUsage,
  serviceTier: string | null,
  terms: CostTerms,
): { lines: Line[]; doubts: string[] } {
  const lines: Line[] = [];
  const doubts: string[] = [];
  if (price === freePrice || price.source === 'free') return { lines, doubts };
  const { rates } = price;
  const tier = tierOf(price, serviceTier);
  const region = regionOf(price, terms.region ?? null);
  const tokens = usage.inputTokens + usage.outputTokens > 0;

  const rateOf = (name: TokenClass): bigint => {
    const special = tier?.rates?.[name];
    const rate = rates[name];
    // A step applies at the tier in the proportion in which it raises the standard price.
    if (special !== undefined && rate && rate.base > 0 && rateAt(rate, usage.inputTokens) === rate.base)
      return BigInt(special) * 100n;
    if (rate) return BigInt(rateAt(rate, usage.inputTokens)) * BigInt(tier?.percent ?? 100);
    const related = relatedClass[name];
    doubts.push(`no price of its own: ${name}`);
    if (related === null) return 0n;
    // Anthropic bills a write kept for an hour at twice the input price (prompt caching, pricing table).
    return name === 'cacheWrite1h' ? 2n * rateOf('input') : rateOf(related);
  };
  let left = 0;
  /** Takes each class in turn out of what is left of the total, so that overlapping counts are never billed twice. */
  const take = (name: TokenClass, count: number) => {
    const taken = Math.min(count, left);
    if (taken <= 0) return;
    left -= taken;
    const unit = rateOf(name) * BigInt(region.percent);
    lines.push({ what: name, count: taken, unit, scaled: BigInt(taken) * unit });
  };

  // Audio, images and films are text to a model that has no price of its own for them.
  const audio = rates.audioInput ? usage.audioInputTokens : 0;
  const cachedAudio = rates.audioInput ? usage.cachedAudioInputTokens : 0;
  left = usage.inputTokens;
  take('cachedAudioInput', cachedAudio);
  take('audioInput', audio - cachedAudio);
  take('imageInput', rates.imageInput ? usage.imageInputTokens : 0);
  take('videoInput', rates.videoInput ? usage.videoInputTokens : 0);
  take('cachedInput', usage.cachedInputTokens - cachedAudio);
  take('cacheWrite1h', usage.cacheWrite1hTokens);
  take('cacheWrite', usage.cacheWriteTokens - usage.cacheWrite1hTokens);
  take('input', left);
  left = usage.outputTokens;
  take('audioOutput', rates.audioOutput ? usage.audioOutputTokens : 0);
  take('imageOutput', rates.imageOutput ? usage.imageOutputTokens : 0);
  take('reasoning', rates.reasoning ? usage.reasoningTokens : 0);
  take('output', left);

  for (const fee of fees) {
    const count = fee === 'requests' ? 1 : usage[fee];
    if (count <= 0) continue;
    const { amount, doubt } = feeOf(price, fee, terms);
    if (doubt !== null) doubts.push(doubt);
    if (amount === null || amount === 0) continue;
    const unit = BigInt(amount) * 10_000n;
    lines.push({ what: fee, count, unit, scaled: BigInt(count) * unit * 1_000n });
  }
  if (usage.otherTools > 0) doubts.push('a tool whose fee is not known');
  // Which of the two the cached tokens were is not said, and each has its price.
  if (rates.imageInput && usage.imageInputTokens > 0 && usage.cachedInputTokens > 0)
    doubts.push('how much of the images was cached');
  if (tokens && (tier?.assumed || usage.inputTokens > (tier?.upTo ?? Infinity)))
    doubts.push(`price of the service tier: ${tierName(serviceTier)}`);
  if (tokens && region.assumed) doubts.push('price of the region');
  if (price.disputed !== undefined) doubts.push(`sources disagree: ${price.disputed}`);
  if (price.disputedAbove !== undefined && usage.inputTokens > price.disputedAbove)
    doubts.push(`sources disagree above ${price.disputedAbove} input tokens`);
  return { lines, doubts: doubts.length > 1 ? [...new Set(doubts)] : doubts };
}

/** Per 1,000; null = not known. */
function feeOf(price: Price, fee: Fee, terms: CostTerms): { amount: Nano | null; doubt: string | null } {
  const uncertain = price.uncertain?.includes(fee) ? `may be less than computed: ${fee}` : null;
  switch (fee) {
    case 'requests': {
      const { requestsByContext } = price;
      if (!requestsByContext) return { amount: price.requests, doubt: null };
      const { searchContext = null } = terms;
      return searchContext === null
        ? { amount: requestsByContext.low, doubt: 'size of the search context' }
        : { amount: requestsByContext[searchContext], doubt: null };
    }
    case 'webSearches': {
      const amount =
        terms.previewSearch === true ? (price.previewSearches ?? price.webSearches) : price.webSearches;
      return { amount, doubt: amount === null ? `no price: ${fee}` : uncertain };
    }
    default: {
      const amount = price.fees?.[fee] ?? null;
      return { amount, doubt: amount === null ? `no price: ${fee}` : uncertain };
    }
  }
}

function totalOf(lines: readonly Line[]): Nano {
  const total = lines.reduce((sum, { scaled }) => sum + scaled, 0n);
  return assertNano(Number(divideHalfUp(total, SCALE)));
}

/** `nano` is what the lines come to. */
function itemise(lines: readonly Line[], nano: Nano): LineItem[] {
  let left = nano;
  const items = lines.map(({ what, count, unit, scaled }): LineItem => {
    const whole = assertNano(Number(scaled / SCALE));
    left -= whole;
    return {
      item: what,
      count,
      per: isFee(what) ? 1_000 : 1_000_000,
      unitNano: assertNano(Number(divideHalfUp(unit, 10_000n))),
      nano: whole,
    };
  });
  if (left <= 0) return items;
  const lost = lines.map(({ scaled }, index) => ({ item: items[index], lost: scaled % SCALE }));
  for (const { item } of lost.toSorted((a, b) => (b.lost > a.lost ? 1 : b.lost < a.lost ? -1 : 0))) {
    if (left <= 0) break;
    if (item) item.nano += 1;
    left -= 1;
  }
  return items;
}

const feeNames: ReadonlySet<string> = new Set(fees);
const isFee = (what: TokenClass | Fee): what is Fee => feeNames.has(what);

/** Whose rate stands in where a class has none; null = such tokens cost nothing by themselves. */
const relatedClass: Readonly<Record<TokenClass, TokenClass | null>> = {
  input: null,
  cachedInput: 'input',
  cacheWrite: 'input',
  cacheWrite1h: 'cacheWrite',
  audioInput: 'input',
  cachedAudioInput: 'audioInput',
  imageInput: 'input',
  videoInput: 'input',
  output: null,
  reasoning: 'output',
  audioOutput: 'output',
  imageOutput: 'output',
};

/** What the cached part of the input would have cost in addition at the plain input price, rounded half up. */
export function savedByCache({ rates }: Price, usage: TokenUsage): Nano | null {
  if (usage.cachedInputTokens === 0) return 0;
  const { input, cachedInput } = rates;
  if (!input || !cachedInput) return null;
  const difference = rateAt(input, usage.inputTokens) - rateAt(cachedInput, usage.inputTokens);
  if (difference <= 0) return 0;
  const cached = Math.min(usage.cachedInputTokens, usage.inputTokens);
  return assertNano(Number(divideHalfUp(BigInt(cached) * BigInt(difference), 1_000_000n)));
}

export function rateAt(rate: Rate, inputTokens: number): Nano {
  let current = rate.base;
  for (const step of rate.steps) if (inputTokens > step.above) current = step.rate;
  return current;
}

/** The length of input from which on the price reached applies; null below every step. */
export function bandOf(price: Price, inputTokens: number): number | null {
  let band: number | null = null;
  for (const name of tokenClasses)
    for (const { above } of price.rates[name]?.steps ?? [])
      if (inputTokens > above && above > (band ?? -1)) band = above;
  return band;
}

/** Names that mean the standard price: `auto` stands in early events, `on_demand` is Groq's and Vertex AI's word. */
const standardTiers: ReadonlySet<string> = new Set([
  '',
  'default',
  'standard',
  'standard_only',
  'auto',
  'on_demand',
  'unspecified',
]);

/** A service tier in one spelling, of whichever field and vendor; null = the standard one. */
export function tierName(serviceTier: string | null): string | null {
  if (serviceTier === null) return null;
  const name = serviceTier.toLowerCase().replace(/^(service_tier|on_demand|tier)_(?=.)/, '');
  return standardTiers.has(name) ? null : name;
}

/** A tier whose price at this model is not known: the common share, as an open estimate. */
const commonTiers: Readonly<Record<string, Tier>> = {
  flex: { percent: 50, assumed: true },
  batch: { percent: 50, assumed: true },
  priority: { percent: 200, assumed: true },
  fast: { percent: 600, assumed: true },
};
const unknownTier: Tier = { percent: 100, assumed: true };

/** null = the standard price. */
export function tierOf(price: Price, serviceTier: string | null): Tier | null {
  const name = tierName(serviceTier);
  return name === null ? null : (entryOf(price.tiers, name) ?? entryOf(commonTiers, name) ?? unknownTier);
}

function regionOf(price: Price, region: string | null): { percent: number; assumed: boolean } {
  const byAnswer = region === null ? undefined : entryOf(price.regions, region.toLowerCase());
  const { percent = 100, assumed = false } = price.regional ?? {};
  return byAnswer === undefined ? { percent, assumed } : { percent: byAnswer, assumed: false };
}

/**
 * The most that a token of this price can cost at the tier asked for, in percent of the standard price: what bounds a
 * request before it is sent. A provider may serve the standard tier instead, so it is never below 100.
 */
export function upperPercent(price: Price, serviceTier: string | null): number {
  const tier = tierOf(price, serviceTier);
  if (tier === null && price.regions === undefined && price.regional === undefined) return 100;
  let special = 100;
  for (const name of tokenClasses) {
    const rate = tier?.rates?.[name];
    const standard = price.rates[name]?.base ?? 0;
    if (rate !== undefined && standard > 0) special = Math.max(special, Math.ceil((rate * 100) / standard));
  }
  const regions = Object.values(price.regions ?? {});
  const region = Math.max(100, price.regional?.percent ?? 100, ...regions);
  return Math.ceil((Math.max(special, tier?.percent ?? 100) * region) / 100);
}

/** The most that one use costs at this price, in nano-dollars; 0 where it has no fee. */
export function upperFee(price: Price, fee: Fee): Nano {
  const known =
    fee === 'webSearches'
      ? Math.max(price.webSearches ?? 0, price.previewSearches ?? 0)
      : fee === 'requests'
        ? Math.max(price.requests ?? 0, ...Object.values(price.requestsByContext ?? {}))
        : (price.fees?.[fee] ?? 0);
  return Math.ceil(known / 1000);
}
