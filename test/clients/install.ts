/** The clients as npm has them, at pinned versions, in a cache outside the project: they are large and not ours. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/** `FAREGATE_CLIENTS_CACHE`, or below the folder for caches of this user. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const caches = env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
  return env['FAREGATE_CLIENTS_CACHE'] ?? path.join(caches, 'faregate-clients');
}

/** Installs what is not there yet; returns the folder. @throws Error where npm fails */
export function install(name: string, packages: readonly string[]): string {
  const folder = path.join(cacheFolder(), name);
  const done = path.join(folder, '.installed');
  const wanted = `${packages.join('\n')}\n`;
  if (existsSync(done) && readFileSync(done, 'utf8') === wanted) return folder;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  console.log(`installing ${packages.join(' ')} …`);
  // This Node runs npm: under an older one it takes older clients without a word, because of their `engines`.
  const args = [npmScript(), 'install', '--no-audit', '--no-fund', '--loglevel=error', ...packages];
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm could not install ${packages.join(' ')}:\n${stderr}`);
  writeFileSync(done, wanted);
  return folder;
}

/** npm says itself where it lies to the scripts it runs. */
function npmScript(): string {
  const given = process.env['npm_execpath'];
  if (given?.endsWith('npm-cli.js')) return given;
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter)) {
    const program = path.join(folder, 'npm');
    if (existsSync(program)) return realpathSync(program);
  }
  throw new Error('npm is not on the path.');
}
