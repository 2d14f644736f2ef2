/** The gateway under test: the built program as a process of its own, or the core inside the test with its own clock. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { createParser } from 'eventsource-parser';
import * as z from 'zod';
import {
  type ContractError,
  isEventName,
  type Answer,
  type EventData,
  type EventName,
  type Input,
  type MethodName,
  type Output,
} from '#shared/contract.ts';
import type { ProviderKind, ProviderRow } from '#shared/model.ts';
import { usdToNano } from '#shared/money.ts';
import { readAnswer, readEvent } from '#shared/wire.ts';
import {
  createGateway,
  type Clock,
  type Gateway,
  type GatewayOptions,
  type Secrets,
} from '../../electron/gateway/gateway.ts';
import { DATABASE_FILE } from '../../electron/gateway/store/data-folder.ts';
import { openStore } from '../../electron/gateway/store/store.ts';
import { PATIENCE_MS } from './patience.ts';
import type { Upstream } from './upstream.ts';

export const projectRoot = resolve(import.meta.dirname, '..', '..');

/** The contract as a test uses it: the value, or an exception that carries the contract's error. */
export interface Caller {
  call: <N extends MethodName>(name: N, input: Input<N>) => Promise<Output<N>>;
  tryCall: <N extends MethodName>(name: N, input: unknown) => Promise<Answer<Output<N>>>;
}

export class CallFailed extends Error {
  readonly error: ContractError;
  constructor(method: string, error: ContractError) {
    super(`${method}: ${error.code}: ${error.message}`);
    this.name = 'CallFailed';
    this.error = error;
  }
}

/** The events of the gateway, kept from the start, so that one that came early is still found. */
export interface EventRecord {
  readonly seen: readonly { name: EventName; data: unknown }[];
  /** Resolves with the first event of this name that fits, past or to come. */
  first<N extends EventName>(name: N, fits?: (data: EventData<N>) => boolean): Promise<EventData<N>>;
  close(): void;
}

export interface RunningGateway extends Caller {
  /** Origin of the metered gateway, such as `http://127.0.0.1:41234`. */
  readonly url: string;
  readonly dataDir: string;
  events(): Promise<EventRecord>;
}

const Ready = z.object({
  event: z.literal('ready'),
  gatewayUrl: z.string(),
  dashboardUrl: z.string().nullable(),
  apiUrl: z.string(),
  token: z.string(),
  pid: z.number(),
});

export interface GatewayProcess extends RunningGateway {
  readonly dashboardUrl: string;
  readonly apiUrl: string;
  readonly token: string;
  readonly pid: number;
  /** What it took to be ready, in milliseconds: how fast this machine is just now. */
  readonly startedInMs: number;
  /** What the process has written to stderr, and to stdout after the ready line. */
  output(): string;
  /** Ends it in order; resolves with the exit code. */
  stop(signal?: 'SIGTERM' | 'SIGINT'): Promise<number | null>;
  /** As a power cut: no chance to settle anything. */
  kill9(): Promise<void>;
  /** A new process over the same data folder; this one must have ended. Without a port a free one is used. */
  restart(options?: { port?: number }): Promise<GatewayProcess>;
  /** Ends it where it still runs, and removes the data folder. */
  dispose(): Promise<void>;
}

export interface ProcessOptions {
  dataDir?: string;
  port?: number;
  args?: string[];
  env?: Record<string, string>;
}

