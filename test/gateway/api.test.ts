/** The contract's methods: what each does, what each refuses and in which field, and what never comes back. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { methods, type MethodName } from '#shared/contract.ts';
import type { RequestRow } from '#shared/model.ts';
import { send } from '../support/client.ts';
import { addProvider, fakeClock, startCore, usd, type CoreGateway } from '../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
const clock = fakeClock('2026-11-18T10:30:00Z');

beforeEach(async () => {
  clock.set('2026-11-18T10:30:00Z');
  upstream = await startUpstream({ credential: 'sk-upstream' });
  gateway = await startCore({ clock });
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const refusal = async (name: MethodName, input: unknown) => {
  const answer = await gateway.tryCall(name, input);
  if (answer.ok) throw new Error(`${name} was accepted`);
  return answer.error;
};

const secretOf = /^sk-fg-[0-9A-Za-z]{43}$/;

async function pricedProvider(more: { slug?: string; kind?: 'openai' | 'anthropic' } = {}): Promise<string> {
  const { kind = 'anthropic', ...rest } = more;
  const { id } = await addProvider(gateway, upstream, kind, rest);
  await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
  return id;
}

/** One request of 12 tokens in and 5 out: $0.000062. */
async function spend(secret: string, model = 'acme'): Promise<number> {
  const { status } = await send(`${gateway.url}/v1/messages`, {
    headers: { 'x-api-key': secret },
    body: { model, messages: [], max_tokens: 5 },
  });
  return status;
}

describe('every method', () => {
  test.each(Object.keys(methods))('refuses input it does not know: %s', async (name) => {
    const answer = await gateway.gateway.dispatch(name, { surprise: true });
    expect(answer).toMatchObject({ ok: false, error: { code: 'invalid_input' } });
  });

  test.each(['nothing', '__proto__', 'constructor', 'keys', '', null, 7, {}])(
    'that is none is not found: %j',
    async (name) => {
      expect(await gateway.gateway.dispatch(name, {})).toMatchObject({
        ok: false,
        error: { code: 'not_found' },
      });
    },
  );

  test.each(['x', 7, [], true])('that takes nothing refuses %j', async (input) => {
    expect(await gateway.gateway.dispatch('keys.list', input)).toMatchObject({
      ok: false,
      error: { code: 'invalid_input' },
    });
  });

  test.each<[MethodName, object]>([
    ['keys.update', { name: 'x' }],
    ['keys.setLimit', { limitNano: 5 }],
    ['keys.rotate', {}],
    ['keys.delete', {}],
    ['providers.update', { name: 'x' }],
    ['providers.delete', {}],
    ['providers.test', {}],
  ])('says that what it is about is gone: %s', async (name, more) => {
    expect((await refusal(name, { id: 'nobody', ...more })).code).toBe('not_found');
  });
});

describe('status.get', () => {
  test('tells version, address, health and totals', async () => {
    await pricedProvider();
    const { secret } = await gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    expect(await gateway.call('status.get', {})).toEqual({
      version: '0.0.0-test',
      gatewayUrl: gateway.url,
      paused: false,
      problem: null,
      totals: {
        usageNano: 62_000,
        heldNano: 0,
        todayNano: 62_000,
        monthNano: 62_000,
        requests: 1,
        running: 0,
      },
    });
  });
});

