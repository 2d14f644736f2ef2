/** A limit per session: what one session of a key may cost, as the clients that name their sessions meet it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addDimeProviders, boundedRequest, dialectNames, field } from '../../support/bounded-requests.ts';
import { send, type Incoming } from '../../support/client.ts';
import { startCore, usd, type CoreGateway } from '../../support/gateway.ts';
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

const newKey = (sessionLimit: string | null, limit: string | null = null) =>
  gateway.call('keys.create', {
    name: 'dev',
    limitNano: limit === null ? null : usd(limit),
    sessionLimitNano: sessionLimit === null ? null : usd(sessionLimit),
  });

/** One that costs what it allows, ten cents a thousand tokens; a subagent is named as opencode names its own. */
function ask(
  secret: string,
  session: string | null,
  tokens: number,
  { dialect = 'messages', parent = null }: { dialect?: string; parent?: string | null } = {},
): Promise<Incoming> {
  const { path, body } = boundedRequest(dialect);
  const headers = {
    'x-api-key': secret,
    ...(session === null ? {} : { 'x-session-id': session }),
    ...(parent === null ? {} : { 'x-parent-session-id': parent }),
  };
  return send(`${gateway.url}${path}`, { headers, body: body(tokens) });
}

/** Asked, and answered with all the tokens it allows. */
async function spend(...[secret, session, tokens, more]: Parameters<typeof ask>): Promise<Incoming> {
  upstream.answers({ inputTokens: 0, outputTokens: tokens, text: 'x' });
  return ask(secret, session, tokens, more);
}

const arrived = (secret: string) =>
  send(`${gateway.url}/v1/key`, { method: 'GET', headers: { 'x-api-key': secret } });

/** Answers of `tokens` output tokens, each when its gate opens; the gates in the order of the requests. */
function answers(tokens: number): Gate[] {
  const gates: Gate[] = [];
  upstream.reply(/./, () => {
    const before = gate();
    gates.push(before);
    const usage = { input_tokens: 0, output_tokens: tokens };
    return { before, body: { type: 'message', model: 'acme', usage } };
  });
  return gates;
}

async function costBySession(): Promise<Record<string, number>> {
  const { sessions } = await gateway.call('usage.sessions', {});
  return Object.fromEntries(sessions.map(({ session, costNano }) => [session, costNano]));
}

describe('a hundred requests of ten cents in each of two sessions that may cost a dollar', () => {
  test('use up a dollar each and no more, and leave those of no session alone', async () => {
    const { secret } = await newKey('1');
    upstream.answers({ inputTokens: 0, outputTokens: 1000, text: 'Hello' });
    const all = await Promise.all(
      ['one', 'two'].flatMap((session) =>
        Array.from({ length: 100 }, (_, index) =>
          // Half of them are of a subagent, which spends its session's money.
          index % 2 === 0
            ? ask(secret, session, 1000)
            : ask(secret, `agent-of-${session}`, 1000, { parent: session }),
        ),
      ),
    );
    expect(all.filter(({ status }) => status === 200)).toHaveLength(20);
    expect(all.filter(({ status }) => status === 402)).toHaveLength(180);
    expect(upstream.requests).toHaveLength(20);
    expect(await costBySession()).toEqual({ one: usd('1'), two: usd('1') });
    const others = await Promise.all([ask(secret, 'three', 1000), ask(secret, null, 1000)]);
    expect(others.map(({ status }) => status)).toEqual([200, 200]);
    expect((await gateway.call('keys.list', {}))[0]).toMatchObject({
      usageNano: usd('2.2'),
      heldNano: 0,
      sessionLimitNano: usd('1'),
    });
  });
});

