/** The built headless entry as a process, and the launcher that builds and starts it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { runCommand } from '../support/command-line.ts';
import { startUpstream } from '../support/upstream.ts';

const projectRoot = path.resolve(import.meta.dirname, '..', '..');
const posix = process.platform !== 'win32';

let folder: string;
const running: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'faregate-headless-'));
});
afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
});

/** A checkout of its own, so that nothing else is using its `dist/`. */
function checkout(): string {
  const copy = mkdtempSync(path.join(tmpdir(), 'faregate-checkout-'));
  for (const entry of [
    'electron',
    'renderer',
    'shared',
    'package.json',
    'package-lock.json',
    'tsconfig.json',
  ]) {
    cpSync(path.join(projectRoot, entry), path.join(copy, entry), { recursive: true });
  }
  symlinkSync(path.join(projectRoot, 'node_modules'), path.join(copy, 'node_modules'), 'junction');
  return copy;
}

interface Program {
  child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves with the exit code, or the signal's name, once all output is read. */
  ended: Promise<number | string>;
}

function run(
  args: string[],
  { cwd = projectRoot, env = {} }: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Program {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
}

const cli = (...args: string[]) => run(['dist/cli.js', ...args]);
const dataDir = () => path.join(folder, 'data');
const quiet = () => ['--port', '0', '--data-dir', dataDir(), '--json'];

async function ready(program: Program): Promise<Record<string, unknown>> {
  await expect.poll(() => program.stdout() || program.child.exitCode).toBeTruthy();
  return JSON.parse(program.stdout());
}

describe('the headless gateway', () => {
  test('loads nothing at its start of what it does not use and takes long to load', async () => {
    const atExit = "process.on('exit', () => console.log(JSON.stringify(process.moduleLoadList)))";
    const program = run(['--import', `data:text/javascript,${atExit}`, 'dist/cli.js', ...quiet()]);
    await expect.poll(() => program.stdout() || program.child.exitCode).toBeTruthy();
    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(0);
    const loaded: string[] = JSON.parse(program.stdout().trim().split('\n').at(-1) ?? '');
    expect(loaded).toContain('NativeModule http');
    // Node's own fetch, which an `import` from `node:http` brings with it; ours is a package.
    expect(loaded).not.toContain('NativeModule internal/deps/undici/undici');
  });

  test('prints one line when it is ready, and every address in it answers', async () => {
    const program = cli(...quiet());
    const line = await ready(program);
    expect(program.stdout().endsWith('}\n')).toBe(true);
    expect(Object.keys(line)).toEqual(['event', 'gatewayUrl', 'dashboardUrl', 'apiUrl', 'token', 'pid']);
    expect(line).toMatchObject({ event: 'ready', pid: program.child.pid });
    expect((await fetch(String(line['gatewayUrl']))).status).toBe(200);
    expect(await (await fetch(String(line['dashboardUrl']))).text()).toContain('<div id="root">');
    const call = {
      method: 'POST',
      body: '{"name":"status.get"}',
      headers: { 'content-type': 'application/json' },
    };
    const answer = await fetch(`${String(line['apiUrl'])}/call`, {
      ...call,
      headers: { ...call.headers, authorization: `Bearer ${String(line['token'])}` },
    });
    expect(await answer.json()).toMatchObject({
      ok: true,
      value: { gatewayUrl: line['gatewayUrl'], version: packageJson.version },
    });
    // Neither credential opens the other's door.
    expect(
      (
        await fetch(`${String(line['gatewayUrl'])}/v1/key`, {
          headers: { authorization: `Bearer ${String(line['token'])}` },
        })
      ).status,
    ).toBe(401);
    expect((await fetch(`${String(line['apiUrl'])}/call`, call)).status).toBe(401);
  });

  test('tells a person the same, and the contract without a dashboard', async () => {
    const program = cli('--port', '0', '--data-dir', dataDir(), '--no-dashboard');
    await expect.poll(program.stdout).toContain('Ctrl+C');
    expect(program.stdout()).toMatch(/Gateway +http:\/\/127\.0\.0\.1:\d+/);
    expect(program.stdout()).toMatch(/Contract +http:\/\/127\.0\.0\.1:\d+\/api +token [\w-]{43}/);
  });

  test.runIf(posix).each(['SIGTERM', 'SIGINT'] as const)(
    'keeps what it has readable by its owner alone, and ends in order on %s',
    async (signal) => {
      const program = cli(...quiet());
      const line = await ready(program);
      for (const file of ['.', 'faregate.db', 'faregate.log'])
        expect(statSync(path.join(dataDir(), file)).mode & 0o077, file).toBe(0);
      // Neither a dashboard that is connected nor anything else that listens keeps it.
      const events = await fetch(`${String(line['apiUrl'])}/events`, {
        headers: { authorization: `Bearer ${String(line['token'])}` },
      });
      expect(events.status).toBe(200);
      program.child.kill(signal);
      // One that is not done within five seconds ends itself with another code.
      expect(await program.ended).toBe(0);
      expect(existsSync(path.join(dataDir(), 'faregate.db-wal'))).toBe(false);
      expect(program.stderr()).toBe('');
      expect(await events.text()).toMatch(/^: open/);
    },
  );

  test.runIf(posix)(
    'takes one Ctrl+C that arrives twice for one wish, and a later one for "at once"',
    async () => {
      const upstream = await startUpstream();
      const program = cli(...quiet());
      const line = await ready(program);
      const call = async (name: string, input: object) => {
        const headers = {
          authorization: `Bearer ${String(line['token'])}`,
          'content-type': 'application/json',
        };
        const body = JSON.stringify({ name, input });
        const answer = await fetch(`${String(line['apiUrl'])}/call`, { method: 'POST', headers, body });
        return ((await answer.json()) as { value: { secret: string } }).value;
      };
      const provider = { kind: 'openai', baseUrl: `${upstream.url}/v1`, credential: 'sk-upstream' };
      await call('providers.create', provider);
      const { secret } = await call('keys.create', { name: 'hanging' });
      upstream.reply('/v1/chat/completions', { hang: true });
      const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' };
      const body = JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'x' }] });
      const asked = fetch(`${String(line['gatewayUrl'])}/v1/chat/completions`, {
        method: 'POST',
        headers,
        body,
      });
      const failed = asked.then((response) => response.text()).catch(() => 'cut off');
      await upstream.nthRequest(1);

      const startedAt = performance.now();
      program.child.kill('SIGINT');
      program.child.kill('SIGINT');
      // Still waiting for the running request: a wish more than half a second later is another one.
      const again = setInterval(() => program.child.kill('SIGINT'), 700);
      // Settled in order it would be 0.
      expect(await program.ended).toBe(1);
      clearInterval(again);
      expect(performance.now() - startedAt).toBeGreaterThan(500);
      await failed;
      await upstream.close();
    },
  );

  test('says that its port is taken, and how to take another', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const port = String((other.address() as AddressInfo).port);
    const program = cli('--port', port, '--data-dir', dataDir());
    expect(await program.ended).toBe(1);
    expect(program.stderr()).toBe(
      `faregate: Port ${port} is used by another program. End it, or choose another port. --port N names one, --port 0 takes any that is free.\n`,
    );
    expect(program.stdout()).toBe('');
    other.close();
  });

  test('says in one line that a data folder cannot be made, or not be written', async () => {
    const unwritable = path.join(folder, 'unwritable');
    mkdirSync(path.join(unwritable, 'faregate.log'), { recursive: true });
    const refused = cli('--port', '0', '--data-dir', unwritable, '--json');
    expect([await refused.ended, refused.stdout()]).toEqual([1, '']);
    expect(refused.stderr()).toMatch(/^faregate: .*faregate\.log cannot be written\. .*\n$/);

    const file = path.join(folder, 'file');
    writeFileSync(file, '');
    for (const place of [file, path.join(file, 'below')]) {
      const program = cli('--port', '0', '--data-dir', place, '--json');
      expect([await program.ended, program.stdout()]).toEqual([1, '']);
      expect(program.stderr()).toMatch(/^faregate: The data folder .*file\S* cannot be created\. .*\n$/);
    }
  });

  test('leaves a data folder alone that another gateway uses, or whose key file others can read', async () => {
    const first = cli(...quiet());
    await ready(first);
    const second = cli(...quiet());
    expect(await second.ended).toBe(1);
    expect(second.stderr().trim().split('\n')).toHaveLength(1);
    expect(second.stderr()).not.toContain('    at ');

    first.child.kill('SIGTERM');
    await first.ended;
    if (!posix) return;
    writeFileSync(path.join(dataDir(), 'secret.key'), '0'.repeat(64), { mode: 0o644 });
    const third = cli(...quiet());
    expect(await third.ended).toBe(1);
    expect(third.stderr()).toContain(`chmod 600 '${path.join(dataDir(), 'secret.key')}'`);
  });
});

