/** The most a request can cost: from what its dialect reads of it, and the price of the model. Pure. */
import { MAX_LIMIT_NANO, type Nano } from '#shared/money.ts';
import type { AllowedPass, AllowedUses, RequestFacts } from '../dialects/dialect.ts';
import { modelLimits } from '../dialects/model-limits.ts';
import { upperFee, upperPercent, type Fee, type Price, type Rate, type TokenClass } from '../pricing/cost.ts';

/** What a request can cost, in parts that a clamp can make smaller and one that it cannot. */
export interface Bound {
  /** Input at the dearest price that can apply, other models' passes and fees. */
  fixedNano: Nano;
  /** The part of it that is the input as sent: an exact count can make it smaller. */
  sentNano: Nano;
  /** The same in tokens, by its bytes alone: it may be more than the window holds. */
  cheapTokens: number;
  /** Output tokens the request allows, all choices together. */
  outputTokens: number;
  /** Nano-dollars per million output tokens. */
  outputRate: Nano;
  choices: number;
  /** The least output bound, of one choice, that is worth sending. */
  leastOutputTokens: number;
  /** Searches, and what one of them costs with the input it brings and the input that is read again behind it. */
  searches: number;
  searchNano: Nano;
  /** The least number of searches that the request can be brought down to; `searches` where it cannot. */
  leastSearches: number;
}

export interface BoundRequest {
  facts: RequestFacts;
  /** The name the provider is asked for. */
  model: string;
  price: Price;
  /** Of a model that is asked on the way; null = none known, and the request's own counts. */
  priceOf(model: string): Price | null;
  bodyBytes: number;
  /** The provider is the vendor whose protocol it is. */
  atVendor: boolean;
  /** No output is generated. */
  embeds: boolean;
  /** The provider takes a lower number of searches. */
  clampsSearches: boolean;
  /** An exact count of the input, where there is one. */
  countedTokens?: number;
  /** What the model's bills have exceeded bounds by so far: 1 where they have not. */
  ratio: number;
}

/** More than any model generates, whatever number a request says. */
const MOST_OUTPUT_TOKENS = 2_000_000;

/** Less output than this is no answer, whatever the provider takes. */
const USEFUL_OUTPUT_TOKENS = 16;

/**
 * A token is at least one byte of text in every byte-level tokenizer, so the body's bytes, escapes and all, bound its
 * tokens; `extraInputTokens` says what stands outside the body or is shown in more bytes than tokens, and
 * `hiddenInputTokens` what the server adds. A window holds no more than it holds: what is longer is refused by the
 * provider.
 */
export function boundOf(request: BoundRequest): Bound {
  const { facts, model, price, ratio } = request;
  const limits = modelLimits(model);
  const hidden = facts.hiddenInputTokens[request.atVendor ? 'atVendor' : 'elsewhere'];
  const cheap = Math.max(1, request.bodyBytes + facts.extraInputTokens + hidden);
  const window = request.embeds ? Infinity : limits.contextTokens;
  const onceTokens = Math.min(cheap, window, request.countedTokens ?? Infinity);
  const sentTokens = onceTokens * facts.inputReadings;
  const inputTokens = sentTokens + facts.hostedInputTokens;
  const percent = upperPercent(price, facts.serviceTier) * ratio;
  // The steps of a price are those of the whole input, what searches bring included.
  const reached = inputTokens + facts.webSearches * facts.searchInputTokens;
  const inputRate = inputRateOf(price, facts, reached);
  const nano = (tokens: number, rate: Nano) => Math.ceil((tokens * rate * percent) / 100_000_000);
  let passes = 0;
  for (const pass of facts.passes) passes += passNano(request, pass, inputTokens, percent, reached);
  const perChoice = Math.min(
    facts.maxOutputTokens ?? limits.outputTokens,
    limits.known ? limits.outputTokens : MOST_OUTPUT_TOKENS,
  );
  const searchNano =
    Math.ceil((price.webSearches ?? 0) / 1000) + nano(facts.searchInputTokens + onceTokens, inputRate);
  return {
    fixedNano:
      nano(inputTokens, inputRate) + upperFee(price, 'requests') + passes + feesNano(price, facts.uses),
    cheapTokens: cheap,
    sentNano: nano(sentTokens, inputRate),
    outputTokens: request.embeds ? 0 : perChoice * facts.choices,
    outputRate: Math.ceil((outputRateOf(price, reached) * percent) / 100),
    choices: facts.choices,
    leastOutputTokens: Math.max(facts.leastOutputTokens, USEFUL_OUTPUT_TOKENS),
    searches: facts.webSearches,
    searchNano: facts.webSearches === 0 ? 0 : searchNano,
    leastSearches: facts.searchesCanBeClamped && request.clampsSearches ? 1 : facts.webSearches,
  };
}

const useFees = [
  'fileSearches',
  'codeSessions',
  'xSearches',
  'mapSearches',
] as const satisfies readonly Fee[];

