/** What goes over the wires, looked at below HTTP: names and order of headers, and that silence cuts nothing. */
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, createServer, type AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { begin } from '../support/client.ts';
import { addProvider, startCore, type CoreGateway } from '../support/gateway.ts';
import { sse } from '../support/provider-answers.ts';
import { gate, startUpstream } from '../support/upstream.ts';

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

test('headers arrive in the order, the spelling and the number they were sent in', async () => {
  const heard: string[] = [];
  const server = createServer((socket) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (!text.endsWith('}')) return;
      heard.push(text);
      const answer = '{"usage":{"input_tokens":1,"output_tokens":1}}';
      socket.end(
        `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-ODD-name: Kept\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`,
      );
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
