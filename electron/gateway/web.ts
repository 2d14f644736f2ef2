/**
 * The contract over HTTP on a loopback port of its own: what the window has through its bridge, for a browser and for
 * programs. Any page that the person's browser shows can send requests here, so nothing is answered without the token.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Answer, ContractError, EventData, EventName } from '#shared/contract.ts';
import { LOOPBACK } from '#shared/defaults.ts';
import type { Assets } from './assets.ts';

const MAX_BODY_BYTES = 1_000_000;
const MAX_EVENT_STREAMS = 64;
/** What may wait in memory for a reader that does not read; it is cut off beyond and has to come back. */
const MAX_UNREAD_BYTES = 1_000_000;
const HEARTBEAT_MS = 15_000;

/** What this transport needs of the gateway. */
export interface ContractHost {
  dispatch(name: unknown, input: unknown): Promise<Answer<unknown>>;
  subscribe(listener: <N extends EventName>(name: N, data: EventData<N>) => void): () => void;
}

export interface WebOptions {
  gateway: ContractHost;
  /** null = only the contract, without the dashboard. */
  assets: Assets | null;
  /** 0 or nothing = any free one. */
  port?: number;
}

export interface Web {
  /** Carries the token in the fragment, which a browser sends to nobody. null without assets. */
  dashboardUrl: string | null;
  apiUrl: string;
  token: string;
  /** Ends the event streams, lets running calls finish for a moment, and frees the port. */
  close(): Promise<void>;
}

/** Rejects with the system's error where the port cannot be had. */
export async function createWeb({ gateway, assets, port: wanted = 0 }: WebOptions): Promise<Web> {
  const token = randomBytes(32).toString('base64url');
  const tokenHash = sha256(token);
  const streams = new Set<ServerResponse>();
  let ownHosts: ReadonlySet<string> = new Set();

  const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, (request, response) => {
    serve(request, response).catch(() => {
      // The client went away while it was sending or reading; there is nobody left to tell.
      response.destroy();
    });
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = refuseForeign(request, ownHosts);
    if (refusal) return refuse(request, response, 403, 'unauthorized', refusal);
    if (request.method !== 'GET' && request.method !== 'POST') {
      response.setHeader('allow', 'GET, POST');
      return refuse(request, response, 405, 'invalid_input', 'Only GET and POST are served here.');
    }
    const { pathname } = new URL(request.url ?? '/', 'http://local.invalid');
    if (pathname === '/api/call' || pathname === '/api/events') {
      if (!hasToken(request)) {
        return refuse(
          request,
          response,
          401,
          'unauthorized',
          'The token is missing or not the one of this start. Open the dashboard address that was printed at the start.',
        );
      }
      const verb = pathname === '/api/call' ? 'POST' : 'GET';
      if (request.method !== verb) {
        response.setHeader('allow', verb);
        return refuse(request, response, 405, 'invalid_input', `${pathname} is served to ${verb}.`);
      }
      return pathname === '/api/call' ? await call(request, response) : openEvents(request, response);
    }
    if (!assets || request.method !== 'GET') {
      return refuse(request, response, 404, 'not_found', 'Served here: POST /api/call and GET /api/events.');
    }
    const asset = assets.respond(pathname);
    response
      .writeHead(asset.status, { ...asset.headers, 'content-length': asset.body.length })
      .end(asset.body);
  }

  function hasToken(request: IncomingMessage): boolean {
    const given = /^Bearer ([\w-]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    // Hashed first: both sides then have one length, and the comparison takes one time.
    return given !== undefined && timingSafeEqual(sha256(given), tokenHash);
  }

  async function call(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page of another origin can send text/plain without asking first; JSON it cannot.
    if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
      return refuse(request, response, 415, 'invalid_input', 'Send the call as application/json.');
    }
    const body = await readBody(request);
    if (body === null)
      return refuse(request, response, 413, 'invalid_input', `A call has at most ${MAX_BODY_BYTES} bytes.`);
    const parsed = parseCall(body);
    if (!parsed) {
      return refuse(request, response, 400, 'invalid_input', 'Send an object {"name": …, "input": …}.');
    }
    answer(response, 200, await gateway.dispatch(parsed.name, parsed.input));
  }

  function openEvents(request: IncomingMessage, response: ServerResponse): void {
    if (streams.size >= MAX_EVENT_STREAMS) {
      return refuse(
        request,
        response,
        503,
        'conflict',
        `${MAX_EVENT_STREAMS} event streams are open already; close some.`,
      );
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', ...privateHeaders });
    response.write(': open\n\n');
    streams.add(response);
    response.once('close', () => streams.delete(response));
  }

  /** The text is made once for all readers. */
  const broadcast = (text: string) => {
    for (const stream of streams) {
      if (stream.writableLength > MAX_UNREAD_BYTES) stream.destroy();
      else stream.write(text);
    }
  };
  const unsubscribe = gateway.subscribe((name, data) => {
    if (streams.size > 0) broadcast(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  });
  const heartbeat = setInterval(() => broadcast(': beat\n\n'), HEARTBEAT_MS);
  heartbeat.unref();

  const stopTelling = () => {
    unsubscribe();
    clearInterval(heartbeat);
  };

  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen(wanted, LOOPBACK, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : wanted);
    });
  }).catch((error: unknown) => {
    stopTelling();
    throw error;
  });
  ownHosts = new Set([`${LOOPBACK}:${port}`, `localhost:${port}`, `[::1]:${port}`]);
  const origin = `http://${LOOPBACK}:${port}`;

  return {
    dashboardUrl: assets ? `${origin}/#token=${token}` : null,
    apiUrl: `${origin}/api`,
    token,
    async close() {
      stopTelling();
      for (const stream of streams) stream.end();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const force = setTimeout(() => server.closeAllConnections(), 500);
      await closed;
      clearTimeout(force);
    },
  };
}

/**
 * Why a request is not one of our own page or of a program on this machine; null where it may be. `Host` names another
 * machine when a name was pointed at the loopback address (DNS rebinding); `Origin` and `Sec-Fetch-Site` are set by the
 * browser and cannot be forged by a page (Fetch Metadata, W3C).
 */
function refuseForeign(request: IncomingMessage, ownHosts: ReadonlySet<string>): string | null {
  const { host, origin, 'sec-fetch-site': site } = request.headers;
  if (host === undefined || !ownHosts.has(host.toLowerCase())) return 'This address is not served here.';
  if (origin !== undefined && origin !== `http://${host}`) return 'Requests of other pages are not served.';
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return 'Requests of other sites are not served.';
  return null;
}

const privateHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
};

function answer(response: ServerResponse, status: number, envelope: Answer<unknown>): void {
  const body = Buffer.from(JSON.stringify(envelope));
  response
    .writeHead(status, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': body.length,
      ...privateHeaders,
    })
    .end(body);
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  code: ContractError['code'],
  message: string,
): void {
  // The rest of a body that nobody will read must not be taken for the next request on this connection.
  if (!request.complete) response.setHeader('connection', 'close');
  answer(response, status, { ok: false, error: { code, message } });
}

/** null where the body is larger than a call may be. */
async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) return null;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function parseCall(body: Buffer): { name: unknown; input: unknown } | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    if (typeof value !== 'object' || value === null || !('name' in value)) return null;
    return { name: value.name, input: 'input' in value ? value.input : undefined };
  } catch {
    return null;
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
