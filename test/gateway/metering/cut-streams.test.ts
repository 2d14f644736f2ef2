/** Streams that are cut before they say what they used: tokens of what was seen, flagged as an estimate. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RequestRow } from '#shared/model.ts';
import { emptyFacts } from '../../../electron/gateway/dialects/usage.ts';
import { roughEstimate } from '../../../electron/gateway/metering/estimate.ts';
import { vocabularyOf } from '../../../electron/gateway/metering/token-count.ts';
import { createVocabularyCounter } from '../../../electron/gateway/metering/vocabulary-counter.ts';
import { begin } from '../../support/client.ts';
import { loadExchanges, type Exchange } from '../../support/fixtures.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { PATIENCE_MS } from '../../support/patience.ts';
import { sse } from '../../support/provider-answers.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let key: string;
let keyId: string;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  const models = ['gpt-4o', 'gpt-4', 'acme'];
  const { id } = await addProvider(gateway, upstream, 'openai');
  for (const model of models)
    await gateway.call('prices.set', { providerId: id, model, input: '1', output: '10' });
  const created = await gateway.call('keys.create', { name: 'k', limitNano: usd('100') });
  key = created.secret;
  keyId = created.key.id;
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await gateway.dispose();
  await upstream.close();
});

const sentence = 'The quick brown fox jumps over the lazy dog, and then it rests in the warm afternoon sun. ';
const words = (model: string, times: number) =>
  Array.from({ length: times }, () =>
    sse({
      object: 'chat.completion.chunk',
      model,
      choices: [{ index: 0, delta: { content: sentence }, finish_reason: null }],
    }),
  );

async function cut(
  how: 'client' | 'upstream' | 'stopped',
  body: { model: string },
  chunks: string[],
  path = '/v1/chat/completions',
): Promise<RequestRow> {
  const events = await gateway.events();
  const read = gate();
  upstream.reply(/./, {
    headers: { 'content-type': 'text/event-stream' },
    // A reset takes with it what the gateway has not read yet.
    chunks: [...chunks, read],
    reset: true,
  });
  const answer = await begin(`${gateway.url}${path}`, {
    headers: { authorization: `Bearer ${key}` },
    body: { ...body, stream: true },
  });
  const whole = chunks.join('').length;
  for (let seen = 0; seen < whole;) {
    const piece = await answer.next();
    if (piece === null) break;
    seen += piece.length;
  }
  if (how === 'upstream') read.open();
  if (how === 'client') answer.hangUp();
  if (how === 'stopped') await gateway.call('keys.update', { id: keyId, enabled: false });
  const { rows } = await events.first('request-settled');
  events.close();
  read.open();
  if (how === 'stopped') await gateway.call('keys.update', { id: keyId, enabled: true });
  if (rows[0] === undefined) throw new Error('nothing was settled');
  return rows[0];
}

const prompt = {
  messages: [
    { role: 'system', content: sentence.repeat(20) },
    { role: 'user', content: 'Go on.' },
  ],
};

describe('an OpenAI stream that is cut', () => {
  test.each(['upstream', 'client', 'stopped'] as const)(
    'by the %s is counted in the model’s vocabulary',
    async (how) => {
      const row = await cut(how, { model: 'gpt-4o', ...prompt }, words('gpt-4o', 40));
      // Twenty tokens a sentence in o200k_base, and one for the space behind the last.
      expect(row.outputTokens).toBe(40 * 20 + 1);
      // As many in the prompt, and what two messages and a request cost beside their text.
      expect(row.inputTokens).toBeGreaterThanOrEqual(20 * 20 + 3 + 11);
      expect(row.inputTokens).toBeLessThan(20 * 20 + 25);
      expect(row.flags).toContain('estimated');
      expect(row.costNano).toBe(row.inputTokens * 1_000 + row.outputTokens * 10_000);
      const [listed] = await gateway.call('keys.list', {});
      expect(listed?.heldNano).toBe(0);
    },
  );

  test('counts Responses and older vocabularies too', async () => {
    const delta = sse({ type: 'response.output_text.delta', delta: sentence.repeat(10) });
    const responses = await cut('upstream', { model: 'gpt-4o' }, [delta], '/v1/responses');
    const older = await cut('upstream', { model: 'gpt-4' }, words('gpt-4', 10));
    expect([responses.outputTokens, older.outputTokens]).toEqual([201, 201]);
  });

  test('counts what is no text of a person’s as text: marks of the vocabulary', async () => {
    const marks = sse({ choices: [{ index: 0, delta: { content: 'a <|endoftext|> b' } }] });
    const row = await cut('upstream', { model: 'gpt-4o' }, [marks]);
    expect(row.outputTokens).toBeGreaterThan(3);
  });

  test('of another vendor’s model goes by a measured ratio', async () => {
    const row = await cut('upstream', { model: 'acme', ...prompt }, words('acme', 40));
    expect(row.outputTokens).toBe(Math.ceil((40 * sentence.length) / 4));
    expect(row.flags).toContain('estimated');
  });
});

test('a JSON answer that breaks off is estimated by what came of it', async () => {
  const text = `{"model":"acme","choices":[{"message":{"content":"${sentence.repeat(40)}`;
  const events = await gateway.events();
  upstream.reply(/./, { headers: { 'content-type': 'application/json' }, chunks: [text], reset: true });
  const answer = await begin(`${gateway.url}/v1/chat/completions`, {
    headers: { authorization: `Bearer ${key}` },
    body: { model: 'acme', ...prompt },
  });
  await answer.rest();
  const { rows } = await events.first('request-settled');
  events.close();
  expect(rows[0]?.outputTokens).toBeGreaterThanOrEqual(Math.floor((40 * sentence.length) / 4));
  expect(rows[0]?.flags).toContain('estimated');
});

describe('the tokens of a request', () => {
  const estimate = (body: unknown) =>
    roughEstimate('acme', Buffer.from(JSON.stringify(body)), emptyFacts()).inputTokens;

  test('are those of its text, not of its JSON or its images', () => {
    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(100_000)}` } };
    const text = { type: 'text', text: sentence.repeat(10) };
    expect(estimate({ messages: [{ role: 'user', content: [text] }] })).toBe(
      Math.ceil((10 * sentence.length) / 4.5) + 7,
    );
    expect(estimate({ messages: [{ role: 'user', content: [image] }] })).toBe(1_007);
  });

  test('of a body that is no JSON are those of its bytes', () => {
    expect(roughEstimate('acme', Buffer.from('x'.repeat(450)), emptyFacts()).inputTokens).toBe(103);
  });
});

test.each([
  ['gpt-4o-mini-2024-07-18', 'o200k_base'],
  ['openai/gpt-5.4', 'o200k_base'],
  ['o3-mini', 'o200k_base'],
  ['ft:gpt-4.1-mini:me::1', 'o200k_base'],
  ['gpt-4-turbo', 'cl100k_base'],
  ['gpt-35-turbo', 'cl100k_base'],
  ['claude-opus-4-8', null],
  ['openchat', null],
])('the vocabulary of %s is %s', (model, vocabulary) => {
  expect(vocabularyOf(model)?.vocabulary ?? null).toBe(vocabulary);
});

test('counting does not keep others waiting, and is given up in time', async () => {
  const counter = createVocabularyCounter({ timeoutMs: PATIENCE_MS });
  const [before, all] = [process.threadCpuUsage(), process.cpuUsage()];
  const [count] = (await counter.count('o200k_base', [sentence.repeat(5_000)])) ?? [];
  const [here, whole] = [process.threadCpuUsage(before), process.cpuUsage(all)];
  expect(count).toBe(100_001);
  // Loading the vocabulary alone takes hundreds of milliseconds of a processor, and takes them elsewhere.
  expect(here.user + here.system).toBeLessThan((whole.user + whole.system) / 3);
  counter.close();
  expect(await counter.count('o200k_base', ['a'])).toBeNull();

  const hasty = createVocabularyCounter({ timeoutMs: 1 });
  expect(await hasty.count('o200k_base', [sentence])).toBeNull();
  hasty.close();
});

/** Recorded streams of OpenAI’s models that hide nothing of what they generated, and report it. */
const recorded = loadExchanges().filter(
  ({ api, provider, fidelity, expected, response }: Exchange) =>
    api === 'chat' &&
    fidelity !== 'derived' &&
    provider === 'openai' &&
    response.headers['content-type']?.includes('event-stream') &&
    expected.outcome === 'ok' &&
    (expected.usage?.output_tokens ?? 0) > 0 &&
    !expected.usage?.reasoning_tokens,
);

test.skipIf(recorded.length === 0)(
  'recorded streams without their end come out near what was billed',
  async () => {
    const lines: string[] = [];
    for (const { id, request, response, expected } of recorded) {
      const chunks = response.body.split(/(?<=\n\n)/).filter((event) => !/"usage": ?\{|\[DONE\]/.test(event));
      const given = typeof request.body === 'object' && request.body !== null ? request.body : {};
      const row = await cut('upstream', { ...given, model: 'gpt-4o' }, chunks);
      upstream.reset();
      const { input_tokens: input = 0, output_tokens: output = 0 } = expected.usage ?? {};
      lines.push(
        `${id.padEnd(36)} output ${row.outputTokens} of ${output}, input ${row.inputTokens} of ${input}`,
      );
      expect(Math.abs(row.outputTokens - output)).toBeLessThanOrEqual(Math.max(12, output * 0.1));
    }
    console.info(['Cut streams, counted and reported:', ...lines].join('\n'));
  },
);
