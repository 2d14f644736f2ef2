/** The fallback of a key: once more, elsewhere, where a provider fails before the first byte; never a dearer one unasked. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KeyFallback, KeyRow, ProviderRow, RequestRow } from '#shared/model.ts';
import { boundedRequest, dialectNames } from '../../support/bounded-requests.ts';
import { begin, send, type Incoming } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { gate, startUpstream, type Reply, type Upstream } from '../../support/upstream.ts';

let main: Upstream;
let spare: Upstream;
let gateway: CoreGateway;
let first: ProviderRow;
let second: ProviderRow;
let key: KeyRow;
let secret: string;

beforeEach(async () => {
  [main, spare] = await Promise.all([startUpstream(), startUpstream()]);
  gateway = await startCore({ waitMs: 60_000 });
});

afterEach(async () => {
  await gateway.dispose();
  await Promise.all([main.close(), spare.close()]);
});

const kindOf: Readonly<Record<string, 'openai' | 'anthropic' | 'gemini'>> = {
  chat: 'openai',
  responses: 'openai',
  messages: 'anthropic',
  gemini: 'gemini',
};

/** Two providers of a kind, `main` and `spare`, and a key; input costs nothing, and output what it says per million. */
async function prepare(
  {
    dialect = 'messages',
    dollars = ['100', '100'],
    limit = '10',
  }: { dialect?: string; dollars?: [string, string | null]; limit?: string | null } = {},
  fallback: Partial<KeyFallback> | null = {},
): Promise<void> {
  const kind = kindOf[dialect] ?? 'openai';
  first = await addProvider(gateway, main, kind, { slug: 'main', name: 'Main' });
  second = await addProvider(gateway, spare, kind, { slug: 'spare', name: 'Spare' });
  for (const [index, provider] of [first, second].entries()) {
    const output = dollars[index];
    if (output == null) continue;
    await gateway.call('prices.set', { providerId: provider.id, model: 'acme', input: '0', output });
  }
  const limitNano = limit === null ? null : usd(limit);
  ({ key, secret } = await gateway.call('keys.create', { name: 'dev', limitNano }));
  if (fallback) await choose(fallback);
}

const choose = (fallback: Partial<KeyFallback>) =>
  gateway.call('keys.update', { id: key.id, fallback: { providerId: second.id, ...fallback } });

function ask(tokens = 1000, dialect = 'messages', more: object = {}): Promise<Incoming> {
  const { path, body } = boundedRequest(dialect);
  return send(`${gateway.url}/main${path}`, {
    headers: { 'x-api-key': secret },
    body: { ...body(tokens), ...more },
  });
}

const rows = async (): Promise<RequestRow[]> => (await gateway.call('requests.list', {})).rows.toReversed();

const overloaded: Reply = {
  status: 529,
  headers: { 'content-type': 'application/json' },
  body: { type: 'error', error: { type: 'overloaded_error', message: 'Busy.' } },
};

/** What both providers answer with where nothing else is said: a thousand tokens, ten cents. */
function answers(): void {
  for (const upstream of [main, spare])
    upstream.answers({ inputTokens: 0, outputTokens: 1000, text: 'Hello' });
}

