/**
 * The real clients through the built gateway, each with the change to its files that the Connect page makes, on a
 * network that ends at this machine.
 *
 *   npm run test:clients                              every client, every scenario; the README's table is written anew
 *   npm run test:clients -- codex limit bad-key       these clients and scenarios alone
 *   npm run test:clients -- --screens                 also prints what was on each screen
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../support/gateway.ts';
import { clients, type TestedClient } from './clients.ts';
import { install } from './install.ts';
import { scenarios, type Outcome, type Scenario } from './scenarios.ts';
import { setStage, type Stage } from './stage.ts';

const ISOLATED = 'FAREGATE_CLIENTS_ISOLATED';
/** Most of a client's time is waiting. */
const AT_ONCE = 3;

const words = process.argv.slice(2);
const screens = words.includes('--screens');
const named = words.filter((word) => !word.startsWith('--'));
const chosen = chosenOf(clients, ({ id, from }) => named.includes(id) || named.includes(from));
const played = chosenOf(scenarios, ({ id }) => named.includes(id));

process.exit(await main());

async function main(): Promise<number> {
  const known = new Set([...clients.flatMap(({ id, from }) => [id, from]), ...scenarios.map(({ id }) => id)]);
  const unknown = named.filter((word) => !known.has(word));
  if (unknown.length > 0) {
    console.error(`Unknown: ${unknown.join(', ')}. Clients: ${ids(clients)}; scenarios: ${ids(scenarios)}.`);
    return 2;
  }
  if (process.env[ISOLATED] === undefined) return prepareAndIsolate();
  const table = await playAll();
  const outcomes = [...table].flatMap(([client, row]) =>
    [...row].map(([scenario, { faults }]) => ({ title: `${client.name}, ${scenario.title}`, faults })),
  );
  const failed = outcomes.filter(({ faults }) => faults.length > 0);
  const rows = markdown(table);
  console.log(`\n${rows}\n`);
  for (const { title, faults } of failed) console.log(`Failed: ${title}: ${faults.join('; ')}`);
  if (failed.length === 0 && named.length === 0) writeReadme(rows);
  console.log(`${outcomes.length - failed.length} passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

/** With the network: what is missing is installed. Then again without it, in namespaces that end with the last process. */
function prepareAndIsolate(): number {
  for (const { from, packages } of chosen) install(from, packages);
  const again = [process.execPath, import.meta.filename, ...words];
  const namespace = ['--map-root-user', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const loopback = 'ip link set lo up && exec "$@"';
  const inside = (command: string[]) => [...namespace, 'sh', '-c', loopback, 'sh', ...command];
  const able = spawnSync('unshare', inside(['true'])).status === 0;
  if (!able)
    console.log(
      'No network namespaces here: a proxy that leads nowhere stands between the clients and the network.',
    );
  const [program = '', ...args] = able ? ['unshare', ...inside(again)] : again;
  const env = { ...process.env, [ISOLATED]: able ? '1' : '0' };
  return spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], env }).status ?? 1;
}

async function playAll(): Promise<Map<TestedClient, Map<Scenario, Outcome>>> {
  const rows = new Map<TestedClient, Map<Scenario, Outcome>>(chosen.map((client) => [client, new Map()]));
  const waiting = [...chosen];
  const work = async () => {
    for (let client = waiting.shift(); client !== undefined; client = waiting.shift())
      await playOne(client, rows.get(client) ?? new Map());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return rows;
}

async function playOne(client: TestedClient, row: Map<Scenario, Outcome>): Promise<void> {
  const folder = install(client.from, client.packages);
  // Beside the packages that it imports.
  if (client.from === 'sdks')
    copyFileSync(path.join(import.meta.dirname, 'sdk.mjs'), path.join(folder, 'sdk.mjs'));
  const stage = await setStage(client, folder);
  try {
    for (const scenario of played) {
      const started = performance.now();
      await stage.reset();
      const outcome = await scenario.play(stage).catch((error: unknown) => failedOutcome(error));
      row.set(scenario, outcome);
      await resume(stage);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const { faults, cell, screen } = outcome;
      console.log(
        `${faults.length === 0 ? '✓' : '✗'} ${client.name}: ${scenario.title}: ${cell}, ${seconds} s${faults.map((fault) => `\n    ${fault}`).join('')}`,
      );
      if (screens || faults.length > 0) console.log(`    screen: ${screen.slice(0, 1500)}`);
      if (screens || faults.length > 0)
        console.log(
          `    wire: ${stage.tap.requests.join(' | ').slice(0, 800)} → ${stage.tap.statuses.join(' ')}`,
        );
    }
  } finally {
    await stage.close();
  }
}

/** A client that sent the same request again and again has paused its key. */
async function resume(stage: Stage): Promise<void> {
  await stage.call('keys.resume', { id: stage.keyId });
}

function failedOutcome(error: unknown): Outcome {
  const fault = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { calls: 0, shown: false, faults: [fault], cell: 'failed', screen: '' };
}

function markdown(rows: ReadonlyMap<TestedClient, ReadonlyMap<Scenario, Outcome>>): string {
  const cells = [
    ['client', ...played.map(({ title }) => title)],
    ...[...rows].map(([client, row]) =>
      [client.name].concat(played.map((scenario) => row.get(scenario)?.cell ?? '')),
    ),
  ];
  const [head = [], ...body] = cells;
  // As wide as the formatter makes it, so that what is written needs no second look.
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[], fill = ' ') =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0, fill)).join(' | ')} |`;
  return [
    line(head),
    line(
      head.map(() => ''),
      '-',
    ),
    ...body.map((row) => line(row)),
  ].join('\n');
}

function writeReadme(rows: string): void {
  const file = path.join(projectRoot, 'README.md');
  const [begin, end] = ['<!-- clients: begin -->', '<!-- clients: end -->'];
  const text = readFileSync(file, 'utf8');
  const [before, rest] = text.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`README.md has no ${begin} … ${end}`);
  writeFileSync(file, `${before}${begin}\n\n${rows}\n\n${end}${after}`);
}

function chosenOf<T>(all: readonly T[], isNamed: (one: T) => boolean): readonly T[] {
  const some = all.filter(isNamed);
  return some.length > 0 ? some : all;
}

function ids(all: readonly { id: string }[]): string {
  return all.map(({ id }) => id).join(', ');
}
