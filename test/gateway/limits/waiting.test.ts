/** Money that others hold: requests wait for it in order, are served with what comes back, or are told when to come again. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addDimeProviders, boundedRequest, dialectNames, field } from '../../support/bounded-requests.ts';
import { abandonable, send, type Incoming } from '../../support/client.ts';
import { fakeClock, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { gate, startUpstream, type Gate, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore({ waitMs: 60_000 });
  await addDimeProviders(gateway, upstream);
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const newKey = (limit: string) => gateway.call('keys.create', { name: 'dev', limitNano: usd(limit) });

function ask(secret: string, tokens: number): Promise<Incoming> {
  const { path, body } = boundedRequest('messages');
  return send(`${gateway.url}${path}`, { headers: { 'x-api-key': secret }, body: body(tokens) });
}

/** A request that has been sent to the gateway has been read when a later one is answered. */
const arrived = (secret: string) =>
  send(`${gateway.url}/v1/key`, { method: 'GET', headers: { 'x-api-key': secret } });

/** Answers of `tokens` output tokens, each when its gate opens; the gates in the order of the requests. */
function answers(tokens: number): Gate[] {
  const gates: Gate[] = [];
  upstream.reply(/./, () => {
    const before = gate();
    gates.push(before);
    return {
      before,
      body: { type: 'message', model: 'acme', usage: { input_tokens: 5, output_tokens: tokens } },
    };
  });
  return gates;
}

