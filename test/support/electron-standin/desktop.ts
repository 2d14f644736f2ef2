/** Starts the built desktop app against the stand-in, in a process of its own, and gives the test its hands and eyes. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium, type BrowserContext, type Page } from 'playwright-core';
import { chromiumArguments, ensureChromium } from '../chromium.ts';
import { easePages } from '../page.ts';
import { PATIENCE_MS } from '../patience.ts';
import { toChromium } from './contents.ts';
import { CDP_ENDPOINT, type Command, type FromApp } from './protocol.ts';

const projectRoot = path.resolve(import.meta.dirname, '..', '..', '..');

export interface TestBrowser {
  readonly context: BrowserContext;
  readonly endpoint: string;
  close(): Promise<void>;
}

/** One browser serves all apps of a test file: the app opens its pages in it, the test looks at them. */
export async function openBrowser(): Promise<TestBrowser> {
  const profile = mkdtempSync(path.join(tmpdir(), 'faregate-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: ensureChromium(),
    args: [...chromiumArguments, '--remote-debugging-port=0'],
    timeout: PATIENCE_MS,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  await easePages(context);
  // Chromium writes the port it chose, and the path of the browser's own endpoint, into its profile.
  const [port, endpoint] = readFileSync(path.join(profile, 'DevToolsActivePort'), 'utf8').trim().split('\n');
  return {
    context,
    endpoint: `ws://127.0.0.1:${port}${endpoint}`,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

type What = FromApp['what'];
type Entry<W extends What> = Extract<FromApp, { what: W }>;

export interface Desktop {
  readonly process: ChildProcess;
  /** All that was recorded so far. */
  readonly record: readonly FromApp[];
  /** The entries of one kind. */
  all<W extends What>(what: W): Entry<W>[];
  /** Resolves with the entry number `index` of this kind, recorded already or to come. */
  entry<W extends What>(what: W, index?: number): Promise<Entry<W>>;
  /** The page of the window that is opened next, or is open already. */
  page(): Promise<Page>;
  send(command: Command): void;
  /** Resolves with the exit code. */
  ended(): Promise<number | null>;
  output(): string;
}

export interface DesktopOptions {
  browser: TestBrowser;
  dataDir: string;
  args?: string[];
  /** Words in front of all options: a command of the command line. */
  before?: string[];
  env?: Record<string, string>;
  /** The built main process; the one of this checkout where nothing else is said. */
  program?: string;
}

const builtProgram = path.join(projectRoot, 'dist', 'main.js');

export function startDesktop(options: DesktopOptions): Desktop {
  const { browser, dataDir, args = [], before = [], env = {}, program = builtProgram } = options;
  if (!existsSync(program)) throw new Error(`${program} is missing: run \`npm run build\` first`);
  const pagesBefore = new Set(browser.context.pages());
  const child = fork(program, [...before, '--data-dir', dataDir, ...args], {
    execArgv: ['--import', path.join(import.meta.dirname, 'register.ts')],
    env: { ...process.env, ...env, [CDP_ENDPOINT]: browser.endpoint },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  // What it told last is read by then, too: of the two, either can be noticed first.
  const exited = Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  }

  const record: FromApp[] = [];
  const waiting = new Set<() => void>();
  child.on('message', (message) => {
    record.push(message as FromApp);
    for (const look of waiting) look();
  });
  const all = <W extends What>(what: W) => record.filter((one): one is Entry<W> => one.what === what);

  return {
    process: child,
    record,
    all,
    entry: (what, index = 0) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = all(what)[index];
          if (!found) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
        void exited.then(() => reject(new Error(`the app ended before '${what}' was recorded:\n${output}`)));
      }),
    page: () => windowPage(browser.context, pagesBefore),
    send: (command) => void child.send(command),
    async ended() {
      await exited;
      return child.exitCode;
    },
    output: () => output,
  };
}

/** The page that shows the app's own address: others, such as one that is just being refused, come and go. */
function windowPage(context: BrowserContext, before: ReadonlySet<Page>): Promise<Page> {
  return new Promise((resolve) => {
    const look = (page: Page) => {
      if (page.isClosed() || before.has(page) || !page.url().startsWith(toChromium('faregate-app://window/')))
        return;
      context.off('page', watch);
      resolve(page);
    };
    const watch = (page: Page) => {
      page.on('framenavigated', () => look(page));
      look(page);
    };
    context.on('page', watch);
    for (const page of context.pages()) watch(page);
  });
}
