/**
 * Which price a model has. One shape for all sources: the person's own price first, then the catalogue that ships with
 * the application and what is known beside it.
 */
import { PriceInput, type PriceAmounts, type PriceRow, type PriceTier } from '#shared/model.ts';
import { assertNano, decimalToNano, formatPlainUsd, NANO_PER_USD, type Nano } from '#shared/money.ts';
import { providerKindFacts } from '../config/provider-kinds.ts';
import type { Provider } from '../config/providers.ts';
import type { Store } from '../store/store.ts';
import { catalogue } from './catalogue.ts';
import { freePrice, tokenClasses, type Price, type Tier } from './cost.ts';
import { priceAtVendor } from './model-prices.ts';

const texts = new WeakMap<Price, string>();

/** What the row of a request that a crash has ended says of its price, as JSON (see bill.ts); made once a price. */
export function priceText(price: Price): string {
  let text = texts.get(price);
  if (text === undefined) {
    const { source, date, guessed } = price;
    texts.set(price, (text = JSON.stringify({ source, date, guessed })));
  }
  return text;
}

export interface Prices {
  /** null where the model has no price: a decision for the caller, never a silent zero. */
  find(provider: Provider, model: string, at: number): Price | null;
  list(providerId?: string): PriceRow[];
  /** @throws PriceFieldError where an amount is out of range. */
  set(input: PriceInput): PriceRow;
  remove(providerId: string, model: string): boolean;
  /** Providers that have an own price for exactly this model. */
  providersPricing(model: string): string[];
}

/** An amount of a price is not acceptable; the message is for the person. */
export class PriceFieldError extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(message);
    this.name = 'PriceFieldError';
    this.field = field;
  }
}

/** By provider, as long as its address is the same, and model. */
type RecentPrices = WeakMap<
  Provider,
  { baseUrl: string; prices: Map<string, { price: Price | null; minute: number; revision: number }> }
>;

export function createPrices(store: Store, now: () => number): Prices {
  const { db } = store;
  const own = new Map<string, { row: PriceRow; price: Price }>();
  const keyOf = (providerId: string, model: string) => `${providerId}\n${model}`;
  const remember = (input: PriceInput, setAt: number) => {
    const row: PriceRow = { ...input, source: 'own', setAt: new Date(setAt).toISOString() };
    own.set(keyOf(input.providerId, input.model), {
      row,
      price: { ...toPrice(input), date: row.setAt.slice(0, 10) },
    });
    return row;
  };
  const stored = db.prepare<[], { price: string; set_at: number }>(
    'SELECT price, set_at FROM prices ORDER BY rowid',
  );
  for (const { price, set_at } of stored.all()) {
    try {
      remember(PriceInput.parse(JSON.parse(price)), set_at);
    } catch {
      // A row that no longer fits (edited by hand, or of another version) is no price, and no failed start.
    }
  }
  const save = db.prepare(
    `INSERT INTO prices (provider_id, model, price, set_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (provider_id, model) DO UPDATE SET price = excluded.price, set_at = excluded.set_at`,
  );
  const forget = db.prepare('DELETE FROM prices WHERE provider_id = ? AND model = ?');
  // A look-up in the catalogue costs 10 to 20 µs; prices change by date and hour, so an answer is good for a minute.
  let recent: RecentPrices = new WeakMap();

  return {
    find(provider, model, at) {
      if (provider.billing === 'free') return freePrice;
      const minute = Math.floor(at / 60_000);
      const { revision } = catalogue;
      let ofProvider = recent.get(provider);
      if (ofProvider?.baseUrl !== provider.baseUrl || ofProvider.prices.size >= 1000) {
        ofProvider = { baseUrl: provider.baseUrl, prices: new Map() };
        recent.set(provider, ofProvider);
      }
      const known = ofProvider.prices.get(model);
      if (known?.minute === minute && known.revision === revision) return known.price;
      const mine = own.get(keyOf(provider.id, model))?.price;
      const listed = findPrice(provider, model, new Date(at));
      const price = mine === undefined ? listed : withKnownTerms(mine, listed);
      ofProvider.prices.set(model, { price, minute, revision });
      return price;
    },
    list: (providerId) =>
      [...own.values()]
        .map(({ row }) => row)
        .filter((row) => providerId === undefined || row.providerId === providerId),
    set(input) {
      const setAt = now();
      // What cannot be computed with is refused before it is stored.
      toPrice(input);
      store.write(() => save.run(input.providerId, input.model, JSON.stringify(input), setAt));
      recent = new WeakMap();
      return remember(input, setAt);
    },
    remove(providerId, model) {
      if (!own.has(keyOf(providerId, model))) return false;
      store.write(() => forget.run(providerId, model));
      recent = new WeakMap();
      return own.delete(keyOf(providerId, model));
    },
    providersPricing: (model) =>
      [...own.values()].filter(({ row }) => row.model === model).map(({ row }) => row.providerId),
  };
}

