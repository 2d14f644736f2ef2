/**
 * The vendors' own SDKs read every recorded answer through the gateway exactly as they read it from the provider, and
 * the row that is left says what the provider reported.
 */
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { ProviderKind, RequestRow } from '#shared/model.ts';
import { fixturesDir, loadExchanges, type Exchange } from '../../support/fixtures.ts';
import { addProvider, startCore, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

/** Which kind of provider a recording is played by; what is not here is played by a compatible endpoint. */
const kinds: Readonly<Record<string, ProviderKind>> = {
  openai: 'openai',
  anthropic: 'anthropic',
  google: 'gemini',
  openrouter: 'openrouter',
  groq: 'groq',
  xai: 'xai',
  mistral: 'mistral',
  deepseek: 'deepseek',
};

/** One call: the body to send, and whether it asks for a stream. */
interface Call {
  body: unknown;
  stream: boolean;
}

type Speak = (baseUrl: string, key: string, call: Call) => Promise<unknown>;

const AsksForUsage = z.looseObject({ stream_options: z.looseObject({ include_usage: z.literal(true) }) });
const Read = z.looseObject({ seen: z.array(z.looseObject({})) });
const UsageChunk = z.looseObject({ choices: z.array(z.unknown()).length(0), usage: z.looseObject({}) });

/** By the API of the recording: where the SDK wants its base address to end, and one call of it read to its end. */
const sdks: Readonly<Record<string, { kind: ProviderKind; speak: Speak }>> = {
  chat: { kind: 'openai-compatible', speak: openai('/chat/completions') },
  completions: { kind: 'openai-compatible', speak: openai('/completions') },
  responses: { kind: 'openai-compatible', speak: openai('/responses') },
  embeddings: { kind: 'openai-compatible', speak: openai('/embeddings') },
  messages: { kind: 'anthropic-compatible', speak: anthropic },
  generateContent: { kind: 'gemini', speak: gemini },
  streamGenerateContent: { kind: 'gemini', speak: gemini },
};

const exchanges = loadExchanges().filter(
  ({ api, stream, expected, request, response }) =>
    api in sdks &&
    request.body !== undefined &&
    // What breaks off is given a proper end by the gateway, and a background run is refused, both on purpose.
    expected.outcome !== 'truncated' &&
    expected.outcome !== 'queued' &&
    // This SDK asks for events, so it cannot be given the other form.
    !(api === 'streamGenerateContent' && stream && response.body.startsWith('[')),
);

let upstream: Upstream;
let gateway: CoreGateway;
let secret: string;
const slugs = new Map<ProviderKind, string>();

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  const wanted = new Set([...Object.values(kinds), ...Object.values(sdks).map(({ kind }) => kind)]);
  for (const kind of wanted) slugs.set(kind, (await addProvider(gateway, upstream, kind)).slug);
  ({ secret } = await gateway.call('keys.create', { name: 'sdk' }));
});
beforeEach(() => upstream.reset());
afterAll(async () => {
  await gateway.dispose();
  await upstream.close();
});

/** What the SDK reads straight from the upstream, and what it reads through the gateway. */
async function bothWays(
  api: string,
  provider: string,
  call: Call,
): Promise<{ direct: unknown; through: unknown }> {
  const sdk = sdks[api];
  if (!sdk) throw new Error(`no SDK for ${api}`);
  const own = kinds[provider];
  const kind = own !== undefined && speaks(own, api) ? own : sdk.kind;
  return {
    direct: await sdk.speak(upstream.url, 'sk-upstream', call),
    through: await sdk.speak(`${gateway.url}/${slugs.get(kind)}`, secret, call),
  };
}

const messages = [{ role: 'user', content: 'Hello' }];
test.each([
  ['chat', { model: 'gpt-4o', messages }],
  ['chat', { model: 'gpt-4o', messages, stream_options: { include_usage: true } }],
  ['responses', { model: 'gpt-4o', input: 'Hello' }],
  ['messages', { model: 'claude-haiku-4-5', max_tokens: 100, messages }],
  ['generateContent', {}],
] as const)('a made answer to %s %j is read alike, streamed and not', async (api, body) => {
  for (const stream of [false, true]) {
    // Only a stream has options; with the same body twice the comparison would be of two refusals.
    const options =
      stream || !('stream_options' in body) ? body : { model: body.model, messages: body.messages };
    const { direct, through } = await bothWays(api, 'made', { body: { ...options, stream }, stream });
    const comparable = readAs(api, options);
    expect(comparable(through)).toEqual(comparable(direct));
    expect(direct).not.toHaveProperty('error');
  }
  const { rows } = await gateway.call('requests.list', { limit: 2 });
  expect(rows.map(({ inputTokens, outputTokens }) => [inputTokens, outputTokens])).toEqual([
    [12, 5],
    [12, 5],
  ]);
});

