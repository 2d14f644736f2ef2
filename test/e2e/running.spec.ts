/** What the window shows and can do while a request runs. */
import Anthropic from '@anthropic-ai/sdk';
import type { Locator, Page } from '@playwright/test';
import { addProvider, usd, type GatewayProcess } from '../support/gateway.ts';
import { sse } from '../support/provider-answers.ts';
import { gate, type Gate, type Upstream } from '../support/upstream.ts';
import { cell, expect, keyRow, test, upstreamCredential } from './fixtures.ts';

const model = 'claude-haiku-4-5';

/** A key with $1.00, and an answer of the provider that stands still after its first words until `rest` opens. */
async function startRunning(page: Page, gateway: GatewayProcess, upstream: Upstream, rest: Gate) {
  const provider = await addProvider(gateway, upstream, 'anthropic', { credential: upstreamCredential });
  await gateway.call('prices.set', { providerId: provider.id, model, input: '1', output: '100' });
  const { key, secret } = await gateway.call('keys.create', { name: 'running', limitNano: usd('1') });
  const usage = { input_tokens: 100, output_tokens: 1 };
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model, content: [], usage };
  const delta = (text: string) => ({
    type: 'content_block_delta',
    index: 0,
    delta: { type: 'text_delta', text },
  });
  const block = { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } };
  const end = { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2000 } };
  upstream.reply('/v1/messages', {
    headers: { 'content-type': 'text/event-stream' },
    chunks: [
      sse({ type: 'message_start', message }, 'message_start'),
      sse(block, 'content_block_start'),
      sse(delta('First words'), 'content_block_delta'),
      rest,
      sse(delta(' and the rest.'), 'content_block_delta'),
      sse({ type: 'content_block_stop', index: 0 }, 'content_block_stop'),
      sse(end, 'message_delta'),
      sse({ type: 'message_stop' }, 'message_stop'),
    ],
  });
  const client = new Anthropic({ apiKey: secret, baseURL: gateway.url, maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: 'Hello' }];
  const stream = client.messages.stream({ model, max_tokens: 5000, messages });
  const text = stream.finalText();
  // Looked at by the test later; until then it is not unhandled.
  text.catch(() => {});
  const usageCell: Locator = await cell(page, keyRow(page, 'running'), 'Usage');
  return { key, secret, text, usageCell };
}

test('the money set aside is shown, and becomes usage when the answer is complete', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  const rest = gate();
  const { text, usageCell } = await startRunning(page, gateway, upstream, rest);

  // 5,000 tokens of output at $100 a million, and the bound of the input.
  await expect(usageCell).toContainText(/\$0\.50\d* held/);
  await expect(usageCell).toContainText('$0.00');

  rest.open();
  expect(await text).toBe('First words and the rest.');
  await expect(usageCell).not.toContainText('held');
  await expect(usageCell).toContainText('$0.2001');

  await page.getByRole('link', { name: 'Activity' }).click();
  await expect(page.getByRole('row').filter({ hasText: model })).toContainText('$0.2001');
});

test('lowering the limit leaves a running request alone unless it is asked to stop', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  const rest = gate();
  const { text, secret, usageCell } = await startRunning(page, gateway, upstream, rest);
  await expect(usageCell).toContainText('held');
  const lower = async (amount: string, stop: boolean) => {
    await page.getByRole('button', { name: 'Edit usage limit of running' }).click();
    const dialog = page.getByRole('dialog', { name: 'Edit usage limit' });
    await dialog.getByLabel('Usage limit (USD)', { exact: true }).fill(amount);
    if (stop) await dialog.getByLabel('Also stop the requests that are running now').check();
    await dialog.getByRole('button', { name: 'Save changes' }).click();
    await expect(dialog).toBeHidden();
  };

  await lower('0.60', false);
  await expect(usageCell).toContainText('held');

  await lower('0', true);
  // In the words of the protocol, so that the SDK throws the sentence.
  await expect(text).rejects.toThrow(/the usage limit of key .*running.* was changed in Faregate/);
  await expect(usageCell).not.toContainText('held');
  const refused = new Anthropic({ apiKey: secret, baseURL: gateway.url, maxRetries: 0 }).messages.create({
    model,
    max_tokens: 10,
    messages: [{ role: 'user', content: 'Hello' }],
  });
  await expect(refused).rejects.toMatchObject({ status: 402 });
  expect(upstream.requests.filter(({ path }) => path === '/v1/messages')).toHaveLength(1);

  const { rows } = await gateway.call('requests.list', {});
  expect(rows).toMatchObject([{ flags: expect.arrayContaining(['stopped']) }]);
  rest.open();
});

test('a key that is disabled in the window stops at once', async ({ gateway, upstream, dashboard: page }) => {
  const rest = gate();
  const { text, usageCell } = await startRunning(page, gateway, upstream, rest);
  await expect(usageCell).toContainText('held');

  await page.getByRole('button', { name: 'Actions for running' }).click();
  await page.getByRole('menuitem', { name: 'Disable' }).click();

  await expect(text).rejects.toThrow(/the key .*running.* was disabled in Faregate/);
  await expect(keyRow(page, 'running')).toContainText('Disabled');
  await expect(usageCell).not.toContainText('held');
  rest.open();
});

test('a key that reaches its limit is announced to a screen reader', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  const rest = gate();
  const { key, text, usageCell } = await startRunning(page, gateway, upstream, rest);
  await expect(usageCell).toContainText('held');
  await gateway.call('keys.setLimit', { id: key.id, limitNano: usd('0.2') });
  rest.open();
  await text;
  await expect(keyRow(page, 'running')).toContainText('Limit reached');
  await expect(
    page.getByRole('status').filter({ hasText: 'running has reached its usage limit' }),
  ).toHaveCount(1);
});
