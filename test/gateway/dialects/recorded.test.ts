/** Every recorded answer through the meter, cut at random places: bytes as they came, facts as recorded. */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { DialectId } from '#shared/model.ts';
import { usdToNano } from '#shared/money.ts';
import type { AnswerFacts, TokenUsage } from '../../../electron/gateway/dialects/dialect.ts';
import { dialects } from '../../../electron/gateway/dialects/index.ts';
import type { Framing } from '../../../electron/gateway/metering/framing.ts';
import { createMeter } from '../../../electron/gateway/metering/meter.ts';
import { fixturesDir, loadExchanges, type Exchange, type ExpectedUsage } from '../../support/fixtures.ts';

const dialectOf: Record<string, DialectId> = {
  chat: 'openai-chat',
  completions: 'openai-completions',
  responses: 'openai-responses',
  'responses-compact': 'openai-responses',
  embeddings: 'openai-embeddings',
  messages: 'anthropic-messages',
  generateContent: 'gemini',
  streamGenerateContent: 'gemini',
  embedContent: 'gemini-embeddings',
};

const vendors: Record<string, string> = { google: 'gemini', 'google-vertex': 'gemini' };

const exchanges = loadExchanges().filter((exchange) => dialectOf[exchange.api] !== undefined);

function framingOf(exchange: Exchange): Framing {
  const type = exchange.response.headers['content-type'] ?? '';
  if (type.includes('event-stream')) return 'sse';
  return exchange.stream && exchange.response.body.trimStart().startsWith('[') ? 'json-array' : 'json';
}

/** Pushes the body in pieces that end at `cuts`, and returns what came out. */
function run(exchange: Exchange, hideUsage: boolean, cuts: readonly number[]) {
  const dialect = dialects[dialectOf[exchange.api] ?? 'openai-chat'];
  const framing = framingOf(exchange);
  const vendor = vendors[exchange.provider] ?? exchange.provider;
  const reader = dialect.reader({ hideUsage, vendor, jsonArray: framing === 'json-array' });
  const meter = createMeter({ reader, framing, hideUsage });
  const body = Buffer.from(exchange.response.body);
  const out: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts.map((one) => one % (body.length + 1)).toSorted((a, b) => a - b), body.length]) {
    out.push(meter.push(body.subarray(from, cut)));
    from = cut;
  }
  out.push(meter.end());
  return { facts: reader.facts, meter, out: Buffer.concat(out), body };
}

const classes: [keyof TokenUsage, keyof ExpectedUsage][] = [
  ['inputTokens', 'input_tokens'],
  ['cachedInputTokens', 'cached_input_tokens'],
  ['cacheWriteTokens', 'cache_write_tokens'],
  ['cacheWrite1hTokens', 'cache_write_1h_tokens'],
  ['audioInputTokens', 'input_audio_tokens'],
  ['imageInputTokens', 'input_image_tokens'],
  ['outputTokens', 'output_tokens'],
  ['reasoningTokens', 'reasoning_tokens'],
  ['audioOutputTokens', 'output_audio_tokens'],
  ['imageOutputTokens', 'output_image_tokens'],
];

function readFacts(facts: AnswerFacts) {
  const { usage } = facts;
  return {
    model: facts.model,
    serviceTier: facts.serviceTier,
    usage: usage && Object.fromEntries(classes.map(([name]) => [name, usage[name]])),
    webSearches: usage?.webSearches ?? 0,
    extraPasses: facts.extraPasses.map((pass) => [
      pass.model,
      pass.usage.inputTokens,
      pass.usage.outputTokens,
    ]),
    reportedCostNano: facts.reportedCostNano,
  };
}

function expectedFacts({ expected }: Exchange) {
  const { usage } = expected;
  return {
    model: expected.model,
    serviceTier: expected.service_tier,
    usage: usage && Object.fromEntries(classes.map(([name, recorded]) => [name, usage[recorded] ?? 0])),
    webSearches: expected.server_tools.web_searches ?? 0,
    extraPasses: (expected.extra_passes ?? []).map((pass) => [
      pass.model,
      pass.input_tokens,
      pass.output_tokens,
    ]),
    reportedCostNano: expected.cost_reported === null ? null : usdToNano(expected.cost_reported),
  };
}

/** What the recording itself doubts is taken as it came out. */
function withoutDoubts(
  exchange: Exchange,
  expected: ReturnType<typeof readFacts>,
  found: ReturnType<typeof readFacts>,
) {
  const doubts = exchange.expected.doubts.join(' ');
  const kept = { ...expected };
  if (doubts.includes('fallback')) kept.model = found.model;
  if (doubts.includes('reasoning_tokens >') || doubts.includes('more cached')) kept.usage = found.usage;
  return kept;
}

const table = new Map<string, { passed: number; total: number }>();

const cuts = fc.array(fc.nat(), { maxLength: 40 });
const seeded = { seed: 20261122, numRuns: 8 };

describe.skipIf(fixturesDir === null)('a recorded answer', () => {
  it.each(exchanges.map((exchange) => [exchange.id, exchange] as const))('%s', (_id, exchange) => {
    const name = `${exchange.provider} · ${dialectOf[exchange.api]}`;
    const row = table.get(name) ?? { passed: 0, total: 0 };
    table.set(name, row);
    row.total++;
    fc.assert(
      fc.property(cuts, (places) => {
        const { facts, out, body, meter } = run(exchange, false, places);
        expect(out.equals(body)).toBe(true);
        if (exchange.response.status < 400) {
          const found = readFacts(facts);
          expect(found).toEqual(withoutDoubts(exchange, expectedFacts(exchange), found));
          const whole = !['truncated', 'unparsable'].includes(exchange.expected.outcome);
          expect(meter.complete).toBe(whole);
        } else {
          expect(facts.usage).toBeNull();
        }
      }),
      seeded,
    );
    row.passed++;
  });

  const chats = exchanges.filter(({ api, stream }) => stream && (api === 'chat' || api === 'completions'));
  it.each(chats.map((exchange) => [exchange.id, exchange] as const))(
    '%s, its usage hidden',
    (_id, exchange) => {
      const bodyWithout = exchange.response.body
        .split(/(?<=\r?\n\r?\n)/)
        .filter((event) => !(/"choices": ?\[\]/.test(event) && /"usage": ?\{/.test(event)))
        .join('');
      fc.assert(
        fc.property(cuts, (places) => {
          const { facts, out } = run(exchange, true, places);
          expect(out.toString()).toBe(bodyWithout);
          const found = readFacts(facts);
          expect(found).toEqual(withoutDoubts(exchange, expectedFacts(exchange), found));
        }),
        seeded,
      );
    },
  );
});

afterAll(() => {
  if (table.size === 0) return;
  const lines = [...table]
    .map(([name, { passed, total }]) => `${name.padEnd(52)} ${passed} / ${total}`)
    .toSorted((one, other) => one.localeCompare(other));
  const rows = [...table.values()];
  const sum = (pick: 'passed' | 'total') => rows.reduce((all, row) => all + row[pick], 0);
  console.info(
    `Recorded answers read as recorded, provider · dialect\n${lines.join('\n')}\nall: ${sum('passed')} / ${sum('total')}`,
  );
});
