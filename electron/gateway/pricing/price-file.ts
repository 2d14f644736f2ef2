/**
 * Whether a file of price data may be believed: its form first, then whether its prices can be true beside the last good
 * ones. Pure. A wrong file would make every limit wrong, so in doubt it is refused and the person told why.
 */
import * as z from 'zod';
import type { CatalogueVendor, ModelPrice } from './catalogue.ts';

/** More than any text of a match or an address has; a longer one is not looked at. */
const pattern = z
  .string()
  .max(500)
  .refine((text) => {
    try {
      return Boolean(new RegExp(text));
    } catch {
      return false;
    }
  }, 'a pattern that is no regular expression');

const text = z.string().min(1).max(500);

const Match: z.ZodType<NonNullable<CatalogueVendor['model_match']>> = z.lazy(() =>
  z.union([
    z.strictObject({ equals: text }),
    z.strictObject({ starts_with: text }),
    z.strictObject({ ends_with: text }),
    z.strictObject({ contains: text }),
    z.strictObject({ regex: pattern }),
    z.strictObject({ or: z.array(Match).min(1) }),
    z.strictObject({ and: z.array(Match).min(1) }),
  ]),
);

/** Dollars by million tokens, thousand pieces and the like; dearer than any there is. */
const Amount = z.number().min(0).max(10_000);
const ModelPrices = z.record(
  z.string(),
  z.union([
    Amount,
    z.object({
      base: Amount,
      tiers: z.array(z.object({ start: z.int().min(0), price: Amount })).max(20),
    }),
  ]),
);
const day = z.iso.date();
const hour = z.string().regex(/^\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?$/);
/** The published form says by its fields what a constraint is; the library's own form says it by name. */
const Constraint = z.union([
  z.strictObject({ start_date: day }).transform((given) => ({ type: 'start_date' as const, ...given })),
  z
    .strictObject({ start_time: hour, end_time: hour })
    .transform((given) => ({ type: 'time_of_date' as const, ...given })),
  z.strictObject({ type: z.literal('start_date'), start_date: day }),
  z.strictObject({ type: z.literal('time_of_date'), start_time: hour, end_time: hour }),
]);

const Model = z.object({
  id: text,
  name: z.string().exactOptional(),
  match: Match,
  context_window: z.number().exactOptional(),
  deprecated: z.boolean().exactOptional(),
  prices: z.union([
    z.array(z.object({ constraint: Constraint.exactOptional(), prices: ModelPrices })).min(1),
    ModelPrices,
  ]),
});

/** What is read of the file; how to read usage out of answers is not, since Faregate does that itself. */
const Vendor = z.object({
  id: text,
  name: text,
  api_pattern: pattern,
  pricing_urls: z.array(z.string()).exactOptional(),
  model_match: Match.exactOptional(),
  provider_match: Match.exactOptional(),
  fallback_model_providers: z.array(z.string()).exactOptional(),
  models: z.array(Model),
});

const PriceFile = z.array(Vendor).min(1);

/**
 * The vendors of a file, or a sentence about what is wrong with it. Units that the shipped data does not use are left
 * out: the library of this version cannot price them, and complains about each at every look.
 */
export function readPriceFile(
  value: unknown,
  shipped: readonly CatalogueVendor[],
): { vendors: CatalogueVendor[] } | { problem: string } {
  if (value === undefined) return { problem: 'it is not JSON.' };
  const parsed = PriceFile.safeParse(value);
  if (parsed.success) {
    dropUnknownUnits(parsed.data, unitsOf(shipped));
    return { vendors: parsed.data };
  }
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') || 'the file';
  return { problem: `it does not have the form of price data (${where}: ${issue?.message ?? 'not valid'}).` };
}

/**
 * No published price has moved by a twentieth of this within a day, and none to or from nothing (checked over the 120
 * revisions of the data up to August 2026).
 */
const MOST_CHANGE = 100;
/** Vendors whose models a provider of Faregate is priced by. */
const mainVendors: ReadonlySet<string> = new Set([
  'openai',
  'anthropic',
  'google',
  'openrouter',
  'deepseek',
  'mistral',
  'groq',
  'x-ai',
]);

/** Why the file cannot be true beside the last good one, as a sentence; null where nothing speaks against it. */
export function suspicion(next: readonly CatalogueVendor[], last: readonly CatalogueVendor[]): string | null {
  const byId = new Map(next.map((vendor) => [vendor.id, vendor]));
  const gone = last.filter(({ id }) => !byId.has(id)).map(({ id }) => id);
  const missed = gone.find((id) => mainVendors.has(id));
  if (missed !== undefined) return `the vendor ${missed} is no longer in it.`;
  if (gone.length * 4 > last.length) return `${gone.length} of ${last.length} vendors are no longer in it.`;
  for (const before of last) {
    const after = byId.get(before.id);
    if (!after) continue;
    if (mainVendors.has(before.id) && after.models.length * 2 < before.models.length) {
      return `only ${after.models.length} of ${before.models.length} models of ${before.id} are left in it.`;
    }
    const models = new Map(after.models.map((model) => [model.id, model]));
    for (const model of before.models) {
      const other = models.get(model.id);
      const jump = other && jumpBetween(basePrices(model), basePrices(other));
      if (jump) return `${jump.what} of ${before.id}/${model.id} went from $${jump.from} to $${jump.to}.`;
    }
  }
  return null;
}

type ModelInfo = CatalogueVendor['models'][number];

/** The latest of the model's prices, below any step. */
function basePrices({ prices }: ModelInfo): ReadonlyMap<string, number> {
  const latest = Array.isArray(prices) ? prices.at(-1)?.prices : prices;
  return new Map(
    Object.entries(latest ?? {}).flatMap(([unit, price]) =>
      price === undefined ? [] : [[unit, typeof price === 'number' ? price : price.base] as const],
    ),
  );
}

function jumpBetween(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>) {
  for (const [what, from] of before) {
    const to = after.get(what);
    if (to === undefined || from === to) continue;
    const change = Math.max(from, to) / Math.min(from, to);
    if (change >= MOST_CHANGE) return { what, from, to };
  }
  return null;
}

function pricesOf({ prices }: ModelInfo): ModelPrice[] {
  return Array.isArray(prices) ? prices.map((each) => each.prices) : [prices];
}

function unitsOf(vendors: readonly CatalogueVendor[]): ReadonlySet<string> {
  const models = vendors.flatMap((vendor) => vendor.models);
  return new Set(models.flatMap((model) => pricesOf(model).flatMap((prices) => Object.keys(prices))));
}

function dropUnknownUnits(vendors: readonly CatalogueVendor[], known: ReadonlySet<string>): void {
  for (const { models } of vendors) {
    for (const prices of models.flatMap(pricesOf)) {
      for (const unit of Object.keys(prices)) if (!known.has(unit)) delete prices[unit];
    }
  }
}
