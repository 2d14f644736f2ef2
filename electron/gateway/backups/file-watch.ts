/**
 * Notices that the ledger's file was deleted or replaced, or that the disk does not keep what is written to it. SQLite
 * goes on writing to what it has open, so without this everything from then on would be lost at the end, unseen.
 */
import { join } from 'node:path';
import type { Ledger } from '../ledger/ledger.ts';
import type { Store } from '../store/store.ts';
import { backupFolder, backupName } from './backups.ts';

export interface FileWatch {
  look(): void;
  /** Saves what was written since, where the file is not in place. */
  close(): void;
}

export function createFileWatch({
  store,
  ledger,
  dataDir,
  now,
  log,
}: {
  store: Store;
  ledger: Ledger;
  dataDir: string;
  now: () => number;
  log: { error(fields: object, message: string): void } | undefined;
}): FileWatch {
  let gone = false;

  /** What is open is all that is left of it. */
  function save(): string | null {
    const name = backupName(now());
    try {
      store.copyTo(join(backupFolder(dataDir), name));
      return name;
    } catch (error) {
      log?.error({ error: String(error) }, 'the open ledger could not be saved');
      return null;
    }
  }

  return {
    look() {
      const unsynced = store.unsynced();
      if (unsynced !== null) {
        log?.error({ error: unsynced.message }, 'the disk does not keep the ledger');
        ledger.fail(
          'The disk does not keep what is written to it. Check it, then restart Faregate; limited keys are refused until then.',
        );
      }
      if (gone || store.isInPlace()) return;
      gone = true;
      const saved = save();
      const where = saved === null ? '' : ` What it held is saved as the backup ${saved}: restore it.`;
      ledger.fail(
        `The ledger's file was deleted or replaced while Faregate runs.${where} Restart Faregate to use the file that is there now; limited keys are refused until then.`,
      );
    },
    close() {
      if (gone || !store.isInPlace()) save();
    },
  };
}
