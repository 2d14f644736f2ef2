/**
 * One request made to look like two, or like another one, to a reader that is less strict. Each is sent as bare bytes;
 * behind it, where it would be smuggled, stands a request that would cost money.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { addProvider, startCore, type CoreGateway } from '../../support/gateway.ts';
import { exchange } from '../../support/raw.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let secret: string;
const tally = { tried: 0, survived: 0 };

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  await addProvider(gateway, upstream, 'openai');
  ({ secret } = await gateway.call('keys.create', { name: 'sender' }));
});
afterEach(() => upstream.reset());
afterAll(async () => {
  console.log(`Smuggling and disguise: ${tally.tried} tried, ${tally.survived} survived`);
  await gateway.dispose();
  await upstream.close();
});

const body = '{"model":"gpt-4o-mini","messages":[],"max_tokens":5}';
const line = 'POST /v1/chat/completions HTTP/1.1';
const base = () => ['Host: 127.0.0.1', `Authorization: Bearer ${secret}`, 'Content-Type: application/json'];
const length = `Content-Length: ${body.length}`;
const hidden = () =>
  `${line}\r\n${base().join('\r\n')}\r\nX-Smuggled: yes\r\nConnection: close\r\n${length}\r\n\r\n${body}`;
const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
const ask = (headers: string[], payload: string, first = line) =>
  exchange(gateway.url, `${first}\r\n${[...base(), ...headers].join('\r\n')}\r\n\r\n${payload}`);

test('the request that the others are bent from is served', async () => {
  const answer = await ask([length, 'Connection: close'], body);
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(upstream.requests).toHaveLength(1);
});

describe('framing that two readers would read differently is refused', () => {
  test.each<[string, string[], (smuggled: string) => string]>([
    ['a length and chunks', [length, 'Transfer-Encoding: chunked'], (next) => `0\r\n\r\n${next}`],
    [
      'chunks and a length',
      ['Transfer-Encoding: chunked', 'Content-Length: 5'],
      (next) => `${chunked(body)}${next}`,
    ],
    ['two lengths', [length, 'Content-Length: 0'], (next) => `${body}${next}`],
    ['the same length twice', [length, length], (next) => `${body}${next}`],
    ['a list of lengths', [`Content-Length: ${body.length}, 0`], (next) => `${body}${next}`],
    ['a length with a sign', [`Content-Length: +${body.length}`], (next) => `${body}${next}`],
    ['a length below zero', ['Content-Length: -1'], (next) => `${body}${next}`],
    ['a length in hex', [`Content-Length: 0x${body.length.toString(16)}`], (next) => `${body}${next}`],
    ['a length beyond all integers', ['Content-Length: 99999999999999999999999'], (next) => `${body}${next}`],
    [
      'an encoding that is not the last',
      ['Transfer-Encoding: chunked, identity'],
      (next) => `${chunked(body)}${next}`,
    ],
    ['an encoding nobody knows', ['Transfer-Encoding: xchunked'], (next) => `${chunked(body)}${next}`],
    [
      'an encoding twice',
      ['Transfer-Encoding: chunked', 'Transfer-Encoding: cow'],
      (next) => `${chunked(body)}${next}`,
    ],
    ['an encoding behind a tab', ['Transfer-Encoding:\tchunked', length], (next) => `0\r\n\r\n${next}`],
    ['a space before the colon', ['Transfer-Encoding : chunked', length], (next) => `0\r\n\r\n${next}`],
    ['a folded line', [length, 'X-A: b\r\n Transfer-Encoding: chunked'], (next) => `${body}${next}`],
    [
      'a line that ends in LF alone',
      [`X-A: b\nTransfer-Encoding: chunked`, length],
      (next) => `0\r\n\r\n${next}`,
    ],
    [
      'a line that ends in CR alone',
      [`X-A: b\rTransfer-Encoding: chunked`, length],
      (next) => `0\r\n\r\n${next}`,
    ],
    ['a NUL in a value', ['X-A: b\0c', length], (next) => `${body}${next}`],
    ['a NUL in a name', ['X-\0A: b', length], (next) => `${body}${next}`],
    ['a header without a name', [': b', length], (next) => `${body}${next}`],
    [
      'a chunk with a size that is none',
      ['Transfer-Encoding: chunked'],
      (next) => `zz\r\n${body}\r\n0\r\n\r\n${next}`,
    ],
    [
      'a chunk larger than any',
      ['Transfer-Encoding: chunked'],
      (next) => `ffffffffffffffffff\r\n${body}${next}`,
    ],
    [
      'a chunk that ends in LF alone',
      ['Transfer-Encoding: chunked'],
      (next) => `${body.length.toString(16)}\n${body}\n0\n\n${next}`,
    ],
    ['two hosts', ['Host: attacker.example', length, 'Connection: close'], (next) => `${body}${next}`],
  ])('%s', async (_what, headers, payload) => {
    tally.tried += 1;
    const answer = await ask(headers, payload(hidden()));
    expect(answer).toMatch(/^HTTP\/1\.1 (400|403|413) /);
    expect(answer).not.toContain('200 OK');
    expect(upstream.requests).toEqual([]);
    tally.survived += 1;
  });
});

test('two requests in one packet are two requests on the books', async () => {
  tally.tried += 1;
  const before = (await gateway.call('keys.list', {}))[0]?.requests ?? 0;
  await ask([length], `${body}${hidden()}`);
  expect(upstream.requests).toHaveLength(2);
  expect((await gateway.call('keys.list', {}))[0]?.requests).toBe(before + 2);
  tally.survived += 1;
});

describe('addresses in disguise', () => {
  test.each([
    ['POST //v1/chat/completions HTTP/1.1', 1],
    ['POST /v1//chat///completions HTTP/1.1', 1],
    ['POST /v1/../v1/chat/completions HTTP/1.1', 0],
    ['POST /v1/chat/%2e%2e/chat/completions HTTP/1.1', 0],
    ['POST /v1/chat%2Fcompletions HTTP/1.1', 0],
    ['POST /v1\\chat\\completions HTTP/1.1', 0],
    ['POST http://127.0.0.1/v1/chat/completions HTTP/1.1', 0],
    ['POST http://attacker.example/v1/chat/completions HTTP/1.1', 0],
    ['POST /v1/chat/completions/ HTTP/1.1', 1],
    ['POST /V1/Chat/Completions HTTP/1.1', 0],
    ['POST /v1/chat/completions;x=1 HTTP/1.1', 0],
    ['POST /v1/chat/completions%00 HTTP/1.1', 0],
    ['POST /v1/chat/completions?/../files HTTP/1.1', 1],
    ['POST * HTTP/1.1', 0],
    ['CONNECT attacker.example:443 HTTP/1.1', 0],
    ['TRACE /v1/chat/completions HTTP/1.1', 0],
    // Not versions of this protocol, and read as if they were: served, and metered.
    ['POST /v1/chat/completions HTTP/2.0', 1],
    ['POST /v1/chat/completions', 1],
  ])('%s reaches the provider %d times, at its own address', async (first, times) => {
    tally.tried += 1;
    const answer = await ask([length, 'Connection: close'], body, first);
    if (times === 0) expect(answer).not.toContain('HTTP/1.1 200 ');
    expect(upstream.requests.map(({ path }) => path)).toEqual(
      Array.from({ length: times }, () => '/v1/chat/completions'),
    );
    tally.survived += 1;
  });
});

describe('headers', () => {
  test('named by Connection do not take the credential away, nor add one of their own', async () => {
    tally.tried += 1;
    await ask(
      [
        length,
        'Connection: close, authorization, content-length, x-secret',
        'X-Secret: hop',
        'X-Api-Key: sk-other',
      ],
      body,
    );
    const [sent] = upstream.requests;
    expect(sent?.headers).toMatchObject({
      authorization: 'Bearer sk-upstream',
      'content-length': String(body.length),
    });
    expect(sent?.headers).not.toHaveProperty('x-secret');
    expect(sent?.headers).not.toHaveProperty('x-api-key');
    tally.survived += 1;
  });

  test('of credentials given twice reach no provider, in any spelling', async () => {
    tally.tried += 1;
    await ask(
      [
        'AUTHORIZATION: Bearer sk-second',
        'x-goog-api-key: sk-third',
        'Proxy-Authorization: Basic eA==',
        'Cookie: a=b',
        length,
        'Connection: close',
      ],
      body,
    );
    const sent = JSON.stringify(upstream.requests[0]?.headers);
    expect(upstream.requests).toHaveLength(1);
    for (const secretPart of [secret, 'sk-second', 'sk-third', 'eA==', 'a=b'])
      expect(sent).not.toContain(secretPart);
    tally.survived += 1;
  });

  test('without end are refused', async () => {
    tally.tried += 1;
    const answer = await ask(
      [...Array.from({ length: 40 }, (_, at) => `X-${at}: ${'x'.repeat(4_000)}`), length],
      body,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d |^$/);
    expect(upstream.requests).toEqual([]);
    tally.survived += 1;
  });
});

describe('bodies', () => {
  const deep = 200_000;
  test.each<[string, string, number]>([
    [
      'nested beyond any stack',
      `{"model":"gpt-4o-mini","messages":${'['.repeat(deep)}${']'.repeat(deep)}}`,
      200,
    ],
    [
      'of objects nested beyond any stack',
      `{"model":"gpt-4o-mini","messages":[],"x":${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}}`,
      200,
    ],
    ['that never close', `{"model":"gpt-4o-mini","messages":${'['.repeat(deep)}`, 400],
    [
      'that name what objects inherit',
      '{"model":"gpt-4o-mini","messages":[],"__proto__":{"stream":true,"max_tokens":1},"constructor":{"prototype":{"n":99}}}',
      200,
    ],
    ['with a name of the model longer than any', `{"model":"${'x'.repeat(100_000)}","messages":[]}`, 400],
  ])('%s', async (_what, sent, status) => {
    tally.tried += 1;
    const answer = await ask([`Content-Length: ${sent.length}`, 'Connection: close'], sent);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(upstream.requests.map((request) => request.body.toString())).toEqual(status === 200 ? [sent] : []);
    expect(Reflect.get({}, 'stream')).toBeUndefined();
    const [key] = await gateway.call('keys.list', {});
    expect(key).toMatchObject({ heldNano: 0 });
    tally.survived += 1;
  });
});

test('what a provider calls its model is kept to the length of a name', async () => {
  upstream.reply(/./, {
    body: {
      model: 'secret text '.repeat(1_000),
      choices: [],
      usage: { prompt_tokens: 1, completion_tokens: 1 },
    },
  });
  await ask([length, 'Connection: close'], body);
  const { rows } = await gateway.call('requests.list', { limit: 1 });
  expect(rows[0]?.model).toBe('gpt-4o-mini');
});
