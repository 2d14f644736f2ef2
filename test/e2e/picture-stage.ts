/**
 * What pictures are taken of: a gateway over a history sent through a real one, and the stand-in for the contract, for
 * what a real gateway can hardly be brought to show, such as a failing list.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test as base, type Page } from '@playwright/test';
import { emptyState, startFakeBackend, type FakeBackend } from '../renderer/fake-backend.ts';
import { projectRoot, startGateway, temporaryFolder, type GatewayProcess } from '../support/gateway.ts';
import { makeHistory } from './history.ts';

const folder = resolve(projectRoot, 'test-results', 'screenshots');

export const pages = [
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

/** Kept for the README with `--update-screenshots`, as high as there is something to see. */
const inReadme: Readonly<Record<string, { name: string; height: number }>> = {
  'keys-full': { name: 'api-keys', height: 460 },
  'usage-full': { name: 'usage', height: 860 },
  'request-full': { name: 'activity', height: 860 },
  'key-full': { name: 'key', height: 860 },
};
/** Over a copy of the history each, so that what one picture needs is not in another. */
async function openHistory(history: string): Promise<GatewayProcess> {
  const dataDir = temporaryFolder();
  cpSync(history, dataDir, { recursive: true });
  const home = temporaryFolder();
  mkdirSync(join(home, '.claude'));
  mkdirSync(join(home, '.codex'));
  const gateway = await startGateway({
    dataDir,
    env: { HOME: home, CLAUDE_CONFIG_DIR: '', CODEX_HOME: '', XDG_CONFIG_HOME: '', PATH: '/usr/bin' },
  });
  // The history was made with another store for secrets.
  for (const { id } of await gateway.call('providers.list', {}))
    await gateway.call('providers.update', { id, credential: 'sk-upstream' });
  return gateway;
}
interface Stage {
  history: string;
  full: GatewayProcess;
  /** To be changed by the test that has it. */
  own: GatewayProcess;
  fake: FakeBackend;
}

export const test = base.extend<Pick<Stage, 'fake' | 'own'>, Pick<Stage, 'history' | 'full'>>({
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
      const gateway = await openHistory(history);
      await use(gateway);
      await gateway.dispose();
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  own: async ({ history }, use) => {
    const gateway = await openHistory(history);
    await use(gateway);
    await gateway.dispose();
  },
  fake: async ({}, use) => {
    const backend = await startFakeBackend(join(projectRoot, 'dist', 'renderer'), emptyState());
    await use(backend);
    await backend.close();
  },
});

export async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.locator('h1').waitFor();
}

export async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate((to) => {
    location.hash = to;
  }, hash);
  // What is held back for a moment (skeletons, charts that are fetched) has come or gone.
  await page.waitForTimeout(900);
}
/** Light and dark, wide and narrow. */
export const looks = (['light', 'dark'] as const).flatMap((colorScheme) =>
  [1280, 720].map((width) => ({
    name: `${colorScheme} ${width}`,
    use: { colorScheme, viewport: { width, height: 860 } },
    async shot(page: Page, name: string): Promise<void> {
      const path = join(folder, `${name}-${colorScheme}-${width}.png`);
      await page.screenshot({ path, animations: 'disabled' });
      const kept = inReadme[name];
      if (process.env['UPDATE_SCREENSHOTS'] !== '1' || kept === undefined || width !== 1280) return;
      const suffix = colorScheme === 'dark' ? '-dark' : '';
      await page.screenshot({
        path: resolve(import.meta.dirname, 'screenshots', `${kept.name}${suffix}.png`),
        animations: 'disabled',
        clip: { x: 0, y: 0, width, height: kept.height },
      });
    },
  })),
);
