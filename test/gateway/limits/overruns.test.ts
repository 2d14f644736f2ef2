/** A provider that bills beyond the bound: shown, counted, and not believed a second time. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addDimeProviders, boundedRequest } from '../../support/bounded-requests.ts';
import { send } from '../../support/client.ts';
import { startCore, usd, type CoreGateway } from '../../support/gateway.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let secret: string;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  await addDimeProviders(gateway, upstream);
  ({ secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('10') }));
});
afterEach(async () => {
  await gateway.dispose();
  await upstream.close();
});

function ask(tokens: number) {
  const { path, body } = boundedRequest('messages');
  return send(`${gateway.url}${path}`, { headers: { 'x-api-key': secret }, body: body(tokens) });
}

/** What one request of so many tokens is held for while it runs. */
async function heldFor(tokens: number): Promise<number> {
  const before = gate();
  const seen = upstream.requests.length;
  upstream.reply(
    /./,
    { before, body: { type: 'message', model: 'acme', usage: { input_tokens: 1, output_tokens: 1 } } },
    1,
  );
  const asked = ask(tokens);
  await upstream.nthRequest(seen + 1);
  const [key] = await gateway.call('keys.list', {});
  before.open();
  await asked;
  return key?.heldNano ?? 0;
}

test('what was billed beyond the bound makes the next holds for the model larger, and the ones after a restart', async () => {
  expect(await heldFor(1000)).toBe(usd('0.10'));
  upstream.answers({ inputTokens: 1, outputTokens: 3000, text: 'x' });
  expect((await ask(1000)).status).toBe(200);
  const { rows } = await gateway.call('requests.list', { limit: 1 });
  expect(rows).toMatchObject([{ flags: ['overrun'], costNano: usd('0.30') }]);
  expect(await heldFor(1000)).toBeGreaterThanOrEqual(usd('0.30'));
  gateway = await gateway.restart();
  expect(await heldFor(1000)).toBeGreaterThanOrEqual(usd('0.30'));
});

test('another model, and another provider, keep their bounds', async () => {
  upstream.answers({ inputTokens: 1, outputTokens: 3000, text: 'x' });
  await ask(1000);
  const { path, body } = boundedRequest('chat');
  const before = gate();
  upstream.reply(
    /./,
    { before, body: { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } } },
    1,
  );
  const asked = send(`${gateway.url}${path}`, { headers: { 'x-api-key': secret }, body: body(1000) });
  await upstream.nthRequest(2);
  expect((await gateway.call('keys.list', {}))[0]?.heldNano).toBe(usd('0.10'));
  before.open();
  await asked;
});
