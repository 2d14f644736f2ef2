import type { Migration } from './migration.ts';

/** Limits over all keys and per provider, top-ups, thresholds already told, and paused keys. */
export const limitScopes: Migration = {
  version: 4,
  name: 'limit scopes',
  up(db) {
    db.exec(`
      CREATE TABLE limit_scopes (
        -- A provider's id, or 'global' for all keys together.
        id TEXT PRIMARY KEY,
        -- What requests to the provider have cost. Of 'global' it stays 0: the totals of the keys say it.
        usage_nano INTEGER NOT NULL DEFAULT 0,
        limit_nano INTEGER,
        recurring_nano INTEGER,
        recurring_every TEXT,
        window_start INTEGER,
        window_used_nano INTEGER NOT NULL DEFAULT 0
      ) STRICT;

      -- A provider's slug can change and be given to another: what counts against its limit goes by its id.
      ALTER TABLE holds ADD COLUMN provider_id TEXT;
      ALTER TABLE requests ADD COLUMN provider_id TEXT;
      UPDATE holds SET provider_id = (SELECT id FROM providers WHERE slug = holds.provider);
      UPDATE requests SET provider_id = (SELECT id FROM providers WHERE slug = requests.provider);
      INSERT INTO limit_scopes (id, usage_nano)
        SELECT provider_id, coalesce(sum(cost_nano), 0) FROM requests WHERE provider_id IS NOT NULL GROUP BY provider_id;

      -- A clock that was set back asks what was settled in a span of time (see balances.ts).
      CREATE INDEX requests_by_settlement ON requests (settled_at);

      ALTER TABLE keys ADD COLUMN top_up_nano INTEGER;
      -- NULL = until it is removed.
      ALTER TABLE keys ADD COLUMN top_up_until INTEGER;
      ALTER TABLE keys ADD COLUMN paused_at INTEGER;
      ALTER TABLE keys ADD COLUMN paused_count INTEGER;

      -- The highest threshold that was told of a limit; without a row none.
      CREATE TABLE limit_notices (
        scope TEXT NOT NULL,
        recurring INTEGER NOT NULL,
        percent INTEGER NOT NULL,
        PRIMARY KEY (scope, recurring)
      ) STRICT, WITHOUT ROWID;
    `);
  },
};
