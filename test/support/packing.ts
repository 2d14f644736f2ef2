/** The packager, run on this checkout round a stand-in for Electron's own files, and what it makes, read again. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { FuseState, FuseV1Options } from '@electron/fuses';
import { projectRoot } from './gateway.ts';

/**
 * The switches of Electron as they are shipped, in as much of a program as the packager looks at: sentinel, version 1,
 * nine fuses, each '0' or '1'. https://www.electronjs.org/docs/latest/tutorial/fuses
 */
export const fuseWire = Buffer.concat([
  Buffer.alloc(64),
  Buffer.from('dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX'),
  Buffer.from([1, 9]),
  Buffer.from('101100011'),
  Buffer.alloc(64),
]);

/** How they have to stand in a package, so that others cannot run code in it. */
export const wantedFuses = {
  [FuseV1Options.RunAsNode]: FuseState.DISABLE,
  [FuseV1Options.EnableCookieEncryption]: FuseState.ENABLE,
  [FuseV1Options.EnableNodeOptionsEnvironmentVariable]: FuseState.DISABLE,
  [FuseV1Options.EnableNodeCliInspectArguments]: FuseState.DISABLE,
  [FuseV1Options.EnableEmbeddedAsarIntegrityValidation]: FuseState.ENABLE,
  [FuseV1Options.OnlyLoadAppFromAsar]: FuseState.ENABLE,
  [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: FuseState.DISABLE,
  [FuseV1Options.GrantFileProtocolExtraPrivileges]: FuseState.DISABLE,
};

export interface Packing {
  system: 'linux' | 'mac' | 'win';
  arch: string;
  electronDist: string;
  output: string;
  /** Of the packager's configuration, as on its command line. */
  more?: string[];
}

export function pack({ system, arch, electronDist, output, more = [] }: Packing): void {
  const cli = createRequire(import.meta.url).resolve('electron-builder/cli.js');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      cli,
      ...['--dir', `--${system}`, `--${arch}`],
      ...[`-c.electronDist=${electronDist}`, `-c.directories.output=${output}`, ...more],
    ],
    { cwd: projectRoot, encoding: 'utf8', timeout: 110_000 },
  );
  if (status !== 0) throw new Error(`electron-builder failed:\n${stdout}${stderr}`);
}

interface AsarFile {
  unpacked: boolean;
  read(): Buffer;
}
export type Asar = ReadonlyMap<string, AsarFile>;
interface AsarNode {
  files?: Record<string, AsarNode>;
  size?: number;
  offset?: string;
  unpacked?: boolean;
}

/** An asar archive is a JSON directory behind four 32-bit lengths, then the files one after the other. */
export function readAsar(file: string): Asar {
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
