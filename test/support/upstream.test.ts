/** The stand-in for the providers is believed by other tests, so the vendors' own SDKs have to believe it first. */
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { gate, startUpstream, type Upstream } from './upstream.ts';

const credential = 'sk-upstream';
const text = 'Hello from upstream.';
let upstream: Upstream;

beforeEach(async () => {
  upstream = await startUpstream({ credential });
});
afterEach(() => upstream.close());

test('the openai package reads chat, responses, embeddings and models', async () => {
  const client = new OpenAI({ apiKey: credential, baseURL: `${upstream.url}/v1` });
  const messages = [{ role: 'user' as const, content: 'Hello' }];
  const chat = await client.chat.completions.create({ model: 'gpt-4o', messages });
  expect([chat.choices[0]?.message.content, chat.usage?.completion_tokens]).toEqual([text, 5]);

  const stream = client.chat.completions.stream({
    model: 'gpt-4o',
    messages,
    stream_options: { include_usage: true },
  });
  const final = await stream.finalChatCompletion();
  expect([final.choices[0]?.message.content, final.usage?.prompt_tokens]).toEqual([text, 12]);

  const response = await client.responses.stream({ model: 'gpt-4o', input: 'Hello' }).finalResponse();
  expect([response.output_text, response.usage?.output_tokens]).toEqual([text, 5]);

  const embeddings = await client.embeddings.create({
    model: 'text-embedding-3-small',
    input: 'x',
    encoding_format: 'float',
  });
  expect(embeddings.data[0]?.embedding).toHaveLength(3);
  expect((await client.models.list()).data.map(({ id }) => id)).toContain('gpt-4o');
});

test('the Anthropic package reads messages and token counts', async () => {
  const client = new Anthropic({ apiKey: credential, baseURL: upstream.url });
  const ask = {
    model: 'claude-haiku-4-5',
    max_tokens: 100,
    messages: [{ role: 'user' as const, content: 'Hello' }],
  };
  const message = await client.messages.create(ask);
  expect([message.content[0], message.usage.output_tokens]).toMatchObject([{ text }, 5]);
  const streamed = await client.messages.stream(ask).finalMessage();
  expect([streamed.content[0], streamed.usage.output_tokens]).toMatchObject([{ text }, 5]);
  const { max_tokens: _, ...count } = ask;
  expect(await client.messages.countTokens(count)).toMatchObject({ input_tokens: 12 });
});

test('the Gemini package reads generated content, streamed and not', async () => {
  const client = new GoogleGenAI({ apiKey: credential, httpOptions: { baseUrl: upstream.url } });
  const ask = { model: 'gemini-2.5-flash', contents: 'Hello' };
  const answer = await client.models.generateContent(ask);
  expect([answer.text, answer.usageMetadata?.candidatesTokenCount]).toEqual([text, 5]);
  let streamed = '';
  for await (const part of await client.models.generateContentStream(ask)) streamed += part.text ?? '';
  expect(streamed).toBe(text);
});

test('a wrong credential is refused as a provider does', async () => {
  const client = new OpenAI({ apiKey: 'sk-other', baseURL: `${upstream.url}/v1` });
  await expect(client.models.list()).rejects.toMatchObject({ status: 401 });
});

test('scripted answers wait at a gate, hang, are reset, and a caller that leaves is seen', async () => {
  const middle = gate();
  const headers = { 'content-type': 'text/event-stream' };
  upstream.reply('/gated', { headers, chunks: ['first', middle, 'second'] });
  upstream.reply('/hanging', { headers, chunks: ['only'], hang: true });
  upstream.reply('/reset', { headers, chunks: ['only'], reset: true });
  const get = (path: string, init: RequestInit = {}) =>
    fetch(`${upstream.url}${path}`, { ...init, headers: { authorization: `Bearer ${credential}` } });

  const gated = await get('/gated');
  const reader = gated.body?.getReader();
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('first');
  middle.open();
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('second');

  const abort = new AbortController();
  await get('/hanging', { signal: abort.signal });
  abort.abort();
  await expect((await upstream.nthRequest(2)).ended).resolves.toBe('aborted');

  await expect(get('/reset').then((response) => response.text())).rejects.toThrow('terminated');
  await expect((await upstream.nthRequest(1)).ended).resolves.toBe('answered');
});
