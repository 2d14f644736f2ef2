/** The pages as a person uses them: finding, filtering, acting on many, taking back, reading one request, exporting. */
import { readFileSync } from 'node:fs';
import type { GatewayProcess } from '../support/gateway.ts';
import { cell, expect, keyRow, prepare, test } from './fixtures.ts';

async function ask(gateway: GatewayProcess, secret: string, agent = 'curl/8.15.0'): Promise<void> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json', 'user-agent': agent },
    body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }),
  });
  expect(response.status).toBe(200);
  await response.text();
}

test('keys are found, sorted, disabled together and enabled again', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  await prepare(gateway, upstream, { name: 'alpha' });
  await gateway.call('keys.create', { name: 'beta', limitNano: 0 });
  await gateway.call('keys.create', { name: 'gamma' });
  await expect(keyRow(page, 'gamma')).toBeVisible();
  const names = page.getByRole('rowheader');
  await expect(names).toHaveText(['gamma', 'beta', 'alpha']);

  await page.getByRole('columnheader', { name: 'Name' }).getByRole('button').click();
  await expect(names).toHaveText(['alpha', 'beta', 'gamma']);
  await expect(page.getByRole('columnheader', { name: 'Name' })).toHaveAttribute('aria-sort', 'ascending');

  await page.getByRole('button', { name: 'Filter', exact: true }).click();
  await page.getByRole('menuitemcheckbox', { name: 'Reached' }).click();
  await expect(page.getByText('1 of 3 keys')).toBeVisible();
  await expect(names).toHaveText(['beta']);
  // What is filtered by stands in the address and outlives a reload.
  await page.reload();
  await expect(page.getByText('1 of 3 keys')).toBeVisible();
  await page.getByRole('button', { name: 'Remove filter Limit: Reached' }).click();

  await page.getByLabel('Select alpha').check();
  await page.getByLabel('Select gamma').check();
  await page.getByRole('button', { name: 'Disable', exact: true }).click();
  await expect(await cell(page, keyRow(page, 'alpha'), 'Status')).toContainText('Disabled');
  await expect(await cell(page, keyRow(page, 'gamma'), 'Status')).toContainText('Disabled');
  await expect(await cell(page, keyRow(page, 'beta'), 'Status')).toContainText('Active');
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(await cell(page, keyRow(page, 'alpha'), 'Status')).toContainText('Active');
  await expect(await cell(page, keyRow(page, 'gamma'), 'Status')).toContainText('Active');

  // A limit is taken back in the same way.
  await page.getByRole('button', { name: 'Edit usage limit of beta' }).click();
  await page.getByLabel('Usage limit (USD)', { exact: true }).fill('7');
  await page.getByRole('button', { name: 'Save changes' }).click();
  await expect(await cell(page, keyRow(page, 'beta'), 'Usage Limit')).toContainText('$7.00');
  await page.keyboard.press('Control+z');
  await expect(await cell(page, keyRow(page, 'beta'), 'Usage Limit')).toContainText('$0.00');
});

test('a request is followed from the log to its cost, its key and the sums', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  const { secret } = await prepare(gateway, upstream, { name: 'tool' });
  upstream.answers({ inputTokens: 1_000_000, outputTokens: 100_000, text: 'Hello.' });
  await ask(gateway, secret);
  await ask(gateway, secret, 'OpenAI/Python 2.7.1');

  await page.keyboard.press('Control+k');
  await page.getByPlaceholder('Go to a page or key').fill('activ');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Activity', exact: true })).toBeVisible();
  await expect(page.getByText('2 requests')).toBeVisible();

  const first = page.getByRole('button', { name: /^Request of/ }).first();
  await first.focus();
  await page.keyboard.press('Enter');
  const panel = page.getByRole('complementary');
  // gpt-4o-mini: 1M of input at $0.15, 100K of output at $0.60 a million.
  await expect(panel.getByRole('row', { name: 'Input 1,000,000 $0.15 / 1M $0.15' })).toBeVisible();
  await expect(panel.getByRole('row', { name: 'Output 100,000 $0.60 / 1M $0.06' })).toBeVisible();
  await expect(panel.getByRole('row', { name: 'Computed $0.21' })).toBeVisible();

  // While one is read, new ones wait.
  await ask(gateway, secret);
  const fresh = page.getByRole('button', { name: '1 new' });
  await expect(fresh).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(panel).toBeHidden();
  await expect(first).toBeFocused();
  await fresh.click();
  await expect(page.getByText('3 requests')).toBeVisible();

  await page.getByLabel('Model, provider or client').fill('openai-python');
  await expect(page.getByText('1 request', { exact: true })).toBeVisible();
  await expect(page).toHaveURL(/q=openai-python/);

  // Chromium would open its own file dialog, which nothing can press a button in.
  await page.evaluate(() => Reflect.deleteProperty(window, 'showSaveFilePicker'));
  await page.getByRole('button', { name: 'Export' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('dialog').getByRole('button', { name: 'Export' }).click();
  const lines = readFileSync(await (await download).path(), 'utf8')
    .trim()
    .split('\r\n');
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^id,time,key,/);
  expect(lines[1]).toContain(',openai-python,');
  expect(lines[1]).toContain(',0.21,');
  await page.getByRole('button', { name: 'Done' }).click();

  await page.getByRole('link', { name: 'API Keys' }).click();
  await page.getByRole('link', { name: 'tool', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'tool', exact: true })).toBeVisible();
  await expect(page.getByRole('row', { name: /^openai-python/ })).toContainText('$0.21');
  await page.goBack();
  await expect(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();

  await page.getByRole('link', { name: 'Usage', exact: true }).click();
  await expect(page.getByRole('row', { name: /^tool/ }).first()).toContainText('$0.63');
  await page.getByText('Client', { exact: true }).click();
  await expect(page.getByRole('row', { name: /^curl/ }).first()).toContainText('$0.42');
});
