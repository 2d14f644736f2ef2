/** What is compared: each passes on what the load sends to the same provider. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startGateway, temporaryFolder, usd } from '../support/gateway.ts';
import type { Where } from './load.ts';

export interface Contender {
  name: string;
  where: Where;
  /** Those whose CPU time and memory count; none for the direct way. */
  pids(): number[];
  stop(): Promise<void>;
}

/** One core for what is measured, the other for the provider and the load. */
export const GATEWAY_CORE = '0';
export const LOAD_CORE = '1';

/** The threads a process starts later inherit it. */
export function pin(pid: number | undefined, core: string): void {
  if (pid !== undefined) execFileSync('taskset', ['-acp', core, String(pid)], { stdio: 'ignore' });
}

/** A script of this folder as a process of its own, which tells its port. */
export async function startChild(
  script: string,
  args: string[],
  core: string,
): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  pin(child.pid, core);
  const [message] = (await once(child, 'message')) as [{ port: number }];
  return { child, port: message.port };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

export function direct(provider: number): Contender {
  const where = { port: provider, headers: 'Authorization: Bearer sk-upstream\r\n' };
  return { name: 'direct', where, pids: () => [], stop: async () => {} };
}

/** The floor: node:http and undici, without a meter. */
export async function pipe(provider: number): Promise<Contender> {
  const { child, port } = await startChild('pipe.ts', [String(provider)], GATEWAY_CORE);
  return {
    name: 'node pipe',
    where: { port, headers: 'Authorization: Bearer sk-upstream\r\n' },
    pids: () => (child.pid === undefined ? [] : [child.pid]),
    stop: () => end(child),
  };
}

export interface Faregate extends Contender {
  /** How long the event loop is held up meanwhile, in ms. */
  loopDelay(during: () => Promise<unknown>): Promise<{ p99: number; max: number }>;
}

/** The built program: its meter, admission and ledger on, a key with a limit that is far away. */
export async function faregate(provider: number, nodeOptions: string[] = []): Promise<Faregate> {
  const options = [`--import=${join(import.meta.dirname, 'loop-delay.ts')}`, ...nodeOptions];
  const gateway = await startGateway({ env: { NODE_OPTIONS: options.join(' ') } });
  pin(gateway.pid, GATEWAY_CORE);
  const { id: providerId } = await gateway.call('providers.create', {
    kind: 'openai-compatible',
    name: 'Bench',
    slug: 'bench',
    baseUrl: `http://127.0.0.1:${provider}/v1`,
    credential: 'sk-upstream',
  });
  await gateway.call('prices.set', { providerId, model: 'bench-model', input: '1', output: '4' });
  const { secret } = await gateway.call('keys.create', {
    name: 'bench',
    limitNano: usd('1000000'),
    recurring: null,
  });
  /** See loop-delay.ts. */
  const toggle = async (): Promise<string> => {
    const before = gateway.output().length;
    process.kill(gateway.pid, 'SIGUSR2');
    for (;;) {
      const said = /loop-delay (\{.*\})\n/.exec(gateway.output().slice(before))?.[1];
      if (said !== undefined) return said;
      await delay(20);
    }
  };
  return {
    name: 'Faregate',
    where: { port: Number(new URL(gateway.url).port), headers: `Authorization: Bearer ${secret}\r\n` },
    pids: () => [gateway.pid],
    async stop() {
      await gateway.stop();
      await gateway.dispose();
    },
    async loopDelay(during) {
      await toggle();
      await during();
      return JSON.parse(await toggle()) as { p99: number; max: number };
    },
  };
}

/** Outside the project: what is compared with is no part of it. */
const cache = join(homedir(), '.cache', 'faregate-bench');

/** Portkey's gateway from npm, installed once; null where that is not possible. */
export async function portkey(provider: number): Promise<Contender | null> {
  const program = join(cache, 'node_modules', '@portkey-ai', 'gateway', 'build', 'start-server.js');
  if (!existsSync(program)) {
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, 'package.json'), '{ "private": true }\n');
    try {
      const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '@portkey-ai/gateway'];
      execFileSync('npm', install, { cwd: cache, stdio: 'ignore', timeout: 300_000 });
    } catch {
      return null;
    }
  }
  const port = await freePort();
  const child = spawn(process.execPath, [program, `--port=${port}`, '--headless'], {
    stdio: 'ignore',
    env: { ...process.env, NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' },
  });
  pin(child.pid, GATEWAY_CORE);
  if (!(await answers(port))) {
    await end(child);
    return null;
  }
  const headers = `Authorization: Bearer sk-upstream\r\nx-portkey-provider: openai\r\nx-portkey-custom-host: http://127.0.0.1:${provider}/v1\r\n`;
  return {
    name: 'Portkey',
    where: { port, headers },
    pids: () => (child.pid === undefined ? [] : [child.pid]),
    stop: () => end(child),
  };
}

/** One worker, keep-alive to the provider, nothing stored on the way; null where nginx is not installed. */
export async function nginx(provider: number): Promise<Contender | null> {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' });
  } catch {
    return null;
  }
  const folder = temporaryFolder();
  const port = await freePort();
  const path = (name: string) => join(folder, name);
  writeFileSync(
    path('nginx.conf'),
    `daemon off; worker_processes 1; pid ${path('pid')}; error_log ${path('error.log')};
     events { worker_connections 16384; }
     http {
       access_log off; client_max_body_size 256m; client_body_buffer_size 6m; keepalive_requests 1000000;
       client_body_temp_path ${path('body')}; proxy_temp_path ${path('proxy')}; fastcgi_temp_path ${path('fastcgi')};
       uwsgi_temp_path ${path('uwsgi')}; scgi_temp_path ${path('scgi')};
       upstream provider { server 127.0.0.1:${provider}; keepalive 512; keepalive_requests 1000000; }
       server {
         listen 127.0.0.1:${port} backlog=8192;
         location / {
           proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
           proxy_read_timeout 600s;
         }
       }
     }`,
  );
  const child = spawn('nginx', ['-c', path('nginx.conf'), '-p', folder], { stdio: 'ignore' });
  pin(child.pid, GATEWAY_CORE);
  if (!(await answers(port))) {
    await end(child);
    return null;
  }
  return {
    name: 'nginx',
    where: { port, headers: 'Authorization: Bearer sk-upstream\r\n' },
    pids: () => (child.pid === undefined ? [] : [child.pid, ...childrenOf(child.pid)]),
    async stop() {
      // Its worker ends with it where it is told, and lives on where it is killed.
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function answers(port: number): Promise<boolean> {
  for (let tries = 0; tries < 100; tries += 1) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => (socket.destroy(), resolve(true)));
      socket.once('error', () => resolve(false));
    });
    if (open) return true;
    await delay(100);
  }
  return false;
}

/** CPU time of these processes so far, all their threads, in µs. */
export function cpuMicros(pids: readonly number[]): number {
  return sum(pids, (pid) =>
    sum(readdirSync(`/proc/${pid}/task`), (thread) => {
      // Nanoseconds on a core; a thread may end while it is looked at.
      const path = `/proc/${pid}/task/${thread}/schedstat`;
      return existsSync(path) ? Number(readFileSync(path, 'utf8').split(' ')[0]) / 1000 : 0;
    }),
  );
}

/** Resident memory, in bytes. */
export function memory(pids: readonly number[]): number {
  return sum(pids, (pid) => {
    const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
    return Number(kilobytes) * 1024;
  });
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0);
}
