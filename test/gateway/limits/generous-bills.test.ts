/** What is set aside for a request against the most that its provider's pages allow it to bill. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { send } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let gateway: CoreGateway;
let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  for (const kind of ['openai', 'anthropic', 'gemini', 'openrouter', 'groq', 'mistral'] as const)
    await addProvider(gateway, upstream, kind, { slug: kind });
  const { id } = await addProvider(gateway, upstream, 'openai-compatible', { slug: 'compatible' });
  for (const model of ['acme', 'sonar', 'sonar-deep-research', 'compound'])
    await gateway.call('prices.set', {
      providerId: id,
      model,
      input: '2',
      output: '8',
      webSearch: '5',
      perRequest: '0',
    });
});

afterAll(async () => {
  await gateway.dispose();
  await upstream.close();
});

type Json = Record<string, unknown>;

const question = { role: 'user', content: 'hi' };
/** 100 KB of which a token is two bytes. */
const longText = 'a b '.repeat(25_000);

const chat =
  (path: string, model: string) =>
  (fields: Json, usage: Json): [string, Json, Json] => [
    `/${path}/v1/chat/completions`,
    { model, messages: [question], max_tokens: 50, ...fields },
    { choices: [], usage: { prompt_tokens: 10, completion_tokens: 50, ...usage } },
  ];
const said = (...content: Json[]) => ({ messages: [{ role: 'user', content }] });

const calls = (type: string, times: number) => Array.from({ length: times }, () => ({ type }));
const responses = (fields: Json, usage: Json, answer: Json = {}): [string, Json, Json] => [
  '/openai/v1/responses',
  { model: 'gpt-5', input: 'hi', max_output_tokens: 50, ...fields },
  { status: 'completed', output: [], usage: { input_tokens: 10, output_tokens: 50, ...usage }, ...answer },
];
const messages = (fields: Json, usage: Json): [string, Json, Json] => [
  '/anthropic/v1/messages',
  { model: 'claude-sonnet-4-5', max_tokens: 50, messages: [question], ...fields },
  { type: 'message', content: [], usage: { input_tokens: 10, output_tokens: 50, ...usage } },
];
const gemini = (model: string, fields: Json, usage: Json, candidate: Json = {}): [string, Json, Json] => [
  `/gemini/v1beta/models/${model}:generateContent`,
  { contents: [{ parts: [{ text: 'hi' }] }], generationConfig: { maxOutputTokens: 100 }, ...fields },
  {
    candidates: [candidate],
    usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 100, ...usage },
  },
];
const openai = chat('openai', 'gpt-4o');
const audio = chat('openai', 'gpt-4o-audio-preview');
const router = chat('openrouter', 'openai/gpt-4o');
const compatible = chat('compatible', 'acme');
const container = { type: 'code_interpreter', container: { type: 'auto', memory_limit: '64g' } };
const film = { type: 'video_url', video_url: { url: 'https://films.test/long.mp4' } };

