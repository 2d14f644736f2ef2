/** Many requests at once on a key with little money: never beyond the limit, nearly all of it used, nothing left held. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addDimeProviders, boundedRequest, dialectNames } from '../../support/bounded-requests.ts';
import { send } from '../../support/client.ts';
import { startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore({ waitMs: 60_000 });
  await addDimeProviders(gateway, upstream);
});
afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

describe.each(['plain', 'streamed'])('a hundred %s requests of ten cents on a dollar', (how) => {
  test.each(dialectNames)('use it up and no more: %s', async (name) => {
    const { secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('1') });
    upstream.answers({ inputTokens: 5, outputTokens: 1000, text: 'Hello' });
    const { path, body } = boundedRequest(name);
    const streamed = how === 'streamed';
    const url = `${gateway.url}${streamed ? path.replace(':generateContent', ':streamGenerateContent?alt=sse') : path}`;
    const asked = { ...body(1000), ...(streamed && name !== 'gemini' ? { stream: true } : {}) };
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => send(url, { headers: { 'x-api-key': secret }, body: asked })),
    );
    const [key] = await gateway.call('keys.list', {});
    expect(key).toMatchObject({ usageNano: usd('1'), heldNano: 0, requests: 10 });
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(statuses.filter((status) => status === 402)).toHaveLength(90);
    expect(upstream.requests).toHaveLength(10);
  });
});

test('requests without an output bound share what is left instead of one holding it all', async () => {
  const { secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('20') });
  upstream.answers({ inputTokens: 5, outputTokens: 100, text: 'Hello' });
  const { path } = boundedRequest('chat');
  const ask = () =>
    send(`${gateway.url}${path}`, {
      headers: { 'x-api-key': secret },
      body: { model: 'acme', messages: [] },
    });
  const answers = await Promise.all([ask(), ask()]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  // Half of twenty dollars, then half of what the other half was, at a dollar for ten thousand tokens.
  const bounds = answers.map(({ headers }) => Number(headers['x-faregate-clamped']));
  expect(bounds.toSorted((a, b) => a - b)).toEqual([50_000, 100_000]);
});
