/** From what was seen of an answer to what it cost: the last step before the ledger. Pure but for the price look-up. */
import type { RequestFlag } from '#shared/model.ts';
import { MAX_COST_NANO, type Nano } from '#shared/money.ts';
import { noUsage, type AnswerFacts, type TokenUsage } from '../dialects/dialect.ts';
import type { Outcome } from '../ledger/ledger.ts';
import type { Estimate } from '../metering/estimate.ts';
import { billFor, compareReported, nothingBilled, type Billed } from '../pricing/bill.ts';
import { savedByCache, type Price } from '../pricing/cost.ts';

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

/** What a settlement goes by beside the answer: known when the request is sent. */
export interface SettlementBasis {
  model: string;
  /** What the request and what was seen of its answer come to, where the provider does not say. */
  estimate(answer: AnswerFacts): Estimate;
  heldNano: Nano;
  clamped: boolean;
  /** Another provider was asked first. */
  fallback: boolean;
  /** Service tier the request asked for; null where none. */
  serviceTier: string | null;
  /** Of the model asked for; null = unpriced. */
  price: Price | null;
  /** The price of another model of the same provider: the one that answered, or one used on the way. */
  priceOf(model: string): Price | null;
}

export function outcomeOf(basis: SettlementBasis, answer: AnswerFacts, ending: Ending): Outcome {
  const flags: RequestFlag[] = [];
  if (basis.clamped) flags.push('clamped');
  if (basis.fallback) flags.push('fallback');
  if (ending.how === 'stopped') flags.push('stopped');
  if (ending.how === 'client-gone' || ending.how === 'upstream-gone') flags.push('interrupted');

  const billed = mayBeBilled(answer, ending);
  const counted = billed && needsEstimate(answer, ending);
  const usage = counted ? estimatedUsage(basis, answer) : billed ? (answer.usage ?? noUsage) : noUsage;
  const price = priceFor(basis, answer.model);
  const outcome = billed ? billOf(basis, price, usage, answer) : nothingBilled(price);
  if (billed && !answer.failed && countsNoInput(usage, price)) {
    outcome.estimated = true;
    outcome.bill.doubts = [...(outcome.bill.doubts ?? []), 'no input was counted'];
  }
  compareReported(outcome, answer);
  const computed = outcome.nano;
  const { reportedCostNano, reportedCostIsBilled, reportedOwnKeyNano } = answer;
  const charged =
    reportedCostNano === null || !reportedCostIsBilled ? null : reportedCostNano + reportedOwnKeyNano;
  const costNano = charged ?? computed;
  if ((costNano ?? 0) > MAX_COST_NANO)
    throw new RangeError('The provider reports to have used more than any request can.');
  // What the provider itself says it charged needs no estimate, whatever is unknown about tokens or price.
  if (charged === null && (counted || outcome.estimated)) flags.push('estimated');
  if (costNano === null) {
    flags.push('unpriced');
  } else if (costNano > basis.heldNano && basis.price !== null) {
    flags.push('overrun');
  }
  return {
    model: answer.model ?? basis.model,
    status: ending.status,
    usage,
    costNano,
    ownKeyNano: reportedOwnKeyNano,
    reportedCostNano,
    computedCostNano: computed,
    savedNano: price && savedByCache(price, usage),
    priceSource: charged === null ? (price?.source ?? null) : 'reported by the provider',
    price: JSON.stringify(outcome.bill),
    flags,
    firstByteMs: ending.firstByteMs,
    durationMs: ending.durationMs,
  };
}

function mayBeBilled(answer: AnswerFacts, { status, neverArrived }: Ending): boolean {
  const sentButSilent = status === 0 && !neverArrived;
  return (status >= 200 && status < 300) || sentButSilent || saysItCost(answer);
}

/** Whether the row will hold an estimate of its tokens. */
export function needsEstimate(answer: AnswerFacts, ending: Ending): boolean {
  if (answer.usage !== null && answer.usageIsFinal) return false;
  // An error inside a successful answer, and no word of usage: what was generated before it is billed.
  const onlyAnError =
    answer.failed && ending.how === 'complete' && answer.usage === null && answer.outputChars === 0;
  return !onlyAnError && mayBeBilled(answer, ending);
}

/** No request is without input: an answer whose provider counts none is not known to have cost what that comes to. */
function countsNoInput({ inputTokens }: TokenUsage, price: Price | null): boolean {
  return inputTokens === 0 && (price?.rates.input?.base ?? 0) > 0;
}

/** An answer that reports tokens or an amount was billed, whatever its status says. */
function saysItCost({ usage, usageIsFinal, reportedCostNano }: AnswerFacts): boolean {
  const counted = usage !== null && usageIsFinal && usage.inputTokens + usage.outputTokens > 0;
  return counted || (reportedCostNano ?? 0) > 0;
}

/** The person's own price for what was asked for stands; else the model that answered is what the provider bills. */
function priceFor(basis: SettlementBasis, answered: string | null): Price | null {
  if (basis.price?.source === 'own' || answered === null || answered === basis.model) return basis.price;
  return basis.priceOf(answered) ?? basis.price;
}

function estimatedUsage(basis: SettlementBasis, answer: AnswerFacts): TokenUsage {
  const known = answer.usage ?? noUsage;
  const { inputTokens, outputTokens } = basis.estimate(answer);
  return {
    ...known,
    inputTokens: known.inputTokens > 0 ? known.inputTokens : inputTokens,
    outputTokens: Math.max(known.outputTokens, outputTokens),
  };
}

function billOf(basis: SettlementBasis, price: Price | null, usage: TokenUsage, answer: AnswerFacts): Billed {
  const { serviceTier, terms, extraPasses } = answer;
  const billable = { usage, serviceTier, askedTier: basis.serviceTier, terms, extraPasses };
  return billFor(price, billable, (model) => basis.priceOf(model));
}
