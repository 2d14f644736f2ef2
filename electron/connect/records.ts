/**
 * What was done to a tool's files, in the data folder: the bytes they had, what was written, and the key. Written before
 * the files are, so that whatever ends the program in between can be taken back.
 */
import path from 'node:path';
import * as z from 'zod';
import { ToolId } from '#shared/connect.ts';
import { readBytes, replaceFile } from './files.ts';

const Segment = z.union([z.string(), z.strictObject({ named: z.string() })]);

const EntryRecord = z.object({
  path: z.array(Segment),
  /** Hash of the value that was written, `null` where the entry was removed: the file alone holds the key. */
  wrote: z.string().nullable(),
  /** What it was until now, while the file is being changed from one of ours to another of ours. */
  wroteBefore: z.string().nullable().optional(),
  /** What stood there; left out where nothing did. */
  before: z.unknown().optional(),
  /** How much of the path was there before: what was made for the entry goes with it. */
  depth: z.int(),
});
export type EntryRecord = z.infer<typeof EntryRecord>;

const FileRecord = z.object({
  path: z.string(),
  format: z.enum(['json', 'toml', 'yaml', 'dotenv']),
  /** In base64; null where there was no file. */
  original: z.string().nullable(),
  /** SHA-256 of what was written. */
  written: z.string(),
  /** As `wroteBefore`, of the whole file. */
  writtenBefore: z.string().optional(),
  entries: z.array(EntryRecord),
});
export type FileRecord = z.infer<typeof FileRecord>;

const Connection = z.object({
  tool: ToolId,
  keyId: z.string(),
  /** Where it was pointed at; null once it is disconnected: the key is kept for the next time. */
  gatewayUrl: z.string().nullable(),
  files: z.array(FileRecord),
});
export type Connection = z.infer<typeof Connection>;

export interface Connections {
  /** null where it never was connected. */
  read(tool: ToolId): Connection | null;
  write(connection: Connection): void;
}

export function createConnections(dataDir: string): Connections {
  const fileOf = (tool: ToolId) => path.join(dataDir, 'connections', `${tool}.json`);
  return {
    read(tool) {
      const bytes = readBytes(fileOf(tool));
      return bytes && Connection.parse(JSON.parse(bytes.toString('utf8')));
    },
    write: (connection) => replaceFile(fileOf(connection.tool), `${JSON.stringify(connection, null, 2)}\n`),
  };
}
