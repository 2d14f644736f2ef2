/**
 * The contract as HTTP: `POST /api/call` and `GET /api/events`, both with the token. The dashboard's listener and the
 * control socket serve the very same; who may reach them differs, and is theirs to guard.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { MAX_EXPORT_CHARACTERS, type Answer, type ContractError } from '#shared/contract.ts';
import type { EventMessage } from '#shared/wire.ts';

/** The largest is a provider's export, with room for what JSON adds to it. */
const MAX_BODY_BYTES = 2 * MAX_EXPORT_CHARACTERS;
const MAX_EVENT_STREAMS = 64;
/** What may wait in memory for a reader that does not read; it is cut off beyond and has to come back. */
const MAX_UNREAD_BYTES = 1_000_000;
const HEARTBEAT_MS = 15_000;

/** What these transports need of the gateway. */
export interface ContractHost {
  dispatch(name: unknown, input: unknown): Promise<Answer<unknown>>;
  subscribe(listener: (event: EventMessage) => void): () => void;
}

export interface ContractHttp {
  readonly token: string;
  /** Whether the request carries the token. */
  hasToken(request: IncomingMessage): boolean;
  /** Answers a request to `pathname` where that is an address of the contract; false where it is not. */
  serve(request: IncomingMessage, response: ServerResponse, pathname: string): Promise<boolean>;
  /** Ends the event streams. */
  close(): void;
}

export function createContractHttp(gateway: ContractHost): ContractHttp {
  const token = randomToken();
  const tokenHash = sha256(token);
  const streams = new Set<ServerResponse>();
  let unsubscribe: (() => void) | undefined;

  function hasToken(request: IncomingMessage): boolean {
    const given = /^Bearer ([\w-]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    // Hashed first: both sides then have one length, and the comparison takes one time.
    return given !== undefined && timingSafeEqual(sha256(given), tokenHash);
  }

  async function call(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const input = await readJson(request, response);
    if (input === undefined) return;
    const parsed = asCall(input);
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
    // Rows are put together only while somebody reads them.
    unsubscribe ??= gateway.subscribe(({ name, data }) =>
      broadcast(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`),
    );
    response.once('close', () => {
      streams.delete(response);
      if (streams.size > 0) return;
      unsubscribe?.();
      unsubscribe = undefined;
    });
  }

  /** The text is made once for all readers. */
  const broadcast = (text: string) => {
    for (const stream of streams) {
      if (stream.writableLength > MAX_UNREAD_BYTES) stream.destroy();
      else stream.write(text);
    }
  };
  const heartbeat = setInterval(() => broadcast(': beat\n\n'), HEARTBEAT_MS);
  heartbeat.unref();

  return {
    token,
    hasToken,
    async serve(request, response, pathname) {
      if (pathname !== '/api/call' && pathname !== '/api/events') return false;
      if (!hasToken(request)) {
        refuse(
          request,
          response,
          401,
          'unauthorized',
          'The token is missing or not the one of this start. Open the dashboard address that was printed at the start.',
        );
        return true;
      }
      const verb = pathname === '/api/call' ? 'POST' : 'GET';
      if (request.method !== verb) {
        response.setHeader('allow', verb);
        refuse(request, response, 405, 'invalid_input', `${pathname} is served to ${verb}.`);
        return true;
      }
      if (pathname === '/api/call') await call(request, response);
      else openEvents(request, response);
      return true;
    },
    close() {
      unsubscribe?.();
      clearInterval(heartbeat);
      for (const stream of streams) stream.end();
    },
  };
}

/** 256 random bits that can stand in a header and in an address. */
export function randomToken(): string {
  return randomBytes(32).toString('base64url');
}

/** The body as JSON; undefined, and the refusal sent, where it is none or too large. */
export async function readJson(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  // A page of another origin can send text/plain without asking first; JSON it cannot.
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
    refuse(request, response, 415, 'invalid_input', 'Send the call as application/json.');
    return undefined;
  }
  const body = await readBody(request);
  if (body === null) {
    const message = `A call has at most ${MAX_BODY_BYTES} bytes.`;
    refuse(request, response, 413, 'invalid_input', message);
    return undefined;
  }
  try {
    return JSON.parse(body.toString('utf8')) ?? null;
  } catch {
    return null;
  }
}

const privateHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
};

export function answer(response: ServerResponse, status: number, envelope: Answer<unknown>): void {
  const body = Buffer.from(JSON.stringify(envelope));
  response
    .writeHead(status, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': body.length,
      ...privateHeaders,
    })
    .end(body);
}

export function refuse(
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

function asCall(value: unknown): { name: unknown; input: unknown } | null {
  if (typeof value !== 'object' || value === null || !('name' in value)) return null;
  return { name: value.name, input: 'input' in value ? value.input : undefined };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
