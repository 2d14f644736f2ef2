/** Requests made smaller so that a key that still has money is served: what is edited, and what providers would not take. */
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addDimeProviders, field } from '../../support/bounded-requests.ts';
import { send, type Incoming } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore({ waitMs: 60_000 });
});
afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

async function keyWith(limit: string): Promise<(path: string, body: object) => Promise<Incoming>> {
  const { secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd(limit) });
  return (path, body) => send(`${gateway.url}${path}`, { headers: { 'x-api-key': secret }, body });
}

const sent = () => upstream.requests.at(-1)?.json;

test('a key with five dollars left is served 64,000 tokens of the dearest models', async () => {
  await addProvider(gateway, upstream, 'anthropic');
  await addProvider(gateway, upstream, 'openai');
  const ask = await keyWith('5');
  const messages = [{ role: 'user', content: 'Hello' }];
  for (const model of ['claude-opus-4-1', 'claude-opus-4-5', 'claude-sonnet-4-5']) {
    const answer = await ask('/v1/messages', { model, max_tokens: 64_000, messages });
    expect(answer.status).toBe(200);
  }
  const answer = await ask('/v1/chat/completions', {
    model: 'gpt-5-pro',
    max_completion_tokens: 64_000,
    messages,
  });
  expect(answer.status).toBe(200);
});

test.each([
  ['gpt-5-mini', 'max_completion_tokens'],
  ['openai/o3', 'max_completion_tokens'],
  ['openai/gpt-oss-20b', 'max_tokens'],
])('%s behind a compatible server is bounded by %s, where it had no bound', async (model, name) => {
  const { id: providerId } = await addProvider(gateway, upstream, 'openai-compatible');
  await gateway.call('prices.set', { providerId, model, input: '0', output: '100' });
  const ask = await keyWith('0.1');
  const messages = [{ role: 'user', content: 'Hello' }];
  expect((await ask('/v1/chat/completions', { model, messages })).status).toBe(200);
  expect(sent()).toEqual({ model, messages, [name]: 1_000 });
});

test('a thinking budget stays below a clamped bound, under the names that routers have for it', async () => {
  const { id: providerId } = await addProvider(gateway, upstream, 'openrouter');
  await gateway.call('prices.set', { providerId, model: 'a/b', input: '0', output: '100' });
  const request = { model: 'a/b', messages: [], max_tokens: 32_000 };
  const budgets = { reasoning: { max_tokens: 16_000 }, thinking: { type: 'enabled', budget_tokens: 1_500 } };
  const ask = await keyWith('0.2');
  expect((await ask('/v1/chat/completions', { ...request, ...budgets })).status).toBe(200);
  expect(sent()).toEqual({
    ...request,
    max_tokens: 2_000,
    reasoning: { max_tokens: 1_500 },
    thinking: { type: 'enabled', budget_tokens: 1_500 },
  });
  const poor = await keyWith('0.1');
  const answer = await poor('/v1/chat/completions', { ...request, ...budgets });
  expect(answer.status).toBe(402);
  expect(answer.text).toContain('it needs at least $0.128');
});

describe('a clamped answer', () => {
  const speak: Readonly<Record<string, (origin: string, apiKey: string) => Promise<unknown>>> = {
    chat: async (origin, apiKey) => {
      const client = new OpenAI({ apiKey, baseURL: `${origin}/v1` });
      const answer = await client.chat.completions.create({
        model: 'acme',
        messages: [{ role: 'user', content: 'Hello' }],
      });
      return answer.choices[0]?.message.content;
    },
    responses: async (origin, apiKey) => {
      const client = new OpenAI({ apiKey, baseURL: `${origin}/v1` });
      return (await client.responses.create({ model: 'acme', input: 'Hello' })).output_text;
    },
    'messages, streamed and thinking': async (origin, apiKey) => {
      const client = new Anthropic({ apiKey, baseURL: origin });
      const stream = client.messages.stream({
        model: 'acme',
        max_tokens: 32_000,
        thinking: { type: 'enabled', budget_tokens: 31_000 },
        messages: [{ role: 'user', content: 'Hello' }],
      });
      return stream.finalText();
    },
    gemini: async (origin, apiKey) => {
      const client = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: origin } });
      return (await client.models.generateContent({ model: 'acme', contents: 'Hello' })).text;
    },
  };

  test.each(Object.entries(speak))('is one that the SDK shows: %s', async (_, call) => {
    await addDimeProviders(gateway, upstream);
    const { secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('0.15') });
    upstream.answers({ inputTokens: 5, outputTokens: 7, text: 'Short, but an answer.' });
    expect(await call(gateway.url, secret)).toBe('Short, but an answer.');
    const { rows } = await gateway.call('requests.list', {});
    expect(rows).toMatchObject([{ flags: ['clamped'], outputTokens: 7 }]);
  });
});

