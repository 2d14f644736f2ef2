/**
 * Newer price data while running: fetched on the person's word or once a day where they allow it, believed only after
 * it was looked over, kept in the data folder. What ships with the application is always there to fall back on.
 *
 * Nothing is sent but the request for one public file: no version, no identifier, no list of what is used.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { request, type Dispatcher } from 'undici';
import * as z from 'zod';
import { messageOf } from '#shared/caught.ts';
import type { PriceDataInfo, PriceRefresh } from '#shared/pricing.ts';
import { catalogue, type CatalogueVendor } from './catalogue.ts';
import { readPriceFile, suspicion } from './price-file.ts';

/** Where the project genai-prices publishes its data (REMOTE_DATA_JSON_URL of the package). */
export const PRICE_DATA_URL =
  'https://raw.githubusercontent.com/pydantic/genai-prices/main/prices/new_data/v2/data.json';

export interface PriceData {
  info(): Promise<PriceDataInfo>;
  refresh(): Promise<PriceRefresh>;
  /** Looks whether the daily fetch is due, and fetches. Quiet where there is no network. */
  tick(): Promise<void>;
}

interface Options {
  dataDir: string;
  url: string;
  agent: Dispatcher;
  now: () => number;
  /** Whether the person allows the daily fetch. */
  daily(): boolean;
  /** Other prices are in force. */
  changed(): void;
  log:
    | { info(fields: object, message: string): void; warn(fields: object, message: string): void }
    | undefined;
}

const DAY_MS = 86_400_000;
/** After a fetch that failed, the next try of the daily fetch. */
const RETRY_MS = 3_600_000;
const TIMEOUT_MS = 30_000;
/** The file has some 400 kB. */
const MAX_BYTES = 8_000_000;

const FILE = 'prices.json';
const Stored = z.object({
  fetchedAt: z.int(),
  url: z.string(),
  etag: z.string().nullable(),
  vendors: z.unknown(),
});
type Stored = z.infer<typeof Stored>;

