/** Which addresses are served and how, which are refused and why, and who is let in. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { send, type Incoming, type Outgoing } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

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

describe('the root', () => {
  test('tells everybody that the gateway is alive', async () => {
    const alive = await send(`${gateway.url}/`, { method: 'GET' });
    expect(alive.json).toEqual({ name: 'Faregate', status: 'ok' });
    const head = await send(`${gateway.url}/`, { method: 'HEAD' });
    expect([head.status, head.text]).toEqual([200, '']);
  });
});

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
    ['/v1/interactions', '/v1beta/interactions'],
  ])('%s goes to %s and leaves a row', async (path, expected) => {
    upstream.reply(/(compact|interactions)$/, { body: { usage: { input_tokens: 12, output_tokens: 5 } } });
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
    '/v1/vector_stores/vs_1/search',
    '/v1/rerank',
    '/v1beta/cachedContents',
    '/v1beta/models/acme:predictLongRunning',
    '/v1beta/models/acme:batchGenerateContent',
  ])('and cannot be metered is refused, not passed on: %s', async (path) => {
    const answer = await post(path);
    expect(answer.status).toBe(400);
    expect(messageOf(answer)).toMatch(/cannot be metered.*Call the provider directly/);
    if (path.startsWith('/v1/vector_stores')) expect(messageOf(answer)).toMatch(/^Vector stores/);
    expect(upstream.requests).toHaveLength(0);
  });

  test.each([
    ['/v1/responses', { ...body, background: true }],
    ['/v1/responses', { ...body, background: 'true' }],
    ['/v1/chat/completions', { ...body, deferred: true }],
    ['/v1/chat/completions', { ...body, deferred: 1 }],
    ['/v1beta/interactions', { ...body, background: true }],
    ['/v1beta/interactions', { agent: 'deep-research', input: 'x' }],
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

  test('is refused with the reason where the one under the slug has none of that shape', async () => {
    const answer = await send(`${gateway.url}/openai/v1/models`, {
      method: 'GET',
      headers: { 'x-goog-api-key': key },
    });
    expect([answer.status, messageOf(answer)]).toEqual([
      404,
      'The provider OpenAI does not speak the Gemini protocol. Use another provider for it.',
    ]);
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
      top_up: null,
      session_limit: null,
      paused: false,
      limits: [],
    });
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

  test('is the only one whose list has the model, where no vendor is known by its name', async () => {
    await addProvider(gateway, upstream, 'openrouter', { billing: 'free' });
    await addProvider(gateway, upstream, 'groq', { billing: 'free' });
    const asked = ['llama-3.3-70b-versatile', 'chatgpt-4o-latest', 'codex-mini-latest'];
    for (const model of asked) await post('/v1/chat/completions', { ...body, model });
    await post('/v1/embeddings', { model: 'text-embedding-3-small', input: 'x' });
    const { rows } = await gateway.call('requests.list', {});
    expect(rows.map(({ provider, modelAsked }) => `${provider} ${modelAsked}`).toReversed()).toEqual([
      'groq llama-3.3-70b-versatile',
      'openai chatgpt-4o-latest',
      'openai codex-mini-latest',
      'openai text-embedding-3-small',
    ]);
  });

  test('keeps the whole name of a model of OpenRouter’s own', async () => {
    await addProvider(gateway, upstream, 'openrouter', { billing: 'free' });
    const asked = ['openrouter/auto', 'openrouter/openai/gpt-4o', 'meta/llama-3:free'];
    for (const model of asked.slice(0, 2)) await post('/v1/chat/completions', { ...body, model });
    for (const model of asked) await post('/openrouter/v1/chat/completions', { ...body, model });
    const sent = upstream.requests.map(({ json }) => (json as { model: string }).model);
    expect(sent).toEqual([
      'openrouter/auto',
      'openai/gpt-4o',
      'openrouter/auto',
      'openai/gpt-4o',
      'meta/llama-3:free',
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
