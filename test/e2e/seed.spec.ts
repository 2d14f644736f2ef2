/** "Setting Usage Limits", the five steps of the announcement, followed by what a person can see and nothing else. */
import { cell, expect, keyRow, prepare, test } from './fixtures.ts';

test('the five steps set a limit on an existing key', async ({ gateway, upstream, dashboard: page }) => {
  await prepare(gateway, upstream, { name: 'existing' });

  // 1. Navigate to your API Keys section in the dashboard.
  await page.getByRole('link', { name: 'API Keys' }).click();
  await expect(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();

  // 2. Locate the API key you want to limit. Existing keys default to "No limit".
  const row = keyRow(page, 'existing');
  const limit = await cell(page, row, 'Usage Limit');
  await expect(limit).toContainText('No limit');

  // 3. Click the edit button in the "Usage Limit" column.
  await limit.getByRole('button').click();
  const dialog = page.getByRole('dialog', { name: 'Edit usage limit' });
  await expect(dialog).toBeVisible();

  // 4. Enter your desired credit limit (e.g., $10.00) or leave empty for no limit.
  await dialog.getByLabel('Usage limit (USD)', { exact: true }).fill('$10.00');

  // 5. Click "Save changes" to apply the limit.
  await dialog.getByRole('button', { name: 'Save changes' }).click();
  await expect(dialog).toBeHidden();
  await expect(limit).toContainText('$10.00');
  expect((await gateway.call('keys.list', {})).map((key) => key.limitNano)).toEqual([10_000_000_000]);
});

test('leaving the field empty takes the limit away again', async ({ gateway, upstream, dashboard: page }) => {
  await prepare(gateway, upstream, { name: 'limited', limitNano: 10_000_000_000 });

  const limit = await cell(page, keyRow(page, 'limited'), 'Usage Limit');
  await expect(limit).toContainText('$10.00');
  await limit.getByRole('button').click();
  await page.getByLabel('Usage limit (USD)', { exact: true }).fill('');
  await page.getByRole('button', { name: 'Save changes' }).click();

  await expect(limit).toContainText('No limit');
  expect((await gateway.call('keys.list', {})).map((key) => key.limitNano)).toEqual([null]);
});

test('new keys are created with and without a limit', async ({ gateway, dashboard: page }) => {
  for (const [name, amount] of [
    ['free-spender', ''],
    ['careful', '2.50'],
  ] as const) {
    await page.getByRole('button', { name: 'Create API key' }).first().click();
    const dialog = page.getByRole('dialog', { name: 'Create API key' });
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByLabel('Usage limit (USD)', { exact: true }).fill(amount);
    await dialog.getByRole('button', { name: 'Create key' }).click();
    await expect(page.getByText('This key is shown only once', { exact: false })).toBeVisible();
    await page.getByRole('button', { name: 'Done' }).click();
  }

  await expect(await cell(page, keyRow(page, 'free-spender'), 'Usage Limit')).toContainText('No limit');
  await expect(await cell(page, keyRow(page, 'careful'), 'Usage Limit')).toContainText('$2.50');
  const limits = (await gateway.call('keys.list', {})).map(({ name, limitNano }) => [name, limitNano]);
  expect(new Map(limits as [string, number | null][])).toEqual(
    new Map([
      ['free-spender', null],
      ['careful', 2_500_000_000],
    ]),
  );
});
