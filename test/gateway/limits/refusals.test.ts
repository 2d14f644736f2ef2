/** Money that is spent or short, prices and keys that are missing: answers that are never mixed up, and nothing is sent. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addDimeProviders, boundedRequest, dialectNames } from '../../support/bounded-requests.ts';
import { send, type Incoming } from '../../support/client.ts';
import { addProvider, fakeClock, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
const clock = fakeClock('2026-11-18T10:30:00Z');

beforeEach(async () => {
  upstream = await startUpstream();
  clock.set('2026-11-18T10:30:00Z');
  gateway = await startCore({ waitMs: 60_000, clock });
  await addDimeProviders(gateway, upstream);
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const newKey = (limit: string | null) =>
  gateway.call('keys.create', { name: 'dev', limitNano: limit === null ? null : usd(limit) });

function ask(
  secret: string,
  tokens: number,
  name = 'messages',
  headers: Record<string, string> = {},
): Promise<Incoming> {
  const { path, body } = boundedRequest(name);
  return send(`${gateway.url}${path}`, { headers: { 'x-api-key': secret, ...headers }, body: body(tokens) });
}

/** What the caller is told, in the place where the SDKs of the dialect look for it. */
const shapes: Readonly<Record<string, (message: unknown, code: string) => object>> = {
  chat: (message, code) => ({ error: { message, type: 'invalid_request_error', param: null, code } }),
  responses: (message, code) => ({ error: { message, type: 'invalid_request_error', param: null, code } }),
  messages: (message) => ({ type: 'error', error: { type: 'billing_error', message } }),
  gemini: (message) => ({ error: { code: 402, message, status: 'FAILED_PRECONDITION' } }),
};

describe('a limit that is reached', () => {
  test.each(dialectNames)('is a 402 that clients show and do not try again: %s', async (name) => {
    const { secret } = await newKey('0.50');
    upstream.answers({ inputTokens: 1, outputTokens: 5000, text: 'x' });
    expect((await ask(secret, 5000)).status).toBe(200);
    const answer = await ask(secret, 10, name);
    expect(answer.status).toBe(402);
    expect(answer.headers['x-should-retry']).toBe('false');
    expect(answer.headers).not.toHaveProperty('retry-after');
    const message =
      'Usage limit reached for key "dev": $0.50 of $0.50 spent. Raise the limit in Faregate, API Keys.';
    expect(answer.json).toMatchObject(shapes[name]?.(message, 'insufficient_quota') ?? {});
    expect(upstream.requests).toHaveLength(1);
  });

  test.each([
    ['by its originator', { originator: 'codex_exec' }],
    ['by its user agent', { 'user-agent': 'codex_cli_rs/0.169.0' }],
  ])('is told to Codex, known %s, in the one form that it shows', async (_how, headers) => {
    const { secret } = await newKey('0');
    const answer = await ask(secret, 10, 'responses', headers);
    expect(answer.status).toBe(429);
    expect(answer.json).toMatchObject({ error: { type: 'usage_limit_reached', code: 'insufficient_quota' } });
    expect(answer.headers['x-codex-promo-message']).toMatch(
      /^Usage limit reached for key "dev": \$0\.00 of \$0\.00 spent/,
    );
    expect(answer.headers).not.toHaveProperty('retry-after');
    expect((await ask(secret, 10, 'chat', headers)).status).toBe(402);
  });

  test('of zero refuses everything, what is free too', async () => {
    const { secret } = await newKey('0');
    await addProvider(gateway, upstream, 'ollama');
    expect((await ask(secret, 1)).status).toBe(402);
    const free = await send(`${gateway.url}/ollama/v1/chat/completions`, {
      headers: { 'x-api-key': secret },
      body: { model: 'm', messages: [] },
    });
    expect(free.status).toBe(402);
    expect(upstream.requests).toHaveLength(0);
  });

  test('says when a recurring one resets, and serves again then', async () => {
    const { secret } = await gateway.call('keys.create', {
      name: 'dev',
      recurring: { amountNano: usd('0.10'), every: 'hour' },
    });
    upstream.answers({ inputTokens: 1, outputTokens: 1000, text: 'x' });
    expect((await ask(secret, 1000)).status).toBe(200);
    const refused = await ask(secret, 1);
    expect(refused.status).toBe(402);
    const resetsAt = new Date('2026-11-18T11:00:00Z').toLocaleString(undefined, {
      dateStyle: 'medium',
      timeStyle: 'short',
    });
    expect(refused.text).toContain(`$0.10 of $0.10 spent this hour. It resets at ${resetsAt}.`);
    clock.set('2026-11-18T11:00:00Z');
    expect((await ask(secret, 1000)).status).toBe(200);
  });

  test('is no obstacle once it is raised or taken away', async () => {
    const { key, secret } = await newKey('0');
    expect((await ask(secret, 1)).status).toBe(402);
    await gateway.call('keys.setLimit', { id: key.id, limitNano: usd('1') });
    expect((await ask(secret, 1)).status).toBe(200);
    await gateway.call('keys.setLimit', { id: key.id, limitNano: 0 });
    expect((await ask(secret, 1)).status).toBe(402);
    await gateway.call('keys.setLimit', { id: key.id, limitNano: null });
    expect((await ask(secret, 1)).status).toBe(200);
  });
});

