/** Limits that keys share, money on top of a limit, and the pause of the whole gateway, as clients meet them. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ProviderRow } from '#shared/model.ts';
import { addDimeProviders, boundedRequest, field } from '../../support/bounded-requests.ts';
import { send, type Incoming } from '../../support/client.ts';
import { fakeClock, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { gate, startUpstream, type Gate, type Upstream } from '../../support/upstream.ts';

const clock = fakeClock('2026-11-18T10:00:00Z');
let upstream: Upstream;
let gateway: CoreGateway;
let openai: ProviderRow;

beforeEach(async () => {
  clock.set('2026-11-18T10:00:00Z');
  upstream = await startUpstream();
  gateway = await startCore({ waitMs: 60_000, clock });
  const [first] = await addDimeProviders(gateway, upstream);
  if (!first) throw new Error('no provider');
  openai = first;
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const newKey = (name: string, limit: string | null = null) =>
  gateway.call('keys.create', { name, limitNano: limit === null ? null : usd(limit) });

/** One that costs what it allows: ten cents a thousand tokens. */
function ask(secret: string, tokens: number, dialect = 'messages'): Promise<Incoming> {
  const { path, body } = boundedRequest(dialect);
  return send(`${gateway.url}${path}`, { headers: { 'x-api-key': secret }, body: body(tokens) });
}

const own = (secret: string) =>
  send(`${gateway.url}/v1/key`, { method: 'GET', headers: { 'x-api-key': secret } });

function answers(tokens?: number): Gate[] {
  const gates: Gate[] = [];
  upstream.reply(/./, ({ json, path }) => {
    const before = gate();
    gates.push(before);
    const asked = Number(field(json, 'max_tokens') ?? field(json, 'max_completion_tokens'));
    const output = tokens ?? asked;
    return path.endsWith('/messages')
      ? {
          before,
          body: { type: 'message', model: 'acme', usage: { input_tokens: 5, output_tokens: output } },
        }
      : { before, body: { model: 'acme', usage: { prompt_tokens: 5, completion_tokens: output } } };
  });
  return gates;
}

/** Asked and answered. */
async function spend(secret: string, tokens: number, dialect?: string): Promise<Incoming> {
  upstream.answers({ inputTokens: 5, outputTokens: tokens, text: 'x' });
  return ask(secret, tokens, dialect);
}

describe('a limit over all keys', () => {
  test('holds for every key, those without a limit of their own included, and is named in the refusal', async () => {
    const [one, two] = [await newKey('one'), await newKey('two', '50')];
    await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: usd('1') });
    expect((await spend(one.secret, 6_000)).status).toBe(200);
    expect((await spend(two.secret, 4_000)).status).toBe(200);
    for (const { secret, key } of [one, two]) {
      const refused = await spend(secret, 100);
      expect(refused.status).toBe(402);
      expect(refused.json).toMatchObject({
        error: { type: 'billing_error', message: expect.stringContaining('all keys together') as string },
      });
      expect(refused.text).toContain('$1.00 of $1.00 spent');
      expect(refused.text).toContain(key.name);
      expect(refused.text).toContain('Faregate, Limits');
    }
    expect(await gateway.call('limits.get', {})).toMatchObject({
      global: { limitNano: usd('1'), usageNano: usd('1'), heldNano: 0, limitState: 'reached' },
    });
  });

  test('is one pot for requests at the same time: what one key holds another one waits for', async () => {
    const [one, two] = [await newKey('one'), await newKey('two')];
    await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: usd('1') });
    const gates = answers(100);
    const first = ask(one.secret, 10_000);
    await upstream.nthRequest(1);
    const second = ask(two.secret, 9_000);
    await own(two.secret);
    expect(upstream.requests).toHaveLength(1);
    gates[0]?.open();
    expect(field((await upstream.nthRequest(2)).json, 'max_tokens')).toBe(9_000);
    gates[1]?.open();
    expect([(await first).status, (await second).status]).toEqual([200, 200]);
  });

  test('wakes those who wait when it is raised, and when its window ends', async () => {
    const [one, two] = [await newKey('one'), await newKey('two')];
    const recurring = { amountNano: usd('1'), every: 'hour' } as const;
    await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: usd('1'), recurring });
    const gates = answers(4_000);
    const all = [ask(one.secret, 10_000)];
    await upstream.nthRequest(1);
    all.push(ask(two.secret, 9_000));
    await own(two.secret);
    await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: null });
    gates[0]?.open();
    await all[0];
    // Settled: 0.40 of the hour's dollar; 0.60 does not pay for 9,000 tokens beside nobody but is useful.
    expect(field((await upstream.nthRequest(2)).json, 'max_tokens')).toBe(6_000);
    all.push(ask(one.secret, 8_000));
    await own(one.secret);
    clock.advance(3_600_000);
    gates[1]?.open();
    expect(field((await upstream.nthRequest(3)).json, 'max_tokens')).toBeGreaterThan(5_000);
    gates[2]?.open();
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  test('refuses models without a price to keys that have no limit themselves', async () => {
    const { secret } = await newKey('one');
    const body = { model: 'nobody-knows', messages: [], max_tokens: 5 };
    const post = () =>
      send(`${gateway.url}/anthropic/v1/messages`, { headers: { 'x-api-key': secret }, body });
    expect((await post()).status).toBe(200);
    await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: usd('1') });
    const refused = await post();
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('limit over all keys');
  });

  test('counts keys that are deleted, also in the totals, and after a restart', async () => {
    const [one, two] = [await newKey('one'), await newKey('two')];
    await spend(one.secret, 6_000);
    await spend(two.secret, 1_000);
    await gateway.call('keys.delete', { id: one.key.id });
    const told = async (core: CoreGateway) => ({
      totals: (await core.call('status.get', {})).totals,
      limits: await core.call('limits.get', {}),
    });
    const before = await told(gateway);
    expect(before).toMatchObject({
      totals: { usageNano: usd('0.7'), requests: 2 },
      limits: { global: { usageNano: usd('0.7') } },
    });
    gateway = await gateway.restart();
    expect(await told(gateway)).toEqual(before);
  });

  test('that is lowered stops the requests of all keys at once where that is asked for', async () => {
    const [one, two] = [await newKey('one'), await newKey('two')];
    answers(10);
    const all = [ask(one.secret, 100), ask(two.secret, 100)];
    await upstream.nthRequest(2);
    await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: 0, stopRunning: true });
    const stopped = await Promise.all(all);
    expect(stopped.map(({ status }) => status)).toEqual([402, 402]);
    expect(stopped[0]?.text).toContain('the usage limit of all keys together was changed');
    expect((await gateway.call('limits.get', {})).global).toMatchObject({ heldNano: 0 });
  });
});

