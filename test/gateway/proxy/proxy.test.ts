/** What passes through the gateway: bytes, headers and errors as they came, but for the edits that are named. */
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RequestRow } from '#shared/model.ts';
import { begin, send, type Incoming } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { sse } from '../../support/provider-answers.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let key: string;

beforeEach(async () => {
  upstream = await startUpstream({ credential: 'sk-upstream' });
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

const messages = [{ role: 'user', content: 'Grüße, 世界 🌍' }];
const contents = [{ role: 'user', parts: [{ text: 'Grüße, 世界 🌍' }] }];
const usageAsked = { stream: true, stream_options: { include_usage: true } };

/** Every dialect, plain and streamed, with a request that needs no edit. */
const calls: [name: string, path: string, body: object][] = [
  ['chat', '/v1/chat/completions', { model: 'acme', messages, max_tokens: 50 }],
  ['chat, streamed', '/v1/chat/completions', { model: 'acme', messages, max_tokens: 50, ...usageAsked }],
  ['completions', '/v1/completions', { model: 'acme', prompt: 'Once', max_tokens: 50 }],
  ['responses', '/v1/responses', { model: 'acme', input: 'Once', max_output_tokens: 50 }],
  [
    'responses, streamed',
    '/v1/responses',
    { model: 'acme', input: 'Once', max_output_tokens: 50, stream: true },
  ],
  ['embeddings', '/v1/embeddings', { model: 'acme', input: ['one', 'two'] }],
  ['messages', '/v1/messages', { model: 'acme', messages, max_tokens: 50 }],
  ['messages, streamed', '/v1/messages', { model: 'acme', messages, max_tokens: 50, stream: true }],
  ['gemini', '/v1beta/models/acme:generateContent', { contents }],
  ['gemini, streamed as events', '/v1beta/models/acme:streamGenerateContent?alt=sse', { contents }],
  ['gemini, streamed as an array', '/v1beta/models/acme:streamGenerateContent', { contents }],
];

function ask(
  path: string,
  body: unknown,
  headers: Record<string, string | string[]> = {},
): Promise<Incoming> {
  return send(`${gateway.url}${path}`, {
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body,
  });
}

async function onlyRow(): Promise<RequestRow> {
  const { rows } = await gateway.call('requests.list', {});
  if (rows.length !== 1 || rows[0] === undefined) throw new Error(`${rows.length} rows`);
  return rows[0];
}

describe.each(calls)('%s', (name, path, body) => {
  test('reaches the provider byte for byte, and so does the answer the client', async () => {
    upstream.answers({ inputTokens: 12, outputTokens: 5, text: 'Ça va? 🌞 さようなら' });
    // Spaces, escapes and an unknown field: whatever the client wrote is what is sent.
    const written = JSON.stringify({ ...body, unknown_field: { b: [1, 2.0] } }, null, 3).replace(
      '{',
      '{\n\t"x-é" : "\\u00e9\\/",',
    );
    const direct = await send(`${upstream.url}${path}`, {
      headers: { authorization: 'Bearer sk-upstream' },
      body: written,
    });
    const through = await ask(path, written);
    expect(through.body.equals(direct.body)).toBe(true);
    expect(through.status).toBe(200);
    expect(through.headers['content-type']).toBe(direct.headers['content-type']);
    expect(upstream.requests[1]?.body.toString()).toBe(written);
    expect(upstream.requests[1]?.url).toBe(path);
  });

  test('is settled at what the provider reports before the client has the end of it', async () => {
    await ask(path, body);
    const row = await onlyRow();
    const output = name === 'embeddings' ? 0 : 5;
    expect(row).toMatchObject({
      inputTokens: 12,
      outputTokens: output,
      costNano: 12 * 1000 + output * 10_000,
      flags: [],
      status: 200,
    });
    expect(row.stream).toBe(name.includes('streamed'));
    const [listed] = await gateway.call('keys.list', {});
    expect(listed).toMatchObject({ usageNano: row.costNano, heldNano: 0, requests: 1 });
  });
});

describe('the credential', () => {
  const chat = '/v1/chat/completions';
  const body = { model: 'acme', messages, max_tokens: 5 };

  test.each<[string, string, Record<string, string>]>([
    ['Authorization: Bearer', '', { authorization: 'Bearer KEY' }],
    ['authorization in another spelling', '', { AUTHORIZATION: 'bearer  KEY' }],
    ['x-api-key', '', { 'x-api-key': 'KEY' }],
    ['x-goog-api-key', '', { 'X-Goog-Api-Key': 'KEY' }],
    ['?key=', '?key=KEY', {}],
    ['one that is none beside one that is', '', { authorization: 'Bearer someone-else', 'x-api-key': 'KEY' }],
  ])('is taken from %s on any route, and only the provider’s own goes on', async (_form, query, headers) => {
    const given = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('KEY', key)]),
    );
    const routes = [chat, '/v1/messages', '/v1beta/models/acme:generateContent'];
    for (const path of routes) {
      const answer = await send(`${gateway.url}${path}${query.replace('KEY', key)}`, {
        headers: given,
        body: { ...body, contents },
      });
      expect(answer.status).toBe(200);
    }
    const sent = upstream.requests.map(({ headers: { authorization, ...all } }) => [
      authorization,
      all['x-api-key'],
      all['x-goog-api-key'],
    ]);
    expect(sent).toEqual([
      ['Bearer sk-upstream', undefined, undefined],
      [undefined, 'sk-upstream', undefined],
      [undefined, undefined, 'sk-upstream'],
    ]);
    const everything = upstream.requests.map(({ url, headers: all }) => url + JSON.stringify(all)).join('');
    expect(everything).not.toContain('sk-fg-');
  });

  test('cannot be taken away by naming it in the Connection header', async () => {
    const answer = await ask(chat, body, { connection: 'close, authorization, x-api-key, content-type' });
    expect(answer.status).toBe(200);
    expect(upstream.requests[0]?.headers.authorization).toBe('Bearer sk-upstream');
  });

  test('is not given away by an answer', async () => {
    const echo = { 'x-echo': 'kept', 'set-cookie': 'session=1', 'www-authenticate': 'Bearer' };
    upstream.reply(chat, { headers: echo, body: { ok: true } });
    const answer = await ask(chat, body);
    expect(answer.headers['x-echo']).toBe('kept');
    expect(JSON.stringify(answer.rawHeaders)).not.toMatch(/sk-upstream|set-cookie/i);
  });
});

