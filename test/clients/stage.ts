/** What a client is played on: the built gateway, a scripted provider behind it, a tap before it, a home of its own. */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { RequestRow } from '#shared/model.ts';
import { environmentFor } from '../../electron/commands/run-environment.ts';
import { connectMethods } from '../../electron/connect/connect.ts';
import { addProvider, startGateway, temporaryFolder, usd, type Caller } from '../support/gateway.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';
import type { TestedClient } from './clients.ts';
import { startTap, type Tap } from './tap.ts';

export interface Ran {
  /** Both output streams without colours and frames, blanks squeezed: what a person reads. */
  screen: string;
  code: number | null;
  timedOut: boolean;
  ms: number;
}

export interface Stage extends Caller {
  client: TestedClient;
  upstream: Upstream;
  tap: Tap;
  keyId: string;
  gatewayUrl: string;
  providerId: string;
  /** Of the client's model. */
  setPrice(): Promise<void>;
  /** Rows since the last `reset`, oldest first. */
  rows(): Promise<RequestRow[]>;
  /** Forgets scripts, calls and rows. */
  reset(): Promise<void>;
  run(asked: { prompt: string; model?: string; timeoutMs?: number }): Promise<Ran>;
  close(): Promise<void>;
}

/** Far beyond what one prompt costs here. */
const LIMIT = usd('5');
const TIMEOUT_MS = 120_000;

export async function setStage(client: TestedClient, folder: string): Promise<Stage> {
  const upstream = await startUpstream();
  const gateway = await startGateway({ args: ['--no-dashboard'] });
  const tap = await startTap(gateway.url);
  const home = temporaryFolder();
  const work = path.join(home, 'work');
  mkdirSync(work);
  const { id: providerId } = await addProvider(gateway, upstream, client.provider);
  const setPrice = async () => {
    await gateway.call('prices.set', { providerId, model: client.model, input: '1', output: '10' });
  };
  await setPrice();

  let env = homeEnvironment(home);
  let keyId: string;
  if (client.tool === null) {
    const { key, secret } = await gateway.call('keys.create', { name: 'sdk', limitNano: LIMIT });
    keyId = key.id;
    env = environmentFor('node', { gatewayUrl: tap.url, secret, env });
  } else {
    keyId = await connectTool(client.tool, client.model, gateway, { home, env, tap });
  }
  let lastId = 0;
  const rowsAfter = async () => {
    const { rows } = await gateway.call('requests.list', { keyId, limit: 1000 });
    return rows.filter(({ id }) => id > lastId).toReversed();
  };

  return {
    client,
    upstream,
    tap,
    keyId,
    gatewayUrl: gateway.url,
    providerId,
    setPrice,
    call: gateway.call,
    tryCall: gateway.tryCall,
    rows: rowsAfter,
    async reset() {
      lastId = (await rowsAfter()).at(-1)?.id ?? lastId;
      upstream.reset();
      tap.reset();
    },
    run({ prompt, model = client.model, timeoutMs = TIMEOUT_MS }) {
      const command = client.command(folder, { prompt, model });
      return runProgram(command, { cwd: work, env: { ...env, ...client.env }, timeoutMs });
    },
    async close() {
      await tap.close();
      await gateway.dispose();
      await upstream.close();
      rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** The very change to its files that the Connect page makes. */
async function connectTool(
  tool: NonNullable<TestedClient['tool']>,
  model: string,
  gateway: Caller,
  { home, env, tap }: { home: string; env: NodeJS.ProcessEnv; tap: Tap },
): Promise<string> {
  const behindTap: Caller['call'] = async (name, input) => {
    const value = await gateway.call(name, input);
    if (typeof value === 'object' && value !== null && 'gatewayUrl' in value) value.gatewayUrl = tap.url;
    return value;
  };
  const dataDir = path.join(home, 'faregate');
  mkdirSync(dataDir);
  const connect = connectMethods({ dataDir, home, env })(behindTap);
  const { hash } = await connect['connect.plan']({ tool, model, undo: false });
  const { tool: row } = await connect['connect.apply']({ tool, planHash: hash, model, limitNano: LIMIT });
  if (row.keyId === null) throw new Error(`${tool} got no key`);
  return row.keyId;
}

/** Nothing of this user's: no login, no configuration, no proxy. */
function homeEnvironment(home: string): NodeJS.ProcessEnv {
  const dead = 'http://127.0.0.1:9';
  return {
    PATH: [path.dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(path.delimiter),
    HOME: home,
    XDG_CONFIG_HOME: path.join(home, '.config'),
    XDG_DATA_HOME: path.join(home, '.local', 'share'),
    XDG_STATE_HOME: path.join(home, '.local', 'state'),
    XDG_CACHE_HOME: path.join(home, '.cache'),
    TMPDIR: home,
    LANG: 'C.UTF-8',
    TERM: 'xterm',
    NO_COLOR: '1',
    // Where the system has no network namespaces, whatever leaves the machine goes nowhere all the same.
    ...(process.env['FAREGATE_CLIENTS_ISOLATED'] === '1'
      ? {}
      : { HTTP_PROXY: dead, HTTPS_PROXY: dead, NO_PROXY: '127.0.0.1,localhost' }),
  };
}

function runProgram(
  [program = '', ...args]: readonly string[],
  { cwd, env, timeoutMs }: { cwd: string; env: NodeJS.ProcessEnv; timeoutMs: number },
): Promise<Ran> {
  return new Promise((resolve) => {
    const started = performance.now();
    // A group of its own, so that what it starts ends with it.
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const output: Buffer[] = [];
    let timedOut = false;
    const end = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // All of it has ended.
      }
    };
    const timer = setTimeout(() => {
      timedOut = true;
      end();
    }, timeoutMs);
    child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => output.push(bytes));
    const done = (code: number | null, text: string) => {
      clearTimeout(timer);
      end();
      resolve({ screen: readable(text), code, timedOut, ms: performance.now() - started });
    };
    child.once('error', (error) => done(null, error.message));
    child.once('exit', (code) => setImmediate(() => done(code, Buffer.concat(output).toString('utf8'))));
  });
}

function readable(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/[\u2500-\u257F]/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
