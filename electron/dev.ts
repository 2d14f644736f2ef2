/**
 * For work on Faregate itself: the renderer from Vite's server, which shows every change at once, and a gateway that is
 * built again and restarted when its sources change.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createServer as createViteServer } from 'vite';
import { LOOPBACK } from '#shared/defaults.ts';
import { distFolder, projectRoot, type TargetName } from './build.ts';

/** Editors save in several steps, and formatters save again. */
const SETTLE_MS = 150;
const API_PATH = '/api/';

export interface DevOptions {
  args: readonly string[];
  /** Electron's program; null = headless, in a browser. */
  electron: string | null;
  /** Builds what is stale; false where that failed and was said. */
  build: (names: readonly TargetName[]) => Promise<boolean>;
  say: (text: string) => void;
}

/** Runs until it gets a signal. */
export async function develop({ args, electron, build, say }: DevOptions): Promise<void> {
  const gateway: { now: GatewayAddress | null } = { now: null };
  // The gateway's token changes with each restart; the page keeps this one.
  const token = randomBytes(32).toString('base64url');
  const vite = await startVite((request, response) => forward(request, response, token, gateway.now));
  const page = vite.url;
  const app = electron === null ? headlessApp(args, gateway) : desktopApp(electron, args, page);
  say(electron === null ? `dashboard at ${page}#token=${token}` : `page served from ${page}`);

  let stopping = false;
  let child: ChildProcess | null = null;
  const start = async () => {
    if ((await build(app.targets)) && !stopping) child = app.start();
  };
  const restart = async () => {
    say('sources changed');
    if (!(await build(app.targets)) || stopping) return;
    await end(child);
    if (!stopping) child = app.start();
  };
  const stopWatching = watchSources(restart);
  await start();

  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
  stopping = true;
  stopWatching();
  await Promise.all([end(child), vite.close()]);
}

interface GatewayAddress {
  apiUrl: string;
  token: string;
}

interface App {
  targets: readonly TargetName[];
  start(): ChildProcess;
}

function headlessApp(args: readonly string[], gateway: { now: GatewayAddress | null }): App {
  return {
    targets: ['cli'],
    start() {
      const child = spawnApp(
        process.execPath,
        [path.join(distFolder, 'cli.js'), '--json', '--no-dashboard', ...args],
        {},
      );
      if (child.stdout) {
        createInterface({ input: child.stdout }).once('line', (line) => {
          gateway.now = JSON.parse(line);
          process.stdout.write(`${line}\n`);
        });
      }
      return child;
    },
  };
}

function desktopApp(electron: string, args: readonly string[], page: string): App {
  return {
    targets: ['main', 'preload'],
    start: () => spawnApp(electron, [projectRoot, ...args], { FAREGATE_DEV_SERVER: page }),
  };
}

function spawnApp(program: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  // In a group of its own, or Ctrl+C would reach it twice, and a second signal means "at once".
  return spawn(program, args, {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 2],
    env: { ...process.env, ...env },
    detached: process.platform !== 'win32',
  });
}

async function end(child: ChildProcess | null): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

function watchSources(changed: () => Promise<void>): () => void {
  let timer: NodeJS.Timeout | undefined;
  let last: Promise<void> = Promise.resolve();
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      last = last.then(changed);
    }, SETTLE_MS);
  };
  const watchers = ['electron', 'shared'].map((folder) =>
    watch(path.join(projectRoot, folder), { recursive: true }, soon),
  );
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

interface PageServer {
  url: string;
  close(): Promise<void>;
}

/** Vite behind a server of our own: run by itself it would end the process, and with it the order of ending. */
async function startVite(
  api: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<PageServer> {
  const server = createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const vite = await createViteServer({
    configFile: path.join(projectRoot, 'renderer', 'vite.config.ts'),
    configLoader: 'native',
    root: path.join(projectRoot, 'renderer'),
    clearScreen: false,
    // In the window the page's own address is not that of the server, so the reloading socket has to be told.
    server: { middlewareMode: true, hmr: { server, host: LOOPBACK, clientPort: port, protocol: 'ws' } },
  });
  server.on('request', (request, response) => {
    if (request.url?.startsWith(API_PATH)) api(request, response);
    else vite.middlewares(request, response);
  });
  return {
    url: `http://${LOOPBACK}:${port}/`,
    async close() {
      server.close();
      server.closeAllConnections();
      await vite.close();
    },
  };
}

/** The contract behind Vite's address. What the gateway would refuse a browser for, this server is to refuse, too. */
function forward(
  request: IncomingMessage,
  response: ServerResponse,
  token: string,
  gateway: GatewayAddress | null,
): void {
  if (request.headers.authorization !== `Bearer ${token}`) return void response.writeHead(401).end();
  if (!gateway) return void response.writeHead(503).end();
  const sent = httpRequest(`${gateway.apiUrl}/${(request.url ?? '').slice(API_PATH.length)}`, {
    method: request.method,
    headers: {
      authorization: `Bearer ${gateway.token}`,
      ...(request.headers['content-type'] ? { 'content-type': request.headers['content-type'] } : {}),
    },
  });
  sent.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  // Between two gateways there is none.
  sent.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(503).end()));
  response.on('close', () => sent.destroy());
  request.pipe(sent);
}
