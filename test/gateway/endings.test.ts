/** However a request ends, it is settled once, its hold is gone, and its client is not left with half an answer. */
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { createParser } from 'eventsource-parser';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RequestRow } from '#shared/model.ts';
import { abandonable, begin, send, type Begun } from '../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway, type EventRecord } from '../support/gateway.ts';
import { sse } from '../support/provider-answers.ts';
import { gate, startUpstream, type Gate, type Upstream } from '../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let events: EventRecord;
let key: string;
let keyId: string;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore({ waitMs: 60_000 });
  for (const kind of ['openai', 'anthropic', 'gemini'] as const) {
    const { id } = await addProvider(gateway, upstream, kind);
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
  }
  const created = await gateway.call('keys.create', { name: 'dev', limitNano: usd('100') });
  [key, keyId] = [created.secret, created.key.id];
  events = await gateway.events();
});

afterEach(async () => {
  events.close();
  await gateway.dispose();
  await upstream.close();
});

interface Streamed {
  path: string;
  contentType: string;
  /** The answer, cut into its events or elements; the last one ends it. */
  pieces: string[];
}

const chatChunk = (more: object) => sse({ id: 'c', object: 'chat.completion.chunk', model: 'acme', ...more });
const geminiChunk = (text: string, more: object = {}) => ({
  candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0, ...more }],
  usageMetadata: { promptTokenCount: 12, candidatesTokenCount: 3, totalTokenCount: 15 },
  modelVersion: 'acme',
});
const eventsType = 'text/event-stream';

const streams: Readonly<Record<string, Streamed>> = {
  chat: {
    path: '/v1/chat/completions',
    contentType: eventsType,
    pieces: [
      chatChunk({ choices: [{ index: 0, delta: { content: 'Twelve chars' }, finish_reason: null }] }),
      chatChunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
      chatChunk({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 3 } }),
      sse('[DONE]'),
    ],
  },
  responses: {
    path: '/v1/responses',
    contentType: eventsType,
    pieces: [
      sse(
        {
          type: 'response.created',
          sequence_number: 0,
          response: { id: 'resp_7', model: 'acme', usage: null },
        },
        'response.created',
      ),
      sse(
        { type: 'response.output_text.delta', sequence_number: 1, delta: 'Twelve chars' },
        'response.output_text.delta',
      ),
      sse(
        {
          type: 'response.completed',
          sequence_number: 2,
          response: { id: 'resp_7', model: 'acme', usage: { input_tokens: 12, output_tokens: 3 } },
        },
        'response.completed',
      ),
    ],
  },
  messages: {
    path: '/v1/messages',
    contentType: eventsType,
    pieces: [
      sse(
        {
          type: 'message_start',
          message: { id: 'msg_7', model: 'acme', usage: { input_tokens: 12, output_tokens: 1 } },
        },
        'message_start',
      ),
      sse(
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        'content_block_start',
      ),
      sse(
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Twelve chars' } },
        'content_block_delta',
      ),
      sse({ type: 'content_block_stop', index: 0 }, 'content_block_stop'),
      sse(
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } },
        'message_delta',
      ),
      sse({ type: 'message_stop' }, 'message_stop'),
    ],
  },
  'gemini events': {
    path: '/v1beta/models/acme:streamGenerateContent?alt=sse',
    contentType: eventsType,
    pieces: [sse(geminiChunk('Twelve chars')), sse(geminiChunk('', { finishReason: 'STOP' }))],
  },
  'gemini array': {
    path: '/v1beta/models/acme:streamGenerateContent',
    contentType: 'application/json',
    pieces: [
      `[${JSON.stringify(geminiChunk('Twelve chars'))}`,
      `,\n${JSON.stringify(geminiChunk('', { finishReason: 'STOP' }))}`,
      ']',
    ],
  },
};
const names = Object.keys(streams);

const body = { model: 'acme', messages: [], input: '', contents: [], max_tokens: 50, stream: true };
const headers = () => ({ authorization: `Bearer ${key}` });

function stream(name: string): Streamed {
  const found = streams[name];
  if (!found) throw new Error(name);
  return found;
}

