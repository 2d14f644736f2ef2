/**
 * Encrypts provider credentials where no operating system store can be used: AES-256-GCM under a key that lies in a
 * file only its owner can read, or that the environment gives.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { codeOf } from '#shared/caught.ts';

export const KEY_FILE = 'secret.key';
const KEY_VARIABLE = 'FAREGATE_SECRET_KEY';

/** The key cannot be used or does not fit; the message says what to do. */
export class SecretKeyError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'SecretKeyError';
  }
}

export interface KeyFileSecrets {
  seal(plain: string): Promise<Buffer>;
  /** Rejects with a `SecretKeyError`. */
  open(sealed: Buffer): Promise<string>;
}

// A sealed credential: magic and version (4) · key id (8) · nonce (12) · ciphertext · tag (16).
const MAGIC = Buffer.from('FGS1');
const ID_BYTES = 8;
// 96 bits, random for each seal: NIST SP 800-38D, section 8.2.2. The few credentials of one person stay far below its bound.
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = MAGIC.length + ID_BYTES;

/** Whether these bytes were sealed by `keyFileSecrets`, under whichever key. */
export function isSealedByKeyFile(sealed: Buffer): boolean {
  return sealed.subarray(0, MAGIC.length).equals(MAGIC);
}

/**
 * The key file is made at the first `seal`. Throws a `SecretKeyError` at once where the key that is there already
 * cannot be trusted (readable by others) or read (not 32 bytes).
 */
export function keyFileSecrets({
  dataDir,
  env,
}: {
  dataDir: string;
  env: NodeJS.ProcessEnv;
}): KeyFileSecrets {
  const file = path.join(dataDir, KEY_FILE);
  const fromEnvironment = env[KEY_VARIABLE];
  let known = fromEnvironment ? parseKey(fromEnvironment, KEY_VARIABLE) : readKeyFile(file);
  return {
    seal: async (plain) => seal(plain, (known ??= createKeyFile(file))),
    open: async (sealed) => {
      known ??= readKeyFile(file);
      if (!known) {
        throw new SecretKeyError(
          `The key file ${file} is missing: put it back, or enter the credential again.`,
        );
      }
      return open(sealed, known);
    },
  };
}

function seal(plain: string, key: Buffer): Buffer {
  const header = Buffer.concat([MAGIC, keyId(key)]);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(header);
  return Buffer.concat([header, nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]);
}

function open(sealed: Buffer, key: Buffer): string {
  if (!isSealedByKeyFile(sealed) || sealed.length < HEADER_BYTES + NONCE_BYTES + TAG_BYTES) {
    throw new SecretKeyError('The credential was not encrypted with a key file. Enter it again.');
  }
  const header = sealed.subarray(0, HEADER_BYTES);
  if (!header.subarray(MAGIC.length).equals(keyId(key))) {
    throw new SecretKeyError(
      'The credential was encrypted with another key. Use that key, or enter the credential again.',
    );
  }
  const nonce = sealed.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
    .setAAD(header)
    .setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    const plain = decipher.update(sealed.subarray(HEADER_BYTES + NONCE_BYTES, -TAG_BYTES));
    return Buffer.concat([plain, decipher.final()]).toString('utf8');
  } catch (error) {
    throw new SecretKeyError('The stored credential is damaged. Enter it again.', error);
  }
}

/** Names a key without telling it, so that a wrong key is told from damaged bytes. */
function keyId(key: Buffer): Buffer {
  return createHash('sha256').update('faregate key id\0').update(key).digest().subarray(0, ID_BYTES);
}

function parseKey(text: string, source: string): Buffer {
  const typed = text.trim();
  const key = /^[0-9a-f]{64}$/i.test(typed)
    ? Buffer.from(typed, 'hex')
    : /^[A-Za-z0-9+/_-]{43}=?$/.test(typed)
      ? Buffer.from(typed, 'base64')
      : null;
  if (key?.length !== 32) {
    throw new SecretKeyError(
      `${source} must hold 32 bytes as 64 hex digits or as base64, such as 'openssl rand -hex 32' prints.`,
    );
  }
  return key;
}

/** null where there is none. */
function readKeyFile(file: string): Buffer | null {
  let descriptor: number;
  try {
    // The file that is checked is the file that is read, and never one that a link points at.
    descriptor = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    if (codeOf(error) === 'ELOOP')
      throw new SecretKeyError(`${file} is a link; the key file has to be a file.`, error);
    throw new SecretKeyError(`The key file ${file} cannot be read: ${String(error)}`, error);
  }
  try {
    const { mode } = fstatSync(descriptor);
    // Windows has no such bits; there the folder of the account is what protects the file.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new SecretKeyError(
        `The key file can be read by other accounts of this machine. Run: chmod 600 '${file}'`,
      );
    }
    return parseKey(readFileSync(descriptor, 'utf8'), `The key file ${file}`);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Written in full beside its place and then linked there: no reader ever sees half a key, and of two processes that
 * make one at the same time both end up with the same.
 */
function createKeyFile(file: string): Buffer {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const key = randomBytes(32);
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  const descriptor = openSync(draft, 'wx', 0o600);
  try {
    writeSync(descriptor, `${key.toString('hex')}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  try {
    linkSync(draft, file);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') {
      const other = readKeyFile(file);
      if (other) return other;
    }
    // Some file systems, such as exFAT, know no links; there the last of two writers wins.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error))) {
      throw new SecretKeyError(`The key file ${file} cannot be created: ${String(error)}`, error);
    }
    renameSync(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
  syncFolder(path.dirname(file));
  return key;
}

/** A key that is lost with the power makes every credential unreadable; Windows cannot open folders and needs not. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, constants.O_RDONLY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
