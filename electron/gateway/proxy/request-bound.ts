/** What a request may cost at the provider it goes to, by its bytes and, where admission asks for it, counted. */
import type { JsonFields } from '../base/json.ts';
import type { Provider } from '../config/providers.ts';
import type { RequestFacts } from '../dialects/dialect.ts';
import type { Overruns } from '../ledger/overruns.ts';
import type { TokenCounter } from '../metering/token-count.ts';
import { freePrice, type Price } from '../pricing/cost.ts';
import type { Prices } from '../pricing/prices.ts';
import type { Target } from '../upstream/routing.ts';
import type { BoundedRequest } from './admission.ts';
import { boundOf, dearestBound, type Bound } from './bound.ts';
import type { UpstreamRoute } from './routes.ts';

/** A model that may answer, and its price; null where it has none. */
export interface Priced {
  model: string;
  price: Price | null;
}

export interface RequestToBound {
  dialect: UpstreamRoute['dialect'];
  target: Target;
  /** Those that may answer: the one asked for, and where a router chooses, the others. */
  models: readonly [Priced, ...Priced[]];
  facts: RequestFacts;
  fields: JsonFields | null;
  bodyBytes: number;
  query: string;
  /** The headers a counting call travels with; asked for only where one is made. */
  headers(): string[];
}

/** Kinds of providers whose documentation has `max_tool_calls` or `max_uses`. */
const clampsSearches: ReadonlySet<Provider['kind']> = new Set([
  'openai',
  'openrouter',
  'openai-compatible',
  'anthropic',
  'anthropic-compatible',
]);

export function requestBounds(
  dependencies: { prices: Prices; overruns: Overruns; tokens: TokenCounter; now: () => number },
  { dialect, target, models, facts, fields, bodyBytes, query, headers }: RequestToBound,
): BoundedRequest {
  const { prices, overruns, tokens, now } = dependencies;
  const { provider, model } = target;
  const [asked, ...others] = models;
  const embeds = dialect === 'openai-embeddings' || dialect === 'gemini-embeddings';
  const boundOfOne = (one: Priced, countedTokens: number): Bound =>
    boundOf({
      facts,
      model: one.model,
      price: one.price ?? freePrice,
      priceOf: (name) => prices.find(provider, name, now()),
      bodyBytes,
      atVendor: dialect.startsWith(provider.kind),
      embeds,
      clampsSearches: clampsSearches.has(provider.kind),
      ratio: overruns.ratio(provider.slug, one.model),
      countedTokens,
    });
  const boundOfAll = (countedTokens = Infinity): Bound =>
    dearestBound([
      boundOfOne(asked, countedTokens),
      ...others.map((other) => boundOfOne(other, countedTokens)),
    ]);
  const bound = boundOfAll();
  // A count holds for one model: another's tokenizer may make more of the same text.
  if (fields === null || embeds || others.length > 0) return { bound };
  return {
    bound,
    async exact(signal) {
      const { cheapTokens } = bound;
      const stored = facts.storedInput;
      const counted = await tokens.count(
        { dialect, provider, model, fields, cheapTokens, stored, headers: headers(), query },
        signal,
      );
      return counted === null ? null : boundOfAll(counted);
    },
  };
}
