/** The books balance: whatever clients, providers and chance do, what a key has used is the sum of its usage rows. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RequestRow } from '#shared/model.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { seededRandom } from '../../support/random.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

/** Odd on purpose: amounts that binary fractions cannot hold. */
const price = { input: '0.37', output: '1.13' };
const models = { openai: 'acme-chat', anthropic: 'acme-messages', gemini: 'acme-generate' } as const;

type Kind = keyof typeof models;

describe('a thousand mixed requests at once', () => {
  test('leave usage equal to the sum of rows, to the nano-dollar, and no hold', async () => {
    for (const kind of ['openai', 'anthropic', 'gemini'] as const) {
      const provider = await addProvider(gateway, upstream, kind);
      await gateway.call('prices.set', { providerId: provider.id, model: models[kind], ...price });
    }
    const random = seededRandom(20_261_122);
    upstream.answers(() => ({
      inputTokens: 1 + Math.floor(random() * 30),
      outputTokens: 1 + Math.floor(random() * 200),
      text: 'Some words of an answer, cut in two.',
    }));
    // Every seventh answer or so goes wrong in one of the ways a provider has.
    upstream.reply(
      () => random() < 0.15,
      () => {
        const choice = Math.floor(random() * 4);
        if (choice === 0) return { status: 500, body: { error: { message: 'The server had an error.' } } };
        if (choice === 1) return { status: 429, body: { error: { message: 'Slow down.' } } };
        if (choice === 2) return { chunks: [], reset: true };
        return { headers: { 'content-type': 'text/event-stream' }, chunks: ['data: {"id":'], reset: true };
      },
    );

    const keys = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        gateway.call('keys.create', {
          name: `key-${index}`,
          limitNano: index % 2 === 0 ? null : usd('50'),
          recurring: index % 4 === 3 ? { amountNano: usd('40'), every: 'day' } : null,
        }),
      ),
    );

    const outcomes = await concurrently(1000, 50, async (index) => {
      const secret = keys[index % keys.length]?.secret ?? '';
      const kind = (['openai', 'anthropic', 'gemini'] as const)[Math.floor(random() * 3)] ?? 'openai';
      const hangUp = random() < 0.1;
      return ask(kind, secret, { stream: random() < 0.6, hangUp });
    });
    expect(outcomes.filter((outcome) => outcome === 'complete').length).toBeGreaterThan(600);
    expect(outcomes.filter((outcome) => outcome === 'hung up').length).toBeGreaterThan(30);
    // Money was never short, so nothing was refused for it.
    expect(outcomes.filter((outcome) => outcome === 402)).toEqual([]);

    // Answers whose client hung up are still read for a while.
    const list = () => gateway.call('keys.list', {});
    await expect.poll(async () => (await list()).map(({ heldNano }) => heldNano)).toEqual(keys.map(() => 0));

    const rows = await allRows(gateway);
    const sums = new Map(keys.map(({ key }) => [key.id, 0]));
    for (const { keyId, costNano } of rows) sums.set(keyId, (sums.get(keyId) ?? 0) + (costNano ?? 0));
    const listed = await list();
    expect(new Map(listed.map(({ id, usageNano }) => [id, usageNano]))).toEqual(sums);
    expect(listed.reduce((sum, { requests }) => sum + requests, 0)).toBe(rows.length);
    const { totals } = await gateway.call('status.get', {});
    const total = [...sums.values()].reduce((sum, cost) => sum + cost, 0);
    expect(totals).toMatchObject({ usageNano: total, heldNano: 0, running: 0 });
    expect(total).toBeGreaterThan(0);

    // What a provider reported was priced to the nano-dollar: 0.37 and 1.13 dollars a million are 370 and 1130 a token.
    const reported = rows.filter(({ status, flags }) => status === 200 && flags.length === 0);
    expect(reported.length).toBeGreaterThan(600);
    expect(reported.map(({ costNano }) => costNano)).toEqual(
      reported.map(({ inputTokens, outputTokens }) => inputTokens * 370 + outputTokens * 1130),
    );

    const again = await gateway.restart();
    gateway = again;
    expect(await list()).toEqual(listed);
  });
});

