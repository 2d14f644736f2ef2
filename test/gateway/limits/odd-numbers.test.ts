/** Numbers that a provider reads otherwise than they look, and counts that cannot be. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RequestRow } from '#shared/model.ts';
import { send } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let gateway: CoreGateway;
let upstream: Upstream;
const providerIds: string[] = [];
let models = 0;

const paths = {
  chat: 'compatible/v1/chat/completions',
  completions: 'compatible/v1/completions',
  responses: 'compatible/v1/responses',
  messages: 'anthropic-like/v1/messages',
  gemini: 'gemini/v1beta/models/MODEL:generateContent',
  geminiStream: 'gemini/v1beta/models/MODEL:streamGenerateContent',
  interactions: 'gemini/v1beta/interactions',
  embeddings: 'compatible/v1/embeddings',
  router: 'router/v1/chat/completions',
} as const;
type Way = keyof typeof paths;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  for (const [slug, kind] of [
    ['compatible', 'openai-compatible'],
    ['anthropic-like', 'anthropic-compatible'],
    ['gemini', 'gemini'],
    ['router', 'openrouter'],
  ] as const)
    providerIds.push((await addProvider(gateway, upstream, kind, { slug })).id);
});

afterAll(async () => {
  await gateway.dispose();
  await upstream.close();
});

/** A request with a key and a model of its own, whose input costs $1 and output $10 a million tokens. */
async function ask(way: Way, fields: string, limit: string | null) {
  const model = `model-${++models}`;
  for (const providerId of providerIds)
    await gateway.call('prices.set', { providerId, model, input: '1', output: '10' });
  const { key, secret } = await gateway.call('keys.create', {
    name: model,
    limitNano: limit === null ? null : usd(limit),
  });
  const prompt = way.startsWith('gemini')
    ? '"contents":[{"parts":[{"text":"hi"}]}]'
    : `"model":"${model}",${way === 'completions' ? '"prompt":"hi"' : '"messages":[{"role":"user","content":"hi"}],"input":"hi"'}`;
  const answer = await send(`${gateway.url}/${paths[way].replace('MODEL', model)}`, {
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: `{${prompt}${fields === '' ? '' : `,${fields}`}}`,
  });
  const { rows } = await gateway.call('requests.list', { keyId: key.id });
  const keys = await gateway.call('keys.list', {});
  return { answer, row: rows[0], key: keys.find(({ id }) => id === key.id) };
}