describe('a request that is larger than what is left', () => {
  test.each(dialectNames)('is clamped to what the key can pay for: %s', async (name) => {
    const { secret } = await newKey('0.05');
    const answer = await ask(secret, 100_000, name);
    expect(answer.status).toBe(200);
    expect(boundedRequest(name).tokens(upstream.requests[0]?.json)).toBe(500);
    expect(answer.headers['x-faregate-clamped']).toBe('500');
    const { rows } = await gateway.call('requests.list', {});
    expect(rows).toMatchObject([{ flags: ['clamped'], outputTokens: 5, costNano: usd('0.0005') }]);
  });

  test('and sets no bound is given one', async () => {
    const { secret } = await newKey('0.05');
    await send(`${gateway.url}/v1/chat/completions`, {
      headers: { 'x-api-key': secret },
      body: { model: 'acme', messages: [] },
    });
    expect(upstream.requests[0]?.json).toEqual({ model: 'acme', messages: [], max_completion_tokens: 500 });
  });

  test.each(dialectNames)(
    'by any number is clamped too, and for a key without a limit sent as it is: %s',
    async (name) => {
      const { secret } = await newKey('0.05');
      const { secret: unlimited } = await newKey(null);
      for (const tokens of [1e12, Number.MAX_SAFE_INTEGER, 1e300]) {
        expect((await ask(secret, tokens, name)).headers['x-faregate-clamped']).toMatch(/^4\d\d$|^500$/);
        const [first, second] = await Promise.all([
          ask(unlimited, tokens, name),
          ask(unlimited, tokens, name),
        ]);
        expect([first.status, second.status]).toEqual([200, 200]);
      }
      const listed = await gateway.call('keys.list', {});
      expect(listed.map(({ heldNano, requests }) => [heldNano, requests])).toEqual([
        [0, 3],
        [0, 6],
      ]);
    },
  );

  test('in the number of its choices is clamped or refused, not a fault', async () => {
    const { secret } = await newKey('0.05');
    const body = { model: 'acme', messages: [], n: 1e15, max_tokens: 1000 };
    const answer = await send(`${gateway.url}/v1/chat/completions`, {
      headers: { 'x-api-key': secret },
      body,
    });
    expect(answer.status).toBe(402);
    expect(answer.text).toContain('Not enough left');
  });

  test('with several choices is clamped so that all of them fit', async () => {
    const { secret } = await newKey('0.05');
    const body = { model: 'acme', messages: [], n: 4, max_tokens: 1000 };
    await send(`${gateway.url}/v1/chat/completions`, { headers: { 'x-api-key': secret }, body });
    expect(upstream.requests[0]?.json).toMatchObject({ n: 4, max_tokens: 125 });
  });

  test('is sent as it is where it fits exactly', async () => {
    const { secret } = await newKey('0.05');
    expect((await ask(secret, 500)).headers).not.toHaveProperty('x-faregate-clamped');
    expect(upstream.requests[0]?.body.toString()).toBe(JSON.stringify(boundedRequest('messages').body(500)));
  });

  test.each(dialectNames)('by far is refused with what it needs and what is left: %s', async (name) => {
    const { secret } = await newKey('0.0015');
    const answer = await ask(secret, 100_000, name);
    expect(answer.status).toBe(402);
    const message: unknown = expect.stringMatching(
      /^Not enough left on key "dev" for this request: it needs at least \$0\.001600 and \$0\.001500 is left \(\$0\.00 of \$0\.0015 spent\)\. Raise the limit/,
    );
    expect(answer.json).toMatchObject(shapes[name]?.(message, 'insufficient_quota') ?? {});
    expect(answer.headers['x-should-retry']).toBe('false');
    expect(upstream.requests).toHaveLength(0);
  });
});

describe('a request that lets a router choose among models', () => {
  const routed = (models: string[]) => ({ model: 'cheap', models, messages: [], max_tokens: 1000 });
  let secret: string;

  beforeEach(async () => {
    const { id } = await addProvider(gateway, upstream, 'openrouter');
    await gateway.call('prices.set', { providerId: id, model: 'cheap', input: '0', output: '1' });
    await gateway.call('prices.set', { providerId: id, model: 'dear', input: '0', output: '100' });
    ({ secret } = await newKey('0.05'));
  });
  const askRouter = (body: object) =>
    send(`${gateway.url}/openrouter/v1/chat/completions`, { headers: { 'x-api-key': secret }, body });

  test('is held, and clamped, for the dearest of them', async () => {
    expect((await askRouter(routed(['dear']))).status).toBe(200);
    expect(upstream.requests[0]?.json).toEqual({ ...routed(['dear']), max_tokens: 500 });
    expect((await askRouter(routed(['cheap']))).headers).not.toHaveProperty('x-faregate-clamped');
  });

  test('is refused to a key with a limit where one of them has no price', async () => {
    const answer = await askRouter(routed(['cheap', 'unheard-of']));
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('unheard-of');
    expect(upstream.requests).toHaveLength(0);
  });
});

