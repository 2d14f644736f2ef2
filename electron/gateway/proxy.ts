/**
 * One request's way, top to bottom: read what it may cost, choose the provider, set the money aside, forward, meter,
 * settle. The file to read first.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import { Refusal } from '#shared/errors.ts';
import { formatUsd } from '#shared/money.ts';
import type { Nano } from '#shared/money.ts';
import type { Admission, Admitted } from './admission.ts';
import { senderOf, type Sender } from './clients.ts';
import { costHeaders, meterHeaders } from './answer-headers.ts';
import { dialects } from './dialects/index.ts';
import type { AnswerFacts, Dialect } from './dialects/dialect.ts';
import { emptyFacts } from './dialects/usage.ts';
import { countedEstimate, roughEstimate } from './estimate.ts';
import { applyEdits, type JsonEdit } from './json.ts';
import { answerWith, asFailure, fallbackTarget, isDearer, isFailure, type Withheld } from './fallback.ts';
import type { Key } from './keys.ts';
import type { HoldDraft, Ledger } from './ledger.ts';
import type { Scope } from './limits.ts';
import type { LoopBrake, Step } from './loop-brake.ts';
import type { Overruns } from './overruns.ts';
import { priceText, type Prices } from './prices.ts';
import { providerKindFacts, type Provider, type Providers } from './providers.ts';
import { bodyEdits, readRequest, routedModels, type ReadRequest } from './request-body.ts';
import { requestBounds, type Priced } from './request-bound.ts';
import { Relay, Stopped } from './relay.ts';
import { ABSENT, Roster, type Member } from './roster.ts';
import type { UpstreamRoute } from './routes.ts';
import { chooseProvider, type Target } from './routing.ts';
import { PAUSED_SENTENCE } from './settings.ts';
import { needsEstimate, outcomeOf, type Asked, type Ending } from './settlement.ts';
import { createUsageAsks } from './usage-ask.ts';
import { vocabularyOf, type TokenCounter } from './token-count.ts';
import { NotSent, requestHeaders, unreachable, upstreamAddress } from './upstream.ts';
import type { VocabularyCounter } from './vocabulary-counter.ts';

export interface ProxyDependencies {
  ledger: Ledger;
  admission: Admission;
  providers: Providers;
  prices: Prices;
  overruns: Overruns;
  tokens: TokenCounter;
  vocabularies: VocabularyCounter;
  agent: Dispatcher;
  loops: LoopBrake;
  /** Whether the person has paused the gateway. */
  paused(): boolean;
  /** The key sent the same request so many times in a row. */
  pauseKey(key: Key, count: number): void;
  now: () => number;
  /** A request was refused because its model has no price. */
  unpriced(provider: Provider, model: string, keyId: string): void;
  onInternalError(error: unknown): void;
}

/** An authenticated request whose body has been read. */
export interface Call {
  route: UpstreamRoute;
  key: Key;
  request: IncomingMessage;
  response: ServerResponse;
  query: string;
  body: Buffer;
  /** Aborted when the client closes the connection. */
  signal: () => AbortSignal;
}

export interface Proxy {
  /** Resolves when the request is over and settled. @throws Refusal before anything was sent to the client. */
  forward(call: Call): Promise<void>;
  /**
   * Ends the running requests of a key, to a provider or all at once, with a sentence for the person; the true cost so
   * far is settled. How many that were.
   */
  stop(scope: Scope, message: string): number;
  /** From now on refuses what comes, with a sentence for the person. */
  close(message: string): void;
  /** Resolves when nothing runs any more, nor is about to. */
  idle(): Promise<void>;
}

const GRACE_MS = 2_000;

