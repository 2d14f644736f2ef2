/** Finds a Chromium for the tests that need a real browser, and installs one where there is none. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from '@playwright/test';

/** The one without any interface of its own starts, and opens a page, for half the processor time of a whole browser. */
const HEADLESS = 'chromium-headless-shell';
const names = [HEADLESS, 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

const macApplications = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

/** The path of a Chromium that can be run, or null. `CHROMIUM_PATH` wins where it is set. */
export function findChromium(): string | null {
  const named = process.env['CHROMIUM_PATH'];
  if (named) return isExecutable(named) ? named : null;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    // `npm exec` puts node_modules/.bin first; a browser is never there.
    if (folder === '' || folder.endsWith('.bin')) continue;
    for (const name of names) {
      const path = join(folder, name);
      if (isExecutable(path) && !isSnapStub(path)) return path;
    }
  }
  for (const path of macApplications) if (isExecutable(path)) return path;
  const ownOfPlaywright = chromium.executablePath();
  return existsSync(ownOfPlaywright) ? ownOfPlaywright : null;
}

/** Like `findChromium`, but installs one where none is found. Throws with what to do where that fails too. */
export function ensureChromium(say: (line: string) => void = console.log): string {
  const found = findChromium();
  if (found) return found;
  if (process.env['CHROMIUM_PATH'])
    throw new Error(`CHROMIUM_PATH names no program: ${process.env['CHROMIUM_PATH']}`);

  // Debian's package brings the system libraries that Playwright's own download lacks on a bare machine.
  if (isDebian() && process.getuid?.() === 0) {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    runQuietly('apt-get', ['update', '-qq'], 120_000, environment);
    // Releases before Debian 12 have only the whole browser.
    for (const name of [HEADLESS, 'chromium']) {
      say(`No Chromium here: installing the Debian package (apt-get install ${name}).`);
      const packages = ['-y', '-qq', '--no-install-recommends', name, 'fonts-liberation'];
      runQuietly('apt-get', ['install', ...packages], 300_000, environment);
      const installed = findChromium();
      if (installed) return installed;
    }
  }

  say("No Chromium here: downloading Playwright's (playwright install chromium).");
  const cli = join(import.meta.dirname, '..', '..', 'node_modules', '@playwright', 'test', 'cli.js');
  runQuietly(process.execPath, [cli, 'install', 'chromium'], 300_000, process.env);
  const downloaded = findChromium();
  if (downloaded) return downloaded;
  throw new Error('No Chromium found or installed. Install one and set CHROMIUM_PATH to its program.');
}

/** Chromium refuses its sandbox to root, and a container has a small /dev/shm; nothing here loads foreign pages. */
export const chromiumArguments: readonly string[] = [
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Ubuntu's `chromium-browser` is a script that only asks for a snap to be installed. */
function isSnapStub(path: string): boolean {
  try {
    const start = readFileSync(path).subarray(0, 4096).toString('latin1');
    return start.startsWith('#!') && start.includes('snap install');
  } catch {
    return false;
  }
}

function isDebian(): boolean {
  try {
    return /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'));
  } catch {
    return false;
  }
}

/** Shows the output only where the command failed. */
function runQuietly(
  command: string,
  args: string[],
  timeoutMs: number,
  environment: NodeJS.ProcessEnv,
): void {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: timeoutMs, env: environment });
  if (result.status === 0) return;
  const tail = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`
    .trim()
    .split('\n')
    .slice(-8);
  console.error(`${command} ${args.join(' ')} failed:\n  ${tail.join('\n  ')}`);
}
