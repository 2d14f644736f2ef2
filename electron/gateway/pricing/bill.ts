/**
 * The bill of one request as its usage row freezes it: which price of which source and day was used, at which service
 * tier, what each line cost, what is uncertain. Written once; a row keeps it whatever prices do later.
 */
import * as z from 'zod';
import { LineItem } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';
import {
  noUsage,
  type AnswerFacts,
  type CostTerms,
  type ExtraPass,
  type TokenUsage,
} from '../dialects/dialect.ts';
import { bandOf, costInDetail, tierName, tierOf, type Price } from './cost.ts';

/** What of an answer its cost goes by. */
export interface Billable {
  usage: TokenUsage;
  /** As the answer says; null where it does not. */
  serviceTier: string | null;
  /** As the request asked; counts only where the answer does not say. */
  askedTier: string | null;
  terms: CostTerms;
  extraPasses: readonly ExtraPass[];
}

/** Stands for the name of a pass whose model is that of the request. */
export const SAME_MODEL = 'the same model';

const Counts = z.record(z.string(), z.int().min(0));

export const FrozenBill = z.object({
  /** null = there was no price; `counts` then has what it takes to find one later. */
  source: z.string().nullable(),
  /** Day of the source, YYYY-MM-DD. */
  date: z.string().optional(),
  guessed: z.boolean().default(false),
  serviceTier: z.string().optional(),
  /** The answer named no tier: it is the one asked for. */
  tierAsked: z.boolean().optional(),
  /** Percent of the standard token price. */
  percent: z.int().optional(),
  terms: z
    .object({
      searchContext: z.enum(['low', 'medium', 'high']).nullable().exactOptional(),
      previewSearch: z.boolean().exactOptional(),
      region: z.string().nullable().exactOptional(),
    })
    .optional(),
  /** The price is that of inputs above so many tokens. */
  above: z.int().optional(),
  /** Why the cost is an estimate. */
  doubts: z.array(z.string()).optional(),
  items: z.array(LineItem).default([]),
  /** Other models that ran inside the request; their lines name them. */
  passes: z
    .array(z.object({ model: z.string(), source: z.string(), date: z.string().optional() }))
    .optional(),
  /** The provider's own figure is this far from the computed one: negative where it is less. */
  reportedDiffersNano: z.int().optional(),
  counts: Counts.optional(),
  passCounts: z.array(z.object({ model: z.string().nullable(), counts: Counts })).optional(),
});
export type FrozenBill = z.infer<typeof FrozenBill>;

export interface Billed {
  /** null = no price. */
  nano: Nano | null;
  estimated: boolean;
  bill: FrozenBill;
}

/** `priceOf` prices the passes of other models. */
export function billFor(
  price: Price | null,
  billable: Billable,
  priceOf: (model: string) => Price | null,
): Billed {
  const { usage, terms, extraPasses } = billable;
  const tierAsked = billable.serviceTier === null && tierName(billable.askedTier) !== null;
  const serviceTier = billable.serviceTier ?? billable.askedTier;
  const name = tierName(serviceTier);
  const said: Partial<FrozenBill> = {};
  if (name !== null) said.serviceTier = name;
  if (tierAsked) said.tierAsked = true;
  if (Object.keys(terms).length > 0) said.terms = terms;
  if (price === null) return { nano: null, estimated: false, bill: unpriced(said, usage, extraPasses) };

  const main = costInDetail(price, usage, serviceTier, terms);
  let { nano } = main;
  const { doubts, items } = main;
  const passes: NonNullable<FrozenBill['passes']> = [];
  for (const pass of extraPasses) {
    const own = pass.model === null ? price : priceOf(pass.model);
    // Without a price of its own a pass counts at the one asked for: the rest of the cost is known and must not be lost.
    const passPrice = own ?? price;
    const part = costInDetail(passPrice, pass.usage, serviceTier, terms);
    nano += part.nano;
    const model = pass.model ?? SAME_MODEL;
    items.push(...part.items.map((item) => Object.assign(item, { model })));
    passes.push({ model, source: passPrice.source, ...dateOf(passPrice) });
    doubts.push(...part.doubts);
    if (own === null) doubts.push(`no price: ${model}`);
    else if (passPrice.guessed) doubts.push(`a guessed price: ${model}`);
  }
  if (tierAsked && price.source !== 'free') doubts.push(`service tier as asked for: ${name}`);
  const above = bandOf(price, usage.inputTokens);
  const bill: FrozenBill = { source: price.source, guessed: price.guessed, items };
  if (price.date !== undefined) bill.date = price.date;
  Object.assign(bill, said);
  if (name !== null) bill.percent = tierOf(price, serviceTier)?.percent ?? 100;
  if (above !== null) bill.above = above;
  if (doubts.length > 0) bill.doubts = [...new Set(doubts)];
  if (passes.length > 0) bill.passes = passes;
  return { nano, estimated: doubts.length > 0 || price.guessed, bill };
}

/** For a request that cannot have cost anything. */
export function nothingBilled(price: Price | null): Billed {
  const bill: FrozenBill =
    price === null
      ? { source: null, guessed: false, items: [] }
      : { source: price.source, ...dateOf(price), guessed: price.guessed, items: [] };
  return { nano: 0, estimated: false, bill };
}

const dateOf = ({ date }: Price) => (date === undefined ? {} : { date });

function unpriced(said: Partial<FrozenBill>, usage: TokenUsage, passes: readonly ExtraPass[]): FrozenBill {
  const counted = passes.map((pass) => ({ model: pass.model, counts: countsOf(pass.usage) }));
  return {
    source: null,
    guessed: false,
    ...said,
    items: [],
    counts: countsOf(usage),
    ...(counted.length === 0 ? {} : { passCounts: counted }),
  };
}

const countsOf = (usage: TokenUsage): Record<string, number> =>
  Object.fromEntries(Object.entries(usage).filter(([, count]) => count > 0));

/** Below this, and below a percent, the two figures differ by rounding alone. */
const TOLERANCE_NANO = 1_000;

/** Notes how far the provider's own figure is from the computed one, where that is more than rounding. */
export function compareReported({ nano, bill }: Billed, answer: AnswerFacts): void {
  const { reportedCostNano, reportedOwnKeyNano } = answer;
  if (nano === null || reportedCostNano === null) return;
  const reported = reportedCostNano + reportedOwnKeyNano;
  const difference = reported - nano;
  if (Math.abs(difference) > Math.max(TOLERANCE_NANO, reported / 100)) bill.reportedDiffersNano = difference;
}

/** null for a row of another version: it is still a row. */
export function readBill(text: string | null): FrozenBill | null {
  if (text === null) return null;
  try {
    return FrozenBill.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** What an unpriced row kept for the day it gets a price; null where it kept nothing. */
export function billableOf({ counts, passCounts, serviceTier, terms }: FrozenBill): Billable | null {
  if (counts === undefined) return null;
  return {
    usage: usageFrom(counts),
    serviceTier: serviceTier ?? null,
    askedTier: null,
    terms: terms ?? {},
    extraPasses: (passCounts ?? []).map((pass) => ({ model: pass.model, usage: usageFrom(pass.counts) })),
  };
}

function usageFrom(counts: Readonly<Record<string, number>>): TokenUsage {
  const known = Object.entries(counts).filter(([name]) => name in noUsage);
  return { ...noUsage, ...Object.fromEntries(known) };
}
