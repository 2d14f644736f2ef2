/** Two months of requests: what the pages say of them is what the gateway says, and all of it fits a narrow window. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { parse } from 'csv-parse/sync';
import { formatUsd, NANO_PER_USD } from '#shared/money.ts';
import { openStore } from '../../electron/gateway/store/store.ts';
import { startGateway, temporaryFolder } from '../support/gateway.ts';
import { fillHistory } from '../support/history.ts';
import { cell, expect, keyRow, test } from './fixtures.ts';

const NARROWEST = 720;

async function download(page: Page, press: () => Promise<void>): Promise<string> {
  const started = page.waitForEvent('download');
  await press();
  return readFileSync(await (await started).path(), 'utf8');
}

test('spend is summed by week and model, kept as a file, corrected with a reason, and read in a narrow window', async ({
  page,
}) => {
  const dataDir = temporaryFolder();
  const store = openStore(dataDir);
  const { keyIds } = fillHistory(store, { rows: 3000, days: 60, keys: 4, until: Date.now() });
  store.close();
  const gateway = await startGateway({ dataDir });
  try {
    // Chromium would open its own file dialog, which nothing can press a button in.
    await page.addInitScript(() => Reflect.deleteProperty(window, 'showSaveFilePicker'));
    const id = keyIds[0] ?? '';
    await gateway.call('keys.setLimit', {
      id,
      limitNano: null,
      recurring: { amountNano: 1_000 * NANO_PER_USD, every: 'month' },
    });
    await page.goto(gateway.dashboardUrl);

    await test.step('a key shows its month and when its limit starts again', async () => {
      const spent = page.getByRole('img', { name: /30 days/ });
      await expect(spent.first()).toBeVisible();
      const limit = await cell(page, keyRow(page, 'key 1'), 'Usage Limit');
      const next = new Date();
      next.setMonth(next.getMonth() + 1, 1);
      const month = next.toLocaleDateString('en-GB', { month: 'short' });
      await expect(limit).toContainText(new RegExp(`resets (1 ${month}|tomorrow|\\w{3}) 00:00`));
    });

    await test.step('the period, the bars and the groups are chosen; table, tile and file agree', async () => {
      await page.getByRole('link', { name: 'Usage', exact: true }).click();
      await page.getByText('90 days', { exact: true }).click();
      await page.getByText('Week', { exact: true }).click();
      await page.getByText('Model', { exact: true }).first().click();
      await expect(page).toHaveURL(/span=90d.*by=model|by=model.*span=90d/);
      const models = await gateway.call('usage.summary', {
        from: new Date(Date.now() - 91 * 86_400_000).toISOString(),
        to: new Date(Date.now() + 86_400_000).toISOString(),
        groupBy: 'model',
      });
      for (const { group, costNano } of models)
        await expect(page.getByRole('row', { name: new RegExp(`^${group}`) }).first()).toContainText(
          formatUsd(costNano),
        );
      const total = models.reduce((sum, { costNano }) => sum + costNano, 0);
      await expect(page.getByText(formatUsd(total), { exact: true }).first()).toBeVisible();
      await expect(page.getByText(/^Projected by/)).toBeVisible();
      await expect(page.getByText(/\d+% of the input cached/)).toBeVisible();
      await expect(page.getByRole('heading', { name: 'This month against the limits' })).toBeVisible();

      await page.getByText('Bars as a table').click();
      const bars = page.locator('details table tbody tr');
      expect(await bars.count()).toBeGreaterThanOrEqual(9);
      const file = await download(page, () => page.getByRole('button', { name: 'Export CSV' }).click());
      const lines = parse<Record<string, string>>(file, { columns: true });
      const sum = lines.reduce((whole, line) => whole + Number(line['cost_usd']), 0);
      expect(sum).toBeCloseTo(total / NANO_PER_USD, 6);
      expect(new Set(lines.map((line) => line['model']))).toEqual(new Set(models.map(({ group }) => group)));
      // The history is as long as two months.
      await expect(page.getByText('nothing in the period before')).toBeVisible();
    });

    await test.step('by provider, each bar is the sum of its stacks; the change is against the days before', async () => {
      await page.getByText('30 days', { exact: true }).click();
      await page.getByText('Provider', { exact: true }).first().click();
      await expect(page).toHaveURL(/by=provider/);
      await expect(page.getByRole('img', { name: /^Spend by provider/ })).toBeVisible();
      const midnight = (days: number) => {
        const today = new Date();
        return new Date(today.getFullYear(), today.getMonth(), today.getDate() + days).toISOString();
      };
      const sums = (from: number, to: number) =>
        gateway.call('usage.summary', { from: midnight(from), to: midnight(to), groupBy: 'provider' });
      const [now, before] = [await sums(-29, 1), await sums(-59, -29)];
      const total = (rows: typeof now) => rows.reduce((sum, { costNano }) => sum + costNano, 0);
      expect(now.length).toBeGreaterThanOrEqual(3);
      expect(total(before)).toBeGreaterThan(0);

      // One bar a day and the table's columns in the order of the stacks: each column is that provider's sum.
      const paid = now.filter(({ costNano }) => costNano > 0).toSorted((a, b) => b.costNano - a.costNano);
      const bars = page.locator('details table');
      await expect(bars.locator('tbody tr')).toHaveCount(30);
      await expect(bars.getByRole('columnheader')).toHaveText([
        'Period',
        ...paid.map(({ group }) => group),
        'Total',
      ]);
      const cells = await bars
        .locator('tbody tr')
        .evaluateAll((rows) =>
          rows.map((row) =>
            [...row.querySelectorAll('td')].map((each) => Number(each.textContent.replace(/[$,]/g, ''))),
          ),
        );
      for (const [column, { group, costNano }] of paid.entries()) {
        const sum = cells.reduce((whole, row) => whole + (row[column] ?? NaN), 0);
        expect(sum, group).toBeCloseTo(costNano / NANO_PER_USD, 0);
      }
      for (const row of cells) {
        const stacked = row.slice(0, -1).reduce((sum, each) => sum + each, 0);
        expect(Math.abs(stacked - (row.at(-1) ?? NaN))).toBeLessThan(0.02 * paid.length);
      }

      const change = Math.round((total(now) / total(before) - 1) * 100);
      const sign = change > 0 ? '+' : change < 0 ? '−' : '±';
      await expect(
        page.getByText(`${sign}${Math.abs(change)}% from ${formatUsd(total(before))}`, { exact: true }),
      ).toBeVisible();
    });

    await test.step('an estimated cost is corrected, with a reason that stays beside it', async () => {
      await page.getByRole('link', { name: 'Activity' }).click();
      await page.getByRole('button', { name: 'Filter', exact: true }).click();
      await page.getByRole('menuitemcheckbox', { name: 'Estimated' }).click();
      // Two flags in the room of one, both named; a text says what it leaves out, and a press on it opens the row.
      const first = page.locator('.log-row').first();
      await expect(first.locator('.w-flags')).toHaveText('Estimated+1, Interrupted');
      const titleAt = (cellOf: string) =>
        first.locator(cellOf).evaluate((each) => {
          const { x, y, width, height } = each.getBoundingClientRect();
          const above = document.elementFromPoint(x + width - 12, y + height / 2);
          return above?.closest('[title]')?.getAttribute('title');
        });
      // Whatever the first one is called, the number of the others is to be read.
      const cut = await first.locator('.w-flags').evaluate((flags) => {
        const [name, others] = flags.children;
        if (!name || !others) return ['two flags'];
        const { textContent } = name;
        const ends = ['Capped', 'Interrupted', 'An uncommonly long flag'].filter((label) => {
          name.textContent = label;
          return flags.getBoundingClientRect().right < others.getBoundingClientRect().right;
        });
        name.textContent = textContent;
        return ends;
      });
      expect(cut).toEqual([]);
      expect(await titleAt('.w-flags > :nth-child(2)')).toMatch(/^Interrupted: The client or the provider/);
      expect(await titleAt('.w-tokens')).toMatch(/^Input tokens: [\d,]+\n/);
      expect(await titleAt('.w-time')).toMatch(/^\d+ \w+ 20\d\d, \d\d:\d\d:\d\d$/);
      await first.locator('.w-cost').click();
      const panel = page.getByRole('complementary');
      await panel.getByRole('button', { name: 'Correct cost' }).click();
      const dialog = page.getByRole('dialog', { name: 'Correct cost' });
      await dialog.getByLabel('Cost (USD)').fill('12.5');
      await dialog.getByRole('button', { name: 'Save changes' }).click();
      await expect(dialog.getByText('Say why the cost is corrected.')).toBeVisible();
      await dialog.getByLabel('Reason').fill('As the provider bills it');
      await dialog.getByRole('button', { name: 'Save changes' }).click();
      await expect(dialog).toBeHidden();
      await expect(panel).toContainText('$12.50');
      await expect(panel).toContainText('As the provider bills it');
      await page.keyboard.press('Escape');

      await page.getByRole('button', { name: 'Export', exact: true }).click();
      const exporting = page.getByRole('dialog', { name: 'Export requests' });
      await exporting.getByText('JSON', { exact: true }).click();
      const rows: unknown = JSON.parse(
        await download(page, () => exporting.getByRole('button', { name: 'Export' }).click()),
      );
      const { rows: listed } = await gateway.call('requests.list', { flag: 'estimated', limit: 1000 });
      expect(rows).toHaveLength(listed.length);
      expect(rows).toContainEqual(expect.objectContaining({ costNano: 12.5 * NANO_PER_USD }));
      await exporting.getByRole('button', { name: 'Done' }).click();
    });

    await test.step('no column is cut off at any width', async () => {
      await gateway.call('keys.update', { id, name: 'Continuous integration of the payments team' });
      for (const [hash, row, last] of [
        ['keys', '.keys tbody tr', '.col-actions'],
        ['activity', '.log-row', '.w-status'],
        ['activity?request=3000', '.log-row', '.w-cost'],
      ] as const) {
        await page.evaluate((to) => void (location.hash = `#/${to}`), hash);
        await expect(page.locator(row).first()).toBeVisible();
        for (let width = NARROWEST; width <= 1440; width += 40) {
          await page.setViewportSize({ width, height: 700 });
          const room = await page
            .locator(row)
            .first()
            .evaluate((each, name) => {
              const cells = [...each.children].map((one) => one.getBoundingClientRect().right);
              const shown = each.querySelector(name)?.getBoundingClientRect().right ?? Infinity;
              return each.getBoundingClientRect().right - Math.max(shown, ...cells);
            }, last);
          expect(room, `${hash} at ${width} pixels`).toBeGreaterThanOrEqual(0);
        }
      }
    });

    await test.step('no page is wider than the narrowest window, where a long name has two lines', async () => {
      await page.setViewportSize({ width: NARROWEST, height: 700 });
      await page.evaluate(() => void (location.hash = '#/keys'));
      const name = await page.getByRole('link', { name: /^Continuous/ }).evaluate((link) => ({
        hidden: link.scrollWidth - link.clientWidth,
        lines: Math.round(link.clientHeight / Number.parseFloat(getComputedStyle(link).lineHeight)),
      }));
      expect(name).toEqual({ hidden: 0, lines: 2 });
      for (const hash of [
        'keys',
        `keys/${id}`,
        'activity',
        'usage',
        'limits',
        'connect',
        'providers',
        'prices',
        'bills',
        'settings',
      ]) {
        await page.evaluate((to) => void (location.hash = `#/${to}`), hash);
        await expect(page.locator('[aria-busy]')).toHaveCount(0);
        const wide = await page.evaluate(() =>
          [document.documentElement, document.querySelector('main')].map(
            (each) => (each?.scrollWidth ?? 0) - (each?.clientWidth ?? 0),
          ),
        );
        expect(wide, hash).toEqual([0, 0]);
      }
    });
  } finally {
    await gateway.dispose();
  }
});
