/**
 * `npm run bench`: what passing a request through Faregate costs, beside nothing at all, the floor of Node and others.
 *
 *   npm run bench                             every part, 9 rounds
 *   npm run bench -- --rounds 5 requests      some parts: requests, bodies, streams, memory, admission, queries, window
 *
 * All contenders have the same provider and the same load in turn, round by round, and what is printed is the median of
 * the rounds. Turns are short and ratios are taken round by round, for a machine that others use too changes its pace
 * within a minute; only ratios of one run are comparable. What is measured has one core to itself, the provider and the
 * load share another.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  cpuMicros,
  direct,
  faregate,
  LOAD_CORE,
  memory,
  nginx,
  pin,
  pipe,
  portkey,
  startChild,
  type Contender,
  type Faregate,
} from './contenders.ts';
import type { Load, Measured } from './load.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '9' }, seconds: { type: 'string', default: '1' } },
});
const rounds = Number(values.rounds);
const ms = Number(values.seconds) * 1000;
const names = ['requests', 'bodies', 'streams', 'memory', 'admission', 'queries', 'window'] as const;
type Part = (typeof names)[number];
const unknown = positionals.filter((name) => !names.some((known) => known === name));
if (unknown.length > 0 || !(rounds >= 1) || !(ms >= 100)) {
  console.error(`Usage: npm run bench -- [--rounds N] [--seconds S] [${names.join(' | ')}] …`);
  process.exit(2);
}
const asked = (part: Part) => positionals.length === 0 || positionals.includes(part);

/** Every figure of every round: by what it is, then by whose it is. */
const figures = new Map<string, Map<string, number[]>>();

function note(what: string, who: Contender, figure: number): void {
  let ofAll = figures.get(what);
  if (ofAll === undefined) figures.set(what, (ofAll = new Map<string, number[]>()));
  ofAll.set(who.name, [...(ofAll.get(who.name) ?? []), figure]);
}

function median(of: readonly number[] | undefined): number | undefined {
  return of?.toSorted((a, b) => a - b)[Math.floor(of.length / 2)];
}

const children: (() => void)[] = [];
process.once('exit', () => {
  for (const end of children) end();
});
const { child: upstream, port: provider } = await startChild('upstream.ts', [], LOAD_CORE);
const generator = spawn(process.execPath, [join(import.meta.dirname, 'load.ts')], {
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
});
children.push(
  () => upstream.kill('SIGKILL'),
  () => generator.kill('SIGKILL'),
);
pin(generator.pid, LOAD_CORE);

async function run(load: Load): Promise<Measured> {
  generator.send(load);
  const [measured] = (await once(generator, 'message')) as [Measured];
  return measured;
}

/** The load with what it cost the contender: CPU time in µs. */
async function costOf(who: Contender, load: Load): Promise<Measured & { cpu: number }> {
  const before = cpuMicros(who.pids());
  const measured = await run(load);
  return { ...measured, cpu: cpuMicros(who.pids()) - before };
}

async function requests(who: Contender): Promise<void> {
  for (const connections of [1, 16, 64, 256]) {
    const measured = await costOf(who, { kind: 'requests', where: who.where, connections, ms, bytes: 1000 });
    note(`latency p50, ${connections} at a time, µs`, who, measured.latency.p50);
    note(`latency p99, ${connections} at a time, µs`, who, measured.latency.p99);
    note(`requests a second, ${connections} at a time`, who, measured.served / measured.seconds);
    if (who.pids().length > 0)
      note(`CPU of 1,000 requests, ${connections} at a time, ms`, who, measured.cpu / measured.served);
    if (measured.failed > 0) note('requests that failed', who, measured.failed);
  }
  if (!isFaregate(who)) return;
  // Apart, for it costs a timer every millisecond.
  const load: Load = { kind: 'requests', where: who.where, connections: 64, ms, bytes: 1000 };
  const { p99, max } = await who.loopDelay(() => run(load));
  note('event loop held up, 64 at a time, p99, ms', who, p99);
  note('event loop held up, 64 at a time, longest, ms', who, max);
}