describe('a limit per provider', () => {
  test('holds for that provider only, and goes by the provider whatever its slug is', async () => {
    const { secret } = await newKey('one');
    const scope = { kind: 'provider', providerId: openai.id } as const;
    const recurring = { amountNano: usd('0.5'), every: 'day' } as const;
    await gateway.call('limits.set', { scope, limitNano: null, recurring });
    expect((await spend(secret, 5_000, 'chat')).status).toBe(200);
    await gateway.call('providers.update', { id: openai.id, slug: 'work' });
    const refused = await spend(secret, 100, 'chat');
    expect(refused.status).toBe(402);
    expect(refused.text).toMatch(/provider .{1,2}work.{1,2}.*\$0\.50 of \$0\.50 spent today.*It resets at/);
    expect((await spend(secret, 100)).status).toBe(200);
    gateway = await gateway.restart();
    expect((await spend(secret, 100, 'chat')).status).toBe(402);
    expect(
      (await gateway.call('limits.get', {})).providers.find(({ slug }) => slug === 'work'),
    ).toMatchObject({
      recurring: { usedNano: usd('0.5'), resetsAt: expect.any(String) as string },
      usageNano: usd('0.5'),
      limitState: 'reached',
    });
    clock.advance(24 * 3_600_000);
    expect((await spend(secret, 100, 'chat')).status).toBe(200);
  });

  test('follows a cost that is corrected', async () => {
    const { secret } = await newKey('one');
    const scope = { kind: 'provider', providerId: openai.id } as const;
    await gateway.call('limits.set', { scope, limitNano: usd('0.5') });
    await spend(secret, 5_000, 'chat');
    const { rows } = await gateway.call('requests.list', {});
    await gateway.call('requests.correct', {
      id: rows[0]?.id ?? 0,
      costNano: usd('0.1'),
      reason: 'free trial',
    });
    expect(await gateway.call('limits.get', {})).toMatchObject({
      global: { usageNano: usd('0.1') },
      providers: [{ usageNano: usd('0.1') }, { usageNano: 0 }, { usageNano: 0 }],
    });
    expect((await spend(secret, 100, 'chat')).status).toBe(200);
  });

  test('of a provider that does not exist is refused', async () => {
    const scope = { kind: 'provider', providerId: 'prv_none' } as const;
    expect(await gateway.tryCall('limits.set', { scope, limitNano: 1 })).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
  });
});

