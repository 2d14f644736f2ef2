import type { Migration } from './migration.ts';

/** How a cost came about: fees and tiers beyond the token counts, and re-pricing as a recorded action. */
export const priceDetail: Migration = {
  version: 3,
  name: 'price detail',
  up() {},
};
