/**
 * Who may import whom, read from the import lines themselves. The tables are the architecture: a new folder of the
 * gateway, or a new package, has to be given its place here before it can be imported.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { parseSync } from 'vite';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');

/**
 * The folders of the gateway from the top down: a file may import files of its own folder and of those below it. The
 * files beside the folders put them together, so they are above all.
 */
const gatewayFolders: readonly string[] = [
  'api', // the contract's handlers
  'http', // listeners: the gateway's own, the dashboard's, the control socket
  'proxy', // one request's way, from its body to its settlement
  'reports', // what was spent, read only: usage, the log, a provider's bill
  'backups', // copies of the ledger, and putting one back
  'metering', // tokens: read from an answer, counted, estimated
  'upstream', // which provider serves a request, and the connection to it
  'ledger', // the only writer of money
  'pricing', // what a model costs, and from tokens to nano-dollars
  'config', // what a person sets up: keys, providers, limits, settings
  'store', // the SQLite file and its migrations
  'workers', // threads of their own; each is built into a file of its own
  'dialects', // one file a wire protocol; pure
  'base', // helpers that know nothing of the gateway
];

/** Starts what is built: its path is found at run time, and what it brings in was checked as a source. */
const loadsBuiltCode: ReadonlySet<string> = new Set(['electron/launch.ts']);

const packages = {
  shared: ['zod'],
  gateway: [
    'zod',
    'undici',
    'better-sqlite3',
    'eventsource-parser',
    '@pydantic/genai-prices',
    'csv-parse',
    'gpt-tokenizer',
    'pino',
  ],
  electron: [
    'electron',
    'electron-updater',
    'vite',
    'zod',
    'pino',
    'jsonc-parser',
    'yaml',
    '@decimalturn/toml-patch',
    'diff',
  ],
  renderer: [
    'react',
    'react-dom',
    '@mantine/core',
    '@mantine/form',
    '@mantine/hooks',
    '@mantine/notifications',
    '@mantine/charts',
    '@mantine/spotlight',
    '@tabler/icons-react',
    'zustand',
    'zod',
    'eventsource-parser',
  ],
} as const;

interface Source {
  /** Relative to the project, with forward slashes. */
  path: string;
  text: string;
}

interface Import {
  from: string;
  /** As written. */
  specifier: string;
  /** A file of the project, `node:…`, or the name of a package. */
  to: string;
}

test('every file imports only what its layer may', () => {
  expect(violations(projectSources())).toEqual([]);
});

test('no file imports itself by way of others', () => {
  expect(cycles(projectSources())).toEqual([]);
});

test('no check is suppressed in a source file', () => {
  // This file has to name them.
  const marks = ['eslint-disable', 'oxlint-disable', '@ts-ignore', '@ts-nocheck', '@ts-expect-error'];
  const sources = projectSources().filter(({ path }) => path !== 'test/layers.test.ts');
  const found = sources.flatMap(({ path, text }) =>
    marks.filter((mark) => text.includes(mark)).map((mark) => `${path}: ${mark}`),
  );
  expect(found).toEqual([]);
});

