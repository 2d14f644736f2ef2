/**
 * The running gateway under any sequence of requests, streams, hang-ups, edits, clocks and crashes, against a provider
 * that bills what it generates: after each step every limit holds, and in the end every hold has ended.
 */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KeyRow } from '#shared/model.ts';
import { addDimeProviders } from '../../support/bounded-requests.ts';
import { abandonable, send, type Incoming } from '../../support/client.ts';
import { fakeClock, startCore, folderWithLedger, usd, type CoreGateway } from '../../support/gateway.ts';
import { answerAsProvider } from '../../support/provider-answers.ts';
import { gate, startUpstream, type Gate, type Upstream } from '../../support/upstream.ts';

type Step =
  | {
      do: 'ask';
      key: number;
      how: 'plain' | 'stream' | 'hang up';
      messages: boolean;
      bound: number;
      bills: number;
    }
  | { do: 'answer'; which: number }
  | { do: 'limit' | 'top-up'; key: number; cents: number }
  | { do: 'pass-time'; minutes: number }
  | { do: 'crash' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      key: fc.nat(2),
      how: fc.constantFrom('plain' as const, 'stream' as const, 'hang up' as const),
      messages: fc.boolean(),
      bound: fc.integer({ min: 1, max: 3000 }),
      bills: fc.integer({ min: 0, max: 100 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('answer' as const), which: fc.nat(9) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('limit' as const, 'top-up' as const),
      key: fc.nat(2),
      cents: fc.nat(60),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('pass-time' as const),
      minutes: fc.integer({ min: -90, max: 90 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
);

const TAG = 'x-session-id';

/** What the provider has been asked for and not answered yet, and what it has billed, by tag. */
interface Provider {
  upstream: Upstream;
  pending: { tag: string; answer: Gate }[];
  book: Map<string, number>;
}

async function startProvider(): Promise<Provider> {
  const upstream = await startUpstream();
  const pending: Provider['pending'] = [];
  const book: Provider['book'] = new Map();
  upstream.reply(/./, async ({ headers, json, method, path, query }) => {
    const tag = String(headers[TAG]);
    const { max_tokens: bound = 0, metadata } = json as {
      max_tokens?: number;
      metadata: { percent: number };
    };
    const outputTokens = Math.max(1, Math.floor((bound * metadata.percent) / 100));
    // Generated, and billed, whether anybody hears of it or not.
    book.set(tag, outputTokens * 100_000);
    const held = gate();
    pending.push({ tag, answer: held });
    const tokens = { inputTokens: 0, outputTokens, text: 'Hello' };
    const answer = answerAsProvider({ method, path, query, body: json }, tokens);
    await held.opened;
    if (answer === null) throw new Error(path);
    if ('json' in answer) return { status: answer.status, body: answer.json };
    return { status: answer.status, headers: { 'content-type': answer.contentType }, chunks: answer.pieces };
  });
  return { upstream, pending, book };
}

test('whatever is asked, answered, left, limited, topped up, or cut off', async () => {
  const property = fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 25 }), play);
  await fc.assert(property, { numRuns: 12 });
});

async function play(steps: readonly Step[]): Promise<void> {
  const clock = fakeClock('2026-11-18T10:00:00Z');
  const provider = await startProvider();
  const { upstream, pending, book } = provider;
  let gateway: CoreGateway = await startCore({ clock, waitMs: 0 });
  const abandoned: CoreGateway[] = [];
  try {
    await addDimeProviders(gateway, upstream);
    const secrets: string[] = [];
    for (const limits of [
      { limitNano: usd('0.5') },
      { recurring: { amountNano: usd('0.3'), every: 'hour' as const } },
      {},
    ])
      secrets.push((await gateway.call('keys.create', { name: `key ${secrets.length}`, ...limits })).secret);
    const ids = (await gateway.call('keys.list', {})).map(({ id }) => id);
    /** Answers on their way to clients that are still there. */
    let waiting = new Map<string, Promise<Incoming | null>>();
    let before = await gateway.call('keys.list', {});
    let number = 0;

    for (const one of steps) {
      if (one.do === 'ask') {
        const tag = `t${(number += 1)}`;
        const { path, outgoing } = requestOf(one, secrets[one.key] ?? '', tag);
        const arrived = upstream.nthRequest(upstream.requests.length + 1).then(() => 'arrived' as const);
        if (one.how === 'hang up') {
          const { hangUp, gone } = abandonable(`${gateway.url}${path}`, outgoing);
          // Refused requests are over by themselves.
          if ((await Promise.race([arrived, gone])) === 'arrived') hangUp();
          await gone;
        } else {
          const answered = send(`${gateway.url}${path}`, outgoing).catch(() => null);
          const first = await Promise.race([arrived, answered]);
          if (first === 'arrived') waiting.set(tag, answered);
          else expect([402, 429]).toContain(first?.status);
        }
      } else if (one.do === 'answer') {
        const [next] = pending.splice(one.which % Math.max(1, pending.length), 1);
        if (!next) continue;
        await finish(next, gateway, waiting, book);
      } else if (one.do === 'limit') {
        const id = ids[one.key] ?? '';
        await gateway.call('keys.setLimit', { id, limitNano: usd(String(one.cents / 50)) });
      } else if (one.do === 'top-up') {
        await gateway.tryCall('keys.topUp', {
          id: ids[one.key] ?? '',
          amountNano: usd(String(one.cents / 100)),
        });
      } else if (one.do === 'pass-time') {
        clock.advance(one.minutes * 60_000);
      } else {
        // The files of this instant go on elsewhere; the process they came from has no part in it any more.
        const dataDir = folderWithLedger();
        for (const ending of ['', '-wal'])
          copyFileSync(join(gateway.dataDir, `faregate.db${ending}`), join(dataDir, `faregate.db${ending}`));
        abandoned.push(gateway);
        for (const { answer } of pending.splice(0)) answer.open();
        waiting = new Map();
        gateway = await startCore({ clock, waitMs: 0, dataDir });
        for (const row of await gateway.call('keys.list', {})) expect(row.heldNano).toBe(0);
      }
      const now = await gateway.call('keys.list', {});
      for (const row of now)
        expectWithin(
          row,
          before.find(({ id }) => id === row.id),
        );
      before = now;
    }

    for (const next of pending.splice(0)) await finish(next, gateway, waiting, book);
    expect((await gateway.call('status.get', {})).totals).toMatchObject({ heldNano: 0, running: 0 });
    const { rows } = await gateway.call('requests.list', { limit: 1000 });
    expect(new Set(rows.map(({ session }) => session)).size).toBe(rows.length);
    for (const [tag, billed] of book) {
      const row = rows.find(({ session }) => session === tag);
      // After a crash what was set aside is counted in full, which is no less than what was billed.
      if (row?.flags.includes('interrupted')) expect(row.costNano).toBeGreaterThanOrEqual(billed);
      else expect([tag, row?.costNano]).toEqual([tag, billed]);
    }
    for (const row of await gateway.call('keys.list', {})) {
      const own = rows.filter(({ keyId }) => keyId === row.id);
      expect(row.usageNano).toBe(own.reduce((sum, { costNano }) => sum + (costNano ?? 0), 0));
    }
  } finally {
    for (const { answer } of pending) answer.open();
    for (const each of [gateway, ...abandoned]) await each.dispose();
    await upstream.close();
  }
}

/** Lets the provider answer, and waits until the gateway has settled it. */
async function finish(
  { tag, answer }: Provider['pending'][number],
  gateway: CoreGateway,
  waiting: Map<string, Promise<Incoming | null>>,
  book: ReadonlyMap<string, number>,
): Promise<void> {
  const events = await gateway.events();
  const settled = events.first('request-settled', ({ rows }) => rows.some(({ session }) => session === tag));
  answer.open();
  const { rows } = await settled;
  events.close();
  expect(rows.find(({ session }) => session === tag)?.costNano).toBe(book.get(tag));
  const answered = await waiting.get(tag);
  if (answered) expect(answered.status).toBe(200);
}

/** Law 2: what is spent and held is within every limit, or else nothing was admitted since it was not. */
function expectWithin(row: KeyRow, before: KeyRow | undefined): void {
  const committed = (one: KeyRow) => one.usageNano + one.heldNano;
  const topUp = row.topUp?.amountNano ?? 0;
  const more = committed(row) > (before ? committed(before) : 0);
  if (!more) return;
  if (row.limitNano !== null) expect(committed(row)).toBeLessThanOrEqual(row.limitNano + topUp);
  if (row.recurring)
    expect(row.recurring.usedNano + row.heldNano).toBeLessThanOrEqual(row.recurring.amountNano + topUp);
}

function requestOf({ how, messages, bound, bills }: Step & { do: 'ask' }, secret: string, tag: string) {
  const body = {
    model: 'acme',
    messages: [{ role: 'user', content: 'x' }],
    stream: how === 'stream',
    max_tokens: bound,
    // Rides along for the provider to know how much of the bound it generates.
    metadata: { percent: bills },
  };
  return {
    path: messages ? '/v1/messages' : '/v1/chat/completions',
    outgoing: { headers: { 'x-api-key': secret, [TAG]: tag }, body },
  };
}
