/** From what was seen of an answer to what it cost: the last step before the ledger. Pure but for the price look-up. */
import type { RequestFlag } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';
import { noUsage, type AnswerFacts, type TokenUsage } from './dialects/dialect.ts';
import type { Outcome } from './ledger.ts';
import { billFor, compareReported, nothingBilled, type Billed } from './bill.ts';
import { savedByCache, type Price } from './cost.ts';

/** How the pass-through ended. */
export interface Ending {
  /** HTTP status of the provider; 0 where it gave none. */
  status: number;
  /** `complete`: the answer was read to its end. The others were cut, by whom the word says. */
  how: 'complete' | 'client-gone' | 'upstream-gone' | 'stopped';
  /** The request cannot have reached the provider, so nothing was billed. */
  neverArrived: boolean;
  firstByteMs: number | null;
  durationMs: number;
}

export interface Asked {
  model: string;
  bodyBytes: number;
  heldNano: Nano;
  clamped: boolean;
  /** Service tier the request asked for; null where none. */
  serviceTier: string | null;
  /** Of the model asked for; null = unpriced. */
  price: Price | null;
  /** The price of another model of the same provider: the one that answered, or one used on the way. */
  priceOf(model: string): Price | null;
}

/** Characters of English, code or JSON that make a token, on the low side: an estimate should not flatter. */
const CHARS_PER_TOKEN = 4;

export function outcomeOf(asked: Asked, answer: AnswerFacts, ending: Ending): Outcome {
  const flags = new Set<RequestFlag>();
  if (asked.clamped) flags.add('clamped');
  if (ending.how === 'stopped') flags.add('stopped');
  if (ending.how === 'client-gone' || ending.how === 'upstream-gone') flags.add('interrupted');

  const billed = (ending.status >= 200 && ending.status < 300) || saysItCost(answer);
  const sentButSilent = ending.status === 0 && !ending.neverArrived;
  const usage = billed || sentButSilent ? usageOf(asked, answer, ending, flags) : noUsage;
  const price = priceFor(asked, answer.model);
  const outcome = billed || sentButSilent ? billOf(asked, price, usage, answer) : nothingBilled(price);
  if (outcome.estimated) flags.add('estimated');
  compareReported(outcome, answer);
  const computed = outcome.nano;
  const charged = answer.reportedCostIsBilled ? answer.reportedCostNano : null;
  const costNano = charged ?? computed;
  // What the provider itself says it charged needs no estimate, whatever is unknown about tokens or price.
  if (charged !== null) flags.delete('estimated');
  if (costNano === null) {
    flags.add('unpriced');
  } else if (costNano > asked.heldNano && asked.price !== null) {
    flags.add('overrun');
  }
  return {
    model: answer.model ?? asked.model,
    status: ending.status,
    usage,
    costNano,
    ownKeyNano: answer.reportedOwnKeyNano,
    reportedCostNano: answer.reportedCostNano,
    computedCostNano: computed,
    savedNano: price && savedByCache(price, usage),
    priceSource: charged === null ? (price?.source ?? null) : 'reported by the provider',
    price: JSON.stringify(outcome.bill),
    flags: [...flags],
    firstByteMs: ending.firstByteMs,
    durationMs: ending.durationMs,
  };
}

/** An answer that reports tokens or an amount was billed, whatever its status says. */
function saysItCost({ usage, usageIsFinal, reportedCostNano }: AnswerFacts): boolean {
  const counted = usage !== null && usageIsFinal && usage.inputTokens + usage.outputTokens > 0;
  return counted || (reportedCostNano ?? 0) > 0;
}

/** The person's own price for what was asked for stands; else the model that answered is what the provider bills. */
function priceFor(asked: Asked, answered: string | null): Price | null {
  if (asked.price?.source === 'own' || answered === null || answered === asked.model) return asked.price;
  return asked.priceOf(answered) ?? asked.price;
}

function usageOf(asked: Asked, answer: AnswerFacts, ending: Ending, flags: Set<RequestFlag>): TokenUsage {
  const { usage } = answer;
  if (usage !== null && answer.usageIsFinal) return usage;
  if (answer.failed && ending.how === 'complete' && usage === null) {
    // An error inside a successful answer, and no word of usage: what was generated before it is billed.
    if (answer.outputChars === 0) return noUsage;
  }
  flags.add('estimated');
  const known = usage ?? noUsage;
  return {
    ...known,
    inputTokens: known.inputTokens > 0 ? known.inputTokens : Math.ceil(asked.bodyBytes / CHARS_PER_TOKEN),
    outputTokens: Math.max(known.outputTokens, Math.ceil(answer.outputChars / CHARS_PER_TOKEN)),
  };
}

function billOf(asked: Asked, price: Price | null, usage: TokenUsage, answer: AnswerFacts): Billed {
  const { serviceTier, terms, extraPasses } = answer;
  const billable = { usage, serviceTier, askedTier: asked.serviceTier, terms, extraPasses };
  return billFor(price, billable, (model) => asked.priceOf(model));
}
