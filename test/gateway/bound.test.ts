/** Admission's upper bound of a request's input against what providers really billed for it. */
import { afterAll, describe, expect, test } from 'vitest';
import type { DialectId } from '#shared/model.ts';
import { inputBound } from '../support/bounds.ts';
import { fixturesDir, loadExchanges, type Exchange } from '../support/fixtures.ts';

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

/** Tokens of input that the bound allows for, and those that were billed. */
function inputsOf({ api, request, expected }: Exchange): { bound: number; billed: number; body: number } {
  const id = dialectOf[api] ?? 'openai-chat';
  const body = Buffer.from(request.body_text ?? JSON.stringify(request.body));
  const path = /\/models\/([^/:]+):/.exec(request.path)?.[1] ?? null;
  return {
    bound: inputBound(id, body, { model: path, stream: request.path.includes('stream') }),
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
