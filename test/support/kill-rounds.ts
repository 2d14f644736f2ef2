/**
 * Kills the built gateway under load, again and again over one data folder, and compares its ledger with the book of a
 * provider that bills what it generates, whether or not anyone is left to hear of it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { field } from './bounded-requests.ts';
import { addProvider, projectRoot, startGateway, usd, type GatewayProcess } from './gateway.ts';
import { answerAsProvider } from './provider-answers.ts';
import { seededRandom } from './random.ts';
import { gate, startUpstream, type Gate, type Upstream, type UpstreamRequest } from './upstream.ts';

/** What all rounds came to. */
export interface KillReport {
  rounds: number;
  /** Of them, those in which it was killed a second time, while it was starting. */
  killedStarting: number;
  /** Of them, those in which it was killed while the log was being copied into the database. */
  killedCopying: number;
  sent: number;
  /** Answers whose end the client saw. */
  ended: number;
  refused: number;
  hungUp: number;
  /** Requests the provider was reached by. */
  billed: number;
  /** Holds that a dead process left behind, settled in full. */
  orphans: number;
  usageNano: number;
}

/** What the provider billed for a request. */
interface Bill {
  cost: number;
  /** The gateway waited for its end in vain. */
  givenUp: boolean;
}

interface Sent {
  keyId: string;
  sawEnd: boolean;
}

interface LimitedKey {
  id: string;
  secret: string;
  /** The last limit that the gateway has confirmed. */
  limitNano: number | null;
  /** The end of its first window. */
  resetsAt: string | null;
}

interface Row {
  id: number;
  key_id: string;
  session: string;
  cost_nano: number;
  held_nano: number;
  flags: string;
}

const MODEL = 'acme-chat';
/** Tags a request in the provider's book and in the ledger's rows, so that bodies may well be identical. */
const TAG = 'x-session-id';
const INPUT_TOKENS = 12;
const INPUT_NANO = 1_000;
const OUTPUT_NANO = 100_000;
/** Of this load, what comes to a checkpoint. */
const COPYING_WITHIN_MS = 5_000;
/** What the gateway reads on for when the client of a stream has left. */
const GRACE_MS = 2_000;

export async function killRounds({
  rounds,
  enough = () => true,
  seed = Date.now() >>> 0,
  clients = 10,
  report = () => {},
}: {
  rounds: number;
  /** More rounds follow until this holds as well. */
  enough?: (sums: KillReport) => boolean;
  /** Of what is sent and when it is killed; what is then under way hangs on the machine. */
  seed?: number;
  clients?: number;
  report?: (text: string) => void;
}): Promise<KillReport> {
  const random = seededRandom(seed);
  const upstream = await startUpstream();
  const book = new Map<string, Bill>();
  upstream.reply(/\/(chat\/completions|messages)$/, (request) => generate(request, book, random));
  let gateway = await startGateway({ args: ['--no-dashboard'] });
  const sums: KillReport = {
    rounds: 0,
    killedStarting: 0,
    killedCopying: 0,
    sent: 0,
    ended: 0,
    refused: 0,
    hungUp: 0,
    billed: 0,
    orphans: 0,
    usageNano: 0,
  };
  try {
    const keys = await prepare(gateway, upstream);
    let checkedTo = 0;
    for (let round = 1; round <= rounds || !enough(sums); round += 1) {
      const load = startLoad(gateway, keys, { random, clients, round, sums });
      // Where too little was under way so far, longer each time.
      const longest = (10 + random() ** 2 * 1_000) * 2 ** Math.max(0, round - rounds);
      if (round % 4 !== 0) await delay(longest);
      else if (await copying(gateway.dataDir)) sums.killedCopying += 1;
      await gateway.kill9();
      const sent = await load.end();
      if (round % 5 === 0) {
        await killWhileStarting(gateway.dataDir, random() * 300);
        sums.killedStarting += 1;
      }
      gateway = await gateway.restart();
      checkedTo = await check({ gateway, keys, sent, book, sums, checkedTo });
      sums.rounds = round;
      sums.billed += book.size;
      book.clear();
      report(`round ${round}: ${sent.size} sent, usage ${(sums.usageNano / 1e9).toFixed(6)} USD`);
    }
    return sums;
  } catch (error) {
    throw new Error(`seed ${seed}, after ${sums.rounds} good rounds`, { cause: error });
  } finally {
    await gateway.dispose();
    await upstream.close();
  }
}

