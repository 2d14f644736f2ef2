/** The log and the sums over a history: right for every filter, and never by reading all of it. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Parsed } from '#shared/contract.ts';
import { createRollup } from '../../../electron/gateway/ledger/rollup.ts';
import { createRequestLog, type RequestLog } from '../../../electron/gateway/reports/request-log.ts';
import { createUsage, type Usage } from '../../../electron/gateway/reports/usage.ts';
import { openStore, type Store } from '../../../electron/gateway/store/store.ts';
import { folderWithLedger } from '../../support/gateway.ts';
import { fillHistory, type History } from '../../support/history.ts';

const until = Date.parse('2026-11-18T10:30:00Z');
let folder: string;
let store: Store;
let history: History;
let log: RequestLog;
let usage: Usage;

beforeAll(() => {
  folder = folderWithLedger();
  store = openStore(folder);
  history = fillHistory(store, { rows: 4000, days: 40, until, keys: 8 });
  const rollup = createRollup(store, () => []);
  log = createRequestLog(store, () => rollup.catchUp());
  usage = createUsage(
    store,
    () => rollup.catchUp(),
    () => until,
  );
});

afterAll(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

type Filter = Omit<Parsed<'requests.list'>, 'limit'>;

const filters = (): [Filter, string][] => {
  const [key = ''] = history.keyIds;
  const [from, to] = ['2026-11-01T05:20:00Z', '2026-11-03T17:00:00Z'];
  const time = `at >= ${Date.parse(from)} AND at < ${Date.parse(to)}`;
  return [
    [{}, 'TRUE'],
    [{ keyId: key }, `key_id = '${key}'`],
    [{ keyId: 'none' }, 'FALSE'],
    [{ provider: 'openrouter' }, "provider = 'openrouter'"],
    [{ client: 'codex', provider: 'openai' }, "client = 'codex' AND provider = 'openai'"],
    [{ model: 'claude-sonnet-4-5' }, "model_asked = 'claude-sonnet-4-5'"],
    [
      { model: 'claude-sonnet-4-5-20250929', keyId: key },
      `model LIKE 'claude-sonnet%' AND key_id = '${key}'`,
    ],
    [{ search: 'HAIKU' }, "model LIKE '%haiku%'"],
    [{ search: '%' }, 'FALSE'],
    [{ search: 'gem', status: 'ok' }, "(model LIKE '%gem%' OR client LIKE '%gem%') AND status = 200"],
    [{ status: 'error' }, 'status <> 200'],
    [{ status: 429, client: 'claude-code' }, "status = 429 AND client = 'claude-code'"],
    [{ status: 200, keyId: key }, `status = 200 AND key_id = '${key}'`],
    [{ flag: 'estimated' }, "flags LIKE '%estimated%'"],
    [
      { flag: 'interrupted', status: 'ok', provider: 'anthropic' },
      "flags LIKE '%interrupted%' AND status = 200 AND provider = 'anthropic'",
    ],
    [{ minCostNano: 100_000_000 }, 'cost_nano >= 100000000'],
    [
      { minCostNano: 150_000_000, keyId: key, status: 'ok', to },
      `cost_nano >= 150000000 AND key_id = '${key}' AND status = 200 AND at < ${Date.parse(to)}`,
    ],
    [{ minCostNano: 100_000_000, flag: 'estimated' }, "cost_nano >= 100000000 AND flags LIKE '%estimated%'"],
    [{ from, to }, time],
    [{ from, keyId: key }, `at >= ${Date.parse(from)} AND key_id = '${key}'`],
    [{ to, status: 'error' }, `at < ${Date.parse(to)} AND status <> 200`],
    [{ from: '2030-01-01T00:00:00Z' }, 'FALSE'],
    [{ session: history.session }, `session = '${history.session}'`],
    [
      { session: history.session, agent: `agent-${history.session}-0` },
      `agent = 'agent-${history.session}-0'`,
    ],
    [{ session: history.session, to }, `session = '${history.session}' AND at < ${Date.parse(to)}`],
    [
      { session: history.session, search: 'claude', status: 'ok' },
      `session = '${history.session}' AND model LIKE '%claude%' AND status = 200`,
    ],
    [{ session: history.session, model: 'none' }, 'FALSE'],
  ];
};

describe('requests.list', () => {
  test('finds the same rows as a look at each of them, in pages of any size', () => {
    for (const [filter, where] of filters()) {
      const expected = store.db
        .prepare(`SELECT id FROM requests WHERE ${where} ORDER BY id DESC`)
        .pluck()
        .all();
      for (const limit of [37, 1000]) {
        const found: number[] = [];
        let before: number | null = null;
        do {
          const page: ReturnType<RequestLog['list']> = log.list({ ...filter, limit, before });
          found.push(...page.rows.map(({ id }) => id));
          expect(page.rows.length).toBeLessThanOrEqual(limit);
          before = page.next;
        } while (before !== null);
        expect(found, JSON.stringify(filter)).toEqual(expected);
      }
    }
  });
});

describe('requests.outline', () => {
  test('counts what the list holds, and says between which ids it stands', () => {
    for (const [filter, where] of filters()) {
      const expected = store.db
        .prepare<[], number>(`SELECT id FROM requests WHERE ${where} ORDER BY id DESC`)
        .pluck()
        .all();
      const outline = log.outline(filter);
      const label = JSON.stringify(filter);
      if (outline === null) throw new Error(`no outline for ${label}`);
      const total = outline.reduce((sum, { requests }) => sum + requests, 0);
      if (filter.from === undefined && filter.to === undefined) expect(total, label).toBe(expected.length);
      else expect(Math.abs(total - expected.length), label).toBeLessThan(100);
      for (const id of expected) {
        expect(
          outline.filter(({ first, before }) => id >= first && id < before),
          `${id} of ${label}`,
        ).toHaveLength(1);
      }
      expect(outline.map(({ before }) => before)).toEqual(
        outline.map(({ before }) => before).toSorted((a, b) => b - a),
      );
    }
  });
});

test('no question reads the whole history', () => {
  const asked = new Set<string>();
  const { prepare } = store.db;
  store.db.prepare = ((sql: string) => {
    asked.add(sql);
    return prepare.call(store.db, sql);
  }) as typeof prepare;
  try {
    const rollup = createRollup(store, () => []);
    const [one, sums] = [
      createRequestLog(store, () => rollup.catchUp()),
      createUsage(
        store,
        () => rollup.catchUp(),
        () => until,
      ),
    ];
    for (const [filter] of filters()) {
      one.list({ ...filter, limit: 100 });
      one.outline(filter);
    }
    const range = { from: '2026-10-20T03:10:00Z', to: '2026-11-17T01:00:00Z' };
    for (const groupBy of [
      'day',
      'week',
      'month',
      'key',
      'model',
      'provider',
      'client',
      'session',
      'agent',
    ] as const) {
      sums.summary({ ...range, groupBy });
      sums.summary({ ...range, groupBy, keyId: history.keyIds[0] });
    }
    sums.series({ ...range, every: 'hour', by: 'model' });
    sums.series({ ...range, every: 'day', by: 'client', provider: 'anthropic' });
    sums.sparklines({ days: 30 });
    sums.sessions({ limit: 50, keyId: history.keyIds[0], ...range });
  } finally {
    store.db.prepare = prepare;
  }
  const plans = [...asked]
    // The one that follows a machine into another time zone.
    .filter((sql) => !sql.trim().endsWith('FROM requests AS r'))
    .filter((sql) => sql.trimStart().startsWith('SELECT') || sql.trimStart().startsWith('WITH'))
    .map((sql) => ({
      sql,
      scans: store.db
        .prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql.replace(/@\w+|\?/g, '1')}`)
        .all()
        .map(({ detail }) => detail)
        .filter((detail) => /^SCAN (requests|r|u)\b/.test(detail)),
    }));
  expect(plans.length).toBeGreaterThan(30);
  expect(plans.filter(({ scans }) => scans.length > 0)).toEqual([]);
});

test('the history is long enough for the sums to come from the tables', () => {
  const groups = usage.summary({
    from: '2020-01-01T00:00:00Z',
    to: '2030-01-01T00:00:00Z',
    groupBy: 'month',
  });
  expect(groups.reduce((sum, { requests }) => sum + requests, 0)).toBe(4000);
  expect(() =>
    usage.series({ from: '2026-10-01T00:00:00Z', to: '2026-11-17T00:00:00Z', every: 'hour', by: 'none' }),
  ).toThrow(/at most 31 days/);
});
