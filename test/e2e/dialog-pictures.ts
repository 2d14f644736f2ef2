/** Pictures of every dialog and menu, and of pages with much on them, beside those of pictures.ts. */
import { NANO_PER_USD } from '#shared/money.ts';
import type { GatewayProcess } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream.ts';
import { go, looks, open, test } from './picture-stage.ts';

/** What a provider's cost export would say of the last days, but for one day that costs more and one model unknown here. */
async function billOf(gateway: GatewayProcess): Promise<string> {
  const now = Date.now();
  const points = await gateway.call('usage.series', {
    from: new Date(now - 6 * 86_400_000).toISOString(),
    to: new Date(now).toISOString(),
    every: 'day',
    by: 'model',
  });
  const lines = points
    .filter(({ group }) => group.startsWith('gpt'))
    .map(({ at, group, costNano }, index) => {
      const amount = (costNano / NANO_PER_USD) * (index === 2 ? 1.4 : 1);
      return `${at.slice(0, 10)}T00:00:00+00:00,${amount},usd,"${group}, input"`;
    });
  const day = points.at(-1)?.at.slice(0, 10) ?? '';
  lines.push(`${day}T00:00:00+00:00,2.5,usd,"o3-2025-04-16, output"`);
  return ['start_time_iso,amount_value,amount_currency,line_item', ...lines].join('\n');
}

