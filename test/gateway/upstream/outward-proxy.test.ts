/** Providers behind an HTTP proxy: what goes through it, what does not, and what it means where it refuses. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ProxySettingError, proxySettings } from '../../../electron/gateway/gateway.ts';
import { send } from '../../support/client.ts';
import { addProvider, startCore, usd } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

interface OutwardProxy {
  url: string;
  /** Method and target of each request, CONNECT among them. */
  seen: { line: string; headers: IncomingHttpHeaders; raw: string[] }[];
  server: Server;
}

let upstream: Upstream;
let proxy: OutwardProxy;
let refuses: boolean;

/** Leads every name to the upstream, as a proxy with a name service of its own would. */
async function startProxy(): Promise<OutwardProxy> {
  const seen: OutwardProxy['seen'] = [];
  const to = new URL(upstream.url);
  const server = createServer((request, response) => {
    seen.push({
      line: `${request.method} ${request.url}`,
      headers: request.headers,
      raw: request.rawHeaders,
    });
    response.setHeader('content-type', 'application/json');
    response.end('{"model":"acme","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3}}');
  });
  server.on('connect', (request, client) => {
    seen.push({ line: `CONNECT ${request.url}`, headers: request.headers, raw: request.rawHeaders });
    if (refuses) return void client.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
    const tunnel = connect(Number(to.port), to.hostname, () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      tunnel.pipe(client).pipe(tunnel);
    });
    for (const end of [client, tunnel]) end.on('error', () => end.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
  return { url: `http://127.0.0.1:${address.port}`, seen, server };
}

beforeEach(async () => {
  refuses = false;
  upstream = await startUpstream();
  proxy = await startProxy();
});
afterEach(async () => {
  proxy.server.closeAllConnections();
  proxy.server.close();
  await upstream.close();
});

async function askThrough(environment: Record<string, string>, origin: string) {
  const gateway = await startCore({ proxies: proxySettings(environment) });
  try {
    const { id } = await addProvider(gateway, upstream, 'openai', { baseUrl: `${origin}/v1` });
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
    const { secret } = await gateway.call('keys.create', { name: 'k', limitNano: usd('100') });
    const answer = await send(`${gateway.url}/v1/chat/completions`, {
      headers: { authorization: `Bearer ${secret}`, 'x-twice': ['one', 'two'] },
      body: { model: 'acme', messages: [] },
    });
    const { rows } = await gateway.call('requests.list', {});
    return { answer, row: rows[0] };
  } finally {
    await gateway.dispose();
  }
}

describe('a provider', () => {
  test('elsewhere is asked through the proxy, with its credential and every header of the client', async () => {
    const { answer } = await askThrough({ HTTP_PROXY: proxy.url }, 'http://provider.test');
    expect(answer.status).toBe(200);
    const [sent] = proxy.seen;
    expect(sent?.line).toBe('POST http://provider.test/v1/chat/completions');
    expect(sent?.headers).toMatchObject({
      host: 'provider.test',
      authorization: 'Bearer sk-upstream',
      'x-twice': 'one, two',
    });
    expect(upstream.requests).toEqual([]);
  });

  test('behind TLS is asked through a tunnel that the proxy cannot look into', async () => {
    const { answer, row } = await askThrough({ https_proxy: proxy.url }, 'https://provider.test');
    // What is at the end of the tunnel here does not speak TLS.
    expect(answer.status).toBe(502);
    expect(proxy.seen.map(({ line }) => line)).toEqual(['CONNECT provider.test:443']);
    expect(JSON.stringify(proxy.seen)).not.toContain('sk-upstream');
    expect(row).toMatchObject({ costNano: 0, flags: ['interrupted'] });
  });

  test('on this machine is asked directly', async () => {
    const { answer } = await askThrough({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url }, upstream.url);
    expect(answer.status).toBe(200);
    expect(proxy.seen).toEqual([]);
    expect(upstream.requests).toHaveLength(1);
  });

  test('named in NO_PROXY is asked directly', async () => {
    const { answer } = await askThrough(
      { HTTP_PROXY: proxy.url, NO_PROXY: 'other.test, .invalid' },
      'http://provider.invalid',
    );
    expect(answer.status).toBe(502);
    expect(answer.text).toMatch(/name cannot be resolved/);
    expect(proxy.seen).toEqual([]);
  });

  test('that the proxy refuses to reach costs nothing, and the client is told why', async () => {
    refuses = true;
    const { answer, row } = await askThrough({ HTTPS_PROXY: proxy.url }, 'https://provider.test');
    expect(answer.status).toBe(502);
    expect(answer.text).toMatch(/the proxy of HTTP_PROXY or HTTPS_PROXY refused the connection/);
    expect(row).toMatchObject({ costNano: 0, flags: ['interrupted'] });
  });
});

test.each(['socks5://127.0.0.1:1080', 'http://', 'http://user:hunter2@[bad'])(
  'an address that is none is refused without repeating it: %s',
  (value) => {
    expect(() => proxySettings({ HTTPS_PROXY: value })).toThrow(ProxySettingError);
    expect(() => proxySettings({ HTTPS_PROXY: value })).toThrow(
      /^HTTPS_PROXY is not the address of an HTTP proxy, such as http:\/\/127\.0\.0\.1:8080\. Correct it or unset it/,
    );
  },
);

test('an address without a scheme is one of HTTP, an empty one is none', () => {
  expect(proxySettings({ HTTP_PROXY: '10.0.0.1:3128', HTTPS_PROXY: '' })).toEqual({
    http: 'http://10.0.0.1:3128/',
    https: '',
    except: 'localhost,127.0.0.1,[::1],',
  });
});
