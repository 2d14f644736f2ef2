/** The end of the gateway and the start after it: in order or not, no money is lost and none is counted twice. */
import { rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore } from '../../../electron/gateway/store/store.ts';
import { begin, send } from '../../support/client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { sse } from '../../support/provider-answers.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let key: string;
/** Called whenever the gateway looks at the clock. */
let onLook: () => void;

beforeEach(async () => {
  upstream = await startUpstream();
  onLook = () => {};
  const now = () => {
    onLook();
    return Date.now();
  };
  gateway = await startCore({ waitMs: 60_000, clock: { now } });
  const { id } = await addProvider(gateway, upstream, 'anthropic');
  await gateway.call('prices.set', { providerId: id, model: 'acme', input: '0', output: '100' });
  ({ secret: key } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('1') }));
});

afterEach(async () => {
  await gateway.gateway.close({ graceMs: 0 });
  rmSync(gateway.dataDir, { recursive: true, force: true });
  await upstream.close();
});

const url = () => `${gateway.url}/v1/messages`;
const asking = (more: object = {}) => ({
  headers: { 'x-api-key': key },
  body: { model: 'acme', messages: [], max_tokens: 10_000, ...more },
});
const whole = { type: 'message', model: 'acme', usage: { input_tokens: 1, output_tokens: 200 } };

/** What lies in the file, read after the gateway has let go of it. */
function fileOf(dataDir: string): { holds: unknown[]; requests: Record<string, unknown>[]; usage: unknown } {
  const store = openStore(dataDir);
  const all = (sql: string) => store.db.prepare<[], Record<string, unknown>>(sql).all();
  const file = {
    holds: all('SELECT * FROM holds'),
    requests: all('SELECT * FROM requests ORDER BY id'),
    usage: store.db.prepare('SELECT sum(usage_credits_nano + usage_own_key_nano) FROM keys').pluck().get(),
  };
  store.close();
  return file;
}

describe('closing', () => {
  test('lets a running request finish, and settles it', async () => {
    const open = gate();
    upstream.reply(/./, { before: open, body: whole });
    const asked = send(url(), asking());
    await upstream.nthRequest(1);
    const closed = gateway.gateway.close();
    open.open();
    expect((await asked).json).toEqual(whole);
    await closed;
    const { holds, requests, usage } = fileOf(gateway.dataDir);
    expect(holds).toEqual([]);
    expect(requests).toMatchObject([{ status: 200, cost_nano: usd('0.02'), flags: '' }]);
    expect(usage).toBe(usd('0.02'));
  });

  test('lets it finish also where the process stood still for longer than that may take', async () => {
    const open = gate();
    upstream.reply(/./, { before: open, body: whole });
    const asked = send(url(), asking());
    await upstream.nthRequest(1);
    const closed = gateway.gateway.close({ graceMs: 1_000 });
    await expect(send(gateway.url, { method: 'GET' })).rejects.toThrow('ECONN');
    // As in a commit that the disk keeps waiting.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_200);
    open.open();
    expect((await asked).json).toEqual(whole);
    await closed;
    expect(fileOf(gateway.dataDir)).toMatchObject({ holds: [], requests: [{ status: 200, flags: '' }] });
  });

  test('lets also finish what has its money and is not sent yet', async () => {
    upstream.reply(/./, { body: whole });
    // Between the hold and its transaction nothing runs but promises, so this sees it before it is written.
    const closed = Promise.withResolvers<void>();
    let looking = false;
    const look = async () => {
      const { totals } = await gateway.call('status.get', {});
      if (totals.running === 0) looking = false;
      else closed.resolve(gateway.gateway.close());
    };
    onLook = () => {
      if (looking) return;
      looking = true;
      queueMicrotask(() => void look());
    };
    expect((await send(url(), asking())).json).toEqual(whole);
    await closed.promise;
    expect(fileOf(gateway.dataDir)).toMatchObject({ holds: [], requests: [{ status: 200, flags: '' }] });
  });

  test('ends what does not, with its dialect’s own ending, at the cost so far', async () => {
    const events = { 'content-type': 'text/event-stream' };
    const start = sse(
      { type: 'message_start', message: { model: 'acme', usage: { input_tokens: 1, output_tokens: 1 } } },
      'message_start',
    );
    upstream.reply(/./, { headers: events, chunks: [start], hang: true });
    const answer = await begin(url(), asking({ stream: true }));
    await answer.next();
    await gateway.gateway.close({ graceMs: 0 });
    const rest = await answer.rest();
    expect(rest.cut).toBe(false);
    expect(rest.text).toContain('Stopped: Faregate was closed.');
    const { holds, requests, usage } = fileOf(gateway.dataDir);
    expect(holds).toEqual([]);
    expect(requests).toMatchObject([{ flags: 'stopped,estimated', cost_nano: usd('0.0001') }]);
    expect(usage).toBe(usd('0.0001'));
  });

  test('refuses what waits for money, and what comes on an open connection', async () => {
    const open = gate();
    upstream.reply(/./, { before: open, body: whole });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const first = send(url(), { ...asking(), agent });
    await upstream.nthRequest(1);
    const waiting = send(url(), asking());
    await send(`${gateway.url}/v1/key`, { method: 'GET', headers: { 'x-api-key': key } });
    const closed = gateway.gateway.close();
    const refused = await waiting;
    expect([402, 429]).toContain(refused.status);
    open.open();
    expect((await first).status).toBe(200);
    // Sent the moment the first has been answered, on its connection where that is still there.
    await send(url(), { ...asking(), agent }).catch(() => null);
    await closed;
    agent.destroy();
    expect(upstream.requests).toHaveLength(1);
    expect(fileOf(gateway.dataDir)).toMatchObject({ holds: [], requests: [{ cost_nano: usd('0.02') }] });
  });

  test('serves what was let in whole, and refuses the rest before it costs anything', async () => {
    const [row] = await gateway.call('keys.list', {});
    await gateway.call('keys.setLimit', { id: row?.id ?? '', limitNano: null });
    upstream.reply(/./, { body: whole });
    const asked = Array.from({ length: 40 }, () => send(url(), asking()).catch(() => null));
    await upstream.nthRequest(1);
    await gateway.gateway.close();
    const answers = await Promise.all(asked);
    const served = answers.filter((answer) => answer?.status === 200).length;
    const { holds, requests } = fileOf(gateway.dataDir);
    expect(holds).toEqual([]);
    expect(requests.map(({ flags }) => flags)).toEqual(Array.from({ length: served }, () => ''));
  });

  test('can be asked for twice', async () => {
    await Promise.all([gateway.gateway.close({ graceMs: 0 }), gateway.gateway.close({ graceMs: 0 })]);
    expect(fileOf(gateway.dataDir).holds).toEqual([]);
  });

  test('settles a hundred running streams', async () => {
    await gateway.call('keys.setLimit', {
      id: (await gateway.call('keys.list', {}))[0]?.id ?? '',
      limitNano: null,
    });
    upstream.reply(/./, {
      headers: { 'content-type': 'text/event-stream' },
      chunks: [sse({ type: 'ping' }, 'ping')],
      hang: true,
    });
    const all = await Promise.all(Array.from({ length: 100 }, () => begin(url(), asking({ stream: true }))));
    await gateway.gateway.close({ graceMs: 0 });
    const texts = await Promise.all(all.map(async (answer) => (await answer.rest()).text));
    expect(texts.filter((text) => text.includes('Faregate was closed'))).toHaveLength(100);
    const { holds, requests } = fileOf(gateway.dataDir);
    expect([holds.length, requests.length]).toEqual([0, 100]);
  });
});

