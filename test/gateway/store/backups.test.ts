/** Backups of the ledger: what is kept, what a restore brings back and what it carries over, and when none is possible. */
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  backupName,
  createBackups,
  expiredBackups,
  listBackups,
} from '../../../electron/gateway/backups/backups.ts';
import { restoreBackup } from '../../../electron/gateway/backups/restore.ts';
import { DataFolderError, RESTORED_FILE } from '../../../electron/gateway/store/data-folder.ts';
import { addDimeProviders } from '../../support/bounded-requests.ts';
import { send } from '../../support/client.ts';
import { fakeClock, startCore, temporaryFolder, usd, type CoreGateway } from '../../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

const clock = fakeClock('2026-11-22T12:00:00Z');
let upstream: Upstream;
let gateway: CoreGateway;
let secret: string;
let keyId: string;

beforeEach(async () => {
  clock.set('2026-11-22T12:00:00Z');
  upstream = await startUpstream();
  gateway = await startCore({ clock });
  await addDimeProviders(gateway, upstream);
  ({
    secret,
    key: { id: keyId },
  } = await gateway.call('keys.create', {
    name: 'dev',
    limitNano: usd('10'),
    recurring: { amountNano: usd('5'), every: 'day' },
  }));
  upstream.answers({ inputTokens: 5, outputTokens: 1000, text: 'Hello' });
});
afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const path = () => join(gateway.dataDir, 'faregate.db');
const folder = () => join(gateway.dataDir, 'backups');

/** Ten cents, as long as the upstream says so. */
const ask = (key = secret, headers: Record<string, string> = {}) =>
  send(`${gateway.url}/v1/chat/completions`, {
    headers: { 'x-api-key': key, ...headers },
    body: { model: 'acme', messages: [], max_completion_tokens: 1000 },
  });

const always = { from: '2020-01-01T00:00:00Z', to: '2030-01-01T00:00:00Z' };

/** The key's total, its window, its rows, the sums and the status: all of them the same number. */
async function oneNumber(id = keyId): Promise<number> {
  const key = (await gateway.call('keys.list', {})).find((row) => row.id === id);
  const { rows } = await gateway.call('requests.list', { keyId: id, limit: 1000 });
  const byKey = await gateway.call('usage.summary', { ...always, groupBy: 'key' });
  const byDay = await gateway.call('usage.summary', { ...always, groupBy: 'day', keyId: id });
  const sum = (list: { costNano: number | null }[]) =>
    list.reduce((total, { costNano }) => total + (costNano ?? 0), 0);
  const cost = sum(rows);
  expect([key?.usageNano, key?.requests, key?.heldNano]).toEqual([cost, rows.length, 0]);
  expect([sum(byKey.filter(({ group }) => group === id)), sum(byDay)]).toEqual([cost, cost]);
  if (key?.recurring) expect(key.recurring.usedNano).toBe(cost);
  const { providers } = await gateway.call('limits.get', {});
  const all = (await gateway.call('status.get', {})).totals.usageNano;
  expect(providers.reduce((total, { usageNano }) => total + usageNano, 0)).toBe(all);
  return cost;
}

