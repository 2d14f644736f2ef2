/** Requests that are ended on purpose: their key is disabled, deleted, replaced, or its limit changed while they run. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { begin, send, type Begun } from '../../support/client.ts';
import { startCore, usd, type CoreGateway, type EventRecord } from '../../support/gateway.ts';
import {
  addAcme,
  beginning,
  endingOf,
  scriptStream,
  stream,
  streamNames,
  streamRequest,
} from '../../support/streams.ts';
import { gate, startUpstream, type Upstream } from '../../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let events: EventRecord;
let key: string;
let keyId: string;

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore({ waitMs: 60_000 });
  await addAcme(gateway, upstream);
  const created = await gateway.call('keys.create', { name: 'dev', limitNano: usd('100') });
  [key, keyId] = [created.secret, created.key.id];
  events = await gateway.events();
});

afterEach(async () => {
  events.close();
  await gateway.dispose();
  await upstream.close();
});

const headers = () => ({ authorization: `Bearer ${key}` });

const ask = (name: string) =>
  begin(`${gateway.url}${stream(name).path}`, { headers: headers(), body: streamRequest });

describe('a request that is stopped', () => {
  const stops: [string, (id: string) => Promise<unknown>, RegExp][] = [
    [
      'disabled',
      (id) => gateway.call('keys.update', { id, enabled: false }),
      /key .{1,2}dev.{1,2} was disabled/,
    ],
    ['deleted', (id) => gateway.call('keys.delete', { id }), /key .{1,2}dev.{1,2} was deleted/],
    ['replaced', (id) => gateway.call('keys.rotate', { id }), /key .{1,2}dev.{1,2} was replaced/],
    [
      'limited',
      (id) => gateway.call('keys.setLimit', { id, limitNano: 0, stopRunning: true }),
      /limit of key .{1,2}dev.{1,2} was changed/,
    ],
    ['stopped with all others', () => gateway.call('gateway.stopAll', {}), /all requests were stopped/],
  ];
  const stoppedCode: Readonly<Record<string, unknown>> = {
    chat: 'insufficient_quota',
    responses: 'invalid_prompt',
    messages: 'billing_error',
    'gemini events': 402,
    'gemini array': 402,
  };

  async function running(name: string): Promise<{ answer: Begun; sent: string }> {
    const sent = beginning(name);
    scriptStream(upstream, name, sent, { hang: true });
    const answer = await ask(name);
    let seen = '';
    while (seen.length < sent.join('').length) seen += String(await answer.next());
    return { answer, sent: seen };
  }

  test.each(streamNames)('ends with the dialect’s own ending, and the true cost so far: %s', async (name) => {
    const { answer, sent } = await running(name);
    await gateway.call('keys.update', { id: keyId, enabled: false });
    const rest = await answer.rest();
    const { message, code } = endingOf(name, sent + rest.text, sent);
    expect(message).toMatch(/key .{1,2}dev.{1,2} was disabled/);
    expect(code).toBe(stoppedCode[name]);
    const { rows } = await events.first('request-settled');
    expect(rows[0]).toMatchObject({ flags: ['stopped', 'estimated'], status: 200 });
    expect(rows[0]?.outputTokens).toBeGreaterThanOrEqual(3);
    expect(await (await upstream.nthRequest(1)).ended).toBe('aborted');
  });

  test.each(stops)('because its key was %s', async (_why, stop, message) => {
    const { answer } = await running('messages');
    await stop(keyId);
    expect((await answer.rest()).text).toMatch(message);
    const { rows } = await gateway.call('requests.list', {});
    expect(rows).toMatchObject([{ flags: ['stopped', 'estimated'] }]);
    const [listed] = await gateway.call('keys.list', {});
    expect(listed?.heldNano ?? 0).toBe(0);
    expect((await gateway.call('status.get', {})).totals).toMatchObject({ heldNano: 0, running: 0 });
  });

  test.each(stops)(
    'before it is answered is a 402 that says that its key was %s',
    async (_why, stop, message) => {
      upstream.reply(/./, { before: gate() });
      const asked = send(`${gateway.url}/v1/messages`, { headers: headers(), body: streamRequest });
      await upstream.nthRequest(1);
      await stop(keyId);
      const answer = await asked;
      expect(answer.status).toBe(402);
      expect(answer.text).toMatch(message);
      expect(answer.headers['x-should-retry']).toBe('false');
    },
  );

  test.each(stops)('while it waits for money is not sent when its key is %s', async (why, stop, message) => {
    await gateway.call('keys.setLimit', { id: keyId, limitNano: usd('0.0025') });
    upstream.reply(/./, { before: gate() });
    const large = { ...streamRequest, max_tokens: 5000, stream: false };
    const first = send(`${gateway.url}/v1/messages`, { headers: headers(), body: large });
    await upstream.nthRequest(1);
    const second = send(`${gateway.url}/v1/messages`, { headers: headers(), body: large });
    // The second has been read and waits when a request behind it has been answered.
    await send(`${gateway.url}/v1/key`, { method: 'GET', headers: headers() });
    await stop(keyId);
    expect((await first).text).toMatch(message);
    const refused = await second;
    expect(refused.status).toBe(402);
    expect(refused.text).toMatch(why === 'limited' ? /Usage limit reached/ : message);
    expect(upstream.requests).toHaveLength(1);
  });

  test('while its body is on its way is refused when its key is disabled meanwhile', async () => {
    const request = httpRequest(`${gateway.url}/v1/messages`, {
      method: 'POST',
      headers: { ...headers(), 'content-length': '1000' },
    });
    const whole = JSON.stringify({ model: 'acme', messages: [], max_tokens: 5 }).padEnd(1000);
    request.write(whole.slice(0, 10));
    // Another request that is answered: the first has been authenticated by then.
    await send(`${gateway.url}/v1/key`, { method: 'GET', headers: headers() });
    await gateway.call('keys.update', { id: keyId, enabled: false });
    request.end(whole.slice(10));
    const [response] = (await once(request, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    expect(response.statusCode).toBe(401);
    expect(upstream.requests).toHaveLength(0);
  });
});
