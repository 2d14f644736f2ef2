/** What is looked up on the machine to find its tools: files, programs on the path, versions; nothing is run. */
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from 'node:fs';
import path from 'node:path';

export interface Machine {
  home: string;
  env: NodeJS.ProcessEnv;
  platform: NodeJS.Platform;
}

export const exists = (file: string) => existsSync(file);

export function firstExisting(folder: string, names: readonly string[], otherwise: string): string {
  return path.join(folder, names.find((name) => existsSync(path.join(folder, name))) ?? otherwise);
}

/** The file of a program; null where it is nowhere. An app started from a dock knows little of the shell's path. */
export function executable(machine: Machine, program: string): string | null {
  const { home, env, platform } = machine;
  const listed = (env['PATH'] ?? env['Path'] ?? '')
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder));
  const usual =
    platform === 'win32'
      ? [path.join(home, 'AppData', 'Roaming', 'npm'), path.join(home, '.local', 'bin')]
      : [
          ...[
            '.local/bin',
            '.claude/local',
            '.opencode/bin',
            '.npm-global/bin',
            '.bun/bin',
            '.volta/bin',
          ].map((below) => path.join(home, below)),
          ...nodeVersions(home),
          ...(platform === 'darwin' ? ['/opt/homebrew/bin', '/usr/local/bin'] : ['/usr/local/bin']),
        ];
  const names = platform === 'win32' ? [`${program}.exe`, `${program}.cmd`] : [program];
  for (const folder of [...listed, ...usual]) {
    for (const name of names) {
      const file = path.join(folder, name);
      if (isExecutable(file)) return file;
    }
  }
  return null;
}

/** Where nvm keeps the programs of each Node.js. */
function nodeVersions(home: string): string[] {
  const folder = path.join(home, '.nvm', 'versions', 'node');
  try {
    return readdirSync(folder).map((version) => path.join(folder, version, 'bin'));
  } catch {
    return [];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Of a program that npm installed: the version of the package its file lies in. null for any other. */
export function packageVersion(program: string): string | null {
  try {
    let folder = path.dirname(realpathSync(program));
    for (let depth = 0; depth < 4; depth += 1, folder = path.dirname(folder)) {
      const manifest = path.join(folder, 'package.json');
      if (!folder.includes('node_modules') || !existsSync(manifest)) continue;
      const { version }: { version?: unknown } = JSON.parse(readFileSync(manifest, 'utf8'));
      return typeof version === 'string' ? version : null;
    }
    return null;
  } catch {
    return null;
  }
}
