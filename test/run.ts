/**
 * Everything the project tests about itself: build, then vitest and playwright beside each other, and check (types,
 * lint, format) in what time those leave the processors idle.
 *
 *   node test/run.ts                        all of it
 *   node test/run.ts check                  one part; the parts are named in `parts` below
 *   node test/run.ts vitest test/gateway    one part, for these files
 *   node test/run.ts screenshots            pictures of every page, for looking at, under test-results/screenshots;
 *                                           with --update-screenshots the README's too
 *
 * The last line is `N passed, N failed`, with `, N skipped` where any were; the exit code is 1 where any failed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, setPriority, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ensureChromium } from './support/chromium.ts';

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface Ended {
  code: number;
  output: string;
}

/** How a part runs beside others: they run at the same time, and are read one after the other. */
interface Turn {
  /** What it has said, kept until those before it are through; null = shown as it comes. */
  held: Buffer[] | null;
  /** Runs on what the others leave of the processors. */
  yields: boolean;
}

interface Started {
  name: Part;
  turn: Turn;
  /** null where it was not run, for want of a built program. */
  ended: Promise<{ count: Count; seconds: number } | null>;
}

const root = resolve(import.meta.dirname, '..');
const reports = mkdtempSync(join(tmpdir(), 'faregate-test-'));
const running = new Set<ChildProcess>();
const environment: NodeJS.ProcessEnv = {
  ...process.env,
  // The program is started a hundred times and more: what it is made of is compiled once.
  NODE_COMPILE_CACHE: join(reports, 'compiled'),
};
const failures: string[] = [];

type Browser = { path: string } | { missing: string };
let browser: Browser | undefined;

const parts = { check, build, vitest, playwright, screenshots } satisfies Record<
  string,
  (paths: string[], turn: Turn) => Promise<Count>
>;
type Part = keyof typeof parts;
const testsWhatIsBuilt: ReadonlySet<Part> = new Set(['vitest', 'playwright', 'screenshots']);
const isPart = (name: string | undefined): name is Part => name !== undefined && Object.hasOwn(parts, name);

process.once('SIGINT', () => interrupt('SIGINT', 130));
process.once('SIGTERM', () => interrupt('SIGTERM', 143));

const code = await main(process.argv.slice(2));
rmSync(reports, { recursive: true, force: true });
process.exit(code);

async function main(given: string[]): Promise<number> {
  const words = given.filter((word) => word !== '--update-screenshots');
  if (given.includes('--update-screenshots')) environment['UPDATE_SCREENSHOTS'] = '1';
  const [first, ...paths] = words;
  if (first !== undefined && !isPart(first)) {
    console.error(`Unknown part "${first}". Parts: ${Object.keys(parts).join(', ')}; --update-screenshots.`);
    return 2;
  }

  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  const started = startParts(first, paths);
  for (const { name, turn, ended } of started) {
    console.log(`\n── ${name}`);
    for (const chunk of turn.held ?? []) process.stdout.write(chunk);
    turn.held = null;
    // A browser that has to be installed is so while the build runs.
    if (name === 'build' && started.length > 1) prepareChromium();
    const result = await ended;
    if (result === null) {
      console.log(`── ${name}: not run, since there is no program to test`);
      continue;
    }
    console.log(`── ${name}: ${describe(result.count)} in ${result.seconds.toFixed(1)} s`);
    total.passed += result.count.passed;
    total.failed += result.count.failed;
    total.skipped += result.count.skipped;
  }

  if (failures.length > 0) console.log(`\nFailed:\n${failures.map((line) => `  ${line}`).join('\n')}`);
  console.log(`\n${describe(total)}`);
  return total.failed > 0 ? 1 : 0;
}

/**
 * Starts a part, or all of them, in the order in which they are read. Tests run what is built, so a part that runs tests
 * brings the build with it; what is not stale costs nothing.
 */
