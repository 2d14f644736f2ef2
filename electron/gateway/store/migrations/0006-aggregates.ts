import type { Migration } from './migration.ts';

/** The same in every table of sums; see rollup.ts for what each one counts. */
const SUMS = `
  requests INTEGER NOT NULL, errors INTEGER NOT NULL, estimated INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL, cached_input_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
  cost_nano INTEGER NOT NULL, own_key_nano INTEGER NOT NULL, saved_nano INTEGER NOT NULL,
  first_id INTEGER NOT NULL, last_id INTEGER NOT NULL`;

/**
 * Sums kept up as rows are written, so that no page scans the history. They start empty: whoever opens the ledger rolls
 * up the rows that are there.
 */
export const aggregates: Migration = {
  version: 6,
  name: 'aggregates',
  up(db) {
    db.exec(`
      -- Every combination that has occurred; '' where a request names no client.
      CREATE TABLE usage_series (
        id INTEGER PRIMARY KEY,
        key_id TEXT NOT NULL,
        provider TEXT NOT NULL,
        billing TEXT NOT NULL,
        model_asked TEXT NOT NULL,
        model TEXT NOT NULL,
        client TEXT NOT NULL,
        UNIQUE (key_id, provider, billing, model_asked, model, client)
      ) STRICT;
      -- Each row names its combination, so that one short index serves every filter of the log.
      ALTER TABLE requests ADD COLUMN series INTEGER;
      INSERT INTO usage_series (key_id, provider, billing, model_asked, model, client)
        SELECT DISTINCT key_id, provider, billing, model_asked, model, coalesce(client, '') FROM requests;
      UPDATE requests SET series = s.id FROM usage_series AS s
        WHERE s.key_id = requests.key_id AND s.provider = requests.provider AND s.billing = requests.billing
          AND s.model_asked = requests.model_asked AND s.model = requests.model AND s.client = coalesce(requests.client, '');
      DROP INDEX requests_by_key;
      CREATE INDEX requests_by_series ON requests (series);
      -- What did not go as it should: few rows, found without reading the others.
      CREATE INDEX requests_odd ON requests (id, flags, status, series)
        WHERE flags <> '' OR status < 200 OR status > 299;

      -- Keys, models, providers and clients by name; '' is all, or none.
      CREATE TABLE usage_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

      -- Sums of the requests that started on a local day or in a local month, in the zone named in usage_rolled, and
      -- between which ids they lie. The span says whether it is a day or a month, and of what: of a row of usage_series,
      -- or of a name alone (rollup.ts, spans), since most questions ask for one thing.
      CREATE TABLE usage_sums (
        span INTEGER NOT NULL,
        start INTEGER NOT NULL,
        -- In usage_series or usage_names.
        series INTEGER NOT NULL,
        ${SUMS},
        PRIMARY KEY (span, start, series)
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE usage_sessions (
        id INTEGER PRIMARY KEY,
        key_id TEXT NOT NULL,
        session TEXT NOT NULL,
        client TEXT NOT NULL,
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        UNIQUE (session, key_id)
      ) STRICT;
      CREATE INDEX usage_sessions_by_time ON usage_sessions (last_at, id);

      -- By day in UTC; the main agent is ''.
      CREATE TABLE usage_agents (
        session INTEGER NOT NULL,
        agent TEXT NOT NULL,
        start INTEGER NOT NULL,
        parent TEXT NOT NULL,
        ${SUMS},
        PRIMARY KEY (session, agent, start)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX usage_agents_by_time ON usage_agents (start);

      -- Rows up to this id are in the sums, but for those of requests that were still running: usage_open.
      CREATE TABLE usage_rolled (up_to INTEGER NOT NULL, zone TEXT NOT NULL) STRICT;
      INSERT INTO usage_rolled VALUES (0, '');
      CREATE TABLE usage_open (id INTEGER PRIMARY KEY) STRICT;

      -- A row that is in the sums and changes leaves the difference here, whoever changes it.
      CREATE TABLE usage_changes (
        request_id INTEGER NOT NULL,
        estimated INTEGER NOT NULL,
        unpriced INTEGER NOT NULL,
        cost_nano INTEGER NOT NULL,
        own_key_nano INTEGER NOT NULL,
        saved_nano INTEGER NOT NULL
      ) STRICT;
      CREATE TRIGGER request_changed AFTER UPDATE OF cost_nano, cost_own_key_nano, saved_nano, flags ON requests
      WHEN OLD.id <= (SELECT up_to FROM usage_rolled) AND NOT EXISTS (SELECT 1 FROM usage_open WHERE id = OLD.id)
      BEGIN
        INSERT INTO usage_changes VALUES (
          NEW.id,
          (instr(NEW.flags, 'estimated') > 0) - (instr(OLD.flags, 'estimated') > 0),
          (NEW.cost_nano IS NULL) - (OLD.cost_nano IS NULL),
          coalesce(NEW.cost_nano, 0) - coalesce(OLD.cost_nano, 0),
          NEW.cost_own_key_nano - OLD.cost_own_key_nano,
          coalesce(NEW.saved_nano, 0) - coalesce(OLD.saved_nano, 0)
        );
      END;
    `);
  },
};