/** Whether a kind of provider is the vendor itself. */
export function isVendor(provider: Provider, vendor: string): boolean {
  return providerKindFacts[provider.kind].vendor === vendor;
}

/**
 * A person's own price is that of the standard tier. What it leaves out by the piece, and what share of it a service
 * tier or a region costs, is as known for the model at this provider; where nothing is known the cost is an estimate.
 */
function withKnownTerms(mine: Price, listed: Price | null): Price {
  if (listed === null || listed.guessed) return mine;
  const { tiers, regions, regional, fees, uncertain, previewSearches } = listed;
  const price: Price = { ...mine, requests: mine.requests ?? listed.requests };
  if (mine.webSearches === null) {
    price.webSearches = listed.webSearches;
    if (previewSearches !== undefined) price.previewSearches = previewSearches;
    if (uncertain) price.uncertain = uncertain;
  }
  if (mine.requests === null && listed.requestsByContext) price.requestsByContext = listed.requestsByContext;
  if (fees) price.fees = fees;
  if (regions) price.regions = regions;
  if (regional) price.regional = regional;
  if (tiers)
    price.tiers = Object.fromEntries(
      Object.entries(tiers).map(([name, { rates, percent, ...tier }]): [string, Tier] => [
        name,
        // A list price of single classes is no share of somebody else's price.
        rates ? { ...tier, percent, assumed: true } : { ...tier, percent },
      ]),
    );
  return price;
}

function findPrice(provider: Provider, model: string, at: Date): Price | null {
  const vendor = providerKindFacts[provider.kind].vendor ?? catalogue.vendorAt(provider.baseUrl);
  if (vendor === 'openrouter') return atOpenRouter(model, at);
  const price = vendor === null ? null : priceAtVendor(vendor, model, at, provider.baseUrl);
  // Another endpoint's prices are the maker's, openly as a guess.
  return price ?? (providerKindFacts[provider.kind].vendor === null ? atMaker(model, at) : null);
}

/** `:nitro`, `:online`, `:thinking` …: the same model by another route, of which OpenRouter reports what it cost. */
function atOpenRouter(model: string, at: Date): Price | null {
  // Served for nothing (openrouter.ai/docs, "Free variants").
  if (model.endsWith(':free')) return freeVariant;
  const listed = priceAtVendor('openrouter', model, at);
  if (listed || !model.includes(':')) return listed;
  const base = priceAtVendor('openrouter', model.slice(0, model.lastIndexOf(':')), at);
  return base && { ...base, guessed: true };
}

const freeVariant: Price = {
  source: 'free variant of OpenRouter',
  guessed: false,
  rates: Object.fromEntries(tokenClasses.map((name) => [name, { base: 0, steps: [] }])),
  webSearches: null,
  requests: null,
};

/**
 * What the maker asks for a model that somebody else serves. The name says who that is: `openai/gpt-4o`, or, as
 * clouds write it, `us.anthropic.claude-haiku-4-5-20251001-v1:0`.
 */