describe('a key', () => {
  test('is created with its limits, and its secret is shown once', async () => {
    const { key, secret } = await gateway.call('keys.create', {
      name: '  Laptop ',
      limitNano: usd('10'),
      recurring: { amountNano: usd('1'), every: 'day' },
      expiresAt: '2026-12-01T00:00:00+01:00',
    });
    expect(secret).toMatch(secretOf);
    expect(key).toEqual({
      id: key.id,
      name: 'Laptop',
      masked: `sk-fg-${secret.slice(6, 10)}…${secret.slice(-4)}`,
      status: 'active',
      createdAt: '2026-11-18T10:30:00.000Z',
      lastUsedAt: null,
      expiresAt: '2026-11-30T23:00:00.000Z',
      usageNano: 0,
      usageCreditsNano: 0,
      usageOwnKeyNano: 0,
      heldNano: 0,
      requests: 0,
      inputTokens: 0,
      outputTokens: 0,
      unpricedRequests: 0,
      limitNano: usd('10'),
      recurring: { amountNano: usd('1'), every: 'day', usedNano: 0, resetsAt: key.recurring?.resetsAt },
      limitState: 'ok',
    });
    expect(await gateway.call('keys.list', {})).toEqual([key]);
    expect(JSON.stringify(await gateway.call('keys.list', {}))).not.toContain(secret);
  });

  test('has no limit unless told', async () => {
    const { key } = await gateway.call('keys.create', { name: 'k' });
    expect(key).toMatchObject({ limitNano: null, recurring: null, limitState: 'none', expiresAt: null });
  });

  test('is listed in the order it was made, also after a restart', async () => {
    for (const name of ['b', 'a', 'c']) await gateway.call('keys.create', { name });
    const names = async () => (await gateway.call('keys.list', {})).map(({ name }) => name);
    expect(await names()).toEqual(['b', 'a', 'c']);
    gateway = await gateway.restart();
    expect(await names()).toEqual(['b', 'a', 'c']);
  });

  test.each<[string, object, string]>([
    ['no name', { name: '  ' }, 'name'],
    ['a long name', { name: 'x'.repeat(81) }, 'name'],
    ['a negative limit', { name: 'k', limitNano: -1 }, 'limitNano'],
    ['half a nano-dollar', { name: 'k', limitNano: 0.5 }, 'limitNano'],
    ['a limit beyond a million dollars', { name: 'k', limitNano: 1e15 + 1 }, 'limitNano'],
    ['a limit that is text', { name: 'k', limitNano: '5' }, 'limitNano'],
    ['a period that is none', { name: 'k', recurring: { amountNano: 5, every: 'year' } }, 'recurring.every'],
    [
      'a recurring limit without an amount',
      { name: 'k', recurring: { every: 'day' } },
      'recurring.amountNano',
    ],
    ['a date that is none', { name: 'k', expiresAt: 'tomorrow' }, 'expiresAt'],
  ])('is not created with %s', async (_what, input, field) => {
    expect(await refusal('keys.create', input)).toMatchObject({ code: 'invalid_input', field });
    expect(await gateway.call('keys.list', {})).toEqual([]);
  });

  test('changes only what it is told to change', async () => {
    const { key } = await gateway.call('keys.create', { name: 'k', limitNano: 5 });
    expect(await gateway.call('keys.update', { id: key.id, name: 'new' })).toEqual({ ...key, name: 'new' });
    expect(await gateway.call('keys.update', { id: key.id, enabled: false })).toMatchObject({
      name: 'new',
      status: 'disabled',
    });
    const expired = await gateway.call('keys.update', {
      id: key.id,
      enabled: true,
      expiresAt: '2026-11-18T10:30:00Z',
    });
    expect(expired.status).toBe('expired');
    expect(await gateway.call('keys.update', { id: key.id, expiresAt: null })).toEqual({
      ...key,
      name: 'new',
    });
    gateway = await gateway.restart();
    expect(await gateway.call('keys.list', {})).toEqual([{ ...key, name: 'new' }]);
  });

  test('gets a limit, keeps the other one unless told, and loses both', async () => {
    const { key } = await gateway.call('keys.create', {
      name: 'k',
      recurring: { amountNano: 7, every: 'week' },
    });
    const { id } = key;
    expect(await gateway.call('keys.setLimit', { id, limitNano: 5 })).toMatchObject({
      limitNano: 5,
      recurring: { amountNano: 7, every: 'week' },
      limitState: 'ok',
    });
    expect(
      await gateway.call('keys.setLimit', {
        id,
        limitNano: null,
        recurring: { amountNano: 9, every: 'month' },
      }),
    ).toMatchObject({
      limitNano: null,
      recurring: { amountNano: 9, every: 'month', usedNano: 0 },
    });
    expect(await gateway.call('keys.setLimit', { id, limitNano: 0, recurring: null })).toMatchObject({
      limitNano: 0,
      recurring: null,
      limitState: 'reached',
    });
    gateway = await gateway.restart();
    expect(await gateway.call('keys.setLimit', { id, limitNano: null })).toMatchObject({
      limitNano: null,
      recurring: null,
      limitState: 'none',
    });
  });

  test('says how near its limit it is, by what is settled', async () => {
    await pricedProvider();
    const { key, secret } = await gateway.call('keys.create', { name: 'k', limitNano: usd('1') });
    await spend(secret);
    const state = async (limitNano: number) =>
      (await gateway.call('keys.setLimit', { id: key.id, limitNano })).limitState;
    expect([await state(77_501), await state(77_500), await state(62_001), await state(62_000)]).toEqual([
      'ok',
      'near',
      'near',
      'reached',
    ]);
  });

  test('keeps its usage when it is replaced, and has another secret', async () => {
    await pricedProvider();
    const { key, secret } = await gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    const rotated = await gateway.call('keys.rotate', { id: key.id });
    expect(rotated.secret).toMatch(secretOf);
    expect(rotated.secret).not.toBe(secret);
    expect(rotated.key).toMatchObject({ id: key.id, usageNano: 62_000, requests: 1 });
    expect([await spend(secret), await spend(rotated.secret)]).toEqual([401, 200]);
    gateway = await gateway.restart();
    expect([await spend(secret), await spend(rotated.secret)]).toEqual([401, 200]);
  });

  test('leaves its rows behind when it is deleted', async () => {
    await pricedProvider();
    const { key, secret } = await gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    expect(await gateway.call('keys.delete', { id: key.id })).toEqual({});
    expect(await gateway.call('keys.list', {})).toEqual([]);
    expect((await refusal('keys.delete', { id: key.id })).code).toBe('not_found');
    expect((await gateway.call('requests.list', { keyId: key.id })).rows).toHaveLength(1);
    expect(await spend(secret)).toBe(401);
  });

  test('has its secret nowhere in the data folder', async () => {
    const { secret } = await gateway.call('keys.create', { name: 'k' });
    await gateway.gateway.close({ graceMs: 0 });
    for (const name of readdirSync(gateway.dataDir))
      expect(readFileSync(join(gateway.dataDir, name)).includes(secret)).toBe(false);
  });
});

