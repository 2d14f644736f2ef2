/** The ledger beside a provider's own export. The samples are of our own making, in the columns of the real ones. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readExport, type BilledGroup } from '../../../electron/gateway/reports/provider-exports.ts';
import { commonName } from '../../../electron/gateway/reports/reconcile.ts';
import { send } from '../../support/client.ts';
import { addProvider, fakeClock, startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';

const shown = (groups: readonly BilledGroup[]) =>
  groups.map(({ day, model, nano, requests, classes }) => [
    day,
    model,
    nano,
    requests,
    Object.fromEntries([...classes].map(([name, part]) => [name, part.nano ?? part.tokens])),
  ]);

const openaiCosts = [
  'start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id',
  '1794873600,1794960000,2026-11-17T00:00:00+00:00,2026-11-18T00:00:00+00:00,0.0000300000000000001,usd,"gpt-4o-mini-2024-07-18, input",p',
  '1794873600,1794960000,2026-11-17T00:00:00+00:00,2026-11-18T00:00:00+00:00,0.01,usd,"priority | gpt-5.6-sol, cached input, long context",p',
  '1794873600,1794960000,2026-11-17T00:00:00+00:00,2026-11-18T00:00:00+00:00,0.02,usd,web search tool calls,p',
  '1794960000,1795046400,2026-11-18T00:00:00+00:00,2026-11-19T00:00:00+00:00,,,,',
].join('\r\n');

describe('reading an export', () => {
  test('OpenAI costs: line items by model and class, days without a cost', async () => {
    const read = await readExport(`\uFEFF${openaiCosts}`);
    expect([read.format, read.from, read.to]).toEqual(['openai-costs', '2026-11-17', '2026-11-18']);
    expect(shown(read.groups)).toEqual([
      ['2026-11-17', 'gpt-4o-mini-2024-07-18', 30_000, null, { input: 30_000 }],
      ['2026-11-17', 'gpt-5.6-sol', 10_000_000, null, { cachedInput: 10_000_000 }],
      ['2026-11-17', null, 20_000_000, null, { webSearch: 20_000_000 }],
    ]);
  });

  test('OpenAI costs as the API answers them', async () => {
    const bucket = (day: number, value: number | string) => ({
      object: 'bucket',
      start_time: day,
      end_time: day + 86_400,
      results: [
        {
          object: 'organization.costs.result',
          amount: { value, currency: 'usd' },
          line_item: 'gpt-4o, output',
        },
      ],
    });
    const page = {
      object: 'page',
      data: [bucket(1_794_873_600, 0.06), bucket(1_794_960_000, '0.1')],
      has_more: true,
    };
    const read = await readExport(JSON.stringify(page));
    expect(shown(read.groups)).toEqual([
      ['2026-11-17', 'gpt-4o', usd('0.06'), null, { output: usd('0.06') }],
      ['2026-11-18', 'gpt-4o', usd('0.1'), null, { output: usd('0.1') }],
    ]);
    expect(read.notes).toHaveLength(1);
  });

  test('OpenAI usage: cached tokens are a part of the input', async () => {
    const read = await readExport(
      'start_time,start_time_iso,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens\n' +
        '1794873600,2026-11-17T00:00:00+00:00,10.0,gpt-4o-2024-08-06,59200.0,10646.0,5760.0\n' +
        '1794960000,2026-11-18T00:00:00+00:00,,,,,\n',
    );
    expect(shown(read.groups)).toEqual([
      ['2026-11-17', 'gpt-4o-2024-08-06', null, 10, { input: 53_440, cachedInput: 5_760, output: 10_646 }],
    ]);
  });

  test('Anthropic cost and usage', async () => {
    const cost = await readExport(
      'usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type\n' +
        '2026-11-17,Claude Haiku 4.5,Default,k,message,≤ 200k,input_no_cache,0.05,0.05,token\n' +
        '2026-11-17,Claude Haiku 4.5,Default,k,message,≤ 200k,input_cache_write_1h,0.07,0.07,token\n' +
        '2026-11-17,,Default,k,,,,0.01,0.01,web_search\n',
    );
    expect(shown(cost.groups)).toEqual([
      [
        '2026-11-17',
        'Claude Haiku 4.5',
        usd('0.12'),
        null,
        { input: usd('0.05'), cacheWrite1h: usd('0.07') },
      ],
      ['2026-11-17', null, usd('0.01'), null, { webSearch: usd('0.01') }],
    ]);
    const usage = await readExport(
      'usage_date_utc,model_version,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count\n' +
        '2026-11-17 13:00,claude-haiku-4-5-20251001,100,20,3,4000,50,1\n',
    );
    expect(shown(usage.groups)).toEqual([
      [
        '2026-11-17',
        'claude-haiku-4-5-20251001',
        null,
        null,
        { input: 100, cachedInput: 4000, cacheWrite: 20, cacheWrite1h: 3, output: 50, webSearch: 1 },
      ],
    ]);
  });

  test('Anthropic’s cost report has cents', async () => {
    const read = await readExport(
      JSON.stringify({
        data: [
          {
            starting_at: '2026-11-17T00:00:00Z',
            ending_at: '2026-11-18T00:00:00Z',
            results: [
              {
                amount: '123.45',
                currency: 'USD',
                model: 'claude-haiku-4-5',
                token_type: 'output_tokens',
                cost_type: 'tokens',
              },
            ],
          },
        ],
        has_more: false,
      }),
    );
    expect(shown(read.groups)).toEqual([
      ['2026-11-17', 'claude-haiku-4-5', usd('1.2345'), null, { output: usd('1.2345') }],
    ]);
  });

  test('OpenRouter activity: each generation, credits and own key together', async () => {
    const read = await readExport(
      'generation_id,created_at,cost_total,byok_usage_inference,tokens_prompt,tokens_completion,tokens_cached,model_permaslug\n' +
        'gen-1,2026-11-17 23:59:59.999,0.0021,0.5,100,50,40,anthropic/claude-4.5-haiku-20251001\n' +
        'gen-2,2026-11-17 10:00:00.000,1e-06,,10,5,,anthropic/claude-4.5-haiku-20251001\n',
    );
    expect(shown(read.groups)).toEqual([
      [
        '2026-11-17',
        'anthropic/claude-4.5-haiku-20251001',
        usd('0.502101'),
        2,
        { input: 70, cachedInput: 40, output: 55 },
      ],
    ]);
  });

  test.each([
    [
      'semicolons and decimal commas',
      'usage_date_utc;model;token_type;cost_usd;x\n2026-11-17;Claude Opus 5;output;"1.234,50";\n',
    ],
    [
      'tabs, a dollar sign and thousands',
      'usage_date_utc\tModel\ttoken_type\tcost_usd\n2026-11-17\tClaude Opus 5\toutput\t$1,234.50\n',
    ],
    [
      'columns that are not known, and empty lines',
      'new,Usage_Date_UTC,model,token_type,cost_usd\n\n7,2026-11-17,Claude Opus 5,output,1234.5\n\n',
    ],
  ])('as a spreadsheet may have left it: %s', async (_, text) => {
    expect(shown((await readExport(text)).groups)).toEqual([
      ['2026-11-17', 'Claude Opus 5', usd('1234.5'), null, { output: usd('1234.5') }],
    ]);
  });

  test.each([
    ['', /empty/],
    ['name,age\na,1\n', /no export that Faregate knows: it has the columns name, age/],
    ['usage_date_utc,cost_usd\n', /no lines/],
    [
      'usage_date_utc,model,cost_usd\n2026-11-17,Claude Opus 5,lots\n',
      /Line 1, cost_usd: “lots” is no amount/,
    ],
    ['usage_date_utc,model,cost_usd\nyesterday,Claude Opus 5,1\n', /“yesterday” is no day/],
    ['{"data": [', /not\. Save the answer/],
    ['usage_date_utc,cost_usd\n2026-11-17,"1\n', /cannot be read as CSV|no amount/],
    ['start_time,amount_value,amount_currency,line_item\n1794873600,1,eur,x\n', /“eur” is no usd/],
    [
      'start_time,model,num_model_requests,input_tokens\n1794873600,gpt-5,3,10000000000000000\n',
      /input_tokens: “10000000000000000” is no count/,
    ],
    [
      `usage_date_utc,model,cost_usd\n${'2026-11-17,Claude Opus 5,9000000\n'.repeat(2)}`,
      /add up to more than any bill/,
    ],
  ])('says what is wrong with %j', async (text, message) => {
    await expect(readExport(text)).rejects.toThrow(message);
  });
});

test.each([
  ['Claude Haiku 4.5', 'claude-haiku-4-5-20251001'],
  ['Claude Haiku 3.5', 'claude-3-5-haiku-20241022'],
  ['Claude Sonnet 4', 'claude-sonnet-4-20250514'],
  ['anthropic/claude-4.5-haiku-20251001', 'anthropic/claude-haiku-4.5'],
  ['gpt-5-mini-2025-08-07', 'gpt-5-mini'],
  ['deepseek/deepseek-v4.1-flash-20260910', 'deepseek/deepseek-v4.1-flash:free'],
])('%s and %s are one model', (a, b) => {
  expect(commonName(a)).toBe(commonName(b));
});

describe('comparing', () => {
  let upstream: Upstream;
  let gateway: CoreGateway;
  const clock = fakeClock('2026-11-17T23:30:00Z');

  beforeEach(async () => {
    clock.set('2026-11-17T23:30:00Z');
    upstream = await startUpstream({ credential: 'sk-upstream' });
    gateway = await startCore({ clock });
  });

  afterEach(async () => {
    await gateway.dispose();
    await upstream.close();
  });

  test('per UTC day and model, with what is on one side only, the totals and the usual causes', async () => {
    await addProvider(gateway, upstream, 'openai');
    await addProvider(gateway, upstream, 'anthropic');
    const { secret } = await gateway.call('keys.create', { name: 'k' });
    // 1,000,000 in and 100,000 out: $0.15 + $0.06 of gpt-4o-mini.
    upstream.answers({ inputTokens: 1_000_000, outputTokens: 100_000, text: 'x' });
    const ask = (model: string) =>
      send(`${gateway.url}/v1/chat/completions`, {
        headers: { authorization: `Bearer ${secret}` },
        body: { model: `openai/${model}`, messages: [], max_tokens: 200_000 },
      });
    for (const model of ['gpt-4o-mini', 'gpt-4o-mini', 'unheard-of'])
      expect((await ask(model)).status).toBe(200);
    clock.set('2026-11-18T00:10:00Z');
    await ask('gpt-4o-mini');
    clock.set('2026-11-25T12:00:00Z');

    const csv = [
      'start_time,start_time_iso,amount_value,amount_currency,line_item',
      '1794873600,2026-11-17T00:00:00+00:00,0.3,usd,"gpt-4o-mini-2024-07-18, input"',
      '1794873600,2026-11-17T00:00:00+00:00,0.12,usd,"gpt-4o-mini-2024-07-18, output"',
      '1794960000,2026-11-18T00:00:00+00:00,0.3,usd,"gpt-4o-mini-2024-07-18, input"',
      '1794960000,2026-11-18T00:00:00+00:00,2.5,usd,"o3-2025-04-16, output"',
    ].join('\n');
    const found = await gateway.call('reconcile.compare', { csv });
    expect(found).toMatchObject({
      format: 'openai-costs',
      providers: ['openai'],
      from: '2026-11-17',
      to: '2026-11-18',
      totals: {
        billedNano: usd('3.22'),
        ledgerNano: usd('0.63'),
        differenceNano: usd('0.63') - usd('3.22'),
        within: false,
        outside: 2,
      },
    });
    expect(
      found.rows.map(({ day, model, side, billedNano, ledgerNano, percent, within, requests, unpriced }) => [
        day,
        model,
        side,
        billedNano,
        ledgerNano,
        percent,
        within,
        requests,
        unpriced,
      ]),
    ).toEqual([
      ['2026-11-18', 'o3-2025-04-16', 'export', usd('2.5'), 0, -100, false, 0, 0],
      ['2026-11-18', 'gpt-4o-mini', 'both', usd('0.3'), usd('0.21'), -30, false, 1, 0],
      ['2026-11-17', 'gpt-4o-mini', 'both', usd('0.42'), usd('0.42'), 0, true, 2, 0],
      ['2026-11-17', 'unheard-of', 'ledger', null, 0, null, true, 1, 1],
    ]);
    expect(found.rows[2]?.classes).toEqual([
      {
        class: 'input',
        billedNano: usd('0.3'),
        ledgerNano: usd('0.3'),
        billedTokens: null,
        ledgerTokens: 2_000_000,
      },
      {
        class: 'output',
        billedNano: usd('0.12'),
        ledgerNano: usd('0.12'),
        billedTokens: null,
        ledgerTokens: 200_000,
      },
    ]);
    expect(found.causes.join('\n')).toMatch(
      /1 line is only in the export \(\$2\.50\): usage that did not go through/,
    );
  });

  test('a token export is compared by tokens; a wide tolerance takes what it allows', async () => {
    await addProvider(gateway, upstream, 'anthropic');
    const { secret } = await gateway.call('keys.create', { name: 'k' });
    upstream.answers({ inputTokens: 1000, outputTokens: 100, text: 'x' });
    await send(`${gateway.url}/v1/messages`, {
      headers: { 'x-api-key': secret },
      body: { model: 'claude-haiku-4-5', messages: [], max_tokens: 200 },
    });
    const csv =
      'usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens\n2026-11-17,claude-haiku-4-5-20251001,1050,100\n';
    const strict = await gateway.call('reconcile.compare', { csv });
    expect(strict.rows).toMatchObject([
      { billedNano: null, differenceNano: null, percent: -4.35, within: false },
    ]);
    expect(strict.totals.classes).toMatchObject([
      { class: 'input', billedTokens: 1050, ledgerTokens: 1000 },
      { class: 'output', billedTokens: 100, ledgerTokens: 100 },
    ]);
    const wide = await gateway.call('reconcile.compare', { csv, tolerancePercent: 5 });
    expect(wide.totals).toMatchObject({ within: true, outside: 0 });
    expect(wide.causes).toEqual([]);
  });

  test('without a provider that the export can be about it says so, and compares the one that is named', async () => {
    const { id } = await addProvider(gateway, upstream, 'openai-compatible', { slug: 'proxy' });
    expect(await gateway.tryCall('reconcile.compare', { csv: openaiCosts })).toMatchObject({
      error: { code: 'not_found', field: 'providerId' },
    });
    expect(await gateway.call('reconcile.compare', { csv: openaiCosts, providerId: id })).toMatchObject({
      providers: ['proxy'],
    });
    expect(await gateway.tryCall('reconcile.compare', { csv: 'a,b\n1,2\n' })).toMatchObject({
      error: { code: 'invalid_input', field: 'csv' },
    });
  });
});
