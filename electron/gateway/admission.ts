/**
 * Admission: how much a request can cost at the most, and whether that much money is there. The decision itself is the
 * ledger's, in one synchronous step; here it is prepared, and where it has to, waited for.
 */
import { formatLimit, formatUsd, MAX_LIMIT_NANO, type Nano } from '#shared/money.ts';
import { Refusal } from '#shared/errors.ts';
import type { RequestFacts } from './dialects/dialect.ts';
import type { Key } from './keys.ts';
import { LedgerUnavailable, type Hold, type HoldDraft, type HoldResult, type Ledger } from './ledger.ts';
import type { AppliedLimit } from './limits.ts';
import { rateAt, upperPercent, type Price, type Rate, type TokenClass } from './cost.ts';

/** The most a request can cost, in two parts: what it costs before a word is generated, and each output token. */
export interface Bound {
  /** Input at the dearest price that can apply, searches and fees. */
  fixedNano: Nano;
  /** Output tokens the request allows, all choices together. */
  outputTokens: number;
  /** Nano-dollars per million output tokens. */
  outputRate: Nano;
  choices: number;
}

/**
 * A token is at least one byte of text in every byte-level tokenizer, so the body's bytes bound its tokens; what the
 * provider adds around the messages is covered by a margin, what stands outside the body by `extraInputTokens`.
 */
const HIDDEN_INPUT_TOKENS = 1_000;

/** Where neither request nor catalogue says how much a model may generate. */
const MAX_OUTPUT_TOKENS = 131_072;

/** More than any model generates, whatever number a request says. */
const MOST_OUTPUT_TOKENS = 1_000_000;

/** The least output that is worth serving when it is all the room allows, alone and while others hold money. */
const USEFUL_OUTPUT_TOKENS = { alone: 16, besideOthers: 4_096 };

export function boundOf(price: Price, facts: RequestFacts, bodyBytes: number, embeds: boolean): Bound {
  const inputTokens = bodyBytes + HIDDEN_INPUT_TOKENS + facts.extraInputTokens;
  const dearest = (names: readonly TokenClass[]) =>
    Math.max(
      0,
      ...names.map((name) => (price.rates[name] ? dearestRate(price.rates[name], inputTokens) : 0)),
    );
  const writes: TokenClass[] = facts.cacheWrites === 'none' ? [] : ['cacheWrite', 'cacheWrite1h'];
  const plain = dearest(['input']);
  // Where a one-hour write has no price of its own it is billed at twice the input (see prices.ts).
  const inputRate = Math.max(
    dearest(['input', 'audioInput', 'imageInput', ...writes]),
    facts.cacheWrites === '1h' ? 2 * plain : 0,
  );
  const percent = upperPercent(price, facts.serviceTier);
  const tokens = Math.ceil((inputTokens * inputRate * percent) / 100_000_000);
  const searches = Math.ceil((facts.webSearches * (price.webSearches ?? 0)) / 1000);
  const fee = Math.ceil((price.requests ?? 0) / 1000);
  const perChoice = embeds ? 0 : Math.min(facts.maxOutputTokens ?? MAX_OUTPUT_TOKENS, MOST_OUTPUT_TOKENS);
  return {
    fixedNano: tokens + searches + fee,
    outputTokens: perChoice * facts.choices,
    outputRate: Math.ceil((dearest(['output', 'reasoning', 'audioOutput', 'imageOutput']) * percent) / 100),
    choices: facts.choices,
  };
}

/** Any step may apply: the provider's count decides, and it can be above or below ours. */
function dearestRate(rate: Rate, inputTokens: number): Nano {
  const reached = rate.steps.filter(({ above }) => inputTokens > above).map(({ rate: step }) => step);
  return Math.max(rateAt(rate, inputTokens), rate.base, ...reached);
}

export function boundNano(bound: Bound, outputTokens: number = bound.outputTokens): Nano {
  // No limit is higher: beyond it the number says nothing, and would leave what integers hold exactly.
  return Math.min(MAX_LIMIT_NANO, bound.fixedNano + Math.ceil((outputTokens * bound.outputRate) / 1_000_000));
}

export interface Admitted {
  hold: Hold;
  /** The output bound per choice to write into the request; null where the request goes as it is. */
  clampTo: number | null;
}

