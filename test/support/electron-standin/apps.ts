/** The desktop apps of a test file: started one after the other over one data folder, and all gone when a test is over. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Page } from '@playwright/test';
import { expect } from 'vitest';
import { callerIn } from '../bridge.ts';
import { expectPage } from '../page.ts';
import { openBrowser, startDesktop, type Desktop, type TestBrowser } from './desktop.ts';

interface StartOptions {
  args?: string[];
  env?: Record<string, string>;
}

export interface Apps {
  readonly browser: TestBrowser;
  readonly dataDir: string;
  /** On a port of its own where nothing else is said. */
  start(options?: StartOptions): Desktop;
  /** Until the window shows the API keys; `before` answers what is asked before there is one. */
  open(
    options?: StartOptions & { before?: (desktop: Desktop) => Promise<void> },
  ): Promise<{ desktop: Desktop; page: Page }>;
  /** An app is ended in the way that is told, and leaves nothing behind. */
  expectOrderlyEnd(desktop: Desktop, page: Page, quit: () => void): Promise<void>;
  /** Gives the next apps an empty data folder. */
  begin(): void;
  /** Ends the apps that still run, closes their windows and removes the data folder. */
  end(): Promise<void>;
}

/** The caller closes the browser. */
export async function desktopApps(): Promise<Apps> {
  const browser = await openBrowser();
  const started: Desktop[] = [];
  let dataDir = '';

  const start = ({ args = ['--port', '0'], env = {} }: StartOptions = {}) => {
    const desktop = startDesktop({ browser, dataDir, args, env });
    started.push(desktop);
    return desktop;
  };

  return {
    browser,
    get dataDir() {
      return dataDir;
    },
    start,
    async open({ before, ...options } = {}) {
      const desktop = start(options);
      await before?.(desktop);
      const page = await desktop.page();
      await desktop.entry('show');
      await expectPage(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
      return { desktop, page };
    },
    async expectOrderlyEnd(desktop, page, quit) {
      const { gatewayUrl } = await callerIn(page)('status.get', {});
      quit();
      expect(await desktop.ended()).toBe(0);
      await expect.poll(() => page.isClosed()).toBe(true);
      await expect(fetch(gatewayUrl)).rejects.toThrow('fetch failed');
      // SQLite removes its log when the last connection is closed in order.
      expect(existsSync(path.join(dataDir, 'faregate.db-wal'))).toBe(false);
    },
    begin() {
      dataDir = mkdtempSync(path.join(tmpdir(), 'faregate-desktop-'));
    },
    async end() {
      for (const desktop of started.splice(0)) {
        desktop.process.kill('SIGKILL');
        await desktop.ended();
      }
      for (const page of browser.context.pages().slice(1)) await page.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
