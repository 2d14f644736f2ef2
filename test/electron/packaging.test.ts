/** What an installer would hold: packed by electron-builder round a stand-in for Electron's own files, then started. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FuseState, FuseV1Options, getCurrentFuseWire } from '@electron/fuses';
import { expect as playwrightExpect } from '@playwright/test';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBrowser, startDesktop } from '../support/electron-standin/desktop.ts';
import { RESOURCES } from '../support/electron-standin/protocol.ts';

const projectRoot = path.resolve(import.meta.dirname, '..', '..');
const nativeModule = `node_modules/better-sqlite3/prebuilds/${process.platform}-${process.arch}.node`;

const trayIcons = ['near', 'ok', 'paused', 'reached'].flatMap((state) =>
  ['', '@2x', 'Template', 'Template@2x'].map((kind) => `dist/icons/tray-${state}${kind}.png`),
);

/** Beside Electron itself: the archive and what is kept outside of it. */
const BUDGET_MB = 16;

let folder: string;
let unpacked: string;
let archive: Asar;

// The layout of the other systems' bundles is not that of a plain folder.
describe.runIf(process.platform === 'linux')('the packed app', () => {
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'faregate-packed-'));
    unpacked = path.join(folder, 'release', 'linux-unpacked');
    pack(electronFiles(path.join(folder, 'electron')));
    archive = readAsar(path.join(unpacked, 'resources', 'app.asar'));
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('holds the bundles, the page and the native module, and no source', () => {
    const files = [...archive.keys()];
    const own = files.filter((file) => !file.startsWith('node_modules/'));
    expect(own.filter((file) => !file.startsWith('dist/renderer/')).toSorted()).toEqual([
      'dist/backup-worker.js',
      'dist/backup-worker.js.licenses.md',
      ...trayIcons,
      'dist/main.js',
      'dist/main.js.licenses.md',
      'dist/preload.cjs',
      'dist/token-worker.js',
      'dist/token-worker.js.licenses.md',
      'package.json',
    ]);
    expect(own).toContain('dist/renderer/index.html');
    expect(files.filter((file) => /\.(tsx?|c|h|cpp|gyp|map|log)$/.test(file))).toEqual([]);
  });

  test('brings one dependency, with the binary of this system alone, outside of the archive', () => {
    const modules = [...archive.keys()].filter((file) => file.startsWith('node_modules/'));
    expect(modules.filter((file) => !file.startsWith('node_modules/better-sqlite3/'))).toEqual([]);
    expect(modules.filter((file) => file.endsWith('.node'))).toEqual([nativeModule]);
    expect(archive.get(nativeModule)).toMatchObject({ unpacked: true });
    const outside = readdirSync(path.join(unpacked, 'resources', 'app.asar.unpacked'), { recursive: true });
    expect(outside.filter((file) => String(file).endsWith('.node'))).toEqual([nativeModule]);
  });

  test('stays small: what is ours, the native module and the page within a budget', () => {
    const packed = readdirSync(path.join(unpacked, 'resources'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(path.join(entry.parentPath, entry.name)).size);
    const megabytes = packed.reduce((sum, size) => sum + size, 0) / 1e6;
    expect(megabytes).toBeLessThan(BUDGET_MB);
    // Chromium's own texts in the one language that the window speaks.
    expect(readdirSync(path.join(unpacked, 'locales'))).toEqual(['en-US.pak']);
  });

  test('knows no place to look for newer versions unless it was released there', () => {
    expect(readdirSync(path.join(unpacked, 'resources')).toSorted()).toEqual([
      'app.asar',
      'app.asar.unpacked',
    ]);
  });

  test('says whose software is in it, and on what terms', () => {
    const licences = archive.get('dist/renderer/licences.txt')?.read().toString('utf8') ?? '';
    // One of each: bundled into the program, into its worker, into the page, and not bundled at all.
    for (const name of ['undici', 'electron-updater', 'gpt-tokenizer', 'react', 'better-sqlite3'])
      expect(licences).toMatch(new RegExp(`^${name} - \\d+\\.\\d+\\.\\d+ \\(MIT\\)$`, 'm'));
    expect(licences).toContain('LICENSES.chromium.html');
  });

  test('has the switches of Electron thrown that keep others from running code in it', async () => {
    const wire = await getCurrentFuseWire(path.join(unpacked, 'faregate'));
    const { ENABLE, DISABLE } = FuseState;
    expect(wire).toMatchObject({
      [FuseV1Options.RunAsNode]: DISABLE,
      [FuseV1Options.EnableCookieEncryption]: ENABLE,
      [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: DISABLE,
      [FuseV1Options.EnableNodeCliInspectArguments]: DISABLE,
      [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: ENABLE,
      [FuseV1Options.OnlyLoadAppFromAsar]: ENABLE,
      [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: DISABLE,
      [FuseV1Options.GrantFileProtocolExtraPrivileges]: DISABLE,
    });
  });

  test('starts from these files alone, and as a release looks for a newer version when it is asked to', async () => {
    const resources = path.join(unpacked, 'resources');
    writeFileSync(
      path.join(resources, 'app-update.yml'),
      'provider: generic\nurl: http://127.0.0.1:9/\nupdaterCacheDirName: faregate-updater\n',
    );
    const app = path.join(folder, 'app');
    extract(archive, app);
    const browser = await openBrowser();
    const dataDir = path.join(folder, 'data');
    const desktop = startDesktop({
      browser,
      dataDir,
      args: ['--port', '0'],
      // An AppImage is updated by putting another in its place.
      env: { [RESOURCES]: resources, APPIMAGE: path.join(folder, 'Faregate.AppImage') },
      program: path.join(app, 'dist', 'main.js'),
    });
    try {
      const page = await desktop.page();
      await playwrightExpect(page.getByRole('heading', { name: 'API Keys' })).toBeVisible({
        timeout: 15_000,
      });
      await desktop.entry('tray-menu');
      desktop.send({ do: 'choose-tray-item', label: 'Look for a new version' });
      // There is nothing at that address, and on the stand-in no network of Chromium's to ask it by.
      expect((await desktop.entry('notification')).title).toBe('The update could not be fetched');
      desktop.send({ do: 'quit' });
      expect(await desktop.ended()).toBe(0);
    } finally {
      desktop.process.kill('SIGKILL');
      await browser.close();
    }
  });
});

/** As much of Electron's distribution as the packager looks at: a program with a fuse wire in it, and its company. */
function electronFiles(at: string): string {
  mkdirSync(path.join(at, 'resources'), { recursive: true });
  mkdirSync(path.join(at, 'locales'));
  // Sentinel, version 1, nine fuses, each '0' or '1': https://www.electronjs.org/docs/latest/tutorial/fuses
  const wire = Buffer.concat([
    Buffer.from('dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX'),
    Buffer.from([1, 9]),
    Buffer.from('101100011'),
  ]);
  writeFileSync(path.join(at, 'electron'), Buffer.concat([Buffer.alloc(64), wire, Buffer.alloc(64)]));
  chmodSync(path.join(at, 'electron'), 0o755);
  for (const file of ['LICENSE', 'LICENSES.chromium.html', 'version', 'locales/en-US.pak', 'locales/de.pak'])
    writeFileSync(path.join(at, file), '');
  return at;
}

function pack(electronDist: string): void {
  const cli = createRequire(import.meta.url).resolve('electron-builder/cli.js');
  const output = path.join(folder, 'release');
  const args = [
    cli,
    '--dir',
    '--linux',
    `--${process.arch}`,
    `-c.electronDist=${electronDist}`,
    `-c.directories.output=${output}`,
  ];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: projectRoot,
    encoding: 'utf8',
    timeout: 110_000,
  });
  if (status !== 0) throw new Error(`electron-builder failed:\n${stdout}${stderr}`);
}

