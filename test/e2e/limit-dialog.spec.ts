/** The limit dialog itself: what it refuses, what it warns of, and that no mouse is needed. */
import type { Page } from '@playwright/test';
import { cell, expect, keyRow, prepare, test } from './fixtures.ts';

const openDialog = async (page: Page, name: string) => {
  await page.getByRole('button', { name: `Edit usage limit of ${name}` }).click();
  const dialog = page.getByRole('dialog', { name: 'Edit usage limit' });
  const field = dialog.getByLabel('Usage limit (USD)', { exact: true });
  return { dialog, field, save: dialog.getByRole('button', { name: 'Save changes' }) };
};

const notAnAmount = 'Enter an amount in dollars such as 10.00, or leave it empty for no limit.';

test('what is no amount is refused at the field and nothing is saved', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  await prepare(gateway, upstream, { name: 'tested', limitNano: 3_000_000_000 });
  const { dialog, field, save } = await openDialog(page, 'tested');
  for (const [typed, message] of [
    ['abc', notAnAmount],
    ['-1', 'A limit cannot be negative.'],
    ['1e999', notAnAmount],
  ] as const) {
    await field.fill(typed);
    await save.click();

    await expect(field).toHaveAttribute('aria-invalid', 'true');
    await expect(field).toHaveAccessibleDescription(new RegExp(message.replaceAll('.', '\\.')));
    await expect(field).toHaveValue(typed);
    await expect(dialog).toBeVisible();
    expect((await gateway.call('keys.list', {}))[0]?.limitNano).toBe(3_000_000_000);
    // What is no longer refused is one of the next.
    await field.fill('4');
    await expect(field).not.toHaveAttribute('aria-invalid', 'true');
  }

  await save.click();
  await expect(dialog).toBeHidden();
  await expect(await cell(page, keyRow(page, 'tested'), 'Usage Limit')).toContainText('$4.00');
});

test('a limit of zero says that it blocks everything', async ({ gateway, upstream, dashboard: page }) => {
  await prepare(gateway, upstream, { name: 'stopped' });
  const { dialog, field, save } = await openDialog(page, 'stopped');
  await field.fill('0');
  await expect(dialog).toContainText('$0.00 blocks every request');
  await save.click();
  await expect(await cell(page, keyRow(page, 'stopped'), 'Usage Limit')).toContainText('$0.00');
  expect((await gateway.call('keys.list', {}))[0]?.limitState).toBe('reached');
});

test('the limit is changed with the keyboard alone, and focus comes back', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  await prepare(gateway, upstream, { name: 'by-keyboard' });
  const edit = page.getByRole('button', { name: 'Edit usage limit of by-keyboard' });
  await expect(edit).toBeVisible();
  const dialog = page.getByRole('dialog', { name: 'Edit usage limit' });
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? '');

  // Every control before the button is passed on the way, so this also fails where one of them traps the focus.
  for (
    let presses = 0;
    presses < 60 && (await focused()) !== 'Edit usage limit of by-keyboard';
    presses += 1
  ) {
    await page.keyboard.press('Tab');
  }
  await expect(edit).toBeFocused();

  await page.keyboard.press('Enter');
  await expect(dialog.getByLabel('Usage limit (USD)', { exact: true })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(edit).toBeFocused();

  await page.keyboard.press('Enter');
  await expect(dialog.getByLabel('Usage limit (USD)', { exact: true })).toBeFocused();
  await page.keyboard.type('12.5');
  await page.keyboard.press('Enter');
  await expect(dialog).toBeHidden();
  await expect(await cell(page, keyRow(page, 'by-keyboard'), 'Usage Limit')).toContainText('$12.50');
  await expect(edit).toBeFocused();
});

test('focus stays inside the open dialog', async ({ gateway, upstream, dashboard: page }) => {
  await prepare(gateway, upstream, { name: 'trapped' });
  const { dialog, field } = await openDialog(page, 'trapped');
  await expect(field).toBeFocused();
  for (let presses = 0; presses < 12; presses += 1) {
    await page.keyboard.press('Tab');
    expect(await dialog.evaluate((node) => node.contains(document.activeElement))).toBe(true);
  }
});
