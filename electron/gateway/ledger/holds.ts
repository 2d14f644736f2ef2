/** Holds: money set aside for a request, how it is stored, and what becomes of one that a crash left behind. Pure. */
import type { Billing, DialectId, RequestFlag } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';
import { ABSENT, type Member } from '../base/roster.ts';
import type { HoldRecord } from './ledger-statements.ts';
import type { StoredRequest } from './requests.ts';

/** What is known of a request before it is sent: enough to settle it should this process die. */
export interface HoldDraft {
  keyId: string;
  /** The provider's slug. */
  provider: string;
  /** Empty where it is not known: a row from before providers had limits. */
  providerId: string;
  billing: Billing;
  dialect: DialectId;
  model: string;
  stream: boolean;
  /** Where the price comes from that the hold was computed with, as JSON; null where there is none. */
  price: string | null;
  client: string | null;
  session: string | null;
  agent: string | null;
  parentAgent: string | null;
}

export interface Hold extends HoldDraft, Member {
  id: number;
  at: number;
  amountNano: Nano;
  /** Its settlement is on its way: the ledger's own. */
  ending: boolean;
}

/** How a request ended. */
export interface Outcome {
  model: string;
  status: number;
  usage: {
    inputTokens: number;
    cachedInputTokens: number;
    cacheWriteTokens: number;
    cacheWrite1hTokens: number;
    outputTokens: number;
    reasoningTokens: number;
    webSearches: number;
  };
  /** null = the cost is unknown: the model has no price. */
  costNano: Nano | null;
  /** The part of a `credits` provider's cost that ran on the person's own key; ignored for other billings. */
  ownKeyNano: Nano;
  reportedCostNano: Nano | null;
  computedCostNano: Nano | null;
  /** What the cached input would have cost in addition at the plain input price; null where that is unknown. */
  savedNano: Nano | null;
  priceSource: string | null;
  price: string | null;
  flags: readonly RequestFlag[];
  firstByteMs: number | null;
  durationMs: number;
}

export function holdOf(record: HoldRecord): Hold {
  return {
    id: record.id,
    keyId: record.key_id,
    at: record.at,
    amountNano: record.amount_nano,
    provider: record.provider,
    providerId: record.provider_id ?? '',
    billing: record.billing,
    dialect: record.dialect,
    model: record.model,
    stream: record.stream === 1,
    price: record.price,
    client: record.client,
    session: record.session,
    agent: record.agent,
    parentAgent: record.parent_agent,
    ending: false,
    place: ABSENT,
  };
}

export function recordOf(hold: Hold): HoldRecord {
  return {
    id: hold.id,
    key_id: hold.keyId,
    at: hold.at,
    amount_nano: hold.amountNano,
    provider: hold.provider,
    provider_id: hold.providerId,
    billing: hold.billing,
    dialect: hold.dialect,
    model: hold.model,
    stream: hold.stream ? 1 : 0,
    price: hold.price,
    client: hold.client,
    session: hold.session,
    agent: hold.agent,
    parent_agent: hold.parentAgent,
  };
}

/** The usage row that replaces a hold; its series is found where it is written. */
export function rowOf(
  held: Hold,
  outcome: Outcome,
  { settledAt, cost, own }: { settledAt: number; cost: Nano | null; own: Nano },
): StoredRequest {
  return {
    id: held.id,
    key_id: held.keyId,
    at: held.at,
    settled_at: settledAt,
    provider: held.provider,
    provider_id: held.providerId,
    billing: held.billing,
    dialect: held.dialect,
    model_asked: held.model,
    model: outcome.model,
    status: outcome.status,
    stream: held.stream ? 1 : 0,
    input_tokens: outcome.usage.inputTokens,
    cached_input_tokens: outcome.usage.cachedInputTokens,
    cache_write_tokens: outcome.usage.cacheWriteTokens,
    cache_write_1h_tokens: outcome.usage.cacheWrite1hTokens,
    output_tokens: outcome.usage.outputTokens,
    reasoning_tokens: outcome.usage.reasoningTokens,
    web_searches: outcome.usage.webSearches,
    cost_nano: cost,
    cost_own_key_nano: own,
    reported_cost_nano: outcome.reportedCostNano,
    computed_cost_nano: outcome.computedCostNano,
    held_nano: held.amountNano,
    price: outcome.price,
    price_source: outcome.priceSource,
    flags: outcome.flags.join(','),
    first_byte_ms: outcome.firstByteMs,
    duration_ms: outcome.durationMs,
    client: held.client,
    session: held.session,
    agent: held.agent,
    parent_agent: held.parentAgent,
    saved_nano: outcome.savedNano,
    series: 0,
  };
}

/**
 * After a crash nobody knows what the provider generated, so an orphan hold is settled in full and flagged: at most
 * what the request was allowed to cost, and open to correction.
 */
export function orphanOutcome(orphan: Hold): Outcome {
  const unpriced = orphan.price === null && orphan.billing !== 'free';
  return {
    model: orphan.model,
    status: 0,
    usage: noTokens,
    costNano: unpriced ? null : orphan.amountNano,
    ownKeyNano: 0,
    reportedCostNano: null,
    computedCostNano: null,
    savedNano: null,
    priceSource: null,
    price: orphan.price,
    flags: unpriced ? ['unpriced', 'interrupted'] : ['estimated', 'interrupted'],
    firstByteMs: null,
    durationMs: 0,
  };
}

const noTokens = {
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  webSearches: 0,
};

/** How much of a cost ran on the person's own provider key; the rest was paid from a gateway account's credits. */
export function ownPart(billing: Billing, costNano: Nano, reportedOwnNano: Nano): Nano {
  if (billing === 'own-key') return costNano;
  return billing === 'credits' ? Math.min(reportedOwnNano, costNano) : 0;
}
