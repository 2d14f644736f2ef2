/** `stream_options.include_usage`: asked for on the client's behalf, hidden from it, and left out where it is refused. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { send, type Incoming } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { sse } from '../../support/provider-answers.ts';
import { startUpstream, type Reply, type Upstream, type UpstreamRequest } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let key: string;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  const { id } = await addProvider(gateway, upstream, 'openai-compatible');
  for (const model of ['acme', 'other'])
    await gateway.call('prices.set', { providerId: id, model, input: '1', output: '10' });
  ({ secret: key } = await gateway.call('keys.create', { name: 'k', limitNano: usd('100') }));
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const usage = { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 };
const chunk = (more: object) => sse({ id: 'c', object: 'chat.completion.chunk', model: 'acme', ...more });
const text = chunk({ choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }] });
const finish = (more: object = {}) =>
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], ...more });
const usageAlone = chunk({ choices: [], usage });
const done = sse('[DONE]');

function streams(...chunks: string[]): Reply {
  return { headers: { 'content-type': 'text/event-stream' }, chunks };
}

function ask(more: object = {}, path = '/v1/chat/completions'): Promise<Incoming> {
  const body = { model: 'acme', stream: true, max_tokens: 50, messages: [], prompt: 'x', ...more };
  return send(`${gateway.url}${path}`, { headers: { authorization: `Bearer ${key}` }, body });
}

const lastRow = async () => (await gateway.call('requests.list', { limit: 1 })).rows[0];
const asks = ({ json }: UpstreamRequest) => JSON.stringify(json).includes('"include_usage":true');

describe('a client that did not ask', () => {
  test.each([
    ['says nothing', {}],
    ['has other options', { stream_options: { include_obfuscation: false } }],
    ['says no', { stream_options: { include_usage: false } }],
    ['says null', { stream_options: null }],
    ['says null inside', { stream_options: { include_usage: null } }],
  ])('and %s gets the stream without the chunk, and is metered', async (_name, options) => {
    upstream.reply(/./, streams(text, finish(), usageAlone, done));
    for (const path of ['/v1/chat/completions', '/v1/completions']) {
      expect((await ask(options, path)).text).toBe(text + finish() + done);
      expect(asks(upstream.requests.at(-1) as UpstreamRequest)).toBe(true);
      expect(await lastRow()).toMatchObject({ inputTokens: 12, outputTokens: 3, flags: [] });
    }
  });

  test('gets every chunk that has choices, with or without usage on it', async () => {
    const sent = text + finish({ usage }) + chunk({ choices: [], prompt_filter_results: [] }) + done;
    upstream.reply(/./, streams(sent));
    expect((await ask()).text).toBe(sent);
    expect(await lastRow()).toMatchObject({ inputTokens: 12, outputTokens: 3, flags: [] });
  });
});

test('a client that asked gets the chunk, and its body is sent as it is', async () => {
  upstream.reply(/./, streams(text, finish(), usageAlone, done));
  const answer = await ask({ stream_options: { include_usage: true } });
  expect(answer.text).toBe(text + finish() + usageAlone + done);
  expect(upstream.requests[0]?.body.toString()).toContain('"stream_options":{"include_usage":true}');
});

describe('a provider that refuses the field', () => {
  const refusals: [string, number, unknown][] = [
    [
      'Mistral',
      422,
      {
        object: 'error',
        message: { detail: [{ type: 'extra_forbidden', loc: ['body', 'stream_options'] }] },
      },
    ],
    [
      'one that names it',
      400,
      { error: { message: 'Unrecognized request argument supplied: stream_options' } },
    ],
    ['one that names no field', 400, { error: { message: 'Extra fields not permitted' } }],
    [
      'one that breaks over it',
      500,
      { detail: "create() got an unexpected keyword argument 'stream_options'" },
    ],
  ];

  test.each(refusals)(
    'is asked again without it, unseen, and not asked any more: %s',
    async (_name, status, body) => {
      upstream.reply(/./, (request) => (asks(request) ? { status, body } : streams(text, finish(), done)));
      const first = await ask();
      expect([first.status, first.text]).toEqual([200, text + finish() + done]);
      expect(upstream.requests.map(asks)).toEqual([true, false]);
      // Nothing else of the body has changed.
      expect(upstream.requests[1]?.json).toMatchObject({ model: 'acme', stream: true, max_tokens: 50 });
      expect(await lastRow()).toMatchObject({ status: 200, flags: ['estimated'] });

      expect((await ask()).text).toBe(text + finish() + done);
      expect(upstream.requests.map(asks)).toEqual([true, false, false]);
      // Another model may be another server behind the same address.
      await ask({ model: 'other' });
      expect(upstream.requests.map(asks)).toEqual([true, false, false, true, false]);
      const [listed] = await gateway.call('keys.list', {});
      expect([listed?.heldNano, listed?.requests]).toEqual([0, 3]);
    },
  );

  test('and sends its usage in a chunk of its own all the same: that one is the client’s', async () => {
    upstream.reply(/./, (request) =>
      asks(request)
        ? { status: 400, body: { error: { message: 'stream_options is unknown' } } }
        : streams(text, finish(), usageAlone, done),
    );
    expect((await ask()).text).toBe(text + finish() + usageAlone + done);
    expect(await lastRow()).toMatchObject({ inputTokens: 12, outputTokens: 3, flags: [] });
  });

  test('for another reason is not remembered, and the client gets its second answer', async () => {
    const body = { error: { message: 'Unknown field: messages.0.foo' } };
    upstream.reply(/./, { status: 400, body });
    const answer = await ask();
    expect([answer.status, answer.json]).toEqual([400, body]);
    expect(await lastRow()).toMatchObject({ status: 400, costNano: 0 });
    await ask();
    expect(upstream.requests.map(asks)).toEqual([true, false, true, false]);
  });

  test.each([400, 401, 404, 429, 500, 529])(
    'with an error of its own, %i, is not asked again',
    async (status) => {
      const body = { error: { message: 'No.' } };
      upstream.reply(/./, { status, body, headers: { 'retry-after': '1' } });
      const answer = await ask();
      expect([answer.status, answer.json, answer.headers['retry-after']]).toEqual([status, body, '1']);
      expect(upstream.requests).toHaveLength(1);
      expect(await lastRow()).toMatchObject({ status, costNano: 0, flags: [] });
    },
  );
});
