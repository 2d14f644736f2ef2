/** A plain HTTP client that sends and keeps exactly what it is told to, which `fetch` does not. */
import { request as httpRequest, type Agent, type ClientRequest, type IncomingMessage } from 'node:http';

export interface Outgoing {
  method?: string;
  headers?: Record<string, string | string[]>;
  /** Sent as it is; anything but text and bytes as JSON. */
  body?: unknown;
  /** Keeps the connection for the next request. */
  agent?: Agent;
}

export interface Incoming {
  status: number;
  headers: IncomingMessage['headers'];
  rawHeaders: string[];
  body: Buffer;
  text: string;
  /** The body as JSON; undefined where it is none. */
  json: unknown;
  /** The connection was reset before the answer was whole. */
  cut: boolean;
}

/** An answer that has begun. */
export interface Begun {
  response: IncomingMessage;
  /** Resolves with the next bytes; null at the end. */
  next(): Promise<Buffer | null>;
  /** Reads on to the end. */
  rest(): Promise<Incoming>;
  hangUp(): void;
  /** Resolves when the connection is closed. */
  closed: Promise<void>;
}

function start(url: string, { method = 'POST', headers = {}, body, agent }: Outgoing): ClientRequest {
  // As bytes: with text, Node writes the headers in the encoding of the body.
  const bytes =
    body === undefined
      ? undefined
      : body instanceof Uint8Array
        ? body
        : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const framed = bytes === undefined || 'transfer-encoding' in headers || 'content-length' in headers;
  const length = framed ? {} : { 'content-length': String(bytes.length) };
  const request = httpRequest(url, { method, headers: { ...headers, ...length }, agent: agent ?? false });
  request.end(bytes);
  return request;
}

function answered(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
}

async function collect(response: IncomingMessage): Promise<Incoming> {
  const parts: Buffer[] = [];
  let cut = false;
  try {
    for await (const part of response as AsyncIterable<Buffer>) parts.push(part);
  } catch {
    cut = true;
  }
  const body = Buffer.concat(parts);
  const text = body.toString('utf8');
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    body,
    text,
    json: parse(text),
    cut: cut || !response.complete,
  };
}

export async function send(url: string, outgoing: Outgoing = {}): Promise<Incoming> {
  return collect(await answered(start(url, outgoing)));
}

/** Resolves when the headers of the answer are there. */
export async function begin(url: string, outgoing: Outgoing = {}): Promise<Begun> {
  const request = start(url, outgoing);
  const closed = new Promise<void>((resolve) => request.once('close', () => resolve()));
  const response = await answered(request);
  // A hang-up of our own is no error of the test.
  response.on('error', () => {});
  return {
    response,
    closed,
    next: async () => {
      for (;;) {
        const bytes: unknown = response.read();
        if (Buffer.isBuffer(bytes)) return bytes;
        if (response.readableEnded) return null;
        await new Promise<void>((resolve) => {
          response.once('readable', resolve);
          response.once('end', resolve);
        });
      }
    },
    rest: () => collect(response),
    hangUp: () => request.destroy(),
  };
}

/** A request whose client goes away before it is answered. */
export function abandonable(url: string, outgoing: Outgoing = {}): { hangUp(): void; gone: Promise<void> } {
  const request = start(url, outgoing);
  const gone = new Promise<void>((resolve) => request.once('close', () => resolve()));
  request.on('error', () => {});
  return { hangUp: () => request.destroy(), gone };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
