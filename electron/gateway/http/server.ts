/**
 * The listener: guards against the browser, the route table, authentication, and the one place where an error becomes
 * an answer in the caller's own dialect.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib';
import { LOOPBACK } from '#shared/defaults.ts';
import { Refusal } from '#shared/errors.ts';
import { nanoToUsd } from '#shared/money.ts';
import { hashOf, keyStatus, type Key, type Keys } from '../config/keys.ts';
import { appliedLimits, leastOf, usedIn, type AppliedLimit } from '../config/limits.ts';
import type { Providers } from '../config/providers.ts';
import { dialects } from '../dialects/index.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { cutOff, endWith, noteAnswer, refuseMalformed } from '../proxy/connection.ts';
import type { Proxy } from '../proxy/proxy.ts';
import {
  createRouter,
  dialectOf,
  SERVED,
  type matchRoute,
  type Route,
  type UpstreamRoute,
} from '../proxy/routes.ts';
import type { ModelLists } from '../upstream/models.ts';

export interface ServerDependencies {
  keys: Keys;
  providers: Providers;
  ledger: Ledger;
  proxy: Proxy;
  models: ModelLists;
  now: () => number;
  onInternalError(error: unknown): void;
}

/** As large as the largest request a provider takes (Gemini: 100 MB with inline data), and no larger. */
const MAX_BODY_BYTES = 128 * 1024 * 1024;

/** A socket is read in pieces of this size. */
const FEW_PIECES = 64 * 1024;
/** Whoever announces more has to send it before it takes memory. */
const MAX_ANNOUNCED = 16 * 1024 * 1024;

/** A listener that other machines reach: TLS, and the names and addresses (lower case, no port) it is reached by. */
export interface Exposure {
  cert: string;
  key: string;
  hosts: ReadonlySet<string>;
}

/** Without an exposure it is meant for loopback, in the clear. */
export function createGatewayServer(dependencies: ServerDependencies, exposure?: Exposure): Server {
  const options = {
    // A model may think for half an hour: only the time to send the headers is limited.
    requestTimeout: 0,
    headersTimeout: 60_000,
    keepAliveTimeout: 75_000,
    maxHeaderSize: 64 * 1024,
    insecureHTTPParser: false,
    // An offer of HTTP/2, as Java's client makes with every request, may be passed over (RFC 9110, section 7.8).
    shouldUpgradeCallback: ({ headers }: IncomingMessage) => /websocket/i.test(headers.upgrade ?? ''),
  };
  const isOwnHost = exposure ? (host: string) => isAmong(exposure.hosts, host) : isLoopback;
  const routeOf = createRouter();
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    noteAnswer(request, response);
    serve(dependencies, request, response, { isOwnHost, routeOf }).catch((error: unknown) => {
      // Not even a refusal could be made: one request is lost, and nothing else may be.
      dependencies.onInternalError(error);
      cutOff(response);
    });
  };
  const server = exposure
    ? createTlsServer({ ...options, cert: exposure.cert, key: exposure.key }, handle)
    : createServer(options, handle);
  server.on('upgrade', (request, socket) => refuseUpgrade(request, socket));
  server.on('clientError', refuseMalformed);
  // What is expected beyond 100-continue may be passed over (RFC 9110, section 10.1.1).
  server.on('checkExpectation', handle);
  return server;
}

async function serve(
  dependencies: ServerDependencies,
  request: IncomingMessage,
  response: ServerResponse,
  { isOwnHost, routeOf }: { isOwnHost: (host: string) => boolean; routeOf: typeof matchRoute },
): Promise<void> {
  const { pathname, query } = splitTarget(request.url ?? '/');
  let route: Route = { kind: 'unknown' };
  try {
    guard(request, isOwnHost);
    route = routeOf(request.method ?? '', pathname, dependencies.providers.slugs());
    if (!('dialect' in route)) return await answer(dependencies, { request, response, route, query });
    const hashes = credentialsOf(request, query);
    const key = authenticate(dependencies, hashes);
    const signal = signalOfClose(response);
    const body = await readBody(request);
    // A body can take its time; meanwhile the key may have been disabled, deleted or replaced.
    authenticate(dependencies, hashes);
    await dependencies.proxy.forward({ route, key, request, response, query, body, signal });
  } catch (error) {
    // A client that goes away while it sends is no fault.
    if (!(error instanceof Refusal) && error !== request.errored) dependencies.onInternalError(error);
    const refusal =
      error instanceof Refusal
        ? error
        : new Refusal('internal', 'Faregate met an unexpected fault. Its log has the details.', {
            cause: error,
          });
    refuse(response, refusal, { id: `fg_${randomUUID()}`, route, pathname, headers: request.headers });
  }
}