/** Answers with as many tokens as the most generous reading of the body allows, 20,000 where it finds no bound. */
function answerGenerously(): void {
  upstream.reply(/./, ({ path, body }) => {
    const text = body
      .toString()
      .replaceAll(/\\u([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    const largest = (names: string, otherwise: number) => {
      const values = [...text.matchAll(new RegExp(`"(${names})":"?([\\d.e_]+)`, 'g'))];
      const numbers = values.map(([, , value]) => Number(value?.replaceAll('_', ''))).filter((n) => n > 0);
      return numbers.length === 0 ? otherwise : Math.max(...numbers);
    };
    const each = largest('max_tokens|max_completion_tokens|max_output_tokens|maxOutputTokens', 20_000);
    const output = each * largest('n|best_of|candidateCount|candidate_count', 1);
    if (path.includes('generateContent'))
      return {
        body: { candidates: [], usageMetadata: { promptTokenCount: 10, candidatesTokenCount: output } },
      };
    return { body: { usage: { prompt_tokens: 10, completion_tokens: output } } };
  });
}

describe('a bound that can be read in two ways', () => {
  test.each<[Way, string]>([
    ['chat', '"max_tokens":0'],
    ['chat', '"max_completion_tokens":0,"max_tokens":0'],
    ['chat', '"max_tokens":"150"'],
    ['chat', '"n":"5","max_tokens":150'],
    ['chat', '"n":"5.0","max_tokens":"150"'],
    ['chat', '"n":"1_0","max_tokens":100'],
    ['completions', '"best_of":"5","max_tokens":100'],
    ['completions', '"n":"7"'],
    ['responses', '"max_output_tokens":0'],
    ['responses', '"max_output_tokens":"5000"'],
    ['gemini', '"generationConfig":{"maxOutputTokens":0}'],
    ['gemini', '"generationConfig":{"maxOutputTokens":5},"generation_config":{"maxOutputTokens":5000}'],
    ['gemini', '"generation_config":{"max_output_tokens":5000},"generationConfig":{"temperature":1}'],
    ['gemini', '"generationConfig":null,"generation_config":{"candidateCount":8,"maxOutputTokens":100}'],
    ['gemini', '"generationConfig":{"candidateCount":"8","maxOutputTokens":100}'],
    ['gemini', '"generationConfig":{"candidateCount":1,"candidate_count":8,"maxOutputTokens":100}'],
    ['gemini', '"generationConfig":{"maxOutputTokens":5000,"maxOutputTokens":5}'],
    ['gemini', '"generationConfig":{"candidateCount":8,"candidate\\u0043ount":1,"maxOutputTokens":100}'],
  ])('does not get a key past its limit: %s %s', async (way, fields) => {
    answerGenerously();
    for (const limit of ['0.004', '0.05']) {
      const { answer, row, key } = await ask(way, fields, limit);
      expect([200, 400, 402]).toContain(answer.status);
      expect(key?.usageNano).toBeLessThanOrEqual(usd(limit));
      expect(row?.flags ?? []).not.toContain('overrun');
    }
  });

  test.each<[Way, string]>([
    ['chat', '"max_tokens":"90"'],
    ['responses', '"max_output_tokens":"90"'],
    ['messages', '"max_tokens":"90"'],
    ['gemini', '"generationConfig":{"maxOutputTokens":"90"}'],
  ])('is left as it is where it fits: %s %s', async (way, fields) => {
    answerGenerously();
    const { answer } = await ask(way, fields, '0.004');
    expect(answer.status).toBe(200);
    expect(upstream.requests.at(-1)?.body.toString()).toContain(fields);
  });

  test('is refused with the name of the field that is given twice', async () => {
    const { answer } = await ask(
      'gemini',
      '"generationConfig":{"maxOutputTokens":5,"maxOutputTokens":50}',
      '1',
    );
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('"generationConfig.maxOutputTokens\\" is given twice');
  });
});

test('a tool of Gemini that stands alone, not in a list, is allowed for', async () => {
  upstream.reply(/./, { body: { usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1 } } });
  const { answer } = await ask(
    'gemini',
    '"tools":{"url_context":{}},"generationConfig":{"maxOutputTokens":20}',
    '0.5',
  );
  // A page can be as long as the window, which is a million tokens.
  expect(answer.status).toBe(402);
});

describe('an answer that does not say what it used', () => {
  const choices = [{ message: { role: 'assistant', content: 'A sentence of some length.' } }];
  const content = [{ type: 'text', text: 'A sentence of some length.' }];
  const candidates = [{ content: { parts: content }, finishReason: 'STOP' }];
  test.each<[Way, object]>([
    ['chat', { choices, usage: {} }],
    ['chat', { choices, usage: { prompt_tokens: -7, completion_tokens: -7 } }],
    ['chat', { choices, usage: { prompt_tokens: null, completion_tokens: 'n/a' } }],
    ['messages', { type: 'message', content, usage: { input_tokens: null, output_tokens: -1 } }],
    ['responses', { status: 'completed', output: content, usage: {} }],
    ['gemini', { candidates, usageMetadata: {} }],
    ['interactions', { steps: content, status: 'completed', usage: {} }],
  ])('is estimated: %s %j', async (way, body) => {
    upstream.reply(/./, { body });
    const { row, key } = await ask(way, '', null);
    expect(row?.flags).toEqual(['estimated']);
    expect(row?.inputTokens).toBeGreaterThan(0);
    expect(row?.outputTokens).toBeGreaterThan(0);
    expect(key?.usageNano).toBe(row?.costNano);
    expect(row?.costNano).toBeGreaterThan(0);
  });

  test('of embeddings is estimated by its input', async () => {
    upstream.reply(/./, { body: { data: [], usage: {} } });
    const { row } = await ask('embeddings', '', null);
    expect(row).toMatchObject({ flags: ['estimated'], outputTokens: 0 });
    expect(row?.inputTokens).toBeGreaterThan(0);
  });

  test.each<[Way, object]>([
    ['chat', { choices, usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } }],
    ['chat', { choices, usage: { prompt_tokens: 0, completion_tokens: 6 } }],
    ['responses', { status: 'completed', output: content, usage: { input_tokens: 0, output_tokens: 0 } }],
    ['messages', { type: 'message', content, usage: { input_tokens: 0, output_tokens: 6 } }],
  ])('but for input of 0 is at its word, in open doubt: %s %j', async (way, body) => {
    upstream.reply(/./, { body });
    const { row } = await ask(way, '', null);
    expect(row).toMatchObject({ flags: ['estimated'], inputTokens: 0 });
    const { price } = await gateway.call('requests.get', { id: row?.id ?? 0 });
    expect(price?.doubts).toContain('no input was counted');
  });

  test('at the end of a stream takes back nothing', async () => {
    const counted = { promptTokenCount: 100, candidatesTokenCount: 10 };
    const elements = [{ candidates, usageMetadata: counted }, { usageMetadata: {} }];
    upstream.reply(/./, { body: elements });
    const { row } = await ask('geminiStream', '', null);
    expect(row).toMatchObject({ flags: [], costNano: 200_000 });
  });
});

describe('what a provider says it charged', () => {
  const charged = async (usage: object): Promise<RequestRow | undefined> => {
    upstream.reply(/./, { body: { usage: { prompt_tokens: 100, completion_tokens: 10, ...usage } } });
    return (await ask('router', '', null)).row;
  };
  const computed = 200_000;

  test('is not only its fee, where it does not know what the person’s own key is billed', async () => {
    for (const cost of [0, 0.0001])
      expect(
        await charged({ cost, is_byok: true, cost_details: { upstream_inference_cost: null } }),
      ).toMatchObject({ costNano: computed });
    expect(await charged({ cost: 0, cost_details: { upstream_inference_cost: 0.002 } })).toMatchObject({
      costNano: usd('0.002'),
    });
  });

  test('is not believed where no request can cost it, and leaves the sums whole', async () => {
    for (const cost of [8e6, 8e6, '1e300', 10_000.01])
      expect(await charged({ cost })).toMatchObject({ costNano: computed, reportedCostNano: null });
    for (const huge of [1e30, 5e11, 2e10])
      expect(await charged({ prompt_tokens: huge })).toMatchObject({ flags: ['estimated'] });
    // Served without a price, and priced later.
    const { secret } = await gateway.call('keys.create', { name: 'unpriced' });
    const counts = [1e12, 1e8, 100];
    for (const prompt_tokens of counts) {
      upstream.reply(/./, { body: { usage: { prompt_tokens, completion_tokens: 1 } } });
      await send(`${gateway.url}/${paths.router}`, {
        headers: { authorization: `Bearer ${secret}` },
        body: { model: 'late', messages: [] },
      });
    }
    const [, , , providerId = ''] = providerIds;
    await gateway.call('prices.set', { providerId, model: 'late', input: '1000', output: '0' });
    expect(await gateway.call('prices.reprice', { providerId, model: 'late', apply: true })).toMatchObject({
      rows: 1,
      left: 2,
    });
    const { totals } = await gateway.call('status.get', {});
    expect(totals.monthNano).toBeLessThan(usd('100'));
  });
});
