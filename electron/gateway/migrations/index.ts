/**
 * The schema's history. Each migration is numbered, never edited once released, and takes the file from the version
 * before it to its own; `store.ts` runs all that are pending in one transaction.
 */
import type { Database } from 'better-sqlite3';
import { ledger } from './0001-ledger.ts';
import { limits } from './0002-limits.ts';

export interface Migration {
  /** Becomes the file's `user_version`. */
  version: number;
  name: string;
  up(db: Database): void;
}

export const migrations: readonly Migration[] = [ledger, limits];
