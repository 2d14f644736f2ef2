import type { Migration } from './migration.ts';

/**
 * Keys, providers, prices, settings, and the ledger: holds, usage rows and each key's totals. Times are milliseconds
 * since the epoch in UTC; money is whole nano-dollars.
 */
export const ledger: Migration = {
  version: 1,
  name: 'ledger',
  up(db) {
    db.exec(`
      CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        -- SHA-256 of the secret; the secret itself is nowhere. NULL once the key is deleted.
        secret_hash BLOB UNIQUE,
        masked TEXT NOT NULL,
        enabled INTEGER NOT NULL DEFAULT 1,
        created_at INTEGER NOT NULL,
        last_used_at INTEGER,
        expires_at INTEGER,
        deleted_at INTEGER,
        -- Totals of this key's rows in requests, written in the transaction that writes the row.
        usage_credits_nano INTEGER NOT NULL DEFAULT 0,
        usage_own_key_nano INTEGER NOT NULL DEFAULT 0,
        requests INTEGER NOT NULL DEFAULT 0,
        unpriced_requests INTEGER NOT NULL DEFAULT 0,
        input_tokens INTEGER NOT NULL DEFAULT 0,
        output_tokens INTEGER NOT NULL DEFAULT 0
      ) STRICT;

      CREATE TABLE providers (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        slug TEXT NOT NULL UNIQUE,
        base_url TEXT NOT NULL,
        billing TEXT NOT NULL,
        -- Encrypted by the machine's secret store; opened only in memory.
        credential BLOB,
        enabled INTEGER NOT NULL DEFAULT 1,
        created_at INTEGER NOT NULL
      ) STRICT;

      CREATE TABLE prices (
        provider_id TEXT NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
        model TEXT NOT NULL,
        price TEXT NOT NULL,
        set_at INTEGER NOT NULL,
        PRIMARY KEY (provider_id, model)
      ) STRICT;

      -- Money set aside for requests in flight. A row that is here at start-up belongs to a process that died.
      CREATE TABLE holds (
        id INTEGER PRIMARY KEY,
        key_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        amount_nano INTEGER NOT NULL,
        provider TEXT NOT NULL,
        billing TEXT NOT NULL,
        dialect TEXT NOT NULL,
        model TEXT NOT NULL,
        stream INTEGER NOT NULL,
        price TEXT
      ) STRICT;

      CREATE TABLE requests (
        id INTEGER PRIMARY KEY,
        key_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        settled_at INTEGER NOT NULL,
        provider TEXT NOT NULL,
        billing TEXT NOT NULL,
        dialect TEXT NOT NULL,
        model_asked TEXT NOT NULL,
        model TEXT NOT NULL,
        status INTEGER NOT NULL,
        stream INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        cached_input_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        cache_write_1h_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL,
        web_searches INTEGER NOT NULL,
        -- NULL = unpriced. Otherwise the sum of what was paid from credits and what ran on the person's own key.
        cost_nano INTEGER,
        cost_own_key_nano INTEGER NOT NULL,
        reported_cost_nano INTEGER,
        computed_cost_nano INTEGER,
        held_nano INTEGER NOT NULL,
        price TEXT,
        price_source TEXT,
        flags TEXT NOT NULL,
        first_byte_ms REAL,
        duration_ms REAL NOT NULL
      ) STRICT;
      CREATE INDEX requests_by_key ON requests (key_id, id);
      CREATE INDEX requests_by_time ON requests (at);

      CREATE TABLE corrections (
        request_id INTEGER NOT NULL REFERENCES requests (id),
        at INTEGER NOT NULL,
        cost_before_nano INTEGER,
        cost_after_nano INTEGER NOT NULL,
        reason TEXT NOT NULL
      ) STRICT;

      CREATE TABLE settings (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
      ) STRICT;
    `);
  },
};
