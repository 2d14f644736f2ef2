/** Looking for a model in the catalogue as a person does: some words of its name, in any order. */
import type { CatalogueModel } from '#shared/pricing.ts';
import { catalogue, type CatalogueVendor } from './catalogue.ts';
import type { TokenClass } from './cost.ts';
import { cataloguePrice, priceAmounts } from './prices.ts';

type ModelInfo = CatalogueVendor['models'][number];

/** Classes of tokens that a price set by hand has no place for. */
const moreClasses: readonly TokenClass[] = [
  'audioInput',
  'cachedAudioInput',
  'imageInput',
  'reasoning',
  'audioOutput',
  'imageOutput',
];

export async function searchCatalogue(query: string, limit: number, at: number): Promise<CatalogueModel[]> {
  const words = wordsOf(query);
  const scored: { vendor: CatalogueVendor; model: ModelInfo; score: number }[] = [];
  for (const vendor of await catalogue.vendors()) {
    for (const model of vendor.models) {
      const score = scoreOf(words, vendor, model);
      if (score > 0) scored.push({ vendor, model, score });
    }
  }
  scored.sort(
    (a, b) =>
      b.score - a.score || a.vendor.id.localeCompare(b.vendor.id) || a.model.id.localeCompare(b.model.id),
  );
  const found: CatalogueModel[] = [];
  for (const { vendor, model } of scored) {
    if (found.length === limit) break;
    const entry = toEntry(vendor, model, at);
    if (entry) found.push(entry);
  }
  return found;
}

const wordsOf = (text: string) =>
  text
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);

/**
 * How well a model fits: every word has to be there; the very name comes first, then names that begin with it, and the
 * makers before those who resell. Where a dated or longer name is looked for (`gpt-4o-2026-01-31`), the model whose
 * words all occur in it fits too. 0 = not at all.
 */
function scoreOf(words: readonly string[], vendor: CatalogueVendor, model: ModelInfo): number {
  if (words.length === 0) return 1;
  const id = wordsOf(model.id);
  const all = [...wordsOf(vendor.id), ...wordsOf(vendor.name), ...id, ...wordsOf(model.name ?? '')];
  const maker = vendor.model_match === undefined ? 0 : 5;
  const asked = words.join(' ');
  const name = id.join(' ');
  if (asked === name) return 100 + maker;
  if (words.every((word) => all.some((each) => each.startsWith(word)))) {
    return (name.startsWith(asked) ? 60 : 40) + maker - Math.min(20, id.length);
  }
  if (words.length > 1 && id.every((word) => words.includes(word)))
    return 10 + maker + Math.min(5, id.length);
  return 0;
}

function toEntry(vendor: CatalogueVendor, model: ModelInfo, at: number): CatalogueModel | null {
  const price = cataloguePrice(vendor.id, model.id, at);
  if (price === null) return null;
  const { name, date } = catalogue.info;
  return {
    vendor: vendor.id,
    vendorName: vendor.name,
    model: model.id,
    name: model.name ?? null,
    amounts: priceAmounts(price),
    changesByHour:
      Array.isArray(model.prices) &&
      model.prices.some(({ constraint }) => constraint?.type === 'time_of_date'),
    moreClasses: moreClasses.some((each) => price.rates[each] !== undefined),
    source: `${name}: ${vendor.id}/${model.id}`,
    date,
    url: vendor.pricing_urls?.[0] ?? null,
  };
}