describe('a hundred requests of $0.10 race for $1.00', () => {
  const model = 'acme-dime';
  const dime = { model, max_completion_tokens: 1000, messages: [{ role: 'user', content: 'x' }] };

  beforeEach(async () => {
    const provider = await addProvider(gateway, upstream, 'openai');
    // A thousand tokens of output at $100 a million: ten cents.
    await gateway.call('prices.set', { providerId: provider.id, model, input: '0', output: '100' });
  });

  test('ten are served, the rest refused, and exactly $1.00 is spent', async () => {
    const { secret } = await gateway.call('keys.create', { name: 'racer', limitNano: usd('1') });
    const hold = gate();
    upstream.answers({ inputTokens: 5, outputTokens: 1000, text: 'ten cents' });
    upstream.reply('/v1/chat/completions', () => ({ before: hold, body: dimeAnswer(1000) }));

    const race = Promise.all(Array.from({ length: 100 }, () => post(secret, dime)));
    await upstream.nthRequest(10);
    const [during] = await gateway.call('keys.list', {});
    expect(during).toMatchObject({ usageNano: 0, heldNano: usd('1') });
    hold.open();

    const statuses = (await race).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(new Set(statuses.filter((status) => status !== 200))).toEqual(new Set([402]));
    expect(upstream.requests).toHaveLength(10);
    const [after] = await gateway.call('keys.list', {});
    expect(after).toMatchObject({ usageNano: usd('1'), heldNano: 0, limitState: 'reached' });
  });

  test('where requests turn out cheaper than they might have been, those that waited are served with the rest', async () => {
    const { secret } = await gateway.call('keys.create', { name: 'racer', limitNano: usd('1') });
    upstream.reply('/v1/chat/completions', () => ({ body: dimeAnswer(400) }));

    const statuses = (await Promise.all(Array.from({ length: 100 }, () => post(secret, dime)))).map(
      ({ status }) => status,
    );

    const [after] = await gateway.call('keys.list', {});
    const served = statuses.filter((status) => status === 200).length;
    expect(after).toMatchObject({ usageNano: served * usd('0.04'), heldNano: 0 });
    expect(after?.usageNano).toBeLessThanOrEqual(usd('1'));
    // Ten could be held at once; the money they did not need has served others.
    expect(served).toBeGreaterThan(15);
  });
});

function dimeAnswer(outputTokens: number) {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    model: 'acme-dime',
    choices: [{ index: 0, message: { role: 'assistant', content: 'ten cents' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: outputTokens, total_tokens: 5 + outputTokens },
  };
}

async function post(secret: string, body: unknown): Promise<{ status: number; text: string }> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

/** One request in one of the dialects: its status where refused or failed, or how it went. */
async function ask(
  kind: Kind,
  secret: string,
  { stream, hangUp }: { stream: boolean; hangUp: boolean },
): Promise<'complete' | 'hung up' | 'broken' | number> {
  const abort = new AbortController();
  const { path, body } = question(kind, stream);
  try {
    const response = await fetch(`${gateway.url}${path}`, {
      method: 'POST',
      headers: { 'x-api-key': secret, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: abort.signal,
    });
    if (hangUp) {
      abort.abort();
      return 'hung up';
    }
    await response.arrayBuffer();
    return response.ok ? 'complete' : response.status;
  } catch {
    return 'broken';
  }
}

function question(kind: Kind, stream: boolean): { path: string; body: object } {
  const messages = [
    { role: 'user', content: 'A question of some length, so that there is input to hold money for.' },
  ];
  const model = models[kind];
  if (kind === 'openai')
    return { path: '/v1/chat/completions', body: { model, messages, max_tokens: 300, stream } };
  if (kind === 'anthropic')
    return { path: '/v1/messages', body: { model, messages, max_tokens: 300, stream } };
  const body = {
    contents: [{ parts: [{ text: 'A question.' }] }],
    generationConfig: { maxOutputTokens: 300 },
  };
  const action = stream ? 'streamGenerateContent?alt=sse' : 'generateContent';
  return { path: `/v1beta/models/${model}:${action}`, body };
}

async function allRows(from: CoreGateway): Promise<RequestRow[]> {
  const rows: RequestRow[] = [];
  let before: number | null = null;
  do {
    const page: { rows: RequestRow[]; next: number | null } = await from.call('requests.list', {
      before,
      limit: 300,
    });
    rows.push(...page.rows);
    before = page.next;
  } while (before !== null);
  return rows;
}

async function concurrently<T>(
  count: number,
  width: number,
  work: (index: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      results[index] = await work(index);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}
