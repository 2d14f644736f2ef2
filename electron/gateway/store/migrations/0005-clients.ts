import type { Migration } from './migration.ts';

/**
 * Who sent a request, as far as it says: the client, its session and its agent. A hold carries them too, so that a
 * request whose process died still belongs to its session.
 */
export const clients: Migration = {
  version: 5,
  name: 'clients',
  up(db) {
    for (const table of ['holds', 'requests']) {
      for (const column of ['client', 'session', 'agent', 'parent_agent'])
        db.exec(`ALTER TABLE ${table} ADD COLUMN ${column} TEXT`);
    }
    // What caching saved, from the frozen price; NULL = unknown.
    db.exec('ALTER TABLE requests ADD COLUMN saved_nano INTEGER');
  },
};
