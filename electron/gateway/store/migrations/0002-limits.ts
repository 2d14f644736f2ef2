import type { Migration } from './migration.ts';

/**
 * Usage limits per key. A NULL limit is no limit, so every key that existed before has none; 0 blocks the key.
 * The window columns say how much of the current period of the recurring limit is used.
 */
export const limits: Migration = {
  version: 2,
  name: 'limits',
  up(db) {
    db.exec(`
      ALTER TABLE keys ADD COLUMN limit_nano INTEGER;
      ALTER TABLE keys ADD COLUMN recurring_nano INTEGER;
      ALTER TABLE keys ADD COLUMN recurring_every TEXT;
      ALTER TABLE keys ADD COLUMN window_start INTEGER;
      ALTER TABLE keys ADD COLUMN window_used_nano INTEGER NOT NULL DEFAULT 0;
    `);
  },
};