export function createProxy(dependencies: ProxyDependencies): Proxy {
  const { ledger, admission, prices, overruns, agent, now } = dependencies;
  const running = new Roster<Running>();
  /** Those that run, and those whose hold is not written yet. */
  let open = 0;
  let closed: string | null = null;
  const idleWaiters: (() => void)[] = [];
  const usageAsks = createUsageAsks();

  async function forward(call: Call): Promise<void> {
    if (closed !== null) throw new Refusal('stopped', closed);
    open += 1;
    let step: Step | undefined;
    try {
      refusePaused(call.key);
      const dialect = dialects[call.route.dialect];
      const read = readRequest(call, call.request.method, dialect);
      const target = chooseProvider(dependencies, call.route.dialect, read.model, call.route.slug);
      requireCredential(target.provider);
      if (call.route.kind === 'free') {
        await relay(call, { read, target, dialect, withholds: none });
        return;
      }
      if (read.facts.notMetered !== null) throw new Refusal('not_metered', read.facts.notMetered);
      const sender = senderOf(call.request.headers, read.fields);
      const metered: MeteredRequest = { call, read, dialect, sender };
      const models = pricedModels(metered, target);
      const second = secondTarget(call, read, target);
      step = enterLoop(call, read);
      const first: Attempt = { target, models, step, fallback: false, withholds: none };
      if (second === null)
        await sendOnce(metered, first, moneyOf(metered, first, await admit(metered, first)));
      else await sendTwice(metered, { ...first, withholds: isFailure }, second);
    } finally {
      step?.ended(false);
      open -= 1;
      if (open === 0) for (const tell of idleWaiters.splice(0)) tell();
    }
  }

  /** Where the key's fallback leads; null where it has none for this request. */
  function secondTarget({ key, route }: Call, { facts }: ReadRequest, first: Target): Target | null {
    // What is stored at the one provider is not at the other.
    if (key.fallback === null || facts.storedInput) return null;
    return fallbackTarget(key.fallback, first, dependencies.providers.speaking(route.dialect));
  }

  /**
   * What fails before the client has a byte goes once more, to the key's fallback. Where that may not be, or fails as
   * well, the first failure is the answer: the client goes on from there as it would without a fallback.
   */
  async function sendTwice(metered: MeteredRequest, first: Attempt, target: Target): Promise<void> {
    const { call } = metered;
    // An attempt that failed is no step of a loop, and must not end the one that follows it.
    const step: Step = { ended: (inFull) => inFull && first.step.ended(true) };
    const apart: Attempt = { ...first, step };
    const money = moneyOf(metered, apart, await admit(metered, apart));
    const failure = await sendOnce(metered, first, money).catch(asFailure);
    if (failure === null) return;
    const next = call.response.destroyed ? null : await setAsideForFallback(metered, apart, target);
    const again =
      next === null || (await sendOnce(metered, next.attempt, next.money).catch(asFailure)) !== null;
    if (again) answerWith(failure, call.response);
  }

  /** Like a request of its own, after the first one is settled. null where the key's choice or its money forbids it. */
  async function setAsideForFallback(
    metered: MeteredRequest,
    first: Attempt,
    target: Target,
  ): Promise<{ attempt: Attempt; money: Money } | null> {
    const { call, read } = metered;
    let stopped = false;
    const waiting = runningAt(call.key, target.provider, { stop: () => void (stopped = true) });
    running.add(waiting);
    try {
      refusePaused(call.key);
      requireCredential(target.provider);
      const models = pricedModels(metered, target);
      const tooDear =
        call.key.fallback?.dearer !== true &&
        isDearer(models[0].price, first.models[0].price, read.facts.serviceTier);
      if (tooDear) return null;
      const attempt: Attempt = {
        target,
        models,
        step: first.step,
        fallback: true,
        withholds: (status) => status >= 400,
      };
      const money = moneyOf(metered, attempt, await admit(metered, attempt));
      if (!stopped) return { attempt, money };
      await giveBack(money, 0);
      return null;
    } catch (error) {
      if (error instanceof Refusal) return null;
      throw error;
    } finally {
      running.remove(waiting);
    }
  }

  function moneyOf(metered: MeteredRequest, attempt: Attempt, admitted: Admitted): Money {
    return { admitted, asked: askedOf(metered, attempt, admitted), step: attempt.step };
  }

  /** Resolves with an answer only where it was to be withheld and nothing was sent to the client. */
  async function sendOnce(
    { call, read, dialect }: MeteredRequest,
    { target, withholds }: Attempt,
    money: Money,
  ): Promise<Withheld | null> {
    // Nothing was sent yet, so nothing can be billed: whatever happens from here to the provider gives the money back.
    if (call.response.destroyed) {
      await giveBack(money, 0);
      return null;
    }
    try {
      return await relay(call, { read, target, dialect, money, withholds });
    } catch (error) {
      await giveBack(money, 0);
      throw error;
    }
  }

  /** Those that may answer at this provider, the one asked for first. @throws Refusal where one needs a price. */
  function pricedModels(
    { call, read, sender }: MeteredRequest,
    target: Target,
  ): readonly [Priced, ...Priced[]] {
    const priced = (model: string): Priced => {
      const price = prices.find(target.provider, model, now());
      if (price === null) requireNoLimit(call.key, sender, target.provider, model);
      return { model, price };
    };
    return [priced(target.model), ...routedModels(read, target).map(priced)];
  }

  function refusePaused(key: Key): void {
    if (dependencies.paused()) throw new Refusal('gateway_paused', PAUSED_SENTENCE);
    if (key.pause !== null) throw new Refusal('key_paused', loopText(key, key.pause.count));
  }

  function enterLoop(call: Call, { fields }: ReadRequest): Step {
    const { key, route, body } = call;
    const entered = dependencies.loops.enter({
      keyId: key.id,
      path: pathOf(route, () => route.model ?? ''),
      body,
      declaresTools: fields?.has('tools') ?? false,
    });
    if ('step' in entered) return entered.step;
    dependencies.pauseKey(key, entered.loop);
    throw new Refusal('key_paused', loopText(key, entered.loop));
  }

  function askedOf(
    { call, read }: MeteredRequest,
    { target: { provider, model }, models: [{ price }], fallback }: Attempt,
    { hold, clamp }: Admitted,
  ): Asked {
    return {
      model,
      estimate: (answer) => roughEstimate(model, call.body, answer),
      heldNano: hold.amountNano,
      clamped: clamp !== null,
      fallback,
      serviceTier: read.facts.serviceTier,
      price,
      priceOf: (name) => prices.find(provider, name, hold.at),
    };
  }

  /** Ends a hold whose request never got to the provider; does nothing where it is settled already. */
  function giveBack({ admitted: { hold }, asked }: Money, status: number): Promise<void> {
    const ending = {
      status,
      how: 'upstream-gone',
      neverArrived: true,
      firstByteMs: null,
      durationMs: now() - hold.at,
    } as const;
    ledger.settle(hold, outcomeOf(asked, nothingSeen, ending));
    return ledger.written();
  }

  /** Law 5: a model without a price is a decision of the person's, never a silent zero. */
  function requireNoLimit(key: Key, { session }: Sender, provider: Provider, model: string): void {
    const [limit] = ledger.limiting({ keyId: key.id, providerId: provider.id, session });
    if (limit === undefined) return;
    dependencies.unpriced(provider, model, key.id);
    const limited = {
      key: `key "${key.name}" has a usage limit`,
      session: `key "${key.name}" has a limit per session`,
      provider: `${provider.name} has a usage limit`,
      global: 'there is a usage limit over all keys',
    }[limit.scope.kind];
    const without = limit.scope.kind === 'key' ? ' A key without a limit is served without a price.' : '';
    throw new Refusal(
      'unpriced_model',
      `The model "${model}" at ${provider.name} has no price, and ${limited}. Set one: in Faregate open Prices, Without a price, Set a price for ${model}; or run: faregate prices set ${provider.slug} ${quoted(model)} --input USD --output USD (per million tokens).${without}`,
    );
  }

  function admit(
    { call, read: { facts, fields }, sender }: MeteredRequest,
    { target, models }: Attempt,
  ): Promise<Admitted> {
    const { provider, model } = target;
    const [{ price }] = models;
    const draft: HoldDraft = {
      keyId: call.key.id,
      provider: provider.slug,
      providerId: provider.id,
      billing: provider.billing,
      dialect: call.route.dialect,
      model,
      stream: facts.stream,
      price: price && priceText(price),
      ...sender,
    };
    const bounds = requestBounds(dependencies, {
      dialect: call.route.dialect,
      target,
      models,
      facts,
      fields,
      bodyBytes: call.body.length,
      query: call.query,
      headers: () => requestHeaders(call.request.rawHeaders, call.request.headers, provider),
    });
    return admission.admit(call.key, draft, bounds, call.signal);
  }

  function relay(call: Call, way: Way): Promise<Withheld | null> {
    const { read, target, dialect, money } = way;
    const { provider } = target;
    const { stream } = read.facts;
    const { jsonArray } = read;
    const upstream = stream ? `${provider.baseUrl} ${target.model}` : '';
    const clamp = money ? money.admitted.clamp : 'free';
    const change = bodyEdits(call.route, way, { askUsage: stream && usageAsks.mayAsk(upstream), clamp });
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
        withholds: way.withholds,
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
            const asked = { ...money.asked, estimate: () => counted };
            return recorded(settle({ ...money, asked }, facts, ending), ending);
          });
        },
        fail: (error) =>
          reject(
            error instanceof Stopped ? new Refusal('stopped', error.message) : unreachable(provider, error),
          ),
        done() {
          running.remove(entry);
          resolve(withheld);
        },
      });
      const entry = runningAt(call.key, provider, relayed);
      running.add(entry);
      const { origin, path } = upstreamAddress(
        provider,
        pathOf(call.route, () => encodeModel(target.model)),
        call.query,
      );
      const hasBody = call.request.method === 'POST';
      const send = (edits: JsonEdit[], handler: Dispatcher.DispatchHandler) => {
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
      if (!hideUsage) return send(change.edits, relayed);
      const guarded = usageAsks.guard(upstream, relayed, (handler) => {
        hideUsage = false;
        send(bodyEdits(call.route, way, { askUsage: false, clamp }).edits, handler);
      });
      send(change.edits, guarded);
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
  function settle({ admitted: { hold }, asked }: Money, seen: AnswerFacts, ending: Ending): Nano | null {
    try {
      const outcome = outcomeOf(asked, seen, ending);
      ledger.settle(hold, outcome);
      overruns.learn(hold, outcome);
      return outcome.costNano;
    } catch (error) {
      dependencies.onInternalError(error);
      const cost = {
        ...outcomeOf(asked, nothingSeen, { ...ending, neverArrived: true, status: 0 }),
        status: ending.status,
      };
      ledger.settle(hold, { ...cost, costNano: hold.amountNano, flags: [...cost.flags, 'estimated'] });
      return hold.amountNano;
    }
  }

  return {
    forward,
    stop(scope, message) {
      const meant = [...running].filter((of) => scope.kind === 'global' || of[scope.kind] === scope.id);
      for (const { request } of meant) request.stop(message);
      return meant.length;
    },
    close: (message) => void (closed = message),
    idle: () => (open === 0 ? Promise.resolve() : new Promise((resolve) => idleWaiters.push(resolve))),
  };
}