describe('a backup', () => {
  test('is made while requests run, is whole, and readable by its owner alone', async () => {
    await ask();
    const held = gate();
    upstream.reply('/v1/chat/completions', { before: held, body: {} }, 1);
    const running = ask();
    await upstream.nthRequest(2);
    const made = await gateway.call('backups.create', {});
    held.open();
    await running;
    expect(made).toMatchObject({ name: 'faregate-20261122-120000.db', at: '2026-11-22T12:00:00.000Z' });
    expect(await gateway.call('backups.list', {})).toEqual([made]);
    expect(readdirSync(folder())).toEqual([made.name]);
    expect(statSync(join(folder(), made.name)).size).toBe(made.bytes);
    if (process.platform !== 'win32') {
      expect(statSync(join(folder(), made.name)).mode & 0o777).toBe(0o600);
      expect(statSync(folder()).mode & 0o777).toBe(0o700);
    }
  });

  test('is made once a day, and again where the clock was set back by more', async () => {
    const told: string[] = [];
    const backups = createBackups({
      dataDir: gateway.dataDir,
      now: () => clock.now(),
      damaged: (message) => told.push(message),
      failed: ({ message }) => told.push(message),
    });
    const count = async () => {
      await backups.tick();
      return backups.list().length;
    };
    expect([await count(), await count()]).toEqual([1, 1]);
    clock.advance(23 * 3_600_000);
    expect(await count()).toBe(1);
    clock.advance(2 * 3_600_000);
    expect(await count()).toBe(2);
    clock.advance(-40 * 86_400_000);
    expect(await count()).toBe(3);
    expect(told).toEqual([]);
  });

  test('is kept for a week, then one a week for four weeks, and the newest for ever', () => {
    const day = 86_400_000;
    const start = Date.parse('2026-01-01T12:00:00Z');
    let kept: { name: string; at: number; bytes: number }[] = [];
    for (let at = start; at < start + 100 * day; at += day) {
      kept.push({ name: backupName(at), at, bytes: 1 });
      const expired = new Set(expiredBackups(kept, at));
      kept = kept.filter((file) => !expired.has(file));
    }
    const now = start + 99 * day;
    const ages = kept.map(({ at }) => (now - at) / day).toSorted((a, b) => a - b);
    expect(ages.slice(0, 7)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(ages.length).toBeGreaterThanOrEqual(10);
    expect(ages.length).toBeLessThanOrEqual(12);
    for (let index = 7; index < ages.length; index += 1)
      expect((ages[index] ?? 0) - (ages[index - 1] ?? 0)).toBeLessThanOrEqual(7);
    expect(expiredBackups(kept, now + 1000 * day)).toHaveLength(kept.length - 1);
  });

  test('of a damaged ledger is refused, and limited keys with it, until one is restored', async () => {
    for (let count = 0; count < 40; count += 1) clock.advance(1000);
    await ask();
    const good = await gateway.call('backups.create', {});
    await gateway.gateway.close({ graceMs: 0 });
    const bytes = readFileSync(path());
    // A page in the middle, such as a dying disk gives back.
    bytes.fill(0xa5, 4096 * 3, 4096 * 4);
    writeFileSync(path(), bytes);
    gateway = await startCore({ dataDir: gateway.dataDir, clock }).catch(async (error: unknown) => {
      // Where the page is one that a start reads, the start itself says so.
      expect(error).toBeInstanceOf(DataFolderError);
      expect(error).toMatchObject({ restorable: true });
      restoreBackup(gateway.dataDir, good.name, { carryOver: true, now: clock.now() });
      return startCore({ dataDir: gateway.dataDir, clock });
    });
    clock.advance(1000);
    const again = await gateway.tryCall('backups.create', {});
    if (!again.ok) {
      expect(again.error.message).toMatch(/damaged.*Restore an earlier backup/);
      expect((await gateway.call('status.get', {})).problem).toMatch(/is damaged\. Restore a backup/);
      expect((await ask()).text).toMatch(/is damaged/);
      await gateway.call('backups.restore', { name: good.name });
    }
    expect((await gateway.call('status.get', {})).problem).toBeNull();
    expect(await oneNumber()).toBe(usd('0.1'));
    expect((await ask()).status).toBe(200);
  });
});

describe('a restore in place', () => {
  test('brings the ledger back, lets what runs end, and keeps addresses and subscribers', async () => {
    await ask();
    const { name } = await gateway.call('backups.create', {});
    await ask();
    await gateway.call('keys.setLimit', { id: keyId, limitNano: usd('1'), recurring: null });
    const { key: other } = await gateway.call('keys.create', { name: 'later' });
    const events = await gateway.events();
    const held = gate();
    upstream.reply('/v1/chat/completions', { before: held, body: {} }, 1);
    const running = ask();
    await upstream.nthRequest(3);
    const restoring = gateway.call('backups.restore', { name, carryOver: false });
    // A call that comes meanwhile waits for the new ledger.
    const listed = gateway.call('keys.list', {});
    held.open();
    expect((await running).status).toBe(200);
    const { keptAs, carried } = await restoring;
    expect(carried).toBeNull();
    expect(existsSync(keptAs ?? '')).toBe(true);
    expect((await listed).map(({ id }) => id)).toEqual([keyId]);
    // What a restore replaces is kept, also where the next one comes at once.
    clock.advance(5);
    const next = await gateway.call('backups.restore', { name });
    expect(next.keptAs).not.toBe(keptAs);
    expect([existsSync(keptAs ?? ''), existsSync(next.keptAs ?? '')]).toEqual([true, true]);
    await events.first('ledger-replaced');
    expect(other.id).not.toBe(keyId);
    expect(await oneNumber()).toBe(usd('0.1'));
    expect((await gateway.call('keys.list', {}))[0]).toMatchObject({
      limitNano: usd('10'),
      recurring: { amountNano: usd('5') },
    });
    // The same address, the same key, and the window is told as before.
    expect((await ask()).status).toBe(200);
    await events.first('keys-changed', ({ rows }) => rows.some(({ usageNano }) => usageNano === usd('0.2')));
    expect(await oneNumber()).toBe(usd('0.2'));
    events.close();
  });

  test('carries over what was used since, what was running then, and the keys made since', async () => {
    await ask(secret, { 'x-session-id': 'one' });
    const held = gate();
    upstream.reply('/v1/chat/completions', { before: held, body: answer(300) }, 1);
    const running = ask();
    await upstream.nthRequest(2);
    const { name } = await gateway.call('backups.create', {});
    held.open();
    await running;
    await ask(secret, { 'x-session-id': 'two' });
    const later = await gateway.call('keys.create', { name: 'later', limitNano: usd('3') });
    await ask(later.secret);
    const { rows } = await gateway.call('requests.list', { keyId });
    await gateway.call('requests.correct', { id: rows[0]?.id ?? 0, costNano: usd('0.07'), reason: 'bill' });
    const before = await gateway.call('requests.list', {});
    expect(await oneNumber()).toBe(usd('0.2'));

    expect(await gateway.call('backups.restore', { name })).toMatchObject({ carried: 3 });
    expect(await gateway.call('requests.list', {})).toEqual(before);
    expect(await oneNumber()).toBe(usd('0.2'));
    expect(await oneNumber(later.key.id)).toBe(usd('0.1'));
    expect((await gateway.call('status.get', {})).totals).toMatchObject({
      usageNano: usd('0.3'),
      heldNano: 0,
    });
    const sessions = await gateway.call('usage.sessions', { limit: 10 });
    const costs = new Map(sessions.sessions.map(({ session, costNano }) => [session, costNano]));
    expect(costs).toEqual(
      new Map([
        ['one', usd('0.1')],
        ['two', usd('0.07')],
      ]),
    );
    // Once more: nothing is new, so nothing is counted twice.
    expect(await gateway.call('backups.restore', { name })).toMatchObject({ carried: 3 });
    expect(await oneNumber()).toBe(usd('0.2'));
    expect((await ask(later.secret)).status).toBe(200);
  });

  test('gives ids that were used twice to both', async () => {
    const empty = await gateway.call('backups.create', {});
    await ask(secret, { 'x-session-id': 'first-life' });
    clock.advance(60_000);
    const full = await gateway.call('backups.create', {});
    await gateway.call('backups.restore', { name: empty.name, carryOver: false });
    await ask(secret, { 'x-session-id': 'second-life' });
    expect(await oneNumber()).toBe(usd('0.1'));
    await gateway.call('backups.restore', { name: full.name, carryOver: true });
    expect(await oneNumber()).toBe(usd('0.2'));
    const { sessions } = await gateway.call('usage.sessions', { limit: 10 });
    expect(sessions.map(({ session }) => session).toSorted()).toEqual(['first-life', 'second-life']);
  });

  test('of a backup that is not there, or is damaged, changes nothing', async () => {
    await ask();
    const { name } = await gateway.call('backups.create', {});
    truncateSync(join(folder(), name), 8192);
    expect(await gateway.tryCall('backups.restore', { name })).toMatchObject({
      error: { message: expect.stringMatching(/This backup is damaged.*nothing was changed/) },
    });
    for (const wrong of ['nothing.db', '../faregate.db', 'faregate-20200101-000000.db'])
      expect(await gateway.tryCall('backups.restore', { name: wrong })).toMatchObject({
        error: { code: 'not_found', field: 'name' },
      });
    expect(await oneNumber()).toBe(usd('0.1'));
    expect((await ask()).status).toBe(200);
  });
});

describe('a start', () => {
  test('on a ledger that is gone or empty says that there are backups instead of starting with nothing', async () => {
    await ask();
    const { name } = await gateway.call('backups.create', {});
    await gateway.gateway.close({ graceMs: 0 });
    const refused = (reason: RegExp) =>
      expect(startCore({ dataDir: gateway.dataDir, clock })).rejects.toMatchObject({
        restorable: true,
        message: expect.stringMatching(reason) as string,
      });
    renameSync(path(), `${path()}.elsewhere`);
    await refused(/is gone, but there are backups/);
    writeFileSync(path(), '');
    await refused(/is empty, but there are backups/);
    expect(restoreBackup(gateway.dataDir, name, { carryOver: true, now: clock.now() })).toEqual({
      keptAs: expect.stringMatching(/faregate/) as string,
      carried: null,
    });
    gateway = await startCore({ dataDir: gateway.dataDir, clock });
    expect(await oneNumber()).toBe(usd('0.1'));
  });

  test('carries out a restore that was cut off after it was decided, without the log of the old ledger', async () => {
    await ask();
    const { name } = await gateway.call('backups.create', {});
    await ask();
    // As they are under a process that is killed: the last request is in the log alone.
    const copy = temporaryFolder();
    for (const ending of ['', '-wal']) copyFileSync(path() + ending, join(copy, `faregate.db${ending}`));
    copyFileSync(join(folder(), name), join(copy, RESTORED_FILE));
    const second = await startCore({ dataDir: copy, clock });
    expect((await second.call('keys.list', {}))[0]).toMatchObject({ usageNano: usd('0.1'), requests: 1 });
    expect(readdirSync(copy).filter((file) => file.includes('restor'))).toEqual([]);
    await second.dispose();
  });
});

test('a ledger that is deleted under the running gateway is noticed, saved, refused to limited keys, and restored', async () => {
  await ask();
  const events = await gateway.events();
  for (const ending of ['', '-wal', '-shm']) rmSync(path() + ending);
  const { problem } = await events.first('status-changed', (status) => status.problem !== null);
  expect(problem).toMatch(/deleted or replaced.*saved as the backup faregate-20261122-120000\.db/);
  const refused = await ask();
  expect(refused.status).not.toBe(200);
  expect(refused.text).toMatch(/deleted or replaced/);
  const [saved] = listBackups(gateway.dataDir);
  await gateway.call('backups.restore', { name: saved?.name ?? '' });
  expect((await gateway.call('status.get', {})).problem).toBeNull();
  expect(await oneNumber()).toBe(usd('0.1'));
  expect((await ask()).status).toBe(200);
  events.close();
});

const answer = (outputTokens: number) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'acme',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 5, completion_tokens: outputTokens, total_tokens: 5 + outputTokens },
});
