/** The gateway as one object: the only file of this folder that the rest of `electron/` imports. */
import type { Server } from 'node:http';
import { join, resolve as absolute } from 'node:path';
import { LOOPBACK } from '#shared/defaults.ts';
import type { Status } from '#shared/model.ts';
import { formatLimit, formatUsd } from '#shared/money.ts';
import { createAnnouncer } from './announcer.ts';
import { sharedLimits } from './api/api-limits.ts';
import { createDispatch, toKeyRow } from './api/api.ts';
import { callsOf, type Call, type MachineHandlers } from './api/calls.ts';
import { createBackups } from './backups/backups.ts';
import { createFileWatch } from './backups/file-watch.ts';
import { startDeadline } from './base/deadline.ts';
import { createKeys } from './config/keys.ts';
import { createProviders, type Secrets } from './config/providers.ts';
import { createSettings } from './config/settings.ts';
import { asHost, createExposedServer, startListening } from './http/listen.ts';
import { createGatewayServer } from './http/server.ts';
import { createLedger, type Ledger } from './ledger/ledger.ts';
import { createOverruns } from './ledger/overruns.ts';
import { createUnpriced } from './ledger/repricing.ts';
import { createWarnings, type Warnings } from './ledger/warnings.ts';
import { DAMAGED_SENTENCE } from './ledger/write-failure.ts';
import { createTokenCounter } from './metering/token-count.ts';
import { createVocabularyCounter } from './metering/vocabulary-counter.ts';
import { createPriceData, PRICE_DATA_URL } from './pricing/price-data.ts';
import { createPrices } from './pricing/prices.ts';
import { createAdmission, type Admission } from './proxy/admission.ts';
import { createLoopBrake } from './proxy/loop-brake.ts';
import { createProxy } from './proxy/proxy.ts';
import { createReplaceable, type Gateway, type Restore } from './replaceable.ts';
import { createRequestLog } from './reports/request-log.ts';
import { createUsage } from './reports/usage.ts';
import { asDataFolderError, DATABASE_FILE, isDamage } from './store/data-folder.ts';
import { openStore, type Store } from './store/store.ts';
import { createModelLists } from './upstream/models.ts';
import { createUpstreamAgent, type ProxySettings } from './upstream/upstream-agent.ts';

export type { EventListener } from './announcer.ts';
export type { Gateway } from './replaceable.ts';

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

/** A structured log line; never given a credential, a key, a prompt or an answer. pino fits. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface GatewayOptions {
  /** Created if missing; holds `faregate.db`. */
  dataDir: string;
  secrets: Secrets;
  version: string;
  clock?: Clock;
  log?: Log;
  /** The methods that touch files of the person's home, over the others; without it they answer that they are not served. */
  machine?: (call: Call) => MachineHandlers;
  /** Where newer price data is fetched from, instead of where its makers publish it. */
  priceDataUrl?: string;
  /** The way to providers that are not on this machine; direct unless told. */
  proxies?: ProxySettings;
  /** How long a request waits for money that others hold, in milliseconds; 30 s unless told. */
  waitMs?: number;
  /** How long a request waits for its input to be counted, in milliseconds; 5 s unless told. */
  countMs?: number;
}

/** Opens the data folder, settles what a crash left behind, and wires the parts. @throws DataFolderError */
export function createGateway(options: GatewayOptions): Promise<Gateway> {
  return createReplaceable((restore) => openParts(options, restore), {
    dataDir: options.dataDir,
    now: nowOf(options),
  });
}

const nowOf = (options: GatewayOptions) => {
  const clock = options.clock ?? { now: () => Date.now() };
  return () => clock.now();
};

async function openParts(options: GatewayOptions, restore: Restore): Promise<Gateway> {
  const store = openStore(options.dataDir);
  try {
    return await wire(options, store, nowOf(options), restore);
  } catch (error) {
    store.close();
    throw isDamage(error) ? asDataFolderError(join(options.dataDir, DATABASE_FILE), error) : error;
  }
}

