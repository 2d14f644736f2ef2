/**
 * A wire between a client and the gateway that changes nothing and counts the calls: what the gateway refuses leaves no
 * row, and a client that tries again must be seen.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { matchRoute } from '../../electron/gateway/proxy/routes.ts';

export interface Tap {
  /** Origin for the client. */
  readonly url: string;
  /** Calls that can cost money, since the last `reset`. */
  readonly calls: number;
  /** Status of every answer, to free calls too. */
  readonly statuses: readonly number[];
  /** Lines of all requests. */
  readonly requests: readonly string[];
  /** Resolves once these characters have come from the gateway. */
  seen(text: string): Promise<void>;
  /** Resolves once an answer has this status. */
  status(status: number): Promise<void>;
  reset(): void;
  close(): Promise<void>;
}

/** More than a line of a request, or what is waited for, takes. */
const TAIL = 2048;

export async function startTap(gatewayUrl: string): Promise<Tap> {
  const target = new URL(gatewayUrl);
  const sockets = new Set<Socket>();
  let requests: string[] = [];
  let statuses: number[] = [];
  let watches: { text: string; resolve: () => void }[] = [];

  const server = createServer((client) => {
    const gateway = connect(Number(target.port), target.hostname);
    for (const socket of [client, gateway]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    client.on('error', () => gateway.destroy());
    gateway.on('error', () => client.destroy());
    client.on('close', () => gateway.destroy());
    gateway.on('close', () => client.destroySoon());
    const outgoing = scanner(/\b(?:GET|HEAD|POST|PUT|DELETE) \S+ HTTP\/1\.1\r\n/g, (line) =>
      requests.push(line.trim()),
    );
    const incoming = scanner(/HTTP\/1\.1 \d{3} /g, (line) => statuses.push(Number(line.slice(9, 12))));
    client.on('data', (bytes) => {
      outgoing(bytes.toString('latin1'));
      if (!gateway.write(bytes)) client.pause();
    });
    let tail = '';
    gateway.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      incoming(text);
      tail = (tail + text).slice(-TAIL);
      watches = watches.filter((watch) => {
        if (!tail.includes(watch.text)) return true;
        watch.resolve();
        return false;
      });
      if (!client.write(bytes)) gateway.pause();
    });
    client.on('drain', () => gateway.resume());
    gateway.on('drain', () => client.resume());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the tap does not listen');

  return {
    url: `http://127.0.0.1:${address.port}`,
    get calls() {
      return requests.filter(isPaid).length;
    },
    get statuses() {
      return statuses;
    },
    get requests() {
      return requests;
    },
    seen: (text) => new Promise((resolve) => watches.push({ text, resolve })),
    status: (status) => new Promise((resolve) => watches.push({ text: `HTTP/1.1 ${status} `, resolve })),
    reset() {
      requests = [];
      statuses = [];
      watches = [];
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

function isPaid(line: string): boolean {
  const [method = '', target = ''] = line.split(' ');
  return matchRoute(method, target.split('?')[0] ?? '', new Set()).kind === 'metered';
}

/** Finds a pattern that may be cut in two, each time once. */
function scanner(pattern: RegExp, found: (match: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    rest += text;
    let end = 0;
    for (const match of rest.matchAll(pattern)) {
      found(match[0]);
      end = match.index + match[0].length;
    }
    rest = rest.slice(Math.max(end, rest.length - TAIL));
  };
}
