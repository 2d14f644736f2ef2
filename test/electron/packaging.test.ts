/** What an installer would hold: packed by electron-builder round a stand-in for Electron's own files, then started. */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { getCurrentFuseWire } from '@electron/fuses';
import type { Page } from '@playwright/test';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callerIn } from '../support/bridge.ts';
import { send } from '../support/client.ts';
import { openBrowser, startDesktop } from '../support/electron-standin/desktop.ts';
import { RESOURCES } from '../support/electron-standin/protocol.ts';
import { addProvider, usd } from '../support/gateway.ts';
import { fuseWire, pack, readAsar, wantedFuses, type Asar } from '../support/packing.ts';
import { expectPage } from '../support/page.ts';
import { startUpstream } from '../support/upstream.ts';

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
    pack({
      system: 'linux',
      arch: process.arch,
      electronDist: electronFiles(path.join(folder, 'electron')),
      output: path.join(folder, 'release'),
    });
    archive = readAsar(path.join(unpacked, 'resources', 'app.asar'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('holds the bundles, the page and the native module, and no source', () => {
    const files = [...archive.keys()];
    const own = files.filter((file) => !file.startsWith('node_modules/'));
    expect(own.filter((file) => !file.startsWith('dist/renderer/')).toSorted()).toEqual([
      'dist/backup-worker.mjs',
      'dist/backup-worker.mjs.licenses.md',
      'dist/checkpoint-worker.mjs',
      'dist/checkpoint-worker.mjs.licenses.md',
      ...trayIcons,
      'dist/main.js',
      'dist/main.js.licenses.md',
      'dist/preload.cjs',
      'dist/token-worker.mjs',
      'dist/token-worker.mjs.licenses.md',
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
    expect(wire).toMatchObject(wantedFuses);
  });

  test('starts from these files alone with its threads from beside the archive, and as a release looks for a newer version when it is asked to', async () => {
    const resources = path.join(unpacked, 'resources');
    writeFileSync(
      path.join(resources, 'app-update.yml'),
      'provider: generic\nurl: http://127.0.0.1:9/\nupdaterCacheDirName: faregate-updater\n',
    );
    const app = path.join(folder, 'app.asar');
    layOut(archive, app, path.join(resources, 'app.asar.unpacked'));
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
      await expectPage(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
      await desktop.entry('tray-menu');
      // Either thread has something to do: a backup, and a text that by its bytes would be too dear for its key.
      const backup = await callerIn(page)('backups.create', {});
      expect(backup).toMatchObject({ name: expect.stringContaining('faregate-') });
      await expectCounted(page);
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

/** A request is answered that is served only if its tokens are counted: forty dollars by bytes, some nine counted. */
async function expectCounted(page: Page): Promise<void> {
  const upstream = await startUpstream();
  try {
    const call = callerIn(page);
    const { id } = await addProvider({ call }, upstream, 'openai');
    await call('prices.set', { providerId: id, model: 'gpt-5.1', input: '1000', output: '1' });
    const { secret } = await call('keys.create', { name: 'counted', limitNano: usd('20') });
    const { gatewayUrl } = await call('status.get', {});
    const content = 'The quick brown fox jumps over the lazy dog. '.repeat(900).slice(0, 40_000);
    const ask = async () => {
      const { status } = await send(`${gatewayUrl}/v1/chat/completions`, {
        headers: { authorization: `Bearer ${secret}` },
        body: { model: 'gpt-5.1', max_completion_tokens: 100, messages: [{ role: 'user', content }] },
      });
      return status;
    };
    // A count that takes long is done without, and its thread started anew: where the machine is slow, more than once.
    await expect.poll(ask).toBe(200);
  } finally {
    await upstream.close();
  }
}

/** As much of Electron's distribution as the packager looks at: a program with a fuse wire in it, and its company. */
function electronFiles(at: string): string {
  mkdirSync(path.join(at, 'resources'), { recursive: true });
  mkdirSync(path.join(at, 'locales'));
  writeFileSync(path.join(at, 'electron'), fuseWire);
  chmodSync(path.join(at, 'electron'), 0o755);
  for (const file of ['LICENSE', 'LICENSES.chromium.html', 'version', 'locales/en-US.pak', 'locales/de.pak'])
    writeFileSync(path.join(at, file), '');
  return at;
}

/**
 * A folder in place of the archive, with what lies beside it where Electron would show it: files are links to there, and
 * threads, which are started by the path of a real file, are there alone.
 */
function layOut(from: Asar, to: string, beside: string): void {
  cpSync(beside, `${to}.unpacked`, { recursive: true });
  for (const [name, file] of from) {
    if (name.endsWith('-worker.mjs')) continue;
    mkdirSync(path.dirname(path.join(to, name)), { recursive: true });
    if (file.unpacked) symlinkSync(path.join(`${to}.unpacked`, name), path.join(to, name));
    else writeFileSync(path.join(to, name), file.read());
  }
}
