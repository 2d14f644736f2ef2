import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MAX_EXPORT_CHARACTERS, type Answer } from '#shared/contract.ts';
import type { EventListener } from '../../../electron/gateway/gateway.ts';
import { loadAssets, type Assets } from '../../../electron/gateway/http/assets.ts';
import { createWeb, type Web } from '../../../electron/gateway/http/web.ts';

let folder: string;
let assets: Assets;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'faregate-web-'));
  const renderer = path.join(folder, 'renderer');
  mkdirSync(path.join(renderer, 'assets'), { recursive: true });
  writeFileSync(path.join(renderer, 'index.html'), '<meta nonce="__CSP_NONCE__"><p>page</p>');
  writeFileSync(path.join(renderer, 'assets', 'index-abc123.js'), 'export {};');
  writeFileSync(path.join(folder, 'secret.txt'), 'not for the page');
  assets = loadAssets(renderer);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const calls: unknown[] = [];
const listeners = new Set<EventListener>();
const gateway = {
  async dispatch(name: unknown, input: unknown): Promise<Answer<unknown>> {
    calls.push([name, input]);
    return { ok: true, value: { echoed: input } };
  },
  subscribe(listener: EventListener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

let web: Web;
let port: number;
beforeEach(async () => {
  calls.length = 0;
  web = await createWeb({ gateway, assets });
  port = Number(new URL(web.apiUrl).port);
});
afterEach(() => web.close());

/** Plain node:http: unlike fetch it sends whichever Host, Origin and Sec-Fetch headers it is given. */
async function send(
  method: string,
  url: string,
  headers: Record<string, string> = {},
  body?: string | Buffer,
) {
  const sent = request({ host: '127.0.0.1', port, method, path: url, headers });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

const authorized = () => ({ authorization: `Bearer ${web.token}` });
const json = { 'content-type': 'application/json' };
const aCall = JSON.stringify({ name: 'status.get', input: { a: 1 } });

describe('the contract', () => {
  test('answers a call with the envelope of the gateway', async () => {
    const answer = await send('POST', '/api/call', { ...authorized(), ...json }, aCall);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toEqual({ ok: true, value: { echoed: { a: 1 } } });
    expect(calls).toEqual([['status.get', { a: 1 }]]);
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  test('has a new token at every start, in the fragment of the dashboard address alone', async () => {
    const other = await createWeb({ gateway, assets });
    await other.close();
    expect(other.token).not.toBe(web.token);
    expect(Buffer.from(web.token, 'base64url')).toHaveLength(32);
    expect(web.dashboardUrl).toBe(`http://127.0.0.1:${port}/#token=${web.token}`);
    expect(web.apiUrl).not.toContain(web.token);
  });

  test.each<[string, () => Record<string, string>]>([
    ['no token', () => ({})],
    ['a wrong token', () => ({ authorization: `Bearer ${'x'.repeat(43)}` })],
    ['a gateway key', () => ({ authorization: `Bearer sk-fg-${'a'.repeat(43)}` })],
    ['the token in another scheme', () => ({ authorization: `Basic ${web.token}` })],
  ])('refuses %s', async (_what, headers) => {
    for (const [method, url] of [
      ['POST', '/api/call'],
      ['GET', '/api/events'],
      ['GET', `/api/events?token=${web.token}`],
    ] as const) {
      const answer = await send(
        method,
        url,
        { ...json, ...headers() },
        method === 'POST' ? aCall : undefined,
      );
      expect(answer.status).toBe(401);
      expect(JSON.parse(answer.body)).toMatchObject({ ok: false, error: { code: 'unauthorized' } });
    }
    expect(calls).toEqual([]);
  });

  test.each<[string, Record<string, string>]>([
    ['another host', { host: 'evil.example' }],
    ['another host on our port', { host: 'evil.example:PORT' }],
    ['our address without the port', { host: '127.0.0.1' }],
    ['another origin', { origin: 'https://evil.example' }],
    ['the origin of a sandboxed frame', { origin: 'null' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }],
    ['a fetch across sites', { 'sec-fetch-site': 'cross-site' }],
    ['a fetch of a sibling site', { 'sec-fetch-site': 'same-site' }],
  ])('refuses %s even with the token', async (_what, headers) => {
    const filled = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('PORT', String(port))]),
    );
    const answer = await send('POST', '/api/call', { ...authorized(), ...json, ...filled }, aCall);
    expect(answer.status).toBe(403);
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
    expect(calls).toEqual([]);
  });

  test.each(['127.0.0.1', 'localhost', '[::1]'])('serves its own page at %s', async (name) => {
    const own = {
      host: `${name}:${port}`,
      origin: `http://${name}:${port}`,
      'sec-fetch-site': 'same-origin',
    };
    expect((await send('POST', '/api/call', { ...authorized(), ...json, ...own }, aCall)).status).toBe(200);
  });

  test('serves its own page at the other end of a tunnel, whose port is another one', async () => {
    const tunnelled = {
      host: 'localhost:18080',
      origin: 'http://localhost:18080',
      'sec-fetch-site': 'same-origin',
    };
    const answer = await send('POST', '/api/call', { ...authorized(), ...json, ...tunnelled }, aCall);
    expect(answer.status).toBe(200);
    const other = { ...tunnelled, origin: 'http://localhost:18081', 'sec-fetch-site': 'same-site' };
    expect((await send('POST', '/api/call', { ...authorized(), ...json, ...other }, aCall)).status).toBe(403);
  });

  test('answers no preflight', async () => {
    const answer = await send('OPTIONS', '/api/call', {
      origin: 'https://evil.example',
      'access-control-request-method': 'POST',
    });
    expect(answer.status).toBe(403);
    expect((await send('OPTIONS', '/api/call')).status).toBe(405);
  });

  test.each<[string, number, string, string]>([
    ['a form', 415, 'application/x-www-form-urlencoded', 'name=status.get'],
    ['JSON sent as text', 415, 'text/plain', aCall],
    ['no JSON', 400, 'application/json', '{"name":'],
    ['no object', 400, 'application/json', '"status.get"'],
  ])('refuses %s', async (_what, status, type, body) => {
    const answer = await send('POST', '/api/call', { ...authorized(), 'content-type': type }, body);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ ok: false, error: { code: 'invalid_input' } });
    expect(calls).toEqual([]);
  });

  test('refuses a body that says it is too large before it is sent', async () => {
    const length = String(2 * MAX_EXPORT_CHARACTERS + 1);
    const answer = await send(
      'POST',
      '/api/call',
      { ...authorized(), ...json, 'content-length': length },
      '{',
    );
    expect(answer.status).toBe(413);
    expect(calls).toEqual([]);
  });

  test('cuts a body without a length once it is too large', async () => {
    const sent = request({
      host: '127.0.0.1',
      port,
      method: 'POST',
      path: '/api/call',
      headers: { ...authorized(), ...json },
    });
    sent.on('error', () => undefined);
    // The server goes away in the middle of it.
    sent.on('socket', (socket) => socket.on('error', () => undefined));
    sent.write(Buffer.alloc(2 * MAX_EXPORT_CHARACTERS + 1, 0x20));
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(413);
    expect(response.headers.connection).toBe('close');
    sent.destroy();
  });

  test('takes only the verb a path is served to', async () => {
    const get = await send('GET', '/api/call', authorized());
    expect([get.status, get.headers.allow]).toEqual([405, 'POST']);
    const put = await send('PUT', '/api/call', authorized());
    expect([put.status, put.headers.allow]).toEqual([405, 'GET, POST']);
  });
});

