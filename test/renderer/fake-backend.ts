/**
 * A stand-in for the gateway's contract over loopback, with rows that can be set to anything: for looking at the window
 * in states a real gateway would take long to reach, and for tests of the page in a browser. Serves the built renderer
 * under the Content-Security-Policy it has to live with.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import type { ToolRow } from '#shared/connect.ts';
import {
  isMethodName,
  methods,
  type Answer,
  type EventData,
  type EventName,
  type Output,
} from '#shared/contract.ts';
import { defaultSettings, NEAR_LIMIT_PERCENT } from '#shared/defaults.ts';
import type { KeyRow, PriceRow, ProviderRow, RequestRow, Settings, Status } from '#shared/model.ts';

export interface FakeState {
  status: Status;
  settings: Settings;
  keys: KeyRow[];
  providers: ProviderRow[];
  prices: PriceRow[];
  requests: RequestRow[];
  tools: ToolRow[];
  sparklines: Output<'usage.sparklines'>;
}

export interface FakeBackend {
  state: FakeState;
  url: string;
  token: string;
  /** Answers of the next calls of a method, instead of what the state says. */
  failNext(method: string, message: string, field?: string): void;
  /** Answers of a method from now on; null lets it answer again. */
  failAlways(method: string, message: string | null): void;
  /** Method and address of every request, in order. */
  requests: string[];
  /** Violations of the policy that the browser reported. */
  violations: unknown[];
  send<N extends EventName>(name: N, data: EventData<N>): void;
  /** Ends event streams and answers nothing until `restore`. */
  cut(): void;
  restore(): void;
  close(): Promise<void>;
}

const usd = (dollars: number) => Math.round(dollars * 1e9);
const token = 'fake-token';

export function keyRow(part: Partial<KeyRow> & { id: string; name: string }): KeyRow {
  const row: KeyRow = {
    masked: 'sk-fg-Ab3d…9xYz',
    status: 'active',
    createdAt: '2026-10-01T09:30:00.000Z',
    lastUsedAt: null,
    expiresAt: null,
    usageNano: 0,
    usageCreditsNano: 0,
    usageOwnKeyNano: part.usageNano ?? 0,
    heldNano: 0,
    requests: 0,
    inputTokens: 0,
    outputTokens: 0,
    unpricedRequests: 0,
    limitNano: null,
    recurring: null,
    sessionLimitNano: null,
    topUp: null,
    pause: null,
    fallback: null,
    limitState: 'none',
    ...part,
  };
  return { ...row, limitState: limitStateOf(row) };
}

function limitStateOf(row: KeyRow): KeyRow['limitState'] {
  const shares: number[] = [];
  if (row.limitNano !== null) shares.push(row.limitNano === 0 ? 1 : row.usageNano / row.limitNano);
  if (row.recurring)
    shares.push(row.recurring.amountNano === 0 ? 1 : row.recurring.usedNano / row.recurring.amountNano);
  const most = Math.max(-1, ...shares);
  if (most < 0) return 'none';
  return most >= 1 ? 'reached' : most * 100 >= NEAR_LIMIT_PERCENT ? 'near' : 'ok';
}

export function emptyState(): FakeState {
  return {
    status: {
      version: '0.1.0',
      gatewayUrl: 'http://127.0.0.1:3273',
      dataFolder: '/home/me/.local/share/Faregate',
      paused: false,
      problem: null,
      totals: { usageNano: 0, heldNano: 0, todayNano: 0, monthNano: 0, requests: 0, running: 0 },
    },
    settings: defaultSettings,
    keys: [],
    providers: [],
    prices: [],
    requests: [],
    tools: [],
    sparklines: [],
  };
}

export function requestRow(id: number, part: Partial<RequestRow> = {}): RequestRow {
  return {
    id,
    at: new Date(Date.UTC(2026, 10, 22, 12, 0, id)).toISOString(),
    keyId: 'k1',
    provider: 'anthropic',
    dialect: 'anthropic-messages',
    modelAsked: 'claude-sonnet-4-5',
    model: 'claude-sonnet-4-5',
    client: 'claude-code',
    session: null,
    agent: null,
    parentAgent: null,
    status: 200,
    stream: true,
    inputTokens: 18_400 + id,
    cachedInputTokens: 15_000,
    cacheWriteTokens: 0,
    cacheWrite1hTokens: 0,
    outputTokens: 412,
    reasoningTokens: 0,
    webSearches: 0,
    costNano: usd(0.0213),
    reportedCostNano: null,
    computedCostNano: usd(0.0213),
    savedNano: null,
    priceSource: 'catalogue',
    flags: [],
    firstByteMs: 640,
    durationMs: 5_230,
    ...part,
  };
}