function startParts(part: Part | undefined, paths: string[]): Started[] {
  // Together, so that no processor is idle at the end of one while the other has not begun. What only computes takes
  // what they leave: it has no deadlines, and is not to be why a test is slow.
  const names: Part[] = part === undefined ? ['build', 'vitest', 'playwright', 'check'] : [part];
  if (part !== undefined && testsWhatIsBuilt.has(part)) names.unshift('build');
  let built: Started['ended'] | undefined;
  return names.map((name, index): Started => {
    // The build is over when the first tests begin.
    const turn: Turn = { held: index < 2 ? null : [], yields: name === 'check' && index > 0 };
    const ended = testsWhatIsBuilt.has(name)
      ? built?.then((before) => (before?.count.failed === 0 ? runPart(name, paths, turn) : null))
      : runPart(name, paths, turn);
    if (name === 'build') built = ended;
    return { name, turn, ended: ended ?? Promise.resolve(null) };
  });
}

async function runPart(name: Part, paths: string[], turn: Turn) {
  const from = performance.now();
  const count = await parts[name](paths, turn);
  return { count, seconds: (performance.now() - from) / 1000 };
}

async function check(_paths: string[], turn: Turn): Promise<Count> {
  const tools: [label: string, program: string, args: string[]][] = [
    // The linter has the compiler read every file for its own rules, so that it says what the compiler says as well.
    ['types and lint', bin('oxlint', 'oxlint'), ['--type-aware', '--type-check', '--deny-warnings']],
    ['format', bin('oxfmt', 'oxfmt'), ['--check']],
  ];
  const ended = await Promise.all(
    tools.map(async ([label, program, args]) => {
      const result = await run(program, args, { ...turn, held: [] });
      say(turn, `${result.code === 0 ? '✓' : '✗'} ${label}`);
      return { label, result };
    }),
  );
  for (const { label, result } of ended) {
    if (result.code === 0) continue;
    failures.push(label);
    say(turn, `\n${label}:\n${result.output.trim()}`);
  }
  const failed = ended.filter(({ result }) => result.code !== 0).length;
  return { passed: ended.length - failed, failed, skipped: 0 };
}

async function build(_paths: string[], turn: Turn): Promise<Count> {
  const { code: ended } = await run(join(root, 'electron', 'launch.ts'), ['--build-only'], turn);
  if (ended !== 0) failures.push('build');
  return { passed: ended === 0 ? 1 : 0, failed: ended === 0 ? 0 : 1, skipped: 0 };
}

async function vitest(paths: string[], turn: Turn): Promise<Count> {
  const report = join(reports, 'vitest.json');
  prepareChromium();
  const args = ['run', '--config', join('test', 'vitest.config.ts'), '--reporter=default', '--reporter=json'];
  const ended = await run(bin('vitest', 'vitest'), [...args, `--outputFile.json=${report}`, ...paths], turn);
  const count: Count = { passed: 0, failed: 0, skipped: 0 };
  for (const file of list(readReport(report), 'testResults')) {
    const tests = list(file, 'assertionResults');
    for (const test of tests) {
      const status = field(test, 'status');
      if (status === 'passed') count.passed += 1;
      else if (status === 'failed')
        addFailure(count, `${relative(field(file, 'name'))}: ${text(field(test, 'fullName'))}`);
      else count.skipped += 1;
    }
    // A file that cannot be loaded has no tests to fail.
    if (tests.length === 0 && field(file, 'status') === 'failed')
      addFailure(count, relative(field(file, 'name')));
  }
  return orFailedAsAWhole(count, ended.code, 'vitest');
}