/** Scripts the stream: `chunks` as given, and what follows them. */
function script(
  name: string,
  chunks: (string | Gate)[],
  more: { hang?: boolean; reset?: boolean } = {},
): void {
  upstream.reply(/./, { headers: { 'content-type': stream(name).contentType }, chunks, ...more });
}

const ask = (name: string) => begin(`${gateway.url}${stream(name).path}`, { headers: headers(), body });

async function settled(): Promise<RequestRow> {
  const { rows } = await events.first('request-settled');
  if (rows.length !== 1 || rows[0] === undefined) throw new Error(`${rows.length} rows at once`);
  const [listed] = await gateway.call('keys.list', {});
  expect(listed).toMatchObject({ heldNano: 0, usageNano: rows[0].costNano });
  return rows[0];
}

interface Told {
  error?: { message: string; code?: unknown; type?: unknown };
  response?: { error: { message: string; code: unknown } };
}

function facts(
  data: string | undefined,
  pick: (told: Told) => unknown[],
): { message: string; code: unknown } {
  const [message, code] = pick(JSON.parse(data ?? '') as Told);
  return { message: String(message), code };
}

/** What the client of each dialect is told, and that the stream it is told in is well-formed. */
function endingOf(name: string, text: string, sent: string): { message: string; code: unknown } {
  expect(text.startsWith(sent)).toBe(true);
  if (name === 'gemini array') {
    const elements = JSON.parse(text) as { error?: { message: string; code: number } }[];
    const last = elements.at(-1)?.error;
    return { message: last?.message ?? '', code: last?.code };
  }
  const blocks = text
    .slice(sent.length)
    .split('\n\n')
    .filter((block) => block.trim() !== '');
  const data = blocks.map(
    (block) =>
      block
        .split('\n')
        .find((line) => line.startsWith('data: '))
        ?.slice(6) ?? block,
  );
  const types = blocks.map((block) => /^event: (.*)$/m.exec(block)?.[1]);
  switch (name) {
    case 'chat':
      expect(data.at(-1)).toBe('[DONE]');
      return facts(data.at(-2), ({ error }) => [error?.message, error?.code]);
    case 'responses':
      expect(types.at(-1)).toBe('response.failed');
      expect(data.at(-1)).toContain('"id":"resp_7"');
      return facts(data.at(-1), ({ response }) => [response?.error.message, response?.error.code]);
    case 'messages':
      expect(types.slice(-2)).toEqual(['content_block_stop', 'error']);
      return facts(data.at(-1), ({ error }) => [error?.message, error?.type]);
    default:
      // The raw form, which is no event, and the event.
      expect(data.at(-2)).toBe(data.at(-1));
      return facts(data.at(-1), ({ error }) => [error?.message, error?.code]);
  }
}

/** All that comes before the answer's text ends: the block is open, nothing is final. */
const beginning = (name: string) =>
  stream(name).pieces.slice(0, name === 'messages' ? 3 : name === 'responses' ? 2 : 1);

const brokenCode: Readonly<Record<string, unknown>> = {
  chat: 'server_error',
  responses: 'server_error',
  messages: 'api_error',
  'gemini events': 502,
  'gemini array': 502,
};

