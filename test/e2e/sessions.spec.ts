/** Sessions of coding agents in the window: what one cost and which of its subagents, its limit, and a key's fallback. */
import { addProvider, usd } from '../support/gateway.ts';
import { cell, expect, keyRow, prepare, test } from './fixtures.ts';

test('a limit per session is set in the dialog, and what a session cost is two clicks away', async ({
  gateway,
  upstream,
  dashboard: page,
}) => {
  const { key, secret } = await prepare(gateway, upstream, { name: 'agent' });
  const providers = await gateway.call('providers.list', {});
  const providerId = providers[0]?.id ?? '';
  await gateway.call('prices.set', { providerId, model: 'acme', input: '0', output: '100' });

  await page.getByRole('button', { name: 'Edit usage limit of agent' }).click();
  const dialog = page.getByRole('dialog', { name: 'Edit usage limit' });
  await dialog.getByRole('button', { name: 'Limit per session' }).click();
  const field = dialog.getByLabel('Limit per session (USD)');
  await expect(dialog).toContainText('Requests that name no session have the other limits alone.');
  await field.fill('x');
  await dialog.getByRole('button', { name: 'Save changes' }).click();
  await expect(field).toHaveAttribute('aria-invalid', 'true');
  await field.fill('0.2');
  await dialog.getByRole('button', { name: 'Save changes' }).click();
  await expect(dialog).toBeHidden();
  await expect(await cell(page, keyRow(page, 'agent'), 'Usage Limit')).toContainText('$0.20 / session');

  upstream.answers({ inputTokens: 5, outputTokens: 1000, text: 'Hello' });
  const ask = async (agent: string | null) => {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${secret}`,
        'content-type': 'application/json',
        'user-agent': 'claude-cli/2.1.330 (external, cli)',
        'x-claude-code-session-id': '5e551011-aaaa-bbbb',
        ...(agent === null ? {} : { 'x-claude-code-agent-id': agent }),
      },
      body: JSON.stringify({ model: 'acme', messages: [], max_completion_tokens: 1000 }),
    });
    return { status: response.status, text: await response.text() };
  };
  expect([(await ask(null)).status, (await ask('agent-searcher')).status]).toEqual([200, 200]);
  const refused = await ask(null);
  expect(refused.status).toBe(402);
  expect(refused.text).toContain('this session of key');
  expect((await gateway.call('keys.list', {}))[0]).toMatchObject({ id: key.id, usageNano: usd('0.2') });

  // One click leads to the sessions, the second to the subagents of one.
  await page.getByRole('link', { name: 'Usage', exact: true }).click();
  const session = page.getByRole('row').filter({ hasText: '5e551011' });
  await expect(session).toContainText('claude-code');
  await expect(session).toContainText('$0.20 of $0.20');
  await session.getByRole('button').click();
  await expect(page.getByRole('row').filter({ hasText: 'agent-searcher' })).toContainText('$0.10');
});

test('a key’s fallback is chosen on its page', async ({ gateway, upstream, dashboard: page }) => {
  await prepare(gateway, upstream, { name: 'agent' });
  const spare = await addProvider(gateway, upstream, 'openai', { name: 'Spare', slug: 'spare' });
  const stored = async () => (await gateway.call('keys.list', {}))[0]?.fallback;
  expect(await stored()).toBeNull();

  await page.getByRole('link', { name: 'agent', exact: true }).click();
  await page.getByLabel('Fallback provider').selectOption('Spare');
  const models = page.getByLabel('Models with another name there');
  await models.fill('gpt-5.4');
  const save = page.getByRole('button', { name: 'Save changes' });
  await save.click();
  await expect(page.getByText('Write one model per line')).toBeVisible();
  await models.fill('gpt-5.4 = openai/gpt-5.4');
  await save.click();
  await expect(page.getByText('Saved.')).toBeVisible();
  expect(await stored()).toEqual({
    providerId: spare.id,
    dearer: false,
    models: [{ from: 'gpt-5.4', to: 'openai/gpt-5.4' }],
  });

  await page.reload();
  await expect(models).toHaveValue('gpt-5.4 = openai/gpt-5.4');
  await page.getByLabel('Also where it costs more').check();
  await save.click();
  await expect.poll(stored).toMatchObject({ dearer: true });
  await page.getByLabel('Fallback provider').selectOption('None');
  await save.click();
  await expect.poll(stored).toBeNull();
});
