/** What the providers' own SDKs make of refusals and endings: one call, and the sentence shown. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { Refusal } from '#shared/errors.ts';
import type { DialectId } from '#shared/model.ts';
import { dialects } from '../../../electron/gateway/dialects/index.ts';
import { readerOf } from './answers.ts';

const sentence = 'Spend limit reached for key "dev": $5.02 of $5.00. Raise it in Faregate.';

/** Streams one answer of a dialect to its end and returns the text that came, or throws. */
const clients = {
  'openai-chat': async (url: string) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'k' });
    let text = '';
    const stream = await client.chat.completions.create({
      model: 'm',
      messages: [{ role: 'user', content: 'a' }],
      stream: true,
    });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    return text;
  },
  'openai-responses': async (url: string) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'k' });
    for await (const event of await client.responses.create({ model: 'm', input: 'a', stream: true })) {
      if (event.type === 'response.failed') throw new Error(event.response.error?.message);
    }
    return '';
  },
  'anthropic-messages': async (url: string) => {
    const client = new Anthropic({ baseURL: url, apiKey: 'k' });
    const message = await client.messages
      .stream({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'a' }] })
      .finalMessage();
    return JSON.stringify(message.content);
  },
  gemini: async (url: string) => {
    const client = new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: url } });
    let text = '';
    for await (const chunk of await client.models.generateContentStream({ model: 'm', contents: 'a' }))
      text += chunk.text ?? '';
    return text;
  },
} satisfies Partial<Record<DialectId, (url: string) => Promise<string>>>;

/** The first events of an answer, in the middle of a text. */
const begun: Record<keyof typeof clients, [type: string | undefined, data: object][]> = {
  'openai-chat': [
    [
      undefined,
      {
        model: 'm',
        choices: [{ index: 0, delta: { role: 'assistant', content: 'Hel' }, finish_reason: null }],
      },
    ],
  ],
  'openai-responses': [
    [
      'response.created',
      {
        type: 'response.created',
        sequence_number: 0,
        response: { id: 'r', model: 'm', status: 'in_progress', output: [] },
      },
    ],
  ],
  'anthropic-messages': [
    [
      'message_start',
      {
        type: 'message_start',
        message: {
          id: 'x',
          type: 'message',
          role: 'assistant',
          model: 'm',
          content: [],
          usage: { input_tokens: 1, output_tokens: 1 },
        },
      },
    ],
    [
      'content_block_start',
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    ],
    [
      'content_block_delta',
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hel' } },
    ],
  ],
  gemini: [[undefined, { candidates: [{ content: { role: 'model', parts: [{ text: 'Hel' }] } }] }]],
};

/** Serves every request so, and returns the error the client shows with the number of calls it made. */
async function shown(id: keyof typeof clients, serve: (response: ServerResponse) => void) {
  let calls = 0;
  const server = createServer((request, response) => {
    calls++;
    request.resume();
    serve(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const error: unknown = await clients[id](`http://127.0.0.1:${port}`).then(
      (text) => new Error(`no error, but: ${text}`),
      (thrown: unknown) => thrown,
    );
    return { calls, message: error instanceof Error ? error.message : String(error) };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const plain = (message: string) => message.replaceAll('\\"', '"');

describe.each(Object.keys(clients) as (keyof typeof clients)[])('the SDK of %s', (id) => {
  it('calls once and shows the sentence of a refusal', async () => {
    const refused = dialects[id].refusal(new Refusal('limit_reached', sentence), {
      id: 'req_1',
      headers: {},
    });
    const { calls, message } = await shown(id, (response) =>
      response.writeHead(refused.status, refused.headers).end(refused.body),
    );
    expect(calls).toBe(1);
    expect(plain(message)).toContain(sentence);
  });

  it('calls once and shows the sentence of an ending in the middle of a stream', async () => {
    const { calls, message } = await shown(id, (response) => {
      const reader = readerOf(id);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const [type, data] of begun[id]) {
        reader.event(JSON.stringify(data), type);
        response.write(`${type === undefined ? '' : `event: ${type}\n`}data: ${JSON.stringify(data)}\n\n`);
      }
      response.end(reader.ending(sentence, 'limit_reached'));
    });
    expect(calls).toBe(1);
    expect(plain(message)).toContain(sentence);
  });
});