/** Names as long as people make them, where a table has least room for them. */
async function useLongNames(gateway: GatewayProcess, providerId: string): Promise<string> {
  const model = 'accounts/research-team/models/llama-4-maverick-17b-128e-instruct-fp8-2026-10-31-preview';
  await gateway.call('prices.set', { providerId, model, input: '0.27', output: '0.85' });
  const { key, secret } = await gateway.call('keys.create', {
    name: 'Continuous integration of the payments team, nightly evaluation (do not delete)',
    limitNano: 12_345 * NANO_PER_USD,
    recurring: { amountNano: 1_234.5 * NANO_PER_USD, every: 'month' },
  });
  for (let n = 0; n < 2; n += 1) {
    const answer = await fetch(`${gateway.url}/openai/v1/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${secret}`,
        'content-type': 'application/json',
        'user-agent': 'payments-evaluation-harness-with-a-long-name/12.34.56 (nightly)',
      },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
    });
    await answer.text();
  }
  return key.id;
}
for (const { name: look, use, shot } of looks) {
  test.describe(look, () => {
    test.use(use);
    test('dialogs and menus', async ({ full, page }) => {
      await open(page, full.dashboardUrl);
      await go(page, '#/keys');
      await page
        .getByRole('button', { name: /^Edit usage limit of/ })
        .first()
        .click();
      await shot(page, 'dialog-limit');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Create API key' }).click();
      await shot(page, 'dialog-create');
      await page.keyboard.press('Escape');
      await page
        .getByRole('button', { name: /^Actions for/ })
        .first()
        .click();
      await shot(page, 'menu-key');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Filter', exact: true }).click();
      await shot(page, 'menu-filter');
      await page.keyboard.press('Escape');
      await page.keyboard.press('Control+k');
      await page.getByPlaceholder('Go to a page').waitFor();
      await shot(page, 'palette');
    });

    test('every other dialog', async ({ own, page }) => {
      test.setTimeout(180_000);
      const upstream = await startUpstream();
      upstream.answers({ inputTokens: 2_000, outputTokens: 300, text: 'Hello.' });
      const [anthropic, openai] = await own.call('providers.list', {});
      await own.call('providers.update', {
        id: openai?.id ?? '',
        baseUrl: `${upstream.url}/v1`,
        credential: 'sk-upstream',
      });
      await own.call('prices.set', {
        providerId: openai?.id ?? '',
        model: 'gpt-4o-tuned',
        input: '3.75',
        output: '15',
        cachedInput: '1.875',
      });
      const { secret } = await own.call('keys.create', { name: 'prototype' });
      for (let n = 0; n < 3; n += 1) {
        const answer = await fetch(`${own.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'acme-large', messages: [{ role: 'user', content: 'Hello' }] }),
        });
        await answer.text();
      }
      // After the requests: while such a limit applies, a model without a price is refused.
      await own.call('limits.set', {
        scope: { kind: 'global' },
        limitNano: null,
        recurring: { amountNano: 60 * NANO_PER_USD, every: 'month' },
      });
      await own.call('limits.set', {
        scope: { kind: 'provider', providerId: anthropic?.id ?? '' },
        limitNano: 50 * NANO_PER_USD,
      });
      await own.call('backups.create', {});
      await open(page, own.dashboardUrl);
      const press = (name: string | RegExp) => page.getByRole('button', { name }).first().click();
      const choose = async (item: string) => {
        await press('Actions for claude-code');
        await page.getByRole('menuitem', { name: item }).click();
      };
      const dialogs: [hash: string, name: string, open: () => Promise<void>][] = [
        ['keys', 'top-up', () => choose('Top up…')],
        ['keys', 'connect-key', () => choose('Connect a tool…')],
        ['keys', 'rename', () => choose('Rename…')],
        ['keys', 'rotate', () => choose('Rotate…')],
        ['keys', 'delete', () => choose('Delete…')],
        ['keys', 'shortcuts', () => page.keyboard.press('?')],
        [
          'keys',
          'recurring',
          async () => {
            await press('Edit usage limit of codex');
            await press('Recurring limit');
            await page.getByLabel('Recurring limit (USD)').fill('5');
            await page.getByLabel('Usage limit (USD)', { exact: true }).fill('20');
          },
        ],
        [
          'keys',
          'wrong',
          async () => {
            await press('Edit usage limit of codex');
            await page.getByLabel('Usage limit (USD)', { exact: true }).fill('ten');
            await press('Save changes');
          },
        ],
        ['activity', 'export', () => press('Export')],
        [
          'activity',
          'days',
          async () => {
            await press('Filter');
            await page.getByRole('menuitemcheckbox', { name: 'Choose days…' }).click();
          },
        ],
        [
          'activity',
          'correct',
          async () => {
            await page.locator('.log-open').nth(5).click();
            await press('Correct cost');
          },
        ],
        ['limits', 'scope-limit', () => press('Edit usage limit of All keys together')],
        ['connect', 'connect-tool', () => press('Connect Claude Code')],
        ['providers', 'provider', () => press('Add provider')],
        ['providers', 'edit-provider', () => press(/^Edit /)],
        ['providers', 'delete-provider', () => press(/^Delete /)],
        ['prices', 'set-price', () => press('Set a price for acme-large')],
        ['prices', 'edit-price', () => press(/^Edit .*tuned/)],
        ['prices', 'remove-price', () => press(/^Remove .*tuned/)],
        ['settings', 'restore', () => press(/^Restore the backup/)],
      ];
      for (const [hash, name, show] of dialogs) {
        await go(page, `#/${hash}`);
        await show();
        await page.getByRole('dialog').waitFor();
        await page.waitForTimeout(250);
        await shot(page, `dialog-${name}`);
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({ state: 'detached' });
      }

      await go(page, '#/bills');
      await page.locator('input[type=file]').setInputFiles({
        name: 'cost.csv',
        mimeType: 'text/csv',
        buffer: Buffer.from(await billOf(own)),
      });
      await page.getByRole('heading', { name: 'Usual causes' }).waitFor();
      await page.locator('.bills .fold').first().click();
      await shot(page, 'bills-compared');
      await page.getByLabel('Also show what agrees').check();
      await page.locator('main').evaluate((main) => main.scrollTo(0, main.scrollHeight));
      await shot(page, 'bills-compared-end');

      for (const name of ['limits', 'prices', 'usage', 'settings'] as const) {
        await go(page, `#/${name}`);
        if (name === 'settings')
          await page.locator('main').evaluate((main) => main.scrollTo(0, main.scrollHeight));
        await shot(page, `${name}-more`);
      }
      await go(page, '#/prices');
      await page.getByPlaceholder('A model or vendor').fill('claude sonnet 4');
      await page
        .getByRole('button', { name: /^Use the price of/ })
        .first()
        .waitFor();
      await shot(page, 'catalogue');
      await go(page, '#/activity?flag=unpriced');
      await page.locator('.log-open').first().click();
      await page.waitForTimeout(400);
      await shot(page, 'request-unpriced');
      await go(page, '#/keys');
      for (const name of ['editor', 'scripts']) await page.getByLabel(`Select ${name}`).check();
      await shot(page, 'keys-selected');
      await press('Disable');
      await page.getByRole('button', { name: 'Undo' }).waitFor();
      await shot(page, 'keys-undo');
      await press(/^Pause/);
      await page.getByText('Faregate is paused.').waitFor();
      await shot(page, 'paused');
      await page.getByRole('button', { name: 'Create API key' }).click();
      await page.getByLabel('Name').fill('fresh');
      await page.getByRole('button', { name: 'Create key' }).click();
      await page.getByRole('dialog', { name: 'API key created' }).waitFor();
      await shot(page, 'dialog-secret');
      await page.getByRole('button', { name: 'Done' }).click();
      await press('Resume');
      const id = await useLongNames(own, openai?.id ?? '');
      await page.waitForTimeout(400);
      await shot(page, 'keys-long');
      await go(page, `#/keys/${id}`);
      await shot(page, 'key-long');
      await go(page, '#/usage?by=model');
      await page.locator('.recharts-bar-rectangle').first().waitFor();
      await shot(page, 'usage-long');
      await go(page, '#/activity');
      await shot(page, 'activity-long');
      await page.locator('.log-open').first().click();
      await page.getByText('Held before it was sent').first().waitFor();
      await shot(page, 'request-long');
      await upstream.close();
    });
  });
}
