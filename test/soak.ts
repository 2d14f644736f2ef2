/**
 * The built gateway under mixed traffic for as long as it is told, before a provider that keeps its own book:
 *
 *   npm run soak -- --minutes 30 --concurrency 200
 *
 * Streams and whole answers in every dialect, slow providers, broken ones, clients that hang up or read slowly, keys
 * that run into their limit, are topped up, disabled, and replaced. At the end, with the exit code: memory, descriptors
 * and the database's log did not grow, nothing is held, and the ledger is the provider's book to the nano-dollar.
 */
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import * as z from 'zod';
import { startGateway, usd, type GatewayProcess } from './support/gateway.ts';
import { answerAsProvider } from './support/provider-answers.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    concurrency: { type: 'string', default: '200' },
  },
});
const minutes = Number(values.minutes);
const concurrency = Number(values.concurrency);
if (!(minutes > 0) || !Number.isInteger(concurrency) || concurrency < 1) {
  console.error('--minutes takes a number above 0, --concurrency a whole number from 1.');
  process.exit(2);
}

const MODEL = 'acme';
/** Nano-dollars a token: 1 and 10 dollars a million. */
const INPUT_NANO = 1_000;
const OUTPUT_NANO = 10_000;
const KEYS = 10;
const random = (below: number) => Math.floor(Math.random() * below);
const chance = (percent: number) => Math.random() * 100 < percent;

// The provider, and its book by the session that each request names as its own.

interface Entry {
  input: number;
  output: number;
  /** The last byte, usage included, was taken by the gateway. */
  complete: boolean;
}
const book = new Map<string, Entry>();

const provider = createServer((request, response) => {
  request.on('error', () => {});
  response.on('error', () => {});
  void (async () => {
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    await answer(request, Buffer.concat(parts), response);
  })().catch(() => response.destroy());
});

