/** Configuration files as people keep them: what is set stands there, and nothing else moves. */
import { describe, expect, test } from 'vitest';
import { planFile, readdressed, standingOf, withoutOurs } from '../../electron/connect/changes.ts';
import { applyEntries, readEntries, type FormatName } from '../../electron/connect/edit.ts';
import { sha256 } from '../../electron/connect/files.ts';
import { ConfigConflictError, ConfigSyntaxError, type Entry } from '../../electron/connect/format.ts';
import type { FileRecord } from '../../electron/connect/records.ts';
import { filesOfEveryFormat } from '../support/tool-files.ts';

const env: Entry[] = [
  { path: ['env', 'URL'], value: 'http://x' },
  { path: ['env', 'OLD'], value: undefined },
];
const codex: Entry[] = [
  { path: ['model_providers', 'faregate'], value: { name: 'Faregate', base_url: 'http://x/v1' } },
  { path: ['model_provider'], value: 'faregate' },
];
const item = { name: 'Faregate', provider: 'openai', apiKey: 'k' };
const models: Entry[] = [{ path: ['models', { named: 'Faregate' }], value: item }];

const cases: [what: string, format: FormatName, before: string, entries: Entry[], after: string][] = [
  ['an empty file', 'json', '', env, '{\n  "env": {\n    "URL": "http://x"\n  }\n}\n'],
  ['one line', 'json', '{"a":1}', env, '{"env": {"URL":"http://x"},"a":1}'],
  [
    'tabs, comments and a comma too many',
    'json',
    '// mine\n{\n\t"a": 1, // about a\n\t"env": {\n\t\t"OLD": "x",\n\t\t"B": "2", // about B\n\t},\n}\n',
    env,
    '// mine\n{\n\t"a": 1, // about a\n\t"env": {\n\t\t"URL": "http://x",\n\t\t"B": "2", // about B\n\t},\n}\n',
  ],
  [
    'line ends of Windows and a byte order mark',
    'json',
    '\uFEFF{\r\n  "a": 1\r\n}\r\n',
    env,
    '\uFEFF{\r\n  "env": {\r\n    "URL": "http://x"\r\n  },\r\n  "a": 1\r\n}\r\n',
  ],
  [
    'an empty file',
    'toml',
    '',
    codex,
    'model_provider = "faregate"\n[model_providers.faregate]\nname = "Faregate"\nbase_url = "http://x/v1"\n',
  ],
  [
    'tables, arrays over lines and comments',
    'toml',
    '# mine\nmodel = "m" # the model\nnotify = [\n  "a", # x\n]\n\n[model_providers.other]\nname = "Other"\n',
    codex,
    'model_provider = "faregate"\n# mine\nmodel = "m" # the model\nnotify = [\n  "a", # x\n]\n\n[model_providers.other]\nname = "Other"\n\n[model_providers.faregate]\nname = "Faregate"\nbase_url = "http://x/v1"\n',
  ],
  [
    'a value that is replaced, and no line end at the end',
    'toml',
    'model_provider = "openai" # mine\r\n[projects."/home/me"]\r\ntrust = true',
    codex,
    'model_provider = "faregate" # mine\r\n[projects."/home/me"]\r\ntrust = true\r\n\r\n[model_providers.faregate]\r\nname = "Faregate"\r\nbase_url = "http://x/v1"\r\n',
  ],
  [
    'a list with other items, at the margin',
    'yaml',
    'name: Mine   # c\nmodels:\n- name: A\n  provider: openai   # keep\nrules:\n    - "x"\n',
    models,
    'name: Mine   # c\nmodels:\n- name: A\n  provider: openai   # keep\n- name: Faregate\n  provider: openai\n  apiKey: k\nrules:\n    - "x"\n',
  ],
  [
    'no list yet, and no line end',
    'yaml',
    'name: Mine',
    models,
    'name: Mine\nmodels:\n  - name: Faregate\n    provider: openai\n    apiKey: k\n',
  ],
  [
    'plain settings, one of them replaced and one with no value',
    'yaml',
    '# mine\nmodel: gpt   # which\nopenai-api-key:\ndark: [1,2,  3]\n',
    [
      { path: ['model'], value: 'openai/x' },
      { path: ['openai-api-key'], value: 'k' },
      { path: ['openai-api-base'], value: 'http://x' },
    ],
    '# mine\nmodel: openai/x   # which\nopenai-api-key: k\ndark: [1,2,  3]\nopenai-api-base: http://x\n',
  ],
  [
    'variables, one of them set twice',
    'dotenv',
    '# mine\nexport KEY=old\r\nKEY=newer\r\nGONE=1\r\nX="a b"',
    [
      { path: ['KEY'], value: 'k' },
      { path: ['URL'], value: 'http://x' },
      { path: ['GONE'], value: undefined },
    ],
    '# mine\nexport KEY=old\r\nKEY=k\r\nX="a b"\r\nURL=http://x\r\n',
  ],
];

