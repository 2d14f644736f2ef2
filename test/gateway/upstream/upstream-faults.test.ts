/**
 * What a provider can do wrong on the wire. Whatever it is, the request is settled once, nothing stays held, the client
 * is told or cut off rather than left with half an answer, and the gateway serves the next one.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { neverArrived, unreachable } from '../../../electron/gateway/upstream/upstream.ts';
import { send } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway, type EventRecord } from '../../support/gateway.ts';
import { PATIENCE_MS } from '../../support/patience.ts';
import { exchange, startRawUpstream, write, type RawUpstream } from '../../support/raw.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: RawUpstream;
/** Where a redirect would lead. */
let elsewhere: Upstream;
let gateway: CoreGateway;
let events: EventRecord;
let key: string;
let settledBefore = 0;
const tally = { tried: 0, survived: 0 };

beforeAll(async () => {
  upstream = await startRawUpstream();
  elsewhere = await startUpstream();
  gateway = await startCore();
  const { id } = await gateway.call('providers.create', {
    kind: 'openai-compatible',
    baseUrl: `${upstream.url}/v1`,
    credential: 'sk-upstream',
  });
  await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
  ({ secret: key } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('100') }));
  events = await gateway.events();
});
afterAll(async () => {
  console.log(`Faults of a provider: ${tally.tried} tried, ${tally.survived} survived`);
  events.close();
  await gateway.dispose();
  await upstream.close();
  await elsewhere.close();
});

const ask = (stream = false) =>
  send(`${gateway.url}/v1/chat/completions`, {
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: { model: 'acme', messages: [], max_tokens: 50, stream },
  }).catch(() => null);

/** The one row that was settled since this was last called, and that nothing is held. */
async function settled() {
  const rows = () =>
    events.seen.flatMap(({ name, data }) => (name === 'request-settled' ? rowsOf(data) : []));
  await expect.poll(() => rows().length).toBeGreaterThan(settledBefore);
  const all = rows();
  const since = all.length - settledBefore;
  settledBefore = all.length;
  expect(since).toBe(1);
  const [listed] = await gateway.call('keys.list', {});
  expect(listed).toMatchObject({ heldNano: 0 });
  const { rows: newest } = await gateway.call('requests.list', { limit: 1 });
  return newest[0];
}

function rowsOf(data: unknown): unknown[] {
  const rows: unknown = typeof data === 'object' && data !== null ? Reflect.get(data, 'rows') : [];
  return Array.isArray(rows) ? rows : [];
}

const usage = '"usage":{"prompt_tokens":12,"completion_tokens":3}';
const answer = `{"id":"c","model":"acme","choices":[],${usage}}`;
const paid = 12_000 + 30_000;
const head = (more: string, status = '200 OK') =>
  `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\n${more}\r\n`;
const whole = (body: string | Buffer, more = '') =>
  Buffer.concat([Buffer.from(head(`${more}Content-Length: ${body.length}\r\n`)), Buffer.from(body)]);
const packed = gzipSync(answer);

/** The client's status, or that it was cut off; and what the row says. */
interface Outcome {
  status: number | 'cut';
  text?: RegExp;
  row: { status?: number; costNano?: number; flags: string[] };
}
const gone: Outcome = {
  status: 502,
  text: /127\.0\.0\.1:\d+\) cannot be reached: the connection failed/,
  row: { status: 0, flags: ['interrupted', 'estimated'] },
};
const cutOff: Outcome = { status: 'cut', row: { status: 200, flags: ['interrupted', 'estimated'] } };
const fine: Outcome = { status: 200, row: { status: 200, costNano: paid, flags: [] } };

