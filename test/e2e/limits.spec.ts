/** What holds requests back beside a key's own limit, worked from the window: top-up, shared limits, pause, loop brake. */
import { addProvider, usd } from '../support/gateway.ts';
import { gate } from '../support/upstream.ts';
import { cell, expect, keyRow, test, upstreamCredential } from './fixtures.ts';

const model = 'gpt-4o-mini';
const sent = { model, max_tokens: 1000, messages: [{ role: 'user', content: 'Hello' }] };

test('a key at its limit is topped up, all keys are limited, everything is stopped and resumed', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  const provider = await addProvider(gateway, upstream, 'openai', { credential: upstreamCredential });
  await gateway.call('prices.set', { providerId: provider.id, model, input: '0', output: '100' });
  const { key, secret } = await gateway.call('keys.create', {
    name: 'tight',
    limitNano: usd('50'),
    recurring: { amountNano: usd('0.1'), every: 'day' },
  });
  upstream.answers({ inputTokens: 5, outputTokens: 1000, text: 'x' });
  const ask = () =>
    fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify(sent),
    });
  expect((await ask()).status).toBe(200);
  expect((await ask()).status).toBe(402);

  // Top-up: at once, beside the limits.
  const limitCell = await cell(page, keyRow(page, 'tight'), 'Usage Limit');
  await expect(limitCell).toContainText('Limit reached');
  await page.getByRole('button', { name: 'Edit usage limit of tight' }).click();
  const dialog = page.getByRole('dialog', { name: 'Edit usage limit' });
  const topUp = dialog.getByRole('group', { name: 'Top up' });
  await expect(topUp).toContainText('today only');
  await topUp.getByRole('button', { name: 'Top up by $5.00' }).click();
  await expect(topUp).toContainText('+$5.00 on top until');
  await topUp.getByRole('button', { name: 'Top up by $1.00' }).click();
  await expect(topUp).toContainText('+$6.00 on top until');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(limitCell).toContainText('+$6.00 on top');
  await expect(limitCell).not.toContainText('Limit reached');
  expect((await ask()).status).toBe(200);

  // A limit over all keys.
  await page.getByRole('link', { name: 'Limits' }).click();
  await page.getByRole('button', { name: 'Edit usage limit of All keys together' }).click();
  await dialog.getByLabel('Usage limit (USD)', { exact: true }).fill('0.20');
  await expect(dialog).toContainText('this blocks new requests at once');
  await dialog.getByRole('button', { name: 'Save changes' }).click();
  const allKeys = page.getByRole('row', { name: /^All keys together/ });
  await expect(allKeys).toContainText('Limit reached');
  const refused = await ask();
  expect(refused.status).toBe(402);
  expect(await refused.text()).toContain('all keys together');
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(allKeys).toContainText('No limit');

  // Stop all, and back.
  const rest = gate();
  upstream.reply(/./, { before: rest, body: {} }, 1);
  const running = ask();
  await expect(page.getByRole('banner')).toContainText('1 running');
  await page.getByRole('button', { name: 'Stop all and pause' }).click();
  expect((await running).status).toBe(402);
  await expect(page.getByText('1 request was stopped. Faregate is paused.')).toBeVisible();
  const banner = page.getByRole('alert').filter({ hasText: 'New requests are refused until you resume' });
  await expect(banner).toBeVisible();
  expect((await ask()).status).toBe(402);
  await banner.getByRole('button', { name: 'Resume' }).click();
  await expect(banner).toBeHidden();
  expect((await ask()).status).toBe(200);
  expect((await gateway.call('keys.list', {}))[0]).toMatchObject({ id: key.id, heldNano: 0 });
});

test('a key that loops is paused, says so, and goes on when it is resumed', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  const provider = await addProvider(gateway, upstream, 'openai', { credential: upstreamCredential });
  await gateway.call('prices.set', { providerId: provider.id, model, input: '0', output: '1' });
  const { secret } = await gateway.call('keys.create', { name: 'looping' });
  const ask = async () => {
    const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify(sent),
    });
    await answer.text();
    return answer.status;
  };

  await page.getByRole('link', { name: 'Limits' }).click();
  await page.getByLabel('Same requests in a row').fill('1');
  await page.getByRole('button', { name: 'Save changes' }).click();
  await expect(page.getByRole('alert')).toContainText('at least 2 requests');
  await page.getByLabel('Same requests in a row').fill('3');
  await page.getByRole('button', { name: 'Save changes' }).click();
  await expect(page.getByText('Saved.')).toBeVisible();
  await page.getByRole('checkbox', { name: /^Only the steps of agents/ }).click();
  await expect
    .poll(async () => (await gateway.call('settings.get', {})).loopBrake)
    .toEqual({ requests: 3, seconds: 60, agentsOnly: false });

  expect([await ask(), await ask(), await ask(), await ask()]).toEqual([200, 200, 200, 402]);
  await page.getByRole('link', { name: 'API Keys' }).click();
  const state = await cell(page, keyRow(page, 'looping'), 'Status');
  await expect(state).toContainText('Paused');
  await state.getByRole('button', { name: 'Resume looping' }).click();
  await expect(state).toContainText('Active');
  expect(await ask()).toBe(200);
});
