/** A model without a price, from the refusal to the last past request; newer price data; a bill compared. */
import type { Page } from '@playwright/test';
import { catalogue } from '../../electron/gateway/pricing/catalogue.ts';
import { addProvider, startGateway, usd, type GatewayProcess } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream.ts';
import { expect, prepare, test, upstreamCredential } from './fixtures.ts';

async function ask(gateway: GatewayProcess, secret: string, model = 'acme-large'): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 50 }),
  });
}

const section = (page: Page, name: string) => page.getByRole('region', { name });

test('a model without a price: the hint is followed, a price copied, past requests priced again', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  upstream.answers({ inputTokens: 200_000, outputTokens: 10_000, text: 'Hello.' });
  const { secret: open } = await prepare(gateway, upstream, { name: 'scripts' });
  const { secret: limited } = await gateway.call('keys.create', { name: 'agent', limitNano: usd('1') });
  for (let served = 0; served < 3; served += 1) expect((await ask(gateway, open)).status).toBe(200);

  await test.step('the refusal says what to open, and the window has the way there', async () => {
    const refused = await ask(gateway, limited);
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain('Set a price for acme-large');
    const notice = page.getByRole('alert').filter({ hasText: 'acme-large has no price' });
    await expect(notice).toContainText('A request of agent was refused.');
    await notice.getByRole('link', { name: 'Set a price' }).click();
  });

  const dialog = page.getByRole('dialog', { name: 'Set price' });
  await test.step('the dialog is filled in, and takes a price of the catalogue', async () => {
    await expect(dialog.getByLabel('Model', { exact: true })).toHaveValue('acme-large');
    await expect(dialog).toContainText('Now: no price.');
    await dialog.getByRole('searchbox').fill('gpt 4o mini');
    await dialog.getByRole('button', { name: 'Use the price of openai/gpt-4o-mini', exact: true }).click();
    await expect(dialog.getByLabel('Input', { exact: true })).toHaveValue('0.15');
    await expect(dialog).toContainText(/Copied from genai-prices .*: openai\/gpt-4o-mini, \d{4}-/);
    await dialog.getByRole('button', { name: 'Set price' }).click();
  });

  await test.step('what it adds is seen before it is done', async () => {
    const reprice = page.getByRole('dialog', { name: 'Re-price past requests' });
    await expect(reprice).toContainText('3 requests of acme-large at OpenAI');
    await expect(reprice.getByRole('row', { name: /scripts/ })).toContainText('$0.1080');
    await reprice.getByRole('button', { name: 'Re-price 3 requests' }).click();
    await expect(reprice).toBeHidden();
  });

  await test.step('the requests have their cost, the model is served, and nothing is left without a price', async () => {
    const scripts = (await gateway.call('keys.list', {})).find(({ name }) => name === 'scripts');
    expect(scripts).toMatchObject({ usageNano: usd('0.108'), unpricedRequests: 0 });
    expect((await ask(gateway, limited)).status).toBe(200);
    await expect(section(page, 'Without a price')).toBeHidden();
    await expect(section(page, 'Your own prices').getByRole('row', { name: /acme-large/ })).toContainText(
      'openai/gpt-4o-mini',
    );
    await expect(page).toHaveURL(/#\/prices$/);
  });

  await test.step('the list leads there too, and the catalogue is searched on the page', async () => {
    await ask(gateway, open, 'acme-small');
    await section(page, 'Without a price')
      .getByRole('button', { name: 'Set a price for acme-small' })
      .click();
    await expect(dialog.getByLabel('Model', { exact: true })).toHaveValue('acme-small');
    // Once it stands still nothing in it may move, whenever the catalogue answers.
    const cancel = dialog.getByRole('button', { name: 'Cancel' });
    const opened = await cancel.boundingBox();
    await expect(dialog).toContainText('The catalogue knows no model that fits “acme-small”.');
    expect(await cancel.boundingBox()).toEqual(opened);
    await cancel.click();
    await expect(dialog).toBeHidden();
    await page.getByLabel('Search the catalogue').fill('claude sonnet');
    const rows = section(page, 'Catalogue').getByRole('row');
    await expect(rows.nth(1)).toContainText('Anthropic');
    await section(page, 'Catalogue')
      .getByRole('button', { name: /^Use the price of/ })
      .first()
      .click();
    await expect(dialog.getByLabel('Output', { exact: true })).not.toHaveValue('');
    await page.keyboard.press('Escape');
  });
});