async function prepare(gateway: GatewayProcess, upstream: Upstream): Promise<LimitedKey[]> {
  await gateway.call('settings.set', { loopBrake: null });
  for (const kind of ['openai', 'anthropic'] as const) {
    const { id } = await addProvider(gateway, upstream, kind);
    await gateway.call('prices.set', { providerId: id, model: MODEL, input: '1', output: '100' });
  }
  await gateway.call('limits.set', { scope: { kind: 'global' }, limitNano: usd('100000') });
  const limits = [
    { name: 'little', limitNano: usd('0.3'), recurring: null },
    { name: 'daily', limitNano: null, recurring: { amountNano: usd('1'), every: 'day' as const } },
    { name: 'much', limitNano: usd('1000'), recurring: null },
    { name: 'unlimited', limitNano: null, recurring: null },
  ];
  const keys: LimitedKey[] = [];
  for (const one of limits) {
    const { key, secret } = await gateway.call('keys.create', one);
    const resetsAt = key.recurring?.resetsAt ?? null;
    keys.push({ id: key.id, secret, limitNano: one.limitNano, resetsAt });
  }
  return keys;
}

/** Bills what it is going to generate when it is asked, and then takes its time. */
async function generate(request: UpstreamRequest, book: Map<string, Bill>, random: () => number) {
  const tag = String(request.headers[TAG]);
  if (book.has(tag)) throw new Error(`${tag} was sent twice`);
  const bound = Number(field(request.json, 'max_tokens') ?? field(request.json, 'max_completion_tokens'));
  const outputTokens = Math.ceil(random() * bound);
  const bill: Bill = { cost: INPUT_TOKENS * INPUT_NANO + outputTokens * OUTPUT_NANO, givenUp: false };
  book.set(tag, bill);
  void noteGivenUp(request, bill);
  const { method, path, query, json } = request;
  const tokens = { inputTokens: INPUT_TOKENS, outputTokens, text: 'Hello, whoever is left.' };
  const answer = answerAsProvider({ method, path, query, body: json }, tokens);
  if (answer === null) throw new Error(`no answer to ${path}`);
  await delay(random() * 40);
  if ('json' in answer) return { status: answer.status, body: answer.json };
  const chunks: (string | Gate)[] = [];
  for (const piece of answer.pieces) {
    const later = gate();
    chunks.push(piece, later);
    setTimeout(later.open, (chunks.length / 2) * 12 * random());
  }
  return { status: answer.status, headers: { 'content-type': answer.contentType }, chunks };
}

/** The moment at which a checkpoint writes the database, where one comes in the next seconds. */
async function copying(dataDir: string): Promise<boolean> {
  const watcher = watch(join(dataDir, 'faregate.db'));
  const changed = once(watcher, 'change').then(() => true);
  const came = await Promise.race([changed, delay(COPYING_WITHIN_MS, false, { ref: false })]);
  watcher.close();
  return came;
}

async function noteGivenUp({ ended }: UpstreamRequest, bill: Bill): Promise<void> {
  const startedAt = performance.now();
  bill.givenUp = (await ended) === 'aborted' && performance.now() - startedAt > GRACE_MS;
}

