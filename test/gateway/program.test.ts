/** The built headless gateway as a process: what it loses nothing of when it is told to end, and when it is killed. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addProvider, startGateway, usd, type GatewayProcess } from '../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../support/upstream.ts';

const model = 'acme-chat';
let upstream: Upstream;
let gateway: GatewayProcess;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startGateway({ args: ['--no-dashboard'] });
  const provider = await addProvider(gateway, upstream, 'openai');
  await gateway.call('prices.set', { providerId: provider.id, model, input: '0', output: '100' });
});

afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

const answer = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model,
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 5, completion_tokens: 300, total_tokens: 305 },
};

function ask(secret: string, stream = false): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      stream,
      max_completion_tokens: 1000,
      messages: [{ role: 'user', content: 'x' }],
    }),
  });
}

test('killed in the middle of a request, it counts what was set aside in full and says that it is an estimate', async () => {
  const { secret } = await gateway.call('keys.create', { name: 'crashed', limitNano: usd('1') });
  upstream.reply('/v1/chat/completions', { before: gate() });
  const asked = ask(secret).catch(() => null);
  await upstream.nthRequest(1);
  await gateway.kill9();
  await asked;

  gateway = await gateway.restart();
  const [key] = await gateway.call('keys.list', {});
  expect(key).toMatchObject({ usageNano: usd('0.1'), heldNano: 0, requests: 1 });
  const { rows } = await gateway.call('requests.list', {});
  expect(rows).toMatchObject([{ costNano: usd('0.1'), model, flags: expect.arrayContaining(['estimated']) }]);

  const corrected = await gateway.call('requests.correct', {
    id: rows[0]?.id ?? 0,
    costNano: usd('0.03'),
    reason: 'bill',
  });
  expect(corrected).toMatchObject({ costNano: usd('0.03'), flags: expect.arrayContaining(['corrected']) });
  expect((await gateway.call('keys.list', {}))[0]?.usageNano).toBe(usd('0.03'));
});

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s lets a running answer end, settles it and ends with code 0',
  async (signal) => {
    const { secret } = await gateway.call('keys.create', { name: 'ending' });
    const hold = gate();
    upstream.reply('/v1/chat/completions', { before: hold, body: answer });
    const asked = ask(secret);
    await upstream.nthRequest(1);
    const stopped = gateway.stop(signal);
    hold.open();
    expect((await asked).status).toBe(200);
    expect(await stopped).toBe(0);

    gateway = await gateway.restart();
    expect((await gateway.call('keys.list', {}))[0]).toMatchObject({ usageNano: usd('0.03'), heldNano: 0 });
  },
);

test('an answer that does not end is cut within five seconds, with its cost so far', async () => {
  const { secret } = await gateway.call('keys.create', { name: 'endless' });
  const delta = {
    id: 'c',
    object: 'chat.completion.chunk',
    model,
    choices: [{ index: 0, delta: { content: 'word ' } }],
  };
  upstream.reply('/v1/chat/completions', {
    headers: { 'content-type': 'text/event-stream' },
    chunks: [`data: ${JSON.stringify(delta)}\n\n`],
    hang: true,
  });
  const response = await ask(secret, true);
  const text = response.text().catch((error: unknown) => String(error));
  const started = performance.now();
  expect(await gateway.stop()).toBe(0);
  // And the end of a process, for which a machine that is slow to start one needs longer.
  expect(performance.now() - started).toBeLessThan(5_000 + 10 * gateway.startedInMs);
  // Never a bare end: the client is told, in its protocol's own words.
  expect(await text).toMatch(/"error"/);

  gateway = await gateway.restart();
  const { rows } = await gateway.call('requests.list', {});
  expect(rows).toMatchObject([{ flags: expect.arrayContaining(['estimated']) }]);
  expect((await gateway.call('keys.list', {}))[0]).toMatchObject({
    usageNano: rows[0]?.costNano,
    heldNano: 0,
  });
});

test('a machine that slept in the middle of an answer wakes up with nothing held and its cost on the books', async () => {
  const { secret } = await gateway.call('keys.create', { name: 'asleep', limitNano: usd('100') });
  const delta = { id: 'c', model, choices: [{ index: 0, delta: { content: 'word ' } }] };
  const lost = gate();
  upstream.reply('/v1/chat/completions', {
    headers: { 'content-type': 'text/event-stream' },
    chunks: [`data: ${JSON.stringify(delta)}\n\n`, lost],
    reset: true,
  });
  const response = await ask(secret, true);
  const { ended } = await upstream.nthRequest(1);
  process.kill(gateway.pid, 'SIGSTOP');
  // The provider does not wait for a machine that sleeps.
  lost.open();
  await ended;
  process.kill(gateway.pid, 'SIGCONT');
  expect(await response.text()).toMatch(/before it was complete/);
  const [row] = (await gateway.call('requests.list', {})).rows;
  expect(row).toMatchObject({ flags: ['interrupted', 'estimated'] });
  expect((await gateway.call('keys.list', {}))[0]).toMatchObject({ heldNano: 0, usageNano: row?.costNano });
  upstream.reply('/v1/chat/completions', { body: answer });
  expect((await ask(secret)).status).toBe(200);
});

test('events tell of a settled request without being asked', async () => {
  const { key, secret } = await gateway.call('keys.create', { name: 'watched' });
  const events = await gateway.events();
  upstream.reply('/v1/chat/completions', { body: answer });
  await (await ask(secret)).text();
  const changed = await events.first('keys-changed', ({ rows }) =>
    rows.some(({ usageNano }) => usageNano > 0),
  );
  expect(changed.rows.find(({ id }) => id === key.id)).toMatchObject({ usageNano: usd('0.03') });
  const settled = await events.first('request-settled');
  expect(settled.rows).toMatchObject([{ keyId: key.id, costNano: usd('0.03') }]);
});

test('neither a key nor the token opens what the other does', async () => {
  const { secret } = await gateway.call('keys.create', { name: 'curious' });
  const contract = await fetch(`${gateway.apiUrl}/call`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'keys.list', input: {} }),
  });
  expect(contract.status).toBe(401);
  expect((await ask(gateway.token)).status).toBe(401);
  expect(upstream.requests).toEqual([]);
});

test('secrets are in no file and in no line it writes', async () => {
  const { secret } = await gateway.call('keys.create', { name: 'quiet' });
  upstream.reply('/v1/chat/completions', { status: 500, body: { error: { message: 'PROMPT-ECHO' } } });
  await (await ask(secret)).text();
  await gateway.stop();
  const written = readdirSync(gateway.dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(`${entry.parentPath}/${entry.name}`).toString('latin1'));
  const everything = [...written, gateway.output()].join('\n');
  for (const forbidden of [secret, 'sk-upstream', gateway.token, 'PROMPT-ECHO'])
    expect(everything).not.toContain(forbidden);
});