const isFaregate = (who: Contender): who is Faregate => 'loopDelay' in who;

async function bodies(who: Contender): Promise<void> {
  for (const [size, bytes, connections] of [
    ['100 KB', 100_000, 16],
    ['5 MB', 5_000_000, 4],
  ] as const) {
    const measured = await costOf(who, { kind: 'requests', where: who.where, connections, ms, bytes });
    note(`requests of ${size} a second`, who, measured.served / measured.seconds);
    if (measured.failed > 0) note('requests that failed', who, measured.failed);
  }
}

async function streams(who: Contender): Promise<void> {
  const one = { kind: 'streams', where: who.where, gapMs: 2 } as const;
  const short = await costOf(who, { ...one, streams: 300, gapMs: 10, chunks: 2, intervalMs: 5 });
  if (short.served === 0) return note('streams that failed', who, short.failed);
  note('first byte of a stream, p50, µs', who, short.latency.p50);
  note('first byte of a stream, p95, µs', who, short.latency.p95);
  // 5,000 chunks a second, as a hundred agents at work.
  const load: Load = { ...one, streams: 100, chunks: Math.round(ms / 20), intervalMs: 20 };
  const long = await costOf(who, load);
  note('delay of a chunk, 5,000 a second, p50, µs', who, long.chunks.p50);
  note('delay of a chunk, 5,000 a second, p99, µs', who, long.chunks.p99);
  if (who.pids().length > 0) note('CPU of 1,000 chunks, ms', who, long.cpu / long.chunks.count);
  if (short.failed + long.failed > 0) note('streams that failed', who, short.failed + long.failed);
}

/** Of a process that has done nothing else: what others have left in its heap would hide what streams take. */
async function openStreams(who: Contender): Promise<void> {
  await run({ kind: 'requests', where: who.where, connections: 16, ms: 500, bytes: 1000 });
  const before = memory(who.pids());
  for (const count of [1000, 5000]) {
    const measured = await run({ kind: 'hold', where: who.where, streams: count });
    if (measured.served === 0) break;
    await delay(500);
    note(`memory of an open stream, ${count} open, KB`, who, (memory(who.pids()) - before) / count / 1024);
    note(`streams without a first byte, ${count} asked for`, who, measured.failed);
  }
  await run({ kind: 'release' });
}

const WARM_MS = 6_000;

type Start = () => Promise<Contender | null>;
const starts: Start[] = [
  async () => direct(provider),
  () => pipe(provider),
  () => faregate(provider),
  () => portkey(provider),
  () => nginx(provider),
];

async function compare(): Promise<void> {
  const parts = [
    ...(asked('requests') ? [requests] : []),
    ...(asked('bodies') ? [bodies] : []),
    ...(asked('streams') ? [streams] : []),
  ];
  if (parts.length === 0) return;
  const contenders: Contender[] = [];
  for (const start of starts) {
    const contender = await start();
    if (contender === null) continue;
    contenders.push(contender);
    // What is compiled when it is first used is no part of what is compared, and the compiler takes its time.
    await run({ kind: 'requests', where: contender.where, connections: 64, ms: WARM_MS, bytes: 1000 });
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const contender of contenders) {
      progress(`round ${round} of ${rounds}: ${contender.name}`);
      // It was idle while the others had their turn, and what the system took back from it meanwhile comes in anew.
      await run({ kind: 'requests', where: contender.where, connections: 64, ms, bytes: 1000 });
      for (const part of parts) await part(contender);
    }
  }
  for (const contender of contenders) await contender.stop();
}

/** Memory has no pace, and each contender is started anew for it. */
const MEMORY_ROUNDS = 3;

