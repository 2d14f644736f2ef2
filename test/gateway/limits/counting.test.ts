/** Inputs counted exactly where their bytes are too coarse a bound for the money that is left. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { send } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
});
afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

/** 40,000 bytes, of which every vocabulary makes fewer than 12,000 tokens. */
const prose = 'the quick brown fox jumps over the lazy dog, '.repeat(889);

const newKey = (limit: string) => gateway.call('keys.create', { name: 'dev', limitNano: usd(limit) });

/** A model whose input costs a dollar a thousand tokens: forty dollars by bytes, some nine counted. */
async function priced(kind: 'openai' | 'anthropic' | 'gemini', model: string): Promise<void> {
  const { id } = await addProvider(gateway, upstream, kind);
  await gateway.call('prices.set', { providerId: id, model, input: '1000', output: '1000' });
}

test('a text is counted by the vocabulary of its model', async () => {
  await priced('openai', 'gpt-5.1');
  const { secret } = await newKey('15');
  upstream.answers({ inputTokens: 8_891, outputTokens: 5, text: 'x' });
  const answer = await send(`${gateway.url}/v1/chat/completions`, {
    headers: { 'x-api-key': secret },
    body: { model: 'gpt-5.1', max_completion_tokens: 100, messages: [{ role: 'user', content: prose }] },
  });
  expect(answer.status).toBe(200);
  const [row] = (await gateway.call('requests.list', {})).rows;
  expect(row).toMatchObject({ flags: [], costNano: usd('8.896') });
});

test.each([
  ['anthropic', '/v1/messages', 'claude-sonnet-4-5', /count_tokens$/],
  ['gemini', '/v1beta/models/gemini-2.5-pro:generateContent', 'gemini-2.5-pro', /:countTokens$/],
] as const)('%s counts what it will bill, free of charge', async (kind, path, model, counting) => {
  await priced(kind, model);
  const { secret } = await newKey('15');
  upstream.answers({ inputTokens: 9_000, outputTokens: 5, text: 'x' });
  const body =
    kind === 'anthropic'
      ? { model, max_tokens: 100, stream: false, messages: [{ role: 'user', content: prose }] }
      : { contents: [{ parts: [{ text: prose }] }], generationConfig: { maxOutputTokens: 100 } };
  const answer = await send(`${gateway.url}${path}`, { headers: { 'x-api-key': secret }, body });
  expect(answer.status).toBe(200);
  const [count, asked] = upstream.requests;
  expect(count?.path).toMatch(counting);
  expect(count?.json).not.toHaveProperty('max_tokens');
  expect(asked?.json).toEqual(body);
  expect(count?.headers['x-api-key'] ?? count?.headers['x-goog-api-key']).toBe('sk-upstream');
});

test('a provider that does not answer the count holds nobody up', async () => {
  await priced('anthropic', 'claude-sonnet-4-5');
  const { secret } = await newKey('15');
  upstream.reply(/count_tokens$/, { status: 500, body: { error: 'no' } });
  const answer = await send(`${gateway.url}/v1/messages`, {
    headers: { 'x-api-key': secret },
    body: { model: 'claude-sonnet-4-5', max_tokens: 100, messages: [{ role: 'user', content: prose }] },
  });
  expect(answer.status).toBe(402);
  expect(answer.text).toMatch(/needs at least \$40\.\d\d and \$15\.00 is left/);
});

test('a key far from its limit asks for no count, and neither does a short request', async () => {
  await priced('anthropic', 'claude-sonnet-4-5');
  const { secret } = await newKey('1000');
  const { secret: poor } = await newKey('0.10');
  const ask = (key: string, content: string) =>
    send(`${gateway.url}/v1/messages`, {
      headers: { 'x-api-key': key },
      body: { model: 'claude-sonnet-4-5', max_tokens: 100, messages: [{ role: 'user', content }] },
    });
  expect((await ask(secret, prose)).status).toBe(200);
  expect((await ask(poor, 'Hello')).status).toBe(402);
  expect(upstream.requests.map(({ path }) => path)).toEqual(['/v1/messages']);
});

test('a key that is disabled while its request is counted is not served', async () => {
  await priced('anthropic', 'claude-sonnet-4-5');
  const { key, secret } = await newKey('15');
  const before = gate();
  upstream.reply(/count_tokens$/, { before, body: { input_tokens: 9_000 } });
  const asked = send(`${gateway.url}/v1/messages`, {
    headers: { 'x-api-key': secret },
    body: { model: 'claude-sonnet-4-5', max_tokens: 100, messages: [{ role: 'user', content: prose }] },
  });
  await upstream.nthRequest(1);
  await gateway.call('keys.update', { id: key.id, enabled: false });
  before.open();
  expect((await asked).status).toBe(402);
  expect(upstream.requests).toHaveLength(1);
});

test('a text longer than the window is no less than what it counts', async () => {
  await priced('openai', 'gpt-4o');
  const { secret } = await newKey('100');
  // 400,000 bytes, of which the window holds 128,000 tokens and the vocabulary makes some 89,000.
  const answer = await send(`${gateway.url}/v1/chat/completions`, {
    headers: { 'x-api-key': secret },
    body: { model: 'gpt-4o', messages: [{ role: 'user', content: prose.repeat(10) }] },
  });
  expect(answer.status).toBe(200);
  upstream.answers({ inputTokens: 88_911, outputTokens: 5, text: 'x' });
  const again = await send(`${gateway.url}/v1/chat/completions`, {
    headers: { 'x-api-key': secret },
    body: { model: 'gpt-4o', messages: [{ role: 'user', content: prose.repeat(10) }] },
  });
  expect(again.status).toBe(200);
  expect((await gateway.call('requests.list', { limit: 1 })).rows[0]?.flags).not.toContain('overrun');
});

test('an earlier answer is counted where it is stored', async () => {
  await addProvider(gateway, upstream, 'openai');
  const { secret } = await newKey('3');
  upstream.reply(/input_tokens$/, { body: { object: 'response.input_tokens', input_tokens: 20_000 } });
  const body = { model: 'gpt-5.5', input: 'And now?', previous_response_id: 'resp_1', store: true };
  const answer = await send(`${gateway.url}/v1/responses`, { headers: { 'x-api-key': secret }, body });
  expect(answer.status).toBe(200);
  const { store: _store, ...counted } = body;
  expect(upstream.requests.map(({ path, json }) => [path, json])).toEqual([
    ['/v1/responses/input_tokens', counted],
    ['/v1/responses', expect.objectContaining(body)],
  ]);
});

test('a long text is counted while other requests are answered', async () => {
  await priced('openai', 'gpt-5.1');
  const { secret } = await newKey('15');
  const long = send(`${gateway.url}/v1/chat/completions`, {
    headers: { 'x-api-key': secret },
    body: { model: 'gpt-5.1', messages: [{ role: 'user', content: prose.repeat(10) }] },
  });
  let answered = 0;
  const counting = { over: false };
  void long.finally(() => (counting.over = true));
  while (!counting.over) {
    await send(`${gateway.url}/v1/key`, { method: 'GET', headers: { 'x-api-key': secret } });
    answered += 1;
  }
  expect((await long).status).toBe(402);
  expect(answered).toBeGreaterThan(3);
});