interface Asked {
  request: IncomingMessage;
  response: ServerResponse;
  route: Exclude<Route, UpstreamRoute>;
  query: string;
}

/** What the gateway answers itself. */
async function answer(
  dependencies: ServerDependencies,
  { request, response, route, query }: Asked,
): Promise<void> {
  switch (route.kind) {
    case 'alive':
      return sendJson(response, { name: 'Faregate', status: 'ok' });
    case 'wrong-method':
      response.setHeader('allow', route.allow);
      throw new Refusal('method_not_allowed', `This address takes ${route.allow}.`);
    case 'not-metered':
      throw new Refusal(
        'not_metered',
        `${route.what} cannot be metered on this connection, so this request is not passed on. Call the provider directly for it.`,
      );
    case 'unknown':
      throw new Refusal('unknown_route', `Nothing is served at this address. Served: ${SERVED}.`);
    case 'own-key': {
      const key = authenticate(dependencies, credentialsOf(request, query));
      return sendJson(response, describeKey(dependencies, key));
    }
    case 'models': {
      authenticate(dependencies, credentialsOf(request, query));
      const dialect = dialectOf(route, request.url ?? '', request.headers);
      return sendJson(response, await dependencies.models.list(dialect, route));
    }
  }
}

/** Made where somebody asks for it: most requests wait for nothing that could be broken off. */
function signalOfClose(response: ServerResponse): () => AbortSignal {
  let gone: AbortController | undefined;
  return () => {
    if (gone !== undefined) return gone.signal;
    const made = new AbortController();
    const tell = () => {
      if (!response.writableFinished) made.abort();
    };
    if (response.closed) tell();
    else response.once('close', tell);
    gone = made;
    return made.signal;
  };
}

/**
 * A web page can make a browser on this machine send requests here. Its address is not in the allow-list (so a name
 * that was rebound to 127.0.0.1 does not get in), and it cannot hide where it comes from. No tool sends these headers.
 */
function guard(request: IncomingMessage, isOwnHost: (host: string) => boolean): void {
  // Of two only the first would be looked at (RFC 9112, section 3.2).
  let hosts = 0;
  const { rawHeaders } = request;
  for (let index = 0; index < rawHeaders.length; index += 2)
    if (rawHeaders[index]?.length === 4 && rawHeaders[index]?.toLowerCase() === 'host') hosts += 1;
  if (hosts > 1) throw new Refusal('bad_request', 'The header "Host" is given twice. Send it once.');
  if (!isOwnHost((request.headers.host ?? '').toLowerCase())) {
    throw new Refusal(
      'forbidden_host',
      `Faregate answers on ${LOOPBACK} and localhost only. Use that address.`,
    );
  }
  const site = request.headers['sec-fetch-site'];
  if (request.headers.origin !== undefined || (site !== undefined && site !== 'none')) {
    throw new Refusal(
      'cross_site',
      'Faregate does not take requests from web pages. Call it from a program on this machine.',
    );
  }
}

/** Any port: behind an SSH tunnel a client knows the tunnel's, not ours. */
function isLoopback(host: string): boolean {
  return /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/.test(host);
}

function isAmong(hosts: ReadonlySet<string>, host: string): boolean {
  return hosts.has(host.replace(/:\d{1,5}$/, ''));
}

/** What a connection sent last of the credentials, and their hashes. */
interface Presented {
  authorization: string | undefined;
  apiKey: unknown;
  googleKey: unknown;
  query: string;
  hashes: readonly string[];
}