async function wire(
  options: GatewayOptions,
  store: Store,
  now: () => number,
  restore: Restore,
): Promise<Gateway> {
  const { secrets, log } = options;
  let listening: { port: number; url: string } | null = null;
  let closing: Promise<void> | null = null;
  const onInternalError = (error: unknown) => log?.error({ error: describeError(error) }, 'unexpected fault');

  const status = (): Status => ({
    version: options.version,
    gatewayUrl: listening?.url ?? `http://${LOOPBACK}:${settings.get().port}`,
    dataFolder: absolute(options.dataDir),
    paused: settings.paused(),
    problem: ledger.problem(),
    totals: ledger.totals(),
  });
  const keyRow = (id: string) => {
    const key = keys.get(id);
    return key && toKeyRow(key, ledger, now());
  };
  const announcer = createAnnouncer({
    keyRow,
    status,
    limits: () => sharedLimits(ledger, providers),
  });
  const settings = createSettings(store);
  const keys = createKeys(store, now);
  const providers = await createProviders(store, secrets, now);
  const prices = createPrices(store, now);
  let admission: Admission | undefined;
  // Orphan holds are settled while the ledger is being made, before anything can wait for their money or be told.
  let warnings: Warnings | undefined;
  const ledger: Ledger = createLedger(
    store,
    now,
    {
      changed(scope) {
        if (scope.kind === 'key') announcer.keyChanged(scope.id);
        else announcer.limitsChanged();
        const balance = warnings && (scope.kind === 'key' ? ledger.account(scope.id) : ledger.balance(scope));
        if (balance) warnings?.check(balance);
      },
      freed: (keyId) => admission?.wake(keyId),
      settled: (row) => announcer.settled(row),
      problemChanged: () => announcer.statusChanged(),
    },
    {
      // Once all that the sockets have brought this turn is read: at load, dozens of requests share a transaction.
      soon: (flush) =>
        store.soon(() => {
          try {
            flush();
          } catch (error) {
            onInternalError(error);
          }
        }),
    },
  );
  admission = createAdmission(ledger, { waitMs: options.waitMs ?? WAIT_MS });
  warnings = createWarnings(store, {
    thresholds: () => settings.get().thresholds,
    nameOf({ scope }) {
      if (scope.kind === 'global') return 'All keys';
      return (scope.kind === 'key' ? keys : providers).get(scope.id)?.name ?? scope.id;
    },
    tell(notice) {
      const { scope, id, name, percent, usedNano, limitNano } = notice;
      const spent = `${formatUsd(usedNano)} of ${formatLimit(limitNano)}`;
      log?.warn({ scope, id, percent }, `${name}: ${percent} % of the limit is used, ${spent}`);
      announcer.tell({ name: 'limit-threshold', data: notice });
    },
    onInternalError,
  });
  const loops = createLoopBrake({ settings: () => settings.get().loopBrake, now });
  const agent = createUpstreamAgent(options.proxies ?? { http: '', https: '', except: '' });
  const models = createModelLists(providers, agent, now);
  const countMs = options.countMs ?? COUNT_MS;
  const vocabularies = createVocabularyCounter({ timeoutMs: countMs });
  const tokens = createTokenCounter(agent, vocabularies, countMs);
  const priceData = await createPriceData({
    dataDir: options.dataDir,
    url: options.priceDataUrl ?? PRICE_DATA_URL,
    agent,
    now,
    daily: () => settings.get().priceUpdates,
    changed: () => announcer.providersChanged(),
    log,
  });
  const unpriced = createUnpriced({ store, keys, ledger, prices, providers, now });
  const proxy = createProxy({
    ledger,
    admission,
    providers,
    prices,
    overruns: createOverruns(store),
    tokens,
    vocabularies,
    agent,
    unpriced(provider, model, keyId) {
      unpriced.refused(provider, model);
      announcer.modelUnpriced({ provider: provider.slug, model, keyId });
    },
    loops,
    paused: () => settings.paused(),
    pauseKey({ id, name }, count) {
      try {
        keys.setPause(id, { at: now(), count });
      } catch (error) {
        // The request is refused all the same, and the next one comes back here.
        return onInternalError(error);
      }
      log?.warn({ id, count }, `${name} is paused: it sent the same request ${count} times in a row`);
      announcer.keyChanged(id);
      const row = keyRow(id);
      if (row) announcer.tell({ name: 'key-paused', data: row });
    },
    now,
    onInternalError,
  });
  const backups = createBackups({
    dataDir: options.dataDir,
    now,
    damaged(message) {
      log?.error({ found: message }, 'the ledger is damaged');
      ledger.fail(DAMAGED_SENTENCE);
    },
    failed: ({ message }) => log?.warn({}, message),
  });
  const dispatch = createDispatch({
    keys,
    providers,
    prices,
    ledger,
    unpriced,
    priceData,
    backups: { ...backups, restore },
    store,
    machine: options.machine?.(callsOf({ dispatch: (name, input) => dispatch(name, input) })),
    requests: createRequestLog(store, () => ledger.rollUp()),
    usage: createUsage(store, () => ledger.rollUp(), now),
    settings,
    models,
    now,
    status,
    stopRunning(scope, message) {
      const waiting =
        scope.kind === 'provider' ? 0 : admission.stop(scope.kind === 'key' ? scope.id : null, message);
      return waiting + proxy.stop(scope, message);
    },
    stopWaiting: (message) => void admission.stop(null, message),
    resumed: (keyId) => loops.forget(keyId),
    statusChanged: () => announcer.statusChanged(),
    keyChanged: (keyId) => announcer.keyChanged(keyId),
    providersChanged: () => announcer.providersChanged(),
    onInternalError,
  });
  const watch = createFileWatch({ store, ledger, dataDir: options.dataDir, now, log });
  const serving = { keys, providers, ledger, proxy, models, now, onInternalError };
  const server = createGatewayServer(serving);
  let exposed: Server | null = null;
  const endRepeating = [
    // What could not be written is tried again, so that a freed disk mends itself. And windows end: looked at by the
    // clock each time, since a timer for the moment itself is wrong once the machine has slept or its clock was set.
    repeat(TICK_MS, () => {
      if (ledger.problem() !== null) ledger.retry();
      ledger.endPeriods();
      watch.look();
    }),
    // A start has other things to do first; after that a look at the clock now and then tells when a day is over.
    repeat(PRICE_TICK_MS, () => void priceData.tick().catch(onInternalError), FIRST_PRICE_TICK_MS),
    // The ledger is looked over soon: whatever broke it may have been what ended the process before.
    repeat(BACKUP_TICK_MS, () => void backups.tick(), FIRST_BACKUP_TICK_MS),
  ];

  async function close(graceMs: number): Promise<void> {
    // Listening ends at once; connections that are idle are closed, running requests go on.
    const servers = [listening === null ? null : server, exposed].filter((each) => each !== null);
    const closed = servers.map((each) => new Promise<void>((resolve) => each.close(() => resolve())));
    for (const each of servers) each.closeIdleConnections();
    admission?.close();
    proxy.close(CLOSED);
    const graceOver = new Promise<void>((resolve) => void startDeadline(graceMs, resolve));
    await Promise.race([proxy.idle(), graceOver]);
    // From here on nothing waits for a count: what is stopped is settled by ratio, at once.
    vocabularies.close();
    proxy.stop({ kind: 'global' }, CLOSED);
    // What was just written to the sockets leaves before they are closed.
    await new Promise((resolve) => setImmediate(resolve));
    for (const each of servers) each.closeAllConnections();
    await Promise.all(closed);
    for (const end of endRepeating) end();
    announcer.flush();
    announcer.close();
    ledger.retry();
    const lost = ledger.unwritten();
    if (lost > 0) {
      const missing = `The cost of ${lost} ${lost === 1 ? 'request' : 'requests'} is not on record, since the ledger could not be written to the end.`;
      log?.error({ lost }, `${missing} ${ledger.problem() ?? ''}`.trimEnd());
    }
    watch.close();
    await agent.destroy();
    await store.endCheckpoints();
    store.close();
  }

  return {
    async listen(where) {
      const port = where?.port ?? settings.get().port;
      const actual = await startListening(server, port);
      listening = { port: actual, url: `http://${LOOPBACK}:${actual}` };
      announcer.statusChanged();
      return listening;
    },
    async expose({ address, port, cert, key }) {
      exposed = createExposedServer(serving, { address, cert, key });
      const actual = await startListening(exposed, port, address);
      return { url: `https://${asHost(address)}:${actual}` };
    },
    dispatch,
    subscribe: (listener) => announcer.subscribe(listener),
    async flush() {
      ledger.retry();
      await store.synced();
    },
    close: (how) => (closing ??= close(Math.min(how?.graceMs ?? MAX_GRACE_MS, MAX_GRACE_MS))),
  };
}