describe('a provider', () => {
  test('is created with the defaults of its kind, and never tells its credential', async () => {
    const row = await gateway.call('providers.create', { kind: 'anthropic', credential: ' sk-ant-secret ' });
    expect(row).toEqual({
      id: row.id,
      kind: 'anthropic',
      name: 'Anthropic',
      slug: 'anthropic',
      baseUrl: 'https://api.anthropic.com/v1',
      billing: 'own-key',
      enabled: true,
      hasCredential: true,
      credentialUnreadable: false,
      dialects: ['anthropic-messages'],
      createdAt: '2026-11-18T10:30:00.000Z',
    });
    expect(await gateway.call('providers.list', {})).toEqual([row]);
  });

  test('gets a free slug of its own where none is named', async () => {
    const slugs = [];
    for (let count = 0; count < 3; count += 1)
      slugs.push((await gateway.call('providers.create', { kind: 'openai' })).slug);
    expect(slugs).toEqual(['openai', 'openai-2', 'openai-3']);
  });

  test.each<[string, object, object]>([
    ['a slug that is taken', { kind: 'openai', slug: 'taken' }, { code: 'conflict', field: 'slug' }],
    [
      'a slug that is an address of the gateway',
      { kind: 'openai', slug: 'v1' },
      { code: 'conflict', field: 'slug' },
    ],
    ['a slug with a slash', { kind: 'openai', slug: 'a/b' }, { code: 'invalid_input', field: 'slug' }],
    ['no address where the kind has none', { kind: 'openai-compatible' }, { field: 'baseUrl' }],
    [
      'an address that is none',
      { kind: 'openai', baseUrl: 'api.openai.com' },
      { code: 'invalid_input', field: 'baseUrl' },
    ],
    [
      'an address of a file',
      { kind: 'openai', baseUrl: 'file:///etc/passwd' },
      { code: 'invalid_input', field: 'baseUrl' },
    ],
    [
      'a credential in the address',
      { kind: 'openai', baseUrl: 'https://me:pass@host/v1' },
      { field: 'baseUrl' },
    ],
    [
      'a credential with a line break',
      { kind: 'openai', credential: 'a\nb' },
      { code: 'invalid_input', field: 'credential' },
    ],
    ['a kind that is none', { kind: 'acme' }, { code: 'invalid_input', field: 'kind' }],
    [
      'a billing that is none',
      { kind: 'openai', billing: 'gratis' },
      { code: 'invalid_input', field: 'billing' },
    ],
  ])('is not created with %s', async (_what, input, error) => {
    await gateway.call('providers.create', { kind: 'openai', slug: 'taken' });
    expect(await refusal('providers.create', input)).toMatchObject(error);
    expect(await gateway.call('providers.list', {})).toHaveLength(1);
  });

  test('that asks for the same slug at the same time is refused', async () => {
    const create = () =>
      gateway.tryCall('providers.create', { kind: 'openai', slug: 'same', credential: 'x' });
    const answers = await Promise.all([create(), create()]);
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
  });

  test('keeps its credential where none or an empty one is given, and loses it for null', async () => {
    const { id } = await addProvider(gateway, upstream, 'anthropic', { billing: 'free' });
    const { secret } = await gateway.call('keys.create', { name: 'k' });
    await gateway.call('providers.update', { id, name: 'Mine' });
    expect(await gateway.call('providers.update', { id, credential: '' })).toMatchObject({
      name: 'Mine',
      hasCredential: true,
    });
    expect(await spend(secret)).toBe(200);
    gateway = await gateway.restart();
    expect(await spend(secret)).toBe(200);
    expect(await gateway.call('providers.update', { id, credential: null })).toMatchObject({
      hasCredential: false,
    });
    expect(await spend(secret)).toBe(402);
    expect(await gateway.call('providers.update', { id, credential: 'sk-upstream' })).toMatchObject({
      hasCredential: true,
    });
    expect(await spend(secret)).toBe(200);
  });

  test('can keep its own slug and not take another’s', async () => {
    const { id } = await gateway.call('providers.create', { kind: 'openai', slug: 'one' });
    await gateway.call('providers.create', { kind: 'openai', slug: 'two' });
    expect(await gateway.call('providers.update', { id, slug: 'one', name: 'One' })).toMatchObject({
      slug: 'one',
      name: 'One',
    });
    expect(await refusal('providers.update', { id, slug: 'two' })).toMatchObject({
      code: 'conflict',
      field: 'slug',
    });
  });

  test('takes its prices along when it is deleted', async () => {
    const id = await pricedProvider();
    expect(await gateway.call('prices.list', {})).toHaveLength(1);
    expect(await gateway.call('providers.delete', { id })).toEqual({});
    expect(await gateway.call('prices.list', {})).toEqual([]);
    expect(await gateway.call('providers.list', {})).toEqual([]);
  });

  test('never has its credential in an answer, an event or, in plain, in the data folder', async () => {
    const credential = 'sk-very-secret-credential';
    const events = await gateway.events();
    const answers: unknown[] = [];
    const { id } = await gateway.call('providers.create', {
      kind: 'openai',
      baseUrl: `${upstream.url}/v1`,
      credential,
    });
    answers.push(await gateway.call('providers.list', {}));
    answers.push(await gateway.call('providers.update', { id, credential: `${credential}-2` }));
    answers.push(await gateway.tryCall('providers.test', { id, credential }));
    answers.push(
      await gateway.tryCall('providers.create', { kind: 'openai', credential: `${credential}\n` }),
    );
    answers.push(await gateway.call('status.get', {}));
    await events.first('providers-changed');
    expect(JSON.stringify([answers, events.seen])).not.toContain('very-secret');
    await gateway.gateway.close({ graceMs: 0 });
    for (const name of readdirSync(gateway.dataDir))
      expect(readFileSync(join(gateway.dataDir, name)).includes('very-secret')).toBe(false);
  });
});

