/** The contract's methods for providers and prices: defaults, refusals, and a credential that never comes back. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SERVED } from '../../../electron/gateway/proxy/routes.ts';
import { contractForEachTest } from '../../support/contract.ts';
import { addProvider, usd } from '../../support/gateway.ts';
import { startUpstream } from '../../support/upstream.ts';

const contract = contractForEachTest();
const { refusal, pricedProvider, spend } = contract;

describe('a provider', () => {
  test('is created with the defaults of its kind, and never tells its credential', async () => {
    const row = await contract.gateway.call('providers.create', {
      kind: 'anthropic',
      credential: ' sk-ant-secret ',
    });
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
    expect(await contract.gateway.call('providers.list', {})).toEqual([row]);
  });

  test('gets a free slug of its own where none is named', async () => {
    const slugs = [];
    for (let count = 0; count < 3; count += 1)
      slugs.push((await contract.gateway.call('providers.create', { kind: 'openai' })).slug);
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
    ['a query in the address', { kind: 'openai', baseUrl: 'https://host/v1?v=1' }, { field: 'baseUrl' }],
    ['a name of two lines', { kind: 'openai', name: 'a\nb' }, { code: 'invalid_input', field: 'name' }],
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
    await contract.gateway.call('providers.create', { kind: 'openai', slug: 'taken' });
    expect(await refusal('providers.create', input)).toMatchObject(error);
    expect(await contract.gateway.call('providers.list', {})).toHaveLength(1);
  });

  test('cannot take the first word of an address that the gateway serves without a version', async () => {
    const words = [...SERVED.matchAll(/\/v1(?:beta)?\/(\w+)/g)].map(([, word]) => word ?? '');
    for (const slug of new Set(words))
      expect(await refusal('providers.create', { kind: 'openai', slug })).toMatchObject({ field: 'slug' });
  });

  test('that asks for the same slug at the same time is refused', async () => {
    const create = () =>
      contract.gateway.tryCall('providers.create', { kind: 'openai', slug: 'same', credential: 'x' });
    const answers = await Promise.all([create(), create()]);
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
  });

  test('keeps its credential where none or an empty one is given, and loses it for null', async () => {
    const { id } = await addProvider(contract.gateway, contract.upstream, 'anthropic', { billing: 'free' });
    const { secret } = await contract.gateway.call('keys.create', { name: 'k' });
    await contract.gateway.call('providers.update', { id, name: 'Mine' });
    expect(await contract.gateway.call('providers.update', { id, credential: '' })).toMatchObject({
      name: 'Mine',
      hasCredential: true,
    });
    expect(await spend(secret)).toBe(200);
    await contract.restart();
    expect(await spend(secret)).toBe(200);
    expect(await contract.gateway.call('providers.update', { id, credential: null })).toMatchObject({
      hasCredential: false,
    });
    expect(await spend(secret)).toBe(402);
    expect(await contract.gateway.call('providers.update', { id, credential: 'sk-upstream' })).toMatchObject({
      hasCredential: true,
    });
    expect(await spend(secret)).toBe(200);
  });

  test('can keep its own slug and not take another’s', async () => {
    const { id } = await contract.gateway.call('providers.create', { kind: 'openai', slug: 'one' });
    await contract.gateway.call('providers.create', { kind: 'openai', slug: 'two' });
    expect(await contract.gateway.call('providers.update', { id, slug: 'one', name: 'One' })).toMatchObject({
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
    expect(await contract.gateway.call('prices.list', {})).toHaveLength(1);
    expect(await contract.gateway.call('providers.delete', { id })).toEqual({});
    expect(await contract.gateway.call('prices.list', {})).toEqual([]);
    expect(await contract.gateway.call('providers.list', {})).toEqual([]);
  });

  test('never has its credential in an answer, an event or, in plain, in the data folder', async () => {
    const credential = 'sk-very-secret-credential';
    const events = await contract.gateway.events();
    const answers: unknown[] = [];
    const { id } = await contract.gateway.call('providers.create', {
      kind: 'openai',
      baseUrl: `${contract.upstream.url}/v1`,
      credential,
    });
    answers.push(await contract.gateway.call('providers.list', {}));
    answers.push(await contract.gateway.call('providers.update', { id, credential: `${credential}-2` }));
    answers.push(await contract.gateway.tryCall('providers.test', { id, credential }));
    answers.push(
      await contract.gateway.tryCall('providers.create', { kind: 'openai', credential: `${credential}\n` }),
    );
    answers.push(await contract.gateway.call('status.get', {}));
    await events.first('providers-changed');
    expect(JSON.stringify([answers, events.seen])).not.toContain('very-secret');
    await contract.gateway.gateway.close({ graceMs: 0 });
    for (const name of readdirSync(contract.gateway.dataDir))
      expect(readFileSync(join(contract.gateway.dataDir, name)).includes('very-secret')).toBe(false);
  });
});

describe('providers.test', () => {
  test('lists the models with a good credential, saved or not', async () => {
    const { id } = await addProvider(contract.gateway, contract.upstream, 'openai');
    const good = {
      ok: true,
      message: 'OpenAI answered with 3 models.',
      models: ['gpt-4o-mini', 'gpt-4o', 'claude-haiku-4-5'],
    };
    expect(await contract.gateway.call('providers.test', { id })).toEqual(good);
    expect(
      await contract.gateway.call('providers.test', {
        kind: 'openai',
        baseUrl: `${contract.upstream.url}/v1`,
        credential: 'sk-upstream',
      }),
    ).toEqual(good);
    expect(await contract.gateway.call('providers.test', { id, credential: '' })).toEqual(good);
  });

  test('says that a credential is not accepted, and tries what is typed instead of what is stored', async () => {
    const { id } = await addProvider(contract.gateway, contract.upstream, 'openai');
    expect(await contract.gateway.call('providers.test', { id, credential: 'sk-wrong' })).toEqual({
      ok: false,
      message: 'OpenAI does not accept the credential (HTTP 401).',
      models: [],
    });
  });

  test('says what is wrong with the address', async () => {
    const at = (baseUrl: string) =>
      contract.gateway.call('providers.test', { kind: 'openai', baseUrl, credential: 'sk-upstream' });
    expect(await at(`${contract.upstream.url}/wrong`)).toMatchObject({ ok: true });
    contract.upstream.reply(/models$/, { status: 404, body: {} });
    expect((await at(`${contract.upstream.url}/v1`)).message).toMatch(/HTTP 404\. Check the address/);
    contract.upstream.reply(/models$/, { headers: { 'content-type': 'text/html' }, body: '<html>' });
    expect((await at(`${contract.upstream.url}/v1`)).message).toMatch(/not with a list of models/);
    // An answer without end is given up, not collected.
    const piece = ' '.repeat(2 ** 20);
    contract.upstream.reply(/models$/, { chunks: Array.from({ length: 40 }, () => piece), hang: true });
    expect((await at(`${contract.upstream.url}/v1`)).message).toMatch(/not with a list of models/);
    await contract.upstream.close();
    expect((await at(`${contract.upstream.url}/v1`)).message).toMatch(/cannot be reached/);
  });

  test('asks for what is missing', async () => {
    expect(await refusal('providers.test', {})).toMatchObject({ code: 'invalid_input', field: 'kind' });
    expect(await refusal('providers.test', { kind: 'openai-compatible' })).toMatchObject({
      code: 'invalid_input',
      field: 'baseUrl',
    });
    expect(await contract.gateway.call('providers.test', { kind: 'openai' })).toEqual({
      ok: false,
      message: 'Enter the credential first.',
      models: [],
    });
  });

  test('does not send the stored credential to another address than the stored one', async () => {
    const { id } = await addProvider(contract.gateway, contract.upstream, 'openai');
    const other = await startUpstream();
    const answer = await contract.gateway.call('providers.test', { id, baseUrl: `${other.url}/v1` });
    expect(answer).toMatchObject({ ok: false, message: 'Enter the credential first.' });
    const { id: open } = await addProvider(contract.gateway, contract.upstream, 'openai-compatible');
    await contract.gateway.call('providers.test', { id: open, baseUrl: `${other.url}/v1` });
    await contract.gateway.call('providers.test', {
      id: open,
      baseUrl: `${contract.upstream.url}@${new URL(other.url).host}/v1`,
    });
    expect(JSON.stringify(other.requests.map(({ headers }) => headers))).not.toContain('sk-upstream');
    expect(
      await contract.gateway.call('providers.test', { id, baseUrl: `${contract.upstream.url}/v1/` }),
    ).toMatchObject({
      ok: true,
    });
    await other.close();
  });

  test('does not let the stored credential follow the provider to another address', async () => {
    const { id } = await addProvider(contract.gateway, contract.upstream, 'openai');
    const elsewhere = 'https://collector.example/v1';
    for (const more of [{}, { credential: '' }]) {
      expect(await refusal('providers.update', { id, baseUrl: elsewhere, ...more })).toMatchObject({
        code: 'conflict',
        field: 'credential',
        message: `The stored credential is for ${contract.upstream.url} only. Enter the one for https://collector.example, or remove it.`,
      });
    }
    const secure = contract.upstream.url.replace('http:', 'https:');
    expect(await refusal('providers.update', { id, baseUrl: secure })).toMatchObject({ field: 'credential' });
    expect(await contract.gateway.call('providers.list', {})).toMatchObject([
      { baseUrl: `${contract.upstream.url}/v1` },
    ]);

    // The same place, another path: nothing to ask for.
    expect(
      await contract.gateway.call('providers.update', { id, baseUrl: `${contract.upstream.url}/api/v1` }),
    ).toMatchObject({
      hasCredential: true,
    });
    expect(
      await contract.gateway.call('providers.update', { id, baseUrl: elsewhere, credential: 'sk-other' }),
    ).toMatchObject({ baseUrl: elsewhere, hasCredential: true });
    expect(
      await contract.gateway.call('providers.update', {
        id,
        baseUrl: `${contract.upstream.url}/v1`,
        credential: null,
      }),
    ).toMatchObject({ hasCredential: false });
  });

  test('does not follow a provider elsewhere', async () => {
    const other = await startUpstream();
    contract.upstream.reply(/models$/, {
      status: 302,
      headers: { location: `${other.url}/v1/models` },
      body: '',
    });
    expect(
      await contract.gateway.call('providers.test', {
        kind: 'openai',
        baseUrl: `${contract.upstream.url}/v1`,
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
    const row = await contract.gateway.call('prices.set', {
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
    expect(await contract.gateway.call('prices.list', { providerId: id })).toEqual([row]);
    expect(
      (await contract.gateway.call('prices.list', {})).map(({ providerId }) => providerId).toSorted(),
    ).toEqual([id, other].toSorted());
    expect(await contract.gateway.call('prices.remove', { providerId: id, model: 'acme' })).toEqual({});
    expect((await refusal('prices.remove', { providerId: id, model: 'acme' })).code).toBe('not_found');
  });

  test.each<[string, object, string]>([
    ['a negative amount', { input: -1 }, 'input'],
    ['text that is no amount', { output: 'cheap' }, 'output'],
    ['no amount', { output: null }, 'output'],
    ['an amount that would count as nothing', { input: '0.0000000001' }, 'input'],
    ['an amount no sum can hold', { input: '1e20' }, 'input'],
    ['an amount in the wrong unit', { cacheWrite: 1e7 }, 'cacheWrite'],
    ['no model', { model: ' ' }, 'model'],
  ])('is not set with %s', async (_what, more, field) => {
    const { id } = await addProvider(contract.gateway, contract.upstream, 'openai');
    const input = { providerId: id, model: 'acme', input: '1', output: '1', ...more };
    expect(await refusal('prices.set', input)).toMatchObject({ code: 'invalid_input', field });
    await contract.restart();
    expect(await contract.gateway.call('prices.list', {})).toEqual([]);
  });

  test('is not set for a provider that is none', async () => {
    const input = { providerId: 'nobody', model: 'acme', input: 1, output: 1 };
    expect(await refusal('prices.set', input)).toMatchObject({ code: 'not_found', field: 'providerId' });
  });

  test('counts from the next request on', async () => {
    const id = await pricedProvider();
    const { secret } = await contract.gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    await contract.gateway.call('prices.set', {
      providerId: id,
      model: 'acme',
      input: 0,
      output: 0,
      perRequest: '0.01',
    });
    await spend(secret);
    const { rows } = await contract.gateway.call('requests.list', {});
    expect(rows.map(({ costNano }) => costNano)).toEqual([usd('0.01'), 62_000]);
  });
});
