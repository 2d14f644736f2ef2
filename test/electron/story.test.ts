/** The story of the app, told by its built main process and preload script on the stand-in for Electron. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  openBrowser,
  startDesktop,
  type Desktop,
  type TestBrowser,
} from '../support/electron-standin/desktop.ts';
import { appStory } from './app-story.ts';

describe('on the stand-in', () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'faregate-story-'));
  let browser: TestBrowser;
  let desktop: Desktop;
  afterAll(async () => {
    desktop.process.kill('SIGKILL');
    await browser.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  appStory(async () => {
    browser = await openBrowser();
    desktop = startDesktop({ browser, dataDir, args: ['--port', '0'] });
    return {
      page: await desktop.page(),
      address: 'https://window.faregate-app.test/',
      async quit() {
        desktop.send({ do: 'quit' });
        if ((await desktop.ended()) !== 0) throw new Error(desktop.output());
      },
    };
  });

  test('the desktop showed one window, the limit that was reached, and no fault', () => {
    expect(desktop.all('window')).toHaveLength(1);
    expect(desktop.all('notification').map(({ title }) => title)).toEqual(['story: limit reached']);
    expect(desktop.all('tray').map(({ image }) => image)).toContain('tray-reached.png');
    expect(desktop.all('error-box')).toEqual([]);
  });
});