export interface Admission {
  /**
   * Sets the money for a request aside. Waits in order of arrival while it is held by others.
   * @throws Refusal `limit_reached`, `not_enough_left`, `held_by_others` or `ledger_unavailable`.
   */
  admit(key: Key, draft: HoldDraft, bound: Bound, signal: AbortSignal): Promise<Admitted>;
  /**
   * Money may have become free for this key, or for any (null): by a settled request, a raised limit or the window's
   * end.
   */
  wake(keyId: string | null): void;
  /** Refuses what waits for this key's money, or for any (null), with a sentence for the person; how many that were. */
  stop(keyId: string | null, message: string): number;
  /** Refuses everything that waits. */
  close(): void;
}

interface Waiter {
  attempt(): boolean;
  giveUp(): void;
  refuse(refusal: Refusal): void;
}

export function createAdmission(ledger: Ledger, options: { waitMs: number; now: () => number }): Admission {
  /** Requests waiting for money, by key, first come first served. */
  const queues = new Map<string, Waiter[]>();
  const waking = new Set<string>();

  function tryHold(
    key: Key,
    draft: HoldDraft,
    bound: Bound,
  ): Admitted | { busy: AppliedLimit; others: number } {
    const others = Math.max(0, ...ledger.limiting(draft).map(({ running }) => running));
    const useful = (tokens: number) => boundNano(bound, Math.min(bound.outputTokens, tokens * bound.choices));
    const aloneNano = useful(USEFUL_OUTPUT_TOKENS.alone);
    const amount = {
      wantNano: boundNano(bound),
      atLeastNano: others > 0 ? useful(USEFUL_OUTPUT_TOKENS.besideOthers) : aloneNano,
    };
    let result: HoldResult;
    try {
      result = ledger.hold(draft, amount);
    } catch (cause) {
      if (cause instanceof LedgerUnavailable)
        throw new Refusal('ledger_unavailable', cause.message, { cause });
      throw cause;
    }
    if ('held' in result) {
      const affordable = result.held.amountNano < amount.wantNano;
      return {
        hold: result.held,
        clampTo: affordable ? outputTokensFor(bound, result.held.amountNano) : null,
      };
    }
    switch (result.refused) {
      case 'busy':
        return { busy: result.limit, others: result.others };
      case 'reached':
        throw new Refusal('limit_reached', limitReachedText(key, draft, result.limit));
      case 'short':
        // What is too little beside others may do once they have ended.
        if (others > 0 && result.limit.roomNano + result.limit.heldNano >= aloneNano)
          return { busy: result.limit, others: result.others };
        throw new Refusal('not_enough_left', notEnoughText(key, draft, result.limit, aloneNano));
    }
  }

  function wake(keyId: string | null): void {
    if (keyId === null) {
      for (const id of [...queues.keys()]) wake(id);
      return;
    }
    const queue = queues.get(keyId);
    // An attempt may itself free money (a settlement that could be written at last) and come back here.
    if (queue === undefined || waking.has(keyId)) return;
    waking.add(keyId);
    while (queue[0]?.attempt() === true) queue.shift();
    waking.delete(keyId);
    if (queue.length === 0) queues.delete(keyId);
  }

  return {
    async admit(key, draft, bound, signal) {
      const ahead = queues.get(key.id);
      let busy: { busy: AppliedLimit; others: number } | null = null;
      if (ahead === undefined) {
        const result = tryHold(key, draft, bound);
        if ('hold' in result) return result;
        busy = result;
      }
      const queue = ahead ?? [];
      queues.set(key.id, queue);
      return new Promise<Admitted>((resolve, reject) => {
        const finish = () => {
          clearTimeout(timer);
          clearTimeout(resetTimer);
          signal.removeEventListener('abort', waiter.giveUp);
        };
        const leave = (refusal: Error) => {
          const index = queue.indexOf(waiter);
          if (index !== -1) queue.splice(index, 1);
          finish();
          reject(refusal);
          // Whoever stood behind may fit where this one did not.
          wake(key.id);
        };
        const waiter: Waiter = {
          attempt() {
            try {
              const result = tryHold(key, draft, bound);
              if (!('hold' in result)) {
                busy = result;
                return false;
              }
              finish();
              resolve(result);
            } catch (refusal) {
              finish();
              reject(refusal instanceof Error ? refusal : new Error(String(refusal)));
            }
            return true;
          },
          giveUp: () => leave(heldByOthers(key, draft, busy)),
          refuse(refusal) {
            finish();
            reject(refusal);
          },
        };
        const timer = setTimeout(waiter.giveUp, options.waitMs);
        const windowEnd = ledger.account(key.id)?.window?.end ?? Infinity;
        const resetsIn = Math.max(1, windowEnd - options.now() + 1);
        const resetTimer = resetsIn < options.waitMs ? setTimeout(() => wake(key.id), resetsIn) : undefined;
        queue.push(waiter);
        if (signal.aborted) waiter.giveUp();
        else signal.addEventListener('abort', waiter.giveUp, { once: true });
      });
    },
    wake,
    stop(keyId, message) {
      // All at once: one that left alone would let the next one try.
      const stopped = [...queues]
        .filter(([id]) => keyId === null || id === keyId)
        .flatMap(([, queue]) => queue.splice(0));
      for (const waiter of stopped) waiter.refuse(new Refusal('stopped', message));
      if (keyId === null) queues.clear();
      else queues.delete(keyId);
      return stopped.length;
    },
    close() {
      for (const queue of queues.values()) for (const waiter of [...queue]) waiter.giveUp();
    },
  };
}

