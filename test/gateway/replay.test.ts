/** Every recorded exchange through the running gateway: the client gets the provider's bytes, the ledger the tokens. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProviderKind, ProviderRow } from '#shared/model.ts';
import { usdToNano } from '#shared/money.ts';
import { loadExchanges, type Exchange } from '../support/fixtures.ts';
import { addProvider, startCore, type CoreGateway } from '../support/gateway.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const served: Record<string, string> = {
  chat: '/v1/chat/completions',
  completions: '/v1/completions',
  responses: '/v1/responses',
  'responses-compact': '/v1/responses/compact',
  embeddings: '/v1/embeddings',
  messages: '/v1/messages',
  generateContent: '/v1beta/models/{model}:generateContent',
  streamGenerateContent: '/v1beta/models/{model}:streamGenerateContent',
  embedContent: '/v1beta/models/{model}:embedContent',
};

const ownKind: Record<string, ProviderKind> = {
  openai: 'openai',
  anthropic: 'anthropic',
  google: 'gemini',
  'google-vertex': 'gemini',
  openrouter: 'openrouter',
  groq: 'groq',
  xai: 'xai',
  deepseek: 'deepseek',
  mistral: 'mistral',
};

const exchanges = loadExchanges().filter((exchange) => served[exchange.api] !== undefined);

function kindOf({ api, provider }: Exchange): ProviderKind {
  if (api === 'messages') return provider === 'anthropic' ? 'anthropic' : 'anthropic-compatible';
  if (api.includes('enerateContent') || api === 'embedContent') return 'gemini';
  const kind = ownKind[provider];
  return kind === undefined || kind === 'anthropic' || kind === 'gemini' ? 'openai-compatible' : kind;
}

describe.skipIf(exchanges.length === 0)('a recorded exchange through the gateway', () => {
  let upstream: Upstream;
  let core: CoreGateway;
  let secret: string;
  let keyId: string;
  const providers = new Map<ProviderKind, ProviderRow>();
  const passed = new Map<string, [right: number, all: number]>();

  beforeAll(async () => {
    upstream = await startUpstream();
    core = await startCore();
    for (const kind of new Set(exchanges.map(kindOf)))
      providers.set(kind, await addProvider(core, upstream, kind));
    const created = await core.call('keys.create', { name: 'replay' });
    secret = created.secret;
    keyId = created.key.id;
  });
  afterAll(async () => {
    await core.dispose();
    await upstream.close();
    const rows = [...passed]
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([name, [right, all]]) => `${name.padEnd(44)}${right} of ${all}`);
    console.log(['Replayed through the gateway, by provider and call:', ...rows].join('\n'));
  });

  it.each(exchanges.map((exchange) => [exchange.id, exchange] as const))('%s', async (_id, exchange) => {
    const tally = passed.get(`${exchange.provider} ${exchange.api}`) ?? [0, 0];
    passed.set(`${exchange.provider} ${exchange.api}`, [tally[0], tally[1] + 1]);
    const slug = providers.get(kindOf(exchange))?.slug ?? '';
    const given = exchange.request.body;
    const body = typeof given === 'object' && given !== null ? given : {};
    const model = modelOf(exchange);
    const path = (served[exchange.api] ?? '').replace('{model}', model);
    const query = exchange.request.path.split('?')[1];
    const isEvents = exchange.response.headers['content-type']?.includes('event-stream');
    const alt = exchange.api === 'streamGenerateContent' && isEvents ? 'alt=sse' : query;
    const sent = exchange.api.includes('Content')
      ? body
      : { model, ...body, ...(isEvents ? { stream: true } : {}) };
    upstream.reset();
    upstream.replay(() => true, exchange, 61);

    const response = await fetch(`${core.url}/${slug}${path}${alt ? `?${alt}` : ''}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify(sent),
    });
    const text = await response.text();
    const forwarded = upstream.requests[0]?.json;
    const [row] = (await core.call('requests.list', { keyId, limit: 1 })).rows;

    // A background run is billed where nobody reads: it is refused, with the reason, and never sent.
    if ('background' in sent && sent.background === true) {
      expect([response.status, text, upstream.requests.length]).toEqual([
        400,
        expect.stringContaining('background'),
        0,
      ]);
      passed.set(`${exchange.provider} ${exchange.api}`, [tally[0] + 1, tally[1] + 1]);
      return;
    }
    expect(response.status).toBe(exchange.response.status);
    const hides = usageWasAskedFor(sent, forwarded);
    const shown = hides ? withoutUsageChunk(exchange.response.body) : exchange.response.body;
    // What breaks off is given a proper end behind all that came.
    if (exchange.expected.outcome === 'truncated') {
      expect(text.slice(0, shown.length)).toBe(shown);
      expect(text.slice(shown.length)).toContain('before it was complete');
    } else expect(text).toBe(shown);
    expect(row).toBeDefined();
    const { expected } = exchange;
    const { usage } = expected;
    if (exchange.response.status >= 300) expect(row?.costNano).toBe(0);
    else if (usage && expected.doubts.length === 0) {
      expect({
        input: row?.inputTokens,
        cached: row?.cachedInputTokens,
        written: row?.cacheWriteTokens,
        output: row?.outputTokens,
        reasoning: row?.reasoningTokens,
        searches: row?.webSearches,
      }).toEqual({
        input: usage.input_tokens,
        cached: usage.cached_input_tokens ?? 0,
        written: usage.cache_write_tokens ?? 0,
        output: usage.output_tokens,
        reasoning: usage.reasoning_tokens ?? 0,
        searches: expected.server_tools.web_searches ?? 0,
      });
      if (expected.cost_reported !== null)
        expect(row?.reportedCostNano).toBe(usdToNano(expected.cost_reported));
    } else if (usage === null) expect(row?.flags).toContain('estimated');
    passed.set(`${exchange.provider} ${exchange.api}`, [tally[0] + 1, tally[1] + 1]);
  });
});

function modelOf({ request, expected }: Exchange): string {
  const inPath = /models\/([^:/?]+)[:/]/.exec(request.path)?.[1];
  const { body } = request;
  const inBody = typeof body === 'object' && body !== null && 'model' in body ? body.model : undefined;
  return inPath ?? (typeof inBody === 'string' ? inBody : (expected.model ?? 'unknown-model'));
}

/** The gateway asked for usage where the client had not: then the chunk that carries it is hidden again. */
function usageWasAskedFor(sent: object, forwarded: unknown): boolean {
  return (
    JSON.stringify(forwarded ?? {}).includes('include_usage') &&
    !JSON.stringify(sent).includes('include_usage')
  );
}

function withoutUsageChunk(body: string): string {
  return body.replaceAll(/data: (\{.*\})\r?\n\r?\n/g, (event: string, data: string) => {
    const chunk: unknown = JSON.parse(data);
    const isAlone =
      typeof chunk === 'object' &&
      chunk !== null &&
      'choices' in chunk &&
      Array.isArray(chunk.choices) &&
      chunk.choices.length === 0 &&
      'usage' in chunk &&
      Boolean(chunk.usage);
    return isAlone ? '' : event;
  });
}
