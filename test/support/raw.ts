/** Both ends of a connection as bare bytes, for what no HTTP library would send. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface RawUpstream {
  /** Up to and including the port; a base URL adds the version. */
  url: string;
  /** What each connection has sent so far, in the order the connections came. */
  readonly received: readonly string[];
  /** Called with every request whose head, and body by Content-Length, have arrived. */
  answer(with_: (socket: Socket, request: string) => void | Promise<void>): void;
  close(): Promise<void>;
}

export async function startRawUpstream(): Promise<RawUpstream> {
  const sockets = new Set<Socket>();
  const received: string[] = [];
  let script: (socket: Socket, request: string) => void | Promise<void> = (socket) => void socket.destroy();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // The gateway hanging up is a case under test.
    socket.on('error', () => {});
    const index = received.push('') - 1;
    let pending = '';
    socket.on('data', (bytes) => {
      received[index] += bytes.toString('latin1');
      pending += bytes.toString('latin1');
      const head = pending.indexOf('\r\n\r\n');
      const length = Number(/^content-length: *(\d+)/im.exec(pending)?.[1] ?? 0);
      if (head === -1 || pending.length < head + 4 + length) return;
      const request = pending.slice(0, head + 4 + length);
      pending = pending.slice(request.length);
      void script(socket, request);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the raw upstream does not listen');
  return {
    url: `http://127.0.0.1:${address.port}`,
    received,
    answer: (with_) => (script = with_),
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      if (server.listening) await once(server, 'close');
    },
  };
}

/** Writes with back-pressure; false where the other end has gone. */
export async function write(socket: Socket, bytes: string | Uint8Array): Promise<boolean> {
  if (socket.destroyed) return false;
  if (!socket.write(bytes)) {
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.once('drain', resolve).once('close', resolve);
    await promise;
    socket.off('drain', resolve).off('close', resolve);
  }
  return !socket.destroyed;
}

/** Sends these bytes, and resolves with all that comes back until the connection is closed. */
export async function exchange(url: string, bytes: string | Uint8Array): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let answer = '';
  socket.on('data', (part) => (answer += part.toString('latin1')));
  // A reset is an end as well.
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.write(bytes);
  await closed;
  return answer;
}
