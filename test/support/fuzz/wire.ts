/** What comes in over the wire, at a real gateway before a real provider: nothing gets past the meter, all is settled. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { methods } from '#shared/contract.ts';
import { send } from '../client.ts';
import { addProvider, startCore, usd, type CoreGateway } from '../gateway.ts';
import { PATIENCE_MS } from '../patience.ts';
import { startUpstream, type Upstream } from '../upstream.ts';
import { anObject, aText, aValue, mutated, nearJson } from './inputs.ts';
import { expectUnpolluted, target, type FuzzTarget } from './target.ts';

/** A real gateway before a real provider, for the targets that come in over the wire. */
export interface FuzzWorld {
  upstream: Upstream;
  gateway: CoreGateway;
  secret: string;
  close(): Promise<void>;
}

export async function openFuzzWorld(): Promise<FuzzWorld> {
  const upstream = await startUpstream();
  const gateway = await startCore({ waitMs: 100 });
  for (const kind of ['openai', 'anthropic', 'gemini'] as const) {
    const { id } = await addProvider(gateway, upstream, kind);
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
  }
  await gateway.call('settings.set', { loopBrake: null });
  const { secret } = await gateway.call('keys.create', { name: 'fuzz', limitNano: usd('1000000') });
  return {
    upstream,
    gateway,
    secret,
    async close() {
      await gateway.dispose();
      await upstream.close();
    },
  };
}

const paths = [
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/messages',
  '/v1/embeddings',
  '/v1beta/models/acme:generateContent',
  '/v1beta/models/acme:streamGenerateContent',
] as const;

/** Nothing is held, and whatever reached a provider is on the books. */
async function expectBalanced({ gateway, upstream }: FuzzWorld, rowsBefore: number): Promise<void> {
  const account = async () => {
    const [key] = await gateway.call('keys.list', {});
    return { held: key?.heldNano, rows: (key?.requests ?? 0) - rowsBefore };
  };
  const paid = upstream.requests.filter(({ method }) => method === 'POST').length;
  // What a client did not wait for is settled all the same, a moment later.
  const wanted = { held: 0, rows: paid };
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end && !isDeepStrictEqual(await account(), wanted)) await delay(20);
  assert.deepEqual(await account(), wanted);
}

async function rowsOf({ gateway }: FuzzWorld): Promise<number> {
  const [key] = await gateway.call('keys.list', {});
  return key?.requests ?? 0;
}

export function wireTargets(world: FuzzWorld): FuzzTarget[] {
  const { gateway, upstream, secret } = world;
  return [
    target(
      'whole requests: no way past the meter',
      fc.record({
        path: fc.constantFrom(...paths),
        // With a model that has a price more often than not, so that it gets past admission.
        body: fc.oneof(
          nearJson,
          anObject.map((value) => JSON.stringify({ ...value, model: 'acme', messages: [], n: 1 })),
        ),
        answer: nearJson,
      }),
      async ({ path, body, answer }) => {
        const before = await rowsOf(world);
        upstream.reset();
        upstream.reply(/./, { headers: { 'content-type': 'application/json' }, body: answer });
        const { status } = await send(`${gateway.url}${path}`, {
          headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
          body,
        });
        assert.ok([200, 400, 402, 404, 413, 429, 502].includes(status), `answered with ${status}`);
        await expectBalanced(world, before);
      },
    ),

    target(
      'bytes on the listener',
      mutated(
        fc.constantFrom(...paths).map((path) => {
          const body = '{"model":"acme","messages":[],"max_tokens":5}';
          return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${secret}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
        }),
      ),
      async (text) => {
        const before = await rowsOf(world);
        upstream.reset();
        await new Promise<void>((resolve) => {
          const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
          socket.on('error', () => {}).on('close', () => resolve());
          socket.resume().end(text, 'latin1');
        });
        assert.equal((await send(gateway.url, { method: 'GET' })).status, 200);
        await expectBalanced(world, before);
      },
    ),

    target(
      'inputs of the contract',
      fc.tuple(
        fc.oneof(
          // What changes the machine, asks the network or ends the run is not for here.
          fc.constantFrom(
            ...Object.keys(methods).filter(
              (name) => !/^(connect|backups|providers|prices\.refresh|gateway|keys)/.test(name),
            ),
          ),
          fc.constantFrom(
            'keys.list',
            'keys.setLimit',
            'keys.update',
            'keys.topUp',
            'providers.list',
            'providers.update',
          ),
          aText,
        ),
        fc.oneof(
          aValue.value,
          fc.dictionary(
            fc.constantFrom(
              'id',
              'limit',
              'before',
              'keyId',
              'from',
              'to',
              'groupBy',
              'query',
              'csv',
              'model',
              'costNano',
              'reason',
              'port',
              'thresholds',
              'limitNano',
              'recurring',
              'name',
              '__proto__',
            ),
            fc.oneof(aValue.value, fc.constantFrom('2026-01-01T00:00:00Z', 'day', 'model', 1)),
            { maxKeys: 5 },
          ),
        ),
      ),
      async ([name, input]) => {
        const answer = await gateway.gateway.dispatch(name, input);
        assert.ok(answer.ok || answer.error.code !== 'internal', 'an unexpected fault');
        expectUnpolluted();
      },
    ),
  ];
}