describe('a provider that cannot be reached', () => {
  test.each([
    [
      '/v1/chat/completions',
      (json: unknown) => json,
      { error: { type: 'server_error', code: 'upstream_unreachable' } },
    ],
    ['/v1/responses', (json: unknown) => json, { error: { type: 'server_error' } }],
    ['/v1/messages', (json: unknown) => json, { type: 'error', error: { type: 'api_error' } }],
    [
      '/v1beta/models/acme:generateContent',
      (json: unknown) => json,
      { error: { code: 502, status: 'UNAVAILABLE' } },
    ],
  ])(
    'is a 502 in the dialect’s shape that says where and why, and costs nothing: %s',
    async (path, _shape, shape) => {
      const closed = createServer().listen(0, '127.0.0.1');
      await once(closed, 'listening');
      const address = closed.address();
      const port = typeof address === 'object' ? address?.port : 0;
      closed.close();
      await once(closed, 'close');
      for (const provider of await gateway.call('providers.list', {})) {
        await gateway.call('providers.update', { id: provider.id, baseUrl: `http://127.0.0.1:${port}/v1` });
      }
      const answer = await send(`${gateway.url}${path}`, { headers: headers(), body });
      expect(answer.status).toBe(502);
      expect(answer.json).toMatchObject(shape);
      expect(answer.text).toContain(`127.0.0.1:${port}) cannot be reached: nothing listens there`);
      expect(await settled()).toMatchObject({ status: 0, costNano: 0, flags: ['interrupted'] });
    },
  );

  test('because it does not speak TLS costs nothing either, and says so', async () => {
    for (const { id } of await gateway.call('providers.list', {}))
      await gateway.call('providers.update', {
        id,
        baseUrl: `${upstream.url.replace('http:', 'https:')}/v1`,
      });
    const answer = await send(`${gateway.url}/v1/messages`, { headers: headers(), body });
    expect(answer.status).toBe(502);
    expect(answer.text).toContain('its certificate is not accepted');
    expect(await settled()).toMatchObject({ status: 0, costNano: 0, flags: ['interrupted'] });
  });

  test('after it took the request is a 502 too, and costs the input it may have read', async () => {
    upstream.reply(/./, (request) => {
      request.ended.catch(() => {});
      return { chunks: [], reset: true, before: destroyed };
    });
    const destroyed = gate();
    const asked = send(`${gateway.url}/v1/messages`, { headers: headers(), body });
    await upstream.nthRequest(1);
    await upstream.close();
    destroyed.open();
    const answer = await asked;
    expect(answer.status).toBe(502);
    expect(answer.json).toMatchObject({ type: 'error', error: { type: 'api_error' } });
    const row = await settled();
    expect(row).toMatchObject({ status: 0, outputTokens: 0, flags: ['interrupted', 'estimated'] });
    expect(row.costNano).toBeGreaterThan(0);
  });
});

describe('a provider that breaks off', () => {
  test.each(names)('in the middle of a stream leaves a proper end: %s', async (name) => {
    const sent = beginning(name);
    script(name, sent, { reset: true });
    const answer = await (await ask(name)).rest();
    expect(answer.cut).toBe(false);
    const { message, code } = endingOf(name, answer.text, sent.join(''));
    expect(message).toMatch(/ended the answer before it was complete/);
    expect(code).toBe(brokenCode[name]);
    const row = await settled();
    expect(row).toMatchObject({ status: 200, flags: ['interrupted', 'estimated'] });
    expect(row.outputTokens).toBeGreaterThanOrEqual(3);
  });

  test.each(names)('with an ordinary end of file leaves a proper end all the same: %s', async (name) => {
    const sent = beginning(name);
    script(name, sent);
    const answer = await (await ask(name)).rest();
    expect(endingOf(name, answer.text, sent.join('')).code).toBe(brokenCode[name]);
    expect(await settled()).toMatchObject({ flags: ['interrupted', 'estimated'] });
  });

  test.each(names.filter((name) => name !== 'gemini array'))(
    'inside an event leaves an end that is an event of its own: %s',
    async (name) => {
      const half = 'data: {"choices":[{"delta":{"cont';
      // What the gateway holds back until an event is whole never gets to the client.
      const sent = beginning(name).join('');
      script(name, [sent + half], { reset: true });
      const answer = await (await ask(name)).rest();
      const shown = answer.text.startsWith(sent + half) ? sent + half : sent;
      const seen: string[] = [];
      createParser({ onEvent: ({ data }) => seen.push(data) }).feed(answer.text);
      expect(answer.cut).toBe(false);
      expect(answer.text.slice(shown.length)).toContain('before it was complete');
      const messages = seen.filter((data) => data.includes('before it was complete'));
      expect(messages).toHaveLength(1);
      expect(() => JSON.parse(messages[0] ?? '') as unknown).not.toThrow();
    },
  );

  test('inside an element of an array, where no proper end is possible, is a reset', async () => {
    script('gemini array', ['[{"candidates":[{"con'], { reset: true });
    const answer = await (await ask('gemini array')).rest();
    expect(answer.cut).toBe(true);
    expect((await settled()).flags).toEqual(['interrupted', 'estimated']);
  });

  test.each(names)('behind the end of a stream is not the client’s business: %s', async (name) => {
    const { pieces } = stream(name);
    script(name, pieces, { reset: true });
    const asked = { ...body, stream_options: { include_usage: true } };
    const answer = await send(`${gateway.url}${stream(name).path}`, { headers: headers(), body: asked });
    expect(answer.text).toBe(pieces.join(''));
    expect(answer.cut).toBe(false);
    expect(await settled()).toMatchObject({ inputTokens: 12, outputTokens: 3, flags: [] });
  });

  test('in the middle of a plain answer is a reset, not a short answer', async () => {
    upstream.reply(/./, {
      headers: { 'content-type': 'application/json' },
      chunks: ['{"model":"acme",', '"usage":'],
      reset: true,
    });
    const answer = await send(`${gateway.url}/v1/messages`, {
      headers: headers(),
      body: { ...body, stream: false },
    }).catch(() => null);
    expect(answer?.cut ?? true).toBe(true);
    expect((await settled()).flags).toEqual(['interrupted', 'estimated']);
  });
});

