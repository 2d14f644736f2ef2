/**
 * A power cut: what was not yet on the disk is there in part, in any order, or not at all. The ledger that is opened
 * afterwards is what it was at some earlier moment, and never older than the last time the disk was waited for.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLedger, type Hold } from '../../../electron/gateway/ledger/ledger.ts';
import { DATABASE_FILE } from '../../../electron/gateway/store/data-folder.ts';
import { openStore } from '../../../electron/gateway/store/store.ts';
import { temporaryFolder } from '../../support/gateway.ts';
import { booksForEachTest, outcome } from '../../support/ledger.ts';

const books = booksForEachTest();

/** What a disk writes whole or not at all. */
const SECTOR = 512;
/** Bytes (sqlite.org/fileformat2.html, "WAL File Format"). */
const LOG_HEADER = 32;
/** As they say of themselves which requests they know: those that ended with their cost, those that run with theirs. */
type State = Record<number, number | 'running'>;

interface Disk {
  database: Buffer;
  log: Buffer;
  /** The number of the newest state that is wholly on it. */
  state: number;
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('hold' as const, 'settle' as const) },
  { weight: 2, arbitrary: fc.constant('sync' as const) },
  { weight: 1, arbitrary: fc.constant('checkpoint' as const) },
);

test('after a power cut the ledger is one of its own past, no older than the last sync', async () => {
  const key = books.newKey();
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 5, maxLength: 40 }),
    fc.infiniteStream(fc.boolean()),
    fc.double({ min: 0, max: 1, noNaN: true }),
    async (steps, luck, length) => {
      const { states, disk } = await play(key, steps);
      const log = files().log;
      const grown = Math.max(disk.log.length, Math.floor(log.length * length));
      const torn = Buffer.alloc(grown);
      for (let at = 0; at < grown; at += SECTOR) {
        const isNew = luck.next().value === true;
        (isNew ? log : disk.log).subarray(at, at + SECTOR).copy(torn, at);
      }
      // SQLite syncs the head of a log that starts anew before it writes the first frame behind it, so that no frame
      // of the log before can be taken for one of this (sqlite.org/src/info/ff5be73dee).
      log.copy(torn, 0, 0, LOG_HEADER);
      const found = reopen({ database: disk.database, log: torn });
      const which = states.findLastIndex((state) => JSON.stringify(state) === JSON.stringify(found));
      expect(which, JSON.stringify(found)).toBeGreaterThanOrEqual(disk.state);
    },
  );
  await fc.assert(property, { numRuns: 40 });
});

test('a log with a flipped byte is read as far as it is whole', async () => {
  const key = books.newKey();
  const { states } = await play(
    key,
    [...Array.from({ length: 20 }, () => ['hold', 'settle'] as const)].flat(),
  );
  const { database, log } = files();
  const property = fc.property(fc.nat(log.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
    const damaged = Buffer.from(log);
    damaged.writeUInt8(damaged.readUInt8(at) ^ flip, at);
    const found = reopen({ database, log: damaged });
    expect(states.map((state) => JSON.stringify(state))).toContain(JSON.stringify(found));
  });
  fc.assert(property, { numRuns: 40 });
});

/** Runs the steps on the ledger; the states after each commit, and what of them is on the disk for certain. */
async function play(
  key: string,
  steps: readonly ('hold' | 'settle' | 'sync' | 'checkpoint')[],
): Promise<{ states: State[]; disk: Disk }> {
  const { store } = books;
  // Only where a step says so: everything in the log is on the disk before a checkpoint copies it.
  store.db.pragma('wal_autocheckpoint = 0');
  store.db.pragma('wal_checkpoint(TRUNCATE)');
  const open: Hold[] = [];
  const known = stateOf(books.rows('requests'), books.rows('holds'));
  const states: State[] = [{ ...known }];
  await store.synced();
  let disk: Disk = { ...files(), state: 0 };
  for (const one of steps) {
    if (one === 'hold') {
      const held = books.hold(key, 100 + states.length);
      open.push(held);
      known[held.id] = 'running';
      states.push({ ...known });
    } else if (one === 'settle') {
      const held = open.shift();
      if (!held) continue;
      books.ledger.settle(held, outcome(held.amountNano - 50));
      known[held.id] = held.amountNano - 50;
      states.push({ ...known });
    } else {
      if (one === 'checkpoint') store.db.pragma('wal_checkpoint(RESTART)');
      await store.synced();
      disk = { ...files(), state: states.length - 1 };
    }
  }
  return { states, disk };
}

const files = () => {
  const path = books.store.db.name;
  return { database: readFileSync(path), log: readFileSync(`${path}-wal`) };
};

/** Opens a ledger over these files as a start does, and checks that it is whole and its numbers are one. */
function reopen({ database, log }: { database: Buffer; log: Buffer }): State {
  const folder = temporaryFolder();
  try {
    const path = join(folder, DATABASE_FILE);
    writeFileSync(path, database);
    writeFileSync(`${path}-wal`, log);
    const store = openStore(folder);
    try {
      expect(store.db.pragma('quick_check', { simple: true })).toBe('ok');
      const all = (table: string) =>
        store.db.prepare<[], Record<string, unknown>>(`SELECT * FROM ${table}`).all();
      const found = stateOf(all('requests'), all('holds'));
      const quiet = { changed() {}, freed() {}, settled() {}, problemChanged() {} };
      const ledger = createLedger(store, () => books.clock.now(), quiet);
      expect(all('holds')).toEqual([]);
      const sum = store.db.prepare('SELECT coalesce(sum(cost_nano), 0) FROM requests').pluck().get();
      const rolled = store.db
        .prepare('SELECT coalesce(sum(cost_nano), 0) FROM usage_sums WHERE span = 6')
        .pluck();
      ledger.rollUp();
      expect([ledger.totals().usageNano, ledger.totals().heldNano, rolled.get()]).toEqual([sum, 0, sum]);
      return found;
    } finally {
      store.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function stateOf(requests: Record<string, unknown>[], holds: Record<string, unknown>[]): State {
  return Object.fromEntries<number | 'running'>([
    ...requests.map(({ id, cost_nano }) => [Number(id), Number(cost_nano)] as const),
    ...holds.map(({ id }) => [Number(id), 'running'] as const),
  ]);
}