async function answer(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://provider.invalid');
  if (chance(1)) return void response.socket?.resetAndDestroy();
  if (chance(2)) return void response.writeHead(chance(50) ? 429 : 503).end('{"error":{"message":"busy"}}');
  if (chance(10)) await delay(random(1_500));
  const entry: Entry = { input: 1 + random(1_000), output: 1 + random(40), complete: false };
  // Near a limit the gateway has the input counted first, which costs nothing and may end in a refusal.
  if (!/(count_tokens|input_tokens|:countTokens)$/.test(pathname))
    book.set(String(request.headers['x-session-id']), entry);
  const asked = {
    method: 'POST',
    path: pathname,
    query: searchParams,
    body: JSON.parse(body.toString()) as unknown,
  };
  const made = answerAsProvider(asked, {
    inputTokens: entry.input,
    outputTokens: entry.output,
    text: 'word '.repeat(1 + random(200)),
  });
  if (made === null) return void response.writeHead(404).end();
  const type = 'json' in made ? 'application/json' : made.contentType;
  response.writeHead(200, { 'content-type': type });
  const pieces = 'json' in made ? [JSON.stringify(made.json)] : made.pieces;
  const breaksAt = chance(3) ? random(pieces.length) : -1;
  const slow = chance(15);
  for (const [at, piece] of pieces.entries()) {
    if (response.destroyed) return;
    if (at === breaksAt) return void response.socket?.resetAndDestroy();
    if (!response.write(piece)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    if (slow) await delay(random(120));
  }
  response.end();
  await once(response, 'close').catch(() => {});
  entry.complete = response.writableFinished;
}

// The clients.

const paths = [
  ['/v1/chat/completions', { messages: [] }],
  ['/v1/responses', { input: 'x' }],
  ['/v1/messages', { messages: [] }],
  ['/v1beta/models/acme:generateContent', { contents: [] }],
  ['/v1beta/models/acme:streamGenerateContent', { contents: [] }],
  ['/v1beta/models/acme:streamGenerateContent?alt=sse', { contents: [] }],
] as const;
const secrets: string[] = [];
const connections = new Agent({ keepAlive: true });
let sent = 0;
const outcomes = new Map<string, number>();
const note = (what: string) => outcomes.set(what, (outcomes.get(what) ?? 0) + 1);

function ask(gateway: GatewayProcess): Promise<void> {
  const [path, more] = paths[random(paths.length)] ?? paths[0];
  const body = JSON.stringify({
    model: MODEL,
    max_tokens: 64,
    stream: chance(70),
    // Nothing for the loop brake, and bodies of all sizes.
    metadata: { note: `${Math.random()}${'x'.repeat(chance(2) ? random(2_000_000) : random(2_000))}` },
    ...more,
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  const request = httpRequest(`${gateway.url}${path}`, {
    method: 'POST',
    agent: connections,
    headers: {
      'x-session-id': `soak-${(sent += 1)}`,
      authorization: `Bearer ${secrets[random(secrets.length)] ?? ''}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    },
  });
  const hangsUp = chance(8);
  request.once('close', resolve);
  request.once('error', () => note(hangsUp ? 'hung up' : 'cut off'));
  request.once('response', (response) => {
    note(String(response.statusCode));
    response.on('error', () => {});
    const readsSlowly = chance(5);
    response.on('data', () => {
      if (hangsUp && chance(50)) request.destroy();
      else if (readsSlowly) {
        response.pause();
        setTimeout(() => response.resume(), random(100));
      }
    });
  });
  if (hangsUp) setTimeout(() => request.destroy(), random(1_000)).unref();
  request.end(body);
  return promise;
}

async function person(gateway: GatewayProcess, until: number): Promise<void> {
  const ids = (await gateway.call('keys.list', {})).map(({ id }) => id);
  while (Date.now() < until) {
    await delay(200);
    const at = random(KEYS);
    const id = ids[at] ?? '';
    const act = random(5);
    if (act === 0) await gateway.call('keys.setLimit', { id, limitNano: usd(String(random(3))) });
    else if (act === 1) await gateway.call('keys.setLimit', { id, limitNano: usd('1000') });
    else if (act === 2) await gateway.call('keys.update', { id, enabled: chance(30) });
    else if (act === 3) await gateway.call('keys.update', { id, enabled: true });
    else secrets[at] = (await gateway.call('keys.rotate', { id })).secret;
  }
  for (const id of ids) await gateway.call('keys.update', { id, enabled: true });
}

// What is measured.

interface Sample {
  rssMb: number;
  descriptors: number;
  /** The write-ahead log, of which SQLite never gives back a part while it is open. */
  logMb: number;
}

/** The log from which on something keeps it from being begun anew. */
const LONG_LOG_MB = 100;

function sample({ pid, dataDir }: GatewayProcess): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const rssMb = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  const logMb = (statSync(logOf(dataDir), { throwIfNoEntry: false })?.size ?? 0) / 2 ** 20;
  return { rssMb, descriptors: readdirSync(`/proc/${pid}/fd`).length, logMb };
}

const logOf = (dataDir: string) => join(dataDir, 'faregate.db-wal');
const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

/** The ledger as it lies in the file, beside the provider's book. */
function compare(dataDir: string) {
  const db = new Database(join(dataDir, 'faregate.db'), { readonly: true });
  const Row = z.object({
    key: z.string(),
    session: z.string(),
    cost: z.number(),
    flags: z.string(),
    status: z.number(),
  });
  const rows = db
    .prepare('SELECT key_id AS key, session, cost_nano AS cost, flags, status FROM requests')
    .all()
    .map((row) => Row.parse(row));
  const open = z.object({ n: z.number() }).parse(db.prepare('SELECT count(*) AS n FROM holds').get()).n;
  db.close();
  const found = {
    rows: rows.length,
    open,
    exact: 0,
    estimated: 0,
    different: 0,
    ledgerNano: 0n,
    bookNano: 0n,
  };
  const seen = new Map<string, z.infer<typeof Row>>();
  for (const row of rows) {
    seen.set(row.session, row);
    const entry = book.get(row.session);
    // What was cut before the provider had said what it used is an estimate, and marked as one.
    if (row.flags.includes('estimated')) found.estimated += 1;
    else if (row.status !== 200 || entry === undefined) found.different += row.cost === 0 ? 0 : 1;
    else {
      const billed = entry.input * INPUT_NANO + entry.output * OUTPUT_NANO;
      found.exact += 1;
      found.ledgerNano += BigInt(row.cost);
      found.bookNano += BigInt(billed);
      if (billed !== row.cost) found.different += 1;
    }
  }
  const cut = /interrupted|stopped/;
  const complete = [...book].filter(([, entry]) => entry.complete);
  return {
    ...found,
    doubled: rows.length - seen.size,
    unknown: [...book.keys()].filter((session) => !seen.has(session)).length,
    // Whole answers that are an estimate though nobody hung up or was stopped.
    guessed: complete.filter(([session]) => {
      const flags = seen.get(session)?.flags ?? '';
      return flags.includes('estimated') && !cut.test(flags);
    }).length,
    byKey: Map.groupBy(rows, ({ key }) => key),
  };
}

provider.listen(0, '127.0.0.1');
await once(provider, 'listening');
const address = provider.address();
if (address === null || typeof address === 'string') throw new Error('the provider does not listen');
const gateway = await startGateway({ args: ['--no-dashboard'] });
const problems: string[] = [];
try {
  for (const kind of ['openai', 'anthropic', 'gemini'] as const) {
    const baseUrl = `http://127.0.0.1:${address.port}/${kind === 'gemini' ? 'v1beta' : 'v1'}`;
    const { id } = await gateway.call('providers.create', { kind, baseUrl, credential: 'sk-soak' });
    await gateway.call('prices.set', { providerId: id, model: MODEL, input: '1', output: '10' });
  }
  for (let at = 0; at < KEYS; at += 1)
    secrets.push((await gateway.call('keys.create', { name: `soak ${at}`, limitNano: usd('1000') })).secret);

  const until = Date.now() + minutes * 60_000;
  const before = sample(gateway);
  const samples: Sample[] = [];
  const client = async () => {
    while (Date.now() < until) await ask(gateway);
  };
  const everyone = Promise.all([...Array.from({ length: concurrency }, client), person(gateway, until)]);
  let told = Date.now();
  while (Date.now() < until) {
    await delay(2_000);
    const now = sample(gateway);
    samples.push(now);
    if (Date.now() - told < 60_000) continue;
    told = Date.now();
    // So that a long run that has to be broken off has said something.
    const left = Math.ceil((until - told) / 60_000);
    console.log(
      `${sent} requests, ${now.rssMb.toFixed(0)} MB, ${now.descriptors} descriptors, log ${now.logMb.toFixed(1)} MB, ${left} min to go`,
    );
  }
  await everyone;
  // Grace of hung-up streams, and connections kept for a next request that does not come.
  const idle = async () => (await gateway.call('keys.list', {})).every(({ heldNano }) => heldNano === 0);
  for (let round = 0; round < 60 && !(await idle()); round += 1) await delay(500);
  connections.destroy();
  provider.closeIdleConnections();
  await delay(2_000);
  const after = sample(gateway);
  const keys = await gateway.call('keys.list', {});
  const held = keys.reduce((sum, { heldNano }) => sum + heldNano, 0);
  const code = await gateway.stop();
  const logLeft = existsSync(logOf(gateway.dataDir));
  const found = compare(gateway.dataDir);

  const third = Math.floor(samples.length / 3);
  const early = samples.slice(third, 2 * third);
  const late = samples.slice(-third);
  const rss = [median(early.map(({ rssMb }) => rssMb)), median(late.map(({ rssMb }) => rssMb))] as const;
  const files = [
    median(early.map(({ descriptors }) => descriptors)),
    median(late.map(({ descriptors }) => descriptors)),
  ] as const;
  const fixed = (mb: number) => `${mb.toFixed(0)} MB`;

  console.log(`Requests by outcome: ${[...outcomes].map(([what, n]) => `${what}: ${n}`).join(', ')}`);
  console.log(
    `Answers begun by the provider: ${book.size}; rows: ${found.rows}, exact: ${found.exact}, estimated: ${found.estimated}`,
  );
  console.log(`Ledger ${found.ledgerNano} nano-dollars, the provider's book ${found.bookNano}`);
  console.log(
    `Memory: ${fixed(before.rssMb)} before, ${fixed(rss[0])} in the second third, ${fixed(rss[1])} in the last, ${fixed(after.rssMb)} after`,
  );
  const tenths = Array.from(
    { length: 10 },
    (_, at) => samples[Math.floor(((at + 1) * samples.length) / 10) - 1],
  );
  console.log(
    `Memory by tenths of the time, in MB: ${tenths.map((each) => each?.rssMb.toFixed(0) ?? '-').join(' ')}`,
  );
  console.log(
    `Descriptors: ${before.descriptors} before, ${files[0]} in the second third, ${files[1]} in the last, ${after.descriptors} after`,
  );

  console.log(`Log of the database: at most ${after.logMb.toFixed(1)} MB`);

  if (found.ledgerNano !== found.bookNano || found.different > 0)
    problems.push(`${found.different} rows differ from the provider's book`);
  if (found.doubled > 0) problems.push(`${found.doubled} answers are on the books twice`);
  if (found.unknown > 0) problems.push(`${found.unknown} answers are not on the books`);
  if (found.guessed > 0) problems.push(`${found.guessed} whole answers are estimates`);
  if (held !== 0 || found.open !== 0) problems.push(`${held} nano-dollars are held by ${found.open} holds`);
  for (const { id, name, usageNano } of keys) {
    const sum = (found.byKey.get(id) ?? []).reduce((total, { cost }) => total + cost, 0);
    if (sum !== usageNano) problems.push(`key "${name}" says ${usageNano}, its rows say ${sum}`);
  }
  if (rss[1] > rss[0] * 1.15 + 20) problems.push('memory grows');
  if (files[1] > files[0] * 1.15 + 20 || after.descriptors > before.descriptors + 20)
    problems.push('descriptors grow');
  if (after.logMb > LONG_LOG_MB) problems.push("the database's log grows");
  if (logLeft) problems.push("the database's log is left behind");
  if (code !== 0) problems.push(`the gateway ended with code ${code}`);
  if (/unexpected fault|Unexpected failure/i.test(gateway.output()))
    problems.push(`the log has faults:\n${gateway.output().slice(0, 2_000)}`);
} finally {
  await gateway.dispose();
  provider.closeAllConnections();
  provider.close();
}
console.log(
  problems.length === 0
    ? `Soak: ${minutes} minutes at ${concurrency}, ${sent} requests tried, all survived`
    : `Soak: failed\n  ${problems.join('\n  ')}`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
