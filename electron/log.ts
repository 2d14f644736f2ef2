/** The log of the app: JSON lines in a file of the data folder, warnings also where a person may look. */
import { existsSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import pino from 'pino';
import { DataFolderError, makeDataFolder, type Log } from './gateway/gateway.ts';

const MAX_LOG_BYTES = 5_000_000;

export interface AppLog extends Log {
  readonly file: string;
  /** Writes what is still in memory. */
  flush(): void;
}

/** `echo` is given each warning and error as one line for a person. @throws DataFolderError with what to do */
export function openLog(dataDir: string, echo: (line: string) => void): AppLog {
  makeDataFolder(dataDir);
  const file = path.join(dataDir, 'faregate.log');
  const destination = openFile(file);
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return {
    file,
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => {
      logger.warn(fields, message);
      echo(message);
    },
    error: (fields, message) => {
      logger.error(fields, message);
      echo(message);
    },
    flush: () => destination.flushSync(),
  };
}

function openFile(file: string): ReturnType<typeof pino.destination> {
  try {
    // One older file is kept, so that the log never grows without bound.
    if (existsSync(file) && statSync(file).size > MAX_LOG_BYTES) renameSync(file, `${file}.1`);
    const destination = pino.destination({ dest: file, sync: true, mode: 0o600 });
    // A log that cannot be written, as on a full disk, is no reason to stop anything.
    destination.on('error', () => {});
    return destination;
  } catch (cause) {
    throw new DataFolderError(
      `${file} cannot be written. Correct the permissions of the file and its folder.`,
      cause,
    );
  }
}
