/** Gateway keys: who may call. Their money is the ledger's. */
import { hash as digestOf, randomInt, randomUUID } from 'node:crypto';
import { KeyFallback } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';
import type { Store } from '../store/store.ts';
import type { Limits } from './limits.ts';

/** A key as the gateway knows it: the secret is only ever a hash. Times in milliseconds. */
export interface Key {
  id: string;
  name: string;
  masked: string;
  enabled: boolean;
  createdAt: number;
  expiresAt: number | null;
  /** Since when the loop brake holds it, and after how many of the same request; null where it does not. */
  pause: { at: number; count: number } | null;
  fallback: KeyFallback | null;
}

export interface Keys {
  list(): Key[];
  get(id: string): Key | undefined;
  /** With its limits in the same write: a key is never without them. The secret cannot be had again. */
  create(fields: {
    name: string;
    expiresAt: number | null;
    limits: Limits;
    /** What each of its sessions may cost. */
    sessionLimitNano?: Nano | null;
  }): { key: Key; secret: string };
  update(
    id: string,
    change: Partial<Pick<Key, 'name' | 'enabled' | 'expiresAt' | 'fallback'>>,
  ): Key | undefined;
  /** A new secret for the same key; the old one stops working at once. */
  rotate(id: string): { key: Key; secret: string } | undefined;
  /** `pause` null ends the pause. */
  setPause(id: string, pause: Key['pause']): Key | undefined;
  /** Its usage rows stay. */
  remove(id: string): boolean;
  /** The key of a secret, given as `hashOf` makes it, whatever its status; undefined where there is none. */
  find(hashed: string): Key | undefined;
}

const PREFIX = 'sk-fg-';
const SECRET_LENGTH = 43;
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

export function keyStatus(key: Key, now: number): 'active' | 'disabled' | 'expired' {
  if (!key.enabled) return 'disabled';
  return key.expiresAt !== null && key.expiresAt <= now ? 'expired' : 'active';
}

interface KeyRecord {
  id: string;
  name: string;
  secret_hash: Buffer;
  masked: string;
  enabled: number;
  created_at: number;
  expires_at: number | null;
  paused_at: number | null;
  paused_count: number | null;
  fallback: string | null;
}

export function createKeys(store: Store, now: () => number): Keys {
  const { db } = store;
  const byId = new Map<string, Key>();
  // Looked up by hash: how long a look-up takes says nothing about a secret that is close to a real one.
  const byHash = new Map<string, Key>();
  const hashes = new Map<string, string>();

  const add = (key: Key, hash: string) => {
    byId.set(key.id, key);
    byHash.set(hash, key);
    hashes.set(key.id, hash);
  };

  const records = db.prepare<[], KeyRecord>(
    `SELECT id, name, secret_hash, masked, enabled, created_at, expires_at, paused_at, paused_count, fallback
     FROM keys WHERE deleted_at IS NULL ORDER BY created_at, rowid`,
  );
  for (const record of records.all()) {
    const key: Key = {
      id: record.id,
      name: record.name,
      masked: record.masked,
      enabled: record.enabled === 1,
      createdAt: record.created_at,
      expiresAt: record.expires_at,
      pause: record.paused_at === null ? null : { at: record.paused_at, count: record.paused_count ?? 0 },
      fallback: readFallback(record.fallback),
    };
    add(key, record.secret_hash.toString('hex'));
  }

  const insert = db.prepare(
    `INSERT INTO keys (id, name, secret_hash, masked, created_at, expires_at, limit_nano, recurring_nano, recurring_every,
       session_limit_nano)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const updateKey = db.prepare(
    'UPDATE keys SET name = ?, enabled = ?, expires_at = ?, fallback = ? WHERE id = ?',
  );
  const updateSecret = db.prepare('UPDATE keys SET secret_hash = ?, masked = ? WHERE id = ?');
  const updatePause = db.prepare('UPDATE keys SET paused_at = ?, paused_count = ? WHERE id = ?');
  const markDeleted = db.prepare(
    'UPDATE keys SET deleted_at = ?, secret_hash = NULL, enabled = 0 WHERE id = ?',
  );

  return {
    list: () => [...byId.values()],
    get: (id) => byId.get(id),

    create({ name, expiresAt, limits: { limitNano, recurring }, sessionLimitNano = null }) {
      const { secret, hash, masked } = newSecret();
      const key: Key = {
        id: `key_${randomUUID()}`,
        name,
        masked,
        enabled: true,
        createdAt: now(),
        expiresAt,
        pause: null,
        fallback: null,
      };
      const { amountNano = null, every = null } = recurring ?? {};
      store.write(() =>
        insert.run(
          key.id,
          name,
          hash,
          masked,
          key.createdAt,
          expiresAt,
          limitNano,
          amountNano,
          every,
          sessionLimitNano,
        ),
      );
      add(key, hash.toString('hex'));
      return { key, secret };
    },

    update(id, change) {
      const key = byId.get(id);
      if (!key) return undefined;
      const next = { ...key, ...change };
      const fallback = next.fallback && JSON.stringify(next.fallback);
      store.write(() => updateKey.run(next.name, next.enabled ? 1 : 0, next.expiresAt, fallback, id));
      return Object.assign(key, next);
    },

    rotate(id) {
      const key = byId.get(id);
      if (!key) return undefined;
      const { secret, hash, masked } = newSecret();
      store.write(() => updateSecret.run(hash, masked, id));
      byHash.delete(hashes.get(id) ?? '');
      key.masked = masked;
      add(key, hash.toString('hex'));
      return { key, secret };
    },

    setPause(id, pause) {
      const key = byId.get(id);
      if (!key) return undefined;
      store.write(() => updatePause.run(pause?.at ?? null, pause?.count ?? null, id));
      key.pause = pause;
      return key;
    },

    remove(id) {
      if (!byId.has(id)) return false;
      store.write(() => markDeleted.run(now(), id));
      byHash.delete(hashes.get(id) ?? '');
      hashes.delete(id);
      return byId.delete(id);
    },

    find: (hashed) => byHash.get(hashed),
  };
}

/** One that cannot be read is none: the request then fails as it would without. */
function readFallback(stored: string | null): KeyFallback | null {
  if (stored === null) return null;
  try {
    return KeyFallback.parse(JSON.parse(stored));
  } catch {
    return null;
  }
}

function newSecret(): { secret: string; hash: Buffer; masked: string } {
  let random = '';
  for (let index = 0; index < SECRET_LENGTH; index += 1) random += BASE62[randomInt(BASE62.length)];
  const secret = PREFIX + random;
  return {
    secret,
    hash: Buffer.from(hashOf(secret), 'hex'),
    masked: `${PREFIX}${random.slice(0, 4)}…${random.slice(-4)}`,
  };
}

/** What is kept of a secret, and what it is found by. */
export function hashOf(secret: string): string {
  return digestOf('sha256', secret, 'hex');
}
