/**
 * The ledger's file under the built gateway: a disk that is full at one write after the other, a lock that another
 * program holds, a file that is put in its place. A limited key is served or refused, never served uncounted, and what
 * was spent is on the books to the nano-dollar once the disk takes it again.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { send } from '../../support/client.ts';
import { addProvider, startGateway, usd, type GatewayProcess } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: GatewayProcess;
let limited: string;
let unlimited: string;

const model = 'acme';
/** Of one answer: 300 tokens at 100 dollars a million. */
const COST = usd('0.03');

beforeEach(async () => {
  upstream = await startUpstream();
  upstream.answers({ inputTokens: 5, outputTokens: 300, text: 'x' });
  gateway = await startGateway({ args: ['--no-dashboard'] });
  const { id } = await addProvider(gateway, upstream, 'openai');
  await gateway.call('prices.set', { providerId: id, model, input: '0', output: '100' });
  ({ secret: limited } = await gateway.call('keys.create', { name: 'limited', limitNano: usd('100') }));
  ({ secret: unlimited } = await gateway.call('keys.create', { name: 'unlimited' }));
});
afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const file = (ending = '') => join(gateway.dataDir, `faregate.db${ending}`);

const ask = (key: string) =>
  send(`${gateway.url}/v1/chat/completions`, {
    headers: { authorization: `Bearer ${key}` },
    body: { model, messages: [], max_completion_tokens: 1000 },
  });

/** Every request that reached the provider is on the books, once, at what it cost. */
async function expectExact(): Promise<void> {
  const keys = await gateway.call('keys.list', {});
  const used = keys.reduce((sum, { usageNano }) => sum + usageNano, 0);
  expect(used).toBe(upstream.requests.length * COST);
  expect(keys.map(({ heldNano }) => heldNano)).toEqual(keys.map(() => 0));
}

test('a disk that is full at each write in turn loses no cost, and is told', async () => {
  // The limit on the size of a file is to a process what a full disk is; prlimit lifts it again.
  const room = (bytes: number | 'unlimited') =>
    spawnSync('prlimit', ['--pid', String(gateway.pid), `--fsize=${bytes}:`]).status === 0;
  if (process.platform !== 'linux' || !room('unlimited')) {
    console.warn('SKIPPED: the full disk, since prlimit is not here');
    return;
  }
  const FRAME = 4096 + 24;
  const tally = { tried: 0, refused: 0, served: 0 };
  // A request writes some pages when it is held, and some more when it is settled.
  for (const [frames, key] of [unlimited, limited, limited, limited, limited, unlimited, limited].entries()) {
    tally.tried += 1;
    room(statSync(file('-wal')).size + Math.max(0, frames - 1) * FRAME + 100);
    const before = upstream.requests.length;
    const { status, text } = await ask(key);
    if (status === 200) tally.served += 1;
    else {
      tally.refused += 1;
      expect(key).toBe(limited);
      expect(text).toMatch(/ledger cannot be written|disk is full/);
      expect(upstream.requests.length).toBe(before);
    }
    room('unlimited');
    await expect.poll(isWell).toBe(true);
    expect((await ask(limited)).status).toBe(200);
  }
  await expectExact();
  expect(Math.min(tally.refused, tally.served)).toBeGreaterThan(0);
  expect(await gateway.stop()).toBe(0);
  gateway = await gateway.restart();
  await expectExact();
  console.log(
    `Full disk: ${tally.tried} tried, ${tally.tried} survived (${tally.served} served, ${tally.refused} refused)`,
  );
});

/** What could not be written is, once a second it is tried. */
const isWell = async () => {
  const { problem, totals } = await gateway.call('status.get', {});
  return problem === null && totals.running === 0;
};

test('a ledger that another program has locked is waited for, and for no longer than a moment', async () => {
  expect((await ask(limited)).status).toBe(200);
  const other = new Database(file(), { timeout: 0 });
  other.exec('BEGIN IMMEDIATE');
  try {
    const started = performance.now();
    const { status, text } = await ask(limited);
    expect(performance.now() - started).toBeLessThan(1_000 + 10 * gateway.startedInMs);
    expect(status).not.toBe(200);
    expect(text).toMatch(/locked|in use|cannot be written/);
    expect((await ask(unlimited)).status).toBe(200);
  } finally {
    other.exec('ROLLBACK');
    other.close();
  }
  await expect.poll(isWell).toBe(true);
  expect((await ask(limited)).status).toBe(200);
  await expectExact();
});

test('an end while the ledger cannot be written says how much is missing', async () => {
  const other = new Database(file(), { timeout: 0 });
  other.exec('BEGIN IMMEDIATE');
  try {
    for (let count = 0; count < 2; count += 1) expect((await ask(unlimited)).status).toBe(200);
    expect(await gateway.stop()).toBe(0);
    expect(gateway.output()).toContain('The cost of 2 requests is not on record');
  } finally {
    other.exec('ROLLBACK');
    other.close();
  }
});

test('another file in its place is noticed, and limited keys are refused before more is lost', async () => {
  expect((await ask(limited)).status).toBe(200);
  const events = await gateway.events();
  copyFileSync(file(), file('.other'));
  renameSync(file('.other'), file());
  const { problem } = await events.first('status-changed', (status) => status.problem !== null);
  expect(problem).toMatch(/deleted or replaced.*saved as the backup/);
  expect((await ask(limited)).text).toMatch(/deleted or replaced/);
  expect(upstream.requests).toHaveLength(1);
  expect((await ask(unlimited)).status).toBe(200);
  events.close();
  // What the open file held can be had back whole.
  const [newest] = await gateway.call('backups.list', {});
  await gateway.call('backups.restore', { name: newest?.name ?? '' });
  expect((await ask(limited)).status).toBe(200);
  await expectExact();
});
