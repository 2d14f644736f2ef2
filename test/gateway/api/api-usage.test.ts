/** The contract's methods for what was spent: rows, corrections, sums. */
import { describe, expect, test } from 'vitest';
import type { RequestRow } from '#shared/model.ts';
import { send } from '../../support/client.ts';
import { contractForEachTest } from '../../support/contract.ts';
import { usd } from '../../support/gateway.ts';

const contract = contractForEachTest();
const { clock, refusal, pricedProvider, spend } = contract;

describe('requests.list', () => {
  test('is newest first, in pages, and by key, model and status', async () => {
    await pricedProvider();
    const [a, b] = [
      await contract.gateway.call('keys.create', { name: 'a' }),
      await contract.gateway.call('keys.create', { name: 'b' }),
    ];
    for (const secret of [a.secret, b.secret, a.secret]) await spend(secret);
    contract.upstream.reply(/./, { status: 500, body: {} });
    await spend(a.secret);
    const ids = async (filter: object) =>
      (await contract.gateway.call('requests.list', filter)).rows.map(({ id }) => id);
    const all = await ids({});
    expect(all).toEqual([...all].toSorted((x, y) => y - x));
    expect(all).toHaveLength(4);
    const page = await contract.gateway.call('requests.list', { limit: 3 });
    expect([page.rows.map(({ id }) => id), page.next]).toEqual([all.slice(0, 3), all[2]]);
    expect(await contract.gateway.call('requests.list', { limit: 3, before: page.next })).toMatchObject({
      rows: [{ id: all[3] }],
      next: null,
    });
    expect(await ids({ keyId: b.key.id })).toEqual([all[2]]);
    expect(await ids({ status: 'error' })).toEqual([all[0]]);
    expect(await ids({ status: 'ok' })).toEqual(all.slice(1));
    expect(await ids({ status: 500, model: 'acme' })).toEqual([all[0]]);
    expect(await ids({ model: 'x' })).toEqual([]);
  });
});

describe('requests.correct', () => {
  async function row(): Promise<RequestRow> {
    await pricedProvider();
    const { secret } = await contract.gateway.call('keys.create', { name: 'k', limitNano: usd('1') });
    await spend(secret);
    const { rows } = await contract.gateway.call('requests.list', {});
    if (!rows[0]) throw new Error('no row');
    return rows[0];
  }

  test('changes the cost, the usage and the totals', async () => {
    const before = await row();
    expect(
      await contract.gateway.call('requests.correct', {
        id: before.id,
        costNano: usd('0.5'),
        reason: 'invoice',
      }),
    ).toEqual({ ...before, costNano: usd('0.5'), flags: ['corrected'] });
    expect(await contract.gateway.call('keys.list', {})).toMatchObject([
      { usageNano: usd('0.5'), requests: 1 },
    ]);
    expect((await contract.gateway.call('status.get', {})).totals).toMatchObject({
      usageNano: usd('0.5'),
      todayNano: usd('0.5'),
    });
  });

  test('is refused without a reason, below zero, beyond any cost, and for a row that is none', async () => {
    const { id } = await row();
    expect(await refusal('requests.correct', { id, costNano: 5, reason: ' ' })).toMatchObject({
      code: 'invalid_input',
      field: 'reason',
    });
    expect(await refusal('requests.correct', { id, costNano: -5, reason: 'x' })).toMatchObject({
      code: 'invalid_input',
      field: 'costNano',
    });
    for (const costNano of [usd('10000') + 1, Number.MAX_SAFE_INTEGER])
      expect(await refusal('requests.correct', { id, costNano, reason: 'x' })).toMatchObject({
        code: 'invalid_input',
        field: 'costNano',
        message: expect.stringContaining('$10,000.00'),
      });
    expect((await refusal('requests.correct', { id: id + 1, costNano: 5, reason: 'x' })).code).toBe(
      'not_found',
    );
  });
});

