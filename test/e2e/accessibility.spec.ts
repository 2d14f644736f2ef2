/** axe on every page and dialog, light and dark. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { NANO_PER_USD } from '#shared/money.ts';
import { expect, prepare, test } from './fixtures.ts';

async function expectAccessible(page: Page, where: string): Promise<void> {
  // Colours and opacity mean nothing to axe while they are still moving.
  await page.evaluate(() =>
    Promise.allSettled(document.getAnimations().map((animation) => animation.finished)),
  );
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' | ')}`,
  );
  expect(found, where).toEqual([]);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme });

    test(`the first start has no axe violations (${colorScheme})`, async ({ dashboard: page }) => {
      await expect(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
      await expectAccessible(page, 'API keys, first start');
      await page.getByRole('link', { name: 'Providers' }).click();
      await expect(page.getByRole('heading', { name: 'Providers', exact: true })).toBeVisible();
      await expectAccessible(page, 'providers, first start');
    });

    test(`the keys page and its dialogs have no axe violations (${colorScheme})`, async ({
      gateway,
      upstream,
      dashboard: page,
    }) => {
      await prepare(gateway, upstream, { name: 'no-limit' });
      await gateway.call('keys.create', { name: 'reached', limitNano: 0 });
      await gateway.call('keys.create', {
        name: 'both',
        limitNano: 5 * NANO_PER_USD,
        recurring: { amountNano: NANO_PER_USD, every: 'day' },
      });
      await expect(page.getByText('both', { exact: true })).toBeVisible();
      await expectAccessible(page, 'API keys');

      await page.getByRole('button', { name: 'Edit usage limit of both' }).click();
      const limitDialog = page.getByRole('dialog', { name: 'Edit usage limit' });
      await limitDialog.getByLabel('Usage limit (USD)', { exact: true }).fill('abc');
      await limitDialog.getByRole('button', { name: 'Save changes' }).click();
      await expect(limitDialog.getByText('Enter an amount in dollars', { exact: false })).toBeVisible();
      await expectAccessible(page, 'limit dialog with an error');
      await page.keyboard.press('Escape');
      await expect(limitDialog).toBeHidden();

      await page.getByRole('button', { name: 'Create API key' }).click();
      const createDialog = page.getByRole('dialog', { name: 'Create API key' });
      await createDialog.getByLabel('Name').fill('fresh');
      await expectAccessible(page, 'create dialog');
      await createDialog.getByRole('button', { name: 'Create key' }).click();
      await expect(page.getByRole('dialog', { name: 'API key created' })).toBeVisible();
      await expectAccessible(page, 'secret shown once');
    });

    test(`the other pages have no axe violations (${colorScheme})`, async ({
      gateway,
      upstream,
      dashboard: page,
    }) => {
      const { secret } = await prepare(gateway, upstream, { name: 'busy' });
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }),
      });
      expect(response.status).toBe(200);
      for (const name of ['Activity', 'Prices', 'Bills', 'Settings', 'Providers']) {
        await page.getByRole('link', { name }).click();
        await expect(page.getByRole('heading', { name, exact: true, level: 1 })).toBeVisible();
        await expectAccessible(page, name);
      }
      await page.goto(`${page.url().replace(/#.*/, '')}#/activity`);
      await page.getByRole('button', { name: /^Request of/ }).click();
      await expect(page.getByText('Held before it was sent')).toBeVisible();
      await expectAccessible(page, 'one request');
      await page.getByRole('complementary').getByRole('link', { name: 'busy' }).click();
      await expect(page.getByRole('heading', { name: 'Last requests' })).toBeVisible();
      await expectAccessible(page, 'one key');
      await page.keyboard.press('Control+k');
      await expect(page.getByPlaceholder('Go to a page or key')).toBeFocused();
      await expectAccessible(page, 'command palette');
      await page.keyboard.press('Escape');
      await page.getByRole('link', { name: 'Providers' }).click();
      await page.getByRole('button', { name: 'Add provider' }).click();
      await expect(page.getByRole('dialog', { name: 'Add provider' })).toBeVisible();
      await expectAccessible(page, 'add provider');
    });
  });
}
