/** The shape of a comparison between the ledger and what a provider's own export says. */
import * as z from 'zod';

const count = z.int().min(0);
/** A difference or a credit can be below zero. */
const signedNano = z.int();

export const billClasses = [
  'input',
  'cachedInput',
  'cacheWrite',
  'cacheWrite1h',
  'output',
  'webSearch',
  'other',
] as const;
/** Disjoint: `input` is what was neither cached nor written. */
export const BillClass = z.enum(billClasses);
export type BillClass = z.infer<typeof BillClass>;

export const billFormats = [
  'openai-costs',
  'openai-usage',
  'anthropic-cost',
  'anthropic-usage',
  'openrouter-activity',
] as const;
export const BillFormat = z.enum(billFormats);
export type BillFormat = z.infer<typeof BillFormat>;

/** One class of tokens or fees on both sides; null where a side does not say. */
export const ClassComparison = z.object({
  class: BillClass,
  billedNano: signedNano.nullable(),
  ledgerNano: signedNano.nullable(),
  billedTokens: count.nullable(),
  ledgerTokens: count.nullable(),
});
export type ClassComparison = z.infer<typeof ClassComparison>;

export const BillRow = z.object({
  /** In UTC, as providers bill: YYYY-MM-DD. */
  day: z.string(),
  /** null: what the export does not give to a model. */
  model: z.string().nullable(),
  side: z.enum(['both', 'export', 'ledger']),
  /** null where the export has tokens and no money. */
  billedNano: signedNano.nullable(),
  ledgerNano: signedNano,
  /** Ledger minus export; null where the export has no money. */
  differenceNano: signedNano.nullable(),
  /** Of what was billed; null where nothing was. */
  percent: z.number().nullable(),
  within: z.boolean(),
  billedRequests: count.nullable(),
  requests: count,
  estimated: count,
  unpriced: count,
  classes: z.array(ClassComparison),
});
export type BillRow = z.infer<typeof BillRow>;

export const Reconciliation = z.object({
  format: BillFormat,
  /** For a person, such as `OpenAI costs`. */
  formatName: z.string(),
  /** Slugs of the providers whose rows were compared. */
  providers: z.array(z.string()),
  /** First and last day of the export, in UTC. */
  from: z.string(),
  to: z.string(),
  tolerancePercent: z.number(),
  /** Newest day first; within a day the largest difference first. */
  rows: z.array(BillRow),
  totals: z.object({
    billedNano: signedNano.nullable(),
    ledgerNano: signedNano,
    differenceNano: signedNano.nullable(),
    percent: z.number().nullable(),
    within: z.boolean(),
    outside: count,
    classes: z.array(ClassComparison),
  }),
  /** What usually explains what differs here, in sentences. */
  causes: z.array(z.string()),
  /** What of the file was left out, in sentences. */
  notes: z.array(z.string()),
});
export type Reconciliation = z.infer<typeof Reconciliation>;
