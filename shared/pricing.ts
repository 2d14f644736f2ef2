/** The shapes of the price desk: what has no price, what the catalogue knows, where its data is from, pricing again. */
import * as z from 'zod';
import { nano, PriceAmounts } from './model.ts';

const count = z.int().min(0);
const time = z.iso.datetime();

/** A model that was asked for at a provider and whose cost is not known. */
export const UnpricedModel = z.object({
  /** null where the provider was deleted since. */
  providerId: z.string().nullable(),
  /** The provider's slug. */
  provider: z.string(),
  model: z.string(),
  /** Served without a price, to keys without a limit; their cost is unknown. */
  requests: count,
  inputTokens: count,
  outputTokens: count,
  /** Refused to keys with a limit since Faregate was started. */
  refused: count,
  lastAt: time,
  /** The model has a price by now: the past rows can be priced again. */
  priced: z.boolean(),
});
export type UnpricedModel = z.infer<typeof UnpricedModel>;

/** A model of the catalogue, at its prices of today. */
export const CatalogueModel = z.object({
  vendor: z.string(),
  vendorName: z.string(),
  model: z.string(),
  /** As the vendor calls it; null where the catalogue has no other name than the id. */
  name: z.string().nullable(),
  amounts: PriceAmounts,
  /** It has other prices at other hours. */
  changesByHour: z.boolean(),
  /** It has prices of its own for audio or images, which a price set by hand does not carry. */
  moreClasses: z.boolean(),
  /** Such as `genai-prices 0.1.8: openai/gpt-4o`. */
  source: z.string(),
  /** Day of the data, YYYY-MM-DD. */
  date: z.string(),
  /** The vendor's own page of prices. */
  url: z.string().nullable(),
});
export type CatalogueModel = z.infer<typeof CatalogueModel>;

/** What a model costs at a provider now, and where that price comes from. */
export const PriceInForce = z.object({
  source: z.string(),
  /** `own`: set by the person. `free`: the provider is declared free. `guess`: the maker's price, at another provider. */
  kind: z.enum(['own', 'catalogue', 'guess', 'free']),
  amounts: PriceAmounts,
});
export type PriceInForce = z.infer<typeof PriceInForce>;

/** What pricing past rows again changes, or has changed. */
export const Repricing = z.object({
  provider: z.string(),
  model: z.string(),
  /** Where the price comes from; null where there is none yet. */
  source: z.string().nullable(),
  /** Of today; each row is priced as of its own day. */
  amounts: PriceAmounts.nullable(),
  rows: count,
  totalNano: nano,
  /** Rows that stay unpriced: no tokens were seen of them, or no price fits their date. */
  left: count,
  keys: z.array(
    z.object({
      keyId: z.string(),
      /** null where the key was deleted. */
      name: z.string().nullable(),
      rows: count,
      addNano: nano,
      usageAfterNano: nano,
      limitNano: nano.nullable(),
      /** The key is not at a limit now and will be. */
      reachesLimit: z.boolean(),
    }),
  ),
  applied: z.boolean(),
});
export type Repricing = z.infer<typeof Repricing>;

/** The price data in force. */
export const PriceDataInfo = z.object({
  /** Such as `genai-prices 0.1.8`. */
  name: z.string(),
  /** YYYY-MM-DD. */
  date: z.string(),
  origin: z.enum(['shipped', 'fetched']),
  /** Where newer data is fetched from. */
  url: z.string(),
  vendors: count,
  models: count,
  checkedAt: time.nullable(),
  /** Why the last fetch changed nothing though it should have; null when all is well. */
  problem: z.string().nullable(),
});
export type PriceDataInfo = z.infer<typeof PriceDataInfo>;

export const PriceRefresh = z.object({
  /** `refused`: the file was not acceptable and the last good one stays. `unreachable`: no file was got. */
  outcome: z.enum(['updated', 'unchanged', 'refused', 'unreachable']),
  message: z.string(),
  data: PriceDataInfo,
});
export type PriceRefresh = z.infer<typeof PriceRefresh>;
