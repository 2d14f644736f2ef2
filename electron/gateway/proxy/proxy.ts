/**
 * One request's way, top to bottom: read what it may cost, choose the provider, set the money aside, and send it
 * (exchange.ts). The file to read first.
 */
import { Refusal } from '#shared/errors.ts';
import type { Key } from '../config/keys.ts';
import type { Scope } from '../config/limits.ts';
import { providerKindFacts } from '../config/provider-kinds.ts';
import type { Provider, Providers } from '../config/providers.ts';
import { PAUSED_SENTENCE } from '../config/settings.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { dialects } from '../dialects/index.ts';
import type { HoldDraft } from '../ledger/ledger.ts';
import { roughEstimate } from '../metering/estimate.ts';
import type { TokenCounter } from '../metering/token-count.ts';
import { priceText, type Prices } from '../pricing/prices.ts';
import {
  answerWith,
  asFailure,
  fallbackTarget,
  isDearer,
  isFailure,
  type Withheld,
} from '../upstream/fallback.ts';
import { chooseProvider, type Target } from '../upstream/routing.ts';
import { requestHeaders } from '../upstream/upstream.ts';
import type { Admission, Admitted } from './admission.ts';
import { senderOf, type Sender } from './clients.ts';
import {
  createExchanges,
  pathOf,
  type ClientCall,
  type Exchange,
  type ExchangeDependencies,
  type Money,
} from './exchange.ts';
import type { LoopBrake, Step } from './loop-brake.ts';
import { readRequest, routedModels, type ReadRequest } from './request-body.ts';
import { requestBounds, type Priced } from './request-bound.ts';
import type { SettlementBasis } from './settlement.ts';

export interface ProxyDependencies extends ExchangeDependencies {
  admission: Admission;
  providers: Providers;
  prices: Prices;
  tokens: TokenCounter;
  loops: LoopBrake;
  /** Whether the person has paused the gateway. */
  paused(): boolean;
  /** The key sent the same request so many times in a row. */
  pauseKey(key: Key, count: number): void;
  /** A request was refused because its model has no price. */
  unpriced(provider: Provider, model: string, keyId: string): void;
}

export interface Proxy {
  /** Resolves when the request is over and settled. @throws Refusal before anything was sent to the client. */
  forward(call: ClientCall): Promise<void>;
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

export function createProxy(dependencies: ProxyDependencies): Proxy {
  const { ledger, admission, prices, now } = dependencies;
  const exchanges = createExchanges(dependencies);
  /** Those that run, and those whose hold is not written yet. */
  let open = 0;
  let closed: string | null = null;
  const idleWaiters: (() => void)[] = [];

  async function forward(call: ClientCall): Promise<void> {
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
        await exchanges.send(call, { read, target, dialect, withholds: none });
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
  function secondTarget({ key, route }: ClientCall, { facts }: ReadRequest, first: Target): Target | null {
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
    const leave = exchanges.enter(call.key, target.provider, { stop: () => void (stopped = true) });
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
      await exchanges.giveBack(money);
      return null;
    } catch (error) {
      if (error instanceof Refusal) return null;
      throw error;
    } finally {
      leave();
    }
  }

  function moneyOf(metered: MeteredRequest, attempt: Attempt, admitted: Admitted): Money {
    return { admitted, basis: basisOf(metered, attempt, admitted), step: attempt.step };
  }

  /** Resolves with an answer only where it was to be withheld and nothing was sent to the client. */
  async function sendOnce(
    { call, read, dialect }: MeteredRequest,
    { target, withholds }: Attempt,
    money: Money,
  ): Promise<Withheld | null> {
    // Nothing was sent yet, so nothing can be billed: whatever happens from here to the provider gives the money back.
    if (call.response.destroyed) {
      await exchanges.giveBack(money);
      return null;
    }
    try {
      return await exchanges.send(call, { read, target, dialect, money, withholds });
    } catch (error) {
      await exchanges.giveBack(money);
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

  function enterLoop(call: ClientCall, { fields }: ReadRequest): Step {
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

  function basisOf(
    { call, read }: MeteredRequest,
    { target: { provider, model }, models: [{ price }], fallback }: Attempt,
    { hold, clamp }: Admitted,
  ): SettlementBasis {
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

  return {
    forward,
    stop: exchanges.stop,
    close: (message) => void (closed = message),
    idle: () => (open === 0 ? Promise.resolve() : new Promise((resolve) => idleWaiters.push(resolve))),
  };
}

/** A model's name as one word of a shell; what a client named so is not to run as something else. */
const quoted = (name: string) => (/^[\w./:@-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`);

/** One that costs money, and who sent it. */
interface MeteredRequest {
  call: ClientCall;
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
  withholds: Exchange['withholds'];
}

function loopText(key: Key, count: number): string {
  return `The key "${key.name}" is paused: it sent the same request ${count} times in a row, which looks like a loop. Resume it in Faregate, API Keys.`;
}

const none = () => false;

function requireCredential(provider: Provider): void {
  if (provider.credential !== null || !providerKindFacts[provider.kind].needsCredential) return;
  const why =
    provider.credentialState === 'unreadable' ? 'cannot be decrypted on this machine' : 'is missing';
  throw new Refusal(
    'credential_missing',
    `The credential of ${provider.name} ${why}. Enter it in Faregate, Providers.`,
  );
}