describe('providers.test', () => {
  test('lists the models with a good credential, saved or not', async () => {
    const { id } = await addProvider(gateway, upstream, 'openai');
    const good = {
      ok: true,
      message: 'OpenAI answered with 3 models.',
      models: ['gpt-4o-mini', 'gpt-4o', 'claude-haiku-4-5'],
    };
    expect(await gateway.call('providers.test', { id })).toEqual(good);
    expect(
      await gateway.call('providers.test', {
        kind: 'openai',
        baseUrl: `${upstream.url}/v1`,
        credential: 'sk-upstream',
      }),
    ).toEqual(good);
    expect(await gateway.call('providers.test', { id, credential: '' })).toEqual(good);
  });

  test('says that a credential is not accepted, and tries what is typed instead of what is stored', async () => {
    const { id } = await addProvider(gateway, upstream, 'openai');
    expect(await gateway.call('providers.test', { id, credential: 'sk-wrong' })).toEqual({
      ok: false,
      message: 'OpenAI does not accept the credential (HTTP 401).',
      models: [],
    });
  });

  test('says what is wrong with the address', async () => {
    const at = (baseUrl: string) =>
      gateway.call('providers.test', { kind: 'openai', baseUrl, credential: 'sk-upstream' });
    expect(await at(`${upstream.url}/wrong`)).toMatchObject({ ok: true });
    upstream.reply(/models$/, { status: 404, body: {} });
    expect((await at(`${upstream.url}/v1`)).message).toMatch(/HTTP 404\. Check the address/);
    upstream.reply(/models$/, { headers: { 'content-type': 'text/html' }, body: '<html>' });
    expect((await at(`${upstream.url}/v1`)).message).toMatch(/not with a list of models/);
    await upstream.close();
    expect((await at(`${upstream.url}/v1`)).message).toMatch(/cannot be reached/);
  });

  test('asks for what is missing', async () => {
    expect(await refusal('providers.test', {})).toMatchObject({ code: 'invalid_input', field: 'kind' });
    expect(await refusal('providers.test', { kind: 'openai-compatible' })).toMatchObject({
      code: 'invalid_input',
      field: 'baseUrl',
    });
    expect(await gateway.call('providers.test', { kind: 'openai' })).toEqual({
      ok: false,
      message: 'Enter the credential first.',
      models: [],
    });
  });

  test('does not send the stored credential to another address than the stored one', async () => {
    const { id } = await addProvider(gateway, upstream, 'openai');
    const other = await startUpstream();
    const answer = await gateway.call('providers.test', { id, baseUrl: `${other.url}/v1` });
    expect(answer).toMatchObject({ ok: false, message: 'Enter the credential first.' });
    const { id: open } = await addProvider(gateway, upstream, 'openai-compatible');
    await gateway.call('providers.test', { id: open, baseUrl: `${other.url}/v1` });
    await gateway.call('providers.test', {
      id: open,
      baseUrl: `${upstream.url}@${new URL(other.url).host}/v1`,
    });
    expect(JSON.stringify(other.requests.map(({ headers }) => headers))).not.toContain('sk-upstream');
    expect(await gateway.call('providers.test', { id, baseUrl: `${upstream.url}/v1/` })).toMatchObject({
      ok: true,
    });
    await other.close();
  });

  test('does not follow a provider elsewhere', async () => {
    const other = await startUpstream();
    upstream.reply(/models$/, { status: 302, headers: { location: `${other.url}/v1/models` }, body: '' });
    expect(
      await gateway.call('providers.test', {
        kind: 'openai',
        baseUrl: `${upstream.url}/v1`,
        credential: 'sk-upstream',
      }),
    ).toMatchObject({ ok: false });
    expect(other.requests).toHaveLength(0);
    await other.close();
  });
});

