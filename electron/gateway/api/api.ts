/** The contract's handlers, without a transport: parse the input, handle, answer in an envelope. Never rejects. */
import type * as z from 'zod';
import { codeOf } from '#shared/caught.ts';
import {
  isMethodName,
  methods,
  type Answer,
  type ContractError,
  type MethodName,
  type Output,
  type Parsed,
} from '#shared/contract.ts';
import { Refusal } from '#shared/errors.ts';
import type { BackupRow, KeyRow } from '#shared/model.ts';
import { BackupError, type BackupFile, type Backups } from '../backups/backups.ts';
import type { Restored } from '../backups/restore.ts';
import { keyStatus, type Key } from '../config/keys.ts';
import { limitState } from '../config/limits.ts';
import { providerKindFacts } from '../config/provider-kinds.ts';
import { ProviderFieldError, sameOrigin, toProviderRow, type Provider } from '../config/providers.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Unpriced } from '../ledger/repricing.ts';
import type { PriceData } from '../pricing/price-data.ts';
import { PriceFieldError, type Prices } from '../pricing/prices.ts';
import type { RequestLog } from '../reports/request-log.ts';
import { RangeTooLong, type Usage } from '../reports/usage.ts';
import type { Store } from '../store/store.ts';
import { ListError, type ModelLists } from '../upstream/models.ts';
import { limitHandlers, recurringUse, type LimitDependencies } from './api-limits.ts';
import { priceHandlers, reconcileHandler } from './api-prices.ts';
import { CallError, mustBe, type Handlers, type MachineHandlers, type MachineMethod } from './calls.ts';
import { whatToSend } from './input-errors.ts';

export interface ApiDependencies extends LimitDependencies {
  prices: Prices;
  unpriced: Unpriced;
  priceData: PriceData;
  backups: Backups & { restore(name: string, carryOver: boolean): Promise<Restored> };
  store: Store;
  requests: RequestLog;
  usage: Usage;
  models: ModelLists;
  machine: MachineHandlers | undefined;
  now: () => number;
  keyChanged(keyId: string): void;
  providersChanged(): void;
  onInternalError(error: unknown): void;
}

export type Dispatch = (name: unknown, input: unknown) => Promise<Answer<unknown>>;

export function createDispatch(dependencies: ApiDependencies): Dispatch {
  const handlers: Handlers = {
    ...createHandlers(dependencies),
    ...(dependencies.machine ?? noMachine),
  };
  return async (name, input) => {
    if (!isMethodName(name))
      return failure({ code: 'not_found', message: `There is no method ${JSON.stringify(name)}.` });
    try {
      return { ok: true, value: await run(handlers, name, input) };
    } catch (error) {
      return failure(describe(error, dependencies));
    }
  };
}

async function run<N extends MethodName>(handlers: Handlers, name: N, input: unknown): Promise<Output<N>> {
  // The schema of this very method, which the compiler cannot follow through the table.
  const schema: z.ZodType<Parsed<N>> = methods[name].input as never;
  const parsed = schema.safeParse(input ?? undefined, { error: whatToSend });
  if (!parsed.success) throw invalidInput(parsed.error);
  return handlers[name](parsed.data);
}

function invalidInput(error: z.ZodError): CallError {
  const [issue] = error.issues;
  const field = issue?.path.join('.');
  const where = field ? `${field}: ` : '';
  return new CallError(
    'invalid_input',
    `${where}${issue?.message ?? 'The input is not valid.'}`,
    field || undefined,
  );
}

const failure = (error: ContractError): Answer<never> => ({ ok: false, error });

function describe(error: unknown, { ledger, onInternalError }: ApiDependencies): ContractError {
  if (error instanceof CallError) return error.error;
  if (error instanceof PriceFieldError)
    return { code: 'invalid_input', message: error.message, field: error.field };
  if (error instanceof ProviderFieldError)
    return { code: 'conflict', message: error.message, field: error.field };
  if (error instanceof RangeTooLong) return { code: 'invalid_input', message: error.message, field: 'from' };
  if (error instanceof BackupError) return { code: 'conflict', message: error.message };
  onInternalError(error);
  const code = codeOf(error);
  if (code.startsWith('SQLITE')) {
    const message =
      ledger.problem() ??
      `The change could not be saved (${code}). Check the data folder and its disk, then save again.`;
    return { code: 'ledger_unavailable', message };
  }
  return {
    code: 'internal',
    message: 'Faregate met an unexpected fault; nothing was changed. Its log has the details.',
  };
}

