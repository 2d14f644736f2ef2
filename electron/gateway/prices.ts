/**
 * Which price a model has. One shape for all sources: the person's own price first, then the catalogue that ships with
 * the application and what is known beside it.
 */
import { PriceInput, type PriceAmounts, type PriceRow, type PriceTier } from '#shared/model.ts';
import { assertNano, decimalToNano, formatPlainUsd, NANO_PER_USD, type Nano } from '#shared/money.ts';
import { catalogue, type CatalogueEntry, type ModelPrice } from './catalogue.ts';
import { freePrice, tokenClasses, type Price, type Rate, type TokenClass } from './cost.ts';
import { providerKindFacts, type Provider } from './providers.ts';
import type { Store } from './store.ts';

const texts = new WeakMap<Price, string>();

/** The price as a usage row freezes it: JSON, written once a price. */
export function priceText(price: Price): string {
  let text = texts.get(price);
  if (text === undefined) texts.set(price, (text = JSON.stringify(price)));
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

export function createPrices(store: Store, now: () => number): Prices {
  const { db } = store;
  const own = new Map<string, { row: PriceRow; price: Price }>();
  const keyOf = (providerId: string, model: string) => `${providerId}\n${model}`;
  const remember = (input: PriceInput, setAt: number) => {
    const row: PriceRow = { ...input, source: 'own', setAt: new Date(setAt).toISOString() };
    own.set(keyOf(input.providerId, input.model), { row, price: toPrice(input) });
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
  const recent = new Map<string, { price: Price | null; minute: number; revision: number }>();

  return {
    find(provider, model, at) {
      if (provider.billing === 'free') return freePrice;
      const mine = own.get(keyOf(provider.id, model));
      if (mine) return mine.price;
      const minute = Math.floor(at / 60_000);
      const cacheKey = `${provider.kind}\n${provider.baseUrl}\n${model}`;
      const { revision } = catalogue;
      const known = recent.get(cacheKey);
      if (known?.minute === minute && known.revision === revision) return known.price;
      const price = fromCatalogue(provider, model, new Date(at));
      if (recent.size >= 1000) recent.clear();
      recent.set(cacheKey, { price, minute, revision });
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
      return remember(input, setAt);
    },
    remove(providerId, model) {
      if (!own.has(keyOf(providerId, model))) return false;
      store.write(() => forget.run(providerId, model));
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

function fromCatalogue(provider: Provider, model: string, at: Date): Price | null {
  const { vendor } = providerKindFacts[provider.kind];
  // OpenRouter serves the variants of this name for nothing (openrouter.ai/docs, "Free variants").
  if (vendor === 'openrouter' && model.endsWith(':free')) return freeVariant;
  if (vendor !== null) return lookUp(model, { vendor }, at, false);
  // Another endpoint: by its address where the catalogue knows it, else the maker's price, openly a guess. A name
  // such as `openai/gpt-4o` says who the maker is.
  const byAddress = lookUp(model, { address: provider.baseUrl }, at, false);
  if (byAddress) return byAddress;
  const [, maker, bare] = /^([^/]+)\/(.+)$/.exec(model) ?? [];
  return (
    (maker !== undefined && bare !== undefined ? lookUp(bare, { vendor: maker }, at, true) : null) ??
    lookUp(model, {}, at, true)
  );
}

const freeVariant: Price = {
  source: 'free variant of OpenRouter',
  guessed: false,
  rates: Object.fromEntries(tokenClasses.map((name) => [name, { base: 0, steps: [] }])),
  webSearches: null,
  requests: null,
};

function lookUp(
  model: string,
  where: { vendor?: string; address?: string },
  at: Date,
  guessed: boolean,
): Price | null {
  const entry = catalogue.find(model, where, at);
  return entry && toCataloguePrice(entry, guessed);
}

const catalogueNames: Readonly<Record<TokenClass, string>> = {
  input: 'input_mtok',
  cachedInput: 'cache_read_mtok',
  cacheWrite: 'cache_write_mtok',
  cacheWrite1h: 'cache_write_1h_mtok',
  audioInput: 'input_audio_mtok',
  cachedAudioInput: 'cache_audio_read_mtok',
  imageInput: 'input_image_mtok',
  videoInput: 'input_video_mtok',
  output: 'output_mtok',
  reasoning: 'output_reasoning_mtok',
  audioOutput: 'output_audio_mtok',
  imageOutput: 'output_image_mtok',
};

function toCataloguePrice({ vendor, model, prices }: CatalogueEntry, guessed: boolean): Price | null {
  const rates: Price['rates'] = {};
  for (const name of tokenClasses) {
    const rate = toRate(prices[catalogueNames[name]]) ?? missingRate(model, name);
    if (rate) rates[name] = rate;
  }
  if (!rates.input && !rates.output) return null;
  return {
    source: `${catalogue.info.name}: ${vendor}/${model}`,
    guessed,
    rates,
    webSearches: perThousand(prices['web_searches_kcount']) ?? searchFee(vendor, model),
    requests: perThousand(prices['requests_kcount']),
  };
}

/** Fees per thousand searches that the catalogue leaves out, from the pricing pages of the vendors. */
function searchFee(vendor: string, model: string): Nano | null {
  switch (vendor) {
    case 'x-ai':
      return toNano(5);
    case 'google':
      // By the grounded request up to Gemini 2.5, by the query since. What is free each day is not known here.
      return toNano(/gemini-[12]\b/.test(model) ? 35 : 14);
    case 'openai':
      return toNano(/-search-preview/.test(model) ? 25 : 10);
    case 'openrouter':
      return toNano(10);
    default:
      return null;
  }
}

/** Audio of the first audio models (openai.com/api/pricing), which the catalogue would bill as text. */
function missingRate(model: string, name: TokenClass): Rate | null {
  if (!/^gpt-4o-(mini-)?audio-preview/.test(model)) return null;
  const [input, output] = model.includes('mini') ? [10, 20] : [40, 80];
  if (name === 'audioInput') return { base: toNano(input), steps: [] };
  return name === 'audioOutput' ? { base: toNano(output), steps: [] } : null;
}

function toRate(value: ModelPrice[string]): Rate | null {
  if (value === undefined) return null;
  if (typeof value === 'number') return { base: toNano(value), steps: [] };
  return {
    base: toNano(value.base),
    steps: value.tiers
      .map(({ start, price }) => ({ above: start, rate: toNano(price) }))
      .toSorted((a, b) => a.above - b.above),
  };
}

function perThousand(value: ModelPrice[string]): Nano | null {
  return typeof value === 'number' ? toNano(value) : null;
}

function toNano(dollars: number | string): Nano {
  const nano = decimalToNano(dollars);
  if (nano === null) throw new RangeError(`not a price: ${dollars}`);
  return assertNano(Number(nano));
}

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
  return lookUp(model, { vendor }, new Date(at), false);
}
