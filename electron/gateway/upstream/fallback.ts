/**
 * The fallback of a key: the provider that is asked once more where the one that was chosen fails before the first byte
 * of its answer. Only by the person's own choice, and never a dearer one unless they said so. Pure.
 */
import type { ServerResponse } from 'node:http';
import { Refusal, type RefusalCode } from '#shared/errors.ts';
import type { KeyFallback } from '#shared/model.ts';
import type { Provider } from '../config/providers.ts';
import type { TokenUsage } from '../dialects/dialect.ts';
import { tokenUsage } from '../dialects/usage.ts';
import { cost, type Price } from '../pricing/cost.ts';
import type { Target } from './routing.ts';

/** An answer that was read to its end and not sent on. */
export interface Withheld {
  status: number;
  /** Flat, as they are written. */
  headers: readonly string[];
  body: Buffer;
}

/** What did not come of a request: the provider's refusal, or the gateway's own words for why there is none. */
export type Failure = Withheld | Refusal;

/** The provider is busy or broken; the request itself may well be in order. 529: Anthropic, "overloaded". */
const FAILED: ReadonlySet<number> = new Set([429, 500, 502, 503, 529]);
const NO_ANSWER: ReadonlySet<RefusalCode> = new Set(['upstream_unreachable', 'upstream_timeout']);

export function isFailure(status: number): boolean {
  return FAILED.has(status);
}

/** @throws the error where it is not one that another provider could do better with. */
export function asFailure(error: unknown): Refusal {
  if (error instanceof Refusal && NO_ANSWER.has(error.code)) return error;
  throw error;
}

/** Gives the client what the first provider answered. @throws Refusal where that was nothing. */
export function answerWith(failure: Failure, response: ServerResponse): void {
  if (failure instanceof Refusal) throw failure;
  response.writeHead(failure.status, [...failure.headers]);
  response.end(failure.body);
}

/** Where the request goes next; null where the key has no fallback for it. `speaking`: those that are enabled for it. */
export function fallbackTarget(
  fallback: KeyFallback | null,
  first: Target,
  speaking: readonly Provider[],
): Target | null {
  if (fallback === null || fallback.providerId === first.provider.id) return null;
  const provider = speaking.find(({ id }) => id === fallback.providerId);
  if (provider === undefined) return null;
  const mapped = fallback.models.find(({ from }) => from === first.model);
  return { provider, model: mapped?.to ?? first.model };
}

/**
 * Whether anything that is billed costs more at this price, for short inputs and for long ones, which some providers
 * bill at a higher rate. What has no price may cost anything.
 */
export function isDearer(price: Price | null, than: Price | null, serviceTier: string | null): boolean {
  if (price === null || than === null) return true;
  return samples.some((usage) => cost(price, usage, serviceTier).nano > cost(than, usage, serviceTier).nano);
}

const samples: readonly TokenUsage[] = [1_000, 1_000_000].flatMap((tokens) =>
  [
    {},
    { inputTokens: tokens },
    { inputTokens: tokens, cachedInputTokens: tokens },
    { inputTokens: tokens, cacheWriteTokens: tokens },
    { inputTokens: tokens, cacheWriteTokens: tokens, cacheWrite1hTokens: tokens },
    { inputTokens: tokens, audioInputTokens: tokens },
    { inputTokens: tokens, imageInputTokens: tokens },
    { outputTokens: tokens },
    { outputTokens: tokens, reasoningTokens: tokens },
    { webSearches: 1_000 },
  ].map(tokenUsage),
);
