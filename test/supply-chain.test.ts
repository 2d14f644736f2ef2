/** What comes in with the packages: only pinned contents, and only the install scripts that were looked at. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';

const read = (name: string): unknown =>
  JSON.parse(readFileSync(resolve(import.meta.dirname, '..', name), 'utf8'));

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      integrity: z.string().optional(),
      resolved: z.string().optional(),
      optional: z.boolean().optional(),
      hasInstallScript: z.boolean().optional(),
    }),
  ),
});
const { packages } = Lock.parse(read('package-lock.json'));
const locked = Object.entries(packages).filter(([path]) => path !== '');
const nameOf = (path: string) => path.replace(/^.*node_modules\//, '');

test('an install script runs for the packages only that are named', () => {
  const { allowScripts } = z
    .object({ allowScripts: z.record(z.string(), z.boolean()) })
    .parse(read('package.json'));
  const scripted = locked
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => nameOf(path));
  expect(scripted.filter((name) => !(name in allowScripts))).toEqual([]);
  // The binary of the Node that the scripts run on is put into place by one.
  expect(Object.keys(allowScripts).filter((name) => allowScripts[name])).toEqual(['node']);
});

test('what is installed is pinned by its contents, and by no address that could be another one’s', () => {
  // Binaries for systems that the lock file was not made on are all that has no checksum.
  expect(
    locked.filter(([, { integrity, optional }]) => !integrity && !optional).map(([path]) => nameOf(path)),
  ).toEqual([]);
  expect(locked.filter(([, { resolved }]) => resolved && !resolved.startsWith('https://'))).toEqual([]);
});