function atMaker(model: string, at: Date): Price | null {
  const [, maker, bare] = /^([^/]+)\/(.+)$/.exec(model) ?? [];
  const cloud = /^(?:[a-z]+\.)?([a-z0-9]+)\.(.+?)(?:-v\d+(?::\d+)?)?$/.exec(model);
  const candidates: [vendor: string | null | undefined, name: string | undefined][] = [
    [maker, bare],
    [catalogue.vendorOf(model), model],
    [cloud?.[1], cloud?.[2]],
  ];
  for (const [vendor, name] of candidates) {
    const price = vendor == null || name === undefined ? null : priceAtVendor(vendorId(vendor), name, at);
    if (price) return { ...price, guessed: true };
  }
  return null;
}

/** Names that makers go by elsewhere, as the catalogue calls them. */
const vendorId = (maker: string) =>
  ({
    gemini: 'google',
    xai: 'x-ai',
    mistralai: 'mistral',
    moonshot: 'moonshotai',
    'deepseek-ai': 'deepseek',
  })[maker] ?? maker;

/** Dollars per million tokens or thousand searches; far above any price, and far from where sums become inexact. */
const DEAREST = 10_000;
const DEAREST_REQUEST = 1_000;

const amountClasses = ['input', 'output', 'cachedInput', 'cacheWrite', 'cacheWrite1h'] as const;

function toPrice(input: PriceInput): Price {
  const rates: Price['rates'] = {};
  const tiers = (input.tiers ?? []).toSorted((a, b) => a.above - b.above);
  for (const name of amountClasses) {
    const value = input[name];
    const steps = tiers.flatMap((tier) => {
      const rate = tier[name];
      return rate === undefined ? [] : [{ above: tier.above, rate: checkedAmount(name, rate, DEAREST) }];
    });
    if (value !== undefined) rates[name] = { base: checkedAmount(name, value, DEAREST), steps };
    else if (steps.length > 0)
      throw new PriceFieldError(name, 'Enter the price below the step too, or take the step away.');
  }
  const { webSearch, perRequest } = input;
  return {
    source: 'own',
    guessed: false,
    rates,
    webSearches: webSearch === undefined ? null : checkedAmount('webSearch', webSearch, DEAREST),
    // The person states a price per request; the shape holds it per thousand.
    requests:
      perRequest === undefined
        ? null
        : assertNano(checkedAmount('perRequest', perRequest, DEAREST_REQUEST) * 1000),
  };
}

function checkedAmount(field: string, value: string, most: number): Nano {
  const nano = decimalToNano(value);
  if (nano === null || nano > BigInt(most) * BigInt(NANO_PER_USD))
    throw new PriceFieldError(field, `Enter a price of at most $${most.toLocaleString('en-US')}.`);
  if (nano === 0n && /^[^e]*[1-9]/i.test(value))
    throw new PriceFieldError(field, 'Use at most nine digits after the point: less would count as nothing.');
  return Number(nano);
}

/** A price as a person reads and sets it. Classes that a price set by hand has no place for are left out. */
export function priceAmounts({ rates, webSearches, requests }: Price): PriceAmounts {
  const bounds = new Set(amountClasses.flatMap((name) => rates[name]?.steps.map(({ above }) => above) ?? []));
  const tiers = [...bounds]
    .toSorted((a, b) => a - b)
    .map((above): PriceTier => {
      const tier: PriceTier = { above };
      for (const name of amountClasses) {
        const step = rates[name]?.steps.find((each) => each.above === above);
        if (step) tier[name] = formatPlainUsd(step.rate);
      }
      return tier;
    });
  const amounts: PriceAmounts = {
    input: formatPlainUsd(rates.input?.base ?? 0),
    output: formatPlainUsd(rates.output?.base ?? 0),
  };
  for (const name of ['cachedInput', 'cacheWrite', 'cacheWrite1h'] as const) {
    const rate = rates[name];
    if (rate) amounts[name] = formatPlainUsd(rate.base);
  }
  if (requests !== null) amounts.perRequest = formatPlainUsd(Math.round(requests / 1000));
  if (webSearches !== null) amounts.webSearch = formatPlainUsd(webSearches);
  if (tiers.length > 0) amounts.tiers = tiers;
  return amounts;
}

/** A model's price in the catalogue, by the vendor's own list; null where it has none. */
export function cataloguePrice(vendor: string, model: string, at: number): Price | null {
  return priceAtVendor(vendor, model, new Date(at));
}
