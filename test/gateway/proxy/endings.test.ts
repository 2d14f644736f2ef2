/** However a request ends, it is settled once, its hold is gone, and its client is not left with half an answer. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createParser } from 'eventsource-parser';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RequestRow } from '#shared/model.ts';
import { abandonable, begin, send } from '../../support/client.ts';
import { startCore, usd, type CoreGateway, type EventRecord } from '../../support/gateway.ts';
import {
  addAcme,
  beginning,
  endingOf,
  scriptStream,
  stream,
  streamNames,
  streamRequest,
} from '../../support/streams.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let events: EventRecord;
let key: string;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore({ waitMs: 60_000 });
  await addAcme(gateway, upstream);
  ({ secret: key } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('100') }));
  events = await gateway.events();
});

afterEach(async () => {
  events.close();
  await gateway.dispose();
  await upstream.close();
});

const headers = () => ({ authorization: `Bearer ${key}` });

const ask = (name: string) =>
  begin(`${gateway.url}${stream(name).path}`, { headers: headers(), body: streamRequest });

async function settled(): Promise<RequestRow> {
  const { rows } = await events.first('request-settled');
  if (rows.length !== 1 || rows[0] === undefined) throw new Error(`${rows.length} rows at once`);
  const [listed] = await gateway.call('keys.list', {});
  expect(listed).toMatchObject({ heldNano: 0, usageNano: rows[0].costNano });
  return rows[0];
}

const brokenCode: Readonly<Record<string, unknown>> = {
  chat: 'upstream_gone',
  responses: 'invalid_prompt',
  messages: 'upstream_error',
  'gemini events': 424,
  'gemini array': 424,
};

describe('a provider that cannot be reached', () => {
  test.each([
    ['/v1/chat/completions', { error: { type: 'server_error', code: 'upstream_unreachable' } }],
    ['/v1/responses', { error: { type: 'server_error' } }],
    ['/v1/messages', { type: 'error', error: { type: 'api_error' } }],
    ['/v1beta/models/acme:generateContent', { error: { code: 502, status: 'UNAVAILABLE' } }],
  ])(
    'is a 502 in the dialect’s shape that says where and why, and costs nothing: %s',
    async (path, shape) => {
      const closed = createServer().listen(0, '127.0.0.1');
      await once(closed, 'listening');
      const address = closed.address();
      const port = typeof address === 'object' ? address?.port : 0;
      closed.close();
      await once(closed, 'close');
      for (const provider of await gateway.call('providers.list', {})) {
        await gateway.call('providers.update', {
          id: provider.id,
          baseUrl: `http://127.0.0.1:${port}/v1`,
          credential: 'sk-upstream',
        });
      }
      const answer = await send(`${gateway.url}${path}`, { headers: headers(), body: streamRequest });
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
        credential: 'sk-upstream',
      });
    const answer = await send(`${gateway.url}/v1/messages`, { headers: headers(), body: streamRequest });
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
    const asked = send(`${gateway.url}/v1/messages`, { headers: headers(), body: streamRequest });
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
  test.each(streamNames)('in the middle of a stream leaves a proper end: %s', async (name) => {
    const sent = beginning(name);
    scriptStream(upstream, name, sent, { reset: true });
    const answer = await (await ask(name)).rest();
    expect(answer.cut).toBe(false);
    const { message, code } = endingOf(name, answer.text, sent.join(''));
    expect(message).toMatch(/ended the answer before it was complete/);
    expect(code).toBe(brokenCode[name]);
    const row = await settled();
    expect(row).toMatchObject({ status: 200, flags: ['interrupted', 'estimated'] });
    expect(row.outputTokens).toBeGreaterThanOrEqual(3);
  });

  test.each(streamNames)(
    'with an ordinary end of file leaves a proper end all the same: %s',
    async (name) => {
      const sent = beginning(name);
      scriptStream(upstream, name, sent);
      const answer = await (await ask(name)).rest();
      expect(endingOf(name, answer.text, sent.join('')).code).toBe(brokenCode[name]);
      expect(await settled()).toMatchObject({ flags: ['interrupted', 'estimated'] });
    },
  );

  test.each(streamNames.filter((name) => name !== 'gemini array'))(
    'inside an event leaves an end that is an event of its own: %s',
    async (name) => {
      const half = 'data: {"choices":[{"delta":{"cont';
      // What the gateway holds back until an event is whole never gets to the client.
      const sent = beginning(name).join('');
      scriptStream(upstream, name, [sent + half], { reset: true });
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
    scriptStream(upstream, 'gemini array', ['[{"candidates":[{"con'], { reset: true });
    const answer = await (await ask('gemini array')).rest();
    expect(answer.cut).toBe(true);
    expect((await settled()).flags).toEqual(['interrupted', 'estimated']);
  });

  test.each(streamNames)('behind the end of a stream is not the client’s business: %s', async (name) => {
    const { pieces } = stream(name);
    scriptStream(upstream, name, pieces, { reset: true });
    const asked = { ...streamRequest, stream_options: { include_usage: true } };
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
      body: { ...streamRequest, stream: false },
    }).catch(() => null);
    expect(answer?.cut ?? true).toBe(true);
    expect((await settled()).flags).toEqual(['interrupted', 'estimated']);
  });
});

describe('a client that goes away', () => {
  const closedAfterGrace = async () => expect(await (await upstream.nthRequest(1)).ended).toBe('aborted');

  test.each(streamNames)(
    'in the middle of a stream: read on for a moment, then aborted, settled at what was seen: %s',
    async (name) => {
      scriptStream(upstream, name, beginning(name), { hang: true });
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
    const asked = abandonable(`${gateway.url}/v1/messages`, { headers: headers(), body: streamRequest });
    await upstream.nthRequest(1);
    asked.hangUp();
    expect(await settled()).toMatchObject({
      status: 0,
      outputTokens: 0,
      flags: ['interrupted', 'estimated'],
    });
    await closedAfterGrace();
  });

  test.each(streamNames)(
    'while the rest of the stream is on its way: the true cost, nothing flagged: %s',
    async (name) => {
      const rest = gate();
      const sent = beginning(name);
      scriptStream(upstream, name, [...sent, rest, ...stream(name).pieces.slice(sent.length)]);
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
      body: { ...streamRequest, stream: false },
    });
    const request = await upstream.nthRequest(1);
    asked.hangUp();
    await asked.gone;
    making.open();
    expect(await settled()).toMatchObject({ status: 200, costNano: 42_000, flags: [] });
    expect(await request.ended).toBe('answered');
  });
});