describe('the command line', () => {
  test.each([
    [['--bogus']],
    [['--port', 'many']],
    [['--port', '70000']],
    [['--port']],
    [['extra']],
    [['--data-dir', '']],
  ])('refuses %j and shows the usage', async (args) => {
    const { code, stdout, stderr } = await runCommand(['gateway', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage:');
  });

  test('prints its version and its usage, and refuses as a process does', async () => {
    const [version, help, refused] = [cli('--version'), cli('--help'), cli('--bogus')];
    expect([await version.ended, version.stdout()]).toEqual([0, `${packageJson.version}\n`]);
    expect([await help.ended, help.stdout()]).toEqual([
      0,
      expect.stringContaining('Usage: faregate [COMMAND]'),
    ]);
    const unknown = cli('bogus');
    expect([await unknown.ended, unknown.stderr()]).toEqual([2, expect.stringContaining("command 'bogus'")]);
    expect([await refused.ended, refused.stdout()]).toEqual([2, '']);
    expect(refused.stderr()).toContain('Usage:');
  });
});

describe('npm start', () => {
  test.runIf(process.platform === 'linux')(
    'says in one line why there is no window, and starts without',
    async () => {
      const program = run(['electron/launch.ts', '--port', '0', '--data-dir', dataDir()], {
        env: { DISPLAY: '', WAYLAND_DISPLAY: '' },
      });
      await expect.poll(program.stdout).toContain('Dashboard');
      const lines = program.stderr().trim().split('\n');
      // Building what is stale may have its say, too.
      expect(lines.filter((line) => !line.startsWith('faregate: built '))).toEqual([
        'faregate: There is no display here; starting without a window.',
      ]);
      // The launcher is the gateway: what the shell knows as its pid can be told to end.
      program.child.kill('SIGTERM');
      expect(await program.ended).toBe(0);
    },
  );
});

test('of the launcher, --help is about all commands, and after --headless about the gateway', async () => {
  const [all, one] = [
    run(['electron/launch.ts', '--help']),
    run(['electron/launch.ts', '--headless', '--help']),
  ];
  expect([await all.ended, all.stdout()]).toEqual([0, expect.stringContaining('Usage: faregate [COMMAND]')]);
  expect([await one.ended, one.stdout()]).toEqual([0, expect.stringContaining('Usage: faregate gateway')]);
});

describe('a checkout', () => {
  let cwd: string;
  beforeAll(() => {
    cwd = checkout();
  });
  afterAll(() => rmSync(cwd, { recursive: true, force: true }));
  const version = () => run(['electron/launch.ts', '--headless', '--version'], { cwd });

  test('builds what is stale once for two starts at the same time, also after a build that was killed or failed', async () => {
    const killed = run(['electron/build.ts', 'cli'], { cwd });
    await expect.poll(() => existsSync(path.join(cwd, 'dist', '.build-lock')), { interval: 5 }).toBe(true);
    killed.child.kill('SIGKILL');
    await killed.ended;
    expect(existsSync(path.join(cwd, 'dist', 'cli.js'))).toBe(false);

    const both = [version(), version()];
    expect(await Promise.all(both.map(({ ended }) => ended))).toEqual([0, 0]);
    const printed = `${packageJson.version}\n`;
    expect(both.map(({ stdout }) => stdout())).toEqual([printed, printed]);
    const said = both.map(({ stderr }) => stderr()).join('');
    expect(said.match(/built cli\.js/g)).toHaveLength(1);

    const again = version();
    expect([await again.ended, again.stderr()]).toEqual([0, '']);

    // Where these tests keep what they compile is not where a person's program does.
    const alone = run(['dist/cli.js', '--version'], { cwd, env: { NODE_COMPILE_CACHE: undefined } });
    expect([await alone.ended, alone.stdout()]).toEqual([0, printed]);
    expect(readdirSync(path.join(cwd, 'dist', '.compiled'))).not.toHaveLength(0);

    // A source that changed is built anew; where that fails nothing old is started.
    const log = path.join(cwd, 'electron', 'log.ts');
    const good = readFileSync(log);
    writeFileSync(log, "import { nothing } from './missing.ts';\nexport const openLog = nothing;\n");
    const failed = version();
    expect(await failed.ended).toBe(1);
    expect(failed.stderr()).toContain('the build failed');
    expect(failed.stdout()).toBe('');
    // Its time is another one than the build's.
    writeFileSync(log, good);
  });

  test('in development serves the page from its sources, and the gateway anew when its own change', async () => {
    const args = ['electron/launch.ts', '--dev', '--port', '0', '--data-dir', dataDir()];
    const program = run(args, { cwd, env: { DISPLAY: '', WAYLAND_DISPLAY: '' } });
    // Vite has its say on the same stream.
    const lines = () =>
      program
        .stdout()
        .split('\n')
        .filter((line) => line.startsWith('{') && line.endsWith('}'));
    await expect.poll(lines).toHaveLength(1);
    const [, page = '', token = ''] = /dashboard at (\S+)#token=(\S+)/.exec(program.stderr()) ?? [];
    expect(await (await fetch(page)).text()).toContain('/@vite/client');
    expect(program.stderr()).toMatch(/built cli\.js/);

    const status = async (given: string) => {
      const headers = { authorization: `Bearer ${given}`, 'content-type': 'application/json' };
      return fetch(new URL('api/call', page), { method: 'POST', headers, body: '{"name":"status.get"}' });
    };
    expect((await status('guessed')).status).toBe(401);
    expect(await (await status(token)).json()).toMatchObject({ ok: true });

    writeFileSync(path.join(cwd, 'shared', 'touched.ts'), 'export {};\n');
    await expect.poll(lines).toHaveLength(2);
    const [first, second] = lines().map((line): { pid: number; gatewayUrl: string } => JSON.parse(line));
    expect(second?.pid).not.toBe(first?.pid);
    expect(await (await status(token)).json()).toMatchObject({
      ok: true,
      value: { gatewayUrl: second?.gatewayUrl },
    });

    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(0);
    await expect(fetch(String(second?.gatewayUrl))).rejects.toThrow('fetch failed');
  });
});