function startLoad(
  gateway: GatewayProcess,
  keys: readonly LimitedKey[],
  {
    random,
    clients,
    round,
    sums,
  }: { random: () => number; clients: number; round: number; sums: KillReport },
): { end(): Promise<Map<string, Sent>> } {
  const sent = new Map<string, Sent>();
  const over = new AbortController();

  async function client(number: number): Promise<void> {
    const key = keys[number % keys.length];
    if (!key) return;
    for (let count = 0; !over.signal.aborted; count += 1) {
      const tag = `r${round}-${number}-${count}`;
      const one: Sent = { keyId: key.id, sawEnd: false };
      sent.set(tag, one);
      sums.sent += 1;
      try {
        const how = await ask(gateway.url, key.secret, tag, random);
        one.sawEnd = how === 'ended';
        if (how === 'ended') sums.ended += 1;
        else if (how === 'refused') {
          sums.refused += 1;
          await delay(10);
        } else if (how === 'hung up') sums.hungUp += 1;
      } catch {
        // It was killed in the middle of this one: whoever asks again finds nobody.
        return;
      }
    }
  }

  async function editor(): Promise<void> {
    const [little, daily] = keys;
    if (!little || !daily) return;
    for (let step = 0; !over.signal.aborted; step += 1) {
      await delay(random() * 100);
      try {
        const raised = (little.limitNano ?? 0) + usd('0.02');
        await gateway.call('keys.setLimit', { id: little.id, limitNano: raised });
        little.limitNano = raised;
        if (step % 2 === 0) await gateway.call('keys.topUp', { id: daily.id, amountNano: usd('1') * round });
      } catch {
        return;
      }
    }
  }

  const running = [...Array.from({ length: clients }, (_, number) => client(number)), editor()];
  return {
    async end() {
      over.abort();
      await Promise.all(running);
      return sent;
    },
  };
}

type How = 'ended' | 'refused' | 'hung up' | 'cut';

/** Rejects where the gateway is gone before it has answered. */
async function ask(url: string, secret: string, tag: string, random: () => number): Promise<How> {
  const stream = random() < 0.5;
  const hangsUp = random() < 0.15;
  const messages = random() < 0.5;
  const bound = 50 + Math.floor(random() * 3) * 500;
  const content = random() < 0.5 ? 'The same again.' : `Something else: ${random()}`;
  const leaving = new AbortController();
  const body = {
    model: MODEL,
    stream,
    messages: [{ role: 'user', content }],
    ...(messages ? { max_tokens: bound } : { max_completion_tokens: bound }),
  };
  if (hangsUp) setTimeout(() => leaving.abort(), random() * 60);
  try {
    const response = await fetch(`${url}/v1/${messages ? 'messages' : 'chat/completions'}`, {
      method: 'POST',
      headers: { 'x-api-key': secret, 'content-type': 'application/json', [TAG]: tag },
      body: JSON.stringify(body),
      signal: leaving.signal,
    });
    let text = '';
    const decoder = new TextDecoder();
    for await (const part of response.body ?? []) text += decoder.decode(part, { stream: true });
    if (response.status !== 200) return 'refused';
    return !stream || text.includes('[DONE]') || text.includes('message_stop') ? 'ended' : 'cut';
  } catch (error) {
    if (leaving.signal.aborted) return 'hung up';
    throw error;
  }
}

/** Wherever in its start this finds it: opening, migrating, settling what was left behind, listening. */
async function killWhileStarting(dataDir: string, afterMs: number): Promise<void> {
  const args = [join(projectRoot, 'dist', 'cli.js'), '--port', '0', '--data-dir', dataDir, '--no-dashboard'];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  const exited = once(child, 'exit');
  await delay(afterMs);
  child.kill('SIGKILL');
  await exited;
}

