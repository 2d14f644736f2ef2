/** The log of the app. */
import { existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openLog } from '../../electron/log.ts';
import { temporaryFolder } from '../support/gateway.ts';

let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = () => path.join(folder, 'faregate.log');

test('it is one line of JSON for each entry, and warnings are told to a person as well', () => {
  const told: string[] = [];
  const log = openLog(folder, (line) => told.push(line));
  log.info({ port: 1 }, 'listening');
  log.warn({}, 'late');
  log.flush();
  const lines = readFileSync(file(), 'utf8').trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['listening', 'late']);
  expect(told).toEqual(['late']);
});

test.runIf(existsSync('/dev/full'))(
  'a log that cannot be written, as on a full disk, stops nothing and is told',
  () => {
    symlinkSync('/dev/full', file());
    const told: string[] = [];
    const log = openLog(folder, (line) => told.push(line));
    log.error({}, 'the ledger is damaged');
    log.warn({}, 'late');
    expect(told).toEqual(['the ledger is damaged', 'late']);
  },
);