describe('a client that goes away', () => {
  const closedAfterGrace = async () => expect(await (await upstream.nthRequest(1)).ended).toBe('aborted');

  test.each(names)(
    'in the middle of a stream: read on for a moment, then aborted, settled at what was seen: %s',
    async (name) => {
      script(name, beginning(name), { hang: true });
      const answer = await ask(name);
      await answer.next();
      answer.hangUp();
      const row = await settled();
      expect(row).toMatchObject({ status: 200, flags: ['interrupted', 'estimated'] });
      expect(row.outputTokens).toBeGreaterThanOrEqual(3);
      await closedAfterGrace();
    },
  );

  test('before the first byte of a stream', async () => {
    upstream.reply(/./, { before: gate() });
    const asked = abandonable(`${gateway.url}/v1/messages`, { headers: headers(), body });
    await upstream.nthRequest(1);
    asked.hangUp();
    expect(await settled()).toMatchObject({
      status: 0,
      outputTokens: 0,
      flags: ['interrupted', 'estimated'],
    });
    await closedAfterGrace();
  });

  test.each(names)(
    'while the rest of the stream is on its way: the true cost, nothing flagged: %s',
    async (name) => {
      const rest = gate();
      const sent = beginning(name);
      script(name, [...sent, rest, ...stream(name).pieces.slice(sent.length)]);
      const answer = await ask(name);
      await answer.next();
      answer.hangUp();
      await answer.closed;
      rest.open();
      expect(await settled()).toMatchObject({
        inputTokens: 12,
        outputTokens: 3,
        costNano: 12_000 + 30_000,
        flags: [],
      });
    },
  );

  test('while a plain answer is being made: it is read to its end for the true cost', async () => {
    const making = gate();
    const whole = { model: 'acme', type: 'message', usage: { input_tokens: 12, output_tokens: 3 } };
    upstream.reply(/./, { before: making, body: whole });
    const asked = abandonable(`${gateway.url}/v1/messages`, {
      headers: headers(),
      body: { ...body, stream: false },
    });
    const request = await upstream.nthRequest(1);
    asked.hangUp();
    await asked.gone;
    making.open();
    expect(await settled()).toMatchObject({ status: 200, costNano: 42_000, flags: [] });
    expect(await request.ended).toBe('answered');
  });
});