/** Output tokens per choice that a hold pays for, after everything else. */
function outputTokensFor(bound: Bound, heldNano: Nano): number {
  const left = heldNano - bound.fixedNano;
  return Math.max(1, Math.floor((left * 1_000_000) / bound.outputRate / bound.choices));
}

// The sentences avoid the words that agents take for a passing fault and try again on ("rate limit", "overloaded",
// "try again", "too long"), and each names the key, what was spent, the limit, and where to change it.

type Counted = Pick<HoldDraft, 'provider'>;

function limitReachedText(key: Key, draft: Counted, limit: AppliedLimit): string {
  const { whose, where } = naming(key, draft, limit);
  return `Usage limit reached for ${whose}: ${spent(limit)}${resets(limit)} Raise the limit in ${where}.`;
}

function notEnoughText(key: Key, draft: Counted, limit: AppliedLimit, neededNano: Nano): string {
  const { whose, where } = naming(key, draft, limit);
  const left = formatUsd(Math.max(0, limit.roomNano));
  return `Not enough left on ${whose} for this request: it needs at least ${formatUsd(neededNano)} and ${left} is left (${spent(limit).slice(0, -1)}).${resets(limit)} Raise the limit in ${where}, or send a smaller request.`;
}

function heldByOthers(
  key: Key,
  draft: Counted,
  busy: { busy: AppliedLimit; others: number } | null,
): Refusal {
  const holders =
    busy === null ? 'other requests' : `${busy.others} running ${busy.others === 1 ? 'request' : 'requests'}`;
  const state = busy === null ? '' : ` (${spent(busy.busy).slice(0, -1)})`;
  const { whose, where } = naming(key, draft, busy?.busy ?? null);
  return new Refusal(
    'held_by_others',
    `The money left on ${whose} is held by ${holders}${state}. It is free again when they end; or raise the limit in ${where}.`,
    { retryAfter: 5 },
  );
}

/** Whose limit it is, and where it is raised. */
function naming(
  key: Key,
  { provider }: Counted,
  limit: AppliedLimit | null,
): { whose: string; where: string } {
  switch (limit?.scope.kind) {
    case 'global':
      return { whose: 'all keys together', where: 'Faregate, Limits' };
    case 'provider':
      return { whose: `provider "${provider}"`, where: 'Faregate, Limits' };
    default:
      return { whose: `key "${key.name}"`, where: 'Faregate, API Keys' };
  }
}

function spent(limit: AppliedLimit): string {
  const period = limit.recurring ? ` this ${limit.recurring.every}` : '';
  return `${formatUsd(limit.usedNano)} of ${formatLimit(limit.limitNano)} spent${period}.`;
}

function resets(limit: AppliedLimit): string {
  return limit.recurring ? ` It resets at ${new Date(limit.recurring.resetsAt).toLocaleString()}.` : '';
}