/** Starts the built headless gateway, `dist/cli.js`, and waits until it says that it is ready. */
export async function startGateway(options: ProcessOptions = {}): Promise<GatewayProcess> {
  const program = join(projectRoot, 'dist', 'cli.js');
  if (!existsSync(program)) throw new Error('dist/cli.js is missing: run `npm run build` first');
  const dataDir = options.dataDir ?? temporaryFolder();
  const args = [
    program,
    '--port',
    String(options.port ?? 0),
    '--data-dir',
    dataDir,
    '--json',
    ...(options.args ?? []),
  ];
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: projectRoot,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));

  const lines = createInterface({ input: child.stdout });
  const firstLine = await Promise.race([
    once(lines, 'line').then(([line]: unknown[]) => String(line)),
    exited.then(([code]: unknown[]) => {
      throw new Error(`the gateway ended with code ${String(code)} before it was ready:\n${output}`);
    }),
  ]);
  lines.on('line', (line) => (output += `${line}\n`));
  const ready = Ready.parse(JSON.parse(firstLine));
  const startedInMs = performance.now() - startedAt;
  const authorization = { authorization: `Bearer ${ready.token}` };
  const open = new Set<EventRecord>();

  const tryCall: Caller['tryCall'] = async (name, input) => {
    const response = await fetch(`${ready.apiUrl}/call`, {
      method: 'POST',
      headers: { ...authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ name, input }),
    });
    return parseAnswer(name, await response.json());
  };

  const ended = () => child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals) => {
    for (const record of open) record.close();
    if (!ended()) {
      child.kill(signal);
      await exited;
    }
    return child.exitCode;
  };

  return {
    url: ready.gatewayUrl,
    dashboardUrl: ready.dashboardUrl ?? '',
    apiUrl: ready.apiUrl,
    token: ready.token,
    pid: ready.pid,
    startedInMs,
    dataDir,
    output: () => output,
    tryCall,
    call: throwing(tryCall),
    async events() {
      const abort = new AbortController();
      const { record, add } = recorder(() => {
        abort.abort();
        open.delete(record);
      });
      const response = await fetch(`${ready.apiUrl}/events`, {
        headers: authorization,
        signal: abort.signal,
      });
      if (!response.ok || !response.body) throw new Error(`the events answered ${response.status}`);
      open.add(record);
      void pump(response.body, add);
      return record;
    },
    stop: (signal = 'SIGTERM') => end(signal),
    async kill9() {
      await end('SIGKILL');
    },
    async restart(again) {
      if (!ended()) throw new Error('stop the gateway before it is started again');
      return startGateway({ ...options, ...again, dataDir });
    },
    async dispose() {
      await end('SIGKILL');
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** A clock that moves only when it is told to. */
export interface FakeClock extends Clock {
  set(iso: string): void;
  advance(ms: number): void;
}

export function fakeClock(iso: string): FakeClock {
  let now = Date.parse(iso);
  return {
    now: () => now,
    set(to) {
      now = Date.parse(to);
    },
    advance(ms) {
      now += ms;
    },
  };
}

export interface CoreGateway extends RunningGateway {
  readonly gateway: Gateway;
  /** Closes it and opens it again over the same data folder. */
  restart(): Promise<CoreGateway>;
  dispose(): Promise<void>;
}

/** The core inside the test's own process: as real as the program, but for the sealing of credentials. */
export async function startCore(
  options: Partial<Omit<GatewayOptions, 'secrets' | 'version'>> = {},
): Promise<CoreGateway> {
  const dataDir = options.dataDir ?? folderWithLedger();
  const gateway = await createGateway({
    secrets: readableSecrets,
    version: '0.0.0-test',
    countMs: PATIENCE_MS,
    ...options,
    dataDir,
  });
  const { url } = await gateway.listen({ port: 0 });
  const tryCall: Caller['tryCall'] = async (name, input) =>
    parseAnswer(name, await gateway.dispatch(name, input));
  return {
    gateway,
    url,
    dataDir,
    tryCall,
    call: throwing(tryCall),
    async events() {
      let unsubscribe = () => {};
      const { record, add } = recorder(() => unsubscribe());
      unsubscribe = gateway.subscribe(({ name, data }) => add(name, data));
      return record;
    },
    async restart() {
      await gateway.close({ graceMs: 0 });
      return startCore({ ...options, dataDir });
    },
    async dispose() {
      await gateway.close({ graceMs: 0 });
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** No encryption, but the plain text is not what lies in the file. */
const readableSecrets: Secrets = {
  seal: async (plain) => Buffer.from(Buffer.from(plain, 'utf8').toString('base64')),
  open: async (sealed) => Buffer.from(sealed.toString('utf8'), 'base64').toString('utf8'),
};

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'faregate-'));
}

let emptyLedger: Buffer | undefined;

/**
 * A temporary folder with the ledger that a first start makes in an empty one. To make it takes as long as all else that
 * a gateway opens, so it is made once a worker; that a first start does so is for the tests of programs to show.
 */
export function folderWithLedger(): string {
  const dataDir = temporaryFolder();
  const ledger = join(dataDir, DATABASE_FILE);
  if (emptyLedger) writeFileSync(ledger, emptyLedger, { mode: 0o600 });
  else {
    openStore(dataDir).close();
    emptyLedger = readFileSync(ledger);
  }
  return dataDir;
}

/** Adds a provider that is the upstream; a base URL goes up to and including the version segment. */
export function addProvider(
  { call }: Pick<Caller, 'call'>,
  upstream: Pick<Upstream, 'url'>,
  kind: ProviderKind,
  more: Partial<Input<'providers.create'>> = {},
): Promise<ProviderRow> {
  const version = kind === 'gemini' ? 'v1beta' : 'v1';
  return call('providers.create', {
    kind,
    baseUrl: `${upstream.url}/${version}`,
    credential: 'sk-upstream',
    ...more,
  });
}

/** Dollars as a test writes them, in the contract's integers. */
export function usd(amount: string): number {
  const nano = usdToNano(amount);
  if (nano === null) throw new Error(`not an amount: ${amount}`);
  return nano;
}

function throwing(tryCall: Caller['tryCall']): Caller['call'] {
  return async (name, input) => {
    const answer = await tryCall<typeof name>(name, input);
    if (!answer.ok) throw new CallFailed(name, answer.error);
    return answer.value;
  };
}

function parseAnswer<N extends MethodName>(name: N, answer: unknown): Answer<Output<N>> {
  const read = readAnswer(name, answer);
  if (read === null) throw new Error(`no answer of the contract to ${name}: ${JSON.stringify(answer)}`);
  return read;
}

function recorder(close: () => void): { record: EventRecord; add: (name: string, data: unknown) => void } {
  const seen: { name: EventName; data: unknown }[] = [];
  const listeners = new Set<() => void>();
  const record: EventRecord = {
    seen,
    first(name, fits = () => true) {
      type Data = EventData<typeof name>;
      return new Promise((done) => {
        let next = 0;
        const look = () => {
          for (; next < seen.length; next += 1) {
            const event = seen[next];
            if (event?.name !== name || !fits(event.data as Data)) continue;
            listeners.delete(look);
            done(event.data as Data);
            return;
          }
        };
        listeners.add(look);
        look();
      });
    },
    close,
  };
  const add = (name: string, data: unknown) => {
    if (!isEventName(name)) return;
    const event = readEvent(name, data);
    if (event === null) throw new Error(`no event of the contract: ${name} ${JSON.stringify(data)}`);
    seen.push(event);
    for (const look of listeners) look();
  };
  return { record, add };
}

async function pump(
  body: ReadableStream<Uint8Array>,
  add: (name: string, data: unknown) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  const parser = createParser({
    onEvent: ({ event, data }) => add(event ?? '', JSON.parse(data)),
  });
  try {
    for await (const chunk of body) parser.feed(decoder.decode(chunk, { stream: true }));
  } catch {
    // The record was closed or the gateway ended: there is nothing more to record.
  }
}
