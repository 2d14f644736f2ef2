/** The command line: against a gateway that runs, and against none. `run` has a file of its own. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { KeyRow } from '#shared/model.ts';
import { builtProgram, commandStage, runCommand, type Ended } from '../support/command-line.ts';
import { addProvider, projectRoot, startGateway, usd, type GatewayProcess } from '../support/gateway.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const commands = commandStage();
const { start } = commands;
const faregate = (...args: string[]) => runCommand(args);

let folder: string;
let dataDir: string;
beforeEach(() => {
  ({ folder, dataDir } = commands.begin());
});
afterEach(() => commands.end());

const rowsOf = ({ stdout }: Ended) => z.array(KeyRow).parse(JSON.parse(stdout));

test('help names every command, and every command has its own', async () => {
  const { stdout, code } = await start(['help']).ended;
  expect(code).toBe(0);
  const names = [...stdout.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name = '']) => name);
  expect(names).toEqual(
    expect.arrayContaining(['run', 'keys', 'usage', 'prices', 'status', 'open', 'gateway', 'service']),
  );
  const helps = await Promise.all(names.map((name) => faregate(name, '--help')));
  expect(helps.map((help) => [help.code, help.stdout.split('\n')[0]])).toEqual(
    names.map((name) => [0, expect.stringContaining(`Usage: faregate ${name}`)]),
  );
});

test.each([
  [['keys', 'bogus'], "Unknown action 'bogus'"],
  [['keys', 'create'], "'create' takes"],
  [['keys', 'set-limit', 'x', 'much'], 'Enter an amount'],
  [['usage', '--from', '2026-02-31'], '--from takes a day'],
  [['run', 'node'], 'after --'],
  [['run', '--limit=-1', '--', 'true'], 'cannot be negative'],
  [['gateway', '--listen', '0.0.0.0:1'], 'do not cross a network in the clear'],
])('%j is refused with what to write instead', async (args, said) => {
  mkdirSync(dataDir);
  const [command = '', ...rest] = args;
  const given = [command, '--data-dir', dataDir, ...rest];
  const { code, stdout, stderr } = await runCommand(given);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(said);
  expect(stderr).toContain('Usage: faregate');
});

test('the program writes what a command prints, complains on the other stream, and ends with its code', async () => {
  mkdirSync(dataDir);
  const made = await start(['keys', 'create', 'ci', '--data-dir', dataDir]).ended;
  expect(made).toEqual({
    code: 0,
    stdout: expect.stringMatching(/^sk-fg-\w{43}\n$/),
    stderr: expect.stringMatching(/^faregate: .*shown once.*\n$/),
  });
  const refused = await start(['keys', 'bogus', '--data-dir', dataDir]).ended;
  expect(refused).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^faregate: Unknown action/),
  });
  expect((await start(['status', '--data-dir', dataDir]).ended).code).toBe(3);
});

describe('without a running gateway', () => {
  test('keys are made, limited, rotated, switched off and deleted in the ledger itself', async () => {
    const keys = (...args: string[]) => faregate('keys', ...args, '--data-dir', dataDir);
    // A folder is made for the first key, and for nothing that looks for one.
    expect(await keys('list')).toMatchObject({ code: 1, stderr: expect.stringContaining('no data folder') });
    expect(await keys('create')).toMatchObject({ code: 2, stderr: expect.stringContaining('takes 1 word.') });
    expect(existsSync(dataDir)).toBe(false);
    const made = await keys('create', 'ci', '--limit', '$2.50', '--recurring', '0.5', '--every', 'day');
    expect(made.stdout).toMatch(/^sk-fg-[0-9A-Za-z]{43}\n$/);
    expect(made.stderr).toContain(`The data folder ${dataDir} is new.`);
    await keys('set-limit', 'ci', '10');
    expect((await keys('top-up', 'ci', '5')).stdout).toContain('$10.00 + $5.00');
    await keys('disable', 'ci');
    const [row] = rowsOf(await keys('list', '--json'));
    expect(row).toMatchObject({
      name: 'ci',
      status: 'disabled',
      limitNano: usd('10'),
      recurring: { amountNano: usd('0.5'), every: 'day' },
    });
    expect((await keys('rotate', row?.id ?? '')).stdout).toMatch(/^sk-fg-/);
    expect((await keys()).stdout).toMatch(
      /^NAME +KEY +STATUS +USAGE +LIMIT .*\nci +sk-fg-.* disabled +\$0\.00 +\$10\.00 /,
    );
    expect((await keys('delete', 'ci')).code).toBe(0);
    expect(await keys('delete', 'ci')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is no key "ci"'),
    });
  });

  test('status says so with an exit code of its own, and open says what to start', async () => {
    mkdirSync(dataDir);
    expect(await faregate('status', '--data-dir', dataDir)).toMatchObject({ code: 3, stderr: '' });
    const opened = await faregate('open', '--data-dir', dataDir);
    expect(opened).toMatchObject({ code: 1, stderr: expect.stringContaining('faregate gateway') });
  });

  test('npx runs it in a checkout, under whatever Node npm runs on, and connects a tool', async () => {
    const settings = path.join(folder, '.claude', 'settings.json');
    for (const each of [dataDir, path.dirname(settings)]) mkdirSync(each);
    writeFileSync(settings, '{ "model": "opus" }\n');
    const own = path.join(projectRoot, 'node_modules');
    const elsewhere = (process.env['PATH'] ?? '')
      .split(path.delimiter)
      .filter((each) => !each.startsWith(own));
    const args = ['--no-install', 'faregate', 'connect', 'claude-code', '--data-dir', dataDir];
    const { status, stdout, stderr } = spawnSync('npx', args, {
      cwd: projectRoot,
      env: { ...process.env, PATH: elsewhere.join(path.delimiter), HOME: folder, CLAUDE_CONFIG_DIR: '' },
      encoding: 'utf8',
    });
    expect([status, stderr.includes('Usage:')]).toEqual([0, false]);
    expect(stdout).toContain('ANTHROPIC_AUTH_TOKEN');
    expect(JSON.parse(readFileSync(settings, 'utf8'))).toMatchObject({
      model: 'opus',
      env: { ANTHROPIC_AUTH_TOKEN: expect.stringMatching(/^sk-fg-\w{43}$/) as string },
    });
  });

  test('a socket that a killed gateway left is nobody', async () => {
    const gateway = await startGateway({ dataDir });
    await gateway.kill9();
    expect((await faregate('status', '--data-dir', dataDir)).code).toBe(3);
    expect((await faregate('keys', 'create', 'after', '--data-dir', dataDir)).code).toBe(0);
    const again = await startGateway({ dataDir });
    expect((await faregate('status', '--data-dir', dataDir, '--json')).stdout).toContain(again.url);
    await again.stop();
  });
});

describe('with a gateway that runs', () => {
  let upstream: Upstream;
  let gateway: GatewayProcess;
  beforeAll(async () => {
    upstream = await startUpstream();
    gateway = await startGateway();
    await addProvider(gateway, upstream, 'openai');
    await addProvider(gateway, upstream, 'anthropic');
  });
  afterAll(async () => {
    await gateway.dispose();
    await upstream.close();
  });
  beforeEach(() => upstream.reset());
  const here = () => ['--data-dir', gateway.dataDir];

  test('commands change what it serves at once', async () => {
    const { stdout } = await faregate('keys', 'create', 'at-once', ...here());
    const authorization = { authorization: `Bearer ${stdout.trim()}` };
    expect((await fetch(`${gateway.url}/v1/key`, { headers: authorization })).status).toBe(200);
    await faregate('keys', 'disable', 'at-once', ...here());
    expect((await fetch(`${gateway.url}/v1/key`, { headers: authorization })).status).toBe(401);
    expect((await faregate('status', ...here())).stdout).toContain(gateway.url);
  });

  test('prices are set, listed and removed', async () => {
    const prices = (...args: string[]) => faregate('prices', ...args, ...here());
    await prices('set', 'openai', 'my-model', '--input', '0.5', '--output', '1.5', '--cached-input', '0.05');
    expect((await prices('list')).stdout).toMatch(/openai +my-model +0\.5 +0\.05 +1\.5/);
    expect((await prices('set', 'nobody', 'm', '--input', '1', '--output', '1')).stderr).toContain(
      'Known: openai',
    );
    expect((await prices('remove', 'openai', 'my-model')).code).toBe(0);
    expect((await prices()).stdout).toContain('You have set no prices');
    expect((await prices('search', 'gpt-4o-mini')).stdout).toMatch(/openai +gpt-4o-mini +0\.15 .* 0\.60 /);
    expect((await prices('unpriced')).stdout).toContain('Every model that was asked for has a price.');
    expect((await prices('reprice', 'openai', 'gpt-4o')).stdout).toContain('0 requests');
  });

  test('the dashboard opens by a link that works once', async () => {
    const { stdout } = await faregate('open', '--print', ...here());
    const link = new URL(stdout.trim());
    const exchange = (origin = link.origin) =>
      fetch(`${link.origin}/api/session`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin },
        body: JSON.stringify({ code: new URLSearchParams(link.hash.slice(1)).get('once') }),
      });
    expect((await exchange('http://evil.example')).status).toBe(403);
    expect(await (await exchange()).json()).toEqual({ ok: true, value: { token: gateway.token } });
    expect((await exchange()).status).toBe(401);
  });

  test('a tool is connected in one line, shown before, and given back', async () => {
    const env = { HOME: folder, CLAUDE_CONFIG_DIR: '', XDG_CONFIG_HOME: '' };
    const settings = path.join(folder, '.claude', 'settings.json');
    mkdirSync(path.dirname(settings));
    writeFileSync(settings, '{ "model": "opus" }\n');
    // What the gateway was started with decides where tools are looked for, not this command's own home.
    const own = await startGateway({ dataDir, env });
    await addProvider(own, upstream, 'anthropic');
    const faregateHere = (...args: string[]) => runCommand([...args, '--data-dir', dataDir], { env });

    const dry = await faregateHere('connect', 'claude-code', '--dry-run');
    expect(dry).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/"ANTHROPIC_AUTH_TOKEN": ?"sk-fg-…"/),
    });
    expect(readFileSync(settings, 'utf8')).toBe('{ "model": "opus" }\n');

    const connected = await faregateHere('connect', 'claude-code', '--limit', '2');
    expect(connected.stdout).toMatch(
      /Claude Code is connected.*\nThe gateway answered Claude Code's key with \d+ models\./,
    );
    expect([connected.code, connected.stdout.includes(readFileSync(settings, 'utf8'))]).toEqual([0, false]);
    expect((await faregateHere('connect')).stdout).toMatch(/claude-code +Claude Code +yes +connected/);
    expect((await faregateHere('keys')).stdout).toMatch(
      /^Claude Code +sk-fg-\S+ +active +\$0\.00 +\$2\.00 /m,
    );

    expect(await faregateHere('connect', '--follow')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('led to this gateway already'),
    });
    await own.stop();
    const elsewhere = await own.restart();
    expect(await faregateHere('connect', '--follow')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Claude Code is led to this gateway'),
    });
    expect(readFileSync(settings, 'utf8')).toContain(elsewhere.url);

    const back = await faregateHere('disconnect', 'claude-code');
    expect(back).toMatchObject({ code: 0, stdout: expect.stringContaining('byte for byte') });
    expect(readFileSync(settings, 'utf8')).toBe('{ "model": "opus" }\n');
    expect((await faregateHere('connect', 'cursor')).stderr).toContain('from its own servers');
    await elsewhere.stop();
  });
});

describe('another machine', () => {
  test('is let in by --listen with a certificate alone, under its names alone, with a key', async () => {
    const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')];
    const made = spawnSync('openssl', [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...[
        '-subj',
        '/CN=build-box',
        '-addext',
        'subjectAltName=DNS:build-box.test',
        '-keyout',
        key,
        '-out',
        cert,
      ],
    ]);
    expect(made.status, 'openssl makes the certificate').toBe(0);
    const program = start([
      ...['gateway', '--port', '0', '--json', '--data-dir', dataDir, '--listen', '127.0.0.1:0'],
      ...['--tls-cert', cert, '--tls-key', key],
    ]);
    await expect.poll(() => program.output.stdout).toContain('ready');
    const [, url = ''] = /listening on (https:\S+): whoever reaches/.exec(program.output.stderr) ?? [];
    const ask = async (host: string) => {
      const { Agent, request } = await import('undici');
      const dispatcher = new Agent({
        connect: { ca: readFileSync(cert, 'utf8'), checkServerIdentity: () => undefined },
      });
      const { statusCode, body } = await request(`${url}/v1/models`, { headers: { host }, dispatcher });
      await body.dump();
      await dispatcher.close();
      return statusCode;
    };
    expect(await ask('build-box.test:3443')).toBe(401);
    expect(await ask('attacker.example')).toBe(403);
    expect(await ask('localhost')).toBe(403);
    program.child.kill('SIGTERM');
    expect((await program.ended).code).toBe(0);
  });
});

describe('service', () => {
  const env = () => ({ HOME: folder, XDG_CONFIG_HOME: '', PATH: folder });

  test.runIf(process.platform === 'linux')(
    'writes a systemd unit of the user and says what is left to do',
    async () => {
      const unit = path.join(folder, '.config', 'systemd', 'user', 'faregate.service');
      const service = (...args: string[]) => runCommand(['service', ...args], { env: env() });
      const { stdout, stderr, code } = await service('install', '--port', '4000');
      expect([code, stdout]).toEqual([1, `Wrote ${unit}\n`]);
      expect(stderr).toContain('systemctl --user enable --now faregate.service');
      expect(readFileSync(unit, 'utf8')).toContain(
        `\nExecStart="${process.execPath}" "${builtProgram}" "gateway" "--port" "4000"\n`,
      );
      expect((await service('print', '--port', '4000')).stdout).toBe(readFileSync(unit, 'utf8'));
      await service('uninstall');
      expect(() => statSync(unit)).toThrow('ENOENT');
    },
  );
});

test('reconcile compares an export with a data folder; the exit code says whether they agree', async () => {
  const upstream = await startUpstream({ credential: 'sk-upstream' });
  const gateway = await startGateway({ dataDir });
  await addProvider(gateway, upstream, 'anthropic');
  await gateway.stop();
  await upstream.close();
  const file = path.join(folder, 'cost.csv');
  const lines = ['usage_date_utc,model,token_type,cost_usd', '2026-11-17,Claude Haiku 4.5,output,1.50'];
  writeFileSync(file, lines.join('\n'));
  const reconcile = (...args: string[]) => faregate('reconcile', file, '--data-dir', dataDir, ...args);
  const differs = await reconcile();
  expect(differs).toMatchObject({ code: 1, stderr: '' });
  expect(differs.stdout).toMatch(
    /Anthropic cost, 2026-11-17 to 2026-11-17 \(UTC\), compared with anthropic\./,
  );
  expect(differs.stdout).toMatch(
    /Claude Haiku 4\.5 +\$1\.50 +\$0\.00 +-\$1\.50 +-100\.00 +only in the export/,
  );
  expect(await reconcile('--tolerance', '100')).toMatchObject({ code: 0 });
  expect(await reconcile('--provider', 'nobody')).toMatchObject({ code: 1 });
  writeFileSync(file, 'a,b\n1,2\n');
  expect((await reconcile()).stderr).toContain('no export that Faregate knows');
});

test('prices refresh says what came of it, here of a server that has no data', async () => {
  const upstream = await startUpstream();
  upstream.reply('/data.json', { status: 503 });
  mkdirSync(dataDir);
  const { stdout } = await runCommand(['prices', 'refresh', '--data-dir', dataDir], {
    env: { FAREGATE_PRICE_DATA_URL: `${upstream.url}/data.json` },
  });
  expect(stdout).toContain('could not be fetched: the server answered with status 503');
  await upstream.close();
});
