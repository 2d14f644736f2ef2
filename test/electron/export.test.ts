/** The log as a file on the command line: every row once, in a form that spreadsheets and programs read. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { csvCell } from '#shared/csv.ts';
import { RequestRow } from '#shared/model.ts';
import { formatPlainUsd } from '#shared/money.ts';
import { openStore } from '../../electron/gateway/store/store.ts';
import { projectRoot, temporaryFolder } from '../support/gateway.ts';
import { fillHistory } from '../support/history.ts';

const ROWS = 2300;
let folder: string;
let costs: (number | null)[];

beforeAll(() => {
  folder = temporaryFolder();
  const store = openStore(folder);
  fillHistory(store, { rows: ROWS, days: 10, until: Date.parse('2026-11-18T10:30:00Z'), keys: 3 });
  store.db.exec(`UPDATE keys SET name = '=HYPERLINK("x")' WHERE name = 'key 1'`);
  costs = store.db
    .prepare<[], number | null>('SELECT cost_nano FROM requests ORDER BY id DESC')
    .pluck()
    .all();
  store.close();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function faregate(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const program = path.join(projectRoot, 'dist', 'cli.js');
  const child = spawn(process.execPath, [program, 'export', '--data-dir', folder, ...args]);
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [unknown];
  return { code, ...output };
}

const Records = z.array(z.record(z.string(), z.string()));

test('as CSV has every row over all pages, exact to the nano-dollar, and runs no formula', async () => {
  const { code, stdout } = await faregate();
  expect(code).toBe(0);
  const records = Records.parse(parse(stdout, { columns: true, record_delimiter: '\r\n' }));
  expect(records.map((record) => record['cost_usd'])).toEqual(
    costs.map((cost) => (cost === null ? '' : formatPlainUsd(cost))),
  );
  const names = new Set(records.map((record) => record['key']));
  expect(names).toContain(`'=HYPERLINK("x")`);
  expect([...names].filter((name) => /^[=+\-@]/.test(name ?? ''))).toEqual([]);
});

test('as JSON into a file, filtered', async () => {
  const file = path.join(folder, 'rows.json');
  const { code, stdout } = await faregate(file, '--format', 'json', '--status', 'error', '--key', 'key 2');
  const rows = z.array(RequestRow).parse(JSON.parse(readFileSync(file, 'utf8')));
  expect([code, stdout]).toEqual([0, `${rows.length} requests written to ${file}.\n`]);
  expect(rows.length).toBeGreaterThan(0);
  expect(rows.every(({ status }) => status !== 200)).toBe(true);
  expect(new Set(rows.map(({ keyId }) => keyId)).size).toBe(1);
});

test.each([
  [['--flag', 'odd'], 2, /--flag takes estimated/],
  [['--key', 'nobody'], 1, /There is no key "nobody"/],
  [['/nowhere/at/all.csv'], 1, /could not be written/],
])('%j ends with what to do', async (args, code, message) => {
  const ended = await faregate(...args);
  expect([ended.code, ended.stderr]).toEqual([code, expect.stringMatching(message)]);
});

test.each([
  ['=1+1', "'=1+1"],
  ['-2+3', "'-2+3"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['-1.50', '-1.50'],
  ['a,b', '"a,b"'],
  ['say "x"\n', '"say ""x""\n"'],
])('the cell %j is written %j', (value, cell) => {
  expect(csvCell(value)).toBe(cell);
});
