/**
 * The window in a real Chromium over the built gateway with a long history: when a page is there, how the log scrolls and
 * is filtered, and whether frames are dropped while usage is pushed.
 * Run by hand: `node test/bench/window.ts [rows] [--keep DIR]`, 1,000,000 rows unless told. `--keep DIR` takes up the
 * ledger of DIR/rows, as `queries.ts` does, and leaves it there.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { chromium, type Browser, type Page } from '@playwright/test';
import { NANO_PER_USD } from '#shared/money.ts';
import { DATABASE_FILE } from '../../electron/gateway/store/data-folder.ts';
import { openStore } from '../../electron/gateway/store/store.ts';
import { emptyState, keyRow, providerRow, startFakeBackend } from '../renderer/fake-backend.ts';
import { chromiumArguments, ensureChromium } from '../support/chromium.ts';
import { recordFrames } from '../support/frames.ts';
import { projectRoot, startGateway, temporaryFolder } from '../support/gateway.ts';
import { fillHistory } from '../support/history.ts';

const ROUNDS = 9;
const FRAME_MS = 1000 / 60;
const MANY_KEYS = 1000;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { keep: { type: 'string' } } });
const count = Number((positionals[0] ?? '1000000').replaceAll(',', ''));
if (!Number.isInteger(count) || count < 1000) {
  process.stderr.write('Usage: node test/bench/window.ts [rows, at least 1000] [--keep DIR]\n');
  process.exit(2);
}

const dataDir = values.keep === undefined ? temporaryFolder() : join(values.keep, String(count));
mkdirSync(dataDir, { recursive: true });
if (!existsSync(join(dataDir, DATABASE_FILE))) {
  const store = openStore(dataDir);
  fillHistory(store, { rows: count, until: Date.now() });
  store.close();
}
const chrome = await chromium.launch({
  executablePath: ensureChromium((text) => process.stderr.write(`${text}\n`)),
  args: [...chromiumArguments],
});
try {
  process.stdout.write(`${count.toLocaleString('en-US')} rows\n`);
  await measureHistory(chrome);
  await measurePushes(chrome);
} finally {
  await chrome.close();
  if (values.keep === undefined) rmSync(dataDir, { recursive: true, force: true });
}

async function measureHistory(browser: Browser): Promise<void> {
  const gateway = await startGateway({ dataDir });
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
    const page = await context.newPage();
    await page.goto(gateway.dashboardUrl);
    await page.locator('.keys tbody tr').first().waitFor();

    // Warm: the program runs, the page was open before.
    const [paints, tables]: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      await page.reload();
      tables.push(await drawn(page, '.keys tbody tr .usage'));
      paints.push(
        await page.evaluate(
          () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
        ),
      );
    }
    line('first contentful paint', paints, 300);
    line('the table of keys drawn', tables, 300);

    const logs: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await go(page, '#/keys');
      logs.push(await timed(page, () => go(page, '#/activity'), '.log-open'));
    }
    line('to the log, first rows', logs);
    await measureLog(page);

    const pages = { usage: '.recharts-bar-rectangle', limits: '.limits tbody tr' };
    for (const [name, selector] of Object.entries(pages)) {
      const times: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        await go(page, '#/keys');
        times.push(await timed(page, () => go(page, `#/${name}`), selector));
      }
      line(`to the page ${name}`, times);
    }
  } finally {
    await gateway.stop();
  }
}

async function measureLog(page: Page): Promise<void> {
  const scrollTo = (part: number) =>
    page.locator('.log-frame').evaluate((frame, to) => {
      frame.scrollTop = Math.round((frame.scrollHeight - frame.clientHeight) * to);
    }, part);
  /** All rows on screen are there. */
  const filled = '.log-frame:not(:has(.log-row[aria-busy]))';
  for (const [label, part] of [
    ['the log, dragged to its end', 1],
    ['the log, dragged to its middle', 0.5],
    ['the log, dragged somewhere', 0.2371],
    ['the log, back to the top', 0],
  ] as const) {
    line(label, [await timed(page, () => scrollTo(part), filled)]);
  }
  await scrollTo(1);
  await page.locator(filled).waitFor();
  const oldest = await page.locator('.log-open').last().getAttribute('data-request');
  if (oldest !== '1') throw new Error(`the end of the log is request ${oldest}, not the first one`);

  await scrollTo(0);
  const read = await recordFrames(page);
  for (let turn = 0; turn < 120; turn += 1) {
    await page.locator('.log-frame').evaluate((frame) => (frame.scrollTop += 260));
    await delay(FRAME_MS);
  }
  frames('the log, scrolled by 15,000 pixels a second', await read());

  for (const [label, query, fits] of [
    ['filtered by a client and a word', '?client=codex&q=mini', '.log-row td:nth-child(3)[title="codex"]'],
    ['filtered by failed', '?status=error', '.log-row .bad'],
    ['filtered by a word nobody used', '?q=nothing-of-this-name', '.empty'],
    ['without a filter again', '', '.log-open'],
  ] as const) {
    line(`the log, ${label}`, [await timed(page, () => go(page, `#/activity${query}`), fits)]);
  }
}

