/**
 * One exchange with a provider: the request is sent, its answer passed on and metered, and its hold settled exactly once,
 * however it ends.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import { Refusal } from '#shared/errors.ts';
import { formatUsd, type Nano } from '#shared/money.ts';
import { applyEdits, type JsonEdit } from '../base/json.ts';
import { ABSENT, Roster, type Member } from '../base/roster.ts';
import type { Key } from '../config/keys.ts';
import type { Scope } from '../config/limits.ts';
import type { Provider } from '../config/providers.ts';
import type { AnswerFacts, Dialect } from '../dialects/dialect.ts';
import { emptyFacts } from '../dialects/usage.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Overruns } from '../ledger/overruns.ts';
import { countedEstimate } from '../metering/estimate.ts';
import { vocabularyOf } from '../metering/token-count.ts';
import type { VocabularyCounter } from '../metering/vocabulary-counter.ts';
import type { Withheld } from '../upstream/fallback.ts';
import type { Target } from '../upstream/routing.ts';
import { NotSent, requestHeaders, unreachable, upstreamAddress } from '../upstream/upstream.ts';
import { createUsageAsks } from '../upstream/usage-ask.ts';
import type { Admitted } from './admission.ts';
import { costHeaders, meterHeaders } from './answer-headers.ts';
import type { Step } from './loop-brake.ts';
import { Relay, Stopped } from './relay.ts';
import { bodyEdits, type ReadRequest } from './request-body.ts';
import type { UpstreamRoute } from './routes.ts';
import { needsEstimate, outcomeOf, type SettlementBasis, type Ending } from './settlement.ts';

export interface ExchangeDependencies {
  ledger: Ledger;
  overruns: Overruns;
  vocabularies: VocabularyCounter;
  agent: Dispatcher;
  now: () => number;
  onInternalError(error: unknown): void;
}

/** An authenticated request whose body has been read. */
export interface ClientCall {
  route: UpstreamRoute;
  key: Key;
  request: IncomingMessage;
  response: ServerResponse;
  query: string;
  body: Buffer;
  /** Aborted when the client closes the connection. */
  signal: () => AbortSignal;
}

/** A request at one provider. */
export interface Exchange {
  read: ReadRequest;
  target: Target;
  dialect: Dialect;
  /** Absent for a free call. */
  money?: Money;
  /** By the status: an answer that is not the client's, since another provider may have a better one. */
  withholds(status: number): boolean;
}

/** What was set aside for it, and what it is settled by. */
export interface Money {
  admitted: Admitted;
  basis: SettlementBasis;
  step: Step;
}

export interface Exchanges {
  /**
   * Resolves when it is over and settled: with an answer only where that was to be withheld and nothing was sent to the
   * client. @throws Refusal before anything was sent to the client.
   */
  send(call: ClientCall, exchange: Exchange): Promise<Withheld | null>;
  /** Ends a hold whose request never got to the provider; does nothing where it is settled already. */
  giveBack(money: Money): Promise<void>;
  /** What can be stopped from now on; returns what takes it out again. */
  enter(key: Key, provider: Provider, request: Stoppable): () => void;
  /** Those of a key, to a provider or all at once, with a sentence for the person. How many that were. */
  stop(scope: Scope, message: string): number;
}

type Stoppable = Pick<Relay, 'stop'>;

/** How long a stream is read on after its client has gone. */
const GRACE_MS = 2_000;

