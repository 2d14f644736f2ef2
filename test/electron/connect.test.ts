/** Tools connected and disconnected in a home of their own, against a gateway that serves the key they get. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ToolId } from '#shared/connect.ts';
import type { Input } from '#shared/contract.ts';
import { connectMethods } from '../../electron/connect/connect.ts';
import { applyEntries, readEntries } from '../../electron/connect/edit.ts';
import type { Entry } from '../../electron/connect/format.ts';
import { addProvider, startCore, temporaryFolder, usd, type CoreGateway } from '../support/gateway.ts';
import { everyTool, filesOfEveryFormat } from '../support/tool-files.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

let home: string;
let upstream: Upstream;
let core: CoreGateway;
const secretForm = /sk-fg-[0-9A-Za-z]{43}/;

beforeEach(async () => {
  home = temporaryFolder();
  const dataDir = temporaryFolder();
  upstream = await startUpstream();
  const machine = connectMethods({ dataDir, home, env: { PATH: path.join(home, 'bin') }, platform: 'linux' });
  core = await startCore({ dataDir, machine });
  await addProvider(core, upstream, 'openai');
  await addProvider(core, upstream, 'anthropic');
  await addProvider(core, upstream, 'gemini');
});
afterEach(async () => {
  await core.dispose();
  await upstream.close();
  rmSync(home, { recursive: true, force: true });
});

function put(below: string, text: string | Buffer, mode = 0o644): string {
  const file = path.join(home, below);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text, { mode });
  chmodSync(file, mode);
  return file;
}

const rowOf = async (tool: ToolId) => (await core.call('connect.list', {})).find(({ id }) => id === tool);
const needsModel: ReadonlySet<ToolId> = new Set(['cline', 'continue', 'aider', 'zed']);

async function connect(tool: ToolId, more: Partial<Input<'connect.apply'>> = {}) {
  const model = needsModel.has(tool) ? { model: 'gpt-4o' } : {};
  const plan = await core.call('connect.plan', { tool, ...model });
  const applied = await core.call('connect.apply', { tool, planHash: plan.hash, ...model, ...more });
  return { plan, ...applied };
}

async function disconnect(tool: ToolId) {
  const plan = await core.call('connect.plan', { tool, undo: true });
  return core.call('connect.undo', { tool, planHash: plan.hash });
}

describe.each(everyTool)('%s', (tool, below, text, written) => {
  test('is found, connected with a key of its own, checked, and given its bytes back', async () => {
    const file = put(below, text);
    expect(await rowOf(tool)).toMatchObject({ found: true, state: 'not-connected', keyId: null });
    const { plan, tool: row, secret } = await connect(tool, { limitNano: usd('5') });
    const shown = JSON.stringify(plan);
    expect(shown).not.toMatch(/of-the-person|OfThePerson|sk-fg-\w{8}/);
    expect(plan.files[0]?.path).toBe(file);
    const now = readFileSync(file, 'utf8');
    for (const part of written) expect(now).toMatch(part);
    expect(row).toMatchObject({ state: 'connected', why: null, configPath: file });
    const [key] = await core.call('keys.list', {});
    expect(key).toMatchObject({ id: row.keyId, name: row.name, limitNano: usd('5'), status: 'active' });
    const check = await core.call('connect.check', { tool });
    if (tool === 'zed') {
      expect(secret).toMatch(secretForm);
      expect(check).toMatchObject({ ok: false, message: expect.stringContaining('cannot be checked') });
    } else {
      expect(secret).toBeNull();
      expect(check).toMatchObject({ ok: true });
    }

    // Without having seen what is taken out: the bytes are still ours, so they can simply go back.
    expect(await core.call('connect.undo', { tool })).toMatchObject({ how: 'restore' });
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(await core.call('keys.list', {})).toMatchObject([{ id: row.keyId, status: 'disabled' }]);
    expect(await rowOf(tool)).toMatchObject({ state: 'not-connected' });
  });

  test('gets files of its owner alone where it has none, and has none again afterwards', async () => {
    mkdirSync(path.join(home, path.dirname(below)), { recursive: true });
    const { plan } = await connect(tool);
    const files = plan.files.map((each) => each.path);
    expect(files.map((each) => statSync(each).mode & 0o777)).toEqual(files.map(() => 0o600));
    expect(plan.files.every(({ whole }) => whole === 'created')).toBe(true);
    await disconnect(tool);
    expect(files.filter((each) => existsSync(each))).toEqual([]);
  });
});

describe('what a person changed meanwhile', () => {
  test('is kept: only our entries are taken out, after they were shown', async () => {
    const file = put(
      '.claude/settings.json',
      '{\n  "model": "opus",\n  "env": {\n    "ANTHROPIC_API_KEY": "theirs"\n  }\n}\n',
    );
    await connect('claude-code');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"opus"', '"sonnet", // mine'));
    // Claude Code writes its own settings, too: it stays connected.
    expect(await rowOf('claude-code')).toMatchObject({ state: 'connected' });
    expect(await core.tryCall('connect.undo', { tool: 'claude-code' })).toMatchObject({
      ok: false,
      error: { code: 'conflict', message: expect.stringContaining('was changed since') },
    });
    const plan = await core.call('connect.plan', { tool: 'claude-code', undo: true });
    expect(plan.how).toBe('take-out');
    await core.call('connect.undo', { tool: 'claude-code', planHash: plan.hash });
    const left = readFileSync(file, 'utf8');
    expect(left).toContain('"model": "sonnet", // mine');
    expect(left).toContain('"ANTHROPIC_API_KEY": "theirs"');
    expect(left).not.toMatch(/sk-fg|BASE_URL|AUTH_TOKEN/);
  });

  test('is told: an entry of ours that they changed is theirs now', async () => {
    const file = put('.claude/settings.json', '{}\n');
    await connect('claude-code');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"http:[^"]+"/, '"https://elsewhere.example"'));
    expect(await rowOf('claude-code')).toMatchObject({
      state: 'changed',
      why: expect.stringContaining('was changed'),
    });
    await disconnect('claude-code');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      env: { ANTHROPIC_BASE_URL: 'https://elsewhere.example' },
    });
  });

  test('stops a plan that was made before it', async () => {
    const file = put('.claude/settings.json', '{}\n');
    const { hash } = await core.call('connect.plan', { tool: 'claude-code' });
    writeFileSync(file, '{ "model": "opus" }\n');
    expect(await core.tryCall('connect.apply', { tool: 'claude-code', planHash: hash })).toMatchObject({
      ok: false,
      error: { code: 'conflict', field: 'planHash' },
    });
    expect(readFileSync(file, 'utf8')).toBe('{ "model": "opus" }\n');
    expect(await core.call('keys.list', {})).toEqual([]);
  });

  test('connected again, the tool keeps its key with its usage, gets a new secret, and the first bytes come back', async () => {
    const file = put('.codex/config.toml', 'model = "a"\n');
    const first = await connect('codex', { limitNano: usd('3') });
    const before = secretForm.exec(readFileSync(file, 'utf8'))?.[0];
    const again = await connect('codex');
    expect(again.tool.keyId).toBe(first.tool.keyId);
    expect(await core.call('keys.list', {})).toMatchObject([{ limitNano: usd('3'), status: 'active' }]);
    const text = readFileSync(file, 'utf8');
    expect(text.match(/\[model_providers\.faregate\]/g)).toHaveLength(1);
    expect(secretForm.exec(text)?.[0]).not.toBe(before);
    expect(await core.call('connect.check', { tool: 'codex' })).toMatchObject({ ok: true });
    expect(await disconnect('codex')).toMatchObject({ how: 'restore' });
    expect(readFileSync(file, 'utf8')).toBe('model = "a"\n');
  });
});

describe('a gateway at another port', () => {
  const follow = () => core.call('connect.follow', {});
  const address = /http:\/\/127\.0\.0\.1:\d+/;
  /** What a person changed besides, which leaves the address as it was. */
  const mine: [tool: ToolId, from: string, to: string][] = [
    ['zed', '200000', '100000'],
    ['claude-code', '"env": {', '"model": "opus", // mine\n  "env": {'],
  ];

  test('is followed by every tool, but for what was changed to lead elsewhere or cannot be written', async () => {
    const before = new Map<ToolId, string>();
    for (const [tool, below, text] of everyTool) {
      put(below, text);
      await connect(tool);
      before.set(tool, readFileSync(path.join(home, below), 'utf8'));
    }
    const file = (tool: ToolId) => path.join(home, everyTool.find(([id]) => id === tool)?.[1] ?? '');
    const edit = (tool: ToolId, from: string | RegExp, to: string) =>
      writeFileSync(file(tool), readFileSync(file(tool), 'utf8').replace(from, to));
    for (const [tool, from, to] of mine) edit(tool, from, to);
    edit('codex', address, 'https://elsewhere.example');
    chmodSync(file('aider'), 0o444);
    expect(await follow()).toEqual([]);

    const old = core.url;
    core = await core.restart();
    expect(core.url).not.toBe(old);
    expect((await rowOf('claude-code'))?.why).toContain(old);
    const rows = new Map((await follow()).map((row) => [row.id, row]));
    expect(rows.size).toBe(everyTool.length);
    expect(rows.get('codex')).toMatchObject({
      state: 'changed',
      why: expect.stringContaining('was changed'),
    });
    expect(readFileSync(file('codex'), 'utf8')).toContain('https://elsewhere.example/v1');
    expect(rows.get('aider')).toMatchObject({
      state: 'changed',
      why: expect.stringContaining('write-protected'),
    });
    expect(readFileSync(file('aider'), 'utf8')).toBe(before.get('aider'));
    for (const [tool, , , written] of everyTool) {
      if (tool === 'codex' || tool === 'aider') continue;
      const text = readFileSync(file(tool), 'utf8');
      expect(text).toContain(core.url);
      expect(text).not.toContain(old);
      expect(secretForm.exec(text)?.[0]).toBe(secretForm.exec(before.get(tool) ?? '')?.[0]);
      const changed = mine.find(([id]) => id === tool);
      if (changed) expect(text).toContain(changed[2]);
      // Not one byte but those of the address.
      else expect(text.replaceAll(core.url, old)).toBe(before.get(tool));
      for (const part of written) expect(text).toMatch(part);
      if (tool === 'zed') continue;
      expect(rows.get(tool)).toMatchObject({ state: 'connected', why: null });
      expect(await core.call('connect.check', { tool })).toMatchObject({ ok: true });
    }

    // Once it can be written, it follows too; the others are there already.
    chmodSync(file('aider'), 0o644);
    expect((await follow()).map(({ id, state }) => [id, state])).toEqual([
      ['codex', 'changed'],
      ['aider', 'connected'],
    ]);
    for (const [tool, below, text] of everyTool) {
      const changed = tool === 'codex' || mine.some(([id]) => id === tool);
      expect(await disconnect(tool)).toMatchObject({ how: changed ? 'take-out' : 'restore' });
      if (!changed) expect(readFileSync(path.join(home, below), 'utf8')).toBe(text);
    }
  });
});