describe('a request that is stopped', () => {
  const stops: [string, (id: string) => Promise<unknown>, RegExp][] = [
    [
      'disabled',
      (id) => gateway.call('keys.update', { id, enabled: false }),
      /key .{1,2}dev.{1,2} was disabled/,
    ],
    ['deleted', (id) => gateway.call('keys.delete', { id }), /key .{1,2}dev.{1,2} was deleted/],
    ['replaced', (id) => gateway.call('keys.rotate', { id }), /key .{1,2}dev.{1,2} was replaced/],
    [
      'limited',
      (id) => gateway.call('keys.setLimit', { id, limitNano: 0, stopRunning: true }),
      /limit of key .{1,2}dev.{1,2} was changed/,
    ],
  ];
  const stoppedCode: Readonly<Record<string, unknown>> = {
    chat: 'insufficient_quota',
    responses: 'invalid_prompt',
    messages: 'billing_error',
    'gemini events': 402,
    'gemini array': 402,
  };

  async function running(name: string): Promise<{ answer: Begun; sent: string }> {
    const sent = beginning(name);
    script(name, sent, { hang: true });
    const answer = await ask(name);
    let seen = '';
    while (seen.length < sent.join('').length) seen += String(await answer.next());
    return { answer, sent: seen };
  }

  test.each(names)('ends with the dialect’s own ending, and the true cost so far: %s', async (name) => {
    const { answer, sent } = await running(name);
    await gateway.call('keys.update', { id: keyId, enabled: false });
    const rest = await answer.rest();
    const { message, code } = endingOf(name, sent + rest.text, sent);
    expect(message).toMatch(/key .{1,2}dev.{1,2} was disabled/);
    expect(code).toBe(stoppedCode[name]);
    const { rows } = await events.first('request-settled');
    expect(rows[0]).toMatchObject({ flags: ['stopped', 'estimated'], status: 200 });
    expect(rows[0]?.outputTokens).toBeGreaterThanOrEqual(3);
    expect(await (await upstream.nthRequest(1)).ended).toBe('aborted');
  });

  test.each(stops)('because its key was %s', async (_why, stop, message) => {
    const { answer } = await running('messages');
    await stop(keyId);
    expect((await answer.rest()).text).toMatch(message);
    const { rows } = await gateway.call('requests.list', {});
    expect(rows).toMatchObject([{ flags: ['stopped', 'estimated'] }]);
    const [listed] = await gateway.call('keys.list', {});
    expect(listed?.heldNano ?? 0).toBe(0);
    expect((await gateway.call('status.get', {})).totals).toMatchObject({ heldNano: 0, running: 0 });
  });

  test.each(stops)(
    'before it is answered is a 402 that says that its key was %s',
    async (_why, stop, message) => {
      upstream.reply(/./, { before: gate() });
      const asked = send(`${gateway.url}/v1/messages`, { headers: headers(), body });
      await upstream.nthRequest(1);
      await stop(keyId);
      const answer = await asked;
      expect(answer.status).toBe(402);
      expect(answer.text).toMatch(message);
      expect(answer.headers['x-should-retry']).toBe('false');
    },
  );

  test.each(stops)('while it waits for money is not sent when its key is %s', async (why, stop, message) => {
    await gateway.call('keys.setLimit', { id: keyId, limitNano: usd('0.0025') });
    upstream.reply(/./, { before: gate() });
    const large = { ...body, max_tokens: 5000, stream: false };
    const first = send(`${gateway.url}/v1/messages`, { headers: headers(), body: large });
    await upstream.nthRequest(1);
    const second = send(`${gateway.url}/v1/messages`, { headers: headers(), body: large });
    // The second has been read and waits when a request behind it has been answered.
    await send(`${gateway.url}/v1/key`, { method: 'GET', headers: headers() });
    await stop(keyId);
    expect((await first).text).toMatch(message);
    const refused = await second;
    expect(refused.status).toBe(402);
    expect(refused.text).toMatch(why === 'limited' ? /Usage limit reached/ : message);
    expect(upstream.requests).toHaveLength(1);
  });

  test('while its body is on its way is refused when its key is disabled meanwhile', async () => {
    const request = httpRequest(`${gateway.url}/v1/messages`, {
      method: 'POST',
      headers: { ...headers(), 'content-length': '1000' },
    });
    const whole = JSON.stringify({ model: 'acme', messages: [], max_tokens: 5 }).padEnd(1000);
    request.write(whole.slice(0, 10));
    // Another request that is answered: the first has been authenticated by then.
    await send(`${gateway.url}/v1/key`, { method: 'GET', headers: headers() });
    await gateway.call('keys.update', { id: keyId, enabled: false });
    request.end(whole.slice(10));
    const [response] = (await once(request, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    expect(response.statusCode).toBe(401);
    expect(upstream.requests).toHaveLength(0);
  });
});
