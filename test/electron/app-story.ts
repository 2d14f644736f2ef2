/**
 * What the desktop app has to do wherever it runs: told once, for the stand-in and for Electron itself. It is given a
 * page that shows the app, and nothing of how it came there.
 */
import type { Page } from '@playwright/test';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callerIn } from '../support/bridge.ts';
import { send } from '../support/client.ts';
import { usd, type Caller } from '../support/gateway.ts';
import { expectPage } from '../support/page.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

export interface RunningApp {
  page: Page;
  /** How the page's address begins. */
  address: string;
  /** Resolves when the app has ended in order. */
  quit(): Promise<void>;
}

export function appStory(open: () => Promise<RunningApp>): void {
  let upstream: Upstream;
  let app: RunningApp;
  let page: Page;
  let gatewayUrl: string;
  let call: Caller['call'];

  beforeAll(async () => {
    upstream = await startUpstream();
    app = await open();
    page = app.page;
    call = callerIn(page);
    await expectPage(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
    gatewayUrl = (await call('status.get', {})).gatewayUrl;
  });
  afterAll(() => upstream.close());

  test('a key is made in the window, spends, reaches its limit, and is served again once the limit is raised there', async () => {
    const { id: providerId } = await call('providers.create', {
      kind: 'openai',
      baseUrl: `${upstream.url}/v1`,
      credential: 'sk-upstream',
    });
    await call('prices.set', { providerId, model: 'acme', input: '0', output: '100' });

    await page.getByRole('button', { name: 'Create API key' }).first().click();
    const create = page.getByRole('dialog', { name: 'Create API key' });
    await create.getByLabel('Name').fill('story');
    await create.getByLabel('Usage limit (USD)', { exact: true }).fill('1.00');
    await create.getByRole('button', { name: 'Create key' }).click();
    const shown = page.getByLabel('Secret of story');
    await expectPage(shown).toBeVisible();
    const secret = (
      await shown.evaluate((node) => (node instanceof HTMLInputElement ? node.value : node.textContent))
    ).trim();
    expect(secret).toMatch(/^sk-fg-/);
    await page.getByRole('button', { name: 'Done' }).click();

    upstream.answers({ inputTokens: 5, outputTokens: 10_000, text: 'x' });
    const ask = () =>
      send(`${gatewayUrl}/v1/chat/completions`, {
        headers: { authorization: `Bearer ${secret}` },
        body: { model: 'acme', messages: [], max_completion_tokens: 10_000 },
      });
    expect((await ask()).status).toBe(200);
    const row = page.getByRole('row').filter({ hasText: 'story' });
    await expectPage(row).toContainText('$1.00');
    expect(await ask()).toMatchObject({ status: 402, text: expect.stringContaining('story') });

    await row.getByRole('button', { name: /limit of story/i }).click();
    const edit = page.getByRole('dialog');
    await edit.getByLabel('Usage limit (USD)', { exact: true }).fill('$10.00');
    await edit.getByRole('button', { name: 'Save changes' }).click();
    await expectPage(row).toContainText('$10.00');
    expect((await ask()).status).toBe(200);
    expect((await call('keys.list', {}))[0]).toMatchObject({ usageNano: usd('2'), limitNano: usd('10') });
  });

  test('the page reads nothing of Node or Electron', async () => {
    expect(page.url().startsWith(app.address)).toBe(true);
    expect(
      await page.evaluate('[typeof process, typeof require, typeof module, typeof window.faregate.call]'),
    ).toEqual(['undefined', 'undefined', 'undefined', 'function']);
  });

  test('the page cannot lead the window away or open another', async () => {
    for (const attempt of [
      "location.href = 'https://evil.example/'",
      "void window.open('https://evil.example/')",
      "location.href = 'file:///etc/passwd'",
    ]) {
      await page.evaluate(attempt).catch(() => undefined);
      await expectPage(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
      expect(page.url().startsWith(app.address)).toBe(true);
    }
    expect(
      page
        .context()
        .pages()
        .filter((each) => each.url().includes('evil')),
    ).toEqual([]);
  });

  test('the page loads no script from elsewhere, runs none from text, and reaches no other server, by a form neither', async () => {
    const outcome = await page.evaluate(`(async () => {
      const load = (attributes) => new Promise((resolve) => {
        const script = Object.assign(document.createElement('script'), attributes);
        script.addEventListener('load', () => resolve('loaded'));
        script.addEventListener('error', () => resolve('refused'));
        document.head.append(script);
        if (!attributes.src) resolve(window.planted === undefined ? 'refused' : 'ran');
      });
      const attempt = async (work) => { try { await work(); return 'done' } catch { return 'refused' } };
      return {
        remote: await load({ src: 'https://evil.example/script.js' }),
        inline: await load({ textContent: 'window.planted = true' }),
        data: await load({ src: 'data:text/javascript,window.planted=true' }),
        eval: await attempt(() => eval('1')),
        fetch: await attempt(() => fetch(${JSON.stringify(gatewayUrl)})),
        form: await new Promise((resolve) => {
          const told = (event) => event.effectiveDirective === 'form-action' && resolve('refused');
          document.addEventListener('securitypolicyviolation', told);
          const form = document.body.appendChild(document.createElement('form'));
          form.action = 'https://evil.example/';
          form.submit();
        }),
      };
    })()`);
    expect(outcome).toEqual({
      remote: 'refused',
      inline: 'refused',
      data: 'refused',
      eval: 'refused',
      fetch: 'refused',
      form: 'refused',
    });
  });

  test('a frame in the page has no way to the gateway', async () => {
    const found = await page.evaluate(`(() => {
      const frame = document.body.appendChild(document.createElement('iframe'));
      return typeof frame.contentWindow.faregate;
    })()`);
    expect(found).toBe('undefined');
  });

  test('it ends in order, and nothing listens any more', async () => {
    await app.quit();
    await expect(fetch(gatewayUrl)).rejects.toThrow('fetch failed');
  });
}