describe('a price', () => {
  test('is set, replaced, listed by provider and removed', async () => {
    const id = await pricedProvider();
    const other = await pricedProvider({ slug: 'other' });
    const row = await gateway.call('prices.set', {
      providerId: id,
      model: ' acme ',
      input: 0.15,
      output: '.6',
      cachedInput: '0.075',
      perRequest: '0.01',
    });
    expect(row).toEqual({
      providerId: id,
      model: 'acme',
      input: '0.15',
      output: '.6',
      cachedInput: '0.075',
      perRequest: '0.01',
      source: 'own',
      setAt: '2026-11-18T10:30:00.000Z',
    });
    expect(await gateway.call('prices.list', { providerId: id })).toEqual([row]);
    expect((await gateway.call('prices.list', {})).map(({ providerId }) => providerId).toSorted()).toEqual(
      [id, other].toSorted(),
    );
    expect(await gateway.call('prices.remove', { providerId: id, model: 'acme' })).toEqual({});
    expect((await refusal('prices.remove', { providerId: id, model: 'acme' })).code).toBe('not_found');
  });

  test.each<[string, object, string]>([
    ['a negative amount', { input: -1 }, 'input'],
    ['text that is no amount', { output: 'cheap' }, 'output'],
    ['an amount no sum can hold', { input: '1e20' }, 'input'],
    ['an amount in the wrong unit', { cacheWrite: 1e7 }, 'cacheWrite'],
    ['no model', { model: ' ' }, 'model'],
  ])('is not set with %s', async (_what, more, field) => {
    const { id } = await addProvider(gateway, upstream, 'openai');
    const input = { providerId: id, model: 'acme', input: '1', output: '1', ...more };
    expect(await refusal('prices.set', input)).toMatchObject({ code: 'invalid_input', field });
    gateway = await gateway.restart();
    expect(await gateway.call('prices.list', {})).toEqual([]);
  });

  test('is not set for a provider that is none', async () => {
    const input = { providerId: 'nobody', model: 'acme', input: 1, output: 1 };
    expect(await refusal('prices.set', input)).toMatchObject({ code: 'not_found', field: 'providerId' });
  });

  test('counts from the next request on', async () => {
    const id = await pricedProvider();
    const { secret } = await gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    await gateway.call('prices.set', {
      providerId: id,
      model: 'acme',
      input: 0,
      output: 0,
      perRequest: '0.01',
    });
    await spend(secret);
    const { rows } = await gateway.call('requests.list', {});
    expect(rows.map(({ costNano }) => costNano)).toEqual([usd('0.01'), 62_000]);
  });
});

