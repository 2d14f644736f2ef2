import type { Migration } from './migration.ts';

/** Who sent a request: the client, its session and its agent. */
export const clients: Migration = {
  version: 5,
  name: 'clients',
  up() {},
};
