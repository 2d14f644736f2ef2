/** Notices that a limit comes near: once for a threshold, window and limit, however the gateway is treated. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LimitNotice } from '#shared/model.ts';
import { addDimeProviders, boundedRequest } from '../../support/bounded-requests.ts';
import { send } from '../../support/client.ts';
import { fakeClock, startCore, usd, type CoreGateway, type EventRecord } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

const clock = fakeClock('2026-11-18T10:00:00Z');
let upstream: Upstream;
let gateway: CoreGateway;
let events: EventRecord;

beforeEach(async () => {
  clock.set('2026-11-18T10:00:00Z');
  upstream = await startUpstream();
  gateway = await startCore({ clock });
  await addDimeProviders(gateway, upstream);
  events = await gateway.events();
});

afterEach(async () => {
  events.close();
  await gateway.dispose();
  await upstream.close();
});

async function spend(secret: string, dollars: number): Promise<void> {
  const tokens = Math.round(dollars * 10_000);
  upstream.answers({ inputTokens: 5, outputTokens: tokens, text: 'x' });
  const { path, body } = boundedRequest('messages');
  const { status } = await send(`${gateway.url}${path}`, {
    headers: { 'x-api-key': secret },
    body: body(tokens),
  });
  expect(status).toBe(200);
}

let looked = 0;
/** What was told since the last look, in short. */
function told(): string[] {
  const notices = events.seen
    .filter(({ name }) => name === 'limit-threshold')
    .map(({ data }) => data as LimitNotice);
  const fresh = notices.slice(looked);
  looked = notices.length;
  return fresh.map(({ scope, name, percent, every }) => `${scope} ${name} ${percent} ${every ?? 'all-time'}`);
}

async function restart(): Promise<void> {
  events.close();
  gateway = await gateway.restart();
  events = await gateway.events();
  looked = 0;
}

test('the highest threshold that was passed is told, with what a notice needs, and told once', async () => {
  looked = 0;
  const { key, secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('1') });
  await spend(secret, 0.79);
  expect(told()).toEqual([]);
  await spend(secret, 0.01);
  expect(events.seen.find(({ name }) => name === 'limit-threshold')?.data).toEqual({
    scope: 'key',
    id: key.id,
    name: 'dev',
    percent: 80,
    usedNano: usd('0.8'),
    limitNano: usd('1'),
    every: null,
    resetsAt: null,
  });
  expect(told()).toEqual(['key dev 80 all-time']);
  await spend(secret, 0.05);
  expect(told()).toEqual([]);
  await restart();
  await spend(secret, 0.01);
  expect(told()).toEqual([]);
  // From 86 to 100 percent: what was passed on the way is not told as well.
  await spend(secret, 0.14);
  expect(told()).toEqual(['key dev 100 all-time']);
});

test('a window that ends and a limit that is raised arm it again', async () => {
  looked = 0;
  const { key, secret } = await gateway.call('keys.create', {
    name: 'dev',
    limitNano: usd('1'),
    recurring: { amountNano: usd('0.5'), every: 'day' },
  });
  await spend(secret, 0.4);
  expect(told()).toEqual(['key dev 80 day']);
  clock.advance(24 * 3_600_000);
  await spend(secret, 0.4);
  expect(told()).toEqual(['key dev 80 all-time', 'key dev 80 day']);
  await gateway.call('keys.setLimit', { id: key.id, limitNano: usd('2') });
  await spend(secret, 0.01);
  expect(told()).toEqual([]);
  clock.advance(24 * 3_600_000);
  await gateway.call('keys.setLimit', { id: key.id, limitNano: usd('1') });
  expect(told()).toEqual(['key dev 80 all-time']);
});

test('limits that keys share are told of too; a limit of zero is a block and no news', async () => {
  looked = 0;
  const { secret } = await gateway.call('keys.create', { name: 'dev' });
  await gateway.call('keys.create', { name: 'blocked', limitNano: 0 });
  await gateway.call('settings.set', { thresholds: [50] });
  const { providers } = await gateway.call('limits.get', {});
  const anthropic = providers.find(({ slug }) => slug === 'anthropic');
  await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: usd('1') });
  const recurring = { amountNano: usd('0.6'), every: 'month' } as const;
  const scope = { kind: 'provider', providerId: anthropic?.providerId ?? '' } as const;
  await gateway.call('limits.set', { scope, limitNano: null, recurring });
  await spend(secret, 0.5);
  expect(told()).toEqual([`provider ${anthropic?.name} 50 month`, 'global All keys 50 all-time']);
  expect(await events.first('limits-changed', ({ global }) => global.usageNano === usd('0.5'))).toMatchObject(
    {
      global: { limitNano: usd('1'), usageNano: usd('0.5'), heldNano: 0 },
    },
  );
});

test('the log says of what, and how much, on the line that a person sees', async () => {
  await gateway.dispose();
  const lines: string[] = [];
  const note = (_: object, message: string) => lines.push(message);
  gateway = await startCore({ clock, log: { info: () => {}, warn: note, error: note } });
  await addDimeProviders(gateway, upstream);
  const { secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('1') });
  await spend(secret, 0.8);
  expect(lines).toEqual(['dev: 80 % of the limit is used, $0.80 of $1.00']);
});
