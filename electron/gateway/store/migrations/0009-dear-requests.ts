import type { Migration } from './migration.ts';

/** What cost ten cents and more, found in the log without reading the rest of it. */
export const dearRequests: Migration = {
  version: 9,
  name: 'dear requests',
  up(db) {
    db.exec(
      'CREATE INDEX requests_dear ON requests (id, cost_nano, status, series) WHERE cost_nano >= 100000000',
    );
  },
};
