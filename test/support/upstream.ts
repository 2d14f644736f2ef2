/**
 * A model provider on loopback: a real HTTP server on a free port that answers like OpenAI, Anthropic and Gemini, or
 * exactly as a test scripts it, and remembers every request it was sent.
 */
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { answerAsProvider, type AnswerTokens } from './provider-answers.ts';

export interface UpstreamRequest {
  method: string;
  /** Path and query as they were sent. */
  url: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** The body as JSON; undefined where it is none. */
  json: unknown;
  /** Resolves when the exchange is over: answered to its end, or given up by the caller. */
  ended: Promise<'answered' | 'aborted'>;
}

/** Holds a scripted answer at a point until the test opens it: tests wait for each other, never for time. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  /** A string or bytes as they are; anything else as JSON. */
  body?: unknown;
  /** Written one by one, each flushed; a gate among them waits. Instead of `body`. */
  chunks?: readonly (string | Uint8Array | Gate)[];
  /** Waits here before the status line. */
  before?: Gate;
  /** Writes what there is and then keeps the connection open. */
  hang?: boolean;
  /** Writes what there is and then resets the connection. */
  reset?: boolean;
}

export type Match = string | RegExp | ((request: UpstreamRequest) => boolean);
export type Answerer = (request: UpstreamRequest) => Reply | Promise<Reply>;

/** The part of a recorded exchange that is needed to play it back. */
export interface Playable {
  response: { status: number; headers: Record<string, string>; body: string };
}

export interface Upstream {
  /** The origin, such as `http://127.0.0.1:41234`; a provider's base URL adds `/v1` or `/v1beta`. */
  readonly url: string;
  readonly requests: readonly UpstreamRequest[];
  /**
   * Scripts the answer to requests whose path is, or matches, `match`. The newest script that matches is used;
   * `times` limits how often. What no script matches is answered as the provider would.
   */
  reply(match: Match, reply: Reply | Answerer, times?: number): void;
  /** Plays a recorded answer back, its bytes cut into chunks of `chunkSize`. */
  replay(match: Match, exchange: Playable, chunkSize?: number): void;
  /** What an unscripted answer says and reports; may look at the request. */
  answers(tokens: AnswerTokens | ((request: UpstreamRequest) => AnswerTokens)): void;
  /** Resolves with the request of this number (from 1) once it has arrived. */
  nthRequest(n: number): Promise<UpstreamRequest>;
  /** Forgets scripts and requests. */
  reset(): void;
  close(): Promise<void>;
}

export function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}