describe('headers', () => {
  const chat = '/v1/chat/completions';
  const body = { model: 'acme', messages, max_tokens: 5 };

  test('of the client pass, unknown ones included, with the query', async () => {
    const passing = {
      'anthropic-beta': 'one-2025,two-2026',
      'anthropic-version': '2026-10-21',
      'openai-beta': 'x=1',
      originator: 'codex_exec',
      'session-id': 'abc',
      'x-codex-turn-metadata': '{"a":1}',
      'x-stainless-retry-count': '0',
      'x-goog-api-client': 'genai',
      'user-agent': 'claude-cli/2.1.330 (external, cli)',
      accept: 'text/event-stream',
      'x-latin': 'caf\u00e9',
    };
    await ask(`${chat}?beta=true&a=b%2Fc&a=%20&empty=`, body, passing);
    expect(upstream.requests[0]?.headers).toMatchObject(passing);
    expect(upstream.requests[0]?.url).toBe(`${chat}?beta=true&a=b%2Fc&a=%20&empty=`);
  });

  test('of the connection, cookies and what invites compression do not pass', async () => {
    await ask(chat, body, {
      connection: 'keep-alive, X-Mine',
      'x-mine': 'hop',
      'keep-alive': 'timeout=5',
      te: 'trailers',
      'proxy-authorization': 'Basic x',
      'proxy-foo': 'x',
      cookie: 'a=b',
      'accept-encoding': 'gzip, br, zstd',
      expect: '100-continue',
    });
    const sent = upstream.requests[0]?.headers ?? {};
    for (const name of ['x-mine', 'te', 'proxy-authorization', 'proxy-foo', 'cookie', 'expect'])
      expect(sent).not.toHaveProperty(name);
    expect(sent['accept-encoding']).toBe('identity');
    expect(sent.host).toBe(new URL(upstream.url).host);
    expect(Number(sent['content-length'])).toBe(upstream.requests[0]?.body.length);
  });

  test('of the provider pass, but for those of the connection and CORS', async () => {
    upstream.reply(chat, {
      headers: {
        'x-request-id': 'req_1',
        'openai-processing-ms': '12',
        'x-ratelimit-remaining-requests': '99',
        'access-control-allow-origin': '*',
        'strict-transport-security': 'max-age=1',
        'alt-svc': 'h3=":443"',
        connection: 'close, x-hop',
        'x-hop': '1',
      },
      body: { usage: { prompt_tokens: 1, completion_tokens: 1 } },
    });
    const { headers } = await ask(chat, body);
    expect(headers).toMatchObject({
      'x-request-id': 'req_1',
      'openai-processing-ms': '12',
      'x-ratelimit-remaining-requests': '99',
    });
    for (const name of ['access-control-allow-origin', 'strict-transport-security', 'alt-svc', 'x-hop'])
      expect(headers).not.toHaveProperty(name);
  });

  test('name the version of the Messages API only where the client does not', async () => {
    const message = { model: 'acme', messages, max_tokens: 5 };
    await ask('/v1/messages', message);
    await ask('/v1/messages', message, { 'anthropic-version': '2026-10-21' });
    expect(upstream.requests.map(({ headers }) => headers['anthropic-version'])).toEqual([
      '2023-06-01',
      '2026-10-21',
    ]);
  });
});

