/**
 * The load, from raw sockets with keep-alive, in a process of its own so that it does not wait for whoever it measures.
 * Each message is a `Load`; the answer to it is a `Measured`.
 */
import { connect, type Socket } from 'node:net';

export interface Where {
  port: number;
  /** Beside those of every request; each ends in CRLF. */
  headers: string;
}

export type Load =
  /** So many connections, each with one request after the other, for so long. */
  | { kind: 'requests'; where: Where; connections: number; ms: number; bytes: number }
  /** So many streams opened `gapMs` apart, each of `chunks` chunks `intervalMs` apart. */
  | { kind: 'streams'; where: Where; streams: number; gapMs: number; chunks: number; intervalMs: number }
  /** More streams that stay open after their first chunk, until so many are, or until `release`. */
  | { kind: 'hold'; where: Where; streams: number }
  | { kind: 'release' };

export interface Measured {
  /** Requests answered in full, or streams with a first byte. */
  served: number;
  failed: number;
  seconds: number;
  /** Of requests from the first byte sent to the last received; of streams to the first received. In µs. */
  latency: Spread;
  /** Of stream chunks from the provider's write to their arrival. In µs. */
  chunks: Spread & { count: number };
}

export interface Spread {
  p50: number;
  p95: number;
  p99: number;
}

const micros = () => Number(process.hrtime.bigint() / 1000n);

