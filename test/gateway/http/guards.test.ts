/** What tries to get round the meter, from the outside: each is refused, and nothing reaches the provider. */
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
/** Without a limit, so that no want of a price stands in for the guard under test. */
let secret: string;
const tally = { tried: 0, survived: 0 };

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  for (const kind of ['openai', 'anthropic', 'gemini'] as const) await addProvider(gateway, upstream, kind);
  ({ secret } = await gateway.call('keys.create', { name: 'guarded' }));
});
beforeEach(() => upstream.reset());
afterEach(({ task }) => {
  tally.tried += 1;
  if (task.result?.state !== 'fail') tally.survived += 1;
});
afterAll(async () => {
  console.log(`Guards: ${tally.tried} tried, ${tally.survived} survived`);
  await gateway.dispose();
  await upstream.close();
});

interface Sent {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

const messages = [{ role: 'user', content: 'Hello' }];
const chat = JSON.stringify({ model: 'gpt-4o', messages, max_tokens: 10 });

/** Not `fetch`, which tidies paths and headers up before they are sent. */
async function send({ method = 'POST', path = '/v1/chat/completions', headers = {}, body = chat }: Sent) {
  const outgoing = request(`${gateway.url}/`, {
    method,
    path,
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json', ...headers },
  });
  outgoing.end(method === 'POST' ? body : undefined);
  const [response] = await once(outgoing, 'response');
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part);
  return { status: Number(response.statusCode), text: Buffer.concat(parts).toString('utf8') };
}

test('the request that the others are bent from is served', async () => {
  expect(await send({})).toMatchObject({ status: 200 });
  expect(upstream.requests.map(({ url }) => url)).toEqual(['/v1/chat/completions']);
});

describe('addresses', () => {
  test.each([
    ['/v1beta/models/..%2F..%2Ffiles:generateContent', 404],
    ['/v1beta/models/a%2F..%2Fb:generateContent', 404],
    ['/v1beta/models/..:generateContent', 404],
    ['/v1beta/models/.:generateContent', 404],
    ['/v1beta/models/%2e%2e/x:generateContent', 404],
    ['/v1beta/models/x%3Fy:generateContent', 404],
    ['/v1beta/models/x%23y:generateContent', 404],
    ['/v1beta/models/gemini-2.5-pro:predictLongRunning', 400],
    ['/v1/responses/resp_1%2F..%2Fx', 404],
    ['/v1/chat%2Fcompletions', 404],
    ['/v1/files', 400],
    ['/v1/batches', 400],
    ['/v1/messages/batches', 400],
    ['/v1/images/generations', 400],
    ['/v1/audio/speech', 400],
    ['/v1/fine_tuning/jobs', 400],
    ['/v1/unheard-of', 404],
    ['/openai/v1/unheard-of', 404],
    ['/api/call', 404],
  ])('POST %s is refused with %d', async (path, status) => {
    expect((await send({ path })).status).toBe(status);
    expect(upstream.requests).toEqual([]);
  });

  test.each(['PUT', 'PATCH', 'DELETE', 'GET'])('%s of a metered address is refused', async (method) => {
    expect((await send({ method })).status).toBe(405);
    expect(upstream.requests).toEqual([]);
  });
});

describe('bodies', () => {
  test.each<[string, string | Buffer]>([
    ['the model twice', `{"model":"gpt-4o-mini","model":"gpt-4o","messages":[]}`],
    ['the model twice, once in disguise', `{"model":"gpt-4o-mini","mod\\u0065l":"gpt-4o","messages":[]}`],
    ['the output bound twice', `{"model":"gpt-4o","messages":[],"max_tokens":1,"max_tokens":100000}`],
    ['the output bound again, for readers that pass over case', chat.replace('{', '{"Max_Tokens":100000,')],
    ['the model again, in capitals', chat.replace('{', '{"MODEL":"gpt-4o-mini",')],
    ['the stream again, with a long s', chat.replace('{', '{"\u017ftream":true,')],
    ['a second object after the first', `${chat}${chat}`],
    ['a trailing comma', chat.replace(/\}$/, ',}')],
    ['an array', `[${chat}]`],
    ['no JSON', 'hello'],
    ['nothing', ''],
  ])('%s is refused', async (_, body) => {
    expect((await send({ body })).status).toBe(400);
    expect(upstream.requests).toEqual([]);
  });

  test.each([
    ['names that are each given twice', Array.from({ length: 200_000 }, (_, at) => `"k${at >> 1}":${at}`)],
    ['more names than any protocol has', Array.from({ length: 1_000_000 }, (_, at) => `"k${at}":${at}`)],
    ['a name given without end', Array.from({ length: 1_000_000 }, (_, at) => `"k":${at}`)],
  ])('%s are refused before they keep anyone waiting', async (_what, members) => {
    const body = chat.replace('{', `{${members.join(',')},`);
    const startedAt = performance.now();
    const { status, text } = await send({ body });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect([status, text]).toEqual([400, expect.stringMatching(/more than 10000 fields/)]);
    expect(upstream.requests).toEqual([]);
  });

  test('what unpacks to more than is taken is refused', async () => {
    const bomb = gzipSync(Buffer.alloc(200_000_000, ' '), { level: 1 });
    const { status } = await send({ body: bomb, headers: { 'content-encoding': 'gzip' } });
    expect(status).toBeGreaterThanOrEqual(400);
    expect(upstream.requests).toEqual([]);
  });

  test.each(['compress', 'gzip, gzip', 'x-unknown'])('the encoding "%s" is refused', async (encoding) => {
    expect((await send({ headers: { 'content-encoding': encoding } })).status).toBe(400);
    expect(upstream.requests).toEqual([]);
  });
});