/** A model's name as one word of a shell; what a client named so is not to run as something else. */
const quoted = (name: string) => (/^[\w./:@-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`);

/** A request that can be stopped, and whose it is. */
interface Running extends Member {
  request: Pick<Relay, 'stop'>;
  key: string;
  provider: string;
}

function runningAt(key: Key, provider: Provider, request: Running['request']): Running {
  return { place: ABSENT, request, key: key.id, provider: provider.id };
}

interface Way {
  read: ReadRequest;
  target: Target;
  dialect: Dialect;
  /** Absent for a free call. */
  money?: Money;
  /** By the status: an answer that is not the client's, since another provider may have a better one. */
  withholds(status: number): boolean;
}

/** One that costs money, and who sent it. */
interface MeteredRequest {
  call: Call;
  read: ReadRequest;
  dialect: Dialect;
  sender: Sender;
}

/** A request at one provider. */
interface Attempt {
  target: Target;
  models: readonly [Priced, ...Priced[]];
  step: Step;
  /** Another provider was asked before. */
  fallback: boolean;
  withholds: Way['withholds'];
}

interface Money {
  admitted: Admitted;
  asked: Asked;
  step: Step;
}

function loopText(key: Key, count: number): string {
  return `The key "${key.name}" is paused: it sent the same request ${count} times in a row, which looks like a loop. Resume it in Faregate, API Keys.`;
}

const none = () => false;
const nothingSeen: AnswerFacts = emptyFacts();

function requireCredential(provider: Provider): void {
  if (provider.credential !== null || !providerKindFacts[provider.kind].needsCredential) return;
  const why =
    provider.credentialState === 'unreadable' ? 'cannot be decrypted on this machine' : 'is missing';
  throw new Refusal(
    'credential_missing',
    `The credential of ${provider.name} ${why}. Enter it in Faregate, Providers.`,
  );
}

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
function pathOf({ path, model: named }: UpstreamRoute, model: () => string): string {
  return named === null ? path : path.replace('{model}', model);
}

function takesTrailers({ te }: IncomingHttpHeaders): boolean {
  return te !== undefined && /\btrailers\b/i.test(String(te));
}

/** A model's slashes are part of the path (`models/vendor/name`), everything else is one segment's text. */
function encodeModel(model: string): string {
  return model.split('/').map(encodeURIComponent).join('/');
}
