/**
 * Pictures of every page in its full, empty and error state, light and dark, wide and narrow, under
 * `test-results/screenshots`. Those of dialogs are taken by dialog-pictures.ts.
 */
import { NANO_PER_USD } from '#shared/money.ts';
import { keyRow, providerRow } from '../renderer/fake-backend.ts';
import { go, looks, open, pages, test } from './picture-stage.ts';

for (const { name: look, use, shot } of looks) {
  test.describe(look, () => {
    test.use(use);
    test('full pages', async ({ full, page }) => {
      await open(page, full.dashboardUrl);
      for (const name of pages) {
        await go(page, `#/${name}`);
        if (name === 'usage') await page.locator('.recharts-bar-rectangle').first().waitFor();
        await shot(page, `${name}-full`);
      }
      const rows = await full.call('keys.list', {});
      const idOf = (name: string) => rows.find((row) => row.name === name)?.id ?? '';
      await go(page, `#/keys/${idOf('claude-code')}`);
      await page.locator('.recharts-bar-rectangle').first().waitFor();
      await shot(page, 'key-full');
      await go(page, `#/keys/${idOf('scripts')}`);
      await shot(page, 'key-cents');
      await page.locator('main').evaluate((main) => main.scrollTo(0, main.scrollHeight));
      await shot(page, 'key-end');
      await go(page, '#/usage?by=model&every=week&span=90d');
      await shot(page, 'usage-weeks');
      await page.locator('main').evaluate((main) => main.scrollTo(0, main.scrollHeight));
      await shot(page, 'usage-end');
      await go(page, '#/activity');
      await page.locator('.log-open').nth(3).click();
      await page.getByText('Held before it was sent').first().waitFor();
      await shot(page, 'request-full');
    });

    test('many keys, one key, the steps of a first start, and pages on their way', async ({ fake, page }) => {
      const { state } = fake;
      const dashboard = `${fake.url}/#token=${fake.token}`;
      state.providers = [providerRow({ id: 'p1', kind: 'openai' })];
      await open(page, dashboard);
      await shot(page, 'start-provider');
      state.keys = [keyRow({ id: 'k1', name: 'claude-code' })];
      await page.reload();
      await page.waitForTimeout(500);
      await shot(page, 'start-key');
      state.status.totals.requests = 1;
      await page.reload();
      await page.waitForTimeout(500);
      await shot(page, 'keys-one');
      state.keys = Array.from({ length: 1000 }, (_, index) =>
        keyRow({
          id: `k${index}`,
          name:
            index % 9 === 4 ? `a key with a long name that does not fit, number ${index}` : `tool-${index}`,
          usageNano: (index * 7_654_321_987) % (250 * NANO_PER_USD),
          heldNano: index % 5 === 2 ? 120_000_000 : 0,
          limitNano: index % 3 === 0 ? null : 200 * NANO_PER_USD,
          status: index % 11 === 7 ? 'disabled' : index % 13 === 5 ? 'expired' : 'active',
        }),
      );
      await page.reload();
      await page.waitForTimeout(800);
      await shot(page, 'keys-many');
      await page.route('**/api/call', () => {});
      await page.reload();
      await page.waitForTimeout(800);
      for (const name of pages) {
        await go(page, `#/${name}`);
        await shot(page, `${name}-loading`);
      }
    });

    test('empty, failed and offline pages', async ({ fake, page }) => {
      const { state } = fake;
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
      state.keys = [keyRow({ id: 'k1', name: 'claude-code' })];
      state.status.totals.requests = 1;
      await go(page, '#/keys');
      await page.reload();
      await page.locator('.keys .usage').waitFor();
      fake.cut();
      await page.getByRole('alert').first().waitFor();
      await shot(page, 'offline');
    });
  });
}
