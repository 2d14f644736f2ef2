/** Requests as they arrive: bodies of any size and shape, and offers to speak something else. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { send, type Incoming, type Outgoing } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let key: string;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  for (const kind of ['openai', 'anthropic', 'gemini'] as const) {
    const { id } = await addProvider(gateway, upstream, kind);
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
  }
  ({ secret: key } = await gateway.call('keys.create', { name: 'k', limitNano: usd('100') }));
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const body = { model: 'acme', messages: [], input: 'x', contents: [], max_tokens: 5 };

function ask(path: string, { headers = {}, ...more }: Outgoing = {}): Promise<Incoming> {
  return send(`${gateway.url}${path}`, { headers: { authorization: `Bearer ${key}`, ...headers }, ...more });
}

const post = (path: string, sent: unknown = body, headers: Record<string, string> = {}) =>
  ask(path, { body: sent, headers });

/** The message of a refusal, wherever the dialect puts it. */
function messageOf({ json }: Incoming): string {
  const { error } = json as { error: { message: string } };
  return error.message;
}

describe('an upgrade', () => {
  async function upgrade(lines: string[], payload = ''): Promise<string> {
    const { port } = new URL(gateway.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(`${lines.join('\r\n')}\r\n\r\n${payload}`);
    let text = '';
    for await (const part of socket as AsyncIterable<Buffer>) text += part.toString();
    return text;
  }

  test('to a WebSocket is a 426, after which clients go on over plain HTTP', async () => {
    const answer = await upgrade([
      'GET /v1/responses HTTP/1.1',
      'Host: 127.0.0.1',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]);
    expect(answer).toMatch(/^HTTP\/1\.1 426 /);
    expect(answer).toMatch(/"message":"Faregate does not serve WebSockets/);
    expect(upstream.requests).toHaveLength(0);
  });

  test('that is offered only, as Java does for HTTP/2, does not keep a request from being served', async () => {
    const payload = JSON.stringify(body);
    const answer = await upgrade(
      [
        'POST /v1/messages HTTP/1.1',
        'Host: 127.0.0.1',
        'Connection: Upgrade, HTTP2-Settings, close',
        'Upgrade: h2c',
        'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
        `x-api-key: ${key}`,
        `Content-Length: ${payload.length}`,
      ],
      payload,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(upstream.requests[0]?.headers).not.toHaveProperty('upgrade');
    expect(upstream.requests[0]?.headers).not.toHaveProperty('http2-settings');
  });
});

describe('a body', () => {
  const tooLarge = /larger than 128 MB/;

  test('that says it is too large is refused before it is read', async () => {
    const request = httpRequest(`${gateway.url}/v1/messages`, {
      method: 'POST',
      agent: false,
      headers: { 'x-api-key': key, 'content-length': String(200 * 2 ** 20) },
    });
    request.on('error', () => {});
    request.flushHeaders();
    const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }];
    let text = '';
    for await (const part of response) {
      text += part.toString();
      request.destroy();
    }
    expect(response.statusCode).toBe(413);
    expect(text).toMatch(tooLarge);
  });

  test('that turns out to be too large when it is unpacked is refused', async () => {
    const packed = gzipSync(Buffer.alloc(129 * 2 ** 20, 0x20));
    const answer = await ask('/v1/messages', { body: packed, headers: { 'content-encoding': 'gzip' } });
    expect(answer.status).toBe(413);
    expect(messageOf(answer)).toMatch(tooLarge);
  });

  test('that breaks off because its client has gone is no fault of the gateway’s', async () => {
    const faults: object[] = [];
    const log = { info() {}, warn() {}, error: (fields: object) => faults.push(fields) };
    const logged = await startCore({ log });
    const { secret } = await logged.call('keys.create', { name: 'k' });
    const request = httpRequest(`${logged.url}/v1/messages`, {
      method: 'POST',
      agent: false,
      headers: { 'x-api-key': secret, 'content-length': '1000' },
    });
    request.on('error', () => {});
    request.write('{"model":');
    await send(`${logged.url}/v1/key`, { method: 'GET', headers: { 'x-api-key': secret } });
    request.destroy();
    await logged.dispose();
    expect(faults).toEqual([]);
  });

  test('of several megabytes passes', async () => {
    const large = { ...body, messages: [{ role: 'user', content: 'x'.repeat(9 * 2 ** 20) }] };
    expect((await post('/v1/messages', large)).status).toBe(200);
    expect(upstream.requests[0]?.body.length).toBe(JSON.stringify(large).length);
  });

  test.each<[string, unknown, Record<string, string>, RegExp]>([
    ['is no JSON', 'hello', {}, /not a JSON object/],
    ['is empty', '', {}, /not a JSON object/],
    ['is an array', '[]', {}, /not a JSON object/],
    ['is cut off', '{"model":"acme","messages":[', {}, /not a JSON object/],
    ['has something behind it', '{"model":"acme"} {}', {}, /not a JSON object/],
    ['names no model', '{"messages":[]}', {}, /names no model/],
    ['names a model that is no text', '{"model":5,"messages":[]}', {}, /names no model/],
    ['is packed in a way nobody knows', '{}', { 'content-encoding': 'rot13' }, /"rot13" is not understood/],
    [
      'is packed by the name of what every object has',
      '{}',
      { 'content-encoding': 'constructor' },
      /"constructor" is not understood/,
    ],
    ['is not packed as it says', '{}', { 'content-encoding': 'gzip' }, /not valid gzip/],
  ])('that %s is refused with a sentence', async (_what, sent, headers, message) => {
    const answer = await post('/v1/messages', sent, headers);
    expect(answer.status).toBe(400);
    expect(messageOf(answer)).toMatch(message);
    expect(upstream.requests).toHaveLength(0);
  });

  test.each([
    'model',
    'stream',
    'max_tokens',
    'max_completion_tokens',
    'n',
    'best_of',
    'service_tier',
    'tools',
    'background',
    'mod\\u0065l',
  ])('that gives "%s" twice is refused: parsers differ in which one they take', async (name) => {
    const field = (value: string) => `"${name}":${value}`;
    const answer = await post(
      '/v1/chat/completions',
      `{"model":"acme",${field('1')},${field('2')},"messages":[]}`,
    );
    expect(answer.status).toBe(400);
    expect(messageOf(answer)).toMatch(/is given twice/);
    expect(upstream.requests).toHaveLength(0);
  });

  test('that repeats what does not matter passes as it is', async () => {
    const written =
      '{"model":"acme","messages":[],"metadata":{"a":1,"a":2},"user":"x","user":"y","max_tokens":5}';
    expect((await post('/v1/messages', written)).status).toBe(200);
    expect(upstream.requests[0]?.body.toString()).toBe(written);
  });
});