describe('the reader of import lines finds what is planted', () => {
  const planted = (path: string, text: string, ...others: string[]) =>
    violations([{ path, text }, ...others.map((other) => ({ path: other, text: '' }))]);

  test.each([
    ['a static import', "import { app } from 'electron';"],
    ['a type import', "import type { App } from 'electron';"],
    ['a re-export', "export { app } from 'electron';"],
    ['a re-export of everything', "export * from 'electron';"],
    ['an import for its effects', "import 'electron';"],
    ['a dynamic import', "const electron = await import('electron');"],
    ['an import inside a type', "type App = import('electron').App;"],
    ['a require', "const electron = require('electron');"],
    ['an import over two lines', "import {\n  app,\n} from\n  'electron';"],
  ])('%s', (_, text) => {
    expect(planted('electron/gateway/http/server.ts', text)).toEqual([
      'electron/gateway/http/server.ts: "electron" is no package of the gateway',
    ]);
  });

  test('a comment or a string that looks like an import is none', () => {
    const text =
      "// import 'electron';\n/* import 'electron'; */\nexport const text = \"import 'electron'\";";
    expect(planted('electron/gateway/http/server.ts', text)).toEqual([]);
  });

  test('an import whose name is computed', () => {
    expect(
      planted('electron/gateway/http/server.ts', 'export const load = (name: string) => import(name);'),
    ).toEqual(['electron/gateway/http/server.ts: an import whose name is computed cannot be checked']);
  });

  test('the gateway reaching up', () => {
    const proxy = 'electron/gateway/proxy/proxy.ts';
    expect(planted('electron/gateway/ledger/ledger.ts', "import '../proxy/proxy.ts';", proxy)).toEqual([
      'electron/gateway/ledger/ledger.ts: "../proxy/proxy.ts" is above it',
    ]);
    expect(planted(proxy, "import '../gateway.ts';", 'electron/gateway/gateway.ts')).toEqual([
      `${proxy}: "../gateway.ts" is above it`,
    ]);
  });

  test('a folder of the gateway that has no place', () => {
    expect(planted('electron/gateway/extra/extra.ts', '')).toEqual([
      'electron/gateway/extra/extra.ts: its folder has no place in the gateway',
    ]);
  });

  test('the shell reaching past gateway.ts', () => {
    const text = "import './gateway/gateway.ts';\nimport './gateway/ledger/ledger.ts';";
    const others = ['electron/gateway/gateway.ts', 'electron/gateway/ledger/ledger.ts'];
    expect(planted('electron/main.ts', text, ...others)).toEqual([
      'electron/main.ts: "./gateway/ledger/ledger.ts" is of the gateway, of which only gateway.ts may be imported here',
    ]);
  });

  test('the window reaching for Node and for the gateway', () => {
    const text = "import 'node:fs';\nimport 'path';\nimport '../electron/gateway/store/store.ts';";
    expect(planted('renderer/store.ts', text, 'electron/gateway/store/store.ts')).toEqual([
      'renderer/store.ts: "node:fs" is of Node',
      'renderer/store.ts: "path" is of Node',
      'renderer/store.ts: "../electron/gateway/store/store.ts" is not of renderer or shared',
    ]);
  });

  test('shared code by a relative path, and a file that is not there', () => {
    const text = "import '../../../shared/money.ts';\nimport '#shared/lost.ts';";
    expect(planted('electron/gateway/http/server.ts', text, 'shared/money.ts')).toEqual([
      'electron/gateway/http/server.ts: "../../../shared/money.ts" should be written #shared/money.ts',
      'electron/gateway/http/server.ts: "#shared/lost.ts" is no file',
    ]);
  });

  test('a circle', () => {
    const sources = [
      { path: 'renderer/a.ts', text: "import './b.ts';" },
      { path: 'renderer/b.ts', text: "export * from './c.ts';" },
      { path: 'renderer/c.ts', text: "import type { A } from './a.ts';" },
    ];
    expect(cycles(sources)).toEqual(['renderer/a.ts → renderer/b.ts → renderer/c.ts → renderer/a.ts']);
  });
});

function violations(sources: readonly Source[]): string[] {
  const known = new Set(sources.map(({ path }) => path));
  return sources.flatMap((source) => {
    const misplaced =
      source.path.startsWith('electron/gateway/') && depthOf(source.path) === null
        ? [`${source.path}: its folder has no place in the gateway`]
        : [];
    const { imports, computed } = importsOf(source);
    const wrong = imports.flatMap((line) => fault(line, known) ?? []);
    const unread = computed ? ['an import whose name is computed cannot be checked'] : [];
    const lenient = layerOf(source.path) === 'test' || loadsBuiltCode.has(source.path);
    return [
      ...misplaced,
      ...(lenient ? wrong : [...wrong, ...unread]).map((text) => `${source.path}: ${text}`),
    ];
  });
}

type Layer = 'shared' | 'gateway' | 'electron' | 'renderer' | 'test';

function layerOf(path: string): Layer {
  if (path.startsWith('electron/gateway/')) return 'gateway';
  const [top] = path.split('/');
  if (top === 'shared' || top === 'electron' || top === 'renderer' || top === 'test') return top;
  throw new Error(`${path} is in no layer`);
}

