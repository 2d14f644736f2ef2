/** Which addresses are served and how, which are refused and why, and who is let in. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { send, type Incoming, type Outgoing } from '../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let key: string;
let keyId: string;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  for (const kind of ['openai', 'anthropic', 'gemini'] as const) {
    const { id } = await addProvider(gateway, upstream, kind);
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
  }
  const created = await gateway.call('keys.create', { name: 'k', limitNano: usd('100') });
  [key, keyId] = [created.secret, created.key.id];
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
const get = (path: string, headers: Record<string, string> = {}) => ask(path, { method: 'GET', headers });

/** The message of a refusal, wherever the dialect puts it. */
function messageOf({ json }: Incoming): string {
  const { error } = json as { error: { message: string } };
  return error.message;
}

describe('a call that costs money', () => {
  test.each([
    ['/v1/chat/completions', '/v1/chat/completions'],
    ['/chat/completions', '/v1/chat/completions'],
    ['/v1/v1/chat/completions', '/v1/chat/completions'],
    ['//v1/chat/completions/', '/v1/chat/completions'],
    ['/openai/v1/chat/completions', '/v1/chat/completions'],
    ['/openai/chat/completions', '/v1/chat/completions'],
    ['/responses', '/v1/responses'],
    ['/v1/responses/compact', '/v1/responses/compact'],
    ['/embeddings', '/v1/embeddings'],
    ['/messages', '/v1/messages'],
    ['/v1/v1/messages?beta=true', '/v1/messages?beta=true'],
    ['/anthropic/v1/messages', '/v1/messages'],
    ['/v1beta/models/acme:generateContent', '/v1beta/models/acme:generateContent'],
    ['/v1/models/acme:generateContent', '/v1beta/models/acme:generateContent'],
    ['/models/acme:streamGenerateContent?alt=sse', '/v1beta/models/acme:streamGenerateContent?alt=sse'],
    ['/gemini/v1beta/models/acme:generateContent', '/v1beta/models/acme:generateContent'],
    ['/v1beta/models/gemini/acme:generateContent', '/v1beta/models/acme:generateContent'],
    ['/v1beta/models/acme:embedContent', '/v1beta/models/acme:embedContent'],
  ])('%s goes to %s and leaves a row', async (path, expected) => {
    upstream.reply(/compact$/, { body: { usage: { input_tokens: 12, output_tokens: 5 } } });
    const answer = await post(path);
    expect(answer.status).toBe(200);
    expect(upstream.requests.map(({ url }) => url)).toEqual([expected]);
    expect((await gateway.call('requests.list', {})).rows).toHaveLength(1);
  });

  test.each([
    '/v1/batches',
    '/v1/messages/batches',
    '/v1/files',
    '/v1/fine_tuning/jobs',
    '/v1/images/generations',
    '/v1/audio/speech',
    '/v1/videos',
    '/v1/realtime/sessions',
    '/v1/threads',
    '/v1/rerank',
    '/v1/interactions',
    '/v1beta/cachedContents',
    '/v1beta/models/acme:predictLongRunning',
    '/v1beta/models/acme:batchGenerateContent',
  ])('and cannot be metered is refused, not passed on: %s', async (path) => {
    const answer = await post(path);
    expect(answer.status).toBe(400);
    expect(messageOf(answer)).toMatch(/cannot be metered.*Call the provider directly/);
    expect(upstream.requests).toHaveLength(0);
  });

  test.each([
    ['/v1/responses', { ...body, background: true }],
    ['/v1/chat/completions', { ...body, deferred: true }],
  ])('and is fetched later is refused: %s', async (path, sent) => {
    const answer = await post(path, sent);
    expect(answer.status).toBe(400);
    expect(upstream.requests).toHaveLength(0);
  });
});

