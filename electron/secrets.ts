/** Encrypts provider credentials with the operating system's store; with a key file where there is none. */
import { safeStorage } from 'electron';
import { isSealedByKeyFile, keyFileSecrets, type Secrets } from './gateway/gateway.ts';

export interface DesktopSecrets extends Secrets {
  /** Whether the operating system keeps the key. Else it lies in a file that only its owner can read. */
  readonly bySystem: boolean;
}

/**
 * Only once the app is ready. Either form is opened wherever that is possible, so that a credential entered while the
 * gateway ran headless is there in the window too.
 */
export async function desktopSecrets({
  dataDir,
  env,
}: {
  dataDir: string;
  env: NodeJS.ProcessEnv;
}): Promise<DesktopSecrets> {
  const bySystem = await hasSystemStore();
  let made: Secrets | undefined;
  const outdated = new WeakSet<Buffer>();
  const keyFile = () => (made ??= keyFileSecrets({ dataDir, env }));
  return {
    bySystem,
    seal: (plain) => (bySystem ? safeStorage.encryptStringAsync(plain) : keyFile().seal(plain)),
    async open(sealed) {
      if (isSealedByKeyFile(sealed)) return keyFile().open(sealed);
      if (!bySystem)
        throw new Error(
          "The operating system's store for secrets is not available. Enter the credential again.",
        );
      const { result, shouldReEncrypt } = await safeStorage.decryptStringAsync(sealed);
      if (shouldReEncrypt) outdated.add(sealed);
      return result;
    },
    isOutdated: (sealed) => outdated.has(sealed),
  };
}

async function hasSystemStore(): Promise<boolean> {
  // Without a keyring Electron encrypts under a password that is the same everywhere ("basic_text"), which is worth
  // less than a key of our own.
  if (
    process.platform === 'linux' &&
    ['basic_text', 'unknown'].includes(safeStorage.getSelectedStorageBackend())
  ) {
    return false;
  }
  return safeStorage.isAsyncEncryptionAvailable();
}