const faults: [string, (socket: Socket) => void | Promise<void>, Outcome][] = [
  ['resets the connection', (socket) => void socket.resetAndDestroy(), gone],
  ['closes without an answer', (socket) => void socket.end(), gone],
  ['does not speak HTTP', (socket) => void socket.end('220 mail.example ESMTP\r\n'), gone],
  ['has a status that is none', (socket) => void socket.end('HTTP/1.1 99999 What\r\n\r\n'), gone],
  [
    'switches protocols unasked',
    (socket) => void socket.write('HTTP/1.1 101 OK\r\nUpgrade: x\r\n\r\n'),
    gone,
  ],
  ['sends a header with a NUL', (socket) => void socket.end(head('x-a: b\0c\r\n') + answer), gone],
  ['sends a header with a bare CR', (socket) => void socket.end(head('x-a: b\rx-b: c\r\n') + answer), gone],
  [
    'gives two lengths',
    (socket) => void socket.end(head('Content-Length: 5\r\nContent-Length: 9\r\n') + answer),
    gone,
  ],
  [
    'never ends its headers',
    async (socket) => {
      await write(socket, 'HTTP/1.1 200 OK\r\n');
      while (await write(socket, `x-pad: ${'x'.repeat(4_000)}\r\n`));
    },
    gone,
  ],
  [
    'promises more than it sends',
    (socket) => void socket.end(head('Content-Length: 999\r\n') + answer.slice(0, 40)),
    cutOff,
  ],
  [
    'sends a chunk without a size',
    (socket) => void socket.end(`${head('Transfer-Encoding: chunked\r\n')}zz\r\n${answer}\r\n0\r\n\r\n`),
    cutOff,
  ],
  [
    'breaks off between chunks',
    (socket) => void socket.end(`${head('Transfer-Encoding: chunked\r\n')}5\r\n{"a":\r\n`),
    cutOff,
  ],
  [
    'breaks off in a packed answer',
    (socket) => void socket.end(whole(packed.subarray(0, 30), 'Content-Encoding: gzip\r\n')),
    cutOff,
  ],
  [
    'sends as packed what is not',
    (socket) => void socket.end(whole(answer, 'Content-Encoding: gzip\r\n')),
    cutOff,
  ],
  [
    'packs the answer though it was asked not to',
    (socket) => void socket.end(whole(packed, 'Content-Encoding: gzip\r\n')),
    fine,
  ],
  ['sends more than it promised', (socket) => void socket.end(`${whole(answer).toString()}and more`), fine],
  [
    'closes instead of telling a length',
    (socket) => void socket.end(head('Connection: close\r\n') + answer),
    fine,
  ],
  [
    'sends hints first',
    (socket) => void socket.end(`HTTP/1.1 103 Early Hints\r\n\r\n${whole(answer).toString()}`),
    fine,
  ],
  [
    'drips byte by byte',
    async (socket) => {
      for (const byte of whole(answer).toString()) await new Promise((next) => socket.write(byte, next));
    },
    fine,
  ],
  [
    'sends 100 MB',
    async (socket) => {
      const pad = Buffer.alloc(2 ** 20, 'x');
      const tail = `",${answer.slice(1)}`;
      await write(socket, `${head(`Content-Length: ${8 + 100 * pad.length + tail.length}\r\n`)}{"pad":"`);
      for (let sent = 0; sent < 100; sent += 1) await write(socket, pad);
      await write(socket, tail);
    },
    fine,
  ],
  [
    'sends nothing',
    (socket) => void socket.end(head('Content-Length: 0\r\n')),
    { status: 200, row: { flags: ['estimated'] } },
  ],
  [
    'sends what is no JSON',
    (socket) => void socket.end(whole('<html>Welcome to the hotel</html>')),
    { status: 200, row: { flags: ['estimated'] } },
  ],
  [
    'reports a usage that cannot be',
    (socket) =>
      void socket.end(whole('{"model":"acme","usage":{"prompt_tokens":-5,"completion_tokens":1e308}}')),
    { status: 200, row: { flags: ['estimated'] } },
  ],
  [
    'sends its client elsewhere',
    (socket) =>
      void socket.end(
        `HTTP/1.1 307 X\r\nLocation: ${elsewhere.url}/v1/chat/completions\r\nContent-Length: 0\r\n\r\n`,
      ),
    { status: 307, row: { status: 307, costNano: 0, flags: [] } },
  ],
];

afterEach(async () => {
  // The next one is served.
  upstream.answer((socket) => void socket.end(whole(answer)));
  await servesNext();
});

async function servesNext(): Promise<void> {
  expect(await ask()).toMatchObject({ status: 200, text: answer });
  await settled();
}