/** A connection sends the same credential with each request: it is hashed once, and forgotten with the connection. */
const presented = new WeakMap<Socket, Presented>();

/** Hashes of all the credentials the clients use, on any route. None is passed on. */
function credentialsOf({ headers, socket }: IncomingMessage, query: string): readonly string[] {
  const { authorization, 'x-api-key': apiKey, 'x-goog-api-key': googleKey } = headers;
  const last = presented.get(socket);
  if (
    last !== undefined &&
    last.authorization === authorization &&
    last.apiKey === apiKey &&
    last.googleKey === googleKey &&
    last.query === query
  )
    return last.hashes;
  const hashes: string[] = [];
  const add = (given: unknown) => {
    if (typeof given === 'string' && given !== '') hashes.push(hashOf(given.trim()));
  };
  if (authorization !== undefined) add(/^Bearer\s+(.+)$/i.exec(authorization)?.[1]);
  add(apiKey);
  add(googleKey);
  if (query !== '') add(new URLSearchParams(query).get('key'));
  presented.set(socket, { authorization, apiKey, googleKey, query, hashes });
  return hashes;
}

/** The first that is a key in use counts. */
function authenticate({ keys, now }: ServerDependencies, hashes: readonly string[]): Key {
  if (hashes.length === 0) {
    throw new Refusal(
      'invalid_key',
      'No gateway key was sent. Use a key from Faregate, API Keys, as the API key of this tool.',
    );
  }
  let key: Key | undefined;
  for (const hash of hashes) {
    const found = keys.find(hash);
    if (found !== undefined && keyStatus(found, now()) === 'active') return found;
    key ??= found;
  }
  if (!key) {
    throw new Refusal(
      'invalid_key',
      'This is not a gateway key of Faregate. Use one from Faregate, API Keys; they start with sk-fg-.',
    );
  }
  const mend =
    keyStatus(key, now()) === 'disabled' ? 'is disabled. Enable it' : 'has expired. Change its expiry';
  throw new Refusal('invalid_key', `The key "${key.name}" ${mend} in Faregate, API Keys.`);
}

/** The calling key's own account, in dollars, and the limits that other requests count against as well. */
function describeKey({ ledger, providers }: ServerDependencies, key: Key): Record<string, unknown> {
  const account = ledger.account(key.id);
  if (!account)
    throw new Refusal('invalid_key', 'This key was deleted. Create another one in Faregate, API Keys.');
  const always = [account, ledger.balance({ kind: 'global' })].flatMap(appliedLimits);
  const tightest = leastOf(always, ({ roomNano }) => roomNano);
  const { recurring, window, topUp } = account;
  const limits = providers
    .list()
    .flatMap(({ id, slug }) =>
      appliedLimits(ledger.balance({ kind: 'provider', id })).map((limit) => describeLimit(limit, slug)),
    );
  return {
    name: key.name,
    usage: nanoToUsd(account.usageNano),
    held: nanoToUsd(account.heldNano),
    limit: account.limitNano === null ? null : nanoToUsd(account.limitNano),
    remaining: tightest === null ? null : nanoToUsd(Math.max(0, tightest.roomNano)),
    recurring:
      recurring === null || window === null
        ? null
        : {
            amount: nanoToUsd(recurring.amountNano),
            every: recurring.every,
            used: nanoToUsd(usedIn(window)),
          },
    resets_at: window === null ? null : new Date(window.end).toISOString(),
    top_up: topUp && {
      amount: nanoToUsd(topUp.amountNano),
      until: topUp.until === null ? null : new Date(topUp.until).toISOString(),
    },
    session_limit: account.sessionLimitNano === null ? null : nanoToUsd(account.sessionLimitNano),
    paused: key.pause !== null,
    limits: [...always.map((limit) => describeLimit(limit)), ...limits],
  };
}