describe('a top-up', () => {
  test('serves those who wait, leaves the limit as it is, and ends with the window', async () => {
    const { key, secret } = await gateway.call('keys.create', {
      name: 'dev',
      limitNano: usd('10'),
      recurring: { amountNano: usd('1'), every: 'day' },
    });
    expect((await spend(secret, 10_000)).status).toBe(200);
    expect((await spend(secret, 1_000)).status).toBe(402);
    const row = await gateway.call('keys.topUp', { id: key.id, amountNano: usd('0.5') });
    expect(row).toMatchObject({
      limitNano: usd('10'),
      recurring: { amountNano: usd('1') },
      topUp: { amountNano: usd('0.5'), until: row.recurring?.resetsAt },
      limitState: 'ok',
    });
    expect((await own(secret)).json).toMatchObject({
      remaining: 0.5,
      top_up: { amount: 0.5, until: row.recurring?.resetsAt },
      limits: [
        { scope: 'key', limit: 10.5, every: null },
        { scope: 'key', limit: 1.5, used: 1, remaining: 0.5, every: 'day' },
      ],
    });
    gateway = await gateway.restart();
    expect((await spend(secret, 5_000)).status).toBe(200);
    expect((await spend(secret, 1_000)).text).toContain('$1.50 of $1.50 spent today');
    clock.advance(24 * 3_600_000);
    expect((await gateway.call('keys.list', {}))[0]).toMatchObject({
      topUp: null,
      recurring: { usedNano: 0 },
    });
    expect((await spend(secret, 10_000)).status).toBe(200);
    expect((await spend(secret, 1_000)).status).toBe(402);
  });

  test('of a key with an all-time limit stays until it is taken away, and is set, not added', async () => {
    const { key, secret } = await newKey('dev', '1');
    await spend(secret, 10_000);
    const set = (amount: string) => gateway.call('keys.topUp', { id: key.id, amountNano: usd(amount) });
    await set('5');
    expect(await set('0.2')).toMatchObject({ topUp: { amountNano: usd('0.2'), until: null } });
    clock.advance(400 * 24 * 3_600_000);
    expect((await spend(secret, 1_000)).status).toBe(200);
    expect(await set('0')).toMatchObject({ topUp: null, limitNano: usd('1'), limitState: 'reached' });
    expect((await spend(secret, 100)).status).toBe(402);
  });

  test('needs a limit to be on top of, and goes with the last of them', async () => {
    const { key } = await newKey('dev');
    expect(await gateway.tryCall('keys.topUp', { id: key.id, amountNano: 5 })).toMatchObject({
      ok: false,
      error: { code: 'conflict', field: 'amountNano' },
    });
    await gateway.call('keys.setLimit', { id: key.id, limitNano: 1 });
    await gateway.call('keys.topUp', { id: key.id, amountNano: 5 });
    expect(await gateway.call('keys.setLimit', { id: key.id, limitNano: null })).toMatchObject({
      topUp: null,
    });
  });
});

describe('the gateway that is paused', () => {
  test('refuses what is new and what waits, lets go on what runs, and stays paused over a restart', async () => {
    const { secret } = await newKey('dev', '1');
    const gates = answers(10);
    const running = ask(secret, 10_000);
    await upstream.nthRequest(1);
    const waiting = ask(secret, 10_000);
    await own(secret);
    expect(await gateway.call('gateway.pause', { paused: true })).toMatchObject({ paused: true });
    const refused = [await waiting, await ask(secret, 100)];
    for (const { status, text, headers } of refused) {
      expect(status).toBe(402);
      expect(text).toContain('Faregate is paused');
      expect(headers['x-should-retry']).toBe('false');
    }
    gates[0]?.open();
    expect((await running).status).toBe(200);
    gateway = await gateway.restart();
    expect((await ask(secret, 100)).status).toBe(402);
    expect((await own(secret)).status).toBe(200);
    upstream.reset();
    await gateway.call('gateway.pause', { paused: false });
    expect((await ask(secret, 100)).status).toBe(200);
  });

  test('by Stop all has nothing running, waiting or held', async () => {
    const { secret } = await newKey('dev', '1');
    answers(10);
    const all = [ask(secret, 10_000)];
    await upstream.nthRequest(1);
    all.push(ask(secret, 10_000));
    await own(secret);
    const events = await gateway.events();
    expect(await gateway.call('gateway.stopAll', {})).toEqual({ stopped: 2 });
    const stopped = await Promise.all(all);
    expect(stopped.map(({ status }) => status)).toEqual([402, 402]);
    expect(stopped[0]?.text).toContain('all requests were stopped in Faregate');
    await events.first('status-changed', ({ paused, totals }) => paused && totals.running === 0);
    events.close();
    expect((await ask(secret, 100)).text).toContain('Faregate is paused');
  });
});