describe('a thinking budget', () => {
  const thinking = (budget: number) => ({ type: 'enabled', budget_tokens: budget });
  beforeEach(async () => {
    const { id } = await addProvider(gateway, upstream, 'anthropic');
    await gateway.call('prices.set', { providerId: id, model: 'claude', input: '0', output: '100' });
  });
  const body = (budget: number) => ({
    model: 'claude',
    max_tokens: 32_000,
    thinking: thinking(budget),
    messages: [],
  });

  test('is brought below the clamped bound', async () => {
    const ask = await keyWith('0.40');
    expect((await ask('/v1/messages', body(31_999))).headers['x-faregate-clamped']).toBe('4000');
    expect(sent()).toEqual({ ...body(3_000), max_tokens: 4_000 });
  });

  test('that is below it already stays', async () => {
    const ask = await keyWith('0.40');
    await ask('/v1/messages', body(2_000));
    expect(sent()).toEqual({ ...body(2_000), max_tokens: 4_000 });
  });

  test('is the least that is sent: less would be an error of the provider', async () => {
    const ask = await keyWith('0.1279');
    const refused = await ask('/v1/messages', body(10_000));
    expect(refused.status).toBe(402);
    expect(refused.text).toMatch(/needs at least \$0\.128\d* and \$0\.1279\d* is left/);
    expect((await ask('/v1/messages', { ...body(0), thinking: { type: 'disabled' } })).status).toBe(200);
    const enough = await keyWith('0.128');
    await enough('/v1/messages', body(10_000));
    expect(sent()).toEqual({ ...body(1_024), max_tokens: 1_280 });
  });

  test('of Gemini is brought below the clamped bound', async () => {
    const { id } = await addProvider(gateway, upstream, 'gemini');
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '0', output: '100' });
    const ask = await keyWith('0.40');
    const config = {
      maxOutputTokens: 65_536,
      thinkingConfig: { thinkingBudget: 24_576, includeThoughts: true },
    };
    await ask('/v1beta/models/acme:generateContent', { contents: [], generationConfig: config });
    expect(field(sent(), 'generationConfig')).toEqual({
      maxOutputTokens: 4_000,
      thinkingConfig: { thinkingBudget: 3_000, includeThoughts: true },
    });
  });
});

test('a bound among more fields than are looked at does not get past the limit', async () => {
  const { id } = await addProvider(gateway, upstream, 'gemini');
  await gateway.call('prices.set', { providerId: id, model: 'acme', input: '0', output: '100' });
  const ask = await keyWith('0.40');
  const others = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`k${at}`, at]));
  const generationConfig = { ...others, maxOutputTokens: 65_536 };
  const refused = await ask('/v1beta/models/acme:generateContent', { contents: [], generationConfig });
  expect([refused.status, refused.text]).toEqual([
    400,
    expect.stringMatching(/generationConfig\\" has more than 10000 fields/),
  ]);
  expect(upstream.requests).toEqual([]);
});

test('OpenAI Responses is never sent less than its minimum', async () => {
  const { id } = await addProvider(gateway, upstream, 'openai');
  await gateway.call('prices.set', { providerId: id, model: 'acme', input: '0', output: '100' });
  const refuses = await keyWith('0.0015');
  expect((await refuses('/v1/responses', { model: 'acme', input: 'x' })).status).toBe(402);
  const serves = await keyWith('0.0016');
  expect((await serves('/v1/responses', { model: 'acme', input: 'x' })).status).toBe(200);
  expect(sent()).toMatchObject({ max_output_tokens: 16 });
});

