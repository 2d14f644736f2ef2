import { resolve } from 'node:path';
import config from './playwright.config.ts';

/** `npm run screenshots`: pictures of every page and state, to be looked at. Tests nothing, so it is no part of `npm test`. */
export default {
  ...config,
  testMatch: '*pictures.ts',
  outputDir: resolve(import.meta.dirname, '..', '..', 'test-results', 'screenshots-run'),
};
