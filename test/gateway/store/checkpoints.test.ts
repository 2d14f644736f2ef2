/** The log of the database does not grow with use, and no commit waits for the disk to keep it so. */
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createCheckpoints } from '../../../electron/gateway/store/checkpoints.ts';
import { DATABASE_FILE } from '../../../electron/gateway/store/data-folder.ts';
import { openStore, type Store } from '../../../electron/gateway/store/store.ts';
import { temporaryFolder } from '../../support/gateway.ts';
import { PATIENCE_MS } from '../../support/patience.ts';

let folder: string;
let store: Store;
let writtenPages = 0;

beforeEach(() => {
  folder = temporaryFolder();
  store = openStore(folder);
  writtenPages = 0;
});

afterEach(async () => {
  await store.endCheckpoints();
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

const path = () => join(folder, DATABASE_FILE);
const logBytes = () => statSync(`${path()}-wal`).size;
/** How often the log was begun from its front: its header's "checkpoint sequence number" (https://sqlite.org/fileformat2.html#the_write_ahead_log). */
function beginnings(): number {
  const header = Buffer.alloc(32);
  const log = openSync(`${path()}-wal`, 'r');
  readSync(log, header);
  closeSync(log);
  return header.readUInt32BE(12);
}
const automaticPages = () => Number(store.db.pragma('wal_autocheckpoint', { simple: true }));

/** Writes so many transactions of about `pages` pages, as the ledger does: each when the store says so. */
async function writeMany(transactions: number, pages: number): Promise<void> {
  const put = store.db.prepare(
    'INSERT INTO settings (name, value) VALUES (?, hex(randomblob(?))) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  );
  writtenPages += transactions * pages;
  for (let count = 0; count < transactions; count += 1) {
    await new Promise<void>((resolve) =>
      store.soon(() => {
        store.write(() => put.run(`test.${count % 4}`, pages * 2000));
        resolve();
      }),
    );
  }
}

/** Goes on writing until it is so. */
async function writeUntil(isSo: () => boolean, pages: number): Promise<void> {
  while (!isSo()) await writeMany(16, pages);
}

test('a thread takes the checkpoints over, and the log begins anew again and again though writes never pause', async () => {
  const before = automaticPages();
  expect(before).toBeGreaterThan(0);
  await writeUntil(() => automaticPages() === 0, 4);
  const first = beginnings();
  await writeUntil(() => beginnings() >= first + 3, 32);
  expect(logBytes()).toBeLessThan(writtenPages * 4096);
});

test('what was written is there after the end, in the database alone', async () => {
  await writeUntil(() => automaticPages() === 0, 4);
  store.write(() => store.db.exec("INSERT INTO settings (name, value) VALUES ('test.last', '7')"));
  await store.endCheckpoints();
  store.close();
  expect(() => logBytes()).toThrow('ENOENT');
  store = openStore(folder);
  expect(store.db.prepare("SELECT value FROM settings WHERE name = 'test.last'").pluck().get()).toBe('7');
});

test('a database that was put in the place of the open one is not given its log', async () => {
  const other = join(folder, 'other.db');
  const stranger = new Database(other);
  stranger.exec('CREATE TABLE mine (id)');
  stranger.close();
  const bytes = statSync(other).size;
  copyFileSync(other, `${other}.copy`);
  renameSync(`${other}.copy`, path());
  await writeMany(600, 1);
  expect(statSync(path()).size).toBe(bytes);
  expect(automaticPages()).toBeGreaterThan(0);
});

test('where the thread fails SQLite makes the checkpoints again, and nothing waits', async () => {
  const told: boolean[] = [];
  const worker = join(folder, 'worker.mjs');
  writeFileSync(worker, 'throw new Error("no thread here")');
  const failed = Promise.withResolvers<void>();
  const checkpoints = createCheckpoints(path(), {
    isInPlace: () => true,
    automatic(on) {
      told.push(on);
      failed.resolve();
    },
    worker: pathToFileURL(worker),
  });
  for (let count = 0; count < 256; count += 1) checkpoints.committed();
  await failed.promise;
  expect(told).toEqual([true]);
  const written = Promise.withResolvers<void>();
  checkpoints.soon(written.resolve);
  await written.promise;
  await checkpoints.end();
});

test('the end waits for no pass that the disk holds up', async () => {
  const worker = join(folder, 'worker.mjs');
  const started = join(folder, 'started');
  const done = join(folder, 'done');
  // A thread inside of a call of the system's cannot be ended, either.
  const program = `const { writeFileSync } = require('node:fs');
    writeFileSync(${JSON.stringify(started)}, '');
    setTimeout(() => writeFileSync(${JSON.stringify(done)}, ''), 6_000);`;
  writeFileSync(
    worker,
    `import { spawnSync } from 'node:child_process';
     import { parentPort } from 'node:worker_threads';
     parentPort.on('message', () => spawnSync(process.execPath, ['-e', ${JSON.stringify(program)}]));`,
  );
  const checkpoints = createCheckpoints(path(), {
    isInPlace: () => true,
    automatic: () => {},
    worker: pathToFileURL(worker),
  });
  for (let count = 0; count < 256; count += 1) checkpoints.committed();
  await expect.poll(() => existsSync(started), { timeout: PATIENCE_MS }).toBe(true);
  await checkpoints.end();
  expect(existsSync(done)).toBe(false);
});

test('a second pass that takes long keeps no write waiting for longer than a moment', async () => {
  const worker = join(folder, 'worker.mjs');
  // Says that the log is long, and then nothing more.
  writeFileSync(
    worker,
    `import { parentPort } from 'node:worker_threads';
     let asked = 0;
     parentPort.on('message', (task) => {
       if (task === 'end') parentPort.close();
       else if ((asked += 1) === 1) parentPort.postMessage({ log: 100_000, copied: 100_000 });
     });`,
  );
  const first = Promise.withResolvers<void>();
  const checkpoints = createCheckpoints(path(), {
    isInPlace: () => true,
    automatic: () => first.resolve(),
    worker: pathToFileURL(worker),
  });
  for (let count = 0; count < 300; count += 1) checkpoints.committed();
  await first.promise;
  let written = 0;
  const write = () => new Promise<void>((resolve) => checkpoints.soon(resolve)).then(() => (written += 1));
  await Promise.all([write(), write(), write()]);
  expect(written).toBe(3);
  await checkpoints.end();
});

test('after a write that failed, what is then written in one go does not make the log long', async () => {
  await writeUntil(() => automaticPages() === 0, 4);
  const limit = (pages: number) => Number(store.db.pragma(`max_page_count = ${pages}`, { simple: true }));
  // To SQLite this is what a full disk is.
  const unlimited = limit(0);
  limit(1);
  const put = store.db.prepare(
    'INSERT OR REPLACE INTO settings (name, value) VALUES (?, hex(randomblob(?)))',
  );
  expect(() => store.write(() => put.run('test.much', 400_000))).toThrow('full');
  limit(unlimited);
  const before = logBytes();
  for (let count = 0; count < 60; count += 1) store.write(() => put.run('test.much', 400_000));
  expect(logBytes() - before).toBeLessThan(20 * 2 ** 20);
  await writeUntil(() => automaticPages() === 0, 4);
});
