import type { Migration } from './migration.ts';

/** What each session of a key may cost; NULL = no limit. What a session has cost is summed up already. */
export const sessionLimits: Migration = {
  version: 7,
  name: 'session limits',
  up(db) {
    db.exec('ALTER TABLE keys ADD COLUMN session_limit_nano INTEGER');
  },
};
