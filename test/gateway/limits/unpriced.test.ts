/** A model without a price, from the refusal or the unpriced row to a price, and the past rows priced again. */
import { expect, test } from 'vitest';
import { send, type Incoming } from '../../support/client.ts';
import { contractForEachTest } from '../../support/contract.ts';
import { addProvider, usd } from '../../support/gateway.ts';

const contract = contractForEachTest();
const { clock } = contract;

const ask = (secret: string, model = 'acme-1'): Promise<Incoming> =>
  send(`${contract.gateway.url}/v1/chat/completions`, {
    headers: { authorization: `Bearer ${secret}` },
    body: { model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 5 },
  });

const keyNamed = async (name: string) => {
  const found = (await contract.gateway.call('keys.list', {})).find((key) => key.name === name);
  if (!found) throw new Error(`no key ${name}`);
  return found;
};

test('a refusal names what to open and the command, is listed and told, and ends with a price', async () => {
  const provider = await addProvider(contract.gateway, contract.upstream, 'openai', { slug: 'my-openai' });
  const { key, secret } = await contract.gateway.call('keys.create', { name: 'agent', limitNano: usd('1') });
  const events = await contract.gateway.events();

  const refused = await ask(secret);
  expect(refused.status).toBe(400);
  expect(refused.text).toContain('in Faregate open Prices, Without a price, Set a price for acme-1');
  expect(refused.text).toContain('faregate prices set my-openai acme-1 --input USD --output USD');
  expect(await events.first('model-unpriced')).toEqual({
    provider: 'my-openai',
    model: 'acme-1',
    keyId: key.id,
  });
  expect(await contract.gateway.call('prices.unpriced', {})).toEqual([
    {
      providerId: provider.id,
      provider: 'my-openai',
      model: 'acme-1',
      requests: 0,
      inputTokens: 0,
      outputTokens: 0,
      refused: 1,
      lastAt: '2026-11-18T10:30:00.000Z',
      priced: false,
    },
  ]);

  await contract.gateway.call('prices.set', {
    providerId: provider.id,
    model: 'acme-1',
    input: '1',
    output: '10',
  });
  expect(await contract.gateway.call('prices.unpriced', {})).toEqual([]);
  expect((await ask(secret)).status).toBe(200);
});

test('a model name cannot smuggle a command into the sentence', async () => {
  await addProvider(contract.gateway, contract.upstream, 'openai', { slug: 'o' });
  const { secret } = await contract.gateway.call('keys.create', { name: 'agent', limitNano: usd('1') });
  const { json } = await ask(secret, "x'; rm -rf ~ #");
  expect(JSON.stringify(json)).toContain(String.raw`prices set o 'x'\\''; rm -rf ~ #' --input`);
});

test('past rows are priced again: seen first, once, with the record, and the limits see it', async () => {
  const provider = await addProvider(contract.gateway, contract.upstream, 'openai', { slug: 'o' });
  const secrets: Record<string, string> = {};
  for (const name of ['a', 'b', 'gone']) {
    secrets[name] = (await contract.gateway.call('keys.create', { name })).secret;
  }
  // 12 tokens in and 5 out each: $0.000062 at $1 and $10.
  for (const name of ['a', 'a', 'a', 'b', 'gone']) expect((await ask(secrets[name] ?? '')).status).toBe(200);
  clock.advance(3_600_000);
  expect((await ask(secrets['a'] ?? '')).status).toBe(200);
  await contract.gateway.call('keys.delete', { id: (await keyNamed('gone')).id });
  const [a, b] = [await keyNamed('a'), await keyNamed('b')];
  // The hour's window of `a` holds one of its four rows; it reaches its limit, `b` does not.
  await contract.gateway.call('keys.setLimit', {
    id: a.id,
    limitNano: usd('0.0002'),
    recurring: { amountNano: usd('1'), every: 'day' },
  });
  expect(await contract.gateway.call('prices.unpriced', {})).toMatchObject([
    { provider: 'o', model: 'acme-1', requests: 6, inputTokens: 72, outputTokens: 30, priced: false },
  ]);
  const which = { providerId: provider.id, model: 'acme-1' };
  expect(await contract.gateway.call('prices.reprice', { ...which, apply: false })).toMatchObject({
    source: null,
    rows: 0,
    left: 6,
  });
  expect(await contract.gateway.tryCall('prices.reprice', { ...which, apply: true })).toMatchObject({
    error: { code: 'conflict' },
  });

  await contract.gateway.call('prices.set', { ...which, input: '1', output: '10' });
  const preview = await contract.gateway.call('prices.reprice', { ...which, apply: false });
  expect(preview).toMatchObject({ rows: 6, left: 0, totalNano: 6 * usd('0.000062'), applied: false });
  expect(preview.keys.find(({ keyId }) => keyId === a.id)).toMatchObject({
    name: 'a',
    rows: 4,
    addNano: usd('0.000248'),
    usageAfterNano: usd('0.000248'),
    reachesLimit: true,
  });
  expect(preview.keys.filter(({ reachesLimit }) => reachesLimit)).toHaveLength(1);
  expect((await keyNamed('a')).usageNano).toBe(0);

  const applied = await contract.gateway.call('prices.reprice', { ...which, apply: true });
  expect(applied).toEqual({ ...preview, applied: true });
  expect(
    await contract.gateway.call('prices.reprice', { provider: 'o', model: 'acme-1', apply: true }),
  ).toMatchObject({
    rows: 0,
    totalNano: 0,
    keys: [],
  });
  expect(await contract.gateway.call('prices.unpriced', {})).toEqual([]);
  expect(await keyNamed('a')).toMatchObject({
    usageNano: usd('0.000248'),
    unpricedRequests: 0,
    limitState: 'reached',
  });
  expect(await keyNamed('b')).toMatchObject({ usageNano: usd('0.000062'), id: b.id });
  expect((await ask(secrets['a'] ?? '')).status).toBe(402);

  const { rows } = await contract.gateway.call('requests.list', {});
  const priced = rows.filter(({ flags }) => flags.includes('corrected'));
  expect(priced).toHaveLength(6);
  for (const row of priced) {
    expect(row).toMatchObject({
      costNano: usd('0.000062'),
      computedCostNano: usd('0.000062'),
      priceSource: 'own',
    });
    expect(row.flags).not.toContain('unpriced');
  }
  const detail = await contract.gateway.call('requests.get', { id: priced[0]?.id ?? 0 });
  expect(detail.price).toMatchObject({ source: 'own', doubts: [] });
  expect(detail.lineItems.reduce((sum, { nano }) => sum + nano, 0)).toBe(detail.computedCostNano);
  expect(detail.corrections).toEqual([
    {
      at: '2026-11-18T11:30:00.000Z',
      beforeNano: null,
      afterNano: usd('0.000062'),
      reason: 'Re-priced with your own price: $1.00 input, $10.00 output per million tokens.',
    },
  ]);

  const totals = (await contract.gateway.call('status.get', {})).totals;
  await contract.restart();
  expect((await contract.gateway.call('status.get', {})).totals).toEqual(totals);
  expect(await keyNamed('a')).toMatchObject({ usageNano: usd('0.000248'), limitState: 'reached' });
});