describe('searches', () => {
  /** What Codex sends by default: tools of its own, and the hosted search. */
  const codex = {
    model: 'gpt-5.5',
    instructions: 'You are a coding agent. '.repeat(800),
    input: [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Fix the test.' }] }],
    tools: [
      { type: 'function', name: 'shell', parameters: { type: 'object', properties: {} }, strict: false },
      { type: 'web_search', external_web_access: false },
    ],
    tool_choice: 'auto',
    parallel_tool_calls: true,
    reasoning: { effort: 'medium' },
    store: false,
    stream: true,
    include: ['reasoning.encrypted_content'],
  };

  test.each(['1', '0.50'])('of a Codex turn are as many as a key with $%s can pay for', async (limit) => {
    await addProvider(gateway, upstream, 'openai');
    const ask = await keyWith(limit);
    const answer = await ask('/v1/responses', codex);
    expect(answer.status).toBe(200);
    const searches = Number(field(sent(), 'max_tool_calls') ?? 10);
    expect(searches).toBeGreaterThanOrEqual(1);
    expect(Number(field(sent(), 'max_output_tokens'))).toBeGreaterThan(1_000);
    expect(answer.headers['x-faregate-clamped-searches'] ?? '10').toBe(String(searches));
  });

  test('of a Codex turn go as they are where the key has the money', async () => {
    await addProvider(gateway, upstream, 'openai');
    const ask = await keyWith('50');
    const answer = await ask('/v1/responses', codex);
    expect(answer.headers).not.toHaveProperty('x-faregate-clamped');
    expect(sent()).toEqual(codex);
  });

  test('of Messages are clamped in the tool that allows them, and nothing else of it changes', async () => {
    const { id } = await addProvider(gateway, upstream, 'anthropic');
    await gateway.call('prices.set', {
      providerId: id,
      model: 'claude',
      input: '5',
      output: '25',
      webSearch: '10',
    });
    const ask = await keyWith('0.50');
    const tools = [
      { name: 'f', input_schema: { type: 'object' } },
      { type: 'web_search_20250305', name: 'web_search', max_uses: 8, allowed_domains: ['example.com'] },
    ];
    const body = { model: 'claude', max_tokens: 1_000, tools, messages: [{ role: 'user', content: 'x' }] };
    const answer = await ask('/v1/messages', body);
    const [f, search] = tools;
    // A search is ten dollars a thousand and 16,000 tokens of input: nine cents. Half of the room is left to others,
    // and half of the rest to the answer.
    expect(answer.headers['x-faregate-clamped-searches']).toBe('1');
    expect(sent()).toEqual({ ...body, tools: [f, { ...search, max_uses: 1 }] });
  });
});

describe('a provider that does not keep to the clamped bound', () => {
  const streams: Readonly<
    Record<
      string,
      { path: string; kind: 'openai' | 'anthropic' | 'gemini'; body: object; piece: string; ending: RegExp }
    >
  > = {
    chat: {
      path: '/v1/chat/completions',
      kind: 'openai',
      body: { model: 'acme', stream: true, messages: [] },
      piece: `data: {"choices":[{"index":0,"delta":{"content":"${'word '.repeat(40)}"}}]}\n\n`,
      ending: /"code":"insufficient_quota".*data: \[DONE\]/s,
    },
    responses: {
      path: '/v1/responses',
      kind: 'openai',
      body: { model: 'acme', stream: true, input: 'x' },
      piece: `event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"${'word '.repeat(40)}"}\n\n`,
      ending: /event: response\.failed/,
    },
    messages: {
      path: '/v1/messages',
      kind: 'anthropic',
      body: { model: 'acme', stream: true, max_tokens: 9_999, messages: [] },
      piece: `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"${'word '.repeat(40)}"}}\n\n`,
      ending: /event: error\ndata: \{"type":"error","error":\{"type":"billing_error"/,
    },
    gemini: {
      path: '/v1beta/models/acme:streamGenerateContent?alt=sse',
      kind: 'gemini',
      body: { contents: [] },
      piece: `data: {"candidates":[{"content":{"parts":[{"text":"${'word '.repeat(40)}"}]}}]}\n\n`,
      ending: /KEY_SPEND_LIMIT_REACHED/,
    },
  };

  test.each(Object.entries(streams))('is cut with the proper end of a stream: %s', async (_, stream) => {
    const { id } = await addProvider(gateway, upstream, stream.kind);
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '0', output: '100' });
    upstream.reply(/./, {
      headers: { 'content-type': 'text/event-stream' },
      chunks: Array<string>(200).fill(stream.piece),
      hang: true,
    });
    const ask = await keyWith('0.01');
    const answer = await ask(stream.path, stream.body);
    expect(answer.status).toBe(200);
    expect(answer.text).toMatch(stream.ending);
    expect(answer.text).toContain('The answer was cut');
    expect(answer.text.split('word ').length).toBeLessThan(400);
    const { rows } = await gateway.call('requests.list', { limit: 1 });
    expect(rows[0]?.flags).toEqual(expect.arrayContaining(['clamped', 'stopped', 'estimated']));
    expect((await gateway.call('keys.list', {}))[0]?.heldNano).toBe(0);
  });
});