interface AsarFile {
  unpacked: boolean;
  read(): Buffer;
}
type Asar = ReadonlyMap<string, AsarFile>;
interface AsarNode {
  files?: Record<string, AsarNode>;
  size?: number;
  offset?: string;
  unpacked?: boolean;
}

/** An asar archive is a JSON directory behind four 32-bit lengths, then the files one after the other. */
function readAsar(file: string): Asar {
  const bytes = readFileSync(file);
  const start = 8 + bytes.readUInt32LE(4);
  const root: AsarNode = JSON.parse(bytes.toString('utf8', 16, 16 + bytes.readUInt32LE(12)));
  const found = new Map<string, AsarFile>();
  const walk = (node: AsarNode, name: string) => {
    for (const [child, entry] of Object.entries(node.files ?? {}))
      walk(entry, name ? `${name}/${child}` : child);
    if (node.files) return;
    const offset = start + Number(node.offset);
    const unpackedNow = node.unpacked === true;
    found.set(name, {
      unpacked: unpackedNow,
      read: () =>
        unpackedNow
          ? readFileSync(path.join(`${file}.unpacked`, name))
          : bytes.subarray(offset, offset + (node.size ?? 0)),
    });
  };
  walk(root, '');
  return found;
}

function extract(from: Asar, to: string): void {
  for (const [name, file] of from) {
    mkdirSync(path.dirname(path.join(to, name)), { recursive: true });
    writeFileSync(path.join(to, name), file.read());
  }
}