const bills: Record<string, [path: string, body: Json, answer: Json]> = {
  'tokens of a prediction that were rejected': openai(
    { prediction: { type: 'content', content: 'a b '.repeat(2000) } },
    { completion_tokens: 4_050, completion_tokens_details: { rejected_prediction_tokens: 4_000 } },
  ),
  'thinking that has a bound of its own': compatible(
    { enable_thinking: true, thinking_budget: 8_000 },
    { completion_tokens: 8_050, completion_tokens_details: { reasoning_tokens: 8_000 } },
  ),
  'sound of an earlier answer': audio(
    { modalities: ['text', 'audio'], messages: [{ role: 'assistant', audio: { id: 'audio_1' } }, question] },
    { prompt_tokens: 12_000, prompt_tokens_details: { audio_tokens: 11_900 } },
  ),
  'sound in place': audio(
    said({ type: 'input_audio', input_audio: { data: 'A'.repeat(10_000), format: 'mp3' } }),
    { prompt_tokens: 1_200, prompt_tokens_details: { audio_tokens: 1_200 } },
  ),
  'sound by its address': compatible(
    said({ type: 'input_audio', input_audio: { data: 'https://sounds.test/long.mp3', format: 'mp3' } }),
    { prompt_tokens: 90_000 },
  ),
  'a film by its address': compatible(said(film), { prompt_tokens: 90_000 }),
  'a film by way of OpenRouter': chat('openrouter', 'google/gemini-2.5-flash')(said(film), {
    prompt_tokens: 900_000,
    cost: 0.28,
  }),
  'a document by its address': chat('mistral', 'mistral-small-latest')(
    said({ type: 'document_url', document_url: 'https://documents.test/long.pdf' }),
    { prompt_tokens: 90_000 },
  ),
  'as much output as was allowed, of a model that nobody knows': compatible(
    { max_tokens: 500_000 },
    { completion_tokens: 500_000 },
  ),
  'large pictures by their addresses': openai(
    said(
      ...Array.from({ length: 5 }, () => ({
        type: 'image_url',
        image_url: { url: 'https://pictures.test/a.png', detail: 'auto' },
      })),
    ),
    { prompt_tokens: 5 * 1_445 + 30 },
  ),
  'the search of a model that searches': chat('openai', 'gpt-4o-search-preview')(
    { web_search_options: { search_context_size: 'high' } },
    {},
  ),
  'the fee of a request that searches': chat('compatible', 'sonar')(
    { web_search_options: { search_context_size: 'high' } },
    { search_context_size: 'high', cost: { total_cost: 0.0145 } },
  ),
  'deep research': chat('compatible', 'sonar-deep-research')(
    { max_tokens: 8_000 },
    { completion_tokens: 7_163, reasoning_tokens: 193_000, cost: { total_cost: 0.88 } },
  ),
  'tools that an agent has unasked': chat('compatible', 'compound')({}, { prompt_tokens: 90_000 }),
  'a browser of Groq': chat('groq', 'openai/gpt-oss-120b')(
    { tools: [{ type: 'browser_search' }] },
    { prompt_tokens: 50_000 },
  ),
  'the system prompt of a preset': router({ preset: 'mine' }, { prompt_tokens: 20_000, cost: 0.0505 }),
  'pages that OpenRouter fetches': router(
    { tools: [{ type: 'openrouter:web_fetch' }] },
    { prompt_tokens: 50_000, cost: 0.1255 },
  ),
  'fifty results of a plug-in': router(
    { plugins: [{ id: 'web', max_results: 50 }] },
    { prompt_tokens: 50_000, cost: 0.326 },
  ),
  'as many searches as were allowed': responses(
    { tools: [{ type: 'web_search' }], max_tool_calls: 40 },
    { input_tokens: 40 * 16_000 },
    { output: calls('web_search_call', 40) },
  ),
  'as many searches as a text allows': responses(
    { tools: [{ type: 'web_search' }], max_tool_calls: '40' },
    { input_tokens: 40 * 11_000 },
    { output: calls('web_search_call', 40) },
  ),
  'as many searches in files as were allowed': responses(
    { model: 'gpt-4.1-nano', tools: [{ type: 'file_search', vector_store_ids: ['vs'] }], max_tool_calls: 40 },
    { input_tokens: 200_000 },
    { output: calls('file_search_call', 40) },
  ),
  'tools of a stored prompt': responses(
    { model: 'gpt-4.1-nano', prompt: { id: 'pmpt_1' } },
    { input_tokens: 1_000_000 },
    { output: calls('web_search_call', 10), tools: [{ type: 'web_search' }] },
  ),
  'a container with much memory': responses(
    { tools: [container] },
    {},
    { output: [{ type: 'code_interpreter_call', container_id: 'c' }], tools: [container] },
  ),
  'input that every round of a tool reads again': responses(
    { input: longText, tools: [{ type: 'mcp', server_label: 'm', server_url: 'https://tools.test' }] },
    { input_tokens: 10 * 52_000 },
  ),
  'reasoning that is only named': responses(
    { input: [question, { type: 'reasoning', id: 'rs_1', summary: [] }] },
    { input_tokens: 20_000 },
  ),
  'a picture of the highest quality': responses(
    { tools: [{ type: 'image_generation', quality: 'high', size: '1536x1024' }] },
    {},
    {
      tools: [{ type: 'image_generation', model: 'gpt-image-1' }],
      tool_usage: { image_gen: { input_tokens: 500, output_tokens: 6_540 } },
    },
  ),
  'input that every fetched page reads again': messages(
    {
      messages: [{ role: 'user', content: 'a b '.repeat(15_000) }],
      tools: [{ type: 'web_fetch_20250910', name: 'web_fetch', max_uses: 3, max_content_tokens: 2_000 }],
    },
    { input_tokens: 4 * 36_000 },
  ),
  'searches and what they find': messages(
    { tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 5 }] },
    { input_tokens: 5 * 14_000, server_tool_use: { web_search_requests: 5 } },
  ),
  'fast, in one region, with an hour of cache': messages(
    {
      model: 'claude-opus-4-6',
      speed: 'fast',
      inference_geo: 'us',
      system: [{ type: 'text', text: longText, cache_control: { type: 'ephemeral', ttl: '1h' } }],
    },
    {
      cache_creation_input_tokens: 60_000,
      cache_creation: { ephemeral_1h_input_tokens: 60_000 },
      speed: 'fast',
      inference_geo: 'us',
    },
  ),
  'a document by its address, of Claude': messages(
    said({ type: 'document', source: { type: 'url', url: 'https://documents.test/long.pdf' } }),
    { input_tokens: 190_000 },
  ),
  'a picture of Gemini': gemini(
    'gemini-2.5-flash-image',
    { generationConfig: { responseModalities: ['IMAGE'], maxOutputTokens: 100 } },
    {
      candidatesTokenCount: 1_290,
      candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 1_290 }],
    },
  ),
  'a cache as long as the window': gemini(
    'gemini-2.5-pro',
    { cachedContent: 'cachedContents/x' },
    { promptTokenCount: 900_000 },
  ),
  'queries of a grounded request, by a model that is not named': gemini(
    'gemini-2.5-pro',
    { tools: [{ googleSearch: {} }] },
    { toolUsePromptTokenCount: 15_000 },
    { groundingMetadata: { webSearchQueries: ['a', 'b', 'c'] } },
  ),
  'the sound of a film by its address': gemini(
    'gemini-2.5-flash',
    { contents: [{ parts: [{ fileData: { fileUri: 'https://films.test/1' } }] }] },
    { promptTokenCount: 1_000_000, promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 1_000_000 }] },
  ),
  'what a search in files finds': gemini(
    'gemini-2.5-flash',
    { tools: [{ fileSearch: { fileSearchStoreNames: ['files'], topK: 50 } }] },
    { toolUsePromptTokenCount: 60_000 },
  ),
  'prompts, each with its choices': [
    '/openai/v1/completions',
    { model: 'gpt-3.5-turbo-instruct', prompt: ['a', 'b', 'c'], n: 2, best_of: 4, max_tokens: 50 },
    { choices: [], usage: { prompt_tokens: 3, completion_tokens: 600 } },
  ],
  'embeddings of tokens': [
    '/openai/v1/embeddings',
    { model: 'text-embedding-3-small', input: Array.from({ length: 300 }, () => [1, 2, 3]) },
    { data: [], usage: { prompt_tokens: 900, total_tokens: 900 } },
  ],
};