/** A limit that applies, its top-up included; `scope` says over what it is. */
function describeLimit(
  { scope, limitNano, usedNano, roomNano, recurring }: AppliedLimit,
  provider?: string,
): Record<string, unknown> {
  return {
    scope: scope.kind,
    ...(provider === undefined ? {} : { provider }),
    limit: nanoToUsd(limitNano),
    used: nanoToUsd(usedNano),
    remaining: nanoToUsd(Math.max(0, roomNano)),
    every: recurring?.every ?? null,
    resets_at: recurring === null ? null : new Date(recurring.resetsAt).toISOString(),
  };
}

const decoders: Readonly<
  Record<string, (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>
> = {
  gzip: promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip),
  'x-gzip': promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip),
  deflate: promisify<Buffer, { maxOutputLength: number }, Buffer>(inflate),
  br: promisify<Buffer, { maxOutputLength: number }, Buffer>(brotliDecompress),
  zstd: promisify<Buffer, { maxOutputLength: number }, Buffer>(zstdDecompress),
};

function tooLarge(): Refusal {
  return new Refusal(
    'body_too_large',
    `The request is larger than ${MAX_BODY_BYTES / 1024 / 1024} MB. Send less in one request.`,
  );
}

/** The whole body, unpacked: what is metered must be what is sent. @throws Refusal also before the promise. */
function readBody(request: IncomingMessage): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > MAX_BODY_BYTES) throw tooLarge();
  const body = collect(request, announced);
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  return encoding === 'identity' || encoding === '' ? body : decoded(body, encoding);
}

async function decoded(packed: Promise<Buffer>, encoding: string): Promise<Buffer> {
  const body = await packed;
  const decode = decoders[encoding];
  if (!decode)
    throw new Refusal(
      'bad_request',
      `The content encoding "${encoding}" is not understood. Send gzip, deflate, br, zstd or none.`,
    );
  try {
    return await decode(body, { maxOutputLength: MAX_BODY_BYTES });
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw new Refusal('bad_request', `The body is not valid ${encoding}.`, { cause });
  }
}

/** Listeners and no iterator: that costs more than the rest of reading a small body. */
function collect(request: IncomingMessage, announced: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Filled as the pieces come, which are garbage at once: kept until the end they are as long as the body again.
    const whole =
      announced > FEW_PIECES && announced <= MAX_ANNOUNCED ? Buffer.allocUnsafeSlow(announced) : null;
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      if (whole === null) chunks.push(chunk);
      else chunk.copy(whole, length);
      length += chunk.length;
      if (length <= MAX_BODY_BYTES) return;
      reject(tooLarge());
      request.destroy();
    });
    request.on('end', () => {
      if (whole !== null) resolve(whole.subarray(0, length));
      else resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, length));
    });
    request.on('error', reject);
  });
}

function splitTarget(url: string): { pathname: string; query: string } {
  const mark = url.indexOf('?');
  return mark === -1
    ? { pathname: url, query: '' }
    : { pathname: url.slice(0, mark), query: url.slice(mark + 1) };
}

function sendJson(response: ServerResponse, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function refuse(
  response: ServerResponse,
  refusal: Refusal,
  {
    id,
    route,
    pathname,
    headers,
  }: { id: string; route: Route; pathname: string; headers: IncomingMessage['headers'] },
): void {
  if (response.headersSent || response.destroyed) return cutOff(response);
  const shaped = dialects[dialectOf(route, pathname, headers)].refusal(refusal, { id, headers });
  response.writeHead(shaped.status, { ...shaped.headers, 'content-length': Buffer.byteLength(shaped.body) });
  response.end(response.req.method === 'HEAD' ? undefined : shaped.body);
}

/** Codex goes on over plain HTTP at once after a 426; any other status makes it try seven times. */
function refuseUpgrade(request: IncomingMessage, socket: Duplex): void {
  const refusal = new Refusal(
    'websocket_not_served',
    'Faregate does not serve WebSockets. Use plain HTTP requests.',
  );
  const { body } = dialects['openai-responses'].refusal(refusal, {
    id: `fg_${randomUUID()}`,
    headers: request.headers,
  });
  socket.on('error', () => socket.destroy());
  endWith(socket, { status: '426 Upgrade Required', headers: ['X-Should-Retry: false'], body });
}
