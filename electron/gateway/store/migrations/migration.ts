import type { Database } from 'better-sqlite3';

/** One step of the schema's history; see index.ts. */
export interface Migration {
  /** Becomes the file's `user_version`. */
  version: number;
  name: string;
  up(db: Database): void;
}
