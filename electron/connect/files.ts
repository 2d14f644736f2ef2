/** Files of other programs: read whole, replaced whole or not at all. */
import { createHash, randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { codeOf } from '#shared/caught.ts';

/** A file cannot be read or replaced; the message says what to do. */
export class FileError extends Error {}

/** What a link leads to, so that the link stays one. A file that is not there is its own path. */
export function realFile(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

/** null where there is none. */
export function readBytes(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return null;
    throw new FileError(`${file} cannot be read (${reasonOf(cause)}). Correct its permissions.`, { cause });
  }
}

export function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Told before anything is changed: an atomic replacement would step over the write protection of a file. */
export function assertReplaceable(file: string): void {
  if (existsSync(file)) {
    // Not the system's own check alone, which lets the administrator write everything.
    const writable = (statSync(file).mode & 0o200) !== 0 && mayWrite(file);
    if (!writable) throw new FileError(`${file} is write-protected. Make it writable, or change it by hand.`);
  }
  let folder = path.dirname(file);
  while (!existsSync(folder)) folder = path.dirname(folder);
  if (!mayWrite(folder)) throw new FileError(`Nothing can be written in ${folder}. Correct its permissions.`);
}

/** Whether others than its owner can read it. */
export function isOpenToOthers(file: string): boolean {
  return process.platform !== 'win32' && existsSync(file) && (statSync(file).mode & 0o077) !== 0;
}

/**
 * The new bytes beside the old, on disk, then in their place by a rename: a crash leaves one or the other. The mode
 * stays; a new file is its owner's alone.
 */
export function replaceFile(file: string, bytes: Buffer | string): void {
  const mode = existsSync(file) ? statSync(file).mode & 0o777 : 0o600;
  const beside = `${file}.faregate-${randomBytes(4).toString('hex')}`;
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const handle = openSync(beside, 'wx', mode);
    try {
      writeSync(handle, Buffer.from(bytes));
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    // What openSync sets is subject to the umask.
    chmodSync(beside, mode);
    renameSync(beside, file);
  } catch (cause) {
    rmSync(beside, { force: true });
    throw new FileError(`${file} cannot be written (${reasonOf(cause)}). Nothing was changed.`, { cause });
  }
}

export function removeFile(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch (cause) {
    throw new FileError(`${file} cannot be removed (${reasonOf(cause)}).`, { cause });
  }
}

function mayWrite(entry: string): boolean {
  try {
    accessSync(entry, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const reasonOf = (error: unknown) => codeOf(error) || 'unknown reason';
