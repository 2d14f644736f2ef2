/** The built page in a real browser, against a contract whose answers, events and failures the test decides. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { chromium, type Browser, type Page } from '@playwright/test';
import { afterAll, afterEach, beforeAll, beforeEach, describe, test } from 'vitest';
import { chromiumArguments, findChromium } from '../support/chromium.ts';
import { projectRoot } from '../support/gateway.ts';
import { expectPage as expect, easePages } from '../support/page.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import {
  emptyState,
  keyRow,
  providerRow,
  requestRow,
  startFakeBackend,
  type FakeBackend,
} from './fake-backend.ts';

const executablePath = findChromium();
if (executablePath === null) {
  console.warn('SKIPPED: the window in a browser. No Chromium was found; install one or set CHROMIUM_PATH.');
}

const usd = (dollars: number) => Math.round(dollars * 1e9);
const row = (page: Page, name: string) => page.getByRole('row').filter({ hasText: name });
const limitField = (page: Page) => page.getByLabel('Usage limit (USD)', { exact: true });

describe.skipIf(executablePath === null)('the window', () => {
  const built = path.join(projectRoot, 'dist', 'renderer');
  let browser: Browser;
  let backend: FakeBackend;
  let page: Page;

  beforeAll(async () => {
    if (!existsSync(built)) throw new Error('dist/renderer is missing: run `npm run build` first');
    browser = await chromium.launch({
      executablePath: executablePath ?? '',
      args: [...chromiumArguments],
      timeout: PATIENCE_MS,
    });
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    backend = await startFakeBackend(built, {
      ...emptyState(),
      providers: [providerRow({ id: 'p1', kind: 'openai', name: 'OpenAI' })],
      keys: [
        keyRow({ id: 'k1', name: 'claude-code', usageNano: usd(4), limitNano: usd(10) }),
        keyRow({ id: 'k2', name: 'codex', createdAt: '2026-09-01T00:00:00.000Z' }),
      ],
      requests: [requestRow(2), requestRow(1)],
    });
    page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await easePages(page.context());
    await page.goto(`${backend.url}/#token=${backend.token}`);
  });

  afterEach(async () => {
    const { violations } = backend;
    await page.close();
    await backend.close();
    // Whatever a test did, the page kept to its policy.
    if (violations.length > 0) throw new Error(`against the page's policy: ${JSON.stringify(violations)}`);
  });

  const push = (part: Partial<ReturnType<typeof keyRow>>, id = 'k1') => {
    const before = backend.state.keys.find((each) => each.id === id);
    if (!before) throw new Error(`no key ${id}`);
    const { limitState: _, ...rest } = { ...before, ...part };
    backend.send('keys-changed', { rows: [keyRow(rest)], removed: [] });
  };

  test('takes the token out of the address and sends it in no address', async () => {
    await expect(row(page, 'claude-code')).toBeVisible();
    expect(page.url()).toBe(`${backend.url}/`);
    await page.reload();
    await expect(row(page, 'claude-code')).toBeVisible();
    expect(backend.requests.join('\n')).not.toContain(backend.token);
  });

  test('shows pushed numbers in their row, touches no other row, and asks for nothing', async () => {
    // The last that is asked for at the start.
    backend.state.sparklines = [{ keyId: 'k1', costNano: [0, usd(4)] }];
    await page.reload();
    await expect(row(page, 'claude-code').getByRole('img', { name: '$4.00' })).toBeVisible();
    await page.evaluate(() => {
      const changed: string[] = [];
      Object.assign(window, { changed });
      const nameOf = (node: Node) =>
        (node instanceof Element ? node : node.parentElement)?.closest('tr')?.querySelector('th')
          ?.textContent;
      const seen = new MutationObserver((records) => {
        for (const { target } of records) changed.push(nameOf(target) ?? 'outside the rows');
      });
      const table = document.querySelector('table');
      if (table)
        seen.observe(table, { subtree: true, childList: true, characterData: true, attributes: true });
    });
    const calls = () => backend.requests.filter((line) => line.includes('/api/call')).length;
    const asked = calls();
    push({ usageNano: usd(8.5), heldNano: usd(0.02) });
    await expect(row(page, 'claude-code')).toContainText('$8.50');
    await expect(row(page, 'claude-code')).toContainText('$0.02 held');
    await expect(row(page, 'claude-code')).toContainText('85% used');
    expect(calls()).toBe(asked);

    // Sums over days are asked for again, not pushed; they too draw no other row, and no heading.
    backend.state.sparklines = [{ keyId: 'k1', costNano: [0, usd(1)] }];
    backend.send('request-settled', { rows: [requestRow(3)] });
    await expect(row(page, 'claude-code').getByRole('img', { name: '$1.00' })).toBeVisible();
    const changed = await page.evaluate(() => Reflect.get(window, 'changed') as string[]);
    expect([...new Set(changed)]).toEqual(['claude-code']);
  });

  test('a refusal for want of a price names its key, also where the key becomes known later', async () => {
    await expect(row(page, 'claude-code')).toBeVisible();
    backend.send('model-unpriced', { provider: 'openai', model: 'acme-large', keyId: 'k9' });
    const notice = page.getByRole('alert').filter({ hasText: 'acme-large has no price' });
    await expect(notice).toContainText('A request of a key with a limit was refused.');
    backend.send('keys-changed', { rows: [keyRow({ id: 'k9', name: 'agent' })], removed: [] });
    await expect(notice).toContainText('A request of agent was refused.');
  });

  test('a hundred numbers pushed at once are drawn a frame at a time', async () => {
    await expect(row(page, 'claude-code')).toContainText('$4.00');
    await page.evaluate(() => {
      const drawn = { count: 0 };
      Object.assign(window, { drawn });
      const amount = document.querySelector('.keys .usage-line .amount');
      if (amount)
        new MutationObserver(() => (drawn.count += 1)).observe(amount, {
          subtree: true,
          characterData: true,
          childList: true,
        });
    });
    for (let cents = 1; cents <= 120; cents += 1) push({ usageNano: usd(4 + cents / 100) });
    await expect(row(page, 'claude-code')).toContainText('$5.20');
    const count = await page.evaluate(() => (Reflect.get(window, 'drawn') as { count: number }).count);
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(60);
  });

  test('says aloud that a key has reached its limit', async () => {
    await expect(row(page, 'claude-code')).toBeVisible();
    push({ usageNano: usd(10) });
    await expect(row(page, 'claude-code')).toContainText('Limit reached');
    await expect(page.getByRole('status')).toContainText('claude-code has reached its usage limit');
  });

  test('a number that is pushed does not overwrite what is being typed', async () => {
    await page.getByRole('button', { name: 'Edit usage limit of claude-code' }).click();
    await limitField(page).fill('12');
    push({ usageNano: usd(6), limitNano: usd(20) });
    await expect(page.getByRole('dialog')).toContainText('$6.00');
    await expect(limitField(page)).toHaveValue('12');
  });

  test('a save that fails keeps the text and says why, at the field where it belongs to one', async () => {
    await page.getByRole('button', { name: 'Edit usage limit of claude-code' }).click();
    await limitField(page).fill('12');
    backend.failNext('keys.setLimit', 'The disk is full.');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('alert')).toHaveText('The disk is full.');
    await expect(limitField(page)).toHaveValue('12');

    backend.failNext('keys.setLimit', 'That is too much.', 'limitNano');
    await page.keyboard.press('Enter');
    await expect(limitField(page)).toHaveAccessibleDescription(/That is too much\./);

    await page.keyboard.press('Enter');
    await expect(page.getByRole('dialog')).toBeHidden();
    await expect(row(page, 'claude-code')).toContainText('$12.00');
    expect(backend.state.keys[0]?.limitNano).toBe(usd(12));
  });

  test('a recurring limit is set in the folded part and taken away by emptying it', async () => {
    const edit = page.getByRole('button', { name: 'Edit usage limit of codex' });
    await edit.click();
    await page.getByRole('button', { name: 'Recurring limit' }).click();
    await page.getByLabel('Recurring limit (USD)').fill('5');
    await page.getByLabel('Period').selectOption('day');
    // From when it counts is said before it is saved, and only where that begins anew.
    await expect(page.getByText('what was used today before does not count')).toBeVisible();
    await page.getByRole('button', { name: 'Save changes' }).click();
    await expect(row(page, 'codex')).toContainText('$5.00 / day');
    await edit.click();
    await expect(page.getByText('does not count')).toBeHidden();
    await page.getByLabel('Recurring limit (USD)').fill('');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await expect(row(page, 'codex')).toContainText('No limit');
  });

  test('says that the line is lost, comes back by itself and shows what has changed meanwhile', async () => {
    await expect(row(page, 'claude-code')).toContainText('$4.00');
    backend.cut();
    await expect(page.getByRole('alert')).toContainText('connection to the gateway is lost');
    backend.state.keys = [keyRow({ id: 'k3', name: 'made-meanwhile' })];
    backend.restore();
    await expect(row(page, 'made-meanwhile')).toBeVisible();
    await expect(row(page, 'claude-code')).toBeHidden();
    await expect(page.getByRole('alert')).toBeHidden();
  });

  test('a token that is not accepted is said, and is not tried for ever', async () => {
    const other = await browser.newPage();
    await other.goto(`${backend.url}/#token=wrong`);
    await expect(other.getByRole('alert')).toContainText('does not accept');
    const asked = backend.requests.filter((line) => line.includes('/api/events')).length;
    // The address of the new start, pasted into the same tab, changes only the fragment.
    await other.goto(`${backend.url}/#token=${backend.token}`);
    await expect(row(other, 'claude-code')).toBeVisible();
    expect(backend.requests.filter((line) => line.includes('/api/events'))).toHaveLength(asked + 1);
    await other.close();
  });

  test('a new secret is not lost to a slip: Escape leaves it until it was copied', async () => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Create API key' }).click();
    await page.getByLabel('Name', { exact: true }).fill('fresh');
    await page.keyboard.press('Enter');
    const secret = page.getByLabel('Secret of fresh');
    await expect(secret).toHaveValue(/^sk-fg-/);
    await page.keyboard.press('Escape');
    await expect(secret).toBeVisible();
    await page.getByRole('button', { name: 'Copy key' }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^sk-fg-/);
    await page.keyboard.press('Escape');
    await expect(secret).toBeHidden();
    expect(await page.content()).not.toContain('sk-fg-Zq7');
  });

  test('the actions of a key are reached with the keyboard, and deleting asks first', async () => {
    const actions = page.getByRole('button', { name: 'Actions for codex' });
    await actions.focus();
    await page.keyboard.press('Enter');
    await expect(page.getByRole('menuitem', { name: 'Connect a tool' })).toBeFocused();
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('button', { name: 'Cancel' })).toBeFocused();
    await page.keyboard.press('Escape');
    await expect(actions).toBeFocused();
    await expect(row(page, 'codex')).toBeVisible();

    await actions.click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete key' }).click();
    await expect(row(page, 'codex')).toBeHidden();
  });

  test('settled requests appear on top of the activity', async () => {
    // The line is up once the keys are there; what is told before has nobody to hear it.
    await expect(row(page, 'claude-code')).toBeVisible();
    await page.getByRole('link', { name: 'Activity' }).click();
    await expect(page.getByRole('row')).toHaveCount(3);
    backend.send('request-settled', {
      rows: [requestRow(3, { costNano: null, model: 'new-model', flags: ['unpriced'] })],
    });
    await expect(page.getByRole('row').nth(1)).toContainText('new-model');
    await expect(page.getByRole('row').nth(1)).toContainText('Unknown');
    await expect(page.getByRole('row').nth(1)).toContainText('Unpriced');
  });

  test('a thousand keys: those on screen are in the page, the focus stays in it, all are filtered', async () => {
    const keys = Array.from({ length: 1_000 }, (_, index) =>
      keyRow({ id: `m${index}`, name: `key-${index}`, usageNano: usd(index) }),
    );
    backend.state.keys = keys;
    await page.reload();
    await expect(page.getByText('1,000 keys')).toBeVisible();
    await expect(page.getByRole('table')).toHaveAttribute('aria-rowcount', '1001');
    // Made at the same moment: the last one is on top.
    await expect(row(page, 'key-999')).toHaveAttribute('aria-rowindex', '2');
    expect(await page.getByRole('row').count()).toBeLessThan(100);

    const editing = page.getByRole('button', { name: 'Edit usage limit of key-995', exact: true });
    await editing.focus();
    await page.locator('main').evaluate((main) => main.scrollTo(0, main.scrollHeight));
    const oldest = page.getByRole('row').filter({ has: page.getByText('key-0', { exact: true }) });
    await expect(oldest).toBeInViewport();
    await expect(oldest).toHaveAttribute('aria-rowindex', '1001');
    expect(await page.getByRole('row').count()).toBeLessThan(100);
    await expect(editing).toBeFocused();
    // The next stop is where the keyboard was, not where it was scrolled to.
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await expect(page.getByRole('checkbox', { name: 'Select key-994' })).toBeFocused();
    await expect(row(page, 'key-994')).toBeInViewport();

    await page.getByLabel('Filter keys').fill('key-99');
    await expect(page.getByText('11 of 1,000 keys')).toBeVisible();
    await expect(page.getByRole('row')).toHaveCount(12);
  });

  test('a key that is added leaves the focus and what is selected where they are', async () => {
    backend.state.keys = Array.from({ length: 40 }, (_, index) =>
      keyRow({ id: `m${index}`, name: `key-${index}` }),
    );
    await page.reload();
    for (const [turn, name] of ['key-39', 'key-28', 'key-27', 'key-0'].entries()) {
      const box = page.getByRole('checkbox', { name: `Select ${name}`, exact: true });
      await box.focus();
      await page.keyboard.press('Space');
      const added = keyRow({
        id: `n${turn}`,
        name: `new-${turn}`,
        createdAt: `2026-11-0${turn + 1}T00:00:00.000Z`,
      });
      backend.send('keys-changed', { rows: [added], removed: [] });
      await expect(row(page, `new-${turn}`)).toHaveAttribute('aria-rowindex', '2');
      await expect(box).toBeFocused();
    }
    await expect(page.getByText('4 selected')).toBeVisible();
  });
});
