/**
 * The price of a model at a vendor, put together from the catalogue and what is known beside it. Everything that is
 * not certain about it is said in the price, and makes its costs open estimates.
 */
import { decimalToNano, type Nano } from '#shared/money.ts';
import { catalogue, type CatalogueEntry, type ModelPrice } from './catalogue.ts';
import { tokenClasses, type Price, type Rate, type Tier, type TokenClass } from './cost.ts';
import { COMPARED, knownAliases, knownDetails, knownPrices, type KnownPrice } from './price-supplements.ts';
import {
  knownFees,
  knownRegionalAddresses,
  knownRegions,
  knownTiers,
  plainCacheWrites,
} from './price-terms.ts';

/** null where neither the catalogue nor the tables beside it have the model. `address` is the provider's. */
export function priceAtVendor(vendor: string, model: string, at: Date, address = ''): Price | null {
  const name = plainName(model);
  const alias = knownAliases.find((one) => concerns(one, vendor, name, at));
  const target = alias === undefined ? name : name.replace(alias.models, alias.to);
  const correction = knownPrices.find((one) => !one.onlyWhereUnknown && concerns(one, vendor, target, at));
  const entry = correction === undefined ? catalogue.find(target, { vendor }, at) : null;
  // A name that only begins like one of the catalogue is better known here, where it stands here in full.
  const filled =
    entry?.certain === true
      ? undefined
      : knownPrices.find((one) => one.onlyWhereUnknown === true && concerns(one, vendor, target, at));
  const known = correction ?? filled;
  const price = known === undefined ? entry && fromCatalogue(entry) : fromTable(known, target, at);
  if (price === null) return null;
  if (alias?.disputed !== undefined) price.disputed = alias.disputed;
  if (alias?.guessed) price.guessed = true;
  const canonical = entry?.model ?? target;
  addDetails(price, vendor, name, at);
  addCacheWrites(price, vendor, canonical);
  addTiers(price, vendor, canonical);
  addRegions(price, vendor, target, address);
  addFees(price, vendor, target);
  return price;
}

/** How many searches, requests and tokens cost: dollars as nano-dollars. */
function toNano(dollars: number | string): Nano {
  const nano = decimalToNano(dollars);
  if (nano === null || nano > BigInt(Number.MAX_SAFE_INTEGER))
    throw new RangeError(`not a price: ${dollars}`);
  return Number(nano);
}

