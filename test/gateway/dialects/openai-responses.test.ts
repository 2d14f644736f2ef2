import { describe, expect, it } from 'vitest';
import { asked, edited, readerOf, stream, usage, whole } from './answers.ts';

const responses = 'openai-responses' as const;
const counts = {
  input_tokens: 100,
  input_tokens_details: { cached_tokens: 40, cache_write_tokens: 20 },
  output_tokens: 30,
  output_tokens_details: { reasoning_tokens: 10 },
};
const created = {
  type: 'response.created',
  sequence_number: 0,
  response: {
    id: 'resp_1',
    created_at: 17,
    status: 'in_progress',
    model: 'gpt',
    service_tier: 'auto',
    usage: null,
  },
};
const search = (action: object | undefined) => ({ type: 'web_search_call', status: 'completed', action });

describe('a Responses stream', () => {
  it.each(['response.completed', 'response.incomplete', 'response.failed'])(
    'ends with %s, which has the usage',
    (type) => {
      const reader = readerOf(responses);
      const last = { type, response: { model: 'gpt-1', service_tier: 'priority', usage: counts } };
      const verdicts = [created, { type: 'response.output_text.delta', delta: 'Hi' }, last].map((event) =>
        reader.event(JSON.stringify(event), event.type),
      );
      expect(verdicts).toEqual(['pass', 'pass', 'last']);
      expect(reader.finished).toBe(true);
      expect(reader.facts).toEqual({
        model: 'gpt-1',
        serviceTier: 'priority',
        terms: {},
        usage: usage({
          inputTokens: 100,
          cachedInputTokens: 40,
          cacheWriteTokens: 20,
          outputTokens: 30,
          reasoningTokens: 10,
        }),
        usageIsFinal: true,
        extraPasses: [],
        reportedCostNano: null,
        reportedCostIsBilled: true,
        reportedOwnKeyNano: 0,
        outputChars: 2,
        outputCalls: 0,
        outputText: null,
        failed: type === 'response.failed',
      });
    },
  );

  it('counts every delta but audio, and knows an event by its name where its data has no type', () => {
    const reader = stream(responses, [
      { type: 'response.reasoning_summary_text.delta', delta: 'abc' },
      { type: 'response.function_call_arguments.delta', delta: '{"a"' },
      { type: 'response.audio.delta', delta: 'AAAAAAAA' },
    ]);
    reader.event('{"delta":"xy"}', 'response.output_text.delta');
    expect(reader.facts.outputChars).toBe(9);
  });

  it('has no usage where its end has none', () => {
    const { facts } = stream(responses, [
      created,
      { type: 'response.failed', response: { usage: null, error: { code: 'x' } } },
    ]);
    expect([facts.usage, facts.usageIsFinal, facts.failed, facts.serviceTier]).toEqual([
      null,
      false,
      true,
      'auto',
    ]);
  });

  it('has failed with an error event', () => {
    const reader = stream(responses, [created, { type: 'error', message: 'no' }]);
    expect([reader.facts.failed, reader.finished, reader.facts.usageIsFinal]).toEqual([true, true, false]);
  });

  it('is ended by a failed response that Codex shows', () => {
    const reader = stream(responses, [
      created,
      { type: 'response.output_text.delta', sequence_number: 4, delta: 'a' },
    ]);
    const [event, data] = reader.ending('Over.', 'stopped').split('\n');
    expect(event).toBe('event: response.failed');
    expect(JSON.parse(data?.replace('data: ', '') ?? '')).toMatchObject({
      type: 'response.failed',
      sequence_number: 5,
      response: {
        id: 'resp_1',
        created_at: 17,
        status: 'failed',
        model: 'gpt',
        error: { code: 'invalid_prompt', message: 'Over.' },
        usage: null,
      },
    });
    expect(readerOf(responses).ending('Over.', 'limit_reached')).toMatch(
      /^event: response\.failed\ndata: \{.*\}\n\n$/,
    );
  });
});

