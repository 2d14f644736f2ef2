/** axe on every page and dialog, light and dark. */
import { NANO_PER_USD } from '#shared/money.ts';
import type { GatewayProcess } from '../support/gateway.ts';
import { expectAccessible } from './axe.ts';
import { expect, prepare, test } from './fixtures.ts';

const pageTitles = [
  'API Keys',
  'Activity',
  'Usage',
  'Limits',
  'Connect',
  'Providers',
  'Prices',
  'Bills',
  'Settings',
] as const;

function ask(gateway: GatewayProcess, secret: string, model = 'gpt-4o-mini'): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, max_tokens: 50, messages: [{ role: 'user', content: 'Hello' }] }),
  });
}

test('the first start has no axe violations', async ({ dashboard: page }) => {
  await expect(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
  await expectAccessible(page, 'API keys, first start');
  await page.getByRole('link', { name: 'Providers' }).click();
  await expect(page.getByRole('heading', { name: 'Providers', exact: true })).toBeVisible();
  await expectAccessible(page, 'providers, first start');
});

test('the keys page and its dialogs have no axe violations', async ({
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

test('every page has no axe violations', async ({ gateway, upstream, dashboard: page }) => {
  const { key, secret } = await prepare(gateway, upstream, { name: 'busy', limitNano: NANO_PER_USD });
  const scripts = await gateway.call('keys.create', { name: 'scripts' });
  expect((await ask(gateway, scripts.secret, 'acme-large')).status).toBe(200);
  expect((await ask(gateway, secret)).status).toBe(200);
  await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: 5 * NANO_PER_USD });
  for (const name of pageTitles) {
    await page.getByRole('link', { name, exact: true }).click();
    await expect(page.getByRole('heading', { name, exact: true, level: 1 })).toBeVisible();
    await expect(page.locator('[aria-busy=true]')).toHaveCount(0);
    if (name === 'Usage') await expect(page.getByRole('img', { name: /stand in the table/ })).toBeVisible();
    await expectAccessible(page, name);
  }
  await page.evaluate((id) => (location.hash = `#/keys/${id}`), key.id);
  await expect(page.getByRole('heading', { name: 'Last requests', exact: true })).toBeVisible();
  await expectAccessible(page, 'one key');
  await page.getByRole('link', { name: 'Activity' }).click();
  await page
    .getByRole('button', { name: /^Request of/ })
    .last()
    .click();
  await expect(page.getByText('Held before it was sent')).toBeVisible();
  await expectAccessible(page, 'one request');
  await page.getByRole('button', { name: 'Filter', exact: true }).click();
  await expect(page.getByRole('menu')).toBeVisible();
  await expectAccessible(page, 'filter menu');
  await page.keyboard.press('Escape');
  await gateway.call('gateway.pause', { paused: true });
  await expect(page.getByRole('alert')).toContainText('Faregate is paused');
  await expectAccessible(page, 'paused');
});

test('every dialog has no axe violations', async ({ gateway, upstream, dashboard: page }) => {
  const { secret } = await prepare(gateway, upstream, { name: 'busy', limitNano: NANO_PER_USD });
  expect((await ask(gateway, secret)).status).toBe(200);
  const scripts = await gateway.call('keys.create', { name: 'scripts' });
  expect((await ask(gateway, scripts.secret, 'acme-large')).status).toBe(200);
  const provider = (await gateway.call('providers.list', {}))[0];
  await gateway.call('prices.set', {
    providerId: provider?.id ?? '',
    model: 'acme',
    input: '1',
    output: '2',
  });
  await page.reload();

  const go = (name: string) => page.getByRole('link', { name, exact: true }).click();
  const press = (name: string | RegExp) => page.getByRole('button', { name }).first().click();
  const choose = async (item: string) => {
    await press('Actions for busy');
    await page.getByRole('menuitem', { name: item }).click();
  };
  const dialogs: [page: string, title: string | RegExp, open: () => Promise<void>][] = [
    ['API Keys', 'Edit usage limit', () => choose('Top up…')],
    ['API Keys', 'Connect a tool to busy', () => choose('Connect a tool…')],
    ['API Keys', 'Rename API key', () => choose('Rename…')],
    ['API Keys', 'Rotate API key', () => choose('Rotate…')],
    ['API Keys', 'Delete API key', () => choose('Delete…')],
    ['API Keys', 'Keyboard shortcuts', () => page.keyboard.press('?')],
    ['API Keys', 'Search and commands', () => page.keyboard.press('Control+k')],
    ['Activity', 'Export requests', () => press('Export')],
    [
      'Activity',
      'Show requests of',
      async () => {
        await press('Filter');
        await page.getByRole('menuitemcheckbox', { name: 'Choose days…' }).click();
      },
    ],
    [
      'Activity',
      'Correct cost',
      async () => {
        await page
          .getByRole('button', { name: /^Request of/ })
          .last()
          .click();
        await press('Correct cost');
      },
    ],
    ['Limits', 'Edit usage limit', () => press('Edit usage limit of All keys together')],
    ['Connect', 'Connect Claude Code', () => press('Connect Claude Code')],
    ['Providers', 'Add provider', () => press('Add provider')],
    ['Providers', /^Edit /, () => press(/^Edit /)],
    ['Providers', 'Delete provider', () => press(/^Delete /)],
    ['Prices', 'Set price', () => press('Set a price for acme-large')],
    ['Prices', /price/i, () => press(/^Edit .*acme/)],
    ['Prices', /price/i, () => press(/^(Remove|Delete) .*acme/)],
  ];
  for (const [where, title, open] of dialogs) {
    await go(where);
    await expect(page.getByRole('heading', { name: where, exact: true, level: 1 })).toBeVisible();
    await open();
    const dialog = page.getByRole('dialog', { name: title });
    await expect(dialog).toBeVisible();
    await expectAccessible(page, `${where}: ${String(title)}`, '[role=dialog]');
    await page.keyboard.press('Escape');
    await expect(dialog).toBeHidden();
  }
});
