/** What the headers of a metered answer say about money, and what they leave alone. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addDimeProviders, boundedRequest } from '../../support/bounded-requests.ts';
import { begin, send, type Incoming } from '../../support/client.ts';
import { startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let secret: string;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  await addDimeProviders(gateway, upstream);
  ({ secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('10') }));
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const post = (body: object, headers: Record<string, string> = {}) => ({
  headers: { 'x-api-key': secret, ...headers },
  body,
});
const { path, body } = boundedRequest('chat');
const ask = (tokens: number): Promise<Incoming> => send(`${gateway.url}${path}`, post(body(tokens)));
const ours = ({ headers }: Incoming) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-faregate-')));

test('an answer in one piece says what it cost, beside what there was and what was set aside', async () => {
  upstream.answers({ inputTokens: 5, outputTokens: 1_000, text: 'x' });
  await ask(5_000);
  expect(ours(await ask(5_000))).toEqual({
    'x-faregate-request-id': '2',
    'x-faregate-usage': '0.10',
    'x-faregate-limit': '10.00',
    'x-faregate-remaining': '9.90',
    'x-faregate-held': '0.50',
    'x-faregate-cost': '0.10',
  });
});

test('the limit that leaves least is what remains, also where keys share it', async () => {
  await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: usd('3') });
  expect(ours(await ask(5_000))).toMatchObject({
    'x-faregate-limit': '10.00',
    'x-faregate-remaining': '3.00',
  });
});

test('of the same name from behind the gateway are dropped, all others pass', async () => {
  upstream.reply(/./, {
    headers: { 'x-faregate-cost': '99', 'X-Faregate-Else': 'x', 'x-request-id': 'req_1' },
    body: { model: 'acme', usage: { prompt_tokens: 1, completion_tokens: 10 } },
  });
  const answer = await ask(100);
  expect(answer.headers).toMatchObject({ 'x-faregate-cost': '0.001', 'x-request-id': 'req_1' });
  expect(answer.headers).not.toHaveProperty('x-faregate-else');
});

test('a body that takes its time is passed on as it comes; its cost is in a trailer where one was asked for', async () => {
  const rest = gate();
  upstream.reply(/./, {
    headers: { 'content-type': 'application/json' },
    chunks: ['  ', rest, '{"model":"acme","usage":{"prompt_tokens":1,"completion_tokens":10}}'],
  });
  const begun = await begin(`${gateway.url}${path}`, post(body(100), { te: 'trailers' }));
  expect(begun.response.headers).toMatchObject({ trailer: 'x-faregate-cost' });
  expect(begun.response.headers).not.toHaveProperty('x-faregate-cost');
  expect((await begun.next())?.toString()).toBe('  ');
  rest.open();
  expect((await begun.rest()).json).toEqual({
    model: 'acme',
    usage: { prompt_tokens: 1, completion_tokens: 10 },
  });
  expect(begun.response.trailers).toEqual({ 'x-faregate-cost': '0.001' });
});

test('a stream begins at once, and has the trailer only where it was asked for', async () => {
  upstream.answers({ inputTokens: 5, outputTokens: 10, text: 'x' });
  const stream = { ...body(100), stream: true };
  const plain = await begin(`${gateway.url}${path}`, post(stream));
  const text = (await plain.rest()).text;
  expect(plain.response.headers).not.toHaveProperty('trailer');
  expect(plain.response.trailers).toEqual({});
  const trailed = await begin(`${gateway.url}${path}`, post(stream, { te: 'trailers' }));
  expect((await trailed.rest()).text).toBe(text);
  expect(trailed.response.trailers).toEqual({ 'x-faregate-cost': '0.001' });
});

test('a model without a price has no cost, and no other answer speaks of money', async () => {
  const free = await gateway.call('keys.create', { name: 'open' });
  const unpriced = await send(`${gateway.url}/openai${path}`, {
    headers: { 'x-api-key': free.secret },
    body: { ...body(5), model: 'nobody-knows' },
  });
  expect(ours(unpriced)).toEqual({
    'x-faregate-request-id': '1',
    'x-faregate-usage': '0.00',
    'x-faregate-held': '0.00',
  });
  const models = await send(`${gateway.url}/v1/models`, { method: 'GET', headers: { 'x-api-key': secret } });
  expect(ours(models)).toEqual({});
});