describe('a Responses answer', () => {
  const answer = (extra: object) =>
    whole(responses, { model: 'gpt', status: 'completed', usage: counts, ...extra }).facts;

  it('counts searches, and not the pages opened', () => {
    const output = [
      search({ type: 'search' }),
      search({ type: 'open_page' }),
      search({ type: 'find_in_page' }),
      search(undefined),
    ];
    expect(answer({ output }).usage?.webSearches).toBe(2);
    const events = output.map((item) => ({ type: 'response.output_item.done', item }));
    const end = { type: 'response.completed', response: { usage: counts, output: [] } };
    expect(stream(responses, [...events, end]).facts.usage?.webSearches).toBe(2);
  });

  it('prefers the provider’s own count of searches', () => {
    const output = [search({ type: 'search' })];
    expect(answer({ output, tool_usage: { web_search: { num_requests: 3 } } }).usage?.webSearches).toBe(3);
    const xai = {
      ...counts,
      server_side_tool_usage_details: { web_search_calls: 2 },
      cost_in_usd_ticks: 160_708_500,
    };
    expect(answer({ output, usage: xai })).toMatchObject({
      usage: { webSearches: 2 },
      reportedCostNano: 16_070_850,
    });
  });

  it('bills the images of the image tool as a pass of their own', () => {
    const image_gen = {
      input_tokens: 50,
      input_tokens_details: { image_tokens: 20 },
      output_tokens: 272,
      output_tokens_details: { image_tokens: 272 },
    };
    const pass = usage({ inputTokens: 50, imageInputTokens: 20, outputTokens: 272, imageOutputTokens: 272 });
    expect(answer({ tool_usage: { image_gen } }).extraPasses).toEqual([
      { model: 'gpt-image-1', usage: pass },
    ]);
    const tools = [{ type: 'image_generation', model: 'gpt-image-2' }];
    expect(answer({ tools, tool_usage: { image_gen } }).extraPasses[0]?.model).toBe('gpt-image-2');
    expect(answer({ tool_usage: { image_gen: { input_tokens: 0, output_tokens: 0 } } }).extraPasses).toEqual(
      [],
    );
  });

  it('is not final while it is queued', () => {
    const { facts } = whole(responses, { model: 'gpt', status: 'queued', usage: null });
    expect([facts.usage, facts.usageIsFinal]).toEqual([null, false]);
  });

  it('of a compaction has usage and no model', () => {
    const { facts } = whole(responses, { object: 'response.compaction', usage: counts, output: [] });
    expect([facts.model, facts.usage?.inputTokens, facts.usageIsFinal]).toEqual([null, 100, true]);
  });
});

describe('a Responses request', () => {
  it('says what it may cost', () => {
    const facts = asked(responses, {
      model: 'gpt',
      stream: true,
      max_output_tokens: 9,
      service_tier: 'priority',
      input: 'a',
    });
    expect(facts).toMatchObject({
      model: 'gpt',
      stream: true,
      maxOutputTokens: 9,
      serviceTier: 'priority',
      extraInputTokens: 0,
      leastOutputTokens: 16,
      webSearches: 0,
      notMetered: null,
    });
  });

  it('counts stored input as a whole context window', () => {
    for (const body of [
      { previous_response_id: 'r' },
      { conversation: { id: 'c' } },
      { prompt: { id: 'p' } },
      { input: [{ type: 'item_reference', id: 'i' }] },
    ]) {
      expect(asked(responses, { model: 'gpt', ...body }).extraInputTokens, JSON.stringify(body)).toBe(
        1_050_000,
      );
    }
    expect(asked(responses, { model: 'gpt', previous_response_id: null }).extraInputTokens).toBe(0);
  });

  it('allows as many searches as it allows tool calls', () => {
    const tools = [{ type: 'web_search' }, { type: 'function', name: 'f' }];
    expect(asked(responses, { model: 'gpt', tools })).toMatchObject({
      webSearches: 10,
      searchInputTokens: 16_000,
      searchesCanBeClamped: true,
    });
    expect(asked(responses, { model: 'gpt', tools, max_tool_calls: 2 })).toMatchObject({
      webSearches: 2,
      searchInputTokens: 16_000,
    });
  });

  it('cannot be metered in the background', () => {
    expect(asked(responses, { model: 'gpt', background: true }).notMetered).toMatch(
      /^Background responses .*\.$/,
    );
  });

  it('is edited for its model and its bound alone', () => {
    expect(
      edited(responses, '{"model":"p/gpt","stream":true}', {
        model: 'gpt',
        includeUsage: true,
        maxOutputTokens: 5,
      }),
    ).toBe('{"model":"gpt","stream":true,"max_output_tokens":5}');
    expect(edited(responses, '{"max_output_tokens":4}', { maxOutputTokens: 5 })).toBe(
      '{"max_output_tokens":4}',
    );
  });
});