test.each(cases)('%s (%s)', (_what, format, before, entries, after) => {
  expect(applyEntries(format, before, entries)).toBe(after);
  expect(
    readEntries(
      format,
      after,
      entries.map(({ path }) => path),
    ),
  ).toEqual(entries.map(({ value }) => value));
  // What is there already is not written again.
  expect(applyEntries(format, after, entries)).toBe(after);
});

describe('what was added can be taken out again', () => {
  test.each<[FormatName, string, Entry[], string]>([
    ['toml', '# a\nmodel = "m"\n\n[x]\ny = 1 # y\n', codex, '# a\nmodel = "m"\n\n[x]\ny = 1 # y\n'],
    [
      'yaml',
      'name: Mine # c\nmodels:\n  - name: A\n    x: 1\n',
      models,
      'name: Mine # c\nmodels:\n  - name: A\n    x: 1\n',
    ],
    ['dotenv', 'A=1\n', [{ path: ['B'], value: '2' }], 'A=1\n'],
    ['json', '{\n  "a": 1 // x\n}\n', [{ path: ['b'], value: 2 }], '{\n  "a": 1 // x\n}\n'],
  ])('%s', (format, before, entries, after) => {
    const added = applyEntries(format, before, entries);
    const gone = entries.map(({ path }) => ({ path, value: undefined }));
    expect(applyEntries(format, added, gone)).toBe(after);
  });
});

test.each<[FormatName, string, number]>([
  ['json', '{\n  "a": 1,\n  "b" 2\n}', 3],
  ['toml', 'a = 1\nb = \n', 2],
  ['yaml', 'a: 1\nb: "x\n', 2],
])('a %s file that is not valid is refused with its line', (format, text, line) => {
  let refusal: unknown;
  try {
    applyEntries(format, text, [{ path: ['x'], value: 1 }]);
  } catch (error) {
    refusal = error;
  }
  expect(refusal).toBeInstanceOf(ConfigSyntaxError);
  expect(Math.abs((refusal instanceof ConfigSyntaxError ? (refusal.line ?? 0) : 0) - line)).toBeLessThan(2);
});

test.each<[what: string, format: FormatName, text: string, entries: Entry[]]>([
  ['a list at the root', 'json', '[]', env],
  ['a text where a table would go', 'json', '{"env": "x"}', env],
  ['a key that stands there twice', 'json', '{"env": {"URL": "a"}, "env": {"URL": "b"}}', env],
  ['a name that every object inherits', 'json', '{"__proto__": 0}', [{ path: ['__proto__', 'x'], value: 1 }]],
  ['a list in one line', 'yaml', 'models: [{name: A}]\n', models],
])('%s is left alone', (_what, format, text, entries) => {
  expect(() => applyEntries(format, text, entries)).toThrow(ConfigConflictError);
});

test.each<[FormatName, string]>([
  ['json', '['.repeat(50_000)],
  ['yaml', '['.repeat(50_000)],
  ['toml', `a = ${'['.repeat(50_000)}`],
])('%s that is nested beyond any stack is a file that cannot be read, and no fault', (format, text) => {
  const entries = [{ path: ['a'], value: 'b' }];
  expect(() => applyEntries(format, text, entries)).toThrow(ConfigSyntaxError);
  expect(() => readEntries(format, text, [['a']])).toThrow(ConfigSyntaxError);
});

test.each(filesOfEveryFormat)(
  'a change of address may be made in two steps: %s is ours, and can be taken back, whichever of them was the last',
  (_tool, below, format, text) => {
    const [from, to] = ['http://127.0.0.1:3273', 'http://127.0.0.1:40001'];
    const entries = [
      { path: ['provider', 'url'], value: `${from}/v1` },
      { path: ['base'], value: from },
    ].slice(format === 'json' || format === 'toml' ? 0 : 1);
    const original = Buffer.from(text);
    const planned = planFile({ path: below, format, entries }, original);
    const written = Buffer.from(planned.text);
    const record: FileRecord = {
      path: below,
      format,
      original: original.toString('base64'),
      written: sha256(written),
      entries: planned.entries,
    };
    const moved = readdressed(record, written, from, to);
    expect(moved).toMatchObject({ leads: true, bytes: Buffer.from(planned.text.replaceAll(from, to)) });
    for (const bytes of [written, moved.bytes]) {
      expect(standingOf(moved.during, bytes)).toBe('ours');
      expect(withoutOurs(moved.during, bytes)).toEqual({ bytes: original, exact: true });
      expect(readdressed(moved.during, bytes, from, to)).toMatchObject({
        leads: true,
        bytes: moved.bytes,
        after: moved.after,
      });
    }
    expect(standingOf(moved.after, written)).not.toBe('ours');
    expect(withoutOurs(moved.after, moved.bytes)).toEqual({ bytes: original, exact: true });
  },
);
