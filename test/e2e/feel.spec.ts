/** What the window feels like: a long log under the hand, numbers that move and nothing else, no motion where none is wanted. */
import { openStore } from '../../electron/gateway/store/store.ts';
import { recordFrames } from '../support/frames.ts';
import { startGateway, temporaryFolder } from '../support/gateway.ts';
import { fillHistory } from '../support/history.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { expect, keyRow, prepare, test } from './fixtures.ts';

const ROWS = 20_000;

test('a long log is scrolled to its end, jumped in, filtered and read by keyboard alone', async ({
  page,
}) => {
  const dataDir = temporaryFolder();
  const store = openStore(dataDir);
  fillHistory(store, { rows: ROWS, until: Date.now() });
  const firstFailed = store.db.prepare('SELECT min(id) FROM requests WHERE status <> 200').pluck().get();
  store.close();
  const gateway = await startGateway({ dataDir });
  try {
    await page.goto(gateway.dashboardUrl);
    await page.getByRole('link', { name: 'Activity' }).click();
    await expect(page.getByText('20,000 requests', { exact: true })).toBeVisible();
    const log = page.locator('.log-frame');
    const drag = (part: number) =>
      log.evaluate((frame, to) => {
        frame.scrollTop = (frame.scrollHeight - frame.clientHeight) * to;
      }, part);
    /** Rows are drawn a moment after the log is scrolled, and filled a moment after that. */
    const expectRows = (look: (ids: number[]) => void) =>
      expect(async () => {
        expect(await page.locator('.log-row[aria-busy]').count()).toBe(0);
        const ids = await page
          .locator('.log-open')
          .evaluateAll((each) => each.map((one) => Number(one.dataset['request'])));
        expect(ids, 'newest first, without a gap').toEqual(ids.map((_, at) => (ids[0] ?? 0) - at));
        look(ids);
      }).toPass({ timeout: PATIENCE_MS });

    await drag(1);
    await expectRows((ids) => expect(ids.at(-1)).toBe(1));
    await drag(0.5);
    await expectRows((ids) => {
      expect(Math.abs((ids[0] ?? 0) - ROWS / 2)).toBeLessThan(60);
      // Nothing but what is near is in the page.
      expect(ids.length).toBeLessThan(80);
    });
    await drag(0);
    await expectRows((ids) => expect(ids[0]).toBe(ROWS));

    await page.locator('.log-open').first().focus();
    await page.keyboard.press('End');
    const focused = page.locator('.log-open:focus');
    await expect(focused).toHaveAttribute('data-request', '1');
    await page.keyboard.press('ArrowUp');
    await expect(focused).toHaveAttribute('data-request', '2');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('complementary', { name: 'Request 2' })).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(page.getByRole('complementary')).toBeHidden();
    await expect(focused).toHaveAttribute('data-request', '2');
    await page.keyboard.press('Home');
    await expect(focused).toHaveAttribute('data-request', String(ROWS));

    // What is filtered is one list too: its end is a key away.
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByRole('menuitemcheckbox', { name: 'Failed' }).click();
    await expect(page.locator('.log-row .w-status').first()).not.toHaveText('200');
    await page.locator('.log-open').first().focus();
    await page.keyboard.press('End');
    await expect(focused).toHaveAttribute('data-request', String(firstFailed));
    await page.getByRole('button', { name: 'Remove filter Failed' }).click();

    // Any days can be shown, and the address keeps them.
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByRole('menuitemcheckbox', { name: 'Choose days…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Show requests of' });
    const day = new Date(Date.now() - 200 * 86_400_000).toISOString().slice(0, 10);
    await dialog.getByLabel('First day').fill(day);
    await dialog.getByLabel('Last day').fill('2020-01-01');
    await expect(dialog.getByText('The last day is before the first.')).toBeVisible();
    await dialog.getByLabel('Last day').fill(day);
    await dialog.getByRole('button', { name: 'Show' }).click();
    await expect(dialog).toBeHidden();
    await expect(page.getByText(/^\d+ requests$/)).toBeVisible();
    await page.reload();
    const times = page.locator('.log-row time');
    await expect(times.first()).toBeVisible();
    const days = await times.evaluateAll((all) =>
      all.map((each) => each.getAttribute('datetime')?.slice(0, 10)),
    );
    expect([...new Set(days)]).toEqual([day]);
    await page.getByLabel('Model, provider or client').fill('nothing-of-this-name');
    await expect(page.getByText('No request matches the filter.')).toBeVisible();
  } finally {
    await gateway.dispose();
  }
});

test('numbers move and nothing else does; a limit that is reached is said; no motion where none is wanted', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  const { secret, key } = await prepare(gateway, upstream, { name: 'moving', limitNano: 1_000_000_000 });
  await gateway.call('keys.create', { name: 'still' });
  upstream.answers({ inputTokens: 1_000, outputTokens: 100, text: 'Hello.' });
  const ask = async () => {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'gpt-4o',
        messages: [{ role: 'user', content: 'Hello' }],
        max_tokens: 100,
      }),
    });
    await response.text();
    return response.status;
  };
  // The steps of the first start go with the first request: from here on nothing may move.
  await expect(page.getByText('Waiting for the first request')).toBeVisible();
  expect(await ask()).toBe(200);
  await expect(page.getByText('Waiting for the first request')).toBeHidden();
  await expect(keyRow(page, 'moving')).toContainText('$0.003500 in the last 30 days');

  const read = await recordFrames(page);
  for (let turn = 0; turn < 60; turn += 1) expect(await ask()).toBe(200);
  await expect(keyRow(page, 'moving')).toContainText('$0.2135');
  await gateway.call('keys.setLimit', { id: key.id, limitNano: 200_000_000 });
  await expect(
    page.getByRole('status').filter({ hasText: 'moving has reached its usage limit' }),
  ).toBeAttached();
  const { moved, shift } = await read();
  expect(
    // What is held is drawn only while it is: seen or not, its box grows to the left with its digits.
    moved.filter((each) => !/^(\$|span\.held amount )/.test(each)),
    'moved, beside an amount within its place',
  ).toEqual([]);
  expect(shift).toBeLessThan(0.001);
  expect(await ask()).toBe(402);

  await page.getByRole('button', { name: 'Edit usage limit of moving' }).click();
  await expect(page.getByRole('dialog')).toBeVisible();
  const moving = await page.evaluate(
    () =>
      document.getAnimations().filter(({ effect }) => Number(effect?.getComputedTiming().duration) > 0)
        .length,
  );
  expect(moving).toBe(0);
});
