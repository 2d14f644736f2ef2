/** A backup made and restored from the window, with what that means said before. */
import { expect, keyRow, test } from './fixtures.ts';

test('a deleted key comes back with a backup', async ({ gateway, dashboard: page }) => {
  const { key } = await gateway.call('keys.create', { name: 'precious' });
  await page.getByRole('link', { name: 'Settings' }).click();
  const section = page.getByRole('region', { name: 'Backups' });
  await expect(section).toContainText('There is no backup yet');
  await section.getByRole('button', { name: 'Back up now' }).click();
  const restore = section.getByRole('button', { name: /^Restore the backup of/ });
  await expect(restore).toBeVisible();
  await gateway.call('keys.delete', { id: key.id });

  await restore.click();
  const dialog = page.getByRole('dialog', { name: /^Restore the backup of/ });
  await expect(dialog).toContainText('Keys that were deleted or replaced since then work again.');
  await expect(dialog.getByRole('checkbox', { name: /Keep what was used since/ })).toBeChecked();
  await dialog.getByRole('button', { name: 'Restore' }).click();
  await expect(dialog).toBeHidden();
  await page.getByRole('link', { name: 'API Keys' }).click();
  await expect(keyRow(page, 'precious')).toBeVisible();
});
