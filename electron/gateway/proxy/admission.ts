/**
 * Admission: how much a request can cost at the most, and whether that much money is there. The decision itself is the
 * ledger's, in one synchronous step; here it is prepared, and where it has to, waited for.
 */
import { Refusal } from '#shared/errors.ts';
import { formatLimit, formatUsd, type Nano } from '#shared/money.ts';
import type { Key } from '../config/keys.ts';
import type { AppliedLimit } from '../config/limits.ts';
import type { Hold, HoldDraft, HoldResult, Ledger } from '../ledger/ledger.ts';
import { LedgerUnavailable } from '../ledger/write-failure.ts';
import { boundNano, clampTo, leastNano, type Bound, type Clamp } from './bound.ts';

/** Output of one choice that is worth serving while others hold money that will come back. */
const USEFUL_BESIDE_OTHERS = 4_096;

/** Output of one choice that most answers stay below: a request that has to be clamped leaves room for others above it. */
const COMFORTABLE_OUTPUT = 32_768;

export interface Admitted {
  hold: Hold;
  /** What to write into the request; null where it goes as it is. */
  clamp: Clamp | null;
  choices: number;
}

/** A request's bound, and the closer one that counting its input would give. */
export interface BoundedRequest {
  bound: Bound;
  /** Asked for only where the bound does not fit well; null where counting is not possible. Never rejects. */
  exact?: (signal: AbortSignal) => Promise<Bound | null>;
}

export interface Admission {
  /**
   * Sets the money for a request aside. Waits in order of arrival while it is held by others.
   * @throws Refusal `limit_reached`, `not_enough_left`, `held_by_others`, `stopped` or `ledger_unavailable`.
   */
  admit(key: Key, draft: HoldDraft, request: BoundedRequest, signal: () => AbortSignal): Promise<Admitted>;
  /**
   * Money may have become free for this key, or for any (null): by a settled request, a raised limit or the window's
   * end.
   */
  wake(keyId: string | null): void;
  /** Refuses what waits for this key's money, or for any (null), with a sentence for the person; how many that were. */
  stop(keyId: string | null, message: string): number;
  /** Refuses everything that waits, and all that comes. */
  close(): void;
}

interface Waiter {
  session: string | null;
  /** Nothing but its own session's limit stood in its way: who comes after it for another session need not wait for it. */
  waitsForSession(): boolean;
  attempt(): boolean;
  giveUp(): void;
  refuse(refusal: Refusal): void;
}

/** Others hold the money. */
interface Busy {
  busy: AppliedLimit;
  others: number;
}

/**
 * How often those who wait look for themselves: whatever made room (the end of a window after the machine slept, a
 * limit of another scope) and woke nobody is noticed within this time. An attempt that fails writes nothing.
 */
const LOOK_AGAIN_MS = 250;

const CLOSED = 'Stopped: Faregate was closed while the request waited for money.';