export function providerRow(
  part: Partial<ProviderRow> & { id: string; kind: ProviderRow['kind'] },
): ProviderRow {
  return {
    name: part.kind,
    slug: part.kind,
    baseUrl: 'https://api.example.com/v1',
    billing: 'own-key',
    enabled: true,
    hasCredential: true,
    credentialUnreadable: false,
    dialects: ['openai-chat'],
    createdAt: '2026-10-01T09:00:00.000Z',
    ...part,
  };
}

class Failure extends Error {
  readonly field: string | undefined;
  constructor(message: string, field?: string) {
    super(message);
    this.field = field;
  }
}

export async function startFakeBackend(rendererDir: string, state: FakeState): Promise<FakeBackend> {
  const streams = new Set<ServerResponse>();
  const failures = new Map<string, Failure>();
  const faults = new Map<string, Failure>();
  const violations: unknown[] = [];
  const requests: string[] = [];
  let isCut = false;

  const send: FakeBackend['send'] = (name, data) => {
    for (const stream of streams) stream.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  const told = (row: KeyRow): KeyRow => {
    const current = { ...row, limitState: limitStateOf(row) };
    state.keys = state.keys.map((each) => (each.id === row.id ? current : each));
    send('keys-changed', { rows: [current], removed: [] });
    return current;
  };
  const find = (id: string): KeyRow => {
    const row = state.keys.find((each) => each.id === id);
    if (!row) throw new Failure('There is no such key.');
    return row;
  };

  function handle(name: string, input: unknown): unknown {
    const fault = faults.get(name);
    if (fault) throw fault;
    const failure = failures.get(name);
    if (failure) {
      failures.delete(name);
      throw failure;
    }
    switch (name) {
      case 'status.get':
        return state.status;
      case 'settings.get':
        return state.settings;
      case 'settings.set':
        return (state.settings = { ...state.settings, ...methods[name].input.parse(input) } as Settings);
      case 'limits.get': {
        const none = { limitNano: null, recurring: null, heldNano: 0, limitState: 'none' as const };
        const usageNano = state.status.totals.usageNano;
        const of = (row: ProviderRow) => ({
          providerId: row.id,
          slug: row.slug,
          name: row.name,
          usageNano: 0,
          ...none,
        });
        return { global: { usageNano, ...none }, providers: state.providers.map(of) };
      }
      case 'gateway.pause':
        return (state.status = { ...state.status, paused: methods[name].input.parse(input).paused });
      case 'prices.data':
        return {
          name: 'genai-prices 0.1.8',
          date: '2026-09-23',
          origin: 'shipped',
          models: 1_694,
          vendors: 43,
          url: 'https://raw.githubusercontent.com/data.json',
          checkedAt: null,
          problem: null,
        };
      case 'backups.list':
      case 'prices.unpriced':
        return [];
      case 'connect.list':
        return state.tools;
      case 'keys.list':
        return state.keys;
      case 'keys.create': {
        const { name: keyName, limitNano, recurring, sessionLimitNano } = methods[name].input.parse(input);
        const row = keyRow({
          id: randomBytes(4).toString('hex'),
          name: keyName,
          createdAt: new Date().toISOString(),
          limitNano,
          sessionLimitNano,
          recurring: recurring && { ...recurring, usedNano: 0, resetsAt: '2026-12-01T00:00:00.000Z' },
        });
        state.keys = [...state.keys, row];
        send('keys-changed', { rows: [row], removed: [] });
        return { key: row, secret: `sk-fg-${'Zq7'.repeat(14)}x` };
      }
      case 'keys.update': {
        const { id, name: keyName, enabled } = methods[name].input.parse(input);
        return told({
          ...find(id),
          ...(keyName === undefined ? {} : { name: keyName }),
          ...(enabled === undefined ? {} : { status: enabled ? ('active' as const) : ('disabled' as const) }),
        });
      }
      case 'keys.setLimit': {
        const { id, limitNano, recurring, sessionLimitNano } = methods[name].input.parse(input);
        const next = recurring && { ...recurring, usedNano: 0, resetsAt: '2026-12-01T00:00:00.000Z' };
        return told({
          ...find(id),
          limitNano,
          ...(next === undefined ? {} : { recurring: next }),
          ...(sessionLimitNano === undefined ? {} : { sessionLimitNano }),
        });
      }
      case 'keys.rotate':
        return { key: find(methods[name].input.parse(input).id), secret: `sk-fg-${'Rt4'.repeat(14)}y` };
      case 'keys.delete': {
        const { id } = methods[name].input.parse(input);
        state.keys = state.keys.filter((each) => each.id !== id);
        send('keys-changed', { rows: [], removed: [id] });
        return {};
      }
      case 'providers.list':
        return state.providers;
      case 'providers.create': {
        const { kind, name: providerName } = methods[name].input.parse(input);
        const row = providerRow({ id: randomBytes(4).toString('hex'), kind, name: providerName ?? kind });
        state.providers = [...state.providers, row];
        send('providers-changed', {});
        return row;
      }
      case 'providers.update': {
        const { id, enabled } = methods[name].input.parse(input);
        state.providers = state.providers.map((each) =>
          each.id === id ? { ...each, enabled: enabled ?? each.enabled } : each,
        );
        return state.providers.find((each) => each.id === id);
      }
      case 'providers.delete':
        state.providers = state.providers.filter((each) => each.id !== methods[name].input.parse(input).id);
        return {};
      case 'providers.test':
        return { ok: true, message: 'OK', models: ['a', 'b', 'c'] };
      case 'prices.list':
        return state.prices;
      case 'usage.sparklines':
        return state.sparklines;
      case 'usage.series':
        return [];
      case 'usage.sessions':
        return { sessions: [], next: null };
      case 'requests.list': {
        const { before, limit, keyId } = methods[name].input.parse(input);
        const older = state.requests.filter(
          (row) => row.id < (before ?? Infinity) && (!keyId || row.keyId === keyId),
        );
        const rows = older.slice(0, limit);
        return { rows, next: older.length > limit ? rows.at(-1)?.id : null };
      }
      case 'requests.outline':
        return null;
      default:
        throw new Failure(`${name} is not part of the fake.`);
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://local');
    requests.push(`${request.method} ${request.url}`);
    if (isCut && url.pathname.startsWith('/api/')) return void response.destroy();
    if (url.pathname === '/violation') {
      violations.push(JSON.parse(await text(request)));
      return void response.end();
    }
    if (url.pathname === '/api/events' || url.pathname === '/api/call') {
      if (request.headers.authorization !== `Bearer ${token}`) return void response.writeHead(401).end('{}');
    }
    if (url.pathname === '/api/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': open\n\n');
      streams.add(response);
      response.once('close', () => streams.delete(response));
      return;
    }
    if (url.pathname === '/api/call') {
      const { name, input } = JSON.parse(await text(request)) as { name: unknown; input: unknown };
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify(answer(name, input)));
      return;
    }
    const file = path.join(rendererDir, url.pathname === '/' ? 'index.html' : path.normalize(url.pathname));
    const nonce = randomBytes(16).toString('base64');
    const types: Record<string, string> = {
      '.html': 'text/html',
      '.js': 'text/javascript',
      '.css': 'text/css',
      '.svg': 'image/svg+xml',
    };
    const body = readFileSync(file);
    response.writeHead(200, {
      'content-type': types[path.extname(file)] ?? 'application/octet-stream',
      'content-security-policy':
        `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data:; font-src 'self'; ` +
        `connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; report-uri /violation`,
    });
    response.end(file.endsWith('.html') ? body.toString().replaceAll('__CSP_NONCE__', nonce) : body);
  }

  function answer(name: unknown, input: unknown): Answer<unknown> {
    try {
      if (!isMethodName(name)) throw new Failure('no such method');
      return { ok: true, value: handle(name, input) };
    } catch (error) {
      const field = error instanceof Failure ? error.field : undefined;
      const message = error instanceof Error ? error.message : String(error);
      return { ok: false, error: { code: 'internal', message, ...(field === undefined ? {} : { field }) } };
    }
  }

  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.writeHead(404).end());
  });
  const url = await new Promise<string>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`);
    });
  });

  return {
    state,
    url,
    token,
    requests,
    violations,
    send,
    failNext: (method, message, field) => void failures.set(method, new Failure(message, field)),
    failAlways(method, message) {
      if (message === null) faults.delete(method);
      else faults.set(method, new Failure(message));
    },
    cut() {
      isCut = true;
      for (const stream of streams) stream.destroy();
    },
    restore() {
      isCut = false;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
