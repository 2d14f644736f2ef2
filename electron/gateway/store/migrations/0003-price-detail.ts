import type { Migration } from './migration.ts';

/** How a cost came about: fees and tiers beyond the token counts, and re-pricing as a recorded action. */
export const priceDetail: Migration = {
  version: 3,
  name: 'price detail',
  up(db) {
    db.exec(`
      -- Few rows ever, so they are found without reading the others.
      CREATE INDEX requests_unpriced ON requests (provider, model_asked, id) WHERE cost_nano IS NULL;
    `);
  },
};
