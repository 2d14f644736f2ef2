import type { Migration } from './migration.ts';

/** Where a key's requests go once more (`KeyFallback` as JSON); NULL = nowhere. */
export const keyFallbacks: Migration = {
  version: 8,
  name: 'key fallbacks',
  up(db) {
    db.exec('ALTER TABLE keys ADD COLUMN fallback TEXT');
  },
};