async function ask(name: string, limit: string, [path, body, answer]: [string, Json, Json]) {
  const { key, secret } = await gateway.call('keys.create', { name, limitNano: usd(limit) });
  const keyNow = async () => (await gateway.call('keys.list', {})).find(({ id }) => id === key.id);
  let heldNano = 0;
  upstream.reply(/./, async () => {
    heldNano = (await keyNow())?.heldNano ?? 0;
    return { body: answer };
  });
  const answered = await send(`${gateway.url}${path}`, {
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body,
  });
  const { rows } = await gateway.call('requests.list', { keyId: key.id });
  return { answered, heldNano, row: rows[0], key: await keyNow() };
}

describe('set aside is enough for', () => {
  test.each(Object.entries(bills))('%s', async (name, bill) => {
    const { answered, heldNano, row, key } = await ask(name, '100', bill);
    expect(answered.status).toBe(200);
    expect(row?.flags).not.toContain('overrun');
    expect(row?.costNano).toBeGreaterThan(0);
    expect(row?.costNano).toBeLessThanOrEqual(heldNano);
    expect(key).toMatchObject({ usageNano: row?.costNano, heldNano: 0 });
  });
});

test('a key with little left is told what a bill that nothing bounds needs', async () => {
  const { answered, key } = await ask('film', '0.1', compatible(said(film), {}));
  expect(answered.status).toBe(402);
  expect(answered.text).toMatch(/it needs at least \$2\.\d+ and \$0\.10 is left.* Raise the limit/);
  expect(key).toMatchObject({ usageNano: 0, heldNano: 0 });
});

test('beside a prediction the output is bounded by the field that is taken there', async () => {
  const [path, body, answer] = openai({ prediction: { type: 'content', content: 'a' } }, {});
  const { max_tokens: _, ...unbounded } = body;
  const { row } = await ask('prediction', '0.05', [path, unbounded, answer]);
  expect(row?.flags).toContain('clamped');
  const sent: unknown = JSON.parse(upstream.requests.at(-1)?.body.toString() ?? '');
  expect(sent).toHaveProperty('max_tokens');
  expect(sent).not.toHaveProperty('max_completion_tokens');
});

test('a stored prompt, whose tools are not shown, is served with two dollars left', async () => {
  const bill = responses({ model: 'gpt-4.1-mini', prompt: { id: 'pmpt_1' } }, {});
  const { answered, heldNano } = await ask('prompt', '2', bill);
  expect(answered.status).toBe(200);
  expect(heldNano).toBeLessThanOrEqual(usd('2'));
});

test('a model that searches once is served with little left', async () => {
  const bill = bills['the search of a model that searches'];
  if (bill === undefined) throw new Error('no such bill');
  const { answered, row, key } = await ask('search', '0.1', bill);
  expect(answered.status).toBe(200);
  expect(row).toMatchObject({ webSearches: 1 });
  expect(key?.usageNano).toBeLessThan(usd('0.1'));
});