async function playwright(paths: string[], turn: Turn): Promise<Count> {
  const report = join(reports, 'playwright.json');
  const count: Count = { passed: 0, failed: 0, skipped: 0 };
  const chromium = prepareChromium();
  if ('missing' in chromium) {
    addFailure(count, chromium.missing);
    return count;
  }
  environment['PLAYWRIGHT_JSON_OUTPUT_FILE'] = report;
  const config = join('test', 'e2e', 'playwright.config.ts');
  const args = ['test', '--config', config, '--reporter=list,json'];
  const ended = await run(bin('@playwright/test', 'playwright'), [...args, ...paths], turn);
  const visit = (suite: unknown) => {
    for (const inner of list(suite, 'suites')) visit(inner);
    for (const spec of list(suite, 'specs')) {
      for (const test of list(spec, 'tests')) {
        const status = field(test, 'status');
        if (status === 'expected') count.passed += 1;
        else if (status === 'skipped') count.skipped += 1;
        else addFailure(count, `test/e2e/${text(field(spec, 'file'))}: ${text(field(spec, 'title'))}`);
      }
    }
  };
  visit(readReport(report));
  return orFailedAsAWhole(count, ended.code, 'playwright');
}

/** Takes pictures and tests nothing, so it runs only where it is named. */
async function screenshots(paths: string[], turn: Turn): Promise<Count> {
  prepareChromium();
  const config = join('test', 'e2e', 'screenshots.config.ts');
  const args = ['test', '--config', config, '--reporter=list', ...paths];
  const ended = await run(bin('@playwright/test', 'playwright'), args, turn);
  return orFailedAsAWhole({ passed: 0, failed: 0, skipped: 0 }, ended.code, 'screenshots');
}

/** Sought, and where need be installed, once a run. */
function prepareChromium(): Browser {
  if (browser) return browser;
  try {
    const path = ensureChromium();
    environment['CHROMIUM_PATH'] = path;
    browser = { path };
  } catch (error) {
    browser = { missing: error instanceof Error ? error.message : String(error) };
    console.error(browser.missing);
  }
  return browser;
}

function addFailure(count: Count, what: string): void {
  count.failed += 1;
  failures.push(what);
}

/** A runner can fail without a failed test: no test found, a fault outside any test. That must not look like a pass. */
function orFailedAsAWhole(count: Count, exitCode: number, name: string): Count {
  if (exitCode !== 0 && count.failed === 0) addFailure(count, `${name} ended with code ${exitCode}`);
  return count;
}

function run(program: string, args: string[], turn: Turn): Promise<Ended> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: root,
      env: environment,
      stdio: turn.held ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
    });
    running.add(child);
    // Not the last of all on the machine: beside the load of others it would only begin when all else is over.
    if (turn.yields && child.pid !== undefined)
      setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    const said: Buffer[] = [];
    const keep = (chunk: Buffer) => {
      said.push(chunk);
      say(turn, chunk);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.once('error', (error) => done({ code: 1, output: error.message }));
    child.once('close', (exitCode) => {
      running.delete(child);
      done({ code: exitCode ?? 1, output: Buffer.concat(said).toString('utf8') });
    });
  });
}

function say({ held }: Turn, what: string | Buffer): void {
  const bytes = typeof what === 'string' ? Buffer.from(`${what}\n`) : what;
  if (held) held.push(bytes);
  else process.stdout.write(bytes);
}

/** The script behind a package's command, so that it runs on this Node whatever the PATH says. */
function bin(packageName: string, command: string): string {
  const manifest = join(root, 'node_modules', packageName, 'package.json');
  const bins: unknown = field(JSON.parse(readFileSync(manifest, 'utf8')), 'bin');
  const path = typeof bins === 'string' ? bins : field(bins, command);
  return resolve(dirname(manifest), text(path));
}

function interrupt(signal: NodeJS.Signals, exitCode: number): void {
  for (const child of running) child.kill(signal);
  rmSync(reports, { recursive: true, force: true });
  process.exit(exitCode);
}

function readReport(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function list(value: unknown, name: string): unknown[] {
  const found = field(value, name);
  return Array.isArray(found) ? found : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '?';
}

function relative(path: unknown): string {
  return text(path).replace(`${root}/`, '');
}

function describe(count: Count): string {
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
  return `${count.passed} passed, ${count.failed} failed${skipped}`;
}
