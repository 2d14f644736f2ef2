import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  isSealedByKeyFile,
  KEY_FILE,
  keyFileSecrets,
  SecretKeyError,
} from '../../../electron/gateway/config/keyfile.ts';

const posix = process.platform !== 'win32';
const credential = 'sk-test-ünïcode-0123456789';
let dataDir: string;

beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'faregate-keyfile-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const secrets = (env: NodeJS.ProcessEnv = {}) => keyFileSecrets({ dataDir, env });

describe('under a key file', () => {
  test('opens what it sealed, also after a restart', async () => {
    const sealed = await secrets().seal(credential);
    expect(await secrets().open(sealed)).toBe(credential);
    expect(sealed.includes('sk-test')).toBe(false);
    expect(isSealedByKeyFile(sealed)).toBe(true);
  });

  test('never seals to the same bytes twice', async () => {
    const vault = secrets();
    expect((await vault.seal(credential)).equals(await vault.seal(credential))).toBe(false);
  });

  test.runIf(posix)('makes the key file for its owner alone and leaves nothing beside it', async () => {
    await secrets().seal(credential);
    expect(readdirSync(dataDir)).toEqual([KEY_FILE]);
    expect(statSync(path.join(dataDir, KEY_FILE)).mode & 0o777).toBe(0o600);
  });

  test('two that start at the same time end up with one key', async () => {
    const [one, other] = [secrets(), secrets()];
    const [a, b] = await Promise.all([one.seal('a'), other.seal('b')]);
    expect([await other.open(a), await one.open(b)]).toEqual(['a', 'b']);
  });

  test.runIf(posix)(
    'refuses a key file that others can read, and names the command that mends it',
    async () => {
      await secrets().seal(credential);
      const file = path.join(dataDir, KEY_FILE);
      chmodSync(file, 0o640);
      expect(() => secrets()).toThrow(
        new SecretKeyError(
          `The key file can be read by other accounts of this machine. Run: chmod 600 '${file}'`,
        ),
      );
      chmodSync(file, 0o600);
      expect(() => secrets()).not.toThrow();
    },
  );

  test.runIf(posix)('does not follow a link', () => {
    writeFileSync(path.join(dataDir, 'elsewhere'), randomBytes(32).toString('hex'), { mode: 0o600 });
    symlinkSync('elsewhere', path.join(dataDir, KEY_FILE));
    expect(() => secrets()).toThrow(/is a link/);
  });

  test('refuses a key file that holds no key', () => {
    writeFileSync(path.join(dataDir, KEY_FILE), 'short', { mode: 0o600 });
    expect(() => secrets()).toThrow(/must hold 32 bytes/);
  });

  test('says that the key file is missing rather than making a new one to open with', async () => {
    const sealed = await secrets().seal(credential);
    rmSync(path.join(dataDir, KEY_FILE));
    await expect(secrets().open(sealed)).rejects.toThrow(/is missing/);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test('tells a wrong key from damaged bytes, and opens neither', async () => {
    const sealed = await secrets().seal(credential);
    const damaged = Buffer.from(sealed);
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 20) ^ 1, damaged.length - 20);
    await expect(secrets().open(damaged)).rejects.toThrow(/damaged/);

    writeFileSync(path.join(dataDir, KEY_FILE), randomBytes(32).toString('hex'), { mode: 0o600 });
    await expect(secrets().open(sealed)).rejects.toThrow(/another key/);
    await expect(secrets().open(Buffer.from('v10 of something else'))).rejects.toThrow(
      /not encrypted with a key file/,
    );
    await expect(secrets().open(Buffer.from('FGS1'))).rejects.toThrow(SecretKeyError);
  });
});

describe('under a key of the environment', () => {
  const key = randomBytes(32);

  test.each([
    ['hex', key.toString('hex')],
    ['base64', key.toString('base64')],
    ['base64url', key.toString('base64url')],
  ])('takes 32 bytes as %s and writes no file', async (_form, text) => {
    const sealed = await secrets({ FAREGATE_SECRET_KEY: text }).seal(credential);
    expect(await secrets({ FAREGATE_SECRET_KEY: key.toString('hex') }).open(sealed)).toBe(credential);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test.each(['abc', key.subarray(1).toString('hex'), `${key.toString('hex')}00`, '!'.repeat(44)])(
    'refuses %s without repeating it',
    (text) => {
      expect(() => secrets({ FAREGATE_SECRET_KEY: text })).toThrow(/32 bytes/);
      expect(() => secrets({ FAREGATE_SECRET_KEY: text })).not.toThrow(text);
    },
  );

  test('goes before the key file', async () => {
    await secrets().seal(credential);
    const before = readFileSync(path.join(dataDir, KEY_FILE));
    const sealed = await secrets({ FAREGATE_SECRET_KEY: key.toString('hex') }).seal(credential);
    await expect(secrets().open(sealed)).rejects.toThrow(/another key/);
    expect(readFileSync(path.join(dataDir, KEY_FILE)).equals(before)).toBe(true);
  });
});
