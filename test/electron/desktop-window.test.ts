/** The window of the built desktop app on the stand-in, from its start to its end: its page, its bridge and its guards. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Page } from '@playwright/test';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Answer } from '#shared/contract.ts';
import { callFromPage } from '../support/bridge.ts';
import { desktopApps, type Apps } from '../support/electron-standin/apps.ts';
import type { Desktop } from '../support/electron-standin/desktop.ts';
import { PRELOAD_IN_EVERY_FRAME } from '../support/electron-standin/protocol.ts';
import { expectPage } from '../support/page.ts';

let apps: Apps;
let desktop: Desktop;
let page: Page;
const config = () => path.join(apps.dataDir, 'config');
beforeAll(async () => {
  apps = await desktopApps();
  apps.begin();
  // Beside the preload script of the page, one in every frame of it: it has to be refused by the guards alone.
  const env = { [PRELOAD_IN_EVERY_FRAME]: '1', XDG_CONFIG_HOME: config() };
  ({ desktop, page } = await apps.open({ env }));
});
afterAll(async () => {
  await apps.end();
  await apps.browser.close();
});

test('the window shows the API keys, over its own scheme and the bridge', async () => {
  const row = page.getByRole('row').filter({ hasText: 'laptop' });
  await expectPage(row).toHaveCount(0);
  // Created past the page: the row can come by the pushed event only.
  const answer = await page.evaluate<Answer<{ secret: string }>>(
    callFromPage('keys.create', { name: 'laptop' }),
  );
  expect(answer).toMatchObject({ ok: true, value: { secret: expect.stringMatching(/^sk-fg-/) } });
  await expectPage(row).toBeVisible();
  expect(page.url()).toBe('https://window.faregate-app.test/');
});

test('the window keeps to its Content-Security-Policy', async () => {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.reload();
  await page.getByRole('button', { name: 'Create API key' }).first().click();
  await expectPage(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  for (const name of ['Activity', 'Providers', 'Prices', 'Settings', 'API Keys']) {
    await page.getByRole('navigation').getByText(name).click();
    await expectPage(page.getByRole('heading', { level: 1, name, exact: true })).toBeVisible();
  }
  expect(complaints).toEqual([]);
});

test('the window is sandboxed, and its page has nothing of Node or Electron but the bridge', async () => {
  expect((await desktop.entry('window')).options['webPreferences']).toMatchObject({
    sandbox: true,
    contextIsolation: true,
    nodeIntegration: false,
    webSecurity: true,
    webviewTag: false,
  });
  const globals = ['process', 'require', 'module', 'Buffer', 'electron', 'ipcRenderer', '__dirname'];
  expect(await page.evaluate(`${JSON.stringify(globals)}.filter((name) => name in window)`)).toEqual([]);
  expect(await page.evaluate('Object.keys(window.faregate).toSorted()')).toEqual(['call', 'subscribe']);
  await page.evaluate('try { window.faregate = { call: null } } catch {}');
  expect(await page.evaluate('typeof window.faregate.call')).toBe('function');
});

test('a call that the contract does not have is answered, not thrown', async () => {
  for (const call of [callFromPage('app.quit'), `window.faregate.call({ toString: 1 })`]) {
    expect(await page.evaluate(call)).toMatchObject({ ok: false });
  }
});

test('the window does not let itself be led to another page', async () => {
  await page.evaluate("location.href = 'https://evil.example/'");
  expect(await desktop.entry('navigation-refused')).toMatchObject({
    url: 'https://evil.example/',
    frame: 'main',
  });
  await expectPage(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
});

test('the window opens no second window; a known https address goes to the browser of the person', async () => {
  await page.evaluate("void window.open('https://evil.example/')");
  expect(await desktop.entry('window-open')).toMatchObject({ action: 'deny' });
  await page.evaluate("void window.open('https://platform.openai.com/api-keys')");
  expect(await desktop.entry('open-external')).toMatchObject({
    url: 'https://platform.openai.com/api-keys',
  });
  expect(desktop.all('open-external')).toHaveLength(1);
  expect(desktop.all('window')).toHaveLength(1);
});

test('the window grants its page nothing but writing to the clipboard', async () => {
  const granted: string[] = [];
  const permissions = [
    'clipboard-sanitized-write',
    'clipboard-read',
    'geolocation',
    'media',
    'notifications',
    'openExternal',
    'fullscreen',
  ];
  for (const [id, permission] of permissions.entries()) {
    desktop.send({ do: 'ask-permission', id, permission });
    const { requested, checked } = await desktop.entry('permission', id);
    if (requested || checked) granted.push(permission);
  }
  expect(granted).toEqual(['clipboard-sanitized-write']);
});

test('the window answers no frame inside the page', async () => {
  const answer = await page.evaluate(`(async () => {
    const frame = document.body.appendChild(document.createElement('iframe'));
    return frame.contentWindow.faregate.call('keys.list', {});
  })()`);
  expect(answer).toMatchObject({ ok: false, error: { code: 'unauthorized' } });
});

test.runIf(process.platform === 'linux')(
  'a start at login is set up by a file, and removed again',
  async () => {
    const file = path.join(config(), 'autostart', 'faregate.desktop');
    await page.evaluate(callFromPage('settings.set', { theme: 'dark' }));
    expect(existsSync(file)).toBe(false);
    await page.evaluate(callFromPage('settings.set', { launchAtLogin: true }));
    expect(readFileSync(file, 'utf8')).toContain(`"--hidden" "--data-dir" "${apps.dataDir}"\n`);
    await page.evaluate(callFromPage('settings.set', { launchAtLogin: false }));
    expect(existsSync(file)).toBe(false);
  },
);

test('the window is there once: a second start brings it to the front', async () => {
  const second = apps.start();
  expect(await second.ended()).toBe(0);
  await desktop.entry('focus');
  expect(second.all('window')).toEqual([]);
  expect(desktop.all('window')).toHaveLength(1);
});

test('the window answers no other page in it, should one ever get there', async () => {
  desktop.send({ do: 'force-load', url: 'https://evil.example/' });
  await expectPage(page.getByText('elsewhere')).toBeVisible();
  expect(await page.evaluate(callFromPage('keys.list'))).toMatchObject({
    ok: false,
    error: { code: 'unauthorized' },
  });
});

test('the window quits in order by the menu: the window goes, the port is free, the ledger is closed', async () => {
  desktop.send({ do: 'force-load', url: 'faregate-app://window/' });
  await expectPage(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
  await apps.expectOrderlyEnd(desktop, page, () => desktop.send({ do: 'quit' }));
  expect(desktop.all('window')).toHaveLength(1);
});
