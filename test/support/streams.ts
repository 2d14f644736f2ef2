/** One short answer in each streaming dialect, whole and cut short, and what clients are told where one is cut. */
import { expect } from 'vitest';
import { addProvider, type CoreGateway } from './gateway.ts';
import { sse } from './provider-answers.ts';
import type { Gate, Upstream } from './upstream.ts';

export interface Streamed {
  path: string;
  contentType: string;
  /** The answer, cut into its events or elements; the last one ends it. */
  pieces: string[];
}

const chatChunk = (more: object) => sse({ id: 'c', object: 'chat.completion.chunk', model: 'acme', ...more });
const geminiChunk = (text: string, more: object = {}) => ({
  candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0, ...more }],
  usageMetadata: { promptTokenCount: 12, candidatesTokenCount: 3, totalTokenCount: 15 },
  modelVersion: 'acme',
});
const eventsType = 'text/event-stream';

const streams: Readonly<Record<string, Streamed>> = {
  chat: {
    path: '/v1/chat/completions',
    contentType: eventsType,
    pieces: [
      chatChunk({ choices: [{ index: 0, delta: { content: 'Twelve chars' }, finish_reason: null }] }),
      chatChunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
      chatChunk({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 3 } }),
      sse('[DONE]'),
    ],
  },
  responses: {
    path: '/v1/responses',
    contentType: eventsType,
    pieces: [
      sse(
        {
          type: 'response.created',
          sequence_number: 0,
          response: { id: 'resp_7', model: 'acme', usage: null },
        },
        'response.created',
      ),
      sse(
        { type: 'response.output_text.delta', sequence_number: 1, delta: 'Twelve chars' },
        'response.output_text.delta',
      ),
      sse(
        {
          type: 'response.completed',
          sequence_number: 2,
          response: { id: 'resp_7', model: 'acme', usage: { input_tokens: 12, output_tokens: 3 } },
        },
        'response.completed',
      ),
    ],
  },
  messages: {
    path: '/v1/messages',
    contentType: eventsType,
    pieces: [
      sse(
        {
          type: 'message_start',
          message: { id: 'msg_7', model: 'acme', usage: { input_tokens: 12, output_tokens: 1 } },
        },
        'message_start',
      ),
      sse(
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        'content_block_start',
      ),
      sse(
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Twelve chars' } },
        'content_block_delta',
      ),
      sse({ type: 'content_block_stop', index: 0 }, 'content_block_stop'),
      sse(
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } },
        'message_delta',
      ),
      sse({ type: 'message_stop' }, 'message_stop'),
    ],
  },
  'gemini events': {
    path: '/v1beta/models/acme:streamGenerateContent?alt=sse',
    contentType: eventsType,
    pieces: [sse(geminiChunk('Twelve chars')), sse(geminiChunk('', { finishReason: 'STOP' }))],
  },
  'gemini array': {
    path: '/v1beta/models/acme:streamGenerateContent',
    contentType: 'application/json',
    pieces: [
      `[${JSON.stringify(geminiChunk('Twelve chars'))}`,
      `,\n${JSON.stringify(geminiChunk('', { finishReason: 'STOP' }))}`,
      ']',
    ],
  },
};
export const streamNames: readonly string[] = Object.keys(streams);

export function stream(name: string): Streamed {
  const found = streams[name];
  if (!found) throw new Error(name);
  return found;
}

/** All that comes before the answer's text ends: the block is open, nothing is final. */
export const beginning = (name: string): string[] =>
  stream(name).pieces.slice(0, name === 'messages' ? 3 : name === 'responses' ? 2 : 1);

interface Told {
  error?: { message: string; code?: unknown; type?: unknown };
  response?: { error: { message: string; code: unknown } };
}

function facts(
  data: string | undefined,
  pick: (told: Told) => unknown[],
): { message: string; code: unknown } {
  const [message, code] = pick(JSON.parse(data ?? '') as Told);
  return { message: String(message), code };
}

/** What the client of each dialect is told, and that the stream it is told in is well-formed. */
export function endingOf(name: string, text: string, sent: string): { message: string; code: unknown } {
  expect(text.startsWith(sent)).toBe(true);
  if (name === 'gemini array') {
    const elements = JSON.parse(text) as { error?: { message: string; code: number } }[];
    const last = elements.at(-1)?.error;
    return { message: last?.message ?? '', code: last?.code };
  }
  const blocks = text
    .slice(sent.length)
    .split('\n\n')
    .filter((block) => block.trim() !== '');
  const data = blocks.map(
    (block) =>
      block
        .split('\n')
        .find((line) => line.startsWith('data: '))
        ?.slice(6) ?? block,
  );
  const types = blocks.map((block) => /^event: (.*)$/m.exec(block)?.[1]);
  switch (name) {
    case 'chat':
      expect(data.at(-1)).toBe('[DONE]');
      return facts(data.at(-2), ({ error }) => [error?.message, error?.code]);
    case 'responses':
      expect(types.at(-1)).toBe('response.failed');
      expect(data.at(-1)).toContain('"id":"resp_7"');
      return facts(data.at(-1), ({ response }) => [response?.error.message, response?.error.code]);
    case 'messages':
      expect(types.slice(-2)).toEqual(['content_block_stop', 'error']);
      return facts(data.at(-1), ({ error }) => [error?.message, error?.type]);
    default:
      // The raw form, which is no event, and the event.
      expect(JSON.parse(data.at(-1) ?? '')).toEqual({ ...JSON.parse(data.at(-2) ?? ''), candidates: {} });
      return facts(data.at(-1), ({ error }) => [error?.message, error?.code]);
  }
}

/** Asks for any of the streams: each protocol takes what it knows of it. */
export const streamRequest = {
  model: 'acme',
  messages: [],
  input: '',
  contents: [],
  max_tokens: 50,
  stream: true,
};

/** A provider of each protocol, each with the model that the request names, at prices that are easy to sum up. */
export async function addAcme(gateway: CoreGateway, upstream: Upstream): Promise<void> {
  for (const kind of ['openai', 'anthropic', 'gemini'] as const) {
    const { id } = await addProvider(gateway, upstream, kind);
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
  }
}

/** Every request is answered by `chunks` as given, as the stream of that name, and by what follows them. */
export function scriptStream(
  upstream: Upstream,
  name: string,
  chunks: (string | Gate)[],
  more: { hang?: boolean; reset?: boolean } = {},
): void {
  upstream.reply(/./, { headers: { 'content-type': stream(name).contentType }, chunks, ...more });
}
