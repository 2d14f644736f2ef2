/** When a newer version is looked for, told of and installed; the updater is played, the clock is the test's. */
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import type { Notice } from '../../electron/notify.ts';
import { createUpdates, hasUpdateFeed, type Updates } from '../../electron/update.ts';

class PlayedUpdater extends EventEmitter {
  checks = 0;
  installs: unknown[][] = [];
  answer: () => void = () => this.emit('update-not-available', { version: '0.1.0' });
  async checkForUpdates(): Promise<void> {
    this.checks += 1;
    this.answer();
  }
  quitAndInstall = (...how: unknown[]) => void this.installs.push(how);
}

const DAY = 86_400_000;
let updater: PlayedUpdater;
let updates: Updates;
let now: number;
let running: number;
let wanted: boolean;
let told: Notice[];
let items: (string | null)[];
let asked: { message: string; buttons: readonly string[] }[];
let choose: string;
let quits: number;

beforeEach(() => {
  updater = new PlayedUpdater();
  [now, running, wanted, quits, choose] = [Date.UTC(2026, 10, 18), 0, true, 0, 'Later'];
  [told, items, asked] = [[], [], []];
  let checkedAt = 0;
  updates = createUpdates({
    updater,
    wanted: async () => wanted,
    running: async () => running,
    lastCheck: { get: () => checkedAt, set: (at) => void (checkedAt = at) },
    showItem: (item) => void items.push(item?.label ?? null),
    tell: (notice) => void told.push(notice),
    async ask(message, _detail, buttons) {
      asked.push({ message, buttons });
      return choose;
    },
    quit: () => void (quits += 1),
    now: () => now,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  });
});

function download(version = '0.2.0'): void {
  updater.emit('update-available', { version });
  updater.emit('update-downloaded', { version });
}

test('it is looked for once a day, where that is wanted, and not while requests run', async () => {
  wanted = false;
  await updates.tick();
  expect(updater.checks).toBe(0);
  wanted = true;
  running = 1;
  await updates.tick();
  expect(updater.checks).toBe(0);
  running = 0;
  await updates.tick();
  await updates.tick();
  expect(updater.checks).toBe(1);
  now += DAY;
  await updates.tick();
  expect(updater.checks).toBe(2);
  // What is not there is no news to who did not ask.
  expect(told).toEqual([]);
});

test('one that was fetched is told, stands in the tray, and is said again a day later when put off', async () => {
  updater.answer = download;
  await updates.tick();
  expect(items).toEqual(['Fetching Faregate 0.2.0 …', 'Restart to update to 0.2.0']);
  expect(told.map(({ title }) => title)).toEqual(['Faregate 0.2.0 is ready']);
  await updates.offer();
  expect(asked[0]?.buttons).toEqual(['Restart now', 'Later']);
  await updates.tick();
  expect({ quits, checks: updater.checks, told: told.length }).toEqual({ quits: 0, checks: 1, told: 1 });
  now += DAY;
  await updates.tick();
  expect(told).toHaveLength(2);
  expect(updates.restarts()).toBe(false);
});

test('a restart is one that the person asked for, and the new version starts by itself', async () => {
  download();
  choose = 'Restart now';
  await updates.offer();
  expect({ quits, restarts: updates.restarts() }).toEqual({ quits: 1, restarts: true });
  updates.install();
  expect(updater.installs).toEqual([[true, true]]);
});

test('while requests run it waits for the last of them', async () => {
  download();
  running = 2;
  choose = 'Restart when they are done';
  await updates.offer();
  expect(asked[0]).toMatchObject({ message: '2 requests run now', buttons: [choose, 'Later'] });
  await updates.tick();
  expect(quits).toBe(0);
  running = 0;
  await updates.tick();
  await updates.tick();
  expect(quits).toBe(1);
});

test('who asks by hand is answered: up to date, or why not', async () => {
  await updates.offer();
  expect(told.at(-1)?.title).toBe('Faregate is up to date');
  updater.answer = () => updater.emit('error', new Error('net::ERR_INTERNET_DISCONNECTED'));
  await updates.offer();
  expect(told.at(-1)).toMatchObject({
    title: 'The update could not be fetched',
    body: 'net::ERR_INTERNET_DISCONNECTED',
  });
});

test('only a release that says where newer ones are has updates', () => {
  const resources = mkdtempSync(path.join(tmpdir(), 'faregate-resources-'));
  expect(hasUpdateFeed({ isPackaged: true, resources })).toBe(false);
  writeFileSync(path.join(resources, 'app-update.yml'), 'provider: github\n');
  expect(hasUpdateFeed({ isPackaged: true, resources })).toBe(true);
  expect(hasUpdateFeed({ isPackaged: false, resources })).toBe(false);
  rmSync(resources, { recursive: true });
});