describe('money that others hold', () => {
  test('is waited for, and the request served when they give it back', async () => {
    const { secret } = await newKey('1');
    const gates = answers(100);
    const first = ask(secret, 10_000);
    await upstream.nthRequest(1);
    const second = ask(secret, 9_000);
    await arrived(secret);
    expect(upstream.requests).toHaveLength(1);
    gates[0]?.open();
    await upstream.nthRequest(2);
    gates[1]?.open();
    expect([(await first).status, (await second).status]).toEqual([200, 200]);
    expect((await gateway.call('keys.list', {}))[0]).toMatchObject({ usageNano: usd('0.02'), heldNano: 0 });
  });

  test('is waited for in the order of arrival, also by what would fit sooner', async () => {
    const { secret } = await newKey('1');
    const gates = answers(1);
    const all = [ask(secret, 10_000)];
    await upstream.nthRequest(1);
    for (const tokens of [9_000, 8_000, 500]) {
      all.push(ask(secret, tokens));
      await arrived(secret);
    }
    gates[0]?.open();
    for (const [index, tokens] of [9_000, 8_000, 500].entries()) {
      const request = await upstream.nthRequest(index + 2);
      expect(field(request.json, 'max_tokens')).toBe(tokens);
      gates[index + 1]?.open();
    }
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  });

  test('is no longer needed when the limit is raised', async () => {
    const { key, secret } = await newKey('1');
    answers(1);
    const all = [ask(secret, 10_000)];
    await upstream.nthRequest(1);
    all.push(ask(secret, 10_000));
    await arrived(secret);
    await gateway.call('keys.setLimit', { id: key.id, limitNano: usd('2') });
    expect(field((await upstream.nthRequest(2)).json, 'max_tokens')).toBe(10_000);
    await gateway.call('keys.delete', { id: key.id });
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([402, 402]);
  });

  test.each([
    ['the window of the limit ends', '2026-11-18T10:59:59.900Z', '2026-11-18T11:00:00Z'],
    // No timer of the gateway was set for this: 55 minutes pass at once.
    ['the machine wakes up in another window', '2026-11-18T10:05:00Z', '2026-11-18T11:00:01Z'],
  ])('is no longer needed when %s', async (_what, began, then) => {
    const clock = fakeClock(began);
    const hourly = await startCore({ waitMs: 60_000, clock });
    await addDimeProviders(hourly, upstream);
    const { key, secret } = await hourly.call('keys.create', {
      name: 'dev',
      recurring: { amountNano: usd('1'), every: 'hour' },
    });
    const { path, body } = boundedRequest('messages');
    const post = (tokens: number) =>
      send(`${hourly.url}${path}`, { headers: { 'x-api-key': secret }, body: body(tokens) });
    const gates = answers(5_000);
    const all = [post(5_000)];
    await upstream.nthRequest(1);
    gates[0]?.open();
    await all[0];
    all.push(post(5_000));
    await upstream.nthRequest(2);
    all.push(post(4_500));
    await send(`${hourly.url}/v1/key`, { method: 'GET', headers: { 'x-api-key': secret } });
    clock.set(then);
    expect(field((await upstream.nthRequest(3)).json, 'max_tokens')).toBe(4_500);
    await hourly.call('keys.delete', { id: key.id });
    await Promise.all(all);
    await hourly.dispose();
  });

  test('keeps nobody from counting tokens', async () => {
    const { key, secret } = await newKey('1');
    answers(1);
    const all = [ask(secret, 10_000)];
    await upstream.nthRequest(1);
    all.push(ask(secret, 10_000));
    await arrived(secret);
    upstream.reply(/count_tokens$/, { body: { input_tokens: 7 } });
    const { body } = boundedRequest('messages');
    const counted = await send(`${gateway.url}/v1/messages/count_tokens`, {
      headers: { 'x-api-key': secret },
      body: body(1),
    });
    expect(counted.json).toEqual({ input_tokens: 7 });
    await gateway.call('keys.delete', { id: key.id });
    await Promise.all(all);
  });

  test('is waited for no longer when Faregate closes, and the answer says so', async () => {
    const { secret } = await newKey('1');
    answers(1);
    const first = ask(secret, 10_000);
    await upstream.nthRequest(1);
    const second = ask(secret, 10_000);
    await arrived(secret);
    await gateway.gateway.close({ graceMs: 0 });
    const refused = await second;
    expect(refused.status).toBe(402);
    expect(refused.headers['x-should-retry']).toBe('false');
    expect(refused.text).toContain('Stopped: Faregate was closed while the request waited for money.');
    await first;
  });

  test('that turns out to be spent is a limit reached for those who waited', async () => {
    const { secret } = await newKey('1');
    const gates = answers(10_000);
    const first = ask(secret, 10_000);
    await upstream.nthRequest(1);
    const second = ask(secret, 10_000);
    await arrived(secret);
    gates[0]?.open();
    expect((await first).status).toBe(200);
    const refused = await second;
    expect(refused.status).toBe(402);
    expect(refused.text).toContain('Usage limit reached');
    expect(upstream.requests).toHaveLength(1);
  });

  test('is left to the next one by a client that hangs up while it waits', async () => {
    const { secret } = await newKey('1');
    const gates = answers(1);
    const first = ask(secret, 10_000);
    await upstream.nthRequest(1);
    const { path, body } = boundedRequest('messages');
    const impatient = abandonable(`${gateway.url}${path}`, {
      headers: { 'x-api-key': secret },
      body: body(9_999),
    });
    await arrived(secret);
    const third = ask(secret, 5_000);
    await arrived(secret);
    impatient.hangUp();
    await impatient.gone;
    await arrived(secret);
    gates[0]?.open();
    expect(field((await upstream.nthRequest(2)).json, 'max_tokens')).toBe(5_000);
    gates[1]?.open();
    expect([(await first).status, (await third).status]).toEqual([200, 200]);
    expect(upstream.requests).toHaveLength(2);
  });

  test('is enough for a request that the key can pay for only when it is alone', async () => {
    const { secret } = await newKey('0.10');
    const gates = answers(1);
    const all = [ask(secret, 1000)];
    await upstream.nthRequest(1);
    all.push(ask(secret, 100_000));
    await arrived(secret);
    gates[0]?.open();
    const clamped = await upstream.nthRequest(2);
    expect(field(clamped.json, 'max_tokens')).toBe(999);
    gates[1]?.open();
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([200, 200]);
  });

  const held: Readonly<Record<string, object>> = {
    chat: { error: { type: 'rate_limit_error', code: 'held_by_others' } },
    responses: { error: { type: 'rate_limit_error', code: 'held_by_others' } },
    messages: { type: 'error', error: { type: 'rate_limit_error' } },
    gemini: { error: { code: 429, status: 'RESOURCE_EXHAUSTED' } },
  };

  test.each(dialectNames)(
    'for longer than the wait is a 429 that says when to try again: %s',
    async (name) => {
      const impatient = await startCore({ waitMs: 1 });
      await addDimeProviders(impatient, upstream);
      const { key, secret } = await impatient.call('keys.create', { name: 'dev', limitNano: usd('1') });
      answers(1);
      const asked = boundedRequest(name);
      const first = send(`${impatient.url}${asked.path}`, {
        headers: { 'x-api-key': secret },
        body: asked.body(10_000),
      });
      await upstream.nthRequest(1);
      const answer = await send(`${impatient.url}${asked.path}`, {
        headers: { 'x-api-key': secret },
        body: asked.body(10_000),
      });
      expect(answer.status).toBe(429);
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      expect(answer.headers).not.toHaveProperty('x-should-retry');
      expect(answer.json).toMatchObject(held[name] ?? {});
      expect(answer.text).toMatch(/is held by 1 running request .*of \$1\.00 spent/);
      await impatient.call('keys.delete', { id: key.id });
      await first;
      await impatient.dispose();
    },
  );
});
