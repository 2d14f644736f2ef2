/**
 * The listener: guards against the browser, the route table, authentication, and the one place where an error becomes
 * an answer in the caller's own dialect.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { LOOPBACK } from '#shared/defaults.ts';
import { Refusal } from '#shared/errors.ts';
import type { Keys } from '../config/keys.ts';
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
import { authenticate, credentialsOf } from './credentials.ts';
import { describeKey } from './own-key.ts';
import { readBody } from './read-body.ts';

export interface ServerDependencies {
  keys: Keys;
  providers: Providers;
  ledger: Ledger;
  proxy: Proxy;
  models: ModelLists;
  now: () => number;
  onInternalError(error: unknown): void;
}

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

/** A call that the gateway answers itself. */
interface OwnCall {
  request: IncomingMessage;
  response: ServerResponse;
  route: Exclude<Route, UpstreamRoute>;
  query: string;
}

async function answer(
  dependencies: ServerDependencies,
  { request, response, route, query }: OwnCall,
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