export function createExchanges(dependencies: ExchangeDependencies): Exchanges {
  const { ledger, overruns, agent, now } = dependencies;
  const running = new Roster<Running>();
  const usageAsks = createUsageAsks();

  function enter(key: Key, provider: Provider, request: Stoppable): () => void {
    const entry: Running = { place: ABSENT, request, key: key.id, provider: provider.id };
    running.add(entry);
    return () => running.remove(entry);
  }

  function send(call: ClientCall, exchange: Exchange): Promise<Withheld | null> {
    const { read, target, dialect, money } = exchange;
    const { provider } = target;
    const { stream } = read.facts;
    const { jsonArray } = read;
    const upstream = stream ? `${provider.baseUrl} ${target.model}` : '';
    const clamp = money ? money.admitted.clamp : 'free';
    const change = bodyEdits(call.route, exchange, { askUsage: stream && usageAsks.mayAsk(upstream), clamp });
    let { hideUsage } = change;
    const vocabulary = stream ? (vocabularyOf(target.model)?.vocabulary ?? null) : null;
    const reader = money
      ? dialect.reader({
          hideUsage,
          vendor: provider.kind,
          model: target.model,
          jsonArray,
          keepText: vocabulary !== null,
        })
      : null;
    return new Promise<Withheld | null>((resolve, reject) => {
      let withheld: Withheld | null = null;
      const relayed: Relay = new Relay({
        response: call.response,
        reader,
        hideUsage: () => hideUsage,
        stream,
        jsonArray,
        withholds: exchange.withholds,
        withheld: (answer) => (withheld = answer),
        extraHeaders: money ? meterHeaders(ledger, money.admitted) : [],
        trailers: takesTrailers(call.request.headers),
        graceMs: GRACE_MS,
        now,
        overspent: () => (money && reader ? overspent(call.key, money.admitted, reader.facts) : null),
        settle(ending) {
          if (!money || !reader) return [];
          const { facts } = reader;
          // Before the client can know that the answer is over, and send the next request.
          money.step.ended(ending.how === 'complete' && ending.status >= 200 && ending.status < 300);
          if (vocabulary === null || facts.outputText === null || !needsEstimate(facts, ending))
            return recorded(settle(money, facts, ending), ending);
          const seen = { model: target.model, body: call.body, answer: facts };
          return countedEstimate(vocabulary, seen, dependencies.vocabularies).then((counted) => {
            const basis = { ...money.basis, estimate: () => counted };
            return recorded(settle({ ...money, basis }, facts, ending), ending);
          });
        },
        fail: (error) =>
          reject(
            error instanceof Stopped ? new Refusal('stopped', error.message) : unreachable(provider, error),
          ),
        done() {
          leave();
          resolve(withheld);
        },
      });
      const leave = enter(call.key, provider, relayed);
      const { origin, path } = upstreamAddress(
        provider,
        pathOf(call.route, () => encodeModel(target.model)),
        call.query,
      );
      const hasBody = call.request.method === 'POST';
      const dispatch = (edits: JsonEdit[], handler: Dispatcher.DispatchHandler) => {
        const body = edits.length > 0 && read.fields ? applyEdits(call.body, edits) : call.body;
        try {
          agent.dispatch(
            {
              origin,
              path,
              method: call.request.method === 'DELETE' ? 'DELETE' : hasBody ? 'POST' : 'GET',
              headers: requestHeaders(call.request.rawHeaders, call.request.headers, provider),
              body: hasBody ? body : null,
            },
            handler,
          );
        } catch (error) {
          // undici refuses what it cannot send (a header with a line break) before anything has left.
          relayed.fail(new NotSent(error));
        }
      };
      if (!hideUsage) return dispatch(change.edits, relayed);
      const guarded = usageAsks.guard(upstream, relayed, (handler) => {
        hideUsage = false;
        dispatch(bodyEdits(call.route, exchange, { askUsage: false, clamp }).edits, handler);
      });
      dispatch(change.edits, guarded);
    });
  }

  /** The cost as headers, once it is on record. Where a request is ended from outside nothing may wait. */
  function recorded(costNano: Nano | null, { how }: Ending): string[] | Promise<string[]> {
    const headers = costHeaders(costNano);
    if (how !== 'stopped') return ledger.written().then(() => headers);
    ledger.flush();
    return headers;
  }

  /** Whatever goes wrong between the answer and the ledger, the hold is not left behind: then it is taken as the cost. */
  function settle({ admitted: { hold }, basis }: Money, seen: AnswerFacts, ending: Ending): Nano | null {
    try {
      const outcome = outcomeOf(basis, seen, ending);
      ledger.settle(hold, outcome);
      overruns.learn(hold, outcome);
      return outcome.costNano;
    } catch (error) {
      dependencies.onInternalError(error);
      const cost = {
        ...outcomeOf(basis, nothingSeen, { ...ending, neverArrived: true, status: 0 }),
        status: ending.status,
      };
      ledger.settle(hold, { ...cost, costNano: hold.amountNano, flags: [...cost.flags, 'estimated'] });
      return hold.amountNano;
    }
  }

  function giveBack({ admitted: { hold }, basis }: Money): Promise<void> {
    const ending = {
      status: 0,
      how: 'upstream-gone',
      neverArrived: true,
      firstByteMs: null,
      durationMs: now() - hold.at,
    } as const;
    ledger.settle(hold, outcomeOf(basis, nothingSeen, ending));
    return ledger.written();
  }

  return {
    send,
    giveBack,
    enter,
    stop(scope, message) {
      const meant = [...running].filter((of) => scope.kind === 'global' || of[scope.kind] === scope.id);
      for (const { request } of meant) request.stop(message);
      return meant.length;
    },
  };
}

/** A request that can be stopped, and whose it is. */
interface Running extends Member {
  request: Stoppable;
  key: string;
  provider: string;
}

const nothingSeen: AnswerFacts = emptyFacts();

/** Far more than text has on the average, so that no answer within its bound is cut. */
const CHARS_PER_TOKEN_AT_MOST = 12;

/** A provider that does not keep to a clamped bound is cut where the money ends. */
function overspent(key: Key, { hold, clamp, choices }: Admitted, seen: AnswerFacts): string | null {
  if (clamp?.outputTokens == null) return null;
  const tokens = Math.max(seen.usage?.outputTokens ?? 0, seen.outputChars / CHARS_PER_TOKEN_AT_MOST);
  if (tokens <= clamp.outputTokens * choices) return null;
  return `The answer was cut: ${formatUsd(hold.amountNano)} was left for it under the usage limit of key "${key.name}". Raise the limit in Faregate, API Keys.`;
}

/** `model` as it is to stand in the path; asked for only where the path has one. */
export function pathOf({ path, model: named }: UpstreamRoute, model: () => string): string {
  return named === null ? path : path.replace('{model}', model);
}

function takesTrailers({ te }: IncomingHttpHeaders): boolean {
  return te !== undefined && /\btrailers\b/i.test(String(te));
}

/** A model's slashes are part of the path (`models/vendor/name`), everything else is one segment's text. */
function encodeModel(model: string): string {
  return model.split('/').map(encodeURIComponent).join('/');
}
