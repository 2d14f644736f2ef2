/** What goes over the wires, looked at below HTTP: names and order of headers, and that silence cuts nothing. */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, createServer, type AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { begin } from '../../support/client.ts';
import { addProvider, startCore, type CoreGateway } from '../../support/gateway.ts';
import { sse } from '../../support/provider-answers.ts';
import { gate, startUpstream } from '../../support/upstream.ts';

/** The HTTP client keeps the timer that it once started, a false one as well as a real one, for all that come after. */
const clientTimers: { reset(): void } = createRequire(import.meta.url)('undici/lib/util/timers.js');

let gateway: CoreGateway;
let closeUpstream: () => Promise<void>;

afterEach(async () => {
  vi.useRealTimers();
  clientTimers.reset();
  await gateway.dispose();
  await closeUpstream();
});

test('an answer that has begun is not cut by hours of silence', async () => {
  const upstream = await startUpstream();
  closeUpstream = () => upstream.close();
  // Before anything sets a timer: the clocks of the gateway's own code and of its HTTP client stand still from here.
  vi.useFakeTimers({
    toFake: ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval', 'performance'],
  });
  clientTimers.reset();
  gateway = await startCore();
  await addProvider(gateway, upstream, 'anthropic', { billing: 'free' });
  const { secret } = await gateway.call('keys.create', { name: 'k' });
  const silence = gate();
  const start = sse({ type: 'message_start', message: { usage: { input_tokens: 1 } } }, 'message_start');
  const stop = sse({ type: 'message_stop' }, 'message_stop');
  upstream.reply(/./, { headers: { 'content-type': 'text/event-stream' }, chunks: [start, silence, stop] });

  const answer = await begin(`${gateway.url}/v1/messages`, {
    headers: { 'x-api-key': secret },
    body: { model: 'acme', max_tokens: 5, messages: [], stream: true },
  });
  expect((await answer.next())?.toString()).toBe(start);
  for (let hours = 0; hours < 6; hours += 1) await vi.advanceTimersByTimeAsync(3_600_000);
  expect(vi.getTimerCount()).toBeLessThan(10);
  silence.open();
  const rest = answer.rest();
  await vi.advanceTimersByTimeAsync(1000);
  const { text, cut } = await rest;
  expect([text, cut]).toEqual([stop, false]);
});

/** A provider that answers every request with these lines; what it was sent, and a key to send it something. */
async function startRawProvider(...lines: string[]): Promise<{ heard: string[]; secret: string }> {
  const heard: string[] = [];
  const server = createServer((socket) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (!text.endsWith('}')) return;
      heard.push(text);
      const answer = '{"usage":{"input_tokens":1,"output_tokens":1}}';
      const head = [...lines, 'Content-Type: application/json', `Content-Length: ${answer.length}`];
      socket.end(`${head.join('\r\n')}\r\n\r\n${answer}`, 'latin1');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closeUpstream = async () => {
    server.close();
    await once(server, 'close');
  };
  const { port } = server.address() as AddressInfo;
  gateway = await startCore();
  await addProvider(gateway, { url: `http://127.0.0.1:${port}` }, 'anthropic', { billing: 'free' });
  const { secret } = await gateway.call('keys.create', { name: 'k' });
  return { heard, secret };
}

test.each([
  ['HTTP/1.1 200 Quite Fine', 200, 'Quite Fine'],
  ["HTTP/1.1 418 I'm a teapot", 418, "I'm a teapot"],
  ['HTTP/1.1 299 ', 299, ''],
  // What is no ASCII cannot be told to be the same bytes: it gets the standard's own.
  ['HTTP/1.1 200 Sch\xf6n', 200, 'OK'],
  ['HTTP/1.1 200 a\x7fb', 200, 'OK'],
])('the words behind a status are the provider’s: %j', async (line, status, words) => {
  const { secret } = await startRawProvider(line);
  const { response, rest } = await begin(`${gateway.url}/v1/messages`, {
    headers: { 'x-api-key': secret },
    body: { model: 'acme', max_tokens: 5, messages: [] },
  });
  await rest();
  expect([response.statusCode, response.statusMessage]).toEqual([status, words]);
});

test('an answer may have as many headers as a request', async () => {
  const long = `X-Long: ${'a'.repeat(40_000)}`;
  const { secret } = await startRawProvider('HTTP/1.1 200 OK', long);
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
    let text = '';
    socket.on('data', (bytes) => (text += bytes.toString('latin1')));
    socket.once('end', () => resolve(text));
    socket.once('error', reject);
    const body = '{"model":"acme","max_tokens":5,"messages":[]}';
    const head = `POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-API-Key: ${secret}`;
    socket.write(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
  expect(answer).toContain(`\r\n${long}\r\n`);
});

test('headers arrive in the order, the spelling and the number they were sent in', async () => {
  const { heard, secret } = await startRawProvider('HTTP/1.1 200 OK', 'X-ODD-name: Kept');
  const lines = [
    'X-Claude-Code-Session-Id: 6f1e',
    'anthropic-beta: one-2025',
    'aNtHrOpIc-VeRsIoN: 2026-10-21',
    'x-unheard-of: a',
    'Session-Id: b',
    'x-codex-turn-metadata: {"a": "b, c"}',
    'Anthropic-Beta: two-2026',
    'x-empty:',
    'User-Agent: claude-cli/2.1.330 (external, cli)',
  ];
  const body = '{"model":"acme","max_tokens":5,"messages":[]}';
  const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
  socket.write(
    [
      'POST /v1/messages?beta=true HTTP/1.1',
      'Host: 127.0.0.1',
      'Connection: close',
      ...lines.slice(0, 3),
      `X-API-Key: ${secret}`,
      ...lines.slice(3),
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      '',
      body,
    ].join('\r\n'),
  );
  let answer = '';
  for await (const part of socket as AsyncIterable<Buffer>) answer += part.toString('latin1');
  expect(answer).toContain('\r\nX-ODD-name: Kept\r\n');

  const [head = '', sent] = (heard[0] ?? '').split('\r\n\r\n');
  const [requestLine, ...headers] = head.split('\r\n');
  expect(requestLine).toBe('POST /v1/messages?beta=true HTTP/1.1');
  expect(sent).toBe(body);
  const first = headers.indexOf(lines[0] ?? '');
  expect(headers.slice(first, first + lines.length).map((line) => line.trim())).toEqual(lines);
  // What else there is: the connection's own, and the provider's credential.
  const others = [...headers.slice(0, first), ...headers.slice(first + lines.length)].map((line) =>
    line.split(':')[0]?.toLowerCase(),
  );
  expect(new Set(others)).toEqual(
    new Set(['accept-encoding', 'connection', 'content-length', 'content-type', 'host', 'x-api-key']),
  );
  expect(others).toHaveLength(6);
});
