/** The pages as a person uses them: finding, filtering, acting on many, taking back, reading one request, exporting. */
import { readFileSync } from 'node:fs';
import type { Locator } from '@playwright/test';
import { NANO_PER_USD } from '#shared/money.ts';
import type { GatewayProcess } from '../support/gateway.ts';
import { cell, expect, keyRow, prepare, test } from './fixtures.ts';

/** The status of one request's answer. */
async function ask(gateway: GatewayProcess, secret: string, agent = 'curl/8.15.0'): Promise<number> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json', 'user-agent': agent },
    body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await response.text();
  return response.status;
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
  const { key, secret } = await prepare(gateway, upstream, { name: 'tool' });
  upstream.answers({ inputTokens: 1_000_000, outputTokens: 100_000, text: 'Hello.' });
  expect(await ask(gateway, secret)).toBe(200);
  expect(await ask(gateway, secret, 'OpenAI/Python 2.7.1')).toBe(200);

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
  expect(await ask(gateway, secret)).toBe(200);
  const fresh = page.getByRole('button', { name: '1 new' });
  await expect(fresh).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(panel).toBeHidden();
  await expect(first).toBeFocused();
  await fresh.click();
  await expect(page.getByText('3 requests')).toBeVisible();

  // The dear ones are found by what they cost.
  const chooseCost = async (from: string) => {
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByRole('group', { name: 'Cost' }).getByRole('menuitemcheckbox', { name: from }).click();
  };
  await chooseCost('$1.00 or more');
  await expect(page.getByText('No request matches the filter.')).toBeVisible();
  await expect(page).toHaveURL(/cost=1\.00/);
  await chooseCost('$0.10 or more');
  await expect(page.getByText('3 requests')).toBeVisible();
  await page.getByRole('button', { name: 'Remove filter $0.10 or more' }).click();

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
  await expect(page.getByRole('row', { name: /^openai-python/ })).toContainText('$0.21');
  // By its own name, once the whole page is there: the link back is no part of it.
  await expect(page.getByRole('heading', { level: 1, name: 'tool', exact: true })).toBeVisible();
  await page.goBack();
  await expect(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();

  await page.getByRole('link', { name: 'Usage', exact: true }).click();
  await expect(page.getByRole('row', { name: /^tool/ }).first()).toContainText('$0.63');
  await page.getByText('Client', { exact: true }).click();
  await expect(page.getByRole('row', { name: /^curl/ }).first()).toContainText('$0.42');

  await test.step('a key at nine tenths of its limit is found by the filter for it', async () => {
    await gateway.call('keys.create', { name: 'unlimited' });
    await gateway.call('keys.create', { name: 'roomy', limitNano: NANO_PER_USD });
    await gateway.call('keys.create', { name: 'full', limitNano: 0 });
    await gateway.call('keys.setLimit', { id: key.id, limitNano: 0.7 * NANO_PER_USD, recurring: null });
    await page.getByRole('link', { name: 'API Keys' }).click();
    await expect(await cell(page, keyRow(page, 'tool'), 'Usage Limit')).toContainText('90% used');
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByRole('menuitemcheckbox', { name: 'Near, from 80%' }).click();
    await expect(page.getByText('1 of 4 keys')).toBeVisible();
    await expect(page.getByRole('rowheader')).toHaveText(['tool']);
    await expect(page).toHaveURL(/limit=near/);
    await page.getByRole('button', { name: 'Remove filter Limit: Near, from 80%' }).click();
  });

  await test.step('in forced colours states, bars, choices and the focus still look different', async () => {
    await page.emulateMedia({ forcedColors: 'active' });
    const look = (locator: Locator) => locator.screenshot({ animations: 'disabled' });
    const bar = (name: string) => look(keyRow(page, name).locator('.bar'));
    const [ok, near, reached] = [await bar('roomy'), await bar('tool'), await bar('full')];
    expect(ok.equals(near) || near.equals(reached) || reached.equals(ok)).toBe(false);
    for (const [name, text] of [
      ['tool', '90% used'],
      ['full', 'Limit reached'],
    ] as const) {
      const state = keyRow(page, name).locator('.limit-state');
      await expect(state).toHaveText(text);
      await expect(state.locator('svg')).toBeVisible();
    }
    /** Looks at it before and after, with nothing under the pointer either time. */
    const expectToLookDifferent = async (what: Locator, after: () => Promise<void>) => {
      await page.mouse.move(0, 0);
      const before = await look(what);
      await after();
      await page.mouse.move(0, 0);
      expect((await look(what)).equals(before), String(what)).toBe(false);
    };
    const blur = () => page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    const box = page.getByLabel('Select tool');
    await expectToLookDifferent(box, async () => {
      await box.check();
      await blur();
    });
    await box.uncheck();
    await blur();
    await expectToLookDifferent(keyRow(page, 'tool'), async () => {
      await page.getByRole('button', { name: 'Edit usage limit of tool' }).focus();
      await page.keyboard.press('Tab');
    });
    const keys = page.getByRole('link', { name: 'API Keys' });
    await expectToLookDifferent(keys, () => page.getByRole('link', { name: 'Usage', exact: true }).click());
    await expectToLookDifferent(page.getByText('Model', { exact: true }).first(), async () => {
      await page.getByText('Model', { exact: true }).first().click();
      await blur();
    });
    await page.getByRole('link', { name: 'Settings' }).click();
    const track = page.locator('.mantine-Switch-track').first();
    await expectToLookDifferent(track, async () => {
      await track.click();
      await blur();
    });
    await page.emulateMedia({ forcedColors: null });
  });

  await test.step('what a filter shows follows the key: with more room it is near no more', async () => {
    await page.evaluate(() => void (location.hash = '#/keys?limit=near'));
    await expect(page.getByRole('rowheader')).toHaveText(['tool']);
    await gateway.call('keys.setLimit', { id: key.id, limitNano: NANO_PER_USD, recurring: null });
    await expect(page.getByText('No key matches the filter.')).toBeVisible();
    await page.getByRole('button', { name: 'Remove filter Limit: Near, from 80%' }).click();
  });

  const choose = async (name: string, item: string) => {
    await page.getByRole('button', { name: `Actions for ${name}` }).click();
    await page.getByRole('menuitem', { name: item }).click();
  };

  await test.step('renamed, it keeps what it spent, and its log has the new name', async () => {
    await choose('tool', 'Rename…');
    const dialog = page.getByRole('dialog', { name: 'Rename API key' });
    const name = dialog.getByLabel('Name');
    await expect(name).toBeFocused();
    await name.fill('  ');
    await dialog.getByRole('button', { name: 'Rename' }).click();
    await expect(name).toHaveAttribute('aria-invalid', 'true');
    // What is there is selected, so that typing replaces it.
    await name.fill('tool');
    await name.selectText();
    await page.keyboard.type('nightly build');
    await page.keyboard.press('Enter');
    await expect(dialog).toBeHidden();
    await expect(page.getByRole('button', { name: 'Actions for nightly build' })).toBeFocused();
    await expect(await cell(page, keyRow(page, 'nightly build'), 'Usage')).toContainText('$0.63');
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect(keyRow(page, 'tool')).toBeVisible();
    await choose('tool', 'Rename…');
    await name.fill('nightly build');
    await page.keyboard.press('Enter');
    expect(await ask(gateway, secret)).toBe(200);
    await choose('nightly build', 'Show activity');
    await expect(page.getByText('4 requests')).toBeVisible();
    await expect(page.locator('.log-row .w-key').first()).toHaveText('nightly build');
    await page.goBack();
  });

  await test.step('rotated, the old secret is refused and the new one goes on where it was', async () => {
    await choose('nightly build', 'Rotate…');
    const question = page.getByRole('dialog', { name: 'Rotate API key' });
    await expect(question).toContainText(
      '“nightly build” gets a new secret. The old one stops working at once',
    );
    await question.getByRole('button', { name: 'Cancel' }).click();
    expect(await ask(gateway, secret)).toBe(200);

    await choose('nightly build', 'Rotate…');
    await question.getByRole('button', { name: 'Rotate key' }).click();
    const shown = page.getByRole('dialog', { name: 'API key rotated' });
    const next = await shown.getByLabel('Secret of nightly build').inputValue();
    expect(next).toMatch(/^sk-fg-[0-9A-Za-z]{43}$/);
    expect(next).not.toBe(secret);
    await shown.getByRole('button', { name: 'Done' }).click();
    expect(await page.content()).not.toContain(next);
    const row = keyRow(page, 'nightly build');
    await expect(row).toContainText(`${next.slice(0, 10)}…${next.slice(-4)}`);
    expect(await ask(gateway, secret)).toBe(401);
    // Five answers at $0.21 are more than a dollar: the limit is still the key's.
    await expect(await cell(page, row, 'Usage')).toContainText('$1.05');
    expect(await ask(gateway, next)).toBe(402);
  });
});
