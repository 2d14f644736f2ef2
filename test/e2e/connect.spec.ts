/** A tool connected in the page, with a home of its own: what is shown is written, and what was there comes back. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { addProvider, startGateway } from '../support/gateway.ts';
import { expectAccessible } from './axe.ts';
import { expect, test as base, upstreamCredential } from './fixtures.ts';

const test = base.extend<{ home: string }>({
  home: async ({}, use) => {
    const home = mkdtempSync(path.join(tmpdir(), 'faregate-home-'));
    await use(home);
    rmSync(home, { recursive: true, force: true });
  },
  gateway: async ({ home }, use) => {
    const gateway = await startGateway({
      env: { HOME: home, CLAUDE_CONFIG_DIR: '', CODEX_HOME: '', XDG_CONFIG_HOME: '', PATH: '/usr/bin' },
    });
    await use(gateway);
    await gateway.dispose();
  },
});

test('Claude Code is connected with a limit, checked, and disconnected', async ({
  home,
  gateway,
  upstream,
  dashboard: page,
}) => {
  const file = path.join(home, '.claude', 'settings.json');
  const text =
    '{\n  // mine\n  "model": "opus",\n  "env": {\n    "ANTHROPIC_API_KEY": "sk-ant-of-the-person"\n  }\n}\n';
  mkdirSync(path.dirname(file));
  writeFileSync(file, text);
  mkdirSync(path.join(home, '.codex'));
  await addProvider(gateway, upstream, 'anthropic', { credential: upstreamCredential });

  await page.getByRole('link', { name: 'Connect', exact: true }).click();
  const row = page.getByRole('row').filter({ hasText: 'Claude Code' });
  await expect(row).toContainText('Not connected');
  // What is not here and cannot be connected either is no reason to be the first thing that is seen.
  const others = page.getByRole('table', { name: 'Not found on this machine' });
  await expect(others.getByRole('row').filter({ hasText: 'Cursor' })).toContainText('from its own servers');
  await expectAccessible(page, 'connect page');

  await row.getByRole('button', { name: 'Connect Claude Code' }).click();
  const dialog = page.getByRole('dialog', { name: 'Connect Claude Code' });
  const change = dialog.getByRole('figure', { name: `Change to ${file}` });
  await expect(change.getByRole('insertion').filter({ hasText: 'ANTHROPIC_AUTH_TOKEN' })).toBeVisible();
  await expect(change.getByRole('deletion').filter({ hasText: 'ANTHROPIC_API_KEY' })).toBeVisible();
  await expect(change).not.toContainText('of-the-person');
  await dialog.getByLabel('Usage limit (USD)').fill('5');
  await expectAccessible(page, 'connect dialog');
  expect(readFileSync(file, 'utf8')).toBe(text);
  await dialog.getByRole('button', { name: 'Connect', exact: true }).click();
  await expect(dialog.getByText('Claude Code is connected.')).toBeVisible();
  await expect(dialog.getByText(/The gateway answered Claude Code's key with \d+ models/)).toBeVisible();
  await dialog.getByRole('button', { name: 'Done' }).click();
  await expect(row).toContainText('Connected');
  expect(readFileSync(file, 'utf8')).toMatch(/"ANTHROPIC_AUTH_TOKEN": "sk-fg-\w{43}"/);
  expect(await page.content()).not.toMatch(/sk-fg-\w{10}/);
  expect(await gateway.call('keys.list', {})).toMatchObject([
    { name: 'Claude Code', limitNano: 5_000_000_000 },
  ]);

  // Meanwhile the person changes the same file: their change stays.
  writeFileSync(file, readFileSync(file, 'utf8').replace('"opus"', '"sonnet"'));
  await row.getByRole('button', { name: 'Disconnect Claude Code' }).click();
  const leaving = page.getByRole('dialog', { name: 'Disconnect Claude Code' });
  await expect(leaving).toContainText('your changes stay');
  await leaving.getByRole('button', { name: 'Disconnect', exact: true }).click();
  await expect(row).toContainText('Not connected');
  expect(readFileSync(file, 'utf8')).toContain('"sonnet"');
  expect(readFileSync(file, 'utf8')).not.toContain('sk-fg-');

  // What it would not work with is said before anything is written, also of a credential that nobody tested.
  await page.getByRole('button', { name: 'Connect Codex' }).click();
  const codex = page.getByRole('dialog', { name: 'Connect Codex' });
  await expect(codex.getByRole('status')).toContainText('Add one under Providers.');
  await expect(codex.getByLabel('Usage limit (USD)')).toBeFocused();
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: 'Providers' }).click();
  await page.getByRole('button', { name: 'Add provider' }).click();
  const adding = page.getByRole('dialog', { name: 'Add provider' });
  await adding.getByLabel('Base URL').fill(`${upstream.url}/v1`);
  await adding.getByLabel('Credential').fill('sk-wrong');
  await adding.getByRole('button', { name: 'Add provider' }).click();
  await expect(adding).toBeHidden();
  const failed = page.getByRole('alert').filter({ hasText: 'OpenAI is saved, but its test failed' });
  await expect(failed).toContainText('OpenAI does not accept the credential');
});

test('the dashboard opens by a one-time link, once', async ({ gateway, page }) => {
  const { execFileSync } = await import('node:child_process');
  const args = ['dist/cli.js', 'open', '--print', '--data-dir', gateway.dataDir];
  const link = execFileSync(process.execPath, args, { encoding: 'utf8' }).trim();
  await page.goto(link);
  await expect(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
  expect(page.url()).not.toContain('once');
  const second = await page.context().browser()?.newPage();
  await second?.goto(link);
  await expect(second?.getByText('does not accept this page’s token') ?? page.locator('none')).toBeVisible();
  await second?.close();
});