describe('a provider that', () => {
  test.each(faults)('%s', async (_what, wire, { status, text, row }) => {
    tally.tried += 1;
    upstream.answer(wire);
    const got = await ask();
    if (status === 'cut') expect(got?.cut ?? true).toBe(true);
    else expect(got).toMatchObject({ status, cut: false });
    if (text) expect(got?.text).toMatch(text);
    expect(await settled()).toMatchObject(row);
    // Redirects are the client's to follow, without the credential.
    expect(elsewhere.requests).toEqual([]);
    tally.survived += 1;
  });

  test('is not there refuses the connection, costs nothing, and the client is told so', async () => {
    tally.tried += 1;
    const closed = await startRawUpstream();
    await closed.close();
    const lost = await addProvider(gateway, closed, 'openai-compatible', { slug: 'down' });
    await gateway.call('prices.set', { providerId: lost.id, model: 'acme', input: '1', output: '10' });
    const got = await send(`${gateway.url}/down/v1/chat/completions`, {
      headers: { authorization: `Bearer ${key}` },
      body: { model: 'acme', messages: [] },
    });
    expect(got).toMatchObject({
      status: 502,
      text: expect.stringMatching(/cannot be reached: nothing listens there/),
    });
    expect(await settled()).toMatchObject({ status: 0, costNano: 0, flags: ['interrupted'] });
    await gateway.call('providers.delete', { id: lost.id });
    tally.survived += 1;
  });

  test('has a name that nobody knows costs nothing, and the client is told where to look', async () => {
    tally.tried += 1;
    const lost = await addProvider(gateway, elsewhere, 'openai-compatible', {
      slug: 'lost',
      baseUrl: 'http://provider.invalid/v1',
    });
    await gateway.call('prices.set', { providerId: lost.id, model: 'acme', input: '1', output: '10' });
    const got = await send(`${gateway.url}/lost/v1/chat/completions`, {
      headers: { authorization: `Bearer ${key}` },
      body: { model: 'acme', messages: [] },
    });
    expect(got.status).toBe(502);
    expect(got.text).toMatch(
      /provider\.invalid\) cannot be reached: the name cannot be resolved\. Check its address/,
    );
    expect(await settled()).toMatchObject({ status: 0, costNano: 0, flags: ['interrupted'] });
    await gateway.call('providers.delete', { id: lost.id });
    tally.survived += 1;
  });
});

describe('an error of the system', () => {
  const fault = (code: string, syscall: string) =>
    Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
  test.each([
    ['no file is left to connect with', fault('EMFILE', 'connect'), true],
    ['no port is left to connect from', fault('EADDRNOTAVAIL', 'connect'), true],
    ['no network is there', fault('ENETUNREACH', 'connect'), true],
    ['no address of the name answers', new AggregateError([fault('ECONNREFUSED', 'connect')]), true],
    ['the name server fails', fault('EAI_FAIL', 'getaddrinfo'), true],
    ['the network goes while the provider works', fault('EHOSTUNREACH', 'read'), false],
    ['the provider goes while it works', new Error('x', { cause: fault('ECONNRESET', 'read') }), false],
    ['what comes is no TLS any more', fault('EPROTO', 'write'), false],
  ])('is free only where the request cannot have arrived: %s', (_what, error, free) => {
    expect(neverArrived(error)).toBe(free);
  });

  test('that is about too many open files says so', async () => {
    const [provider] = await gateway.call('providers.list', {});
    if (provider === undefined) throw new Error('there is no provider');
    const { message } = unreachable(
      { ...provider, createdAt: 0, credential: null, credentialState: 'none' },
      fault('EMFILE', 'connect'),
    );
    expect(message).toMatch(/too many files and connections are open \(EMFILE\)\. Send fewer requests/);
  });
});