describe('files as they are found', () => {
  test('a link is followed, and stays one', async () => {
    const target = put('dotfiles/claude.json', '{}\n', 0o640);
    mkdirSync(path.join(home, '.claude'));
    const link = path.join(home, '.claude', 'settings.json');
    symlinkSync(target, link);
    await connect('claude-code');
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(target, 'utf8')).toMatch(secretForm);
    expect(statSync(target).mode & 0o777).toBe(0o640);
  });

  test.each<[what: string, text: string | Buffer, mode: number, said: RegExp]>([
    ['invalid', '{\n  "a": 1\n  "b": 2\n}', 0o644, /settings\.json is not valid at line [23]/],
    ['write-protected', '{}', 0o444, /write-protected/],
    ['of another encoding', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 0o644, /not UTF-8/],
    ['something else at the root', '[1]', 0o644, /Change it by hand/],
  ])('%s: it is left alone, and the sentence says why', async (_what, text, mode, said) => {
    const file = put('.claude/settings.json', text, mode);
    const before = readFileSync(file);
    const answer = await core.tryCall('connect.plan', { tool: 'claude-code' });
    expect(answer).toMatchObject({
      ok: false,
      error: { code: 'conflict', message: expect.stringMatching(said) },
    });
    expect(readFileSync(file)).toEqual(before);
    expect(readdirSync(path.dirname(file))).toEqual(['settings.json']);
  });

  test('what fails at the second file takes the first back, and leaves no key that works', async () => {
    const env = put('.gemini/.env', 'A=1\n');
    const settings = put('.gemini/settings.json', '{}\n');
    const { hash } = await core.call('connect.plan', { tool: 'gemini-cli' });
    rmSync(settings);
    mkdirSync(settings);
    const answer = await core.tryCall('connect.apply', { tool: 'gemini-cli', planHash: hash });
    expect(answer.ok).toBe(false);
    expect(readFileSync(env, 'utf8')).toBe('A=1\n');
    expect((await core.call('keys.list', {})).filter(({ status }) => status === 'active')).toEqual([]);
  });

  test('the folder that a variable names is used', async () => {
    const dataDir = temporaryFolder();
    const env = { CODEX_HOME: path.join(home, 'elsewhere') };
    const other = await startCore({
      dataDir,
      machine: connectMethods({ dataDir, home, env, platform: 'linux' }),
    });
    const rows = await other.call('connect.list', {});
    expect(rows.find(({ id }) => id === 'codex')?.configPath).toBe(
      path.join(home, 'elsewhere', 'config.toml'),
    );
    await other.dispose();
  });
});

