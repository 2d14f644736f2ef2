/** A ledger over a real file in a folder of its own, with a clock that stands still, and the book-keeper's shorthand. */
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { createKeys } from '../../electron/gateway/config/keys.ts';
import type { Limits } from '../../electron/gateway/config/limits.ts';
import {
  createLedger,
  type Hold,
  type HoldDraft,
  type Ledger,
  type LedgerListener,
  type LedgerOptions,
  type Outcome,
} from '../../electron/gateway/ledger/ledger.ts';
import { DATABASE_FILE } from '../../electron/gateway/store/data-folder.ts';
import { openStore, type Store } from '../../electron/gateway/store/store.ts';
import { fakeClock, folderWithLedger, temporaryFolder, type FakeClock } from './gateway.ts';

export interface Books {
  /** As of the last opening. */
  store: Store;
  ledger: Ledger;
  readonly clock: FakeClock;
  /** How often the ledger's problem came or went, and the keys whose money became free. */
  readonly seen: { problems: number; freed: (string | null)[] };
  /** Called when money becomes free, as admission is. */
  wake: (keyId: string | null) => void;
  /** As after a crash at this instant: what is committed is in the files. `prepare` has the store before the ledger does. */
  reopen(prepare?: (store: Store) => void): void;
  newKey(limits?: Partial<Limits>): string;
  removeKey(keyId: string): void;
  /** Takes a hold that must not be refused. */
  hold(keyId: string, amount: number, more?: Partial<HoldDraft>, atLeast?: number): Hold;
  /** A request that is held and settled; returns its id. */
  spend(keyId: string, cost: number | null, more?: Partial<HoldDraft>, ended?: Partial<Outcome>): number;
  rows(table: string): Record<string, unknown>[];
  expectToBalance(keyId: string): void;
}

/** Opens the books before each test of the file and throws them away after it. Unless told, everything is written at once. */
export function booksForEachTest(options?: LedgerOptions): Books {
  const clock = fakeClock('2026-11-18T10:00:00Z');
  const now = () => clock.now();
  let folder: string;
  let store: Store;
  let ledger: Ledger;
  const seen = { problems: 0, freed: [] as (string | null)[] };

  const open = (prepare: (store: Store) => void = () => {}) => {
    store = openStore(folder);
    prepare(store);
    const listener: LedgerListener = {
      changed: () => {},
      freed(keyId) {
        seen.freed.push(keyId);
        books.wake(keyId);
      },
      settled: () => {},
      problemChanged: () => (seen.problems += 1),
    };
    ledger = createLedger(store, now, listener, options);
  };

  beforeEach(() => {
    folder = folderWithLedger();
    clock.set('2026-11-18T10:00:00Z');
    Object.assign(seen, { problems: 0, freed: [] });
    books.wake = () => {};
    open();
  });

  afterEach(() => {
    store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const books: Books = {
    get store() {
      return store;
    },
    get ledger() {
      return ledger;
    },
    clock,
    seen,
    wake: () => {},
    reopen(prepare) {
      // The files as they are at this instant, which a close in order would change.
      const next = temporaryFolder();
      for (const ending of ['', '-wal']) {
        const file = store.db.name + ending;
        if (existsSync(file)) copyFileSync(file, join(next, DATABASE_FILE + ending));
      }
      store.close();
      rmSync(folder, { recursive: true, force: true });
      folder = next;
      open(prepare);
    },
    newKey(limits = {}) {
      const fields = { name: 'k', expiresAt: null, limits: { ...noLimits, ...limits } };
      const { key } = createKeys(store, now).create(fields);
      ledger.openAccount(key.id);
      return key.id;
    },
    removeKey: (keyId) => void createKeys(store, now).remove(keyId),
    hold(keyId, amount, more = {}, atLeast = amount) {
      const result = ledger.hold(draft(keyId, more), { wantNano: amount, atLeastNano: atLeast });
      if (!('held' in result)) throw new Error(`refused: ${result.refused}`);
      return result.held;
    },
    spend(keyId, cost, more, ended) {
      const held = books.hold(keyId, cost ?? 0, more);
      ledger.settle(held, outcome(cost, ended));
      return held.id;
    },
    rows: (table) =>
      store.db.prepare<[], Record<string, unknown>>(`SELECT * FROM ${table} ORDER BY rowid`).all(),
    expectToBalance: (keyId) => expectToBalance(store, ledger.account(keyId), keyId),
  };
  return books;
}

export const noLimits: Limits = { limitNano: null, recurring: null };

export const draft = (keyId: string, more: Partial<HoldDraft> = {}): HoldDraft => ({
  keyId,
  provider: 'openai',
  providerId: 'prv_openai',
  billing: 'own-key',
  dialect: 'openai-chat',
  model: 'gpt-4o-mini',
  stream: false,
  price: '{"source":"test"}',
  client: null,
  session: null,
  agent: null,
  parentAgent: null,
  ...more,
});

export const outcome = (costNano: number | null, more: Partial<Outcome> = {}): Outcome => ({
  model: 'gpt-4o-mini',
  status: 200,
  usage: {
    inputTokens: 10,
    cachedInputTokens: 4,
    cacheWriteTokens: 0,
    cacheWrite1hTokens: 0,
    outputTokens: 7,
    reasoningTokens: 2,
    webSearches: 0,
  },
  costNano,
  ownKeyNano: 0,
  reportedCostNano: null,
  computedCostNano: costNano,
  savedNano: null,
  priceSource: 'test',
  price: null,
  flags: [],
  firstByteMs: null,
  durationMs: 5,
  ...more,
});

/** Everything that admission reads equals what the file says: SQLite is the truth, memory its mirror. */
function expectToBalance(store: Store, account: unknown, keyId: string): void {
  const sums = store.db
    .prepare(
      `SELECT coalesce(sum(cost_nano), 0) AS usageNano, coalesce(sum(cost_own_key_nano), 0) AS usageOwnKeyNano,
         coalesce(sum(coalesce(cost_nano, 0) - cost_own_key_nano), 0) AS usageCreditsNano, count(*) AS requests,
         coalesce(sum(cost_nano IS NULL), 0) AS unpricedRequests, coalesce(sum(input_tokens), 0) AS inputTokens,
         coalesce(sum(output_tokens), 0) AS outputTokens FROM requests WHERE key_id = ?`,
    )
    .get(keyId);
  expect(account).toMatchObject(sums as object);
  const stored = store.db
    .prepare(
      `SELECT usage_credits_nano AS usageCreditsNano, usage_own_key_nano AS usageOwnKeyNano, requests,
         unpriced_requests AS unpricedRequests, input_tokens AS inputTokens, output_tokens AS outputTokens
       FROM keys WHERE id = ?`,
    )
    .get(keyId);
  expect(account).toMatchObject(stored as object);
}
