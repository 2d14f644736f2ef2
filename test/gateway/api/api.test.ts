/** The contract's methods: what each does, what each refuses and in which field, and what never comes back. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { methods, type MethodName } from '#shared/contract.ts';
import { contractForEachTest } from '../../support/contract.ts';
import { usd } from '../../support/gateway.ts';
import { gate } from '../../support/upstream.ts';

const contract = contractForEachTest();
const { refusal, pricedProvider, spend } = contract;

const secretOf = /^sk-fg-[0-9A-Za-z]{43}$/;

describe('every method', () => {
  test.each(Object.keys(methods))('refuses input it does not know: %s', async (name) => {
    const answer = await contract.gateway.gateway.dispatch(name, { surprise: true });
    expect(answer).toMatchObject({ ok: false, error: { code: 'invalid_input' } });
  });

  test.each(['nothing', '__proto__', 'constructor', 'keys', '', null, 7, {}])(
    'that is none is not found: %j',
    async (name) => {
      expect(await contract.gateway.gateway.dispatch(name, {})).toMatchObject({
        ok: false,
        error: { code: 'not_found' },
      });
    },
  );

  test.each(['x', 7, [], true])('that takes nothing refuses %j', async (input) => {
    expect(await contract.gateway.gateway.dispatch('keys.list', input)).toMatchObject({
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
    const { secret } = await contract.gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    expect(await contract.gateway.call('status.get', {})).toEqual({
      version: '0.0.0-test',
      gatewayUrl: contract.gateway.url,
      dataFolder: expect.stringMatching(/^(\/|[A-Z]:)/),
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
    const { key, secret } = await contract.gateway.call('keys.create', {
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
      sessionLimitNano: null,
      fallback: null,
      topUp: null,
      pause: null,
      limitState: 'ok',
    });
    expect(await contract.gateway.call('keys.list', {})).toEqual([key]);
    expect(JSON.stringify(await contract.gateway.call('keys.list', {}))).not.toContain(secret);
  });

  test('has no limit unless told', async () => {
    const { key } = await contract.gateway.call('keys.create', { name: 'k' });
    expect(key).toMatchObject({ limitNano: null, recurring: null, limitState: 'none', expiresAt: null });
  });

  test('is listed in the order it was made, also after a restart', async () => {
    for (const name of ['b', 'a', 'c']) await contract.gateway.call('keys.create', { name });
    const names = async () => (await contract.gateway.call('keys.list', {})).map(({ name }) => name);
    expect(await names()).toEqual(['b', 'a', 'c']);
    await contract.restart();
    expect(await names()).toEqual(['b', 'a', 'c']);
  });

  test.each<[string, object, string, string]>([
    ['no name', { name: '  ' }, 'name', 'Give the key a name.'],
    ['a name that is missing', {}, 'name', 'It is missing. Send text.'],
    ['a long name', { name: 'x'.repeat(81) }, 'name', 'Use at most 80 characters.'],
    [
      'a name of two lines',
      { name: 'a\nb' },
      'name',
      'Use letters, digits and signs in one line, without control characters.',
    ],
    [
      'a name that colours a terminal',
      { name: '\u001b[31mred' },
      'name',
      'Use letters, digits and signs in one line, without control characters.',
    ],
    ['a negative limit', { name: 'k', limitNano: -1 }, 'limitNano', 'Send a number of at least 0.'],
    ['half a nano-dollar', { name: 'k', limitNano: 0.5 }, 'limitNano', 'Send a whole number.'],
    [
      'a limit beyond a million dollars',
      { name: 'k', limitNano: 1e15 + 1 },
      'limitNano',
      'Send a number of at most 1000000000000000.',
    ],
    ['a limit that is text', { name: 'k', limitNano: '5' }, 'limitNano', 'Send a number.'],
    [
      'a period that is none',
      { name: 'k', recurring: { amountNano: 5, every: 'year' } },
      'recurring.every',
      'Send one of "hour", "day", "week", "month".',
    ],
    [
      'a recurring limit without an amount',
      { name: 'k', recurring: { every: 'day' } },
      'recurring.amountNano',
      'It is missing. Send a number.',
    ],
    [
      'a date that is none',
      { name: 'k', expiresAt: 'tomorrow' },
      'expiresAt',
      'Send a time such as "2026-01-31T12:00:00Z".',
    ],
    ['what is not known', { name: 'k', limit: 5 }, '', '"limit" is not known here. Leave it out.'],
  ])('is not created with %s', async (_what, input, field, says) => {
    expect(await refusal('keys.create', input)).toEqual({
      code: 'invalid_input',
      ...(field === '' ? { message: says } : { message: `${field}: ${says}`, field }),
    });
    expect(await contract.gateway.call('keys.list', {})).toEqual([]);
  });

  test('changes only what it is told to change', async () => {
    const { key } = await contract.gateway.call('keys.create', { name: 'k', limitNano: 5 });
    expect(await contract.gateway.call('keys.update', { id: key.id, name: 'new' })).toEqual({
      ...key,
      name: 'new',
    });
    expect(await contract.gateway.call('keys.update', { id: key.id, enabled: false })).toMatchObject({
      name: 'new',
      status: 'disabled',
    });
    const expired = await contract.gateway.call('keys.update', {
      id: key.id,
      enabled: true,
      expiresAt: '2026-11-18T10:30:00Z',
    });
    expect(expired.status).toBe('expired');
    expect(await contract.gateway.call('keys.update', { id: key.id, expiresAt: null })).toEqual({
      ...key,
      name: 'new',
    });
    await contract.restart();
    expect(await contract.gateway.call('keys.list', {})).toEqual([{ ...key, name: 'new' }]);
  });

  test('gets a limit, keeps the other one unless told, and loses both', async () => {
    const { key } = await contract.gateway.call('keys.create', {
      name: 'k',
      recurring: { amountNano: 7, every: 'week' },
    });
    const { id } = key;
    expect(await contract.gateway.call('keys.setLimit', { id, limitNano: 5 })).toMatchObject({
      limitNano: 5,
      recurring: { amountNano: 7, every: 'week' },
      limitState: 'ok',
    });
    expect(
      await contract.gateway.call('keys.setLimit', {
        id,
        limitNano: null,
        recurring: { amountNano: 9, every: 'month' },
      }),
    ).toMatchObject({
      limitNano: null,
      recurring: { amountNano: 9, every: 'month', usedNano: 0 },
    });
    expect(await contract.gateway.call('keys.setLimit', { id, limitNano: 0, recurring: null })).toMatchObject(
      {
        limitNano: 0,
        recurring: null,
        limitState: 'reached',
      },
    );
    await contract.restart();
    expect(await contract.gateway.call('keys.setLimit', { id, limitNano: null })).toMatchObject({
      limitNano: null,
      recurring: null,
      limitState: 'none',
    });
  });

  test('says how near its limit it is, by what is settled', async () => {
    await pricedProvider();
    const { key, secret } = await contract.gateway.call('keys.create', { name: 'k', limitNano: usd('1') });
    await spend(secret);
    const state = async (limitNano: number) =>
      (await contract.gateway.call('keys.setLimit', { id: key.id, limitNano })).limitState;
    expect([await state(77_501), await state(77_500), await state(62_001), await state(62_000)]).toEqual([
      'ok',
      'near',
      'near',
      'reached',
    ]);
  });

  test('keeps its usage when it is replaced, and has another secret', async () => {
    await pricedProvider();
    const { key, secret } = await contract.gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    const rotated = await contract.gateway.call('keys.rotate', { id: key.id });
    expect(rotated.secret).toMatch(secretOf);
    expect(rotated.secret).not.toBe(secret);
    expect(rotated.key).toMatchObject({ id: key.id, usageNano: 62_000, requests: 1 });
    expect([await spend(secret), await spend(rotated.secret)]).toEqual([401, 200]);
    await contract.restart();
    expect([await spend(secret), await spend(rotated.secret)]).toEqual([401, 200]);
  });

  test('leaves its rows behind when it is deleted', async () => {
    await pricedProvider();
    const { key, secret } = await contract.gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    expect(await contract.gateway.call('keys.delete', { id: key.id })).toEqual({});
    expect(await contract.gateway.call('keys.list', {})).toEqual([]);
    expect((await refusal('keys.delete', { id: key.id })).code).toBe('not_found');
    expect((await contract.gateway.call('requests.list', { keyId: key.id })).rows).toHaveLength(1);
    expect(await spend(secret)).toBe(401);
  });

  test('has its secret nowhere in the data folder', async () => {
    const { secret } = await contract.gateway.call('keys.create', { name: 'k' });
    await contract.gateway.gateway.close({ graceMs: 0 });
    for (const name of readdirSync(contract.gateway.dataDir))
      expect(readFileSync(join(contract.gateway.dataDir, name)).includes(secret)).toBe(false);
  });
});

describe('settings', () => {
  test('are the defaults until they are set, one by one, and are kept', async () => {
    const before = await contract.gateway.call('settings.get', {});
    expect(before).toEqual({
      port: 3273,
      launchAtLogin: false,
      priceUpdates: false,
      appUpdates: false,
      notices: true,
      keepRunning: true,
      loopBrake: { requests: 30, seconds: 60, agentsOnly: true },
      thresholds: [80, 95, 100],
      theme: 'system',
    });
    expect(await contract.gateway.call('settings.set', { theme: 'dark', thresholds: [50] })).toEqual({
      ...before,
      theme: 'dark',
      thresholds: [50],
    });
    await contract.restart();
    expect(await contract.gateway.call('settings.get', {})).toEqual({
      ...before,
      theme: 'dark',
      thresholds: [50],
    });
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
    const events = await contract.gateway.events();
    const id = await pricedProvider();
    await events.first('providers-changed');
    const { key, secret } = await contract.gateway.call('keys.create', { name: 'k' });
    await events.first('keys-changed', ({ rows }) =>
      rows.some((row) => row.id === key.id && row.requests === 0),
    );
    const open = gate();
    contract.upstream.reply('/v1/messages', {
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
    await contract.gateway.call('keys.delete', { id: key.id });
    await events.first('keys-changed', ({ removed }) => removed.includes(key.id));
    await contract.gateway.call('providers.delete', { id });
    events.close();
  });
});