describe('on a connection that stays open', () => {
  const asked = (fields: object, more = '') => {
    const body = JSON.stringify({ model: 'acme', messages: [], max_tokens: 50, ...fields });
    return `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${key}\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;
  };
  // Where the gateway asks for the usage it takes that out of the answer, and the length with it.
  const aStream = { stream: true, stream_options: { include_usage: true } };
  const bodyOf = (text: string) => text.slice(text.indexOf('\r\n\r\n') + 4);
  const event = 'data: {"choices":[{"index":0,"delta":{"content":"Twelve chars"}}]}\n\n';
  const streamed = (length: number) =>
    `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: ${length}\r\n\r\n`;

  test('a stream that has less than was announced ends with the reason, and the connection with it', async () => {
    upstream.answer((socket) => void socket.end(streamed(event.length + 2000) + event));
    const askedAt = performance.now();
    const body = bodyOf(await exchange(gateway.url, asked(aStream)));
    // And not when it has stood idle for as long as a connection may.
    expect(performance.now() - askedAt).toBeLessThan(PATIENCE_MS);
    expect(body.startsWith(event)).toBe(true);
    expect(body).toContain('before it was complete');
    await settled();
  });

  test('nothing follows behind the length that was announced', async () => {
    upstream.answer((socket) => void socket.end(streamed(event.length + 10) + event));
    expect(event.startsWith(bodyOf(await exchange(gateway.url, asked(aStream))))).toBe(true);
    await settled();
  });

  test('a stream that has all that was announced, and no end, leaves the connection to the next answer', async () => {
    upstream.answer((socket) => void socket.write(streamed(event.length) + event));
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
    let text = '';
    socket.on('data', (bytes) => (text += bytes.toString()));
    socket.write(asked(aStream));
    await settled();
    await expect.poll(() => bodyOf(text)).toBe(event);
    upstream.answer((provider) => void provider.end(whole(answer)));
    text = '';
    socket.write(asked({}, 'Connection: close\r\n'));
    await once(socket, 'close');
    expect(bodyOf(text)).toBe(answer);
    await settled();
  });
});

describe('a client that', () => {
  const request = (body: string, length = body.length) =>
    `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n${body}`;
  const body = JSON.stringify({ model: 'acme', messages: [], max_tokens: 50, stream: true });

  function dial(): Socket {
    const socket = connect({
      port: Number(new URL(gateway.url).port),
      host: '127.0.0.1',
      allowHalfOpen: true,
    });
    socket.on('error', () => {});
    return socket;
  }
  async function rest(socket: Socket): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of socket as AsyncIterable<Buffer>) parts.push(part);
    return Buffer.concat(parts);
  }

  test('closes its half once it has asked is taken for gone, and what was made for it is settled', async () => {
    tally.tried += 1;
    upstream.answer((socket) => void socket.end(whole(answer)));
    const socket = dial();
    socket.end(request(body));
    await rest(socket);
    expect(await settled()).toMatchObject({ status: 200, costNano: paid });
    tally.survived += 1;
  });

  test('sends its body byte by byte is served', async () => {
    tally.tried += 1;
    upstream.answer((socket) => void socket.end(whole(answer)));
    const socket = dial();
    for (const byte of request(body)) await new Promise((next) => socket.write(byte, next));
    expect((await rest(socket)).toString()).toContain(answer);
    await settled();
    tally.survived += 1;
  });

  test.each([
    ['promises more than it sends', body.length + 1],
    ['sends more than it promises', body.length - 1],
  ])('%s reaches no provider', async (_what, length) => {
    tally.tried += 1;
    const asked = upstream.received.join('').length;
    const socket = dial();
    socket.end(request(body, length));
    expect((await rest(socket)).toString()).not.toContain('200 OK');
    expect(upstream.received.join('').length).toBe(asked);
    tally.survived += 1;
  });

  /** One event after the other; `write` waits while the gateway does not read. */
  const event = `data: {"id":"c","model":"acme","choices":[{"index":0,"delta":{"content":"${'x'.repeat(60_000)}"}}]}\n\n`;
  const rounds = 1_000;
  const end = `data: {"id":"c","model":"acme","choices":[],${usage}}\n\ndata: [DONE]\n\n`;
  const streamHead = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n';

  test.each(['as it is', 'packed'])('does not read holds the provider back: %s', async (how) => {
    tally.tried += 1;
    let taken = 0;
    const bomb = gzipSync(event.repeat(rounds) + end);
    upstream.answer(async (socket) => {
      if (how === 'packed')
        return void socket.end(
          Buffer.concat([Buffer.from(`${streamHead}Content-Encoding: gzip\r\n\r\n`), bomb]),
        );
      await write(socket, `${streamHead}\r\n`);
      for (let round = 0; round < rounds && (await write(socket, event)); round += 1) taken += event.length;
      socket.end(end);
    });
    const socket = dial().pause();
    socket.write(
      request(body.replace('"stream":true', '"stream":true,"stream_options":{"include_usage":true}')),
    );
    const before = process.memoryUsage.rss();
    await once(socket, 'readable');
    let last = -1;
    const stands = () => {
      const still = taken === last;
      last = taken;
      return still;
    };
    await expect.poll(stands, { interval: 400 }).toBe(true);
    const grown = process.memoryUsage.rss() - before;
    expect(taken).toBeLessThan(30 * 2 ** 20);
    expect(grown).toBeLessThan(48 * 2 ** 20);
    const got = await rest(socket);
    expect(got.length).toBeGreaterThan(rounds * event.length);
    expect(got.subarray(-400).toString()).toContain('[DONE]');
    expect(await settled()).toMatchObject({ costNano: paid, flags: [] });
    tally.survived += 1;
  });
});
