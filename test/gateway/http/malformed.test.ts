/** Bytes on a connection that are no request: what is told of them, and that no answer is disturbed by them. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { addProvider, startCore, type CoreGateway } from '../../support/gateway.ts';
import { exchange } from '../../support/raw.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let secret: string;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  await addProvider(gateway, upstream, 'openai');
  ({ secret } = await gateway.call('keys.create', { name: 'sender' }));
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await gateway.dispose();
  await upstream.close();
});

const body = '{"model":"gpt-4o-mini","messages":[],"max_tokens":5,"stream":true}';
const ask = (headers: string[] = [`Content-Length: ${body.length}`], payload = body) =>
  [
    'POST /v1/chat/completions HTTP/1.1',
    'Host: 127.0.0.1',
    `Authorization: Bearer ${secret}`,
    ...headers,
    '',
    payload,
  ].join('\r\n');

describe('what is no request is told so', () => {
  const upgrade =
    'GET /v1/responses HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket';
  test.each<[string, () => string, number, RegExp]>([
    ['another protocol', () => '\x16\x03\x01\x02\0', 400, /not a request of HTTP\/1\.1 \(.*Send/],
    ['headers without end', () => ask([`X-A: ${'b'.repeat(70_000)}`]), 431, /longer than 64 KB.*Send/],
    ['two lengths', () => ask(['Content-Length: 5', 'Content-Length: 6']), 400, /Content-Length.*Send/],
    ['a chunk without a size', () => ask(['Transfer-Encoding: chunked'], 'zz\r\n'), 400, /chunk size.*Send/i],
  ])('%s', async (_what, bytes, status, sentence) => {
    const answer = await exchange(gateway.url, bytes());
    const [head = '', text = ''] = answer.split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(head).toMatch(/connection: close/i);
    // A shape in which the SDKs of every dialect find the sentence.
    expect(JSON.parse(text)).toMatchObject({
      type: 'error',
      error: { type: 'invalid_request_error', message: expect.stringMatching(sentence) },
    });
    expect(upstream.requests).toEqual([]);
  });

  test('fewer bytes than were announced', async () => {
    const socket = connect({
      port: Number(new URL(gateway.url).port),
      host: '127.0.0.1',
      allowHalfOpen: true,
    });
    socket.end(ask(['Content-Length: 5000']));
    let answer = '';
    for await (const part of socket as AsyncIterable<Buffer>) answer += part.toString();
    expect(answer).toMatch(/^HTTP\/1\.1 400 .*ended before the request was complete.*Send/s);
    expect(upstream.requests).toEqual([]);
  });

  test('an expectation that nobody has is passed over', async () => {
    const answer = await exchange(
      gateway.url,
      ask([`Content-Length: ${body.length}`, 'Expect: miracles', 'Connection: close']),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(upstream.requests[0]?.headers).not.toHaveProperty('expect');
  });

  describe.each([
    ['garbage', () => 'GARBAGE\r\n\r\n', '400 Bad Request'],
    ['a body that is broken', () => ask(['Transfer-Encoding: chunked'], 'zz\r\n'), '400 Bad Request'],
    ['an upgrade', () => `${upgrade}\r\n\r\n`, '426 Upgrade Required'],
  ])('and %s behind a request', (_what, next, status) => {
    test.each(['while the answer runs', 'before it begins'])(
      'waits until that is answered: %s',
      async (when) => {
        const begin = gate();
        const end = gate();
        if (when === 'while the answer runs') begin.open();
        const event = 'data: {"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n';
        upstream.reply(/./, () => ({
          headers: { 'content-type': 'text/event-stream' },
          chunks: [begin, event, end, event, 'data: [DONE]\n\n'],
        }));
        const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
        let answer = '';
        socket.on('data', (part) => (answer += part.toString()));
        socket.write(ask());
        if (when === 'while the answer runs') await expect.poll(() => answer).toContain(event);
        else await expect.poll(() => upstream.requests.length).toBe(1);
        socket.write(next());
        // One turn of another request over the same loop: what was written is read by then.
        await exchange(gateway.url, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n');
        begin.open();
        end.open();
        await once(socket, 'close');
        const [, first = '', second = ''] = answer.split('HTTP/1.1 ');
        expect(first).toMatch(/^200 OK/);
        expect(first.split(event)).toHaveLength(3);
        expect(first).toMatch(/data: \[DONE\]\n\n\r\n0\r\n\r\n$/);
        expect(second.startsWith(status)).toBe(true);
        expect(upstream.requests).toHaveLength(1);
      },
    );
  });
});