describe('the edits', () => {
  const chunk = (more: object) => sse({ id: 'c', object: 'chat.completion.chunk', model: 'acme', ...more });
  const stream = [
    chunk({ choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }], usage: null }),
    chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null }),
    chunk({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } }),
    sse('[DONE]'),
  ];
  const events = { 'content-type': 'text/event-stream' };

  test('ask a chat stream for its usage, and hide the chunk the client did not ask for', async () => {
    upstream.reply('/v1/chat/completions', { headers: events, chunks: stream });
    const written = '{ "model": "acme", "messages": [], "stream": true , "max_tokens":50 }';
    const answer = await ask('/v1/chat/completions', written);
    expect(upstream.requests[0]?.body.toString()).toBe(
      '{ "model": "acme", "messages": [], "stream": true , "max_tokens":50,"stream_options":{"include_usage":true} }',
    );
    expect(answer.text).toBe([stream[0], stream[1], stream[3]].join(''));
    expect(await onlyRow()).toMatchObject({ inputTokens: 7, outputTokens: 3, flags: [] });
  });

  test('keep the other stream options, and leave a client that asks for usage alone', async () => {
    upstream.reply('/v1/chat/completions', { headers: events, chunks: stream });
    const asked = { model: 'acme', messages, max_tokens: 5, stream: true };
    await ask('/v1/chat/completions', { ...asked, stream_options: { include_obfuscation: false } });
    const answer = await ask('/v1/chat/completions', { ...asked, stream_options: { include_usage: true } });
    expect(upstream.requests.map(({ json }) => json)).toMatchObject([
      { stream_options: { include_obfuscation: false, include_usage: true } },
      { stream_options: { include_usage: true } },
    ]);
    expect(answer.text).toBe(stream.join(''));
  });

  test('do not give Mistral a field that it refuses', async () => {
    await addProvider(gateway, upstream, 'mistral', { billing: 'free' });
    await ask('/mistral/v1/chat/completions', { model: 'm', messages, stream: true });
    expect(upstream.requests[0]?.json).not.toHaveProperty('stream_options');
  });

  test('take the provider’s name off the model, in the body and in the path', async () => {
    await ask('/v1/chat/completions', { model: 'openai/acme', messages, max_tokens: 5 });
    await ask('/v1beta/models/gemini/acme:generateContent', { contents });
    await ask('/openai/v1/chat/completions', { model: 'acme', messages, max_tokens: 5 });
    expect(upstream.requests[0]?.body.toString()).toBe(
      JSON.stringify({ model: 'acme', messages, max_tokens: 5 }),
    );
    expect(upstream.requests[1]?.url).toBe('/v1beta/models/acme:generateContent');
    expect(upstream.requests[2]?.json).toMatchObject({ model: 'acme' });
  });
});

