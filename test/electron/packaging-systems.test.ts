/** The packages of the other systems, as far as they can be made on this one: round stand-ins for Electron's own files. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { getCurrentFuseWire } from '@electron/fuses';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../support/gateway.ts';
import { fuseWire, pack, readAsar, wantedFuses, type Packing } from '../support/packing.ts';

interface System {
  system: Exclude<Packing['system'], 'linux'>;
  arch: string;
  binary: string;
  /** Writes Electron's own files into the folder. */
  electron(folder: string): Promise<void>;
  resources: string;
  program: string;
  /** What there is of Chromium's own texts. */
  languages: string[];
  /** Where Electron finds what the archive has to be. */
  integrity: [file: string, text: RegExp];
  icon: (png: Buffer) => Buffer;
}

const mac: System = {
  system: 'mac',
  arch: 'arm64',
  binary: 'darwin-arm64',
  async electron(folder) {
    const at = path.join(folder, 'Electron.app', 'Contents');
    const bundle = (name: string, below = '') => {
      put(path.join(at, below, 'Info.plist'), propertyList(name));
      put(path.join(at, below, 'MacOS', name), '', 0o755);
    };
    bundle('Electron');
    for (const kind of ['', ' (GPU)', ' (Renderer)', ' (Plugin)'])
      bundle(`Electron Helper${kind}`, `Frameworks/Electron Helper${kind}.app/Contents`);
    const framework = path.join(at, 'Frameworks', 'Electron Framework.framework');
    put(path.join(framework, 'Electron Framework'), fuseWire, 0o755);
    for (const language of ['en', 'de']) {
      put(path.join(framework, 'Versions', 'A', 'Resources', `${language}.lproj`, 'locale.pak'), '');
      put(path.join(at, 'Resources', `${language}.lproj`, 'locale.pak'), '');
    }
    put(path.join(at, 'Resources', 'electron.icns'), '');
  },
  resources: 'mac-arm64/Faregate.app/Contents/Resources',
  program: 'mac-arm64/Faregate.app',
  languages: [
    'mac-arm64/Faregate.app/Contents/Frameworks/Electron Framework.framework/Versions/A/Resources/en.lproj/locale.pak',
    'mac-arm64/Faregate.app/Contents/Resources/en.lproj/locale.pak',
  ],
  integrity: [
    'mac-arm64/Faregate.app/Contents/Info.plist',
    /<key>ElectronAsarIntegrity<\/key>\s*<dict>\s*<key>Resources\/app\.asar<\/key>\s*<dict>\s*<key>algorithm<\/key>\s*<string>SHA256</,
  ],
  // One picture of 1,024 pixels.
  icon: (png) => Buffer.concat([tagged('icns', 16 + png.length), tagged('ic10', 8 + png.length), png]),
};

const windows: System = {
  system: 'win',
  arch: 'x64',
  binary: 'win32-x64',
  async electron(folder) {
    put(path.join(folder, 'electron.exe'), Buffer.concat([await emptyProgram(), fuseWire]));
    for (const language of ['en-US', 'de']) put(path.join(folder, 'locales', `${language}.pak`), '');
  },
  resources: 'win-unpacked/resources',
  program: 'win-unpacked/Faregate.exe',
  languages: ['win-unpacked/locales/en-US.pak'],
  integrity: [
    'win-unpacked/Faregate.exe',
    /"file":"resources\\\\app\.asar","alg":"SHA256","value":"[0-9a-f]{64}"/,
  ],
  // A directory of one entry: 32 bits a pixel, at byte 22.
  icon(png) {
    const head = Buffer.alloc(22);
    for (const at of [2, 4, 10]) head.writeUInt16LE(1, at);
    head.writeUInt16LE(32, 12);
    head.writeUInt32LE(png.length, 14);
    head.writeUInt32LE(22, 18);
    return Buffer.concat([head, png]);
  },
};

describe.each([mac, windows])('packed for $system', (wanted) => {
  let folder: string;
  let release: string;
  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'faregate-packed-'));
    release = path.join(folder, 'release');
    const electronDist = path.join(folder, 'electron');
    await wanted.electron(electronDist);
    for (const file of ['LICENSE', 'LICENSES.chromium.html', 'version'])
      put(path.join(electronDist, file), '');
    const icon = path.join(folder, wanted.system === 'mac' ? 'icon.icns' : 'icon.ico');
    writeFileSync(icon, wanted.icon(readFileSync(path.join(projectRoot, 'electron', 'icons', 'icon.png'))));
    pack({
      ...wanted,
      electronDist,
      output: release,
      // What makes icons of pictures, and what signs, is fetched or there on that system only.
      more: [`-c.icon=${icon}`, '-c.electronFuses.resetAdHocDarwinSignature=false'],
    });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('it has the native module of that system and processor alone, beside the archive with the threads', () => {
    const resources = path.join(release, wanted.resources);
    const binary = `node_modules/better-sqlite3/prebuilds/${wanted.binary}.node`;
    const archive = readAsar(path.join(resources, 'app.asar'));
    expect([...archive.keys()].filter((file) => file.endsWith('.node'))).toEqual([binary]);
    expect(archive.has('dist/main.js')).toBe(true);
    const beside = readdirSync(path.join(resources, 'app.asar.unpacked'), { recursive: true }).map(String);
    const needed = [binary, ...['backup', 'checkpoint', 'token'].map((name) => `dist/${name}-worker.mjs`)];
    expect(beside.filter((file) => /\.(node|mjs)$/.test(file)).toSorted()).toEqual(needed.toSorted());
  });

  test('its switches are thrown, it knows what its archive has to be, and it speaks one language', async () => {
    expect(await getCurrentFuseWire(path.join(release, wanted.program))).toMatchObject(wantedFuses);
    const [file, text] = wanted.integrity;
    expect(readFileSync(path.join(release, file), 'latin1')).toMatch(text);
    const packs = readdirSync(release, { recursive: true }).map(String);
    expect(packs.filter((name) => name.endsWith('.pak')).toSorted()).toEqual(wanted.languages);
  });
});

function put(file: string, bytes: string | Buffer, mode = 0o644): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  chmodSync(file, mode);
}

function propertyList(name: string): string {
  const entries = ['CFBundleExecutable', 'CFBundleName', 'CFBundleIdentifier']
    .map((key) => `<key>${key}</key><string>${name}</string>`)
    .join('');
  return `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>${entries}</dict></plist>`;
}

function tagged(type: string, length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.write(type, 0, 'latin1');
  bytes.writeUInt32BE(length, 4);
  return bytes;
}

/** A Windows program that does nothing and says its version, by the packager's own library. */
async function emptyProgram(): Promise<Buffer> {
  const packager = createRequire(import.meta.url).resolve('app-builder-lib');
  const { NtExecutable, NtExecutableResource, Resource } = await import(
    createRequire(packager).resolve('resedit')
  );
  const program = NtExecutable.createEmpty(false, false);
  const resources = NtExecutableResource.from(program);
  const version = Resource.VersionInfo.createEmpty();
  version.setFileVersion(1, 0, 0, 0, 1033);
  version.setStringValues({ lang: 1033, codepage: 1200 }, { FileDescription: 'Electron' });
  version.outputToResourceEntries(resources.entries);
  resources.outputResource(program);
  return Buffer.from(program.generate());
}