const notHere = () => {
  throw new CallError('not_found', 'Tools cannot be connected through this gateway.');
};
const noMachine: MachineHandlers = {
  'connect.list': () => [],
  'connect.plan': notHere,
  'connect.apply': notHere,
  'connect.check': notHere,
  'connect.follow': () => [],
  'connect.undo': notHere,
};

/** A key as the window shows it: identity from the keys, money from the ledger, one number for both. */
export function toKeyRow(key: Key, ledger: Ledger, now: number): KeyRow | undefined {
  const account = ledger.account(key.id);
  if (!account) return undefined;
  const { topUp } = account;
  return {
    id: key.id,
    name: key.name,
    masked: key.masked,
    status: keyStatus(key, now),
    createdAt: new Date(key.createdAt).toISOString(),
    lastUsedAt: account.lastUsedAt === null ? null : new Date(account.lastUsedAt).toISOString(),
    expiresAt: key.expiresAt === null ? null : new Date(key.expiresAt).toISOString(),
    usageNano: account.usageNano,
    usageCreditsNano: account.usageCreditsNano,
    usageOwnKeyNano: account.usageOwnKeyNano,
    heldNano: account.heldNano,
    requests: account.requests,
    inputTokens: account.inputTokens,
    outputTokens: account.outputTokens,
    unpricedRequests: account.unpricedRequests,
    limitNano: account.limitNano,
    recurring: recurringUse(account),
    sessionLimitNano: account.sessionLimitNano,
    topUp: topUp && {
      amountNano: topUp.amountNano,
      until: topUp.until === null ? null : new Date(topUp.until).toISOString(),
    },
    pause: key.pause && {
      reason: 'loop',
      at: new Date(key.pause.at).toISOString(),
      count: key.pause.count,
    },
    fallback: key.fallback,
    limitState: limitState(account),
  };
}