export async function createPriceData(options: Options): Promise<PriceData> {
  const { dataDir, url, now, log } = options;
  const path = join(dataDir, FILE);
  const shipped = await shippedData();
  let etag: string | null = null;
  let checkedAt: number | null = null;
  let triedAt: number | null = null;
  let problem: string | null = null;
  let running: Promise<PriceRefresh> | null = null;
  await load();

  /** What an earlier run fetched, where it is newer than what this version ships and still acceptable to it. */
  async function load(): Promise<void> {
    // Another gateway of this process may have left its own data in force.
    if (catalogue.info.name !== shipped.info.name) await catalogue.replace(null);
    const stored = readStored(path);
    if (stored === null) return;
    if (stored.url === url) checkedAt = triedAt = stored.fetchedAt;
    const date = dayOf(stored.fetchedAt);
    if (date <= shipped.info.date) return;
    const read = readPriceFile(stored.vendors, shipped.vendors);
    const reason = 'vendors' in read ? suspicion(read.vendors, shipped.vendors) : read.problem;
    if (!('vendors' in read) || reason !== null) {
      problem = `The price data fetched on ${date} is not used: ${reason} What ships with Faregate is in force.`;
      log?.warn({ date }, problem);
      return;
    }
    if (stored.url === url) etag = stored.etag;
    await catalogue.replace({ info: { name: nameOf(date), date }, vendors: read.vendors });
  }

  async function info(): Promise<PriceDataInfo> {
    const vendors = await catalogue.vendors();
    const { name, date } = catalogue.info;
    return {
      name,
      date,
      origin: name === shipped.info.name ? 'shipped' : 'fetched',
      url,
      vendors: vendors.length,
      models: vendors.reduce((sum, { models }) => sum + models.length, 0),
      checkedAt: checkedAt === null ? null : new Date(checkedAt).toISOString(),
      problem,
    };
  }

  async function fetchNow(): Promise<PriceRefresh> {
    const at = now();
    triedAt = at;
    const answer = (outcome: PriceRefresh['outcome'], message: string): Promise<PriceRefresh> =>
      info().then((data) => ({ outcome, message, data }));
    let got: Download;
    try {
      got = await download(url, options.agent, etag);
    } catch (error) {
      const detail = messageOf(error);
      log?.info({ detail }, 'price data not reached');
      return answer(
        'unreachable',
        `The price data could not be fetched: ${detail}. Prices stay as they are.`,
      );
    }
    checkedAt = at;
    if (got.text === null) {
      problem = null;
      return answer('unchanged', 'The price data in force is the newest.');
    }
    const refuse = (reason: string) => {
      problem = `The price data fetched on ${dayOf(at)} was refused: ${reason} The last good prices stay in force.`;
      log?.warn({}, problem);
      return answer('refused', problem);
    };
    const read = readPriceFile(parseJson(got.text), shipped.vendors);
    if (!('vendors' in read)) return refuse(read.problem);
    const reason = suspicion(read.vendors, await catalogue.vendors());
    if (reason !== null) return refuse(reason);
    const date = dayOf(at);
    // First on disk: what is in force now is in force after the next start too.
    try {
      store(path, { fetchedAt: at, url, etag: got.etag, vendors: read.vendors });
    } catch (error) {
      const detail = messageOf(error);
      return refuse(`it could not be saved (${detail}).`);
    }
    await catalogue.replace({ info: { name: nameOf(date), date }, vendors: read.vendors });
    etag = got.etag;
    problem = null;
    options.changed();
    const { models } = await info();
    return answer(
      'updated',
      `Prices of ${models.toLocaleString('en-US')} models, as of ${date}, are in force.`,
    );
  }

  /** Two calls at once share one fetch. */
  function refresh(): Promise<PriceRefresh> {
    running ??= fetchNow().finally(() => {
      running = null;
    });
    return running;
  }

  return {
    info,
    refresh,
    async tick() {
      if (!options.daily()) return;
      const at = now();
      const dueAt = Math.max((checkedAt ?? -Infinity) + DAY_MS, (triedAt ?? -Infinity) + RETRY_MS);
      if (at >= dueAt) await refresh();
    },
  };
}

const nameOf = (date: string) => `genai-prices ${date}`;
const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10);

let shippedOnce: Promise<{ info: typeof catalogue.info; vendors: readonly CatalogueVendor[] }> | undefined;

/** Asked for before anything was replaced, once a process. */
function shippedData() {
  shippedOnce ??= catalogue.vendors().then((vendors) => ({ info: catalogue.info, vendors }));
  return shippedOnce;
}

interface Download {
  /** null: not changed since the one with this tag. */
  text: string | null;
  etag: string | null;
}

async function download(url: string, agent: Dispatcher, etag: string | null): Promise<Download> {
  const { statusCode, headers, body } = await request(url, {
    dispatcher: agent,
    headers: {
      accept: 'application/json',
      'user-agent': 'faregate',
      ...(etag === null ? {} : { 'if-none-match': etag }),
    },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (statusCode === 304) {
    await body.dump();
    return { text: null, etag };
  }
  if (statusCode !== 200) {
    await body.dump();
    throw new Error(`the server answered with status ${statusCode}`);
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.length;
    if (length > MAX_BYTES) throw new Error('the file is far larger than price data is');
    chunks.push(chunk);
  }
  const tag = headers['etag'];
  return { text: Buffer.concat(chunks).toString('utf8'), etag: typeof tag === 'string' ? tag : null };
}

/** All of it or nothing: written beside, pushed to the disk, then put in the place of the old one. */
function store(path: string, stored: Stored): void {
  const next = `${path}.new`;
  const file = openSync(next, 'w', 0o600);
  try {
    writeSync(file, JSON.stringify(stored));
    fsyncSync(file);
  } catch (error) {
    closeSync(file);
    rmSync(next, { force: true });
    throw error;
  }
  closeSync(file);
  renameSync(next, path);
}

function readStored(path: string): Stored | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return null;
  }
  const parsed = Stored.safeParse(parseJson(text));
  return parsed.success ? parsed.data : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
