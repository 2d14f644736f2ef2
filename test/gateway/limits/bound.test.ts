/** Admission's upper bound of a request's input against what providers really billed for it. */
import fc from 'fast-check';
import { countTokens as cl100k } from 'gpt-tokenizer/encoding/cl100k_base';
import { countTokens as o200k } from 'gpt-tokenizer/encoding/o200k_base';
import { afterAll, describe, expect, test } from 'vitest';
import type { DialectId } from '#shared/model.ts';
import type { Price } from '../../../electron/gateway/pricing/cost.ts';
import { boundNano, leastNano } from '../../../electron/gateway/proxy/bound.ts';
import { boundOfBody, inputBound } from '../../support/bounds.ts';
import { anyCharacter } from '../../support/characters.ts';
import { fixturesDir, loadExchanges, type Exchange } from '../../support/fixtures.ts';

const dialectOf: Readonly<Record<string, DialectId>> = {
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

/** A request is only good for this where it is what was sent, and its usage what was billed. */
function isUsable(exchange: Exchange): boolean {
  const { api, request, expected } = exchange;
  const { trimmed, synthesized } = request as { trimmed?: unknown; synthesized?: unknown };
  const { recorded } = exchange as { recorded?: unknown };
  return (
    api in dialectOf &&
    recorded === 'recorded' &&
    !trimmed &&
    !synthesized &&
    request.body !== undefined &&
    expected.usage !== null &&
    expected.outcome !== 'http_error' &&
    expected.doubts.length === 0
  );
}

const exchanges = loadExchanges().filter(isUsable);

/** As the recordings name them. */
const vendors: ReadonlySet<string> = new Set(['openai', 'anthropic', 'google']);

/** Tokens of input that the bound allows for, and those that were billed. */
function inputsOf({ api, provider, request, expected }: Exchange): {
  bound: number;
  billed: number;
  body: number;
} {
  const id = dialectOf[api] ?? 'openai-chat';
  const body = Buffer.from(request.body_text ?? JSON.stringify(request.body));
  const path = /\/models\/([^/:]+):/.exec(request.path)?.[1] ?? null;
  return {
    bound: inputBound(
      id,
      body,
      { model: path, stream: request.path.includes('stream') },
      vendors.has(provider),
    ),
    billed: expected.usage?.input_tokens ?? 0,
    body: body.length,
  };
}

describe.skipIf(fixturesDir === null)('the bound of a request', () => {
  const spare = new Map<string, { least: number; id: string }>();
  afterAll(() => {
    const table = [...spare].map(([name, { least, id }]) => `\n  ${name}: ${least} (${id})`);
    if (table.length > 0) console.info(`Least input tokens to spare, by provider: ${table.join('')}`);
  });

  test('is tried on enough recordings', () => {
    expect(exchanges.length).toBeGreaterThan(50);
  });

  test.each(exchanges)('is no less than what was billed: $id', (exchange) => {
    const { bound, billed } = inputsOf(exchange);
    const least = spare.get(exchange.provider)?.least ?? Infinity;
    if (bound - billed < least) spare.set(exchange.provider, { least: bound - billed, id: exchange.id });
    expect(bound).toBeGreaterThanOrEqual(billed);
  });
});

describe.skipIf(fixturesDir === null)('the money that a request needs at least', () => {
  /** Five dollars a million of input and twenty-five of output, as the dearest models of everyday use. */
  const price: Price = {
    source: 'test',
    guessed: false,
    rates: { input: { base: 5_000_000_000, steps: [] }, output: { base: 25_000_000_000, steps: [] } },
    webSearches: 10_000_000_000,
    requests: null,
  };
  const needs = exchanges.map((exchange) => {
    const { api, request } = exchange;
    const id = dialectOf[api] ?? 'openai-chat';
    const body = Buffer.from(request.body_text ?? JSON.stringify(request.body));
    const model = /\/models\/([^/:]+):/.exec(request.path)?.[1] ?? null;
    const bound = boundOfBody(id, body, { model, stream: false }, price);
    const cents = leastNano(bound, 0) / 10_000_000;
    // A file, a stored conversation or a hosted tool can be as long as the model takes.
    const isPlain = bound.searches === 0 && boundNano(bound, 0) < (2 * body.length + 8_000) * 5_000;
    return { id, cents, isPlain, tokens: exchange.expected.usage?.input_tokens ?? 0 };
  });

  test('is cents at the most where the request says all that it sends', () => {
    const table = Object.values(Object.groupBy(needs, ({ id, isPlain }) => `${id} ${isPlain}`)).map(
      (group) => {
        const sorted = group.map(({ cents }) => cents).toSorted((a, b) => a - b);
        const middle = sorted[Math.floor(sorted.length / 2)] ?? 0;
        const kind = group[0]?.isPlain === true ? 'plain' : 'with files or hosted tools';
        return `\n  ${group[0]?.id}, ${kind}: ${group.length} requests, median ${middle.toFixed(2)}, most ${sorted.at(-1)?.toFixed(2)}`;
      },
    );
    console.info(
      `Cents left that still serve, at $5 and $25 a million, before an exact count: ${table.join('')}`,
    );
    const tooMuch = needs.filter(
      ({ cents, isPlain, tokens }) => isPlain && cents > 6 + (tokens * 500 * 5) / 1_000_000,
    );
    expect(tooMuch).toEqual([]);
  });
});

describe('text of any kind', () => {
  const kinds: Readonly<Record<string, fc.Arbitrary<string>>> = {
    'any characters': fc.string({ unit: anyCharacter, maxLength: 300 }),
    'what people see as characters': fc.string({ unit: 'grapheme', maxLength: 300 }),
    Chinese: fc.string({
      unit: fc.integer({ min: 0x4e00, max: 0x9fff }).map((code) => String.fromCodePoint(code)),
    }),
    'rare ideographs': fc.string({
      unit: fc.integer({ min: 0x20000, max: 0x2ffff }).map((code) => String.fromCodePoint(code)),
    }),
    emoji: fc.string({ unit: fc.constantFrom('👩‍👩‍👧‍👦', '🏳️‍🌈', '👍🏽', '🇨🇭', '\u200d', '\ufe0f') }),
    base64: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('base64')),
    'white space': fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r', '\u00a0', '\u2028') }),
    'control characters': fc.string({
      unit: fc.integer({ min: 0, max: 31 }).map((code) => String.fromCharCode(code)),
    }),
    'lone surrogates': fc.string({
      unit: fc.integer({ min: 0xd800, max: 0xdfff }).map((code) => String.fromCharCode(code)),
    }),
    code: fc.string({
      unit: fc.constantFrom('{', '}', '=>', '();', '  ', '0x', '!==', 'π', '"', '\\', '/*'),
    }),
    'special tokens': fc.string({ unit: fc.constantFrom('<|endoftext|>', '<|im_start|>', '<|', '|>') }),
  };
  const plainly = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };
  /** As SDKs write it, and with every character escaped. */
  const spellings: ((text: string) => string)[] = [
    (text) => JSON.stringify(text),
    (text) =>
      `"${Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`,
  ];
  const bodies: Readonly<Record<string, (text: string) => string>> = {
    'openai-chat': (text) => `{"model":"gpt-5","messages":[{"role":"user","content":${text}}]}`,
    'openai-responses': (text) => `{"model":"gpt-5","input":${text}}`,
    'anthropic-messages': (text) =>
      `{"model":"claude-opus-5","messages":[{"role":"user","content":${text}}]}`,
    gemini: (text) => `{"contents":[{"parts":[{"text":${text}}]}]}`,
  };

  test.each(Object.entries(kinds))('has no more tokens than its bound: %s', (_, kind) => {
    fc.assert(
      fc.property(kind, fc.constantFrom(...spellings), (text, spell) => {
        const tokens = Math.max(o200k(text, plainly), cl100k(text, plainly));
        for (const [dialect, body] of Object.entries(bodies)) {
          const bound = inputBound(dialect as DialectId, Buffer.from(body(spell(text))));
          expect(bound).toBeGreaterThanOrEqual(tokens + 3);
        }
      }),
      { numRuns: 60 },
    );
  });
});
