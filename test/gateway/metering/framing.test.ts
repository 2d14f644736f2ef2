/** Answers whose headers do not say what they are, or say it wrong: read by what they are, passed byte for byte. */
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { send } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let key: string;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  for (const kind of ['openai', 'gemini'] as const) {
    const { id } = await addProvider(gateway, upstream, kind);
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
  }
  ({ secret: key } = await gateway.call('keys.create', { name: 'k', limitNano: usd('100') }));
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await gateway.dispose();
  await upstream.close();
});

const usage = '"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}';
const events = `data: {"choices":[{"delta":{"content":"H€y"},"finish_reason":"stop"}],${usage}}\n\ndata: [DONE]\n\n`;
const whole = `{"model":"acme","choices":[{"message":{"content":"H€y"}}],${usage}}`;
const counted = { inputTokens: 12, outputTokens: 3, flags: [] };

async function ask(
  reply: { headers?: Record<string, string>; bytes: string | Buffer; status?: number },
  stream: boolean,
) {
  const { headers = {}, bytes, status = 200 } = reply;
  const pieces = Array.from(Buffer.from(bytes), (_byte, at) => Buffer.from(bytes).subarray(at, at + 1));
  upstream.reply(/./, { status, headers, chunks: pieces });
  const answer = await send(`${gateway.url}/v1/chat/completions`, {
    headers: { authorization: `Bearer ${key}` },
    body: { model: 'acme', max_tokens: 50, messages: [], stream, stream_options: { include_usage: true } },
  });
  const [row] = (await gateway.call('requests.list', { limit: 1 })).rows;
  return { answer, row };
}

const types = [
  'text/event-stream',
  'application/json',
  'text/plain; charset=utf-8',
  'application/octet-stream',
  'application/x-ndjson',
  '',
];

describe.each(types)('an answer of type %j', (type) => {
  const headers = type === '' ? {} : { 'content-type': type };
  test.each([
    ['events', events, true],
    ['events that nobody asked for', events, false],
    ['events behind a byte order mark and blank lines', `\ufeff\r\n\r\n${events}`, true],
    ['events behind comments', `: waiting\n\n: still\n\n${events}`, true],
    ['one object', whole, false],
    ['one object where a stream was asked for', whole, true],
    ['one object behind white space that keeps the connection alive', `\n  \n\n ${whole}`, false],
  ])('that is %s', async (_name, bytes, stream) => {
    // Lines of JSON are read line by line, and a single one is no stream of chunks.
    if (type.includes('ndjson') && bytes.endsWith('}')) return expect(bytes).toContain(usage);
    const { answer, row } = await ask({ headers, bytes }, stream);
    expect([answer.status, answer.text]).toEqual([200, bytes]);
    expect(row).toMatchObject(counted);
  });
});

test('lines of JSON are read as they come', async () => {
  const lines = events.replaceAll('data: ', '').replace('[DONE]\n\n', '');
  const { answer, row } = await ask(
    { headers: { 'content-type': 'application/x-ndjson' }, bytes: lines },
    true,
  );
  expect(answer.text).toBe(lines);
  expect(row).toMatchObject(counted);
});

test.each([
  ['gzip', gzipSync],
  ['br', brotliCompressSync],
  ['deflate', deflateSync],
  ['zstd', zstdCompressSync],
  [' GZip ', gzipSync],
])('an answer packed as %s, which was not asked for, is unpacked and read', async (encoding, pack) => {
  for (const [bytes, stream] of [
    [events, true],
    [whole, false],
  ] as const) {
    const headers = {
      'content-type': stream ? 'text/event-stream' : 'application/json',
      'content-encoding': encoding,
    };
    const { answer, row } = await ask({ headers, bytes: pack(Buffer.from(bytes)) }, stream);
    expect([answer.text, answer.headers['content-encoding']]).toEqual([bytes, undefined]);
    expect(row).toMatchObject(counted);
  }
});

test('an answer packed in a way that cannot be read passes as it is, and is not free', async () => {
  const packed = gzipSync(gzipSync(Buffer.from(whole)));
  const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip, gzip' };
  const { answer, row } = await ask({ headers, bytes: packed }, false);
  expect([answer.body.equals(packed), answer.headers['content-encoding']]).toEqual([true, 'gzip, gzip']);
  expect(row?.flags).toEqual(['estimated']);
  expect(row?.outputTokens).toBeGreaterThan(0);
});

test.each([
  ['', 'application/json'],
  ['not JSON', 'application/json'],
  ['<html></html>', 'text/html'],
  ['{"usage":{"prompt', 'application/json'],
])('an answer that cannot be read passes and is estimated: %j', async (bytes, type) => {
  const { answer, row } = await ask({ headers: { 'content-type': type }, bytes }, false);
  expect([answer.status, answer.text]).toEqual([200, bytes]);
  expect(row?.flags).toEqual(['estimated']);
  expect(row?.costNano).toBeGreaterThan(0);
});

describe('a status other than 200', () => {
  test.each([206, 207])('%i is an answer', async (status) => {
    const { answer, row } = await ask(
      { status, headers: { 'content-type': 'application/json' }, bytes: whole },
      false,
    );
    expect([answer.status, answer.text]).toEqual([status, whole]);
    expect(row).toMatchObject(counted);
  });

  test.each([302, 307, 400, 429, 502])('%i costs nothing', async (status) => {
    const bytes = '{"error":{"message":"no"}}';
    const { answer, row } = await ask(
      { status, headers: { 'content-type': 'application/json' }, bytes },
      true,
    );
    expect([answer.status, answer.text]).toEqual([status, bytes]);
    expect(row).toMatchObject({ status, costNano: 0, inputTokens: 0, flags: [] });
  });

  test('that says what it used costs that', async () => {
    const bytes = `{"error":{"message":"broke off"},${usage}}`;
    const { answer, row } = await ask(
      { status: 502, headers: { 'content-type': 'application/json' }, bytes },
      false,
    );
    expect([answer.status, answer.text]).toEqual([502, bytes]);
    expect(row).toMatchObject({ ...counted, status: 502, costNano: 12 * 1000 + 3 * 10_000 });
  });
});

test('a Gemini stream that was asked for as an array, and is refused with one object, is read', async () => {
  for (const [status, bytes] of [
    [200, '{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}'],
    [400, '{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}'],
    [404, '{"detail":"Not Found"}'],
    [200, '{"code":503,"message":"overloaded"}'],
  ] as const) {
    upstream.reset();
    upstream.reply(/./, { status, headers: { 'content-type': 'application/json' }, chunks: [bytes] });
    const answer = await send(`${gateway.url}/v1beta/models/acme:streamGenerateContent`, {
      headers: { authorization: `Bearer ${key}` },
      body: { contents: [] },
    });
    expect([answer.status, answer.text]).toEqual([status, bytes]);
  }
});