/** `models/…` (Gemini) and `publishers/…/models/…` (Vertex AI) are paths to the same name. */
function plainName(model: string): string {
  return model
    .trim()
    .toLowerCase()
    .replace(/^(publishers\/[^/]+\/)?models\//, '');
}

function concerns(
  known: { vendor: string; models: RegExp; from?: string; until?: string },
  vendor: string,
  model: string,
  at: Date,
): boolean {
  if (known.vendor !== vendor || !known.models.test(model)) return false;
  if (known.from !== undefined && at < new Date(known.from)) return false;
  if (known.until !== undefined && at >= new Date(known.until)) return false;
  return at < new Date(COMPARED) || catalogue.info.date <= COMPARED;
}

function fromTable(known: KnownPrice, model: string, at: Date): Price {
  const factor = known.peak === 'deepseek' && isDeepSeekPeak(at) ? 2 : 1;
  const rates: Price['rates'] = {};
  for (const name of tokenClasses) {
    const base = known.usd[name];
    if (base === undefined) continue;
    const steps = (known.steps ?? []).flatMap(({ above, usd }) => {
      const rate = usd[name];
      return rate === undefined ? [] : [{ above, rate: toNano(rate) }];
    });
    rates[name] = { base: toNano(base) * factor, steps };
  }
  return {
    source: `${known.source}: ${known.vendor}/${model}`,
    date: known.read,
    guessed: false,
    ...(known.disputed === undefined ? {} : { disputed: known.disputed }),
    rates,
    webSearches: null,
    requests: null,
  };
}

/**
 * 9 to 12 and 14 to 18 o'clock in Beijing, Monday to Friday. China's public holidays are cheap too, and are not known
 * here: on those days the cost is computed too high.
 */
function isDeepSeekPeak(at: Date): boolean {
  const weekday = at.getUTCDay();
  if (weekday === 0 || weekday === 6) return false;
  const hour = at.getUTCHours();
  return (hour >= 1 && hour < 4) || (hour >= 6 && hour < 10);
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

/** Billed beside the tokens in units that no answer here reports. */
const uncounted = ['output_video_mtok', 'output_citation_mtok', 'audio_hours', 'input_text_messages_kcount'];

function fromCatalogue({ vendor, model, certain, prices }: CatalogueEntry): Price | null {
  const rates: Price['rates'] = {};
  for (const name of tokenClasses) {
    const rate = toRate(prices[catalogueNames[name]]);
    if (rate) rates[name] = rate;
  }
  if (!rates.input && !rates.output) return null;
  return {
    source: `${catalogue.info.name}: ${vendor}/${model}`,
    date: catalogue.info.date,
    guessed: !certain,
    ...(uncounted.some((unit) => prices[unit] !== undefined)
      ? { disputed: 'a part of it is billed in units that are not reported' }
      : {}),
    rates,
    webSearches: perThousand(prices['web_searches_kcount']),
    requests: perThousand(prices['requests_kcount']),
  };
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

function addDetails(price: Price, vendor: string, model: string, at: Date): void {
  for (const { usd, steps, disputed, ...known } of knownDetails) {
    if (!concerns(known, vendor, model, at)) continue;
    for (const name of tokenClasses) {
      const [base, above] = [usd?.[name], steps?.usd[name]];
      if (base !== undefined) price.rates[name] = { base: toNano(base), steps: [] };
      const rate = price.rates[name];
      if (steps && above !== undefined && rate?.steps.length === 0) {
        price.rates[name] = { base: rate.base, steps: [{ above: steps.above, rate: toNano(above) }] };
        price.disputedAbove = steps.above;
      }
    }
    if (disputed !== undefined) price.disputed = disputed;
  }
}

function addCacheWrites({ rates }: Price, vendor: string, model: string): void {
  if (!rates.input || rates.cacheWrite || !rates.cachedInput) return;
  if (plainCacheWrites.some((one) => one.vendor === vendor && one.models.test(model)))
    rates.cacheWrite = rates.input;
}

function addTiers(price: Price, vendor: string, model: string): void {
  const tiers: Record<string, Tier> = {};
  for (const { tier, percent, usd, upTo, assumed, ...known } of knownTiers) {
    if (tiers[tier] !== undefined || known.vendor !== vendor || !known.models.test(model)) continue;
    tiers[tier] = {
      percent,
      ...(upTo === undefined ? {} : { upTo }),
      ...(assumed === undefined ? {} : { assumed }),
    };
    if (usd)
      tiers[tier].rates = Object.fromEntries(
        Object.entries(usd).map(([name, dollars]) => [name, toNano(dollars)]),
      );
  }
  if (Object.keys(tiers).length > 0) price.tiers = tiers;
}

function addRegions(price: Price, vendor: string, model: string, address: string): void {
  const regions = knownRegions.find((one) => one.vendor === vendor && one.models.test(model));
  if (regions) price.regions = regions.percent;
  const regional = knownRegionalAddresses.find(
    (one) => one.vendor === vendor && one.models.test(model) && one.address.test(address),
  );
  if (regional)
    price.regional = { percent: regional.percent, ...(regional.assumed ? { assumed: true as const } : {}) };
}

function addFees(price: Price, vendor: string, model: string): void {
  const known = knownFees.find((one) => one.vendor === vendor && one.models.test(model));
  if (known === undefined) return;
  const { webSearches, requests, ...others } = known.usd;
  if (webSearches !== undefined && (known.overrides || price.webSearches === null))
    price.webSearches = toNano(webSearches);
  if (requests !== undefined) price.requests = toNano(requests);
  if (known.previewSearches !== undefined) price.previewSearches = toNano(known.previewSearches);
  const { requestsByContext } = known;
  if (requestsByContext !== undefined)
    price.requestsByContext = {
      low: toNano(requestsByContext.low),
      medium: toNano(requestsByContext.medium),
      high: toNano(requestsByContext.high),
    };
  price.fees = Object.fromEntries(Object.entries(others).map(([fee, dollars]) => [fee, toNano(dollars)]));
  if (known.uncertain) price.uncertain = known.uncertain;
}