describe('what the provider refuses', () => {
  const paths = [
    '/v1/chat/completions',
    '/v1/responses',
    '/v1/messages',
    '/v1beta/models/acme:generateContent',
  ];

  test.each([400, 401, 403, 404, 413, 429, 500, 503, 529])(
    'with %i comes through untouched and costs nothing',
    async (status) => {
      const refusal = '{"error" : {"type":"overloaded_error","message":"prompt is too long"}}';
      const headers = {
        'content-type': 'application/json',
        'retry-after': '17',
        'x-should-retry': 'true',
        'request-id': 'req_9',
      };
      upstream.reply(/./, { status, headers, body: refusal });
      for (const path of paths) {
        const answer = await ask(path, { model: 'acme', messages, contents, max_tokens: 5, stream: true });
        expect(answer.status).toBe(status);
        expect(answer.text).toBe(refusal);
        expect(answer.headers).toMatchObject({ ...headers, 'content-type': 'application/json' });
      }
      const { rows } = await gateway.call('requests.list', {});
      expect(rows.map((row) => [row.status, row.costNano, row.flags])).toEqual(
        paths.map(() => [status, 0, []]),
      );
      expect((await gateway.call('keys.list', {}))[0]).toMatchObject({
        usageNano: 0,
        heldNano: 0,
        requests: 4,
      });
    },
  );
});

describe('compression', () => {
  const body = { model: 'acme', messages, max_tokens: 5 };

  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ])(
    'of a request with %s is undone, so that what is metered is what is sent',
    async (encoding, compress) => {
      const answer = await ask('/v1/messages', compress(JSON.stringify(body)), {
        'content-encoding': encoding,
      });
      expect(answer.status).toBe(200);
      expect(upstream.requests[0]?.json).toEqual(body);
      expect(upstream.requests[0]?.headers).not.toHaveProperty('content-encoding');
    },
  );

  test.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ])('of an answer with %s that nobody asked for is undone and metered', async (encoding, compress) => {
    const plain = JSON.stringify({
      model: 'acme',
      usage: { prompt_tokens: 9, completion_tokens: 4 },
      text: 'é'.repeat(5000),
    });
    const packed = compress(plain);
    upstream.reply('/v1/chat/completions', {
      headers: {
        'content-type': 'application/json',
        'content-encoding': encoding,
        'content-length': String(packed.length),
      },
      chunks: [packed.subarray(0, 20), packed.subarray(20)],
    });
    const answer = await ask('/v1/chat/completions', body);
    expect(answer.text).toBe(plain);
    expect(answer.headers).not.toHaveProperty('content-encoding');
    expect(await onlyRow()).toMatchObject({ inputTokens: 9, outputTokens: 4, flags: [] });
  });

  test('that cannot be read passes as it is, and the cost is an estimate', async () => {
    upstream.reply('/v1/chat/completions', {
      headers: { 'content-type': 'application/json', 'content-encoding': 'compress' },
      body: Buffer.from([0x1f, 0x9d, 1, 2, 3]),
    });
    const answer = await ask('/v1/chat/completions', body);
    expect([...answer.body]).toEqual([0x1f, 0x9d, 1, 2, 3]);
    expect(answer.headers['content-encoding']).toBe('compress');
    expect((await onlyRow()).flags).toEqual(['estimated']);
  });
});

test('counts in some other unit do not stop the gateway: the request counts at what was set aside', async () => {
  const body = { model: 'acme', messages, max_tokens: 50 };
  const { secret } = await gateway.call('keys.create', { name: 'unlimited' });
  upstream.reply(
    '/v1/chat/completions',
    { body: { model: 'acme', usage: { prompt_tokens: 1, completion_tokens: 9_000_000_000_000 } } },
    2,
  );
  for (let count = 0; count < 2; count += 1)
    expect((await ask('/v1/chat/completions', body, { authorization: `Bearer ${secret}` })).status).toBe(200);
  expect((await ask('/v1/chat/completions', body)).status).toBe(200);
  const { rows } = await gateway.call('requests.list', {});
  expect(rows.map(({ flags }) => flags)).toEqual([[], ['estimated'], ['estimated']]);
  expect(await gateway.call('status.get', {})).toMatchObject({
    problem: null,
    totals: { heldNano: 0, running: 0 },
  });
});

test('each piece of a stream is passed on when it comes', async () => {
  const second = gate();
  const data = sse({ type: 'ping' }, 'ping');
  upstream.reply('/v1/messages', {
    headers: { 'content-type': 'text/event-stream' },
    chunks: [data, second, data],
  });
  const answer = await begin(`${gateway.url}/v1/messages`, {
    headers: { 'x-api-key': key },
    body: { model: 'acme', messages, max_tokens: 5, stream: true },
  });
  expect((await answer.next())?.toString()).toBe(data);
  second.open();
  expect((await answer.rest()).text).toContain(data);
});