/** The same page over a stand-in that pushes sixty changes a second, so that only the page's own work is measured. */
async function measurePushes(browser: Browser): Promise<void> {
  const state = emptyState();
  state.providers = [providerRow({ id: 'p1', kind: 'openai' })];
  state.status.totals.requests = 1;
  state.keys = Array.from({ length: MANY_KEYS }, (_, index) =>
    keyRow({ id: `k${index}`, name: `key ${index}`, limitNano: 100 * NANO_PER_USD, requests: 1 }),
  );
  state.sparklines = state.keys.map(({ id }, index) => ({
    keyId: id,
    costNano: Array.from({ length: 30 }, (_, day) => ((index + day * 7) % 11) * 1_000_000),
  }));
  const backend = await startFakeBackend(join(projectRoot, 'dist', 'renderer'), state);
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
    await page.goto(`${backend.url}/#token=${backend.token}`);
    await page.locator('.keys tbody tr .usage').first().waitFor();
    const scrolling = await recordFrames(page);
    for (let turn = 0; turn < 120; turn += 1) {
      // Not through a locator: looking for its element costs as much as a frame in a page of a thousand rows.
      await page.evaluate(() => document.querySelector('main')?.scrollBy(0, 260));
      await delay(FRAME_MS);
    }
    frames('1,000 keys, scrolled by 15,000 pixels a second', await scrolling());
    await page.locator('main').evaluate((main) => main.scrollTo(0, 0));
    for (const pushing of [false, true]) {
      const read = await recordFrames(page);
      for (let turn = 0; turn < 300; turn += 1) {
        const rows = [0, 1, 2, 3, 4].map((each) => {
          const before = state.keys[(turn * 5 + each) % 20];
          if (!before) throw new Error('no such key');
          const { limitState: _, ...rest } = before;
          return keyRow({
            ...rest,
            usageNano: (turn + each) * 123_456_789,
            heldNano: (turn % 7) * 10_000_000,
          });
        });
        if (pushing) backend.send('keys-changed', { rows, removed: [] });
        await delay(FRAME_MS);
      }
      frames(pushing ? '60 changes a second, 5 keys each' : 'the page at rest', await read());
    }
  } finally {
    await backend.close();
  }
}

async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate((to) => void (location.hash = to), hash);
}

/** Milliseconds from navigation until the selector's first element was drawn. */
function drawn(page: Page, selector: string): Promise<number> {
  return page.evaluate(
    (wanted) =>
      new Promise<number>((resolve) => {
        const look = () => {
          if (!document.querySelector(wanted)) return void requestAnimationFrame(look);
          // In this frame it is drawn, in the next it is on screen.
          requestAnimationFrame(() => resolve(performance.now()));
        };
        look();
      }),
    selector,
  );
}

async function timed(page: Page, act: () => Promise<void>, selector: string): Promise<number> {
  const began = await page.evaluate(() => performance.now());
  await act();
  return (await drawn(page, selector)) - began;
}

function line(label: string, times: readonly number[], goal = Infinity): void {
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  const mark = median > goal ? `  over ${goal} ms` : '';
  const cells = [sorted[0] ?? NaN, median, sorted.at(-1) ?? NaN]
    .map((time) => time.toFixed(0).padStart(7))
    .join('');
  process.stdout.write(`${label.padEnd(50)}${cells} ms${mark}\n`);
}

/** A frame is dropped where the one before it was on screen for more than one and a half. */
function frames(label: string, { frames: times, shift }: { frames: number[]; shift: number }): void {
  const sorted = times.toSorted((a, b) => a - b);
  const late = times.filter((time) => time > 1.5 * FRAME_MS).length;
  process.stdout.write(
    `${label.padEnd(50)}${times.length} frames, ${late} late, median ${sorted[Math.floor(times.length / 2)]?.toFixed(1)} ms, ` +
      `longest ${sorted.at(-1)?.toFixed(0)} ms, layout shift ${shift.toFixed(4)}\n`,
  );
}