export function createAdmission(ledger: Ledger, options: { waitMs: number }): Admission {
  /** Requests waiting for money, by key, first come first served. */
  const queues = new Map<string, Waiter[]>();
  const waking = new Set<string>();
  /** Requests whose input is being counted: they hold nothing and wait for nobody, and can be stopped all the same. */
  const counting = new Set<{ keyId: string; stopped: string | null }>();
  let looking: NodeJS.Timeout | undefined;
  let closed = false;

  function hold(draft: HoldDraft, wantNano: Nano, atLeastNano: Nano): HoldResult {
    try {
      return ledger.hold(draft, { wantNano, atLeastNano });
    } catch (cause) {
      throw asRefusal(cause);
    }
  }

  /** All that the request can cost, or the reason why there is not so much. */
  function holdAll(key: Key, draft: HoldDraft, bound: Bound): Admitted | { short: AppliedLimit } {
    const wantNano = boundNano(bound);
    const result = hold(draft, wantNano, wantNano);
    if ('held' in result) return { hold: result.held, clamp: null, choices: bound.choices };
    if (result.refused === 'reached')
      throw new Refusal('limit_reached', limitReachedText(key, draft, result.limit));
    return { short: result.limit };
  }

  function tryHold(key: Key, draft: HoldDraft, bound: Bound): Admitted | Busy {
    const whole = holdAll(key, draft, bound);
    if ('hold' in whole) return whole;
    const others = Math.max(0, ...ledger.limiting(draft).map(({ running }) => running));
    const aloneNano = leastNano(bound, 0);
    const atLeastNano = others > 0 ? leastNano(bound, USEFUL_BESIDE_OTHERS) : aloneNano;
    // Half of the room is left to others where the other half pays for more than most answers need.
    const { roomNano } = whole.short;
    const shareNano = Math.max(Math.floor(roomNano / 2), leastNano(bound, COMFORTABLE_OUTPUT));
    const result = hold(draft, Math.max(atLeastNano, Math.min(roomNano, shareNano)), atLeastNano);
    if ('held' in result) {
      const clamp = clampTo(bound, result.held.amountNano);
      return { hold: result.held, clamp, choices: bound.choices };
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
    /** Sessions whose first one goes on waiting for its session's money; others pass it by. */
    const behind = new Set<string>();
    for (let index = 0; index < queue.length;) {
      const waiter = queue[index];
      if (waiter === undefined) break;
      if (waiter.session !== null && behind.has(waiter.session)) index += 1;
      else if (waiter.attempt()) queue.splice(index, 1);
      else if (waiter.session !== null && waiter.waitsForSession()) {
        behind.add(waiter.session);
        index += 1;
      } else break;
    }
    waking.delete(keyId);
    if (queue.length === 0) queues.delete(keyId);
    if (queues.size === 0) {
      clearInterval(looking);
      looking = undefined;
    }
  }

  /** Whether others of the key were there before and wait for money that this one would take. */
  function standsBehind(keyId: string, session: string | null): boolean {
    const queue = queues.get(keyId);
    if (queue === undefined) return false;
    const behind = new Set<string | null>();
    for (const waiter of queue) {
      if (behind.has(waiter.session)) continue;
      if (!waiter.waitsForSession()) return true;
      behind.add(waiter.session);
    }
    return behind.has(session);
  }

  function wait(
    key: Key,
    draft: HoldDraft,
    bound: Bound,
    signal: AbortSignal,
    found: Busy | null,
  ): Promise<Admitted> {
    let busy = found;
    const queue = queues.get(key.id) ?? [];
    queues.set(key.id, queue);
    looking ??= setInterval(() => wake(null), LOOK_AGAIN_MS);
    return new Promise<Admitted>((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', waiter.giveUp);
      };
      const waiter: Waiter = {
        session: draft.session,
        waitsForSession: () => busy?.busy.scope.kind === 'session',
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
        giveUp() {
          const index = queue.indexOf(waiter);
          if (index !== -1) queue.splice(index, 1);
          finish();
          reject(heldByOthers(key, draft, busy));
          // Whoever stood behind may fit where this one did not.
          wake(key.id);
        },
        refuse(refusal) {
          finish();
          reject(refusal);
        },
      };
      const timer = setTimeout(waiter.giveUp, options.waitMs);
      queue.push(waiter);
      if (signal.aborted) waiter.giveUp();
      else signal.addEventListener('abort', waiter.giveUp, { once: true });
    });
  }

  function stop(keyId: string | null, message: string): number {
    // All at once: one that left alone would let the next one try.
    const stopped = [...queues]
      .filter(([id]) => keyId === null || id === keyId)
      .flatMap(([, queue]) => queue.splice(0));
    for (const waiter of stopped) waiter.refuse(new Refusal('stopped', message));
    const counted = [...counting].filter((entry) => keyId === null || entry.keyId === keyId);
    for (const entry of counted) entry.stopped = message;
    // Forgets the queues that are empty now.
    wake(keyId);
    return stopped.length + counted.length;
  }

  /** For one that does not fit whole, or has others before it. `short`: the limit that leaves too little for all of it. */
  async function takeInTurn(
    key: Key,
    draft: HoldDraft,
    { bound: cheap, exact }: BoundedRequest,
    signal: () => AbortSignal,
    short: AppliedLimit | null,
  ): Promise<Admitted> {
    let bound = cheap;
    let busy: Busy | null = null;
    if (short !== null && exact && isWorthCounting(bound, short.roomNano)) {
      const entry: { keyId: string; stopped: string | null } = { keyId: key.id, stopped: null };
      counting.add(entry);
      bound = (await exact(signal())) ?? bound;
      counting.delete(entry);
      if (entry.stopped !== null) throw new Refusal('stopped', entry.stopped);
    }
    if (closed) throw new Refusal('stopped', CLOSED);
    if (!standsBehind(key.id, draft.session)) {
      const result = tryHold(key, draft, bound);
      if ('hold' in result) return result;
      busy = result;
    }
    return wait(key, draft, bound, signal(), busy);
  }

  return {
    async admit(key, draft, request, signal) {
      const whole = standsBehind(key.id, draft.session)
        ? { short: null }
        : holdAll(key, draft, request.bound);
      const admitted = 'hold' in whole ? whole : await takeInTurn(key, draft, request, signal, whole.short);
      // A hold counts from the moment it is taken, and holds from the moment it is written.
      try {
        await ledger.written(admitted.hold);
      } catch (cause) {
        throw asRefusal(cause);
      }
      return admitted;
    },
    wake,
    stop,
    close() {
      closed = true;
      stop(null, CLOSED);
    },
  };
}

