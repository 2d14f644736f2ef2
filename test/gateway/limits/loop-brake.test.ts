/** The loop brake: the same request over and over pauses its key; a load, a retry and a benchmark do not. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addDimeProviders } from '../../support/bounded-requests.ts';
import { begin, send, type Incoming } from '../../support/client.ts';
import { fakeClock, startCore, type CoreGateway } from '../../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

const clock = fakeClock('2026-11-18T10:00:00Z');
let upstream: Upstream;
let gateway: CoreGateway;
let keyId: string;
let secret: string;

beforeEach(async () => {
  clock.set('2026-11-18T10:00:00Z');
  upstream = await startUpstream();
  gateway = await startCore({ clock });
  await addDimeProviders(gateway, upstream);
  const created = await gateway.call('keys.create', { name: 'dev' });
  [keyId, secret] = [created.key.id, created.secret];
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const brake = (loopBrake: { requests: number; seconds: number; agentsOnly?: boolean } | null) =>
  gateway.call('settings.set', { loopBrake });

const body = { model: 'acme', max_tokens: 10, messages: [{ role: 'user', content: 'go on' }] };
const ask = (sent: object = body, path = '/v1/messages'): Promise<Incoming> =>
  send(`${gateway.url}${path}`, { headers: { 'x-api-key': secret }, body: sent });

async function statuses(count: number, sent?: object, path?: string): Promise<number[]> {
  const seen: number[] = [];
  for (let index = 0; index < count; index += 1) seen.push((await ask(sent, path)).status);
  return seen;
}

/** As an upstream with a model behind it: an answer takes time. */
function modelTakes(ms: number): void {
  upstream.reply(/./, () => {
    clock.advance(ms);
    return { body: { type: 'message', model: 'acme', usage: { input_tokens: 5, output_tokens: 5 } } };
  });
}

describe('the same request, again and again after its answer', () => {
  test('pauses the key at the number that is set; the pause is kept until a person ends it', async () => {
    await brake({ requests: 5, seconds: 60 });
    const events = await gateway.events();
    expect(await statuses(7)).toEqual([200, 200, 200, 200, 200, 402, 402]);
    const paused = await events.first('key-paused');
    expect(paused).toMatchObject({
      id: keyId,
      pause: { reason: 'loop', count: 5, at: '2026-11-18T10:00:00.000Z' },
    });
    events.close();
    const refused = await ask({ ...body, max_tokens: 11 });
    expect(refused.status).toBe(402);
    expect(refused.headers['x-should-retry']).toBe('false');
    expect(refused.text).toMatch(
      /key .{1,2}dev.{1,2} is paused: it sent the same request 5 times.*Resume it/,
    );
    expect((await ask(body, '/v1/messages/count_tokens')).status).toBe(402);
    gateway = await gateway.restart();
    expect((await ask()).status).toBe(402);
    const key = await send(`${gateway.url}/v1/key`, { method: 'GET', headers: { 'x-api-key': secret } });
    expect(key.json).toMatchObject({ paused: true });
    expect(await gateway.call('keys.resume', { id: keyId })).toMatchObject({ pause: null });
    expect(await statuses(6)).toEqual([200, 200, 200, 200, 200, 402]);
    expect(upstream.requests).toHaveLength(10);
  });

  test('is found in a loop of two steps, and in a stream', async () => {
    await brake({ requests: 3, seconds: 60 });
    const seen: number[] = [];
    for (let round = 0; round < 3; round += 1)
      seen.push(...(await statuses(1)), ...(await statuses(1, { ...body, stream: true })));
    expect(seen).toEqual([200, 200, 200, 200, 200, 200]);
    expect((await ask({ ...body, stream: true })).status).toBe(402);
  });

  test('may take longer than the time that is set', async () => {
    await brake({ requests: 3, seconds: 60 });
    for (let round = 0; round < 6; round += 1) {
      expect((await ask()).status).toBe(200);
      clock.advance(21_000);
    }
  });

  test('counts for nothing where it goes to another model, failed, is free, or the brake is off', async () => {
    await brake({ requests: 2, seconds: 60 });
    expect(await statuses(5, body, '/v1/messages/count_tokens')).toEqual([200, 200, 200, 200, 200]);
    upstream.reply('/v1/messages', { status: 529, body: { type: 'error' } });
    expect(await statuses(4)).toEqual([529, 529, 529, 529]);
    upstream.reset();
    const gemini = (model: string) => ask({ contents: [] }, `/gemini/v1beta/models/${model}:generateContent`);
    for (const model of ['a', 'b', 'c', 'd']) expect((await gemini(model)).status).toBe(200);
    await brake(null);
    expect(await statuses(4)).toEqual([200, 200, 200, 200]);
  });
});

test('the same request many times at once is a load, also where each of them is repeated', async () => {
  await brake({ requests: 3, seconds: 60 });
  for (let round = 0; round < 5; round += 1) {
    const opened = gate();
    upstream.reply(
      '/v1/messages',
      { before: opened, body: { type: 'message', usage: { output_tokens: 1 } } },
      4,
    );
    const sent = upstream.requests.length;
    const all = [ask(), ask(), ask(), ask()];
    await upstream.nthRequest(sent + 4);
    opened.open();
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  }
});

describe('without a setting', () => {
  const step = { ...body, tools: [{ name: 'read', input_schema: { type: 'object' } }] };

  test('an agent that takes the same step again and again is paused after 30', async () => {
    modelTakes(300);
    expect(await statuses(31, step)).toEqual([...Array<number>(30).fill(200), 402]);
  });

  test('a script that repeats its prompt, and a benchmark against a stand-in for a model, are not', async () => {
    expect(new Set(await statuses(120, step))).toEqual(new Set([200]));
    modelTakes(300);
    expect(new Set(await statuses(100))).toEqual(new Set([200]));
  });
});

test('a client that goes away before the answer was complete is not held against the key', async () => {
  await brake({ requests: 2, seconds: 60 });
  upstream.reply('/v1/messages', {
    headers: { 'content-type': 'text/event-stream' },
    chunks: ['event: ping\ndata: {"type":"ping"}\n\n'],
    reset: true,
  });
  for (let round = 0; round < 4; round += 1) {
    const begun = await begin(`${gateway.url}/v1/messages`, {
      headers: { 'x-api-key': secret },
      body: { ...body, stream: true },
    });
    expect(begun.response.statusCode).toBe(200);
    await begun.rest();
  }
});
