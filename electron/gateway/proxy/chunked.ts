/** A chunk of an answer in chunks (RFC 9112, section 7.1), written in one piece where that changes nothing else. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** A piece is copied into its frame: a longer one costs more to copy than its frame costs in pieces. */
const MAX_COPIED = 16 * 1024;
/** Of a frame beside its bytes: at most four digits and twice CRLF. */
const MAX_AROUND = 8;

const CR = 0x0d;
const LF = 0x0a;
const DIGITS = Buffer.from('0123456789abcdef');

/**
 * Writes as `response.write(bytes)` does, with its result: false where the writer should wait for the response's
 * 'drain'. Only for a response whose head was flushed: one that still waits for the first bytes would come behind them,
 * and nothing public tells of it.
 *
 * Node hands a chunk to the socket in four writes (its length, CRLF, its bytes, CRLF) and gathers them again; on a
 * stream of small events that is a sixth of what passing one on costs. A frame of our own goes to `response.socket`,
 * which the documentation allows ("reference to the underlying socket") and which is null until the answers to earlier
 * requests on the connection are out. Whatever is not the plain case is left to Node:
 *
 * - some of the response waits in the response itself, and a frame would overtake it;
 * - the answer is not sent in chunks, or is over;
 * - the socket is as full as it should get: Node tells of a 'drain' only where its own write was refused.
 */
export function writeChunk(response: ServerResponse, bytes: Buffer): boolean {
  const { socket } = response;
  if (socket === null || bytes.length === 0 || bytes.length > MAX_COPIED) return response.write(bytes);
  const waiting = socket.writableLength;
  const plain =
    response.chunkedEncoding &&
    !response.writableEnded &&
    socket.writable &&
    response.writableLength === waiting &&
    waiting + bytes.length + MAX_AROUND < socket.writableHighWaterMark;
  if (!plain) return response.write(bytes);
  // As Node does it: chunks that arrive together leave together.
  if (socket.writableCorked === 0) {
    socket.cork();
    process.nextTick(uncork, socket);
  }
  return socket.write(frameOf(bytes));
}

function uncork(socket: Socket): void {
  socket.uncork();
}

function frameOf(bytes: Buffer): Buffer {
  const { length } = bytes;
  const digits = length < 0x10 ? 1 : length < 0x100 ? 2 : length < 0x1000 ? 3 : 4;
  const frame = Buffer.allocUnsafe(digits + length + 4);
  let rest = length;
  for (let at = digits - 1; at >= 0; at--) {
    frame[at] = DIGITS[rest & 0xf] ?? 0;
    rest >>= 4;
  }
  frame[digits] = CR;
  frame[digits + 1] = LF;
  frame.set(bytes, digits + 2);
  frame[digits + 2 + length] = CR;
  frame[digits + 3 + length] = LF;
  return frame;
}