function createHandlers(dependencies: ApiDependencies): Omit<Handlers, MachineMethod> {
  const { keys, providers, prices, ledger, requests, usage, settings, models, now } = dependencies;

  const rowOf = (key: Key): KeyRow => mustBe(toKeyRow(key, ledger, now()), 'key');
  const changed = (key: Key): KeyRow => {
    dependencies.keyChanged(key.id);
    return rowOf(key);
  };
  const told = (provider: Provider) => {
    models.forget();
    dependencies.providersChanged();
    return toProviderRow(provider);
  };
  const stopKey = (id: string, message: string) => dependencies.stopRunning({ kind: 'key', id }, message);

  return {
    'status.get': () => dependencies.status(),

    'keys.list': () => keys.list().map(rowOf),
    'keys.create': ({ name, limitNano, recurring, sessionLimitNano, expiresAt }) => {
      const limits = { limitNano, recurring };
      const { key, secret } = keys.create({
        name,
        expiresAt: toMillis(expiresAt ?? null),
        limits,
        sessionLimitNano,
      });
      ledger.openAccount(key.id);
      return { key: changed(key), secret };
    },
    'keys.update': ({ id, name, enabled, expiresAt, sessionLimitNano, fallback }) => {
      if (fallback && !providers.get(fallback.providerId))
        throw new CallError(
          'invalid_input',
          'This provider does not exist any more. Choose another one.',
          'fallback',
        );
      const change = {
        ...(name === undefined ? {} : { name }),
        ...(enabled === undefined ? {} : { enabled }),
        ...(expiresAt === undefined ? {} : { expiresAt: toMillis(expiresAt) }),
        ...(fallback === undefined ? {} : { fallback }),
      };
      const key = mustBe(keys.update(id, change), 'key');
      if (sessionLimitNano !== undefined) ledger.setSessionLimit(id, sessionLimitNano);
      if (enabled === false) stopKey(id, `Stopped: the key "${key.name}" was disabled in Faregate.`);
      return changed(key);
    },
    ...limitHandlers(dependencies, changed),
    'keys.rotate': ({ id }) => {
      const { key, secret } = mustBe(keys.rotate(id), 'key');
      stopKey(id, `Stopped: the key "${key.name}" was replaced in Faregate.`);
      return { key: changed(key), secret };
    },
    'keys.delete': ({ id }) => {
      const { name } = mustBe(keys.get(id), 'key');
      keys.remove(id);
      stopKey(id, `Stopped: the key "${name}" was deleted in Faregate.`);
      ledger.closeAccount(id);
      dependencies.keyChanged(id);
      return {};
    },

    'providers.list': () => providers.list().map(toProviderRow),
    'providers.create': async ({ kind, ...fields }) => told(await providers.create(kind, fields)),
    'providers.update': async ({ id, ...fields }) =>
      told(mustBe(await providers.update(id, fields), 'provider')),
    'providers.delete': ({ id }) => {
      if (!providers.remove(id)) throw new CallError('not_found', 'This provider does not exist any more.');
      for (const { model } of prices.list(id)) prices.remove(id, model);
      for (const key of keys.list()) {
        if (key.fallback?.providerId !== id) continue;
        keys.update(key.id, { fallback: null });
        changed(key);
      }
      models.forget();
      dependencies.providersChanged();
      return {};
    },
    'providers.test': async ({ id, kind, baseUrl, credential }) => {
      const stored = id === undefined ? undefined : mustBe(providers.get(id), 'provider');
      const provider = draftOf(stored, { kind, baseUrl, credential });
      if (provider.credential === null && providerKindFacts[provider.kind].needsCredential) {
        return { ok: false, message: 'Enter the credential first.', models: [] };
      }
      try {
        const { ids } = await models.ask(provider);
        return {
          ok: true,
          message: `${provider.name} answered with ${ids.length} ${ids.length === 1 ? 'model' : 'models'}.`,
          models: ids,
        };
      } catch (error) {
        if (error instanceof ListError || error instanceof Refusal)
          return { ok: false, message: error.message, models: [] };
        throw error;
      }
    },

    ...priceHandlers(dependencies),
    'reconcile.compare': reconcileHandler(dependencies),

    'requests.list': (filter) => requests.list(filter),
    'requests.outline': (filter) => requests.outline(filter),
    'requests.correct': ({ id, costNano, reason }) => mustBe(ledger.correct(id, costNano, reason), 'request'),
    'requests.get': ({ id }) => mustBe(requests.get(id), 'request'),
    'usage.summary': (range) => usage.summary(range),
    'usage.series': (range) => usage.series(range),
    'usage.sparklines': (range) => usage.sparklines(range),
    'usage.sessions': (filter) => usage.sessions(filter),

    'backups.list': () => dependencies.backups.list().map(toBackupRow),
    'backups.create': async () => toBackupRow(await dependencies.backups.create()),
    'backups.restore': ({ name, carryOver }) => dependencies.backups.restore(name, carryOver),

    'settings.get': () => settings.get(),
    'settings.set': (change) => settings.set(change),
  };
}

/** What is typed in the window over what is stored, without saving it. */
function draftOf(
  stored: Provider | undefined,
  draft: { kind: Provider['kind'] | undefined; baseUrl: string | undefined; credential: string | undefined },
): Provider {
  const kind = stored?.kind ?? draft.kind;
  if (kind === undefined)
    throw new CallError('invalid_input', 'Choose the kind of provider to test.', 'kind');
  const facts = providerKindFacts[kind];
  const baseUrl = draft.baseUrl ?? stored?.baseUrl ?? facts.baseUrl;
  if (baseUrl === '')
    throw new CallError(
      'invalid_input',
      'Enter the address of the endpoint, up to and including /v1.',
      'baseUrl',
    );
  // A stored credential leaves for the stored address only: another address has to be given its own.
  const sameHost = stored !== undefined && sameOrigin(baseUrl, stored.baseUrl);
  return {
    id: stored?.id ?? 'draft',
    kind,
    name: stored?.name ?? facts.name,
    slug: stored?.slug ?? kind,
    baseUrl,
    billing: facts.billing,
    enabled: true,
    createdAt: 0,
    credential: draft.credential || (sameHost ? stored.credential : null),
    credentialState: 'none',
  };
}

function toBackupRow({ name, at, bytes }: BackupFile): BackupRow {
  return { name, at: new Date(at).toISOString(), bytes };
}

function toMillis(time: string | null): number | null {
  return time === null ? null : Date.parse(time);
}