/** @throws where the ledger is not what it has to be after a crash; resolves with the newest id that was looked at. */
async function check({
  gateway,
  keys,
  sent,
  book,
  sums,
  checkedTo,
}: {
  gateway: GatewayProcess;
  keys: readonly LimitedKey[];
  sent: ReadonlyMap<string, Sent>;
  book: ReadonlyMap<string, Bill>;
  sums: KillReport;
  checkedTo: number;
}): Promise<number> {
  const db = new Database(join(gateway.dataDir, 'faregate.db'), { readonly: true });
  try {
    const holds = db.prepare('SELECT count(*) FROM holds').pluck().get();
    must(holds === 0, `${String(holds)} holds are left`);
    const rows = db
      .prepare<[number], Row>(
        'SELECT id, key_id, session, cost_nano, held_nano, flags FROM requests WHERE id > ? ORDER BY id',
      )
      .all(checkedTo);
    const byTag = new Map<string, Row>();
    for (const row of rows) {
      must(!byTag.has(row.session), `${row.session} was counted twice`);
      byTag.set(row.session, row);
      const orphan = row.flags === 'estimated,interrupted' && row.cost_nano === row.held_nano;
      if (orphan) sums.orphans += 1;
      const { cost: billed, givenUp = false } = book.get(row.session) ?? {};
      // One that was set aside for and never sent counts in full all the same: after a crash nobody knows that.
      if (orphan)
        must((billed ?? 0) <= row.cost_nano, `${row.session} was billed ${billed}, beyond its hold`);
      // Its client had left, and on a machine that stood still the rest did not come while it was waited for.
      else if (givenUp)
        must(row.flags === 'interrupted,estimated', `${row.session} was given up and is ${row.flags}`);
      else
        // A client that left before its request did: nothing was sent, billed or counted.
        must((billed ?? 0) === row.cost_nano, `${row.session} was billed ${billed}, not ${row.cost_nano}`);
      must(row.cost_nano <= row.held_nano, `${row.session} cost more than was set aside`);
    }
    for (const tag of book.keys()) must(byTag.has(tag), `${tag} was billed and has no row`);
    for (const [tag, { sawEnd, keyId }] of sent) {
      const row = byTag.get(tag);
      must(row === undefined || row.key_id === keyId, `${tag} is counted on another key`);
      if (sawEnd)
        must(row !== undefined && row.flags !== 'estimated,interrupted', `${tag} ended and was lost`);
    }
    await checkTotals(gateway, db, keys, sums);
    return Number(db.prepare('SELECT coalesce(max(id), 0) FROM requests').pluck().get());
  } finally {
    db.close();
  }
}

/** Rows, totals of keys, sums by day and by key, and what the contract shows: one number, and within the limits. */
async function checkTotals(
  { call }: GatewayProcess,
  db: Database.Database,
  keys: readonly LimitedKey[],
  sums: KillReport,
): Promise<void> {
  const always = { from: '2000-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z' };
  const byKey = await call('usage.summary', { ...always, groupBy: 'key' });
  const byModel = await call('usage.summary', { ...always, groupBy: 'model' });
  const shown = await call('keys.list', {});
  const ofKey = db.prepare<[string], { cost: number; requests: number }>(
    'SELECT coalesce(sum(cost_nano), 0) AS cost, count(*) AS requests FROM requests WHERE key_id = ?',
  );
  let all = 0;
  for (const { id, limitNano, resetsAt } of keys) {
    const { cost = 0, requests = 0 } = ofKey.get(id) ?? {};
    all += cost;
    const row = shown.find((key) => key.id === id);
    const group = byKey.find((one) => one.group === id);
    const same = row?.usageNano === cost && row.requests === requests && row.heldNano === 0;
    must(same, `the key says ${row?.usageNano} in ${row?.requests}, the rows ${cost} in ${requests}`);
    must((group?.costNano ?? 0) === cost, `the sums say ${group?.costNano}, the rows ${cost}`);
    if (!row) continue;
    if (limitNano !== null)
      must(
        (row.limitNano ?? 0) >= limitNano,
        `a limit of ${limitNano} was confirmed and is ${row.limitNano}`,
      );
    if (row.limitNano !== null) must(cost <= row.limitNano, `${cost} spent of ${row.limitNano}`);
    if (row.recurring) {
      const { usedNano, amountNano } = row.recurring;
      const room = amountNano + (row.topUp?.amountNano ?? 0);
      must(usedNano <= room, `${usedNano} spent of ${room} in the window`);
      // Rows of the day before are in no window any more.
      const sameDay = row.recurring.resetsAt === resetsAt;
      must(!sameDay || usedNano === cost, `the window says ${usedNano}, its rows ${cost}`);
    }
  }
  const inModels = byModel.reduce((sum, { costNano }) => sum + costNano, 0);
  const { totals, problem } = await call('status.get', {});
  must(problem === null, String(problem));
  must(
    totals.usageNano === all && inModels === all,
    `${totals.usageNano}, ${inModels} and ${all} are not one number`,
  );
  sums.usageNano = all;
}

function must(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