describe('usage.summary', () => {
  test('sums by day, key, model and provider, within the time asked for', async () => {
    await pricedProvider();
    const { key, secret } = await contract.gateway.call('keys.create', { name: 'k' });
    await spend(secret);
    clock.set('2026-11-19T10:30:00Z');
    await spend(secret);
    await spend(secret, 'unheard-of');
    const summary = (groupBy: 'day' | 'key' | 'model' | 'provider', from = '2026-11-18T00:00:00Z') =>
      contract.gateway.call('usage.summary', { from, to: '2026-11-20T00:00:00Z', groupBy });
    const one = {
      requests: 1,
      errors: 0,
      estimatedRequests: 0,
      inputTokens: 12,
      cachedInputTokens: 0,
      cacheWriteTokens: 0,
      outputTokens: 5,
      reasoningTokens: 0,
      savedNano: 0,
      costNano: 62_000,
      costCreditsNano: 0,
      costOwnKeyNano: 62_000,
      unpricedRequests: 0,
    };
    const three = {
      ...one,
      requests: 3,
      inputTokens: 36,
      outputTokens: 15,
      costNano: 124_000,
      costOwnKeyNano: 124_000,
      unpricedRequests: 1,
    };
    expect(await summary('key')).toEqual([{ group: key.id, ...three }]);
    expect(await summary('provider')).toEqual([{ group: 'anthropic', ...three }]);
    expect((await summary('model')).map(({ group, requests }) => [group, requests])).toEqual([
      ['acme', 2],
      ['unheard-of', 1],
    ]);
    const day = (iso: string) => new Date(iso).toLocaleDateString('sv-SE');
    expect((await summary('day')).map(({ group, requests }) => [group, requests])).toEqual([
      [day('2026-11-18T10:30:00Z'), 1],
      [day('2026-11-19T10:30:00Z'), 2],
    ]);
    expect(await summary('key', '2026-11-19T10:30:00.001Z')).toEqual([]);
  });
});

describe('who asked', () => {
  test('is in the row, the filters, the sums and the sessions, and the row explains its cost', async () => {
    await pricedProvider();
    const { key, secret } = await contract.gateway.call('keys.create', { name: 'k' });
    await send(`${contract.gateway.url}/v1/messages`, {
      headers: {
        'x-api-key': secret,
        'user-agent': 'claude-cli/2.1.330 (external, cli)',
        'x-claude-code-session-id': 'one',
        'x-claude-code-agent-id': 'helper',
      },
      body: { model: 'acme', messages: [], max_tokens: 5 },
    });
    await spend(secret);
    const { rows } = await contract.gateway.call('requests.list', { client: 'claude-code', session: 'one' });
    expect(rows).toMatchObject([
      { client: 'claude-code', session: 'one', agent: 'helper', costNano: 62_000 },
    ]);
    const detail = await contract.gateway.call('requests.get', { id: rows[0]?.id ?? 0 });
    expect(detail.lineItems.map(({ item, count, nano }) => [item, count, nano])).toEqual([
      ['input', 12, 12_000],
      ['output', 5, 50_000],
    ]);
    expect(detail).toMatchObject({ price: { source: 'own' }, corrections: [], billing: 'own-key' });
    await contract.gateway.call('requests.correct', { id: detail.id, costNano: 70_000, reason: 'invoice' });
    expect((await contract.gateway.call('requests.get', { id: detail.id })).corrections).toMatchObject([
      { beforeNano: 62_000, afterNano: 70_000, reason: 'invoice' },
    ]);
    const range = { from: '2026-11-18T00:00:00Z', to: '2026-11-20T00:00:00Z' };
    expect(
      await contract.gateway.call('usage.series', { ...range, every: 'day', by: 'client' }),
    ).toMatchObject([
      { requests: 1, costNano: 62_000 },
      { group: 'claude-code', requests: 1, costNano: 70_000 },
    ]);
    expect(await contract.gateway.call('usage.sessions', {})).toMatchObject({
      sessions: [{ session: 'one', keyId: key.id, costNano: 70_000, agents: [{ agent: 'helper' }] }],
      next: null,
    });
    expect(await contract.gateway.call('usage.sparklines', { days: 2 })).toEqual([
      { keyId: key.id, costNano: [0, 132_000] },
    ]);
    expect(await refusal('requests.get', { id: 999 })).toMatchObject({ code: 'not_found' });
    expect(
      await refusal('usage.series', {
        from: '2026-01-01T00:00:00Z',
        to: '2026-01-01T00:00:00',
        every: 'day',
      }),
    ).toMatchObject({ code: 'invalid_input', field: 'to' });
  });
});
