/**
 * Pictures of every page in its full, empty and error state, light and dark, wide and narrow, under
 * `test-results/screenshots`. Full pages show a history sent through the real gateway; what a real gateway can hardly be
 * brought to show, such as a failing list, is shown over the stand-in for its contract.
 */
import { cpSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test as base, type Page } from '@playwright/test';
import { emptyState, startFakeBackend, type FakeBackend } from '../renderer/fake-backend.ts';
import { projectRoot, startGateway, temporaryFolder, type GatewayProcess } from '../support/gateway.ts';
import { makeHistory } from './history.ts';

const folder = resolve(projectRoot, 'test-results', 'screenshots');
const pages = [
  'keys',
  'limits',
  'activity',
  'usage',
  'providers',
  'prices',
  'bills',
  'connect',
  'settings',
] as const;

/** Copied beside the README's other pictures with `--update-screenshots`. */
const inReadme: Readonly<Record<string, string>> = { 'usage-full': 'usage', 'request-full': 'activity' };

interface Stage {
  history: string;
  full: GatewayProcess;
  fake: FakeBackend;
}

const test = base.extend<Pick<Stage, 'fake'>, Omit<Stage, 'fake'>>({
  history: [
    async ({}, use) => {
      const dataDir = temporaryFolder();
      await makeHistory(dataDir);
      await use(dataDir);
      rmSync(dataDir, { recursive: true, force: true });
    },
    { scope: 'worker', timeout: 120_000 },
  ],
  full: [
    async ({ history }, use) => {
      const dataDir = temporaryFolder();
      cpSync(history, dataDir, { recursive: true });
      const gateway = await startGateway({ dataDir });
      await use(gateway);
      await gateway.dispose();
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  fake: async ({}, use) => {
    const backend = await startFakeBackend(join(projectRoot, 'dist', 'renderer'), emptyState());
    await use(backend);
    await backend.close();
  },
});

async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.locator('h1').waitFor();
}

async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate((to) => {
    location.hash = to;
  }, hash);
  // What is held back for a moment (skeletons, charts that are fetched) has come or gone.
  await page.waitForTimeout(900);
}

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1280, 720]) {
    test.describe(`${colorScheme} ${width}`, () => {
      test.use({ colorScheme, viewport: { width, height: 860 } });
      const shot = async (page: Page, name: string) => {
        const path = join(folder, `${name}-${colorScheme}-${width}.png`);
        await page.screenshot({ path, animations: 'disabled' });
        const kept = inReadme[name];
        if (process.env['UPDATE_SCREENSHOTS'] !== '1' || kept === undefined || width !== 1280) return;
        const suffix = colorScheme === 'dark' ? '-dark' : '';
        cpSync(path, resolve(import.meta.dirname, 'screenshots', `${kept}${suffix}.png`));
      };

      test('full pages', async ({ full, page }) => {
        await open(page, full.dashboardUrl);
        for (const name of pages) {
          await go(page, `#/${name}`);
          if (name === 'usage') await page.locator('.recharts-bar-rectangle').first().waitFor();
          await shot(page, `${name}-full`);
        }
        const [key] = await full.call('keys.list', {});
        await go(page, `#/keys/${key?.id ?? ''}`);
        await shot(page, 'key-full');
        await go(page, '#/activity');
        await page.locator('.log-open').nth(3).click();
        await page.getByText('Held before it was sent').first().waitFor();
        await shot(page, 'request-full');
      });

      test('dialogs and menus', async ({ full, page }) => {
        await open(page, full.dashboardUrl);
        await go(page, '#/keys');
        await page
          .getByRole('button', { name: /^Edit usage limit of/ })
          .first()
          .click();
        await shot(page, 'dialog-limit');
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Create API key' }).click();
        await shot(page, 'dialog-create');
        await page.keyboard.press('Escape');
        await page
          .getByRole('button', { name: /^Actions for/ })
          .first()
          .click();
        await shot(page, 'menu-key');
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Filter', exact: true }).click();
        await shot(page, 'menu-filter');
        await page.keyboard.press('Escape');
        await page.keyboard.press('Control+k');
        await page.getByPlaceholder('Go to a page').waitFor();
        await shot(page, 'palette');
      });

      test('empty, failed and offline pages', async ({ fake, page }) => {
        await open(page, `${fake.url}/#token=${fake.token}`);
        const lists = {
          keys: 'keys.list',
          limits: 'limits.get',
          bills: 'bills',
          connect: 'connect.list',
          activity: 'requests.list',
          usage: 'usage.series',
          providers: 'providers.list',
          prices: 'prices.list',
          settings: 'settings.get',
        };
        for (const name of pages) {
          await go(page, `#/${name}`);
          await shot(page, `${name}-empty`);
          fake.failAlways(
            lists[name],
            'The ledger could not be read: the disk is full. Free some space and try again.',
          );
          await page.reload();
          await page.waitForTimeout(700);
          await shot(page, `${name}-failed`);
          fake.failAlways(lists[name], null);
        }
        fake.cut();
        await page.getByRole('alert').first().waitFor();
        await shot(page, 'offline');
      });
    });
  }
}