async function compareMemory(): Promise<void> {
  const most = Math.min(rounds, MEMORY_ROUNDS);
  for (let round = 1; round <= most; round += 1) {
    for (const start of starts.slice(1)) {
      const contender = await start();
      if (contender === null) continue;
      progress(`round ${round} of ${most}: open streams of ${contender.name}`);
      await openStreams(contender);
      await contender.stop();
    }
  }
}

function progress(text: string): void {
  process.stderr.write(`  ${text}\n`);
}

/** What the goals are about: quotients, each the median of those of the rounds. */
function ratios(): void {
  const of = (what: string, who: string) => figures.get(what)?.get(who) ?? [];
  const quotient = (ones: readonly number[], others: readonly number[]) =>
    median(ones.map((one, round) => one / (others[round] ?? NaN)).filter(Number.isFinite));
  const compared = (what: string, other: string) => quotient(of(what, 'Faregate'), of(what, other));
  const added = (who: string) => {
    const what = 'latency p50, 1 at a time, µs';
    return of(what, who).map((latency, round) => latency - (of(what, 'direct')[round] ?? NaN));
  };
  const rate = 'requests a second, 64 at a time';
  const goals: [what: string, figure: number | undefined, goal: string][] = [
    ['requests a second, 64 at a time, to the floor', compared(rate, 'node pipe'), '≥ 0.6'],
    ['requests a second, 64 at a time, to Portkey', compared(rate, 'Portkey'), '≥ 6'],
    [
      'CPU of a request, 64 at a time, to the floor',
      compared('CPU of 1,000 requests, 64 at a time, ms', 'node pipe'),
      '',
    ],
    [
      'added latency p50, 1 at a time, to the floor',
      quotient(added('Faregate'), added('node pipe')),
      '≤ 1.25',
    ],
    ['CPU of a chunk, to the floor', compared('CPU of 1,000 chunks, ms', 'node pipe'), '≤ 1.3'],
    ['requests of 5 MB, to direct', compared('requests of 5 MB a second', 'direct'), '≥ 0.25'],
    [
      'memory of an open stream, 5,000 open, KB',
      median(of('memory of an open stream, 5000 open, KB', 'Faregate')),
      '≤ 60',
    ],
  ];
  const measured = goals.filter(([, figure]) => figure !== undefined && !Number.isNaN(figure));
  if (measured.length === 0) return;
  console.info('\n| Faregate | ratio | goal |\n| --- | ---: | ---: |');
  for (const [what, figure, goal] of measured) console.info(`| ${what} | ${figure?.toFixed(2)} | ${goal} |`);
}

function table(): void {
  if (figures.size === 0) return;
  const all = [...new Set([...figures.values()].flatMap((ofAll) => Array.from(ofAll.keys())))];
  console.info(`\n| median of ${rounds} | ${all.join(' | ')} |\n| --- |${' ---: |'.repeat(all.length)}`);
  for (const [what, ofAll] of figures) {
    const cells = all.map((who) => {
      const figure = median(ofAll.get(who));
      if (figure === undefined) return '-';
      return figure < 10 && !Number.isInteger(figure)
        ? figure.toPrecision(2)
        : Math.round(figure).toLocaleString('en-US');
    });
    console.info(`| ${what} | ${cells.join(' | ')} |`);
  }
}

const [core] = cpus();
console.info(
  `${new Date().toISOString().slice(0, 10)}, ${core?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.versions.node}`,
);
if (cpus().length < 2) console.info('One core only: provider and load share it with what is measured.');
await compare();
if (asked('memory')) await compareMemory();
table();
ratios();
generator.disconnect();
upstream.disconnect();
// Programs of their own: the ledger and its pages, without the network.
const programs = { admission: 'admission.bench.ts', queries: 'queries.ts', window: 'window.ts' } as const;
for (const part of ['admission', 'queries', 'window'] as const) {
  if (!asked(part)) continue;
  console.info(`\n${part}`);
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, programs[part])], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exitCode = 1;
}
