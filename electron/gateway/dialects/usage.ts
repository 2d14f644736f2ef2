/** What the dialects share when they read what an answer used: totals and their parts, and the cost reported. */
import { divideHalfUp, MAX_COST_NANO, usdToNano, type Nano } from '#shared/money.ts';
import { AnswerText } from './answer-text.ts';
import { noUsage, type AnswerFacts, type TokenUsage } from './dialect.ts';
import { isRecord, record, reported, type JsonRecord } from './values.ts';

/** `keepText`: what the answer says is kept, not only its length. */
export function emptyFacts(keepText = false): AnswerFacts {
  return {
    model: null,
    serviceTier: null,
    terms: {},
    usage: null,
    usageIsFinal: false,
    extraPasses: [],
    reportedCostNano: null,
    reportedCostIsBilled: true,
    reportedOwnKeyNano: 0,
    outputChars: 0,
    outputCalls: 0,
    outputText: keepText ? new AnswerText() : null,
    failed: false,
  };
}

/** Takes note of what a piece of an answer says; what is no text says nothing. */
export function see(facts: AnswerFacts, ...pieces: unknown[]): void {
  for (const piece of pieces) {
    if (typeof piece !== 'string' || piece === '') continue;
    facts.outputChars += piece.length;
    facts.outputText?.add(piece);
  }
}

/**
 * Usage in which every part fits into its total. Providers report more cached than input tokens (Azure), and cached and
 * written tokens that overlap (OpenRouter); a cost worked out from such numbers would have negative items.
 */
export function tokenUsage(counts: Partial<TokenUsage>): TokenUsage {
  const usage = { ...noUsage, ...counts };
  const part = (value: number, total: number) => Math.max(0, Math.min(value, total));
  usage.cachedInputTokens = part(usage.cachedInputTokens, usage.inputTokens);
  usage.cacheWriteTokens = part(usage.cacheWriteTokens, usage.inputTokens - usage.cachedInputTokens);
  usage.cacheWrite1hTokens = part(usage.cacheWrite1hTokens, usage.cacheWriteTokens);
  usage.audioInputTokens = part(usage.audioInputTokens, usage.inputTokens);
  usage.cachedAudioInputTokens = part(
    usage.cachedAudioInputTokens,
    Math.min(usage.audioInputTokens, usage.cachedInputTokens),
  );
  usage.imageInputTokens = part(usage.imageInputTokens, usage.inputTokens - usage.audioInputTokens);
  usage.videoInputTokens = part(
    usage.videoInputTokens,
    usage.inputTokens - usage.audioInputTokens - usage.imageInputTokens,
  );
  usage.reasoningTokens = part(usage.reasoningTokens, usage.outputTokens);
  usage.audioOutputTokens = part(usage.audioOutputTokens, usage.outputTokens);
  usage.imageOutputTokens = part(usage.imageOutputTokens, usage.outputTokens - usage.audioOutputTokens);
  return usage;
}

/** Whether there is a number in it at all: what is empty, null or negative throughout is no count of 0. */
export function isTold(usage: unknown): usage is JsonRecord {
  return isRecord(usage) && Object.values(usage).some((value) => reported(value) !== undefined);
}

/** Zeros, with which some servers end a stream: they take nothing back of what was counted before. */
export function isZero({ inputTokens, outputTokens }: TokenUsage): boolean {
  return inputTokens + outputTokens === 0;
}

/** Takes over what the provider says it charged; leaves the facts alone where it does not say. */
export function readReportedCost(facts: AnswerFacts, usage: JsonRecord): void {
  const charged = reportedCost(usage);
  if (charged === null) return;
  // OpenRouter, usage accounting: for a person's own key `cost` is OpenRouter's fee alone, and the provider bills
  // `upstream_inference_cost` to that key. Without `is_byok` the second is the first in other words.
  const upstream = charge(record(usage['cost_details'])['upstream_inference_cost']);
  const isOwnKey =
    usage['is_byok'] === true || (usage['is_byok'] === undefined && charged === 0 && (upstream ?? 0) > 0);
  const ownKey = isOwnKey ? upstream : null;
  facts.reportedOwnKeyNano = ownKey ?? 0;
  facts.reportedCostNano = charged;
  // Whoever resells xAI's models leaves the ticks at 0 (Azure does), which says nothing of what it bills. Nor does the
  // fee, without what the provider takes.
  facts.reportedCostIsBilled = isOwnKey
    ? ownKey !== null
    : charged > 0 || usage['cost_in_usd_ticks'] === undefined;
}

/**
 * The Vercel AI Gateway reports what it charged beside the message: `provider_metadata.gateway.cost`, a decimal as a
 * string (vercel.com/docs/ai-gateway, provider options). It is 0 where the provider bills the person's own key.
 */
export function readGatewayCost(facts: AnswerFacts, metadata: unknown): void {
  const charged = charge(record(record(metadata)['gateway'])['cost']);
  if (charged !== null && charged > 0) facts.reportedCostNano ??= charged;
}

function reportedCost(usage: JsonRecord): Nano | null {
  // xAI: 10^10 ticks to the dollar.
  const ticks = usage['cost_in_usd_ticks'];
  if (typeof ticks === 'number' && Number.isSafeInteger(ticks) && ticks >= 0) {
    return believed(Number(divideHalfUp(BigInt(ticks), 10n)));
  }
  const cost = usage['cost'];
  if (isRecord(cost)) return charge(cost['total_cost']); // Perplexity
  return (
    charge(cost) ?? // OpenRouter
    charge(usage['cost_usd_total']) ?? // LLM Gateway
    charge(record(usage['pydantic_ai_gateway'])['cost_estimate'])
  );
}

const charge = (usd: unknown): Nano | null => believed(usdToNano(usd));

/** A provider that names more has made a mistake, and is not believed. */
const believed = (nano: Nano | null): Nano | null => (nano !== null && nano <= MAX_COST_NANO ? nano : null);

/**
 * Searches that a gateway ran and counted for a chat or a Responses answer. Where it reports what it charged they are in
 * that amount already, and are not billed by the piece.
 */
export function gatewaySearches(facts: AnswerFacts, usage: JsonRecord): number {
  if (facts.reportedCostNano !== null) return 0;
  const tools = record(usage['server_tool_use_details'] ?? usage['server_tool_use']);
  return reported(tools['web_search_requests']) ?? 0;
}