describe('an address that is not served', () => {
  test.each([
    '/v1/nothing',
    '/v2/chat/completions',
    '/v1/chat',
    '/v1/constructor',
    '/v1/__proto__',
    '/v1/toString',
    '/v1beta/models/acme:constructor',
    '/v1beta/models/acme:toString',
    '/nobody/v1/chat/completions',
    '/v1/../v1/chat/completions',
    '/v1/%2e%2e/chat/completions',
    '/v1beta/models/..:generateContent',
    '/v1beta/models/%2e%2e%2ffiles:generateContent',
    '/v1beta/models/a%2f..%2fb:generateContent',
    '/v1beta/models/a%3Fb:generateContent',
    '/v1beta/models/%zz:generateContent',
  ])('is refused and goes nowhere: %s', async (path) => {
    const answer = await sendRaw(path);
    expect([400, 404]).toContain(answer.status);
    expect(answer.text).toMatch(/Nothing is served at this address|cannot be metered/);
    expect(upstream.requests).toHaveLength(0);
  });

  /** Past the client's own clean-up of dots in an address. */
  async function sendRaw(path: string): Promise<{ status: number; text: string }> {
    const { hostname, port } = new URL(gateway.url);
    const request = httpRequest({
      hostname,
      port,
      path,
      method: 'POST',
      agent: false,
      headers: { authorization: `Bearer ${key}` },
    });
    request.end(JSON.stringify(body));
    const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer> & { statusCode: number }];
    let text = '';
    for await (const part of response) text += part.toString();
    return { status: response.statusCode, text };
  }

  test.each([
    ['GET', '/v1/chat/completions', 'POST'],
    ['DELETE', '/v1/messages', 'POST'],
    ['POST', '/v1/models', 'GET, HEAD'],
    ['POST', '/v1/key', 'GET, HEAD'],
    ['POST', '/', 'GET, HEAD'],
    ['PUT', '/v1beta/models/acme:generateContent', 'POST'],
  ])('by %s says which methods are: %s', async (method, path, allow) => {
    const answer = await ask(path, { method, body: {} });
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toBe(allow);
  });
});

describe('a call that is free', () => {
  test('costs nothing, holds nothing, and is served beyond the limit: count_tokens', async () => {
    await gateway.call('keys.setLimit', { id: keyId, limitNano: 0 });
    for (const path of [
      '/v1/messages/count_tokens?beta=true',
      '/messages/count_tokens',
      '/v1beta/models/acme:countTokens',
    ]) {
      const answer = await post(path);
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject(
        path.includes('countTokens') ? { totalTokens: 12 } : { input_tokens: 12 },
      );
    }
    expect((await gateway.call('requests.list', {})).rows).toEqual([]);
    expect((await gateway.call('keys.list', {}))[0]).toMatchObject({
      requests: 0,
      usageNano: 0,
      heldNano: 0,
    });
  });

  test('runs forty times at once', async () => {
    const open = gate();
    upstream.reply('/v1/messages/count_tokens', { before: open, body: { input_tokens: 3 } });
    const all = Promise.all(Array.from({ length: 40 }, () => post('/v1/messages/count_tokens')));
    await upstream.nthRequest(40);
    open.open();
    expect((await all).map(({ status }) => status)).toEqual(Array.from({ length: 40 }, () => 200));
  });

  test.each([
    ['GET', '/v1/responses/resp_1?include=x', '/v1/responses/resp_1?include=x'],
    ['DELETE', '/responses/resp_1', '/v1/responses/resp_1'],
    ['GET', '/v1/responses/resp_1/input_items', '/v1/responses/resp_1/input_items'],
    ['POST', '/v1/responses/resp_1/cancel', '/v1/responses/resp_1/cancel'],
  ])('is a stored response: %s %s', async (method, path, expected) => {
    upstream.reply(/resp_1/, { body: { id: 'resp_1' } });
    const answer = await ask(path, { method });
    expect(answer.json).toEqual({ id: 'resp_1' });
    expect(upstream.requests).toMatchObject([{ method, url: expected }]);
  });

  test('is refused without a key', async () => {
    expect((await send(`${gateway.url}/v1/messages/count_tokens`, { body })).status).toBe(401);
    expect((await send(`${gateway.url}/v1/models`, { method: 'GET' })).status).toBe(401);
    expect((await send(`${gateway.url}/v1/key`, { method: 'GET' })).status).toBe(401);
  });
});

