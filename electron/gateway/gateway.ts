/** The gateway as one object: the only file of this folder that the rest of `electron/` imports. */
import type { Answer, EventData, EventName } from '#shared/contract.ts';

/** Encrypts provider credentials at rest. `open` rejects where the bytes were sealed under another key. */
export interface Secrets {
  seal(plain: string): Promise<Buffer>;
  open(sealed: Buffer): Promise<string>;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

/** A structured log line; never given a credential, a key, a prompt or an answer. pino fits. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface GatewayOptions {
  /** Created if missing; holds `faregate.db`. */
  dataDir: string;
  secrets: Secrets;
  version: string;
  clock?: Clock;
  log?: Log;
}

export type EventListener = <N extends EventName>(name: N, data: EventData<N>) => void;

export interface Gateway {
  /**
   * Starts the metered listener on 127.0.0.1. Without a port the one of the settings is used; 0 = any free one.
   * Rejects with a `ListenError` where the port is taken.
   */
  listen(options?: { port?: number }): Promise<{ port: number; url: string }>;
  /** One call of the contract: parse, handle, envelope. Never rejects. */
  dispatch(name: unknown, input: unknown): Promise<Answer<unknown>>;
  /** Returns the function that ends the subscription. */
  subscribe(listener: EventListener): () => void;
  /** Refuses new requests, lets running ones finish for `graceMs` (5 s at the most), settles every one, closes the ledger. */
  close(options?: { graceMs?: number }): Promise<void>;
}

/** The listener could not start. `code` is the system's, such as EADDRINUSE; the message says what to do. */
export class ListenError extends Error {
  readonly code: string;
  readonly port: number;
  constructor(code: string, port: number, message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ListenError';
    this.code = code;
    this.port = port;
  }
}

/** The data folder cannot be used as it is: from a newer version, in use by another process, damaged, read-only. */
export class DataFolderError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'DataFolderError';
  }
}

export async function createGateway(_options: GatewayOptions): Promise<Gateway> {
  throw new Error('being written');
}

export { loadAssets, type AssetResponse, type Assets } from './assets.ts';
export { isSealedByKeyFile, keyFileSecrets, SecretKeyError } from './keyfile.ts';
export { createWeb, type Web } from './web.ts';
