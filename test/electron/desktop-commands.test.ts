/** Commands of the command line and the running desktop app, run against the stand-in for Electron. */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBrowser, startDesktop, type TestBrowser } from '../support/electron-standin/desktop.ts';
import { projectRoot, temporaryFolder } from '../support/gateway.ts';
import { expectPage } from '../support/page.ts';

let browser: TestBrowser;
let folder: string;
beforeAll(async () => {
  browser = await openBrowser();
  folder = temporaryFolder();
});
afterAll(async () => {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
});

const faregate = (...args: string[]) =>
  promisify(execFile)(process.execPath, [path.join(projectRoot, 'dist', 'cli.js'), ...args]);

test('a command reaches the app: a key it makes is in the window at once, and open brings the window', async () => {
  const dataDir = path.join(folder, 'data');
  const desktop = startDesktop({ browser, dataDir, args: ['--port', '0'], env: { HOME: folder } });
  try {
    const page = await desktop.page();
    await desktop.entry('show');
    await faregate('keys', 'create', 'from-the-shell', '--data-dir', dataDir);
    await expectPage(page.getByRole('row').filter({ hasText: 'from-the-shell' })).toBeVisible();
    expect((await faregate('open', '--data-dir', dataDir)).stdout).toBe(
      'The window of Faregate is in front.\n',
    );
    expect((await faregate('connect', '--data-dir', dataDir)).stdout).toContain('claude-code');
    desktop.send({ do: 'quit' });
    expect(await desktop.ended()).toBe(0);
    await expect(faregate('status', '--data-dir', dataDir)).rejects.toMatchObject({ code: 3 });
  } finally {
    desktop.process.kill('SIGKILL');
  }
});

test('the app itself, started with a command, runs it without a window', async () => {
  const dataDir = path.join(folder, 'alone');
  mkdirSync(dataDir);
  const desktop = startDesktop({ browser, dataDir, before: ['keys', 'create', 'no-window'] });
  expect(await desktop.ended()).toBe(0);
  expect(desktop.output()).toMatch(/^sk-fg-\w{43}$/m);
  expect(desktop.all('show')).toEqual([]);
});