test('a tool that npm installed is known with its version, without being run', async () => {
  const program = put('lib/node_modules/@openai/codex/bin/codex.js', '#!/bin/false\n', 0o755);
  put('lib/node_modules/@openai/codex/package.json', '{"version":"0.169.0"}');
  mkdirSync(path.join(home, 'bin'));
  symlinkSync(program, path.join(home, 'bin', 'codex'));
  expect(await rowOf('codex')).toMatchObject({ found: true, version: '0.169.0' });
});

test('what cannot work says why, and is not tried', async () => {
  expect(await rowOf('cursor')).toMatchObject({
    state: 'cannot',
    why: expect.stringContaining('from its own servers'),
  });
  expect(await core.tryCall('connect.plan', { tool: 'cursor' })).toMatchObject({ ok: false });
});

test('a tool that needs a model is asked for one, or keeps the one it has', async () => {
  put('.aider.conf.yml', 'dark-mode: true\n');
  expect(await core.tryCall('connect.plan', { tool: 'aider' })).toMatchObject({
    ok: false,
    error: { field: 'model' },
  });
  put('.aider.conf.yml', 'model: openai/gpt-4o-mini\n');
  expect((await core.tryCall('connect.plan', { tool: 'aider' })).ok).toBe(true);
});

test('the check says what is missing', async () => {
  put('.claude/settings.json', '{}\n');
  await connect('claude-code');
  const [key] = await core.call('keys.list', {});
  await core.call('keys.update', { id: key?.id ?? '', enabled: false });
  expect(await core.call('connect.check', { tool: 'claude-code' })).toMatchObject({
    ok: false,
    message: expect.stringContaining('is disabled'),
  });
  expect(await rowOf('claude-code')).toMatchObject({
    state: 'changed',
    why: expect.stringContaining('disabled'),
  });
  for (const provider of await core.call('providers.list', {})) {
    if (provider.kind === 'anthropic')
      await core.call('providers.update', { id: provider.id, enabled: false });
  }
  expect(await core.call('connect.check', { tool: 'claude-code' })).toMatchObject({
    message: expect.stringContaining('Add one under Providers'),
  });
  // Said before it is connected, too: a tool that works now would not afterwards.
  expect(await core.call('connect.plan', { tool: 'claude-code' })).toMatchObject({
    warning: expect.stringContaining('Add one under Providers'),
  });
  expect(await core.call('connect.plan', { tool: 'codex' })).toMatchObject({ warning: null });
});

