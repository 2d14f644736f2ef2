/**
 * What each page asks, over histories of growing length: median and worst time, and from start to listening,
 * within this process and of the built program.
 * Run by hand: `node test/bench/queries.ts [rows …]`, 0, 10,000 and 1,000,000 unless told. `--keep DIR` keeps the
 * ledgers there and takes them up again, since a long one takes minutes to make.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Input, MethodName } from '#shared/contract.ts';
import { createGateway, type Gateway } from '../../electron/gateway/gateway.ts';
import { DATABASE_FILE } from '../../electron/gateway/store/data-folder.ts';
import { openStore } from '../../electron/gateway/store/store.ts';
import { startGateway, temporaryFolder } from '../support/gateway.ts';
import { fillHistory } from '../support/history.ts';

const DAY_MS = 86_400_000;
const TARGET_MS = 20;
const ROUNDS = 15;

const { rows, keep } = readArguments(process.argv.slice(2));
const until = Date.parse('2026-11-22T12:00:00Z');
const secrets = {
  seal: async (plain: string) => Buffer.from(plain),
  open: async (sealed: Buffer) => sealed.toString('utf8'),
};

for (const count of rows) {
  const folder = keep === null ? temporaryFolder() : join(keep, String(count));
  mkdirSync(folder, { recursive: true });
  if (!existsSync(join(folder, DATABASE_FILE))) {
    const store = openStore(folder);
    fillHistory(store, { rows: count, until });
    store.close();
  }
  await measure(folder, count);
  if (keep === null) rmSync(folder, { recursive: true, force: true });
}

async function measure(folder: string, count: number): Promise<void> {
  const starts: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const began = performance.now();
    const gateway = await open(folder);
    await gateway.listen({ port: 0 });
    starts.push(performance.now() - began);
    await gateway.close({ graceMs: 0 });
  }
  process.stdout.write(`\n${count.toLocaleString('en-US')} rows\n`);
  line('start to listening', starts, 300);

  const programs: number[] = [];
  for (let round = 0; round < 6; round += 1) {
    const program = await startGateway({ dataDir: folder });
    // The first one compiles what the others find.
    if (round > 0) programs.push(program.startedInMs);
    await program.stop();
  }
  line('start of the program to listening', programs, 300);

  const gateway = await open(folder);
  const ask = async <N extends MethodName>(name: N, input: Input<N>) => {
    const answer = await gateway.dispatch(name, input);
    if (!answer.ok) throw new Error(`${name}: ${answer.error.message}`);
    return answer.value;
  };
  const keys = (await ask('keys.list', {})) as { id: string }[];
  const keyId = keys[0]?.id ?? 'key';
  const listed = (await ask('requests.list', { limit: 1000 })) as {
    rows: { id: number; session: string | null }[];
  };
  const session = listed.rows.find((row) => row.session !== null)?.session ?? 'session';
  const id = listed.rows[0]?.id;
  const days = (back: number) => {
    const today = new Date(until);
    return new Date(today.getFullYear(), today.getMonth(), today.getDate() - back).toISOString();
  };
  const to = new Date(until + DAY_MS).toISOString();
  const questions: [string, MethodName, unknown][] = [
    ['keys', 'keys.list', {}],
    ['status', 'status.get', {}],
    ['log', 'requests.list', {}],
    ['log, 1,000 rows', 'requests.list', { limit: 1000 }],
    ['log, middle of the history', 'requests.list', { before: Math.ceil(count / 2) }],
    ['log by key', 'requests.list', { keyId }],
    ['log by client and provider', 'requests.list', { client: 'codex', provider: 'gemini' }],
    ['log by a model nobody used', 'requests.list', { model: 'none' }],
    ['log by search', 'requests.list', { search: 'haiku' }],
    ['log by status error', 'requests.list', { status: 'error' }],
    ['log by status 500 and key', 'requests.list', { status: 500, keyId }],
    ['log by a rare flag', 'requests.list', { flag: 'overrun' }],
    ['log by a flag nobody has', 'requests.list', { flag: 'stopped' }],
    ['log by session', 'requests.list', { session }],
    ['log of a day last winter', 'requests.list', { from: days(300), to: days(299) }],
    ['log of a day last winter, by key', 'requests.list', { from: days(300), to: days(299), keyId }],
    ['length of the log', 'requests.outline', {}],
    ['length by key', 'requests.outline', { keyId }],
    ['length by client and provider', 'requests.outline', { client: 'codex', provider: 'gemini' }],
    ['length by search', 'requests.outline', { search: 'haiku' }],
    ['length by status error', 'requests.outline', { status: 'error' }],
    ['length by a rare flag and key', 'requests.outline', { flag: 'overrun', keyId }],
    ['length by session', 'requests.outline', { session }],
    ['length by session and search', 'requests.outline', { session, search: 'haiku' }],
    [
      'length of ten months by search',
      'requests.outline',
      { from: days(310), to: days(10), search: 'haiku' },
    ],
    ...(id === undefined
      ? []
      : [['one request', 'requests.get', { id }] satisfies [string, MethodName, unknown]]),
    ['sparklines', 'usage.sparklines', { days: 30 }],
    ['30 days by key', 'usage.summary', { from: days(29), to, groupBy: 'key' }],
    ['30 days by day and model', 'usage.series', { from: days(29), to, every: 'day', by: 'model' }],
    ['30 days of a key by model', 'usage.series', { from: days(29), to, every: 'day', by: 'model', keyId }],
    ['today by hour and model', 'usage.series', { from: days(0), to, every: 'hour', by: 'model' }],
    ['90 days by week and client', 'usage.series', { from: days(89), to, every: 'week', by: 'client' }],
    ['a year by day and model', 'usage.series', { from: days(364), to, every: 'day', by: 'model' }],
    ['a year by day and key', 'usage.series', { from: days(364), to, every: 'day', by: 'key' }],
    ['a year by week and key', 'usage.series', { from: days(364), to, every: 'week', by: 'key' }],
    ['a year by month and key', 'usage.series', { from: days(364), to, every: 'month', by: 'key' }],
    ['all time by model', 'usage.summary', { from: days(20_000), to, groupBy: 'model' }],
    ['all time of a key by model', 'usage.summary', { from: days(20_000), to, groupBy: 'model', keyId }],
    ['sessions', 'usage.sessions', {}],
    ['sessions of a key', 'usage.sessions', { keyId, limit: 50 }],
    ['7 days by session', 'usage.summary', { from: days(6), to, groupBy: 'session' }],
  ];
  for (const [label, name, input] of questions) {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const began = performance.now();
      const answer = await gateway.dispatch(name, input);
      times.push(performance.now() - began);
      if (!answer.ok) throw new Error(`${label}: ${answer.error.message}`);
    }
    line(label, times, TARGET_MS);
  }
  await gateway.close({ graceMs: 0 });
}

function open(dataDir: string): Promise<Gateway> {
  return createGateway({ dataDir, secrets, version: '0.0.0', clock: { now: () => until } });
}

function line(label: string, times: readonly number[], target: number): void {
  const sorted = times.toSorted((a, b) => a - b);
  const [least = 0, median = 0, worst = 0] = [
    sorted[0],
    sorted[Math.floor(sorted.length / 2)],
    sorted.at(-1),
  ];
  const mark = median > target ? `  over ${target} ms` : '';
  const cells = [least, median, worst].map((time) => time.toFixed(2).padStart(9)).join('');
  process.stdout.write(`${label.padEnd(36)}${cells} ms${mark}\n`);
}

function readArguments(given: readonly string[]): { rows: number[]; keep: string | null } {
  const at = given.indexOf('--keep');
  const folder = at === -1 ? undefined : given[at + 1];
  const numbers = given
    .filter((_, index) => at === -1 || (index !== at && index !== at + 1))
    .map((text) => Number(text.replaceAll(',', '')));
  if (
    numbers.some((number) => !Number.isInteger(number) || number < 0) ||
    (at !== -1 && folder === undefined)
  ) {
    process.stderr.write('Usage: node test/bench/queries.ts [rows …] [--keep DIR]\n');
    process.exit(2);
  }
  return { rows: numbers.length > 0 ? numbers : [0, 10_000, 1_000_000], keep: folder ?? null };
}
