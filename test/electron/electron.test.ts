/** The desktop app in Electron itself, wherever its binary is: the few things that the stand-in cannot show. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { _electron, expect as playwrightExpect, type ElectronApplication } from '@playwright/test';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const projectRoot = path.resolve(import.meta.dirname, '..', '..');
const executablePath = findElectron();
if (executablePath === null) console.warn('test/electron/electron.test.ts: skipped: no Electron binary');

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

describe.skipIf(executablePath === null)('in Electron', { timeout: 60_000 }, () => {
  let dataDir: string;
  let app: ElectronApplication;
  beforeEach(async () => {
    dataDir = mkdtempSync(path.join(tmpdir(), 'faregate-electron-'));
    const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    app = await _electron.launch({
      ...(executablePath === null ? {} : { executablePath }),
      args: [...sandbox, projectRoot, '--port', '0', '--data-dir', dataDir],
    });
  });
  afterEach(async () => {
    await app.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  test('the window shows the API keys over its own scheme, without Node', async () => {
    const page = await app.firstWindow();
    await playwrightExpect(page.getByRole('heading', { name: 'API Keys' })).toBeVisible({ timeout: 30_000 });
    expect(page.url()).toMatch(/^faregate-app:\/\/window\//);
    expect(await page.evaluate('[typeof process, typeof require, typeof window.faregate.call]')).toEqual([
      'undefined',
      'undefined',
      'function',
    ]);
    expect(await page.evaluate("window.faregate.call('status.get', {})")).toMatchObject({ ok: true });
  });

  test('the page cannot lead the window away or open another', async () => {
    const page = await app.firstWindow();
    await playwrightExpect(page.getByRole('heading', { name: 'API Keys' })).toBeVisible({ timeout: 30_000 });
    await page.evaluate("void window.open('https://evil.example/'); location.href = 'https://evil.example/'");
    await playwrightExpect(page.getByRole('heading', { name: 'API Keys' })).toBeVisible();
    expect(app.windows()).toHaveLength(1);
    expect(page.url()).toMatch(/^faregate-app:/);
  });

  test('a credential can be stored', async () => {
    const page = await app.firstWindow();
    await playwrightExpect(page.getByRole('heading', { name: 'API Keys' })).toBeVisible({ timeout: 30_000 });
    const created = await page.evaluate(
      "window.faregate.call('providers.create', { kind: 'openai', credential: 'sk-upstream' })",
    );
    expect(created).toMatchObject({ ok: true, value: { hasCredential: true } });
  });
});