describe('a ledger that cannot be written', () => {
  test('refuses keys with a limit in a form that is not tried again, says why, and mends itself', async () => {
    const events = await gateway.events();
    const { secret: unlimited } = await gateway.call('keys.create', { name: 'unlimited' });
    upstream.reply(/./, { body: whole });
    const stranger = new Database(join(gateway.dataDir, 'faregate.db'));
    stranger.exec('BEGIN IMMEDIATE');

    const refused = await send(url(), asking());
    expect(refused.status).toBe(402);
    expect(refused.headers['x-should-retry']).toBe('false');
    expect(refused.json).toMatchObject({ type: 'error', error: { type: 'billing_error' } });
    expect(refused.text).toMatch(/ledger cannot be written .*Limited keys are refused until it can/);
    expect(upstream.requests).toHaveLength(0);
    await events.first('status-changed', ({ problem }) => problem !== null);
    expect(await gateway.tryCall('keys.create', { name: 'x' })).toMatchObject({
      ok: false,
      error: { code: 'ledger_unavailable' },
    });
    const served = await send(url(), { ...asking(), headers: { 'x-api-key': unlimited } });
    expect(served.status).toBe(200);

    stranger.exec('ROLLBACK');
    stranger.close();
    await events.first('request-settled');
    await events.first('status-changed', ({ problem, totals }) => problem === null && totals.requests === 1);
    expect((await send(url(), asking())).status).toBe(200);
    await gateway.gateway.close({ graceMs: 0 });
    const { holds, requests, usage } = fileOf(gateway.dataDir);
    expect([holds, requests.length, usage]).toEqual([[], 2, usd('0.04')]);
    events.close();
  });
});

describe('starting again', () => {
  test('has the same keys, usage and limits, and enforces them', async () => {
    upstream.reply(/./, { body: { ...whole, usage: { input_tokens: 1, output_tokens: 10_000 } } });
    expect((await send(url(), asking())).status).toBe(200);
    const before = await gateway.call('keys.list', {});
    gateway = await gateway.restart();
    expect(await gateway.call('keys.list', {})).toEqual(before);
    expect(before).toMatchObject([{ usageNano: usd('1'), limitState: 'reached' }]);
    expect((await send(url(), asking())).status).toBe(402);
  });
});
