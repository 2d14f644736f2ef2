/** `faregate run`: a program with a key of its own, through a gateway that runs and through one of its own. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { commandStage, runCommand } from '../support/command-line.ts';
import { addProvider, projectRoot, startGateway, usd, type GatewayProcess } from '../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../support/upstream.ts';

const commands = commandStage();
const { start } = commands;

let folder: string;
let dataDir: string;
beforeEach(() => {
  ({ folder, dataDir } = commands.begin());
});
afterEach(() => commands.end());

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

  const script = (text: string) => {
    const file = path.join(folder, 'script.mjs');
    writeFileSync(file, text);
    return file;
  };
  const sdks = `
    import { createRequire } from 'node:module';
    const require = createRequire(${JSON.stringify(path.join(projectRoot, 'package.json'))});
    const { default: OpenAI } = await import(require.resolve('openai'));
    const { default: Anthropic } = await import(require.resolve('@anthropic-ai/sdk'));
    const messages = [{ role: 'user', content: 'Hello' }];
    const ask = () => new OpenAI().chat.completions.create({ model: 'gpt-4o', messages, max_completion_tokens: 50 });
  `;

  test('run gives the official SDKs a key, passes their output and exit code on, and says what it cost', async () => {
    const file = script(`${sdks}
      await ask();
      const answer = await new Anthropic().messages.create({ model: 'claude-haiku-4-5', max_tokens: 50, messages });
      console.log(answer.content[0].text, process.argv.slice(2).join('|'));
      process.exit(7);
    `);
    const env = { ANTHROPIC_API_KEY: 'sk-ant-of-the-person', OPENAI_ORG_ID: 'org-of-the-person' };
    const { code, stdout, stderr } = await start(
      ['run', ...here(), '--limit', '1', '--', process.execPath, file, '--limit', 'its own'],
      { env },
    ).ended;
    expect([code, stdout]).toEqual([7, 'Hello from upstream. --limit|its own\n']);
    expect(stderr).toMatch(/\$0\.\d+ for 2 requests, 24 tokens in, 10 out; limit \$1\.00\n/);
    expect(stderr).toMatch(/gpt-4o +1 +12 +5 +\$0\.000080/);
    expect(stderr).toContain('claude-haiku-4-5');
    expect(upstream.requests.map(({ headers }) => JSON.stringify(headers)).join()).not.toMatch(
      /of-the-person/,
    );
    // Its key is gone with it.
    expect(await gateway.call('keys.list', {})).toEqual([]);
  });

  test('run stops at its limit, which the SDK is told in one sentence, and the key never is an argument', async () => {
    upstream.answers({ inputTokens: 10, outputTokens: 50, text: 'Hello.' });
    const file = script(`${sdks}
      import { readFileSync } from 'node:fs';
      const lines = ['self', process.ppid].map((pid) => readFileSync('/proc/' + pid + '/cmdline', 'utf8'));
      if (lines.some((line) => line.includes(process.env.OPENAI_API_KEY))) process.exit(9);
      for (;;) await ask().catch((error) => { console.log(error.status, error.message); process.exit(3); });
    `);
    const args = [
      'run',
      ...here(),
      '--limit',
      '0.01',
      '--keep',
      '--name',
      'bounded',
      '--',
      process.execPath,
      file,
    ];
    const { code, stdout, stderr } = await start(args).ended;
    expect(code).toBe(3);
    expect(stdout).toMatch(/^402 .*"bounded".*\$0\.01/);
    expect(stderr).toMatch(/limit \$0\.01/);
    const [key] = await gateway.call('keys.list', {});
    expect(key).toMatchObject({ name: 'bounded', status: 'disabled', limitNano: usd('0.01') });
    expect(key?.usageNano).toBeLessThanOrEqual(usd('0.01'));
    expect(key?.usageNano).toBeGreaterThan(usd('0.007'));
  });

  test('run passes signals on, and still settles and says what it cost', async () => {
    const held = gate();
    upstream.reply('/v1/chat/completions', { before: held });
    const file = script(`${sdks}
      process.on('SIGTERM', () => process.exit(21));
      await ask();
    `);
    const program = start(['run', ...here(), '--json', '--', process.execPath, file]);
    await upstream.nthRequest(1);
    program.child.kill('SIGTERM');
    const { code, stderr } = await program.ended;
    expect(code).toBe(21);
    expect(JSON.parse(stderr.replace('faregate: ', ''))).toMatchObject({ costNano: 0, limitNano: null });
    held.open();
  });

  test('run says what is not there, as a shell does', async () => {
    const { code, stderr } = await start(['run', ...here(), '--', 'no-such-program-here']).ended;
    expect(code).toBe(127);
    expect(stderr).toContain('no-such-program-here was not found');
  });
});

test('run brings a gateway of its own where none runs, and takes it away again', async () => {
  const upstream = await startUpstream();
  const gateway = await startGateway({ dataDir });
  await addProvider(gateway, upstream, 'openai');
  await gateway.stop();
  const file = path.join(folder, 'ask.mjs');
  writeFileSync(
    file,
    `const headers = { authorization: 'Bearer ' + process.env.OPENAI_API_KEY, 'content-type': 'application/json' };
     const body = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }] });
     const answer = await fetch(process.env.OPENAI_BASE_URL + '/chat/completions', { method: 'POST', headers, body });
     console.log(answer.status, process.env.OPENAI_BASE_URL);`,
  );
  const args = ['run', '--data-dir', dataDir, '--', process.execPath, file];
  const { code, stdout, stderr } = await start(args).ended;
  const [status, url = ''] = stdout.trim().split(' ');
  expect([code, status]).toEqual([0, '200']);
  expect(stderr).toContain(' 1 request, ');
  await expect(fetch(url)).rejects.toThrow('fetch failed');
  expect((await runCommand(['usage', '--by', 'model', '--data-dir', dataDir])).stdout).toMatch(
    /gpt-4o +1 +12 +5 +\$0\.000080/,
  );
  await upstream.close();
});