/** How long a request waits for money that others hold before it is told to come back. */
const WAIT_MS = 30_000;
const COUNT_MS = 5_000;
const TICK_MS = 1_000;
const MAX_GRACE_MS = 5_000;
const CLOSED = 'Stopped: Faregate was closed.';
const FIRST_PRICE_TICK_MS = 20_000;
const PRICE_TICK_MS = 600_000;
const FIRST_BACKUP_TICK_MS = 30_000;
const BACKUP_TICK_MS = 300_000;

/** Keeps no process from ending. Returns what ends it. */
function repeat(everyMs: number, act: () => void, firstMs = everyMs): () => void {
  let next: NodeJS.Timeout;
  const first = setTimeout(() => {
    next = setInterval(act, everyMs).unref();
    act();
  }, firstMs).unref();
  return () => {
    clearTimeout(first);
    clearInterval(next);
  };
}

/** Type, message and stack: never the values an error may carry along. */
function describeError(error: unknown): object {
  return error instanceof Error
    ? { name: error.name, message: error.message, stack: error.stack }
    : { message: String(error) };
}

export { listBackups } from './backups/backups.ts';
export { restoreBackup, RestoreError } from './backups/restore.ts';
export { DataFolderError, makeDataFolder } from './store/data-folder.ts';
export { proxySettings, ProxySettingError } from './upstream/upstream-agent.ts';
export type { Secrets } from './config/providers.ts';
export { loadAssets, type AssetResponse, type Assets } from './http/assets.ts';
export { isSealedByKeyFile, keyFileSecrets, SecretKeyError } from './config/keyfile.ts';
export { CallError, callsOf, type Call, type MachineHandlers } from './api/calls.ts';
export { ListenError } from './http/listen.ts';
export { createControl, readControlAddress, type Control, type Opened } from './http/control.ts';
export { createWeb, type Web } from './http/web.ts';
export { startDeadline } from './base/deadline.ts';