describe('a model without a price', () => {
  test.each(dialectNames)('is refused to a key with a limit, with how to set one: %s', async (name) => {
    const { secret } = await newKey('1');
    const { path, body } = boundedRequest(name);
    const unpriced = JSON.parse(JSON.stringify(body(5)).replace('acme', 'unheard-of-model')) as object;
    const answer = await send(`${gateway.url}${path.replace('acme', 'unheard-of-model')}`, {
      headers: { 'x-api-key': secret },
      body: unpriced,
    });
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(
      /unheard-of-model.*has no price, and key .{1,2}dev.{1,2} has a usage limit\. Set one: in Faregate open Prices, Without a price, Set a price for unheard-of-model; or run: faregate prices set \S+ unheard-of-model /,
    );
    expect(answer.headers['x-should-retry']).toBe('false');
    expect(upstream.requests).toHaveLength(0);
  });

  test('is refused to a key with a recurring limit alone, too', async () => {
    const { secret } = await gateway.call('keys.create', {
      name: 'dev',
      recurring: { amountNano: usd('1'), every: 'day' },
    });
    const answer = await send(`${gateway.url}/v1/messages`, {
      headers: { 'x-api-key': secret },
      body: { model: 'unheard-of-model', messages: [], max_tokens: 5 },
    });
    expect(answer.status).toBe(400);
  });

  test('is served to a key without a limit, and the row says that its cost is unknown', async () => {
    const { secret } = await newKey(null);
    const answer = await send(`${gateway.url}/v1/messages`, {
      headers: { 'x-api-key': secret },
      body: { model: 'unheard-of-model', messages: [], max_tokens: 5 },
    });
    expect(answer.status).toBe(200);
    const { rows } = await gateway.call('requests.list', {});
    expect(rows).toMatchObject([{ costNano: null, flags: ['unpriced'], inputTokens: 12, outputTokens: 5 }]);
    expect((await gateway.call('keys.list', {}))[0]).toMatchObject({
      usageNano: 0,
      unpricedRequests: 1,
      requests: 1,
    });
  });

  test('is served to a key with a limit by a free provider, for an explicit nothing', async () => {
    const { secret } = await newKey('0.01');
    await addProvider(gateway, upstream, 'ollama');
    const path = '/ollama/v1/chat/completions';
    const answer = await send(`${gateway.url}${path}`, {
      headers: { 'x-api-key': secret },
      body: { model: 'any', messages: [] },
    });
    expect(answer.status).toBe(200);
    const { rows } = await gateway.call('requests.list', {});
    expect(rows).toMatchObject([{ costNano: 0, flags: [], priceSource: 'free', outputTokens: 5 }]);
  });
});

describe('a key that is none', () => {
  const types: Readonly<Record<string, object>> = {
    chat: { error: { code: 'invalid_api_key' } },
    responses: { error: { code: 'invalid_api_key' } },
    messages: { error: { type: 'authentication_error' } },
    gemini: { error: { code: 401, status: 'UNAUTHENTICATED' } },
  };

  test.each(dialectNames)('is a 401 that is not tried again: %s', async (name) => {
    const { key, secret } = await newKey(null);
    await gateway.call('keys.update', { id: key.id, enabled: false });
    const { key: old, secret: expired } = await newKey(null);
    await gateway.call('keys.update', { id: old.id, expiresAt: '2026-11-18T10:30:00Z' });
    const tries: [string, RegExp][] = [
      ['sk-fg-nobody', /not a gateway key of Faregate/],
      [secret, /is disabled\. Enable it/],
      [expired, /has expired\. Change its expiry/],
      ['', /No gateway key was sent/],
    ];
    for (const [given, message] of tries) {
      const answer = await ask(given, 5, name);
      expect(answer.status).toBe(401);
      expect(answer.headers['x-should-retry']).toBe('false');
      expect(answer.json).toMatchObject(types[name] ?? {});
      expect(answer.text).toMatch(message);
    }
    expect(upstream.requests).toHaveLength(0);
  });

  test('works again once it is enabled, and until the moment it expires', async () => {
    const { key, secret } = await newKey(null);
    await gateway.call('keys.update', { id: key.id, enabled: false });
    await gateway.call('keys.update', { id: key.id, enabled: true, expiresAt: '2026-11-18T10:31:00Z' });
    expect((await ask(secret, 5)).status).toBe(200);
    clock.set('2026-11-18T10:30:59.999Z');
    expect((await ask(secret, 5)).status).toBe(200);
    clock.set('2026-11-18T10:31:00Z');
    expect((await ask(secret, 5)).status).toBe(401);
  });

  test('is the old secret of a key that was replaced', async () => {
    const { key, secret } = await newKey(null);
    const { secret: fresh } = await gateway.call('keys.rotate', { id: key.id });
    expect([(await ask(secret, 5)).status, (await ask(fresh, 5)).status]).toEqual([401, 200]);
  });
});