describe('a provider that fails before the first byte', () => {
  test.each(dialectNames)(
    'is followed by the fallback once, which is metered by itself: %s',
    async (dialect) => {
      await prepare({ dialect });
      answers();
      main.reply(/./, { status: 503, body: { error: { message: 'Down.' } } });
      const answer = await ask(1000, dialect);
      expect(answer.status).toBe(200);
      expect([main.requests.length, spare.requests.length]).toEqual([1, 1]);
      expect(await rows()).toMatchObject([
        { provider: 'main', status: 503, costNano: 0, flags: [] },
        { provider: 'spare', status: 200, costNano: usd('0.1'), flags: ['fallback'], model: 'acme' },
      ]);
      expect((await gateway.call('keys.list', {}))[0]).toMatchObject({
        usageNano: usd('0.1'),
        heldNano: 0,
      });
      expect(answer.headers['x-faregate-usage']).toBe('0.00');
    },
  );

  test.each([429, 500, 502, 503, 529])('with %i, also where a stream was asked for', async (status) => {
    await prepare();
    answers();
    main.reply(/./, { ...overloaded, status });
    const answer = await ask(1000, 'messages', { stream: true });
    expect(answer.status).toBe(200);
    expect(answer.text).toContain('message_stop');
    expect((await rows()).map(({ provider }) => provider)).toEqual(['main', 'spare']);
  });

  test('because nothing listens there costs nothing', async () => {
    await prepare();
    answers();
    await main.close();
    expect((await ask()).status).toBe(200);
    expect(await rows()).toMatchObject([
      { provider: 'main', status: 0, costNano: 0, flags: ['interrupted'] },
      { provider: 'spare', costNano: usd('0.1'), flags: ['fallback'] },
    ]);
  });

  test('after it took the request may bill it, so that it is counted as well', async () => {
    await prepare();
    await gateway.call('prices.set', { providerId: first.id, model: 'acme', input: '100', output: '100' });
    await choose({ dearer: true });
    answers();
    main.reply(/./, { chunks: [], reset: true });
    expect((await ask(1000, 'messages', { messages: [{ role: 'user', content: 'Hi' }] })).status).toBe(200);
    const [broken, served] = await rows();
    expect(broken).toMatchObject({ provider: 'main', flags: ['interrupted', 'estimated'] });
    expect(broken?.costNano).toBeGreaterThan(0);
    expect(served).toMatchObject({ provider: 'spare', costNano: usd('0.1') });
    expect((await gateway.call('keys.list', {}))[0]).toMatchObject({
      usageNano: (broken?.costNano ?? 0) + usd('0.1'),
      heldNano: 0,
    });
  });

  test('is settled, and the second attempt on record, before the fallback is asked', async () => {
    await prepare();
    const answered = gate();
    main.reply(/./, overloaded);
    spare.reply(/./, {
      before: answered,
      body: { type: 'message', model: 'acme', usage: { input_tokens: 0, output_tokens: 10 } },
    });
    const asked = ask();
    await spare.nthRequest(1);
    // What a crash at this instant would leave behind.
    const file = new Database(join(gateway.dataDir, 'faregate.db'), { readonly: true });
    expect(file.prepare('SELECT provider, status, cost_nano FROM requests').all()).toEqual([
      { provider: 'main', status: 529, cost_nano: 0 },
    ]);
    expect(file.prepare('SELECT provider, amount_nano FROM holds').all()).toEqual([
      { provider: 'spare', amount_nano: usd('0.1') },
    ]);
    file.close();
    answered.open();
    expect((await asked).status).toBe(200);
  });

  test.each([500, 404, 0])('and a fallback that fails as well (%i) leaves it at that', async (status) => {
    await prepare();
    main.reply(/./, overloaded);
    if (status === 0) await spare.close();
    else spare.reply(/./, { status, body: { error: { message: 'Not here either.' } } });
    const answer = await ask();
    // The client goes on from here as it would without a fallback.
    expect([answer.status, answer.json]).toEqual([529, overloaded.body]);
    expect([main.requests.length, spare.requests.length]).toEqual([1, status === 0 ? 0 : 1]);
    expect((await rows()).map((row) => [row.provider, row.status])).toEqual([
      ['main', 529],
      ['spare', status],
    ]);
    expect((await gateway.call('keys.list', {}))[0]).toMatchObject({ usageNano: 0, heldNano: 0 });
  });
});