function fault({ from, specifier, to }: Import, known: ReadonlySet<string>): string | null {
  const layer = layerOf(from);
  const quoted = `"${specifier}"`;
  if (layer === 'test') return null;
  // Configuration of a build tool is run by Node, wherever it lies.
  const isTooling = posix.basename(from) === 'vite.config.ts';
  if (to.startsWith('node:')) {
    const mayUseNode = layer === 'gateway' || layer === 'electron' || isTooling;
    return mayUseNode ? null : `${quoted} is of Node`;
  }
  if (!specifier.startsWith('.') && !specifier.startsWith('#')) {
    const allowed: readonly string[] = packages[layer];
    return isTooling || allowed.includes(to) ? null : `${quoted} is no package of ${the(layer)}`;
  }
  const isStyle = layer === 'renderer' && /\.(css|svg|png)$/.test(to);
  if (!known.has(to) && !isStyle && to !== 'package.json') return `${quoted} is no file`;
  if (to === 'package.json') return layer === 'electron' ? null : `${quoted} is not of ${layer}`;
  const owner = layerOf(to);
  if (owner === 'shared') {
    if (layer !== 'shared' && specifier.startsWith('.')) return `${quoted} should be written #${to}`;
    return null;
  }
  if (layer === 'electron' && owner === 'gateway') {
    if (to === 'electron/gateway/gateway.ts') return null;
    return `${quoted} is of the gateway, of which only gateway.ts may be imported here`;
  }
  if (layer !== owner) return `${quoted} is not of ${layer} or shared`;
  return layer === 'gateway' && isAbove(to, from) ? `${quoted} is above it` : null;
}

const the = (layer: Layer) => (layer === 'gateway' ? 'the gateway' : layer);

/** How far down a file of the gateway is, 0 at the top; null where its folder has no place. */
function depthOf(path: string): number | null {
  const [folder = '', ...inside] = path.replace('electron/gateway/', '').split('/');
  if (inside.length === 0) return 0;
  const place = gatewayFolders.indexOf(folder);
  return place === -1 ? null : place + 1;
}

function isAbove(to: string, from: string): boolean {
  const [upper, lower] = [depthOf(to), depthOf(from)];
  return upper !== null && lower !== null && upper < lower;
}

function cycles(sources: readonly Source[]): string[] {
  const graph = new Map(
    sources.map((source) => [source.path, importsOf(source).imports.map(({ to }) => to)]),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]) => {
    const start = way.indexOf(path);
    if (start !== -1) {
      found.push([...way.slice(start), path].join(' → '));
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) if (graph.has(next)) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

function importsOf({ path, text }: Source): { imports: Import[]; computed: boolean } {
  const parsed = parseSync(path, text);
  const specifiers: string[] = [];
  let computed = false;
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) {
      for (const inner of node) visit(inner);
      return;
    }
    if (typeof node !== 'object' || node === null) return;
    const source = sourceOf(node);
    if (source !== undefined) {
      const value = property(source, 'value');
      if (typeof value === 'string') specifiers.push(value);
      else computed = true;
    }
    for (const inner of Object.values(node)) visit(inner);
  };
  visit(parsed.program);
  return {
    imports: specifiers.map((specifier) => ({ from: path, specifier, to: target(path, specifier) })),
    computed,
  };
}

/** The node that names the module, where `node` brings one in; undefined where it does not. */
function sourceOf(node: object): unknown {
  const type = property(node, 'type');
  const source = property(node, 'source') ?? undefined;
  switch (type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return source;
    case 'TSExternalModuleReference':
      return property(node, 'expression');
    case 'CallExpression': {
      if (property(property(node, 'callee'), 'name') !== 'require') return undefined;
      const given = property(node, 'arguments');
      return Array.isArray(given) ? given[0] : undefined;
    }
    default:
      return undefined;
  }
}

function target(from: string, specifier: string): string {
  const bare = specifier.replace(/\?\w+$/, '');
  if (bare.startsWith('.')) return posix.join(dirname(from), bare);
  if (bare.startsWith('#')) return bare.slice(1);
  if (bare.startsWith('node:')) return bare;
  if (builtinModules.includes(bare)) return `node:${bare}`;
  const [first = '', second] = bare.split('/');
  return first.startsWith('@') && second !== undefined ? `${first}/${second}` : first;
}

function property(node: unknown, name: string): unknown {
  return typeof node === 'object' && node !== null ? Reflect.get(node, name) : undefined;
}

function projectSources(): Source[] {
  return ['shared', 'electron', 'renderer', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return { path: relative(root, path).replaceAll('\\', '/'), text: readFileSync(path, 'utf8') };
      }),
  );
}
