/**
 * The schema's history. Each migration is numbered, never edited once released, and takes the file from the version
 * before it to its own; `store.ts` runs all that are pending in one transaction.
 */
import { ledger } from './0001-ledger.ts';
import { limits } from './0002-limits.ts';
import { priceDetail } from './0003-price-detail.ts';
import { limitScopes } from './0004-limit-scopes.ts';
import { clients } from './0005-clients.ts';
import { aggregates } from './0006-aggregates.ts';
import { sessionLimits } from './0007-session-limits.ts';
import { keyFallbacks } from './0008-key-fallbacks.ts';
import { dearRequests } from './0009-dear-requests.ts';
import type { Migration } from './migration.ts';

export const migrations: readonly Migration[] = [
  ledger,
  limits,
  priceDetail,
  limitScopes,
  clients,
  aggregates,
  sessionLimits,
  keyFallbacks,
  dearRequests,
];