function feesNano(price: Price, uses: AllowedUses): Nano {
  let sum = 0;
  for (const fee of useFees) sum += (uses[fee] ?? 0) * upperFee(price, fee);
  return sum;
}

function inputRateOf(price: Price, facts: RequestFacts, inputTokens: number): Nano {
  const classes: TokenClass[] = ['input', 'imageInput', 'videoInput'];
  if (facts.soundInput) classes.push('audioInput');
  if (facts.cacheWrites !== 'none') classes.push('cacheWrite');
  if (facts.cacheWrites === '1h') classes.push('cacheWrite1h');
  const dearest = dearestOf(price, classes, inputTokens);
  // Where a one-hour write has no price of its own it is billed at twice the input (see cost.ts).
  return facts.cacheWrites === '1h'
    ? Math.max(dearest, 2 * dearestOf(price, ['input'], inputTokens))
    : dearest;
}

function outputRateOf(price: Price, inputTokens: number): Nano {
  return dearestOf(price, ['output', 'reasoning', 'audioOutput', 'imageOutput'], inputTokens);
}

function dearestOf(price: Price, classes: readonly TokenClass[], inputTokens: number): Nano {
  let dearest = 0;
  for (const name of classes) dearest = Math.max(dearest, dearestRate(price.rates[name], inputTokens));
  return dearest;
}

/** Any step may apply: the provider's count decides, and it can be above or below ours. */
function dearestRate(rate: Rate | undefined, inputTokens: number): Nano {
  if (rate === undefined) return 0;
  let dearest = rate.base;
  for (const { above, rate: step } of rate.steps) if (inputTokens > above) dearest = Math.max(dearest, step);
  return dearest;
}

function passNano(
  { facts, price, priceOf }: BoundRequest,
  pass: AllowedPass,
  requestTokens: number,
  percent: number,
  reached: number,
): Nano {
  const own = pass.model === null ? price : (priceOf(pass.model) ?? price);
  const input = (pass.readsInput ? requestTokens : 0) + pass.inputTokens;
  return Math.ceil(
    ((input * inputRateOf(own, facts, reached) + pass.outputTokens * outputRateOf(own, reached)) * percent) /
      100_000_000,
  );
}

/** What the request costs at the most with so many output tokens, of all choices, and so many searches. */
export function boundNano(
  bound: Bound,
  outputTokens: number = bound.outputTokens,
  searches: number = bound.searches,
): Nano {
  // No limit is higher: beyond it the number says nothing, and would leave what integers hold exactly.
  return Math.min(
    MAX_LIMIT_NANO,
    bound.fixedNano + searches * bound.searchNano + Math.ceil((outputTokens * bound.outputRate) / 1_000_000),
  );
}

/** The least that serves the request, with at least `outputTokens` for each choice. */
export function leastNano(bound: Bound, outputTokens: number): Nano {
  const each = Math.max(outputTokens, bound.leastOutputTokens) * bound.choices;
  return boundNano(bound, Math.min(bound.outputTokens, each), Math.min(bound.searches, bound.leastSearches));
}

/** What the provider is to be told to do at the most; null where the request says so already. */
export interface Clamp {
  /** For each choice. */
  outputTokens: number | null;
  searches: number | null;
}

/** How an answer that costs at most `heldNano` is asked for: searches first come down, then output. */
export function clampTo(bound: Bound, heldNano: Nano): Clamp {
  const searches = searchesWithin(bound, heldNano);
  const left = heldNano - bound.fixedNano - searches * bound.searchNano;
  const all = bound.outputRate === 0 ? bound.outputTokens : Math.floor((left * 1_000_000) / bound.outputRate);
  return {
    outputTokens: all >= bound.outputTokens ? null : Math.max(1, Math.floor(all / bound.choices)),
    searches: searches === bound.searches ? null : searches,
  };
}

/** Half of the money at the most goes to searches: their findings are of no use without an answer. */
function searchesWithin(bound: Bound, heldNano: Nano): number {
  if (bound.leastSearches >= bound.searches || bound.searchNano === 0) return bound.searches;
  if (heldNano >= boundNano(bound)) return bound.searches;
  const answer = leastNano(bound, 0) - bound.fixedNano - bound.leastSearches * bound.searchNano;
  const left = heldNano - bound.fixedNano;
  const affordable = Math.floor(Math.min(left / 2, left - answer) / bound.searchNano);
  return Math.min(bound.searches, Math.max(bound.leastSearches, affordable));
}

/** The bound of a request that may be answered by any of several models. */
export function dearestBound(bounds: readonly [Bound, ...Bound[]]): Bound {
  if (bounds.length === 1) return bounds[0];
  const dearest = (name: 'fixedNano' | 'outputTokens' | 'outputRate' | 'searchNano') =>
    Math.max(...bounds.map((bound) => bound[name]));
  return {
    ...bounds[0],
    fixedNano: dearest('fixedNano'),
    outputTokens: dearest('outputTokens'),
    outputRate: dearest('outputRate'),
    searchNano: dearest('searchNano'),
  };
}