test('newer price data: a good file is taken, a bad one refused with its reason', async ({ page }) => {
  const upstream = await startUpstream();
  const gateway = await startGateway({ env: { FAREGATE_PRICE_DATA_URL: `${upstream.url}/data.json` } });
  try {
    const vendors = structuredClone(await catalogue.vendors());
    upstream.reply('/data.json', { body: vendors });
    await page.goto(gateway.dashboardUrl);
    await page.getByRole('link', { name: 'Prices' }).click();
    const data = section(page, 'Price data');
    await expect(data).toContainText('which came with Faregate.');
    await data.getByRole('button', { name: 'Refresh now' }).click();
    await expect(data).toContainText('are in force.');
    await expect(data).toContainText('genai-prices, fetched');
    upstream.reply('/data.json', { body: vendors.filter(({ id }) => id !== 'anthropic') });
    await data.getByRole('button', { name: 'Refresh now' }).click();
    await expect(data).toContainText('was refused: the vendor anthropic is no longer in it.');
    await expect(data).toContainText('genai-prices, fetched');
    await data.getByRole('switch', { name: 'Refresh once a day' }).click();
    await expect.poll(async () => (await gateway.call('settings.get', {})).priceUpdates).toBe(true);
  } finally {
    await gateway.dispose();
    await upstream.close();
  }
});

test('a bill is compared with the ledger', async ({ gateway, upstream, dashboard: page }) => {
  upstream.answers({ inputTokens: 1_000_000, outputTokens: 100_000, text: 'Hello.' });
  const { secret } = await prepare(gateway, upstream, { name: 'k' });
  await addProvider(gateway, upstream, 'anthropic', { credential: upstreamCredential });
  for (let served = 0; served < 2; served += 1) await ask(gateway, secret, 'openai/gpt-4o-mini');
  const today = new Date().toISOString().slice(0, 10);
  const lines = [
    'start_time_iso,amount_value,amount_currency,line_item',
    `${today}T00:00:00+00:00,0.30,usd,"gpt-4o-mini-2024-07-18, input"`,
    `${today}T00:00:00+00:00,0.12,usd,"gpt-4o-mini-2024-07-18, output"`,
    `${today}T00:00:00+00:00,2.5,usd,"o3-2025-04-16, output"`,
  ];
  await page.getByRole('link', { name: 'Bills' }).click();
  const file = page.locator('input[type=file]');
  await file.setInputFiles({ name: 'cost.csv', mimeType: 'text/csv', buffer: Buffer.from(lines.join('\n')) });
  const comparison = page.getByRole('region', { name: /OpenAI costs/ });
  await expect(comparison).toContainText('1 line differs');
  await expect(comparison).toContainText('$2.92');
  await expect(comparison).toContainText('Only in the export');
  await expect(comparison).toContainText('usage that did not go through Faregate');
  await comparison.getByRole('switch', { name: 'Also show what agrees' }).check();
  await comparison.getByRole('button', { name: /Classes of gpt-4o-mini/ }).click();
  await expect(comparison.getByRole('row', { name: /^Output/ }).first()).toContainText('$0.12');
  await file.setInputFiles({ name: 'x.csv', mimeType: 'text/csv', buffer: Buffer.from('a,b\n1,2\n') });
  await expect(page.getByRole('alert')).toContainText('no export that Faregate knows');
});
