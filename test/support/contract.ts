/** A gateway in this process beside a provider of its own, for the tests of the contract's methods. */
import { afterEach, beforeEach } from 'vitest';
import type { MethodName } from '#shared/contract.ts';
import type { CallError } from '../../electron/gateway/gateway.ts';
import { send } from './client.ts';
import { addProvider, fakeClock, startCore, type CoreGateway, type FakeClock } from './gateway.ts';
import { startUpstream, type Upstream } from './upstream.ts';

export interface Contract {
  readonly gateway: CoreGateway;
  readonly upstream: Upstream;
  readonly clock: FakeClock;
  /** Ends the gateway and starts it anew over the same folder. */
  restart(): Promise<void>;
  /** Why a call is refused, which it has to be. */
  refusal(name: MethodName, input: unknown): Promise<CallError['error']>;
  /** A provider at which the model `acme` costs $1 and $10 per million tokens; its id. */
  pricedProvider(more?: { slug?: string; kind?: 'openai' | 'anthropic' }): Promise<string>;
  /** One request of 12 tokens in and 5 out: $0.000062. Its status. */
  spend(secret: string, model?: string): Promise<number>;
}

/** Started before each test of the file and thrown away after it. */
export function contractForEachTest(): Contract {
  const clock = fakeClock('2026-11-18T10:30:00Z');
  let upstream: Upstream;
  let gateway: CoreGateway;

  beforeEach(async () => {
    clock.set('2026-11-18T10:30:00Z');
    upstream = await startUpstream({ credential: 'sk-upstream' });
    gateway = await startCore({ clock });
  });

  afterEach(async () => {
    await gateway.dispose();
    await upstream.close();
  });

  return {
    clock,
    get gateway() {
      return gateway;
    },
    get upstream() {
      return upstream;
    },
    async restart() {
      gateway = await gateway.restart();
    },
    async refusal(name, input) {
      const answer = await gateway.tryCall(name, input);
      if (answer.ok) throw new Error(`${name} was accepted`);
      return answer.error;
    },
    async pricedProvider({ kind = 'anthropic', ...rest } = {}) {
      const { id } = await addProvider(gateway, upstream, kind, rest);
      await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
      return id;
    },
    async spend(secret, model = 'acme') {
      const { status } = await send(`${gateway.url}/v1/messages`, {
        headers: { 'x-api-key': secret },
        body: { model, messages: [], max_tokens: 5 },
      });
      return status;
    },
  };
}
