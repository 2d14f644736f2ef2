/** What a provider's own tools did, and whatever else the price of an answer depends on. */
import { describe, expect, test } from 'vitest';
import { stream, whole } from './answers.ts';

const search = { type: 'web_search_call', action: { type: 'search' } };
const output = [
  search,
  { type: 'web_search_call', action: { type: 'open_page' } },
  { type: 'file_search_call', queries: ['a'] },
  { type: 'file_search_call', queries: ['b'] },
  { type: 'code_interpreter_call', container_id: 'cntr_1' },
  { type: 'code_interpreter_call', container_id: 'cntr_1' },
  { type: 'code_interpreter_call', container_id: 'cntr_2' },
];
const counts = { input_tokens: 10, output_tokens: 2 };
const uses = { webSearches: 1, fileSearches: 2, codeSessions: 2, xSearches: 0, otherTools: 0 };

describe('the hosted tools of a Responses answer', () => {
  test('are counted from its output: searches, file searches, and containers once', () => {
    const { facts } = whole('openai-responses', { model: 'm', output, usage: counts });
    expect(facts.usage).toMatchObject(uses);
  });

  test('are counted from the items of a stream, whose last event repeats them or not', () => {
    const items = output.map((item) => ({ type: 'response.output_item.done', item }));
    const last = (more: object) => ({
      type: 'response.completed',
      response: { model: 'm', usage: counts, ...more },
    });
    expect(stream('openai-responses', [...items, last({})]).facts.usage).toMatchObject(uses);
    expect(stream('openai-responses', [...items, last({ output })]).facts.usage).toMatchObject(uses);
  });

  test('are as the provider counts them, where it does', () => {
    const details = {
      web_search_calls: 3,
      x_search_calls: 2,
      code_interpreter_calls: 1,
      file_search_calls: 4,
    };
    const usage = { ...counts, server_side_tool_usage_details: details };
    const { facts } = whole(
      'openai-responses',
      { model: 'grok', output: [search], usage },
      { vendor: 'xai' },
    );
    expect(facts.usage).toMatchObject({
      webSearches: 3,
      xSearches: 2,
      codeSessions: 1,
      fileSearches: 4,
      otherTools: 0,
    });
  });

  test('say whether the search was the preview version’s', () => {
    const terms = (type: string) =>
      whole('openai-responses', { model: 'm', tools: [{ type }], output: [search], usage: counts }).facts
        .terms;
    expect(terms('web_search_preview_2025_03_11')).toEqual({ previewSearch: true });
    expect(terms('web_search')).toEqual({});
  });
});

test('Perplexity’s request fee goes by the size of the search context that the answer names', () => {
  const usage = { prompt_tokens: 9, completion_tokens: 12, search_context_size: 'medium' };
  expect(whole('openai-chat', { model: 'sonar', usage }).facts.terms).toEqual({ searchContext: 'medium' });
});

test('tools that Groq ran are noted, since it counts no fee', () => {
  const message = { content: 'x', executed_tools: [{ type: 'search' }, { type: 'python' }] };
  const answer = {
    model: 'groq/compound',
    choices: [{ message }],
    usage: { prompt_tokens: 1, completion_tokens: 1 },
  };
  expect(whole('openai-chat', answer, { vendor: 'groq' }).facts.usage?.otherTools).toBe(2);
});

test('the region of a Claude answer is what its usage says', () => {
  const usage = { input_tokens: 1, output_tokens: 1, inference_geo: 'us' };
  expect(whole('anthropic-messages', { model: 'claude', usage }).facts.terms).toEqual({ region: 'us' });
});

test('a map is billed by the grounded request, beside the searches', () => {
  const candidates = [
    {
      finishReason: 'STOP',
      groundingMetadata: { webSearchQueries: ['a', 'b'], groundingChunks: [{ maps: { uri: 'x' } }] },
    },
  ];
  const usageMetadata = {
    promptTokenCount: 9,
    candidatesTokenCount: 1,
    promptTokensDetails: [{ modality: 'VIDEO', tokenCount: 5 }],
  };
  const { facts } = whole('gemini', { modelVersion: 'gemini-3-flash-preview', candidates, usageMetadata });
  expect(facts.usage).toMatchObject({ webSearches: 2, mapSearches: 1, videoInputTokens: 5 });
});