test('requests are served between the transactions of a long re-pricing', async () => {
  const provider = await addProvider(contract.gateway, contract.upstream, 'openai', { slug: 'o' });
  const { secret } = await contract.gateway.call('keys.create', { name: 'many' });
  await Promise.all(Array.from({ length: 450 }, () => ask(secret)));
  await contract.gateway.call('prices.set', {
    providerId: provider.id,
    model: 'acme-1',
    input: '1',
    output: '10',
  });
  // Two at once are no more than one: each row is priced once.
  const [one, two] = await Promise.all([
    contract.gateway.call('prices.reprice', { provider: 'o', model: 'acme-1', apply: true }),
    contract.gateway.call('prices.reprice', { provider: 'o', model: 'acme-1', apply: true }),
  ]);
  expect(one.rows + two.rows).toBeGreaterThanOrEqual(450);
  expect(await keyNamed('many')).toMatchObject({ usageNano: 450 * usd('0.000062'), unpricedRequests: 0 });
});

test('the catalogue is searched by words, the makers first, and an entry is copied with its steps', async () => {
  const [first] = await contract.gateway.call('prices.search', { query: 'gpt 4o mini' });
  expect(first).toMatchObject({
    vendor: 'openai',
    model: 'gpt-4o-mini',
    amounts: { input: '0.15', output: '0.60' },
  });
  const dated = await contract.gateway.call('prices.search', {
    query: 'claude-sonnet-4-5-20250929',
    limit: 5,
  });
  expect(dated.map(({ model }) => model)).toContain('claude-sonnet-4-5');
  expect(await contract.gateway.call('prices.search', { query: 'no such model anywhere' })).toEqual([]);

  const stepped = (await contract.gateway.call('prices.search', { query: 'gemini 2.5 pro', limit: 20 })).find(
    ({ vendor, amounts }) => vendor === 'google' && amounts.tiers !== undefined,
  );
  if (!stepped) throw new Error('no entry with steps');
  const provider = await addProvider(contract.gateway, contract.upstream, 'openai', { slug: 'o' });
  await contract.gateway.call('prices.set', {
    providerId: provider.id,
    model: 'acme-1',
    ...stepped.amounts,
    copiedFrom: `${stepped.source}, ${stepped.date}`,
  });
  expect(await contract.gateway.call('prices.find', { providerId: provider.id, model: 'acme-1' })).toEqual({
    source: 'own',
    kind: 'own',
    amounts: stepped.amounts,
  });
  expect(
    await contract.gateway.call('prices.find', { providerId: provider.id, model: 'gpt-4o-mini' }),
  ).toMatchObject({
    kind: 'catalogue',
  });
  expect(
    await contract.gateway.call('prices.find', { providerId: provider.id, model: 'unheard-of' }),
  ).toBeNull();
});