function asRefusal(cause: unknown): unknown {
  return cause instanceof LedgerUnavailable
    ? new Refusal('ledger_unavailable', cause.message, { cause })
    : cause;
}

/** Whether a closer bound of the input could make much of a difference for the answer. */
function isWorthCounting(bound: Bound, roomNano: Nano): boolean {
  return roomNano < leastNano(bound, COMFORTABLE_OUTPUT) && bound.sentNano * 4 > roomNano;
}

// The sentences avoid the words that agents take for a passing fault and try again on ("rate limit", "overloaded",
// "try again", "too long"), and each names the key, what was spent, the limit, and where to change it.

type Counted = Pick<HoldDraft, 'provider'>;

function limitReachedText(key: Key, draft: Counted, limit: AppliedLimit): string {
  const { whose, where } = naming(key, draft, limit);
  const orElse = limit.scope.kind === 'session' ? ', or go on in a new session' : '';
  return `Usage limit reached for ${whose}: ${spent(limit)}${resets(limit)} Raise the limit in ${where}${orElse}.`;
}

function notEnoughText(key: Key, draft: Counted, limit: AppliedLimit, neededNano: Nano): string {
  const { whose, where } = naming(key, draft, limit);
  const left = formatUsd(Math.max(0, limit.roomNano));
  return `Not enough left on ${whose} for this request: it needs at least ${formatUsd(neededNano)} and ${left} is left (${spent(limit).slice(0, -1)}).${resets(limit)} Raise the limit in ${where}, or send a smaller request.`;
}

function heldByOthers(key: Key, draft: Counted, busy: Busy | null): Refusal {
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
      return { whose: `all keys together (key "${key.name}" among them)`, where: 'Faregate, Limits' };
    case 'provider':
      return { whose: `provider "${provider}" (asked with key "${key.name}")`, where: 'Faregate, Limits' };
    case 'session':
      return {
        whose: `this session of key "${key.name}" (limit per session)`,
        where: 'Faregate, API Keys, Limit per session',
      };
    default:
      return { whose: `key "${key.name}"`, where: 'Faregate, API Keys' };
  }
}

function spent(limit: AppliedLimit): string {
  const every = limit.recurring?.every;
  const period = every === undefined ? '' : every === 'day' ? ' today' : ` this ${every}`;
  return `${formatUsd(limit.usedNano)} of ${formatLimit(limit.limitNano)} spent${period}.`;
}

function resets(limit: AppliedLimit): string {
  if (!limit.recurring) return '';
  const at = new Date(limit.recurring.resetsAt);
  // Without seconds: every window begins at a full minute.
  return ` It resets at ${at.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}.`;
}