/** `credential`: what requests must carry, in any of the providers' headers, to be answered with anything but 401. */
export async function startUpstream(options: { credential?: string } = {}): Promise<Upstream> {
  const requests: UpstreamRequest[] = [];
  const sockets = new Set<Socket>();
  let scripts: { match: Match; answer: Answerer; left: number }[] = [];
  let waiting: { n: number; resolve: (request: UpstreamRequest) => void }[] = [];
  const ordinary: AnswerTokens = { inputTokens: 12, outputTokens: 5, text: 'Hello from upstream.' };
  let tokensOf: (request: UpstreamRequest) => AnswerTokens = () => ordinary;

  const server = createServer((incoming, response) => {
    void handle(incoming, response).catch((error: unknown) => {
      // A caller that goes away in the middle is a case under test; anything else is a mistake in the test's script.
      if (!response.destroyed && !incoming.destroyed)
        console.error('The script of the upstream failed:', error);
      response.destroy();
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await receive(incoming, response);
    requests.push(request);
    waiting = waiting.filter(({ n, resolve }) => {
      if (requests.length < n) return true;
      resolve(request);
      return false;
    });
    if (options.credential !== undefined && !carries(request, options.credential)) {
      await write(response, {
        status: 401,
        body: { error: { message: 'Incorrect API key provided.', code: 401 } },
      });
      return;
    }
    const script = scripts.findLast(({ match, left }) => left > 0 && matches(match, request));
    if (script) script.left -= 1;
    await write(response, script ? await script.answer(request) : asProvider(request, tokensOf(request)));
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    requests,
    reply(match, reply, times = Infinity) {
      scripts.push({ match, answer: typeof reply === 'function' ? reply : () => reply, left: times });
    },
    replay(match, exchange, chunkSize = 1024) {
      const { status, headers, body } = exchange.response;
      const reply = { status, headers, chunks: cut(Buffer.from(body, 'utf8'), chunkSize) };
      scripts.push({ match, answer: () => reply, left: Infinity });
    },
    answers(tokens) {
      tokensOf = typeof tokens === 'function' ? tokens : () => tokens;
    },
    nthRequest(n) {
      const there = requests[n - 1];
      if (there) return Promise.resolve(there);
      return new Promise((resolve) => waiting.push({ n, resolve }));
    },
    reset() {
      scripts = [];
      requests.length = 0;
      tokensOf = () => ordinary;
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      if (server.listening) await once(server, 'close');
    },
  };
}

/** Cuts anywhere, also inside a character or between CR and LF, as a network does. */
export function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += size) pieces.push(bytes.subarray(start, start + size));
  return pieces;
}

async function receive(incoming: IncomingMessage, response: ServerResponse): Promise<UpstreamRequest> {
  const ended = new Promise<'answered' | 'aborted'>((resolve) => {
    response.once('close', () => resolve(response.writableFinished ? 'answered' : 'aborted'));
  });
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part);
  const body = Buffer.concat(parts);
  const url = incoming.url ?? '/';
  const { pathname, searchParams } = new URL(url, 'http://upstream.invalid');
  const path = pathname;
  const method = incoming.method ?? '';
  return {
    method,
    url,
    path,
    query: searchParams,
    headers: incoming.headers,
    body,
    json: parse(body),
    ended,
  };
}

async function write(response: ServerResponse, reply: Reply): Promise<void> {
  await reply.before?.opened;
  response.statusCode = reply.status ?? 200;
  const isText = typeof reply.body === 'string' || reply.body instanceof Uint8Array;
  if (reply.chunks === undefined && !isText) response.setHeader('content-type', 'application/json');
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);

  const whole = isText ? reply.body : JSON.stringify(reply.body ?? {});
  // In one write: the end of a whole answer is not to come later than its beginning by what the machine does meanwhile.
  if (reply.chunks === undefined && !reply.hang && !reply.reset) return void response.end(whole);
  for (const piece of reply.chunks ?? [whole]) {
    if (response.destroyed) return;
    if (typeof piece === 'string' || piece instanceof Uint8Array) await send(response, piece);
    else if (isGate(piece)) await piece.opened;
  }
  if (reply.reset) response.socket?.resetAndDestroy();
  else if (!reply.hang) response.end();
}

/** Waits until the bytes are with the system, so that each piece is a packet of its own as far as TCP allows. */
function send(response: ServerResponse, piece: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    response.once('close', resolve);
    response.write(piece, () => {
      response.off('close', resolve);
      resolve();
    });
  });
}

function asProvider(request: UpstreamRequest, tokens: AnswerTokens): Reply {
  const { method, path, query, json } = request;
  const answer = answerAsProvider({ method, path, query, body: json }, tokens);
  if (answer === null)
    return { status: 404, body: { error: { message: `Unknown request URL: ${method} ${path}` } } };
  if ('json' in answer) return { status: answer.status, body: answer.json };
  return { status: answer.status, headers: { 'content-type': answer.contentType }, chunks: answer.pieces };
}

function carries(request: UpstreamRequest, credential: string): boolean {
  const { authorization, 'x-api-key': apiKey, 'x-goog-api-key': googleKey } = request.headers;
  return [authorization, apiKey, googleKey].some(
    (value) => value === credential || value === `Bearer ${credential}`,
  );
}

function matches(match: Match, request: UpstreamRequest): boolean {
  if (typeof match === 'string') return request.path === match;
  return match instanceof RegExp ? match.test(request.path) : match(request);
}

function isGate(value: unknown): value is Gate {
  return typeof value === 'object' && value !== null && 'opened' in value;
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function portOf(server: Server): number {
  const address = server.address() satisfies AddressInfo | string | null;
  if (address === null || typeof address === 'string') throw new Error('the upstream does not listen');
  return address.port;
}