describe('the list of models', () => {
  test('has the shape of the OpenAI family by default', async () => {
    const { json } = await get('/v1/models');
    expect(json).toMatchObject({ object: 'list', data: [{ id: 'gpt-4o-mini', object: 'model' }, {}, {}] });
    expect((await get('/models')).json).toEqual(json);
  });

  test('has the shape of Anthropic where the version of its API is named', async () => {
    const { json } = await get('/v1/models?limit=1000', { 'anthropic-version': '2023-06-01' });
    expect(json).toMatchObject({
      has_more: false,
      first_id: 'gpt-4o-mini',
      data: [{ type: 'model', display_name: 'gpt-4o-mini' }, {}, {}],
    });
  });

  test('has the shape of Gemini under its address or with its key', async () => {
    const expected = { models: [{ name: 'models/gemini-2.5-flash' }, { name: 'models/gemini-2.5-pro' }] };
    expect((await get('/v1beta/models')).json).toMatchObject(expected);
    const answer = await send(`${gateway.url}/v1/models`, {
      method: 'GET',
      headers: { 'x-goog-api-key': key },
    });
    expect(answer.json).toMatchObject(expected);
  });

  test('has one model alone where one is asked for, and says so where there is none', async () => {
    expect((await get('/v1/models/gpt-4o')).json).toMatchObject({ id: 'gpt-4o' });
    expect((await get('/v1beta/models/gemini-2.5-pro')).json).toMatchObject({
      name: 'models/gemini-2.5-pro',
    });
    expect((await get('/v1/models/no-such-model')).status).toBe(404);
  });

  test('asks a provider once for many, and one provider alone under its slug', async () => {
    await Promise.all([get('/v1/models'), get('/v1/models'), get('/openai/v1/models')]);
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/v1/models']);
  });

  test('names a second provider’s model with its slug', async () => {
    await addProvider(gateway, upstream, 'openai', { slug: 'second' });
    const { json } = await get('/v1/models');
    const ids = (json as { data: { id: string }[] }).data.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(['gpt-4o', 'second/gpt-4o']));
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('the key’s own account', () => {
  test('is in dollars', async () => {
    await gateway.call('keys.setLimit', {
      id: keyId,
      limitNano: usd('10'),
      recurring: { amountNano: usd('2.5'), every: 'day' },
    });
    await post('/v1/messages');
    const { json } = await get('/v1/key');
    expect(json).toMatchObject({
      name: 'k',
      usage: 0.000062,
      held: 0,
      limit: 10,
      remaining: 2.499938,
      recurring: { amount: 2.5, every: 'day', used: 0.000062 },
      resets_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown,
    });
  });

  test('has nothing remaining to tell of where there is no limit', async () => {
    await gateway.call('keys.setLimit', { id: keyId, limitNano: null });
    expect((await get('/key')).json).toEqual({
      name: 'k',
      usage: 0,
      held: 0,
      limit: null,
      remaining: null,
      recurring: null,
      resets_at: null,
    });
  });
});

describe('the browser', () => {
  test.each<[string, Record<string, string>]>([
    ['a name that was rebound', { host: 'evil.example' }],
    ['a name that looks right', { host: '127.0.0.1.evil.example' }],
    ['localhost of another kind', { host: 'localhost.evil.example:3273' }],
    ['a page of another site', { origin: 'https://evil.example' }],
    ['a page of this very address', { origin: 'http://127.0.0.1:3273' }],
    ['a sandboxed page', { origin: 'null' }],
    ['a page that names no origin', { 'sec-fetch-site': 'cross-site' }],
    ['a page of the same site', { 'sec-fetch-site': 'same-origin' }],
  ])('with %s is refused, a good key or not, and learns nothing', async (_what, headers) => {
    for (const path of ['/v1/messages', '/v1/models', '/v1/key', '/']) {
      const answer = await ask(path, {
        method: path === '/v1/messages' ? 'POST' : 'GET',
        headers,
        ...(path === '/v1/messages' ? { body } : {}),
      });
      expect(answer.status).toBe(403);
      expect(answer.rawHeaders.join(' ').toLowerCase()).not.toContain('access-control');
    }
    expect(upstream.requests).toHaveLength(0);
  });

  test('gets no leave from a preflight', async () => {
    const preflight = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    const answer = await ask('/v1/messages', { method: 'OPTIONS', headers: preflight });
    expect(answer.status).toBe(403);
    expect(answer.rawHeaders.join(' ').toLowerCase()).not.toContain('access-control');
  });

  test.each(['127.0.0.1', 'localhost', 'LOCALHOST:3273', '[::1]:3273', '127.0.0.1:80'])(
    'is not what a tool is that calls %s',
    async (host) => {
      expect(
        (await ask('/v1/key', { method: 'GET', headers: { host, 'sec-fetch-site': 'none' } })).status,
      ).toBe(200);
    },
  );

  test('and everybody else may see that the gateway is alive', async () => {
    const alive = await send(`${gateway.url}/`, { method: 'GET' });
    expect(alive.json).toEqual({ name: 'Faregate', status: 'ok' });
    const head = await send(`${gateway.url}/`, { method: 'HEAD' });
    expect([head.status, head.text]).toEqual([200, '']);
  });
});

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

describe('the provider', () => {
  test('that is disabled or gone is refused with what to do', async () => {
    const anthropic = (await gateway.call('providers.list', {})).find(({ kind }) => kind === 'anthropic');
    await gateway.call('providers.update', { id: anthropic?.id ?? '', enabled: false });
    expect(messageOf(await post('/anthropic/v1/messages'))).toMatch(/Anthropic is disabled\. Enable it/);
    expect(messageOf(await post('/v1/messages'))).toMatch(
      /No enabled provider speaks the Anthropic Messages protocol/,
    );
    await gateway.call('providers.delete', { id: anthropic?.id ?? '' });
    expect((await post('/anthropic/v1/messages')).status).toBe(404);
    expect(upstream.requests).toHaveLength(0);
  });

  test('that speaks another protocol is refused', async () => {
    const answer = await post('/openai/v1/messages');
    expect(answer.status).toBe(404);
    expect(messageOf(answer)).toMatch(/OpenAI does not speak the Anthropic Messages protocol/);
  });

  test('without its credential is refused with where to enter it', async () => {
    const [openai] = await gateway.call('providers.list', {});
    await gateway.call('providers.update', { id: openai?.id ?? '', credential: null });
    const answer = await post('/v1/chat/completions');
    expect(answer.status).toBe(402);
    expect(messageOf(answer)).toMatch(/credential of OpenAI is missing\. Enter it in Faregate, Providers/);
  });

  test('is the one that has a price of the person’s own, then the vendor of the model, else a choice', async () => {
    await addProvider(gateway, upstream, 'openai', { slug: 'second', billing: 'free' });
    await addProvider(gateway, upstream, 'groq', { billing: 'free' });
    expect((await post('/v1/chat/completions', { ...body, model: 'acme' })).status).toBe(200);
    expect((await post('/v1/chat/completions', { ...body, model: 'gpt-4o' })).status).toBe(200);
    const answer = await post('/v1/chat/completions', { ...body, model: 'unheard-of' });
    expect(answer.status).toBe(404);
    expect(messageOf(answer)).toMatch(/openai\/unheard-of, second\/unheard-of, groq\/unheard-of/);
    const { rows } = await gateway.call('requests.list', {});
    expect(rows.map(({ provider, modelAsked }) => [provider, modelAsked])).toEqual([
      ['openai', 'gpt-4o'],
      ['openai', 'acme'],
    ]);
  });

  test('keeps a slash in the name of a model that is not its slug', async () => {
    await addProvider(gateway, upstream, 'openai-compatible', {
      slug: 'box',
      billing: 'free',
      baseUrl: `${upstream.url}/api/openai/v1`,
    });
    await post('/box/v1/chat/completions', { ...body, model: 'meta/llama-3' });
    expect(upstream.requests[0]).toMatchObject({
      url: '/api/openai/v1/chat/completions',
      json: { model: 'meta/llama-3' },
    });
  });
});