describe('requests.list', () => {
  test('is newest first, in pages, and by key, model and status', async () => {
    await pricedProvider();
    const [a, b] = [
      await gateway.call('keys.create', { name: 'a' }),
      await gateway.call('keys.create', { name: 'b' }),
    ];
    for (const secret of [a.secret, b.secret, a.secret]) await spend(secret);
    upstream.reply(/./, { status: 500, body: {} });
    await spend(a.secret);
    const ids = async (filter: object) =>
      (await gateway.call('requests.list', filter)).rows.map(({ id }) => id);
    const all = await ids({});
    expect(all).toEqual([...all].toSorted((x, y) => y - x));
    expect(all).toHaveLength(4);
    const page = await gateway.call('requests.list', { limit: 3 });
    expect([page.rows.map(({ id }) => id), page.next]).toEqual([all.slice(0, 3), all[2]]);
    expect(await gateway.call('requests.list', { limit: 3, before: page.next })).toMatchObject({
      rows: [{ id: all[3] }],
      next: null,
    });
    expect(await ids({ keyId: b.key.id })).toEqual([all[2]]);
    expect(await ids({ status: 'error' })).toEqual([all[0]]);
    expect(await ids({ status: 'ok' })).toEqual(all.slice(1));
    expect(await ids({ status: 500, model: 'acme' })).toEqual([all[0]]);
    expect(await ids({ model: 'x' })).toEqual([]);
  });
});

describe('requests.correct', () => {
  async function row(): Promise<RequestRow> {
    await pricedProvider();
    const { secret } = await gateway.call('keys.create', { name: 'k', limitNano: usd('1') });
    await spend(secret);
    const { rows } = await gateway.call('requests.list', {});
    if (!rows[0]) throw new Error('no row');
    return rows[0];
  }

  test('changes the cost, the usage and the totals', async () => {
    const before = await row();
    expect(
      await gateway.call('requests.correct', { id: before.id, costNano: usd('0.5'), reason: 'invoice' }),
    ).toEqual({ ...before, costNano: usd('0.5'), flags: ['corrected'] });
    expect(await gateway.call('keys.list', {})).toMatchObject([{ usageNano: usd('0.5'), requests: 1 }]);
    expect((await gateway.call('status.get', {})).totals).toMatchObject({
      usageNano: usd('0.5'),
      todayNano: usd('0.5'),
    });
  });

  test('is refused without a reason, below zero, and for a row that is none', async () => {
    const { id } = await row();
    expect(await refusal('requests.correct', { id, costNano: 5, reason: ' ' })).toMatchObject({
      code: 'invalid_input',
      field: 'reason',
    });
    expect(await refusal('requests.correct', { id, costNano: -5, reason: 'x' })).toMatchObject({
      code: 'invalid_input',
      field: 'costNano',
    });
    expect((await refusal('requests.correct', { id: id + 1, costNano: 5, reason: 'x' })).code).toBe(
      'not_found',
    );
  });
});