describe('the fallback is not asked', () => {
  /** Asked, and answered by the first provider alone. */
  async function failure(): Promise<{ status: number; json: unknown; spare: number; heldNano: unknown }> {
    const { status, json } = await ask();
    const [row] = await gateway.call('keys.list', {});
    return { status, json, spare: spare.requests.length, heldNano: row?.heldNano };
  }
  const asItWas = { status: 529, json: overloaded.body, spare: 0, heldNano: 0 };

  test('unless the person chose one', async () => {
    await prepare({}, null);
    main.reply(/./, overloaded);
    expect(await failure()).toEqual(asItWas);
  });

  test.each([
    ['costs more', { dollars: ['100', '100.01'] }],
    ['has no price', { dollars: ['100', null], limit: null }],
  ] as const)('where it %s, unless the person allowed that', async (_why, prices) => {
    await prepare({ ...prices, dollars: [...prices.dollars] });
    answers();
    main.reply(/./, overloaded);
    expect(await failure()).toEqual(asItWas);
    expect(await choose({ dearer: true })).toMatchObject({ fallback: { dearer: true, models: [] } });
    expect((await ask()).status).toBe(200);
  });

  test('where the key’s money does not pay for it', async () => {
    await prepare({ dollars: ['1', '10000'], limit: '0.01' }, { dearer: true });
    main.reply(/./, overloaded);
    expect(await failure()).toEqual(asItWas);
  });

  test('where it has no price and the key has a limit', async () => {
    await prepare({ dollars: ['100', null] }, { dearer: true });
    main.reply(/./, overloaded);
    expect(await failure()).toEqual(asItWas);
  });

  test('where it is disabled, and is forgotten where it is deleted', async () => {
    await prepare();
    main.reply(/./, overloaded);
    await gateway.call('providers.update', { id: second.id, enabled: false });
    expect(await failure()).toEqual(asItWas);
    await gateway.call('providers.delete', { id: second.id });
    expect((await gateway.call('keys.list', {}))[0]?.fallback).toBeNull();
    expect(
      await gateway.tryCall('keys.update', { id: key.id, fallback: { providerId: 'prv_x' } }),
    ).toMatchObject({ ok: false, error: { field: 'fallback' } });
  });

  test.each([400, 401, 404])('where the request itself is refused (%i)', async (status) => {
    await prepare();
    main.reply(/./, { ...overloaded, status });
    expect([(await ask()).status, spare.requests.length]).toEqual([status, 0]);
  });

  test('where the request refers to what the provider has stored', async () => {
    await prepare({ dialect: 'responses' });
    main.reply(/./, overloaded);
    const answer = await ask(1000, 'responses', { previous_response_id: 'resp_1' });
    expect([answer.status, spare.requests.length]).toEqual([529, 0]);
  });

  test('where a stream had begun', async () => {
    await prepare();
    main.reply(/./, {
      headers: { 'content-type': 'text/event-stream' },
      chunks: ['event: message_start\ndata: {"type":"message_start","message":{"model":"acme"}}\n\n'],
      reset: true,
    });
    const answer = await ask(1000, 'messages', { stream: true });
    expect([answer.status, spare.requests.length]).toEqual([200, 0]);
    expect(answer.text).toContain('event: error');
  });

  test('where the key was disabled in between', async () => {
    await prepare();
    const answered = gate();
    main.reply(/./, { ...overloaded, before: answered });
    const asked = ask();
    await main.nthRequest(1);
    await gateway.call('keys.update', { id: key.id, enabled: false });
    answered.open();
    expect([(await asked).status, spare.requests.length]).toEqual([402, 0]);
  });

  test('where the refusal is longer than one is: it goes to the client as it comes', async () => {
    await prepare();
    const rest = gate();
    main.reply(/./, {
      status: 529,
      headers: { 'content-type': 'text/plain' },
      chunks: ['x'.repeat(100_000), rest, 'y'],
    });
    const { path, body } = boundedRequest('messages');
    const asked = { headers: { 'x-api-key': secret }, body: body(1000) };
    const begun = await begin(`${gateway.url}/main${path}`, asked);
    rest.open();
    const { status, text } = await begun.rest();
    expect([status, text.length, spare.requests.length]).toEqual([529, 100_001, 0]);
  });
});

test('a model that has another name there is asked for by that name, and what was chosen survives a restart', async () => {
  await prepare();
  await gateway.call('prices.set', { providerId: second.id, model: 'acme-b', input: '0', output: '50' });
  await choose({ models: [{ from: 'acme', to: 'acme-b' }] });
  gateway = await gateway.restart();
  answers();
  main.reply(/./, overloaded);
  expect((await ask()).status).toBe(200);
  expect(spare.requests[0]?.json).toMatchObject({ model: 'acme-b', max_tokens: 1000 });
  expect((await rows())[1]).toMatchObject({ modelAsked: 'acme-b', costNano: usd('0.05') });
});

test('requests that only the fallback answers are steps of a loop all the same', async () => {
  await prepare();
  await gateway.call('settings.set', { loopBrake: { requests: 2, seconds: 60, agentsOnly: false } });
  answers();
  main.reply(/./, overloaded);
  const statuses: number[] = [];
  for (let round = 0; round < 3; round += 1) statuses.push((await ask()).status);
  expect(statuses).toEqual([200, 200, 402]);
});
