#!/usr/bin/env node
/**
 * What the npm scripts and the `faregate` command of a checkout run: builds what is stale, then starts the desktop app,
 * or the headless gateway where it was asked for or where there can be no window.
 *
 *   node electron/launch.ts [args]             desktop app
 *   node electron/launch.ts COMMAND [args]     a command of the command line (see `help`), in this very process
 *   node electron/launch.ts --headless [args]  headless gateway (see `gateway --help`), the same way
 *   node electron/launch.ts --dev [args]       the same with reload, for work on Faregate itself
 *   node electron/launch.ts --build-only
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { distFolder, projectRoot, staleTargets, targetNames, type TargetName } from './build.ts';
import { parseOptions } from './options.ts';

/** Fetching Electron's binary, about 120 MB, is given up after this. */
const FETCH_MS = 300_000;
/** A crash within this time is a machine that cannot show windows, not an app that failed at work. */
const EARLY_CRASH_MS = 10_000;

function say(text: string): void {
  process.stderr.write(`faregate: ${text}\n`);
}

/** Runs another program until it ends; its output goes to our error stream, the signals we get go to it. */
function run(
  command: string,
  args: readonly string[],
  options: { timeoutMs?: number; quiet?: boolean } = {},
) {
  const quiet = options.quiet ? 'ignore' : 2;
  return ended(
    spawn(command, args, {
      cwd: projectRoot,
      stdio: ['ignore', quiet, quiet],
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    }),
  );
}

interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
}

function ended(child: ChildProcess): Promise<Ending> {
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, forward);
  return new Promise<Ending>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve({ code, signal }));
  }).finally(() => {
    for (const signal of signals) process.off(signal, forward);
  });
}

/** The exit code of the build; 0 where nothing was stale. */
async function buildStale(names: readonly TargetName[]): Promise<number> {
  const stale = staleTargets(names);
  if (stale.length === 0) return 0;
  const { code } = await run(process.execPath, [path.join(import.meta.dirname, 'build.ts'), ...stale]);
  return code ?? 1;
}

/** Ends this process where the build fails: whatever lies in `dist/` is not what the sources say. */
async function ensureBuilt(names: readonly TargetName[]): Promise<void> {
  const code = await buildStale(names);
  if (code !== 0) process.exit(code);
}

async function startHeadless(args: readonly string[]): Promise<void> {
  await ensureBuilt(needsDashboard(args) ? ['cli', 'renderer'] : ['cli']);
  await enter(['gateway', ...args]);
}

async function startCommand(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === 'gateway') return startHeadless(rest);
  await ensureBuilt(['cli']);
  await enter(args);
}

/** In this process: its pid is the one the shell knows, and signals need no forwarding. */
async function enter(args: readonly string[]): Promise<void> {
  const entry = path.join(distFolder, 'cli.js');
  process.argv = [process.execPath, entry, ...args];
  await import(pathToFileURL(entry).href);
}

function needsDashboard(args: readonly string[]): boolean {
  try {
    const { help, version, dashboard } = parseOptions(args);
    return dashboard && !help && !version;
  } catch {
    // The program itself says what is wrong with its options.
    return false;
  }
}

async function startDesktop(args: readonly string[]): Promise<void> {
  const program = await findWindowProgram();
  if (program === null) return startHeadless(args);
  await ensureBuilt(['main', 'preload', 'renderer']);
  const startedAt = performance.now();
  // Set by editors that are Electron apps themselves; it would turn the app into plain Node.
  const { ELECTRON_RUN_AS_NODE: _, ...env } = process.env;
  const { code, signal } = await ended(spawn(program, [projectRoot, ...args], { stdio: 'inherit', env }));
  if (crashed(signal) && performance.now() - startedAt < EARLY_CRASH_MS) {
    say(`Electron cannot run on this machine (${signal}); starting without a window.`);
    return startHeadless(args);
  }
  process.exitCode = code ?? 1;
}

async function startDev(args: readonly string[]): Promise<void> {
  const electron = await findWindowProgram();
  const { develop } = await import('./dev.ts');
  await develop({ args, electron, say, build: async (names) => (await buildStale(names)) === 0 });
}

/** Electron's program; null, and a line that says why, where there can be no window. */
async function findWindowProgram(): Promise<string | null> {
  const reason = whyNoWindow();
  const binary = reason === null ? await electronBinary() : null;
  if (binary === null) {
    say(
      `${reason ?? "Electron's program is not installed and could not be fetched"}; starting without a window.`,
    );
  }
  return binary;
}

/** How Chromium ends where its sandbox cannot be set up, as in many containers. */
function crashed(signal: NodeJS.Signals | null): boolean {
  return signal === 'SIGTRAP' || signal === 'SIGABRT' || signal === 'SIGSEGV' || signal === 'SIGILL';
}

function whyNoWindow(): string | null {
  if (process.platform !== 'linux') return null;
  if (!process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY']) return 'There is no display here';
  // Chromium refuses to run its sandbox for root.
  if (process.getuid?.() === 0) return 'A window is not opened for root';
  return null;
}

/** The package brings no binary; it is fetched once, at the first start. null where that is not possible. */
async function electronBinary(): Promise<string | null> {
  const folder = path.dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  const installed = () => {
    const pointer = path.join(folder, 'path.txt');
    if (!existsSync(pointer)) return null;
    const binary = path.join(
      process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? path.join(folder, 'dist'),
      readFileSync(pointer, 'utf8'),
    );
    return existsSync(binary) ? binary : null;
  };
  if (installed() === null && !process.env['ELECTRON_SKIP_BINARY_DOWNLOAD']) {
    say("fetching Electron's program, once …");
    // Its own report of a failed download is a stack trace; one line of ours says what it means.
    await run(process.execPath, [path.join(folder, 'install.js')], { timeoutMs: FETCH_MS, quiet: true });
  }
  return installed();
}

async function main([mode, ...rest]: readonly string[]): Promise<void> {
  switch (mode) {
    case '--headless':
      return startHeadless(rest);
    case '--dev':
      return startDev(rest);
    case '--build-only':
      return ensureBuilt(targetNames);
    case undefined:
      return startDesktop([]);
    case '--help':
    case '-h':
    case '--version':
      return startCommand([mode, ...rest]);
    default:
      // The app itself takes only options.
      return mode.startsWith('-') ? startDesktop([mode, ...rest]) : startCommand([mode, ...rest]);
  }
}

await main(process.argv.slice(2));
