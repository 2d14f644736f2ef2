/** What the tray and the notices say while money is spent: the built app on the stand-in, against a provider on loopback. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Page } from '@playwright/test';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { addDimeProviders, boundedRequest } from '../support/bounded-requests.ts';
import { callerIn } from '../support/bridge.ts';
import { send } from '../support/client.ts';
import {
  openBrowser,
  startDesktop,
  type Desktop,
  type TestBrowser,
} from '../support/electron-standin/desktop.ts';
import { usd, type Caller } from '../support/gateway.ts';
import { expectPage } from '../support/page.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

let browser: TestBrowser;
let upstream: Upstream;
let dataDir: string;
let desktop: Desktop;
let page: Page;
let call: Caller['call'];

beforeAll(async () => {
  browser = await openBrowser();
  upstream = await startUpstream();
});
afterAll(async () => {
  await browser.close();
  await upstream.close();
});
beforeEach(async () => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'faregate-notices-'));
  desktop = startDesktop({ browser, dataDir, args: ['--port', '0'] });
  page = await desktop.page();
  call = callerIn(page);
  await desktop.entry('show');
  await addDimeProviders({ call }, upstream);
});
afterEach(async () => {
  desktop.process.kill('SIGKILL');
  await desktop.ended();
  rmSync(dataDir, { recursive: true, force: true });
});

async function spend(secret: string, dollars: number): Promise<number> {
  const tokens = Math.round(dollars * 10_000);
  upstream.answers({ inputTokens: 5, outputTokens: tokens, text: 'x' });
  const { gatewayUrl } = await call('status.get', {});
  const { path: route, body } = boundedRequest('messages');
  return (await send(`${gatewayUrl}${route}`, { headers: { 'x-api-key': secret }, body: body(tokens) }))
    .status;
}

/** The tray tells what is new once a second at the most. */
const soon = <T>(look: () => T) => expect.poll(look);
const menu = () => desktop.all('tray-menu').at(-1)?.labels ?? [];
const icon = () => desktop.all('tray').at(-1)?.image;

test('as a key nears its limit the tray and a notice say so, and the notice can raise it, open it and stop it', async () => {
  const { key, secret } = await call('keys.create', { name: 'R&D', limitNano: usd('1') });
  await soon(menu).toContain('R&&D: 0% of $1.00');
  expect(icon()).toBe('tray-ok.png');

  await spend(secret, 0.85);
  const near = await desktop.entry('notification');
  expect(near).toMatchObject({
    title: 'R&D: 80% of the limit is used',
    body: '$0.85 of $1.00.',
    actions: ['Raise by $5.00', 'Open', 'Stop the key'],
  });
  await soon(menu).toEqual(expect.arrayContaining(['$0.85 today', 'R&&D: 85% of $1.00']));
  expect(icon()).toBe('tray-near.png');
  expect(desktop.all('tray-tooltip').at(-1)?.text).toBe('Faregate: $0.85 today\nR&D: 85% of $1.00');

  // Raised twice, by a notice that is still there: on top of what was given before.
  desktop.send({ do: 'answer-notification', id: near.id, action: 0 });
  await soon(menu).toContain('R&&D: 14% of $6.00');
  desktop.send({ do: 'answer-notification', id: near.id, action: 0 });
  await soon(menu).toContain('R&&D: 7% of $11.00');
  await soon(icon).toBe('tray-ok.png');

  desktop.send({ do: 'close-window' });
  await soon(() => page.isClosed()).toBe(true);
  desktop.send({ do: 'answer-notification', id: near.id });
  await desktop.entry('window', 1);
  page = await desktop.page();
  call = callerIn(page);
  await expectPage(page.getByRole('heading', { level: 1, name: 'R&D' })).toBeVisible();
  desktop.send({ do: 'answer-notification', id: near.id, action: 2 });
  await soon(async () => (await call('keys.list', {}))[0]?.status).toBe('disabled');
  // What is switched off is nearest to nothing.
  await soon(menu).not.toContain('R&&D: 7% of $11.00');

  // What can no longer be done is said.
  await call('keys.delete', { id: key.id });
  desktop.send({ do: 'answer-notification', id: near.id, action: 0 });
  await soon(() => desktop.all('notification').at(-1)).toMatchObject({
    title: 'Faregate could not do that',
    body: 'The key was deleted.',
  });
});

test('a limit that is reached is told once for its window, says when it resets, and turns the icon', async () => {
  const recurring = { amountNano: usd('1'), every: 'month' } as const;
  const { secret } = await call('keys.create', { name: 'agent', recurring });
  await spend(secret, 1);
  const reached = await desktop.entry('notification');
  expect(reached.title).toBe('agent: limit reached');
  expect(reached.body).toMatch(/^\$1\.00 of \$1\.00 this month\. Further requests are refused\. It resets /);
  expect(reached.actions[0]).toBe('Raise by $5.00 until it resets');
  await soon(icon).toBe('tray-reached.png');
  expect(await spend(secret, 0.1)).toBe(402);

  // The setting holds for the next one, of another key.
  await call('settings.set', { notices: false });
  const other = await call('keys.create', { name: 'other', limitNano: usd('1') });
  await spend(other.secret, 0.9);
  await soon(menu).toContain('other: 90% of $1.00');
  expect(desktop.all('notification').filter(({ title }) => !title.includes('keeps running'))).toEqual([
    reached,
  ]);
});