describe('usage.summary', () => {
  test('sums by day, key, model and provider, within the time asked for', async () => {
    await pricedProvider();
    const { key, secret } = await gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    clock.set('2026-11-19T10:30:00Z');
    await spend(secret);
    await spend(secret, 'unheard-of');
    const summary = (groupBy: 'day' | 'key' | 'model' | 'provider', from = '2026-11-18T00:00:00Z') =>
      gateway.call('usage.summary', { from, to: '2026-11-20T00:00:00Z', groupBy });
    const one = {
      requests: 1,
      inputTokens: 12,
      cachedInputTokens: 0,
      outputTokens: 5,
      costNano: 62_000,
      costCreditsNano: 0,
      costOwnKeyNano: 62_000,
      unpricedRequests: 0,
    };
    const three = {
      ...one,
      requests: 3,
      inputTokens: 36,
      outputTokens: 15,
      costNano: 124_000,
      costOwnKeyNano: 124_000,
      unpricedRequests: 1,
    };
    expect(await summary('key')).toEqual([{ group: key.id, ...three }]);
    expect(await summary('provider')).toEqual([{ group: 'anthropic', ...three }]);
    expect((await summary('model')).map(({ group, requests }) => [group, requests])).toEqual([
      ['acme', 2],
      ['unheard-of', 1],
    ]);
    const day = (iso: string) => new Date(iso).toLocaleDateString('sv-SE');
    expect((await summary('day')).map(({ group, requests }) => [group, requests])).toEqual([
      [day('2026-11-18T10:30:00Z'), 1],
      [day('2026-11-19T10:30:00Z'), 2],
    ]);
    expect(await summary('key', '2026-11-19T10:30:00.001Z')).toEqual([]);
  });
});

describe('settings', () => {
  test('are the defaults until they are set, one by one, and are kept', async () => {
    const before = await gateway.call('settings.get', {});
    expect(before).toEqual({ port: 3273, launchAtLogin: false, thresholds: [80, 95, 100], theme: 'system' });
    expect(await gateway.call('settings.set', { theme: 'dark', thresholds: [50] })).toEqual({
      ...before,
      theme: 'dark',
      thresholds: [50],
    });
    gateway = await gateway.restart();
    expect(await gateway.call('settings.get', {})).toEqual({ ...before, theme: 'dark', thresholds: [50] });
    for (const [field, value] of [
      ['port', 65_536],
      ['theme', 'blue'],
      ['thresholds', [0]],
    ] as const) {
      expect(await refusal('settings.set', { [field]: value })).toMatchObject({ code: 'invalid_input' });
    }
  });
});

describe('the events', () => {
  test('tell of keys, providers, settled requests and the totals as they change', async () => {
    const events = await gateway.events();
    const id = await pricedProvider();
    await events.first('providers-changed');
    const { key, secret } = await gateway.call('keys.create', { name: 'k' });
    await events.first('keys-changed', ({ rows }) =>
      rows.some((row) => row.id === key.id && row.requests === 0),
    );
    const open = gate();
    upstream.reply('/v1/messages', {
      before: open,
      body: { type: 'message', usage: { input_tokens: 12, output_tokens: 5 } },
    });
    const asked = spend(secret);
    await events.first('status-changed', ({ totals }) => totals.running === 1 && totals.heldNano > 0);
    await events.first('keys-changed', ({ rows }) => rows.some(({ heldNano }) => heldNano > 0));
    open.open();
    expect(await asked).toBe(200);
    const { rows } = await events.first('request-settled');
    expect(rows).toMatchObject([{ keyId: key.id, costNano: 62_000, provider: 'anthropic' }]);
    await events.first('keys-changed', (data) =>
      data.rows.some(({ usageNano, heldNano }) => usageNano === 62_000 && heldNano === 0),
    );
    await events.first('status-changed', ({ totals }) => totals.running === 0 && totals.usageNano === 62_000);
    await gateway.call('keys.delete', { id: key.id });
    await events.first('keys-changed', ({ removed }) => removed.includes(key.id));
    await gateway.call('providers.delete', { id });
    events.close();
  });
});
