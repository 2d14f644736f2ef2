/** Newer price data: fetched, looked over, kept; and what is refused, with the last good prices still in force. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent } from 'undici';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { catalogue, type CatalogueVendor } from '../../../electron/gateway/pricing/catalogue.ts';
import { createPriceData } from '../../../electron/gateway/pricing/price-data.ts';
import { fakeClock, startCore, temporaryFolder, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

const shipped = structuredClone(await catalogue.vendors());

let upstream: Upstream;
let gateway: CoreGateway;
const clock = fakeClock('2026-11-18T10:30:00Z');
const start = () => startCore({ clock, priceDataUrl: `${upstream.url}/data.json` });

beforeEach(async () => {
  clock.set('2026-11-18T10:30:00Z');
  upstream = await startUpstream();
  gateway = await start();
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
  // The library's data is the process's: the next test starts with what ships.
  await catalogue.replace(null);
});

/** What ships, with one price of gpt-4o-mini changed. */
function withPrice(input_mtok: unknown): CatalogueVendor[] {
  const vendors = structuredClone(shipped) as CatalogueVendor[];
  const model = vendors.find(({ id }) => id === 'openai')?.models.find(({ id }) => id === 'gpt-4o-mini');
  if (!model) throw new Error('gpt-4o-mini is not in the catalogue');
  Object.assign(model.prices, { input_mtok });
  return vendors;
}

const inputPrice = async () => {
  const [found] = await gateway.call('prices.search', { query: 'gpt-4o-mini', limit: 1 });
  return found?.amounts.input;
};

test('a good file is in force at once, with its day, and after a restart; the same one is not fetched twice', async () => {
  expect(await gateway.call('prices.data', {})).toMatchObject({
    name: 'genai-prices 0.1.8',
    origin: 'shipped',
    checkedAt: null,
    problem: null,
  });
  const events = await gateway.events();
  // A unit of a later day, which this version cannot price, is left out and nothing else.
  const vendors = withPrice(0.2);
  for (const { prices } of vendors.flatMap(({ models }) => models))
    Object.assign(prices, { holograms_kcount: 3 });
  upstream.reply('/data.json', ({ headers }) =>
    headers['if-none-match'] === '"v2"' ? { status: 304 } : { body: vendors, headers: { etag: '"v2"' } },
  );
  expect(await gateway.call('prices.refresh', {})).toMatchObject({
    outcome: 'updated',
    data: { name: 'genai-prices 2026-11-18', date: '2026-11-18', origin: 'fetched', problem: null },
  });
  await events.first('providers-changed');
  expect(await inputPrice()).toBe('0.20');
  expect(JSON.stringify(await catalogue.vendors())).not.toContain('holograms');
  expect(await gateway.call('prices.refresh', {})).toMatchObject({ outcome: 'unchanged' });

  gateway = await gateway.restart();
  expect(await inputPrice()).toBe('0.20');
  expect(await gateway.call('prices.refresh', {})).toMatchObject({ outcome: 'unchanged' });
  // Nothing of the person's goes along.
  for (const { headers, method, body } of upstream.requests) {
    expect([method, body.length]).toEqual(['GET', 0]);
    expect(
      Object.keys(headers).filter(
        (name) => !['host', 'connection', 'accept', 'user-agent', 'if-none-match'].includes(name),
      ),
    ).toEqual([]);
  }
});

describe('a bad file is refused with the reason, and the last good one stays', () => {
  test.each<[string, unknown, RegExp]>([
    ['a page instead of data', '<!doctype html>', /not JSON/],
    ['an object', { vendors: [] }, /form of price data/],
    ['no vendor', [], /form of price data/],
    ['a negative price', withPrice(-1), /models\.\d+\.prices/],
    ['a price as text', withPrice('0.15'), /form of price data/],
    ['a price a hundred times as high', withPrice(20), /openai\/gpt-4o-mini went from \$0\.2 to \$20\./],
    ['a price that became nothing', withPrice(0), /went from \$0\.2 to \$0\./],
    ['a vendor gone', shipped.filter(({ id }) => id !== 'anthropic'), /vendor anthropic is no longer in it/],
    [
      'most models of a vendor gone',
      shipped.map((vendor) =>
        vendor.id === 'openai' ? { ...vendor, models: vendor.models.slice(0, 3) } : vendor,
      ),
      /only 3 of \d+ models of openai/,
    ],
  ])('%s', async (_, body, reason) => {
    upstream.reply('/data.json', { body: withPrice(0.2) }, 1);
    await gateway.call('prices.refresh', {});
    const file = join(gateway.dataDir, 'prices.json');
    const kept = readFileSync(file, 'utf8');
    upstream.reset();
    // Beside the last good file, whose price is 0.20.
    upstream.reply('/data.json', { body });
    const refused = await gateway.call('prices.refresh', {});
    expect(refused.outcome).toBe('refused');
    expect(refused.message).toMatch(reason);
    expect(refused.data).toMatchObject({ origin: 'fetched', problem: refused.message });
    expect(await inputPrice()).toBe('0.20');
    expect(readFileSync(file, 'utf8')).toBe(kept);
  });

  test('also when it lies in the data folder', async () => {
    const file = join(gateway.dataDir, 'prices.json');
    writeFileSync(
      file,
      JSON.stringify({ fetchedAt: clock.now(), url: 'x', etag: null, vendors: withPrice(1000) }),
    );
    gateway = await gateway.restart();
    expect(await gateway.call('prices.data', {})).toMatchObject({
      origin: 'shipped',
      problem: expect.stringContaining('is not used'),
    });
    writeFileSync(file, '{"half":');
    gateway = await gateway.restart();
    expect(await gateway.call('prices.data', {})).toMatchObject({ origin: 'shipped', problem: null });
  });
});

test('a server that is away or answers an error changes nothing and is no problem to show', async () => {
  upstream.reply('/data.json', { status: 503 });
  expect(await gateway.call('prices.refresh', {})).toMatchObject({
    outcome: 'unreachable',
    message: expect.stringContaining('status 503'),
    data: { origin: 'shipped', problem: null },
  });
  expect(existsSync(join(gateway.dataDir, 'prices.json'))).toBe(false);
});

test('what ships is in force again where it is newer than what was fetched', async () => {
  clock.set('2026-08-01T00:00:00Z');
  upstream.reply('/data.json', { body: withPrice(0.2) });
  await gateway.call('prices.refresh', {});
  gateway = await gateway.restart();
  expect(await gateway.call('prices.data', {})).toMatchObject({ origin: 'shipped' });
  expect(await inputPrice()).toBe('0.15');
});

test('the daily fetch runs where it is allowed, once a day, and an hour after one that failed', async () => {
  const agent = new Agent();
  let daily = false;
  const data = await createPriceData({
    dataDir: temporaryFolder(),
    url: `${upstream.url}/data.json`,
    agent,
    now: () => clock.now(),
    daily: () => daily,
    changed: () => undefined,
    log: undefined,
  });
  const fetchedAfter = async (hours: number) => {
    clock.advance(hours * 3_600_000);
    const before = upstream.requests.length;
    await data.tick();
    return upstream.requests.length - before;
  };
  upstream.reply('/data.json', { body: shipped });
  expect(await fetchedAfter(48)).toBe(0);
  daily = true;
  expect(await fetchedAfter(0)).toBe(1);
  expect(await fetchedAfter(23)).toBe(0);
  upstream.reply('/data.json', { status: 500 });
  expect(await fetchedAfter(1)).toBe(1);
  expect(await fetchedAfter(0.5)).toBe(0);
  expect(await fetchedAfter(0.5)).toBe(1);
  await agent.close();
});