describe('where a request comes from', () => {
  test.each<[string, Record<string, string>]>([
    ['a foreign name', { host: 'attacker.example' }],
    ['a name that begins like this machine', { host: '127.0.0.1.attacker.example' }],
    ['another origin', { origin: 'https://attacker.example' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }],
    ['the origin of a sandboxed page', { origin: 'null' }],
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a sibling of the site', { 'sec-fetch-site': 'same-site' }],
  ])('%s is refused', async (_, headers) => {
    expect((await send({ headers })).status).toBe(403);
    expect(upstream.requests).toEqual([]);
  });

  test.each(['127.0.0.1', 'localhost', 'localhost:3273', '[::1]'])(
    'the name %s is this machine',
    async (host) => {
      expect((await send({ headers: { host } })).status).toBe(200);
    },
  );

  test('a preflight is refused without the headers that would allow it', async () => {
    const headers = { origin: 'https://attacker.example', 'access-control-request-method': 'POST' };
    const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'OPTIONS', headers });
    expect(response.status).toBe(403);
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('keys', () => {
  test.each<[string, Record<string, string>]>([
    ['none', { authorization: '' }],
    ['one that is too short', { authorization: 'Bearer sk-fg-x' }],
    ['the credential of the provider', { authorization: 'Bearer sk-upstream' }],
    ['another kind of login', { authorization: 'Basic c2stZmc6' }],
  ])('%s is refused', async (_, headers) => {
    expect((await send({ headers })).status).toBe(401);
    expect(upstream.requests).toEqual([]);
  });

  test('a disabled, an expired and a rotated key are refused from that moment', async () => {
    const made = await gateway.call('keys.create', { name: 'short-lived' });
    const withKey = (value: string) => send({ headers: { authorization: `Bearer ${value}` } });
    const { id } = made.key;
    expect((await withKey(made.secret)).status).toBe(200);

    await gateway.call('keys.update', { id, enabled: false });
    expect((await withKey(made.secret)).status).toBe(401);
    await gateway.call('keys.update', { id, enabled: true, expiresAt: '2001-01-01T00:00:00Z' });
    expect((await withKey(made.secret)).status).toBe(401);
    await gateway.call('keys.update', { id, expiresAt: null });
    expect((await withKey(made.secret)).status).toBe(200);

    const { secret: fresh } = await gateway.call('keys.rotate', { id });
    expect((await withKey(made.secret)).status).toBe(401);
    expect((await withKey(fresh)).status).toBe(200);
    await gateway.call('keys.delete', { id });
    expect((await withKey(fresh)).status).toBe(401);
  });

  test('a connection is asked for its key with each request, wherever that stands', async () => {
    const other = await gateway.call('keys.create', { name: 'other' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let connections = 0;
    const nameOf = async (headers: Record<string, string>, query = '') => {
      const asking = request(`${gateway.url}/v1/key${query}`, { agent, headers });
      asking.once('socket', (socket) => socket.once('connect', () => (connections += 1)));
      asking.end();
      const [response] = (await once(asking, 'response')) as [IncomingMessage];
      const { name } = (await json(response)) as { name?: string };
      return response.statusCode === 200 ? name : response.statusCode;
    };
    const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
    expect(await nameOf(bearer(secret))).toBe('guarded');
    expect(await nameOf(bearer(other.secret))).toBe('other');
    expect(await nameOf(bearer(secret))).toBe('guarded');
    expect(await nameOf({})).toBe(401);
    expect(await nameOf(bearer('sk-fg-unknown'))).toBe(401);
    expect(await nameOf({ 'x-api-key': other.secret })).toBe('other');
    expect(await nameOf({ 'x-goog-api-key': secret })).toBe('guarded');
    expect(await nameOf({}, `?key=${other.secret}`)).toBe('other');
    expect(await nameOf({}, `?key=${secret}`)).toBe('guarded');
    expect(await nameOf({})).toBe(401);
    expect(await nameOf(bearer(other.secret))).toBe('other');
    await gateway.call('keys.update', { id: other.key.id, enabled: false });
    expect(await nameOf(bearer(other.secret))).toBe(401);
    expect(connections).toBe(1);
    agent.destroy();
  });

  test('neither the key nor its place in the address reaches the provider', async () => {
    const path = `/v1/chat/completions?trace=1&key=${secret}&flag`;
    const { status } = await send({
      path,
      headers: { authorization: '', 'x-api-key': secret, cookie: 'session=1' },
    });
    expect(status).toBe(200);
    const [sent] = upstream.requests;
    expect(sent?.url).toBe('/v1/chat/completions?trace=1&flag');
    expect(JSON.stringify(sent?.headers)).not.toContain(secret);
    expect(sent?.headers).toMatchObject({ authorization: 'Bearer sk-upstream' });
    expect(sent?.headers).not.toHaveProperty('x-api-key');
    expect(sent?.headers).not.toHaveProperty('cookie');
  });
});

test('more choices than the key can pay for are refused, not served for the price of one', async () => {
  const { secret: poor } = await gateway.call('keys.create', { name: 'poor', limitNano: usd('0.01') });
  const body = JSON.stringify({ model: 'gpt-4o', messages, max_tokens: 10_000, n: 1000 });
  expect((await send({ body, headers: { authorization: `Bearer ${poor}` } })).status).toBe(402);
  expect(upstream.requests).toEqual([]);
});