describe('events', () => {
  async function openEvents() {
    const sent = request({ host: '127.0.0.1', port, path: '/api/events', headers: authorized() });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return response;
  }

  const tell = (keyCount: number) => {
    const removed = Array.from({ length: keyCount }, (_, index) => `key-${index}`);
    for (const listener of listeners) listener({ name: 'keys-changed', data: { rows: [], removed } });
  };

  test('arrive by name, as JSON', async () => {
    const events = await openEvents();
    expect(events.headers['content-type']).toBe('text/event-stream');
    let seen = '';
    events.setEncoding('utf8').on('data', (chunk: string) => (seen += chunk));
    await expect.poll(() => seen).toBe(': open\n\n');
    tell(1);
    await expect
      .poll(() => seen)
      .toBe(': open\n\nevent: keys-changed\ndata: {"rows":[],"removed":["key-0"]}\n\n');
    events.destroy();
  });

  test('end when the gateway is closed, and nothing stays subscribed', async () => {
    const events = await openEvents();
    const ended = once(events.resume(), 'end');
    await web.close();
    await ended;
    expect(listeners.size).toBe(0);
  });

  test('a reader that does not read is dropped, the others are not held up', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `GET /api/events HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: Bearer ${web.token}\r\n\r\n`,
    );
    await once(socket, 'readable');
    const reader = await openEvents();
    let bytes = 0;
    reader.on('data', (chunk: Buffer) => (bytes += chunk.length));
    let dropped = false;
    socket.once('close', () => (dropped = true));
    // Far more than the system's own buffers for a connection take up.
    for (let round = 0; round < 200; round += 1) {
      tell(20_000);
      await new Promise(setImmediate);
    }
    const sent = 200 * 20_000 * 10;
    await expect.poll(() => bytes).toBeGreaterThan(sent);
    socket.resume();
    await expect.poll(() => dropped).toBe(true);
    reader.destroy();
  });
});

describe('the page', () => {
  test('comes under a policy that lets nothing in from outside, with a new nonce each time', async () => {
    const [first, second] = [await send('GET', '/'), await send('GET', '/index.html')];
    const nonceOf = (page: { body: string }) => /nonce="([^"]+)"/.exec(page.body)?.[1];
    expect(nonceOf(first)).toMatch(/^[A-Za-z0-9+/]{22}==$/);
    expect(nonceOf(first)).not.toBe(nonceOf(second));
    const policy = String(first.headers['content-security-policy']).split('; ');
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain(`style-src 'self' 'nonce-${nonceOf(first)}'`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy.join()).not.toContain('unsafe');
    expect(first.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
  });

  test('serves scripts with their type', async () => {
    const script = await send('GET', '/assets/index-abc123.js');
    expect([script.status, script.headers['content-type'], script.body]).toEqual([
      200,
      'text/javascript; charset=utf-8',
      'export {};',
    ]);
  });

  test.each([
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/assets/..%5c..%5csecret.txt',
    '/%00',
    '/%',
    '//etc/passwd',
    '/assets',
    '/constructor',
  ])('has nothing at %s', async (url) => {
    const answer = await send('GET', url);
    expect(answer.status).toBe(404);
    expect(answer.body).not.toContain('not for the page');
  });

  test('is not there without a dashboard, while the contract is', async () => {
    const bare = await createWeb({ gateway, assets: null });
    expect(bare.dashboardUrl).toBeNull();
    expect((await fetch(new URL('/', bare.apiUrl))).status).toBe(404);
    const answer = await fetch(`${bare.apiUrl}/call`, {
      method: 'POST',
      headers: { ...json, authorization: `Bearer ${bare.token}` },
      body: aCall,
    });
    expect(answer.status).toBe(200);
    await bare.close();
  });
});

test('a port that is taken is told as such', async () => {
  await expect(createWeb({ gateway, assets: null, port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
