import type { Migration } from './migration.ts';

/** Limits over all keys and per provider, top-ups, thresholds already told, and paused keys. */
export const limitScopes: Migration = {
  version: 4,
  name: 'limit scopes',
  up() {},
};
