/**
 * One gateway over the parts of a data folder, which a restore takes down and builds again over another ledger: callers
 * and subscribers keep theirs, and the listeners come back at their addresses.
 */
import type { Answer } from '#shared/contract.ts';
import type { EventListener } from './announcer.ts';
import { CallError } from './api/calls.ts';
import { mustExist, restoreBackup, RestoreError, type Restored } from './backups/restore.ts';
import { DataFolderError } from './store/data-folder.ts';

export interface Gateway {
  /**
   * Starts the metered listener on 127.0.0.1. Without a port the one of the settings is used; 0 = any free one.
   * Rejects with a `ListenError` where the port is taken.
   */
  listen(options?: { port?: number }): Promise<{ port: number; url: string }>;
  /**
   * Starts a second listener, with TLS, that other machines reach. It answers to `address` and to the names and
   * addresses of the certificate. `cert` and `key` are PEM. Rejects with a `ListenError`.
   */
  expose(where: { address: string; port: number; cert: string; key: string }): Promise<{ url: string }>;
  /** One call of the contract: parse, handle, envelope. Never rejects. */
  dispatch(name: unknown, input: unknown): Promise<Answer<unknown>>;
  /** Returns the function that ends the subscription. */
  subscribe(listener: EventListener): () => void;
  /** Writes what could not be written until now, and waits until all of it is on disk: the machine may be about to sleep. */
  flush(): Promise<void>;
  /** Refuses new requests, lets running ones finish for `graceMs` (5 s at the most), settles every one, closes the ledger. */
  close(options?: { graceMs?: number }): Promise<void>;
}

export type Restore = (name: string, carryOver: boolean) => Promise<Restored>;

/** Running requests end in this time before the ledger is replaced; those that do not are stopped and settled. */
const RESTORE_GRACE_MS = 5_000;

export async function createReplaceable(
  open: (restore: Restore) => Promise<Gateway>,
  { dataDir, now }: { dataDir: string; now: () => number },
): Promise<Gateway> {
  const subscriptions = new Map<EventListener, () => void>();
  let listening: { port: number } | null = null;
  let exposed: Parameters<Gateway['expose']>[0] | null = null;
  let restoring: Promise<Restored> | null = null;
  let closing = false;
  /** Why there are no parts: the folder could not be opened again. */
  let down: Error | null = null;
  let parts = await open(restore);

  function restore(name: string, carryOver: boolean): Promise<Restored> {
    if (restoring || closing) throw new CallError('conflict', 'A restore is under way. Wait for it to end.');
    try {
      mustExist(dataDir, name);
    } catch (error) {
      if (error instanceof RestoreError) throw new CallError('not_found', error.message, 'name');
      throw error;
    }
    restoring = replace(name, carryOver).finally(() => (restoring = null));
    // Who asked is told; those who wait for it to be over are not.
    restoring.catch(() => {});
    return restoring;
  }

  async function replace(name: string, carryOver: boolean): Promise<Restored> {
    await parts.close({ graceMs: RESTORE_GRACE_MS });
    try {
      return restoreBackup(dataDir, name, { carryOver, now: now() });
    } catch (error) {
      if (error instanceof RestoreError || error instanceof DataFolderError)
        throw new CallError('conflict', error.message, 'name');
      throw error;
    } finally {
      await reopen();
    }
  }

  async function reopen(): Promise<void> {
    try {
      parts = await open(restore);
      for (const listener of subscriptions.keys()) subscriptions.set(listener, parts.subscribe(listener));
      if (listening) await parts.listen(listening);
      if (exposed) await parts.expose(exposed);
    } catch (error) {
      down = error instanceof Error ? error : new Error(String(error));
      throw down;
    }
    for (const listener of subscriptions.keys()) listener({ name: 'ledger-replaced', data: {} });
  }

  const settled = () => restoring?.then(undefined, () => undefined);

  return {
    async listen(options) {
      await settled();
      const where = await parts.listen(options);
      listening = { port: where.port };
      return where;
    },
    async expose(where) {
      await settled();
      const address = await parts.expose(where);
      exposed = where;
      return address;
    },
    async dispatch(name, input): Promise<Answer<unknown>> {
      if (restoring) await settled();
      if (down)
        return {
          ok: false,
          error: { code: 'ledger_unavailable', message: `${down.message} Then restart Faregate.` },
        };
      return parts.dispatch(name, input);
    },
    subscribe(listener) {
      subscriptions.set(listener, parts.subscribe(listener));
      return () => {
        subscriptions.get(listener)?.();
        subscriptions.delete(listener);
      };
    },
    async flush() {
      await settled();
      if (!down) await parts.flush();
    },
    async close(how) {
      closing = true;
      await settled();
      await parts.close(how);
    },
  };
}