/** Settings with whatever people put around them. */
const json = fc.record({
  mark: fc.constantFrom('', '\uFEFF'),
  eol: fc.constantFrom('\n', '\r\n'),
  indent: fc.constantFrom('  ', '    ', '\t'),
  value: fc.dictionary(
    fc.constantFrom('env', 'model', 'a', 'apiKeyHelper', 'b c'),
    fc.jsonValue({ maxDepth: 2 }),
  ),
  comment: fc.constantFrom('', '// mine', '/* mine */'),
  end: fc.constantFrom('', '\n\n'),
});

test('connect then disconnect gives back the same bytes, or nothing was touched at all', async () => {
  await fc.assert(
    fc.asyncProperty(json, async ({ mark, eol, indent, value, comment, end }) => {
      const text = `${mark}${comment}\n${JSON.stringify(value, null, indent)}${end}`.replaceAll('\n', eol);
      const file = put('.claude/settings.json', text);
      const plan = await core.tryCall('connect.plan', { tool: 'claude-code' });
      if (plan.ok) {
        const { hash } = plan.value as { hash: string };
        await core.call('connect.apply', { tool: 'claude-code', planHash: hash });
        expect(readFileSync(file, 'utf8')).toMatch(secretForm);
        expect(await rowOf('claude-code')).toMatchObject({ state: 'connected' });
        await core.call('connect.undo', { tool: 'claude-code' });
      }
      expect(readFileSync(file, 'utf8')).toBe(text);
    }),
    { numRuns: 60 },
  );
});