function spread(values: number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** A chat request of about so many bytes; what the provider is to do stands at its start. */
function requestOf({ headers }: Where, bytes: number, user: string | null): Buffer {
  const head = `{"model":"bench-model",${user === null ? '' : `"stream":true,"user":"${user}",`}"max_tokens":256,"messages":[{"role":"user","content":"`;
  const text = 'The quick brown fox jumps over the lazy dog. ';
  const content = text.repeat(Math.ceil(bytes / text.length)).slice(0, Math.max(1, bytes - head.length - 4));
  const body = `${head}${content}"}]}`;
  return Buffer.from(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`,
  );
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n');

/** One connection's answers in turn: `done` is called at the end of each with its status. */
function readAnswers(socket: Socket, done: (status: number) => void): void {
  let held: Buffer | null = null;
  let left = -1;
  let status = 0;
  socket.on('data', (piece) => {
    if (left >= 0) {
      left -= piece.length;
    } else {
      const bytes: Buffer = held === null ? piece : Buffer.concat([held, piece]);
      const end = bytes.indexOf(HEAD_END);
      if (end === -1) {
        held = bytes;
        return;
      }
      const head = bytes.toString('latin1', 0, end + 2);
      status = Number(head.slice(9, 12));
      const length = /content-length: *(\d+)/i.exec(head)?.[1];
      if (length !== undefined) left = Number(length) - (bytes.length - end - 4);
      else {
        held = bytes;
        if (!bytes.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)) return;
        left = 0;
      }
    }
    if (left > 0) return;
    left = -1;
    held = null;
    done(status);
  });
}

async function requests({ where, connections, ms, bytes }: Load & { kind: 'requests' }): Promise<Measured> {
  const request = requestOf(where, bytes, null);
  const latencies: number[] = [];
  let failed = 0;
  const started = micros();
  let measuring = false;
  let over = false;
  const one = () =>
    new Promise<void>((resolve) => {
      const socket = connect({ port: where.port, host: '127.0.0.1', noDelay: true });
      let sent = 0;
      const send = () => {
        sent = micros();
        socket.write(request);
      };
      socket.on('connect', send);
      socket.on('error', () => {
        failed += 1;
        socket.destroy();
      });
      socket.on('close', () => resolve());
      readAnswers(socket, (status) => {
        if (status !== 200) failed += 1;
        else if (measuring) latencies.push(micros() - sent);
        if (over) socket.destroy();
        else send();
      });
    });
  const all = Array.from({ length: connections }, one);
  measuring = true;
  setTimeout(() => (over = true), ms);
  await Promise.all(all);
  const seconds = (micros() - started) / 1e6;
  return { served: latencies.length, failed, seconds, latency: spread(latencies), chunks: none };
}

const none = { p50: 0, p95: 0, p99: 0, count: 0 };

const STAMP = Buffer.from('sent at @');

/** Opens one stream; `first` is called with its first byte, `chunk` with each chunk's delay. */
function openStream(
  where: Where,
  request: Buffer,
  tell: { first(afterMicros: number): void; chunk(delay: number): void },
): { socket: Socket; ended: Promise<boolean> } {
  const socket = connect({ port: where.port, host: '127.0.0.1', noDelay: true });
  const sent = micros();
  let first = true;
  let whole = false;
  socket.on('connect', () => socket.write(request));
  socket.on('error', () => socket.destroy());
  socket.on('data', (piece) => {
    for (let at = piece.indexOf(STAMP); at !== -1; at = piece.indexOf(STAMP, at + 1)) {
      const now = micros();
      if (first) tell.first(now - sent);
      first = false;
      tell.chunk(now - Number(piece.toString('latin1', at + STAMP.length, at + STAMP.length + 16)));
    }
    if (piece.subarray(-5).toString('latin1') !== '0\r\n\r\n') return;
    whole = true;
    socket.destroy();
  });
  const ended = new Promise<boolean>((resolve) => {
    socket.on('close', () => resolve(whole));
  });
  return { socket, ended };
}

async function streams(load: Load & { kind: 'streams' }): Promise<Measured> {
  const request = requestOf(load.where, 1000, `stream ${load.chunks} ${load.intervalMs}`);
  const [firsts, delays]: [number[], number[]] = [[], []];
  const started = micros();
  const tell = {
    first: (after: number) => void firsts.push(after),
    chunk: (delay: number) => void delays.push(delay),
  };
  const all: Promise<boolean>[] = [];
  await new Promise<void>((resolve) => {
    const open = () => {
      // Timers are late under load: what should be open by now is opened.
      const due = Math.min(load.streams, 1 + Math.floor((micros() - started) / 1000 / load.gapMs));
      while (all.length < due) all.push(openStream(load.where, request, tell).ended);
      if (all.length < load.streams) setTimeout(open, load.gapMs);
      else resolve();
    };
    open();
  });
  const whole = (await Promise.all(all)).filter(Boolean).length;
  const seconds = (micros() - started) / 1e6;
  return {
    served: whole,
    failed: load.streams - whole,
    seconds,
    latency: spread(firsts),
    chunks: { ...spread(delays), count: delays.length },
  };
}

let held: Socket[] = [];

async function hold({ where, streams: count }: Load & { kind: 'hold' }): Promise<Measured> {
  const request = requestOf(where, 1000, 'stream 0 0');
  const firsts: number[] = [];
  const missing = count - held.length;
  const started = micros();
  await new Promise<void>((resolve) => {
    const giveUp = setTimeout(resolve, 30_000);
    const open = () => {
      for (let some = 0; some < 50 && held.length < count; some += 1) {
        const { socket } = openStream(where, request, {
          first(after) {
            firsts.push(after);
            if (firsts.length < missing) return;
            clearTimeout(giveUp);
            resolve();
          },
          chunk() {},
        });
        held.push(socket);
      }
      if (held.length < count) setTimeout(open, 20);
    };
    open();
  });
  return {
    served: firsts.length,
    failed: missing - firsts.length,
    seconds: (micros() - started) / 1e6,
    latency: spread(firsts),
    chunks: none,
  };
}

function release(): Measured {
  for (const socket of held) socket.destroy();
  held = [];
  return { served: 0, failed: 0, seconds: 0, latency: none, chunks: none };
}

async function run(load: Load): Promise<Measured> {
  switch (load.kind) {
    case 'requests':
      return requests(load);
    case 'streams':
      return streams(load);
    case 'hold':
      return hold(load);
    case 'release':
      return release();
  }
}

// Only where it is run as a process of its own; its types are used elsewhere.
if (process.argv[1] === import.meta.filename) {
  process.on('message', (load: Load) => {
    void run(load).then((measured) => process.send?.(measured));
  });
  process.on('disconnect', () => process.exit(0));
}
