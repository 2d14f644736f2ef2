/** The story of the app in Electron itself, wherever its binary is: `npm run test:electron`. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { _electron } from '@playwright/test';
import { afterAll, describe } from 'vitest';
import { appStory } from './app-story.ts';

const projectRoot = path.resolve(import.meta.dirname, '..', '..');
const executablePath = findElectron();
if (executablePath === null) {
  console.warn(
    'test/electron/electron.test.ts: SKIPPED, no Electron binary or no display here. The same story ran on the stand-in (story.test.ts), which cannot show all of it.',
  );
}

/** The package's own module would fetch the binary; a test does not. */
function findElectron(): string | null {
  const folder = path.dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  const pointer = path.join(folder, 'path.txt');
  if (!existsSync(pointer)) return null;
  const binary = path.join(folder, 'dist', readFileSync(pointer, 'utf8'));
  const hasDisplay =
    process.platform !== 'linux' || Boolean(process.env['DISPLAY'] ?? process.env['WAYLAND_DISPLAY']);
  return existsSync(binary) && hasDisplay ? binary : null;
}

describe.skipIf(executablePath === null)('in Electron', () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'faregate-electron-'));
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

  appStory(async () => {
    const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    const app = await _electron.launch({
      ...(executablePath === null ? {} : { executablePath }),
      args: [...sandbox, projectRoot, '--port', '0', '--data-dir', dataDir],
    });
    return { page: await app.firstWindow(), address: 'faregate-app://window/', quit: () => app.close() };
  });
});
