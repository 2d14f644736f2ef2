/** Frames of our own on the client's connection: nothing a client can see differs from what Node writes by itself. */
import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { writeChunk } from '../../../electron/gateway/proxy/chunked.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { exchange } from '../../support/raw.ts';
import { stream } from '../../support/streams.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

const serve = (handler: Handler) =>
  listen(createServer((request, response) => void handler(request, response)));

const get = (path: string, more = 'Connection: close\r\n', version = '1.1') =>
  `GET ${path} HTTP/${version}\r\nHost: a\r\n${more}\r\n`;

const lengths = [1, 15, 16, 255, 256, 4095, 4096, 16_384, 16_385, 200_000];
const pieces = lengths.map((length, at) => Buffer.alloc(length, 'abcdefghij'[at]));

/** Answers with the pieces, one a turn: by Node's own writing where the path says so. */
async function answer(response: ServerResponse, byNode: boolean): Promise<void> {
  response.sendDate = false;
  response.flushHeaders();
  for (const piece of pieces) {
    const free = byNode ? response.write(piece) : writeChunk(response, piece);
    if (!free) await once(response, 'drain');
    await new Promise(setImmediate);
  }
}

describe('an answer in chunks', () => {
  test.each(['1.1', '1.0'])(
    'has the bytes that Node writes, its trailers behind them: HTTP/%s',
    async (version) => {
      const url = await serve(async (request, response) => {
        if (version === '1.1') response.setHeader('trailer', 'x-cost');
        await answer(response, request.url === '/node');
        if (version === '1.1') response.addTrailers({ 'x-cost': '1' });
        response.end(pieces[3]);
      });
      const own = await exchange(url, get('/own', undefined, version));
      expect(own).toBe(await exchange(url, get('/node', undefined, version)));
      expect(own.endsWith(version === '1.0' ? 'd' : '0\r\nx-cost: 1\r\n\r\n')).toBe(true);
    },
  );

  test('has no frames where its length was told, and no body where it cannot have one', async () => {
    const url = await serve((request, response) => {
      response.sendDate = false;
      if (request.url === '/told') response.setHeader('content-length', 3);
      else response.statusCode = 204;
      response.flushHeaders();
      writeChunk(response, Buffer.from('abc'));
      response.end();
    });
    expect(await exchange(url, get('/told'))).toMatch(/content-length: 3\r\nConnection: close\r\n\r\nabc$/);
    expect(await exchange(url, get('/none'))).toMatch(
      /^HTTP\/1\.1 204 No Content\r\nConnection: close\r\n\r\n$/,
    );
  });

  test('costs one write to the socket, and what is written in one turn leaves together', async () => {
    const seen: unknown[] = [];
    const url = await serve(async (_request, response) => {
      response.flushHeaders();
      await new Promise(setImmediate);
      const socket = response.socket as Socket;
      const write = vi.spyOn(socket, 'write');
      for (const text of ['one', 'two']) writeChunk(response, Buffer.from(text));
      seen.push(...write.mock.calls.map(([bytes]) => String(bytes)), socket.writableCorked);
      await new Promise(setImmediate);
      seen.push(socket.writableCorked, socket.writableLength);
      response.end();
    });
    expect(await exchange(url, get('/'))).toMatch(/\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n$/);
    expect(seen).toEqual(['3\r\none\r\n', '3\r\ntwo\r\n', 1, 0, 0]);
  });

  test('keeps its place behind the answers that were asked for before it', async () => {
    const waiting: ServerResponse[] = [];
    const url = await serve((_request, response) => {
      response.flushHeaders();
      waiting.push(response);
      if (waiting.length < 3) return;
      // The last one first; the second goes on where the first is out.
      for (const [at, each] of waiting.toReversed().entries())
        writeChunk(each, Buffer.from(`early ${3 - at}`));
      const [first, second, third] = waiting;
      first?.end().once('finish', () => {
        if (second) writeChunk(second, Buffer.from('late 2'));
        second?.end();
        third?.end();
      });
    });
    const text = await exchange(url, get('/', '') + get('/', '') + get('/'));
    expect(text.match(/early \d|late \d|(?<=\r\n)0(?=\r\n\r\n)/g)).toEqual([
      'early 1',
      '0',
      'early 2',
      'late 2',
      '0',
      'early 3',
      '0',
    ]);
  });

  test('waits for a slow reader as Node tells it to, and comes whole', async () => {
    const piece = Buffer.alloc(10_000, 'x');
    const refused = Promise.withResolvers<void>();
    let drains = 0;
    const url = await serve(async (_request, response) => {
      response.flushHeaders();
      for (let sent = 0; sent < 2000; sent++) {
        if (writeChunk(response, piece)) continue;
        refused.resolve();
        await once(response, 'drain');
        drains++;
      }
      response.end();
    });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.pause();
    socket.write(get('/'));
    await refused.promise;
    let length = 0;
    socket.on('data', (bytes) => (length += bytes.length));
    socket.resume();
    await once(socket, 'close');
    expect(length).toBeGreaterThan(2000 * piece.length);
    expect(drains).toBeGreaterThan(0);
  });

  test('ends quietly where the client has gone', async () => {
    const closed = Promise.withResolvers<boolean>();
    const url = await serve((_request, response) => {
      response.flushHeaders();
      response.once('close', () => closed.resolve(writeChunk(response, Buffer.from('too late'))));
      const more = () => {
        writeChunk(response, Buffer.from('x'));
        if (!response.destroyed) setImmediate(more);
      };
      more();
    });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write(get('/'));
    await once(socket, 'data');
    socket.resetAndDestroy();
    expect(await closed.promise).toBe(false);
  });

  test('is the same behind TLS', async () => {
    // A key that both know in place of a certificate.
    const psk = Buffer.alloc(16, 7);
    const tls = { ciphers: 'PSK-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' } as const;
    const listener: RequestListener = (_request, response) =>
      void answer(response, false).then(() => response.end());
    const url = await listen(createTlsServer({ ...tls, pskCallback: () => psk }, listener));
    const socket = connectTls({
      ...tls,
      port: Number(new URL(url).port),
      host: '127.0.0.1',
      pskCallback: () => ({ psk, identity: 'test' }),
      checkServerIdentity: () => undefined,
    });
    let text = '';
    socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
    socket.write(get('/'));
    await once(socket, 'close');
    const frames = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece.toString()}\r\n`).join('');
    expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe(`${frames}0\r\n\r\n`);
  });
});

describe('a metered stream', () => {
  let upstream: Upstream;
  let gateway: CoreGateway;
  let secret: string;

  beforeEach(async () => {
    upstream = await startUpstream();
    gateway = await startCore();
    const { id } = await addProvider(gateway, upstream, 'openai');
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
    ({ secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('100') }));
  });

  afterEach(async () => {
    await gateway.dispose();
    await upstream.close();
  });

  const { path, pieces: events, contentType } = stream('chat');
  const ask = (more: string, version = '1.1', fields: object = {}) => {
    const body = JSON.stringify({ model: 'acme', messages: [], max_tokens: 9, stream: true, ...fields });
    return `POST ${path} HTTP/${version}\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${secret}\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;
  };
  const withoutUsage = events.filter((event) => !event.includes('"usage"')).join('');

  test('reaches clients that pipeline and those of HTTP/1.0, each with its cost', async () => {
    const ends = [gate(), gate()];
    let asked = 0;
    upstream.reply(/./, () => {
      const [end = gate(), other = gate()] = asked++ === 0 ? ends : ends.toReversed();
      // The second answer is all there before the first goes on.
      if (asked === 2) end.open();
      void end.opened.then(() => setImmediate(() => other.open()));
      return {
        headers: { 'content-type': contentType },
        chunks: [...events.slice(0, 1), end, ...events.slice(1)],
      };
    });
    const text = await exchange(gateway.url, ask('') + ask('TE: trailers\r\nConnection: close, te\r\n'));
    const bodies = text
      .split(/^HTTP\/1\.1 200 OK\r\n/m)
      .slice(1)
      .map((one) => one.slice(one.indexOf('\r\n\r\n') + 4));
    expect(bodies.map((one) => one.replaceAll(/^[0-9a-f]+\r\n|\r\n(?=[0-9a-f]+\r\n|$)/gm, ''))).toEqual([
      expect.stringContaining(withoutUsage),
      expect.stringContaining(withoutUsage),
    ]);
    expect(bodies[1]).toMatch(/\r\n0\r\n[a-z-]*cost[a-z-]*: [^\r]+\r\n\r\n$/i);

    ends.forEach((each) => each.open());
    const old = await exchange(gateway.url, ask('TE: trailers\r\n', '1.0'));
    expect(old.slice(old.indexOf('\r\n\r\n') + 4)).toBe(withoutUsage);
    const { rows } = await gateway.call('requests.list', {});
    expect(rows.map(({ outputTokens, flags }) => [outputTokens, flags])).toEqual([
      [3, []],
      [3, []],
      [3, []],
    ]);
  });

  test('that is cut off before its turn has come ends the connection when it has', async () => {
    const turn = gate();
    let asked = 0;
    upstream.reply(/./, () =>
      asked++ === 0
        ? {
            headers: { 'content-type': contentType },
            chunks: [...events.slice(0, 1), turn, ...events.slice(1)],
          }
        : { headers: { 'content-type': 'application/json' }, chunks: ['{"model":"acme",'], reset: true },
    );
    const got = exchange(gateway.url, ask('') + ask(''));
    const rows = async () => (await gateway.call('requests.list', {})).rows;
    await expect
      .poll(async () => (await rows()).map(({ flags }) => flags))
      .toEqual([['interrupted', 'estimated']]);
    turn.open();
    expect(await got).toMatch(/data: \[DONE\]\n\n\r\n0\r\n\r\n$/);
    expect(await rows()).toMatchObject([
      { flags: ['interrupted', 'estimated'] },
      { outputTokens: 3, flags: [] },
    ]);
  });

  test('that has less than was announced is not filled up with the answer behind it', async () => {
    const cut = gate();
    let asked = 0;
    upstream.reply(/./, () =>
      asked++ === 0
        ? {
            headers: { 'content-type': contentType, 'content-length': '9000' },
            chunks: [...events.slice(0, 1), cut],
            reset: true,
          }
        : { headers: { 'content-type': contentType }, chunks: events },
    );
    const all = ask('', '1.1', { stream_options: { include_usage: true } });
    const got = exchange(gateway.url, all + all);
    await expect.poll(async () => (await gateway.call('requests.list', {})).rows.length).toBe(1);
    cut.open();
    const text = await got;
    expect(text).toContain('before it was complete');
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });
});