describe.skipIf(fixturesDir === null)('recorded answers through the official SDKs', () => {
  test.each(exchanges.map((exchange) => [exchange.id, exchange] as const))('%s', async (_, exchange) => {
    const { api, provider, request, response, stream } = exchange;
    upstream.replay(() => true, exchange, 97);
    const { direct, through } = await bothWays(api, provider, { body: request.body, stream });
    const comparable = readAs(api, request.body);
    expect(comparable(through)).toEqual(comparable(direct));

    if (response.status !== 200) return;
    const { rows } = await gateway.call('requests.list', { limit: 1 });
    expect(reportedTokens(rows[0], exchange)).toEqual(expectedTokens(exchange));
  });
});

/** What may differ: usage that only the gateway asked for. */
function readAs(api: string, body: unknown): (read: unknown) => unknown {
  return api === 'chat' && !asksForUsage(body) ? withoutUsage : (read) => read;
}

function asksForUsage(body: unknown): boolean {
  return AsksForUsage.safeParse(body).success;
}

/**
 * The gateway asks for the usage of every chat stream and takes out the chunk that carries it alone, also where the
 * provider would have sent it unasked, which it cannot tell. The `usage: null` of the other chunks stays.
 */
function withoutUsage(read: unknown): unknown {
  const parsed = Read.safeParse(read);
  if (!parsed.success) return read;
  const seen = parsed.data.seen.filter((event) => !UsageChunk.safeParse(event).success);
  return {
    ...parsed.data,
    seen: seen.map((event) => Object.assign(event, { usage: event['usage'] ?? null })),
  };
}

function speaks(kind: ProviderKind, api: string): boolean {
  if (kind === 'anthropic') return api === 'messages';
  if (kind === 'gemini') return api === 'generateContent' || api === 'streamGenerateContent';
  if (api === 'responses') return kind !== 'mistral' && kind !== 'deepseek';
  return api !== 'messages';
}

function openai(path: string): Speak {
  return async (baseUrl, key, { body, stream }) => {
    const client = new OpenAI({ apiKey: key, baseURL: `${baseUrl}/v1`, maxRetries: 0 });
    return outcome(() => client.post(path, { body, stream }), stream);
  };
}

async function anthropic(baseUrl: string, key: string, { body, stream }: Call): Promise<unknown> {
  const client = new Anthropic({ apiKey: key, baseURL: baseUrl, maxRetries: 0 });
  return outcome(() => client.post('/v1/messages', { body, stream }), stream);
}

/** This SDK writes its own request; the recorded answer is what matters here. */
async function gemini(baseUrl: string, key: string, { stream }: Call): Promise<unknown> {
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl, apiVersion: 'v1beta' } });
  const ask = { model: 'gemini-2.5-flash', contents: 'Hello' };
  const call = stream ? client.models.generateContentStream(ask) : client.models.generateContent(ask);
  return outcome(() => call, stream);
}

/** All that the SDK's user sees: the value, each event of a stream, and the error where there was one. */
async function outcome(call: () => PromiseLike<unknown>, stream: boolean): Promise<unknown> {
  const seen: unknown[] = [];
  try {
    const answer = await call();
    if (!stream || !isAsyncIterable(answer)) return { answer: plain(answer) };
    for await (const event of answer) seen.push(plain(event));
    return { seen };
  } catch (error) {
    return { seen, error: error instanceof Error ? error.message : String(error) };
  }
}

/** The SDKs keep the HTTP response beside the data; its headers name the server, so they are not compared. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (name, inner: unknown) => (name === 'sdkHttpResponse' ? undefined : inner)),
  );
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

const columns = {
  input_tokens: 'inputTokens',
  output_tokens: 'outputTokens',
  cached_input_tokens: 'cachedInputTokens',
  cache_write_tokens: 'cacheWriteTokens',
  reasoning_tokens: 'reasoningTokens',
} as const satisfies Record<string, keyof RequestRow>;

/** null where the recording has no usage or leaves room for doubt. */
function expectedTokens({ expected }: Exchange): Record<string, number> | null {
  const { usage, doubts } = expected;
  if (usage === null || doubts.length > 0) return null;
  return Object.fromEntries(
    Object.keys(columns).map((name) => [name, Number(Reflect.get(usage, name) ?? 0)]),
  );
}

function reportedTokens(row: RequestRow | undefined, exchange: Exchange): Record<string, number> | null {
  if (expectedTokens(exchange) === null) return null;
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [name, row?.[column] ?? Number.NaN]),
  );
}