describe('a session that has reached its limit', () => {
  test.each(dialectNames)('is refused with what to do, in the form of %s', async (dialect) => {
    const { secret } = await newKey('0.5');
    expect((await spend(secret, 'one', 5_000, { dialect })).status).toBe(200);
    const refused = await spend(secret, 'one', 100, { dialect });
    expect(refused.status).toBe(402);
    expect(refused.headers['x-should-retry']).toBe('false');
    expect(field(refused.json, 'error', 'message')).toBe(
      'Usage limit reached for this session of key "dev" (limit per session): $0.50 of $0.50 spent. Raise the limit in Faregate, API Keys, Limit per session, or go on in a new session.',
    );
    expect((await spend(secret, 'two', 100, { dialect })).status).toBe(200);
  });

  test('is served again once its limit is raised or taken away, and refused again where it comes back', async () => {
    const { secret, key } = await newKey('0.5');
    await spend(secret, 'one', 5_000);
    const limit = (amount: string | null) =>
      gateway.call('keys.update', {
        id: key.id,
        sessionLimitNano: amount === null ? null : usd(amount),
      });
    expect(await limit('0.6')).toMatchObject({ sessionLimitNano: usd('0.6') });
    expect((await spend(secret, 'one', 1_000)).status).toBe(200);
    expect((await spend(secret, 'one', 1_000)).status).toBe(402);
    await limit(null);
    expect((await spend(secret, 'one', 1_000)).status).toBe(200);
    await limit('0.75');
    expect((await spend(secret, 'one', 500)).status).toBe(200);
    expect((await spend(secret, 'one', 500)).text).toContain('$0.75 of $0.75 spent');
  });

  test('is the same session after a restart, whether or not its rows are in the sums', async () => {
    const { secret } = await newKey('0.5');
    await spend(secret, 'one', 3_000);
    await gateway.call('usage.sessions', {});
    await spend(secret, 'one', 1_000);
    gateway = await gateway.restart();
    expect((await spend(secret, 'one', 5_000)).headers['x-faregate-clamped']).toBe('1000');
    gateway = await gateway.restart();
    expect((await spend(secret, 'one', 100)).status).toBe(402);
  });

  test('gets room by a correction of what it cost', async () => {
    const { secret } = await newKey('0.5');
    await spend(secret, 'one', 5_000);
    const { rows } = await gateway.call('requests.list', {});
    const change = { id: rows[0]?.id ?? 0, costNano: usd('0.4'), reason: 'as billed' };
    await gateway.call('requests.correct', change);
    expect((await spend(secret, 'one', 1_000)).status).toBe(200);
    expect((await spend(secret, 'one', 1_000)).status).toBe(402);
  });
});

test('requests of another session pass by those that wait for their own session', async () => {
  const { secret } = await newKey('1', '50');
  const gates = answers(100);
  const first = ask(secret, 'one', 10_000);
  await upstream.nthRequest(1);
  // Two wait: the session's dollar is held by the first.
  const waiting = [ask(secret, 'one', 9_000), ask(secret, 'one', 8_000)];
  await arrived(secret);
  expect(upstream.requests).toHaveLength(1);
  const others = [ask(secret, 'two', 7_000), ask(secret, null, 6_000)];
  expect(field((await upstream.nthRequest(2)).json, 'max_tokens')).toBe(7_000);
  expect(field((await upstream.nthRequest(3)).json, 'max_tokens')).toBe(6_000);
  gates[0]?.open();
  expect(field((await upstream.nthRequest(4)).json, 'max_tokens')).toBe(9_000);
  for (const each of gates.slice(1)) each.open();
  expect(field((await upstream.nthRequest(5)).json, 'max_tokens')).toBe(8_000);
  gates[4]?.open();
  const all = await Promise.all([first, ...waiting, ...others]);
  expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
});

test('a model without a price is refused where the session has a limit', async () => {
  const { secret } = await newKey('1');
  const unknown = (session: Record<string, string>) =>
    send(`${gateway.url}/anthropic/v1/messages`, {
      headers: { 'x-api-key': secret, ...session },
      body: { model: 'nobody-knows', messages: [], max_tokens: 5 },
    });
  const refused = await unknown({ 'x-session-id': 'one' });
  expect(refused.status).toBe(400);
  expect(refused.text).toContain('limit per session');
  expect((await unknown({})).status).toBe(200);
});
