/** What is said where the ledger cannot be written, and what to do about it. */
import { codeOf, messageOf } from '#shared/caught.ts';
import { isDamage } from '../store/data-folder.ts';

/** The ledger cannot be written: requests on limited keys must not be served. The message says what to do. */
export class LedgerUnavailable extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'LedgerUnavailable';
  }
}

export const DAMAGED_SENTENCE =
  'The ledger is damaged. Restore a backup under Settings, or with `faregate restore`; limited keys are refused until then.';

export function describeWriteFailure(cause: unknown): string {
  if (isDamage(cause)) return DAMAGED_SENTENCE;
  const code = codeOf(cause);
  if (code === 'SQLITE_FULL')
    return 'The disk is full: usage cannot be recorded. Free some space; limited keys are refused until then.';
  if (code.startsWith('SQLITE_READONLY') || code.startsWith('SQLITE_IOERR')) {
    return 'The ledger cannot be written. Check the data folder and its disk; limited keys are refused until then.';
  }
  return `The ledger cannot be written (${messageOf(cause)}). Limited keys are refused until it can.`;
}
