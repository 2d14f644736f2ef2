/**
 * Builds what is stale into `dist/`. Run as a process of its own (`node electron/build.ts [target…]`), so that the
 * bundler's memory and its changes to the environment never become the gateway's.
 */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import type { Plugin } from 'vite';
import { writeLicences } from './licences.ts';

export const projectRoot = path.resolve(import.meta.dirname, '..');
export const distFolder = path.join(projectRoot, 'dist');

interface Target {
  /** Folders and files whose change makes the output stale, from the project root. */
  sources: readonly string[];
  /** What must exist in `dist/` for the target to count as built. */
  output: string;
}

const always = ['shared', 'package.json', 'package-lock.json', 'electron/build.ts'];

export const targets = {
  main: { sources: ['electron', ...always], output: 'main.js' },
  preload: { sources: ['electron/preload.ts', ...always], output: 'preload.cjs' },
  cli: { sources: ['electron', ...always], output: 'cli.js' },
  renderer: { sources: ['renderer', ...always], output: 'renderer/index.html' },
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof targets;

export const targetNames = Object.keys(targets).filter(isTargetName);

function isTargetName(name: string): name is TargetName {
  return Object.hasOwn(targets, name);
}

/** The targets among `names` whose output is missing or older than its sources. */
export function staleTargets(names: readonly TargetName[]): TargetName[] {
  return names.filter((name) => {
    if (!existsSync(path.join(distFolder, targets[name].output))) return true;
    try {
      return readFileSync(stampFile(name), 'utf8') !== stampOf(targets[name]);
    } catch {
      return true;
    }
  });
}

const stampFile = (name: TargetName) => path.join(distFolder, '.stamps', name);

/** Names, sizes and times rather than contents: cheap enough to be taken at every start. */
function stampOf(target: Target): string {
  const hash = createHash('sha256');
  for (const source of target.sources) {
    for (const file of filesBelow(path.join(projectRoot, source))) {
      const { size, mtimeMs } = statSync(file);
      hash.update(`${path.relative(projectRoot, file)}\0${size}\0${mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}

function filesBelow(entry: string): string[] {
  if (!existsSync(entry)) return [];
  if (!statSync(entry).isDirectory()) return [entry];
  return readdirSync(entry, { withFileTypes: true, recursive: true })
    .filter((child) => child.isFile())
    .map((child) => path.join(child.parentPath, child.name))
    .toSorted();
}

/** Builds the stale ones among `names`, one after the other. Only one process builds at a time in one checkout. */
export async function build(names: readonly TargetName[]): Promise<void> {
  const release = await lockBuilds();
  try {
    // Asked again under the lock: the process that held it may have built the very same.
    for (const name of staleTargets(names)) {
      const startedAt = performance.now();
      // Taken before the build: a source saved meanwhile leaves the output stale, never wrongly fresh.
      const stamp = stampOf(targets[name]);
      await builders[name]();
      mkdirSync(path.dirname(stampFile(name)), { recursive: true });
      writeFileSync(stampFile(name), stamp);
      say(`built ${targets[name].output} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    }
    writeLicences(projectRoot, distFolder);
  } finally {
    release();
  }
}

/**
 * The lock is an SQLite transaction: the system lets go of it when its holder dies, however it dies, which no lock
 * made of files does.
 */
async function lockBuilds(): Promise<() => void> {
  mkdirSync(distFolder, { recursive: true });
  const lock = new DatabaseSync(path.join(distFolder, '.build-lock'), { timeout: 0 });
  for (let waited = 0; ; waited += 1) {
    try {
      lock.exec('BEGIN EXCLUSIVE');
      return () => lock.close();
    } catch (error) {
      // 5 = SQLITE_BUSY
      if (!(error instanceof Error && 'errcode' in error && error.errcode === 5)) throw error;
      if (waited === 0) say('another build is running in this folder; waiting for it');
      await delay(100);
    }
  }
}

const builders: Record<TargetName, () => Promise<void>> = {
  async main() {
    rmSync(path.join(distFolder, 'icons'), { recursive: true, force: true });
    cpSync(path.join(projectRoot, 'electron', 'icons'), path.join(distFolder, 'icons'), {
      recursive: true,
      filter: (source) => !source.endsWith('.ts'),
    });
    await bundle({ entry: 'electron/main.ts', output: targets.main.output, format: 'es' });
    await bundleWorkers();
  },
  // A sandboxed preload script is loaded by a small `require` and has to be CommonJS.
  preload: () => bundle({ entry: 'electron/preload.ts', output: targets.preload.output, format: 'cjs' }),
  async cli() {
    await bundle({ entry: 'electron/cli.ts', output: targets.cli.output, format: 'es', split: true });
    await bundleWorkers();
  },
  renderer: buildRenderer,
};

/**
 * The threads of the gateway, each started from a file beside the program that runs it (gateway/workers/worker-file.ts). Their
 * ending says that they are modules: unpacked beside an installer's archive there is no package.json to say so.
 */
async function bundleWorkers(): Promise<void> {
  for (const name of ['token-worker', 'backup-worker', 'checkpoint-worker'])
    await bundle({ entry: `electron/gateway/workers/${name}.ts`, output: `${name}.mjs`, format: 'es' });
}

interface Bundle {
  entry: string;
  output: string;
  format: 'es' | 'cjs';
  /** What is imported when it is needed stays a file of its own. */
  split?: boolean;
}

/** One entry and all it imports into one file; only what cannot be bundled stays outside. */
async function bundle({ entry, output, format, split = false }: Bundle): Promise<void> {
  const { build: viteBuild } = await import('vite');
  const result = await viteBuild({
    root: projectRoot,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    ssr: { target: 'node', noExternal: true, external: ['electron', 'better-sqlite3'] },
    build: {
      ssr: path.join(projectRoot, entry),
      target: 'node24',
      // Kept readable: a stack trace of an installed app should say where it happened.
      minify: false,
      // Whoever is given the bundle is given the terms of what is in it.
      license: format === 'es' && { fileName: `${output}.licenses.md` },
      write: false,
      rolldownOptions: {
        plugins: format === 'es' ? [plainBuiltins] : [],
        output: { format, codeSplitting: split, entryFileNames: output, chunkFileNames: '[name].js' },
      },
    },
  });
  const outputs = (Array.isArray(result) ? result : [result]).flatMap((one) =>
    'output' in one ? one.output : [],
  );
  for (const one of outputs) {
    // Written beside and renamed, so that a process that starts right now reads the old file or the new one.
    const file = path.join(distFolder, one.fileName);
    writeFileSync(`${file}.new`, one.type === 'chunk' ? one.code : one.source);
    renameSync(`${file}.new`, file);
  }
}

/**
 * Takes Node's own modules as `require` gives them. For an `import` Node reads every export of the module, and some load
 * what they stand for: `WebSocket` of `node:http` is all of Node's fetch, a tenth of the time a start takes.
 */
const plainBuiltins: Plugin = {
  name: 'plain-builtins',
  renderChunk(code) {
    // They stand first, one a line. What follows is megabytes, and to parse it takes longer than all else of a build.
    const imports = /^(?:import [^;\n]*;\n)*/.exec(code)?.[0] ?? '';
    let plain = code;
    for (const statement of this.parse(imports).body.toReversed()) {
      if (statement.type !== 'ImportDeclaration' || !isBuiltin(statement.source.value)) continue;
      const module = `process.getBuiltinModule(${JSON.stringify(statement.source.value)})`;
      const named: string[] = [];
      const whole: string[] = [];
      for (const specifier of statement.specifiers) {
        const { local } = specifier;
        if (specifier.type !== 'ImportSpecifier') whole.push(`const ${local.name} = ${module};`);
        else named.push(`${code.slice(specifier.imported.start, specifier.imported.end)}: ${local.name}`);
      }
      if (named.length > 0) whole.push(`const { ${named.join(', ')} } = ${module};`);
      plain = plain.slice(0, statement.start) + whole.join(' ') + plain.slice(statement.end);
    }
    return plain;
  },
};

async function buildRenderer(): Promise<void> {
  const { build: viteBuild } = await import('vite');
  const built = path.join(distFolder, 'renderer');
  const next = path.join(distFolder, 'renderer.new');
  const old = path.join(distFolder, 'renderer.old');
  await viteBuild({
    configFile: path.join(projectRoot, 'renderer', 'vite.config.ts'),
    configLoader: 'native',
    root: path.join(projectRoot, 'renderer'),
    logLevel: 'warn',
    build: { outDir: next, emptyOutDir: true, license: { fileName: 'licenses.md' } },
  });
  rmSync(old, { recursive: true, force: true });
  if (existsSync(built)) renameSync(built, old);
  renameSync(next, built);
  rmSync(old, { recursive: true, force: true });
}

/** Progress goes to the error stream: the output stream belongs to what the built program prints. */
function say(text: string): void {
  process.stderr.write(`faregate: ${text}\n`);
}

function fail(error: unknown): never {
  say(`the build failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exit(1);
}

if (import.meta.main) {
  // The bundler also fails in promises that nobody waits for.
  process.on('unhandledRejection', fail);
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !isTargetName(name));
  if (unknown.length > 0) fail(`unknown target ${unknown.join(', ')} (known: ${targetNames.join(', ')})`);
  await build(asked.length > 0 ? asked.filter(isTargetName) : targetNames).catch(fail);
}