test.each(filesOfEveryFormat)(
  '%s: what a person adds to %s meanwhile is all that is left of the two changes',
  async (tool, below, format, text) => {
    const added: Entry[] = [{ path: ['ADDED'], value: 'theirs' }];
    const file = put(below, text);
    await connect(tool);
    writeFileSync(file, applyEntries(format, readFileSync(file, 'utf8'), added));
    expect(await disconnect(tool)).toMatchObject({ how: 'take-out' });
    const left = readFileSync(file, 'utf8');
    // Byte for byte what the person would have without us, but for where a line that was taken out and put back stands.
    const lines = (whole: string) =>
      whole
        .split('\n')
        .filter((line) => line.trim() !== '')
        .toSorted();
    if (text !== '{}' && !text.includes('"env"'))
      expect(lines(left)).toEqual(lines(applyEntries(format, text, added)));
    const names = [
      'ADDED',
      'env',
      'apiKeyHelper',
      'model',
      'models',
      'model_provider',
      'model_providers',
      'GEMINI_API_KEY',
      'openai-api-key',
    ];
    const read = (whole: string) =>
      readEntries(
        format,
        whole,
        names.map((name) => [name]),
      );
    expect(read(left)).toEqual(read(applyEntries(format, text, added)));
  },
);

test('no secret that stands beside ours is shown, on whatever line', async () => {
  put(
    '.cline/data/settings/providers.json',
    '{"providers":{"a":{"settings":{"apiKey":"abcdefgh12345678","token": "zyxwvuts87654321"}}}}',
  );
  const plan = await core.call('connect.plan', { tool: 'cline', model: 'gpt-4o' });
  expect(JSON.stringify(plan)).not.toMatch(/abcdefgh|zyxwvuts/);
});
