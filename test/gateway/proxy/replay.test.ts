/** Every recorded exchange through the running gateway: the client gets the provider's bytes, the ledger the tokens. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProviderKind, ProviderRow } from '#shared/model.ts';
import { usdToNano } from '#shared/money.ts';
import { loadExchanges, type Exchange } from '../../support/fixtures.ts';
import { addProvider, startCore, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

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
  const table = new Map<string, Tally>();

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
    console.log(['Replayed through the gateway:', ...tableOf(table)].join('\n'));
  });

  it.each(exchanges.map((exchange) => [exchange.id, exchange] as const))('%s', async (_id, exchange) => {
    const name = `${exchange.provider} ${exchange.api}`;
    const tally = table.get(name) ?? { exchanges: 0, bytes: [0, 0], tokens: [0, 0], cost: [0, 0] };
    table.set(name, tally);
    tally.exchanges++;
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
      return;
    }
    tally.bytes[1]++;
    expect(response.status).toBe(exchange.response.status);
    const hides = usageWasAskedFor(sent, forwarded);
    const shown = hides ? withoutUsageChunk(exchange.response.body) : exchange.response.body;
    // What breaks off is given a proper end behind all that came.
    if (exchange.expected.outcome === 'truncated') {
      expect(text.slice(0, shown.length)).toBe(shown);
      expect(text.slice(shown.length)).toContain('before it was complete');
    } else expect(text).toBe(shown);
    tally.bytes[0]++;
    expect(row).toBeDefined();
    const { expected } = exchange;
    const { usage } = expected;
    if (exchange.response.status >= 300) expect(row?.costNano).toBe(0);
    else if (usage && expected.doubts.length === 0) {
      tally.tokens[1]++;
      if (expected.cost_reported !== null) tally.cost[1]++;
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
      tally.tokens[0]++;
      if (expected.cost_reported !== null) {
        expect(row?.reportedCostNano).toBe(usdToNano(expected.cost_reported));
        tally.cost[0]++;
      }
    } else if (usage === null) expect(row?.flags).toContain('estimated');
  });
});

/** How many were right, of how many that could be; what the recording leaves open or doubts is not among them. */
interface Tally {
  exchanges: number;
  bytes: [right: number, all: number];
  tokens: [right: number, all: number];
  cost: [right: number, all: number];
}

function tableOf(table: ReadonlyMap<string, Tally>): string[] {
  const line = (cells: readonly unknown[]) =>
    cells.map((cell, at) => (at === 0 ? String(cell).padEnd(40) : String(cell).padStart(16))).join('');
  const fraction = ([right, all]: readonly [number, number]) => (all === 0 ? '-' : `${right} of ${all}`);
  const rows = [...table].toSorted(([a], [b]) => a.localeCompare(b));
  const sum = (pick: (tally: Tally) => number) => rows.reduce((all, [, tally]) => all + pick(tally), 0);
  const total = (of: 'bytes' | 'tokens' | 'cost') =>
    fraction([sum((one) => one[of][0]), sum((one) => one[of][1])]);
  return [
    line(['provider and call', 'exchanges', 'bytes identical', 'tokens equal', 'cost equal']),
    ...rows.map(([name, { exchanges: all, bytes, tokens, cost }]) =>
      line([name, all, fraction(bytes), fraction(tokens), fraction(cost)]),
    ),
    line(['all', sum(({ exchanges: all }) => all), total('bytes'), total('tokens'), total('cost')]),
  ];
}

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
