/**
 * A provider that costs as little as a process can, so that what is measured is what stands before it: raw sockets, one
 * answer written in one piece. What it does is asked for in the request's `user` field, which every gateway passes on:
 * `"user":"stream COUNT INTERVAL_MS"` is a stream of so many chunks, 0 = one chunk and then silence.
 *
 * Run as a child process; its port is its first message.
 */
import { createServer, type Socket } from 'node:net';

const usage = { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21 };
const answer = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_790_000_000,
  model: 'bench-model',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'x'.repeat(560) },
      finish_reason: 'stop',
      logprobs: null,
    },
  ],
  usage,
  system_fingerprint: 'fp_bench',
});
const whole = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${answer.length}\r\nX-Request-Id: bench\r\n\r\n${answer}`,
);
const streamHead =
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Request-Id: bench\r\n\r\n';

const event = (data: string) => framed(`data: ${data}\n\n`);
const framed = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
const chunk = (choices: object[], more: object = {}) =>
  JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion.chunk',
    model: 'bench-model',
    choices,
    ...more,
  });

/** Every chunk says when it was sent, in µs of the clock that all processes of the machine share. */
const [before = '', behind = ''] = event(
  chunk([{ index: 0, delta: { content: ' token sent at @0000000000000000' }, finish_reason: null }]),
).split('0000000000000000');
const stamped = () => `${before}${String(process.hrtime.bigint() / 1000n).padStart(16, '0')}${behind}`;
const streamEnd =
  event(chunk([{ index: 0, delta: {}, finish_reason: 'stop' }])) +
  event(chunk([], { usage })) +
  event('[DONE]') +
  '0\r\n\r\n';

const FIELD = /"user":"stream (\d+) (\d+)"/;

/** A body of five megabytes is not to be turned into text. */
const MAX_ASKING = 4096;

/** `asked` is what the body says by `FIELD`. */
function serve(socket: Socket, asked: RegExpExecArray | null): void {
  if (asked === null) {
    socket.write(whole);
    return;
  }
  let left = Number(asked[1]);
  socket.write(streamHead + stamped());
  if (left === 0) return;
  const timer = setInterval(() => {
    // A connection has one stream after the other: a listener for each would stay until it closes.
    if (socket.destroyed) return clearInterval(timer);
    left -= 1;
    if (left > 0) socket.write(stamped());
    else {
      clearInterval(timer);
      socket.write(streamEnd);
    }
  }, Number(asked[2]));
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

const server = createServer({ noDelay: true }, (socket) => {
  let pieces: Buffer[] = [];
  let length = 0;
  /** Bytes of the request that is coming, its head included; 0 = the head is not there yet. */
  let wanted = 0;
  let bodyAt = 0;
  socket.on('error', () => socket.destroy());
  socket.on('data', (piece) => {
    pieces.push(piece);
    length += piece.length;
    if (wanted === 0) {
      const bytes = pieces.length === 1 ? piece : Buffer.concat(pieces, length);
      pieces = [bytes];
      const end = bytes.indexOf(HEAD_END);
      if (end === -1) return;
      bodyAt = end + 4;
      const said = /content-length: *(\d+)/i.exec(bytes.toString('latin1', 0, end));
      wanted = said ? bodyAt + Number(said[1]) : Infinity;
    }
    // A body in chunks, as Portkey sends it: often in another piece than its head.
    const arrived =
      wanted === Infinity ? piece.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) : length >= wanted;
    if (!arrived) return;
    const asked =
      length - bodyAt > MAX_ASKING ? null : FIELD.exec(Buffer.concat(pieces).toString('latin1', bodyAt));
    pieces = [];
    length = 0;
    wanted = 0;
    serve(socket, asked);
  });
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, () => {
  const address = server.address();
  if (typeof address === 'object' && address !== null) process.send?.({ port: address.port });
});
process.on('disconnect', () => process.exit(0));
