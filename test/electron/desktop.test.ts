/** The built desktop app on the stand-in: how it starts, what it asks, how it stays and ends, and where credentials are. */
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connectMethods } from '../../electron/connect/connect.ts';
import { callerIn, callFromPage } from '../support/bridge.ts';
import { begin } from '../support/client.ts';
import { desktopApps, type Apps } from '../support/electron-standin/apps.ts';
import { DISPLAY, KEYRING, NEWER_KEY, OTHER_MACHINE } from '../support/electron-standin/protocol.ts';
import { addProvider, startCore, usd } from '../support/gateway.ts';
import { expectPage } from '../support/page.ts';
import { gate, startUpstream } from '../support/upstream.ts';

let apps: Apps;

beforeAll(async () => {
  apps = await desktopApps();
});
afterAll(() => apps.browser.close());
// Each test has apps of its own, over a folder of its own.
beforeEach(() => apps.begin());
afterEach(() => apps.end());

describe('the app', () => {
  test('a page that crashed or no longer responds is loaded anew, and the gateway is left alone', async () => {
    const { desktop, page } = await apps.open();
    const { gatewayUrl } = await callerIn(page)('status.get', {});
    desktop.send({ do: 'crash-page' });
    await desktop.entry('reload');
    expect((await fetch(gatewayUrl)).status).toBe(200);
    await expectPage(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
    // A page that only ever crashes is not reloaded for ever.
    for (let crash = 0; crash < 5; crash += 1) desktop.send({ do: 'crash-page' });
    const { id, options } = await desktop.entry('dialog');
    expect(options).toMatchObject({
      message: 'The window keeps crashing',
      detail: expect.stringContaining('limits hold'),
    });
    expect(desktop.all('reload')).toHaveLength(3);
    desktop.send({ do: 'answer-dialog', id, response: 0 });
    await desktop.entry('reload', 3);

    desktop.send({ do: 'hang-page' });
    const stuck = await desktop.entry('dialog', 1);
    expect(stuck.options.buttons).toEqual(['Wait', 'Load it again']);
    desktop.send({ do: 'answer-dialog', id: stuck.id, response: 1 });
    await desktop.entry('reload', 4);
  });

  test('lies within the screen there is, also after the one it stood on is gone, and ends by a signal', async () => {
    writeFileSync(
      path.join(apps.dataDir, 'desktop.json'),
      JSON.stringify({ bounds: { x: 3000, y: -50, width: 2000, height: 800, maximized: false }, told: [] }),
    );
    const workArea = { x: 0, y: 25, width: 1440, height: 875 };
    const { desktop, page } = await apps.open({ env: { [DISPLAY]: JSON.stringify(workArea) } });
    expect((await desktop.entry('window')).options).toMatchObject({ x: 0, y: 25, width: 1440, height: 800 });
    desktop.send({ do: 'change-display', workArea: { x: 0, y: 0, width: 1024, height: 768 } });
    expect((await desktop.entry('bounds')).bounds).toEqual({ x: 0, y: 0, width: 1024, height: 768 });
    await apps.expectOrderlyEnd(desktop, page, () => void desktop.process.kill('SIGTERM'));
  });

  test('asks what to do where its port is taken, keeps the port it found, and ends with the session', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const desktop = apps.start({ args: ['--port', String(port)] });

    const first = await desktop.entry('dialog');
    expect(first.options.buttons).toEqual(['Try again', 'Use another port', 'Quit']);
    expect(first.options.detail).toContain(String(port));
    // This very process, which the person may want to end.
    expect(first.options.detail).toContain(`(process ${process.pid})`);
    desktop.send({ do: 'answer-dialog', id: first.id, response: 0 });
    const again = await desktop.entry('dialog', 1);
    desktop.send({ do: 'answer-dialog', id: again.id, response: 1 });

    const page = await desktop.page();
    await expectPage(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
    const { gatewayUrl } = await callerIn(page)('status.get', {});
    const settings = await callerIn(page)('settings.get', {});
    expect(Number(new URL(gatewayUrl).port)).toBe(settings.port);
    expect(settings.port).not.toBe(port);
    other.close();
    await apps.expectOrderlyEnd(desktop, page, () => desktop.send({ do: 'power', event: 'shutdown' }));
  });

  test('leads the connected tools to another port, and names those that only the person can lead there', async () => {
    const { dataDir } = apps;
    const home = path.join(dataDir, 'home');
    const machine = connectMethods({ dataDir, home, env: {} });
    const core = await startCore({ dataDir, machine });
    for (const tool of ['claude-code', 'codex'] as const) {
      const { hash } = await core.call('connect.plan', { tool });
      await core.call('connect.apply', { tool, planHash: hash });
    }
    await core.gateway.close({ graceMs: 0 });
    const codex = path.join(home, '.codex', 'config.toml');
    writeFileSync(codex, readFileSync(codex, 'utf8').replace(core.url, 'https://elsewhere.example'));

    const other = createServer().listen(Number(new URL(core.url).port), '127.0.0.1');
    await once(other, 'listening');
    const desktop = apps.start({
      args: ['--port', new URL(core.url).port, '--hidden'],
      env: { HOME: home, CLAUDE_CONFIG_DIR: '', CODEX_HOME: '' },
    });
    const { id, options } = await desktop.entry('dialog');
    expect(options.detail).toContain('written into the configuration of Claude Code, Codex');
    desktop.send({ do: 'answer-dialog', id, response: 1 });
    const led = await desktop.entry('notification');
    expect(led).toMatchObject({
      title: expect.stringContaining('follow the gateway'),
      body: expect.stringMatching(/configuration of Claude Code\./),
    });
    const left = await desktop.entry('notification', 1);
    expect(left).toMatchObject({ title: 'Connect your tools again', body: expect.stringContaining('Codex') });
    const settings = readFileSync(path.join(home, '.claude', 'settings.json'), 'utf8');
    const [now = ''] = /http:\/\/127\.0\.0\.1:\d+/.exec(settings) ?? [];
    expect(now).not.toBe(core.url);
    expect((await fetch(now)).status).toBe(200);
    expect(readFileSync(codex, 'utf8')).toContain('https://elsewhere.example');
    desktop.send({ do: 'answer-notification', id: left.id });
    const page = await desktop.page();
    await expectPage(page.getByRole('heading', { level: 1, name: 'Connect', exact: true })).toBeVisible();
    other.close();
  });

  test('quits from that question', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const desktop = apps.start({ args: ['--port', String((other.address() as AddressInfo).port)] });
    const { id } = await desktop.entry('dialog');
    desktop.send({ do: 'answer-dialog', id, response: 2 });
    expect(await desktop.ended()).toBe(0);
    expect(desktop.all('window')).toEqual([]);
    other.close();
  });

  test('lets what runs end when it quits, cuts what does not within five seconds, and settles both', async () => {
    const startAt = performance.now();
    const { desktop, page } = await apps.open();
    const startedInMs = performance.now() - startAt;
    const upstream = await startUpstream();
    const call = callerIn(page);
    const { id } = await addProvider({ call }, upstream, 'openai');
    await call('prices.set', { providerId: id, model: 'acme', input: '0', output: '100' });
    const { secret } = await call('keys.create', { name: 'busy', limitNano: usd('10') });
    const { gatewayUrl } = await call('status.get', {});
    const ask = (model: string) =>
      begin(`${gatewayUrl}/v1/chat/completions`, {
        headers: { authorization: `Bearer ${secret}` },
        body: { model: 'acme', user: model, messages: [], max_completion_tokens: 100, stream: true },
      });
    const delta = (content: string) =>
      `data: {"model":"acme","choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
    const usage = 'data: {"model":"acme","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}\n\n';
    const rest = gate();
    const headers = { 'content-type': 'text/event-stream' };
    upstream.reply(/./, { headers, chunks: [delta('first'), rest, usage, 'data: [DONE]\n\n'] }, 1);
    const ending = await ask('ends');
    await ending.next();
    upstream.reply(/./, { headers, chunks: [delta('second')], hang: true });
    const endless = await ask('does not');
    await endless.next();

    const quitAt = performance.now();
    desktop.send({ do: 'choose-tray-item', label: 'Quit' });
    await desktop.entry('closed');
    rest.open();
    expect((await ending.rest()).text).toContain('[DONE]');
    expect((await endless.rest()).text).toMatch(/"error"/);
    expect(await desktop.ended()).toBe(0);
    // And the end of a process, for which a machine that is slow to start one needs longer.
    expect(performance.now() - quitAt).toBeLessThan(5_000 + 5 * startedInMs);
    await upstream.close();
    const ledger = new Database(path.join(apps.dataDir, 'faregate.db'), { readonly: true });
    expect(ledger.prepare('SELECT count(*) AS open FROM holds').get()).toEqual({ open: 0 });
    expect(ledger.prepare('SELECT cost_nano AS cost, flags FROM requests ORDER BY id').all()).toEqual([
      { cost: usd('0.0003'), flags: expect.not.stringContaining('estimated') },
      { cost: expect.any(Number), flags: expect.stringContaining('estimated') },
    ]);
    ledger.close();
  });

  test('runs on in the tray when its window is closed, says so once, comes back where it was, and quits from there', async () => {
    const { desktop } = await apps.open();
    desktop.send({ do: 'close-window' });
    await desktop.entry('closed');
    expect((await desktop.entry('notification')).title).toContain('keeps running');
    for (const event of ['suspend', 'lock-screen', 'resume'] as const) desktop.send({ do: 'power', event });
    desktop.send({ do: 'click-tray' });
    await desktop.entry('window', 1);
    desktop.send({ do: 'close-window' });
    await desktop.entry('closed', 1);
    expect(desktop.all('notification')).toHaveLength(1);
    expect(desktop.process.exitCode).toBeNull();
    expect(JSON.parse(readFileSync(path.join(apps.dataDir, 'desktop.json'), 'utf8'))).toMatchObject({
      bounds: { width: 1180, height: 760, maximized: false },
      told: ['runs-on'],
    });
    // The page of a window that is closing is not the one of the next.
    await expect.poll(() => apps.browser.context.pages()).toHaveLength(1);
    desktop.send({ do: 'click-tray' });
    const page = await desktop.page();
    await expectPage(page.getByRole('heading', { name: 'API Keys', exact: true })).toBeVisible();
    await apps.expectOrderlyEnd(desktop, page, () => desktop.send({ do: 'choose-tray-item', label: 'Quit' }));
  });

  test('ends with its window where the person set it so', async () => {
    const { desktop, page } = await apps.open();
    await page.evaluate(callFromPage('settings.set', { keepRunning: false }));
    desktop.send({ do: 'close-window' });
    expect(await desktop.ended()).toBe(0);
    expect(desktop.all('notification')).toEqual([]);
  });

  test('starts in the tray alone where it is asked to, with an icon for each state', async () => {
    const desktop = apps.start({ args: ['--port', '0', '--hidden'] });
    const spend = ['$0.00 today', '$0.00 this month'];
    await expect
      .poll(() => desktop.all('tray-menu').at(-1)?.labels)
      .toEqual(['Open Faregate', ...spend, 'Pause new requests', 'Stop all and pause', 'Quit']);
    expect(desktop.all('window')).toEqual([]);
    desktop.send({ do: 'choose-tray-item', label: 'Stop all and pause' });
    await expect
      .poll(() => desktop.all('tray-menu').at(-1)?.labels)
      .toEqual([
        'Open Faregate',
        'Paused: no request is served',
        ...spend,
        'Resume',
        'Stop all and pause',
        'Quit',
      ]);
    desktop.send({ do: 'choose-tray-item', label: 'Resume' });
    await expect
      .poll(() => desktop.all('tray').map(({ image }) => image))
      .toEqual(['tray-ok.png', 'tray-paused.png', 'tray-ok.png']);
    expect(desktop.all('tray').every(({ imageExists }) => imageExists)).toBe(true);
    await expect.poll(() => desktop.all('tray-menu').at(-1)?.labels).toContain('Pause new requests');
    desktop.send({ do: 'choose-tray-item', label: 'Open Faregate' });
    await desktop.entry('window');
  });
});

describe('credentials', () => {
  const addOpenAi = callFromPage('providers.create', {
    kind: 'openai',
    credential: 'sk-upstream-credential',
  });
  const listed = callFromPage('providers.list');

  test("are kept by the system's store, are there after a restart, and asked for again on another machine", async () => {
    const first = await apps.open();
    expect(await first.page.evaluate(addOpenAi)).toMatchObject({ ok: true });
    first.desktop.send({ do: 'quit' });
    await first.desktop.ended();
    expect(readFileSync(path.join(apps.dataDir, 'faregate.db')).includes('v11-standin:')).toBe(true);
    expect(existsSync(path.join(apps.dataDir, 'secret.key'))).toBe(false);

    const again = await apps.open({ env: { [NEWER_KEY]: '1' } });
    expect(await again.page.evaluate(listed)).toMatchObject({
      ok: true,
      value: [{ hasCredential: true, credentialUnreadable: false }],
    });
    again.desktop.send({ do: 'quit' });
    await again.desktop.ended();
    // Sealed anew, once the store asked for it.
    const ledger = readFileSync(path.join(apps.dataDir, 'faregate.db'));
    expect([ledger.includes('v11-standin:'), ledger.includes('v12-standin:')]).toEqual([false, true]);

    const { desktop, page } = await apps.open({ env: { [OTHER_MACHINE]: '1' } });
    const { id, title, body } = await desktop.entry('notification');
    expect(title).toBe('Enter credentials again');
    expect(body).toContain('OpenAI');
    desktop.send({ do: 'answer-notification', id });
    await expectPage(page.getByRole('heading', { level: 1, name: 'Providers', exact: true })).toBeVisible();
    await expectPage(page.getByText('Enter again')).toBeVisible();
  });

  test('are kept under a key file where there is no keyring, if the person agrees, who is asked once', async () => {
    const env = { [KEYRING]: 'basic_text' };
    const first = await apps.open({
      env,
      async before(desktop) {
        const { id, options } = await desktop.entry('dialog');
        expect(options.buttons).toEqual(['Use a key file', 'Try again', 'Quit']);
        desktop.send({ do: 'answer-dialog', id, response: 0 });
      },
    });
    expect(await first.page.evaluate(addOpenAi)).toMatchObject({ ok: true });
    expect(existsSync(path.join(apps.dataDir, 'secret.key'))).toBe(true);
    first.desktop.send({ do: 'quit' });
    await first.desktop.ended();

    const again = apps.start({ env, args: ['--port', '0', '--hidden'] });
    await again.entry('tray-menu');
    expect(again.all('dialog')).toEqual([]);
    again.send({ do: 'quit' });
    await again.ended();

    // A keyring that comes later opens what the key file sealed.
    const { desktop, page } = await apps.open();
    expect(await page.evaluate(listed)).toMatchObject({ ok: true, value: [{ credentialUnreadable: false }] });
    expect(desktop.all('notification')).toEqual([]);
  });
});
