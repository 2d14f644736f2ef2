/** How a client's connection ends where that is not simply the end of an answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** The answer to the newest request of each connection. */
const newest = new WeakMap<Duplex, ServerResponse>();
/** Connections that will be ended with a refusal: a parser that has failed once fails again at each further byte. */
const ending = new WeakSet<Duplex>();

/** How long a client may take to read the last words and to close its half. */
const LINGER_MS = 2_000;

/** To be called with each request. */
export function noteAnswer(request: IncomingMessage, response: ServerResponse): void {
  newest.set(request.socket, response);
}

/** Ends the connection, as soon as it is this response's: Node ends none for one that waits behind earlier answers. */
export function cutOff(response: ServerResponse): void {
  if (response.socket === null) response.once('socket', (socket: Socket) => socket.destroy());
  response.destroy();
}

/** A whole answer as bytes, for where there is no request to respond to. `status` with its words. */
export interface LastWords {
  status: string;
  headers?: readonly string[];
  body: string;
}

/** Ends the connection with this answer, behind those to the requests before it. */
export function endWith(socket: Duplex, words: LastWords): void {
  if (ending.has(socket)) return;
  ending.add(socket);
  whenAnswered(socket, () => {
    if (!socket.writable) return void socket.destroy();
    const { status, headers = [], body } = words;
    const length = `Content-Length: ${Buffer.byteLength(body)}`;
    const head = [`HTTP/1.1 ${status}`, 'Content-Type: application/json', length, ...headers];
    socket.end([...head, 'Connection: close', '', body].join('\r\n'));
    // Not at once: what is closed before all was read is reset, and takes the answer with it.
    const closed = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(closed));
  });
}

/** What the parser said of bytes that are no request, or of a connection that broke. */
export function refuseMalformed(error: NodeJS.ErrnoException & { reason?: unknown }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const [status, message] = whatIsWrong(error);
  // Which protocol the client speaks is not known: the SDKs of each find the sentence here.
  const told = { type: 'error', error: { type: 'invalid_request_error', message, code: 'bad_request' } };
  endWith(socket, { status, body: JSON.stringify(told) });
}

function whatIsWrong({ code, reason }: { code?: string | undefined; reason?: unknown }): [string, string] {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return [
        '431 Request Header Fields Too Large',
        'The headers of the request are longer than 64 KB. Send fewer or shorter ones.',
      ];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return ['408 Request Timeout', 'The headers of the request took too long. Send it again.'];
    case 'HPE_INVALID_EOF_STATE':
      return [
        '400 Bad Request',
        'The connection ended before the request was complete. Send as many bytes as are announced.',
      ];
    default: {
      const why = typeof reason === 'string' && reason !== '' ? reason : 'it cannot be read';
      return [
        '400 Bad Request',
        `This is not a request of HTTP/1.1 (${why}). Send one; an address that starts with http:// takes no TLS.`,
      ];
    }
  }
}

function whenAnswered(socket: Duplex, act: () => void): void {
  const response = newest.get(socket);
  if (response === undefined || response.writableFinished || response.destroyed) return act();
  const awaitsBody = !response.req.complete && !response.headersSent;
  if (!awaitsBody) response.once('close', act);
  // What broke is the body of this very request: only those before it are answered.
  else if (response.socket === null) response.once('socket', act);
  else act();
}
