/** A small request in each dialect whose cost hangs on its output bound alone, and a core to send it to. */
import type { ProviderRow } from '#shared/model.ts';
import { addProvider, type CoreGateway } from './gateway.ts';
import type { Upstream } from './upstream.ts';

export interface BoundedRequest {
  path: string;
  body: (tokens: number) => object;
  /** Where the output bound stands. */
  tokens: (json: unknown) => unknown;
}

export const field = (value: unknown, ...names: string[]): unknown =>
  names.reduce(
    (inner, name) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, name) : undefined),
    value,
  );

const requests: Readonly<Record<string, BoundedRequest>> = {
  chat: {
    path: '/v1/chat/completions',
    body: (tokens) => ({ model: 'acme', messages: [], max_completion_tokens: tokens }),
    tokens: (json) => field(json, 'max_completion_tokens'),
  },
  responses: {
    path: '/v1/responses',
    body: (tokens) => ({ model: 'acme', input: 'x', max_output_tokens: tokens }),
    tokens: (json) => field(json, 'max_output_tokens'),
  },
  messages: {
    path: '/v1/messages',
    body: (tokens) => ({ model: 'acme', messages: [], max_tokens: tokens }),
    tokens: (json) => field(json, 'max_tokens'),
  },
  gemini: {
    path: '/v1beta/models/acme:generateContent',
    body: (tokens) => ({ contents: [], generationConfig: { maxOutputTokens: tokens } }),
    tokens: (json) => field(json, 'generationConfig', 'maxOutputTokens'),
  },
};
export const dialectNames: readonly string[] = Object.keys(requests);

export function boundedRequest(name: string): BoundedRequest {
  const found = requests[name];
  if (!found) throw new Error(name);
  return found;
}

/** Providers of all dialects where input costs nothing and a thousand tokens of output ten cents. */
export async function addDimeProviders(
  gateway: Pick<CoreGateway, 'call'>,
  upstream: Upstream,
): Promise<ProviderRow[]> {
  const added: ProviderRow[] = [];
  for (const kind of ['openai', 'anthropic', 'gemini'] as const) {
    const provider = await addProvider(gateway, upstream, kind);
    await gateway.call('prices.set', { providerId: provider.id, model: 'acme', input: '0', output: '100' });
    added.push(provider);
  }
  return added;
}
