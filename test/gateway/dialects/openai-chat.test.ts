import { describe, expect, it } from 'vitest';
import { nothingAsked } from '../../../electron/gateway/dialects/dialect.ts';
import { asked, edited, readerOf, stream, usage, whole } from './answers.ts';

const chat = 'openai-chat' as const;
const delta = (content: string) => ({
  model: 'm',
  choices: [{ index: 0, delta: { content }, finish_reason: null }],
  usage: null,
});
const finish = { model: 'm', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null };
const counts = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
const usageAlone = { model: 'm', choices: [], usage: counts };

describe('a chat stream', () => {
  it('has its usage in a chunk of its own, and ends with [DONE]', () => {
    const reader = readerOf(chat);
    const verdicts = [delta('Hi'), finish, usageAlone].map((chunk) =>
      reader.event(JSON.stringify(chunk), undefined),
    );
    expect([...verdicts, reader.event('[DONE]', undefined)]).toEqual(['pass', 'pass', 'pass', 'last']);
    expect(reader.facts).toMatchObject({
      model: 'm',
      usage: usage({ inputTokens: 10, outputTokens: 5 }),
      usageIsFinal: true,
      outputChars: 2,
      failed: false,
    });
  });

  it('hides that chunk, and no other, where the client did not ask for it', () => {
    const reader = readerOf(chat, { hideUsage: true });
    const verdicts = [
      { choices: [], prompt_filter_results: [] }, // Azure begins so
      delta('Hi'),
      { ...delta('!'), usage: counts }, // usage in every chunk
      { ...finish, usage: counts }, // usage in the last chunk of content: DeepSeek, Mistral, Groq
      { choices: [], obfuscation: 'x' },
      usageAlone,
      { usage: counts },
      { error: { message: 'no' }, usage: counts },
    ].map((chunk) => reader.event(JSON.stringify(chunk), undefined));
    expect(verdicts).toEqual(['pass', 'pass', 'pass', 'pass', 'pass', 'hide', 'hide', 'pass']);
  });

  it('takes the last usage where every chunk has one, as final only at the end', () => {
    const reader = stream(chat, [{ ...delta('a'), usage: { ...counts, completion_tokens: 1 } }]);
    expect([reader.facts.usage?.outputTokens, reader.facts.usageIsFinal]).toEqual([1, false]);
    reader.event(JSON.stringify({ ...finish, usage: counts }), undefined);
    expect([reader.facts.usage?.outputTokens, reader.facts.usageIsFinal, reader.finished]).toEqual([
      5,
      true,
      true,
    ]);
  });

  it('reads the usage that Groq gives under a name of its own', () => {
    const { facts } = stream(chat, [{ ...finish, usage: undefined, x_groq: { usage: counts } }, '[DONE]']);
    expect([facts.usage?.inputTokens, facts.usageIsFinal]).toEqual([10, true]);
  });

  it('reads the usage that Moonshot puts into the choice', () => {
    const { facts } = stream(chat, [
      { choices: [{ delta: {}, finish_reason: 'stop', usage: counts }] },
      '[DONE]',
    ]);
    expect(facts.usage?.outputTokens).toBe(5);
  });

  it('loses nothing to a last chunk of zeros', () => {
    const zeros = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
    expect(
      stream(chat, [
        { ...finish, usage: counts },
        { choices: [], usage: zeros },
      ]).facts.usage?.inputTokens,
    ).toBe(10);
    expect(stream(chat, [{ choices: [], usage: zeros }]).facts.usage).toEqual(usage({}));
  });

  it('counts characters of text, thinking and tool arguments, each once', () => {
    const { facts } = stream(chat, [
      { choices: [{ delta: { content: 'four', reasoning: 'ab', reasoning_content: 'ab' } }] },
      { choices: [{ delta: { tool_calls: [{ function: { name: 'f', arguments: '{"a"' } }] } }] },
    ]);
    expect([facts.outputChars, facts.usage, facts.usageIsFinal]).toEqual([11, null, false]);
  });

  it('has failed, and ended, with an error inside it', () => {
    const reader = stream(chat, [delta('a'), { error: { message: 'no' } }]);
    expect([reader.facts.failed, reader.finished, reader.facts.usageIsFinal]).toEqual([true, true, false]);
    const named = readerOf(chat);
    named.event('{"message":"no"}', 'error');
    expect([named.facts.failed, named.finished]).toEqual([true, true]);
  });

  it('passes what it cannot read', () => {
    const reader = readerOf(chat, { hideUsage: true });
    for (const data of [
      '',
      'no JSON',
      '[]',
      'null',
      '{"choices":7}',
      '{"choices":[null,3],"usage":"x"}',
      '{"choices":[{}],"usage":{"prompt_tokens":-1}}',
    ]) {
      expect(reader.event(data, 'odd')).toBe('pass');
    }
  });

  it('is ended by an error and [DONE]', () => {
    expect(readerOf(chat).ending('Over "x".', 'limit_reached')).toBe(
      'data: {"error":{"message":"Over \\"x\\".","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}\n\ndata: [DONE]\n\n',
    );
  });
});

describe('usage of a chat answer', () => {
  const read = (reported: object, vendor = 'openai-compatible', model = 'm') =>
    whole(chat, { model, choices: [], usage: reported }, { vendor }).facts;

  it('has the parts of its totals', () => {
    const { usage: found } = read({
      prompt_tokens: 100,
      completion_tokens: 50,
      total_tokens: 150,
      prompt_tokens_details: {
        cached_tokens: 40,
        cache_write_tokens: 30,
        audio_tokens: 10,
        image_tokens: 20,
      },
      completion_tokens_details: { reasoning_tokens: 25, audio_tokens: 5 },
    });
    expect(found).toEqual(
      usage({
        inputTokens: 100,
        cachedInputTokens: 40,
        cacheWriteTokens: 30,
        audioInputTokens: 10,
        imageInputTokens: 20,
        outputTokens: 50,
        reasoningTokens: 25,
        audioOutputTokens: 5,
      }),
    );
  });

  it('never has parts larger than their total', () => {
    const { usage: found } = read({
      prompt_tokens: 100,
      completion_tokens: 10,
      prompt_tokens_details: { cached_tokens: 120, cache_write_tokens: 90 },
      completion_tokens_details: { reasoning_tokens: 11 },
    });
    expect(found).toEqual(
      usage({
        inputTokens: 100,
        cachedInputTokens: 100,
        cacheWriteTokens: 0,
        outputTokens: 10,
        reasoningTokens: 10,
      }),
    );
  });

  it('adds the reasoning that xAI leaves out, and not the one others include', () => {
    const details = { completion_tokens_details: { reasoning_tokens: 340 } };
    expect(
      read({ prompt_tokens: 12, completion_tokens: 2, total_tokens: 354, ...details }).usage,
    ).toMatchObject({
      outputTokens: 342,
      reasoningTokens: 340,
    });
    expect(read({ prompt_tokens: 12, completion_tokens: 2, ...details }, 'xai').usage?.outputTokens).toBe(
      342,
    );
    expect(
      read({ prompt_tokens: 12, completion_tokens: 342, total_tokens: 354, ...details }).usage?.outputTokens,
    ).toBe(342);
  });

  it('adds the audio that Mistral leaves out, and not the one others include', () => {
    const details = { prompt_tokens_details: { audio_tokens: 375 } };
    expect(
      read({ prompt_tokens: 9, completion_tokens: 201, total_tokens: 585, ...details }).usage,
    ).toMatchObject({
      inputTokens: 384,
      audioInputTokens: 375,
    });
    expect(
      read({ prompt_tokens: 384, completion_tokens: 201, total_tokens: 585, ...details }).usage?.inputTokens,
    ).toBe(384);
  });

  it('adds the thinking that only the total of Gemini shows', () => {
    const reported = { prompt_tokens: 66, completion_tokens: 6, total_tokens: 100 };
    expect(read(reported, 'openai-compatible', 'gemini-2.5-pro').usage).toMatchObject({
      outputTokens: 34,
      reasoningTokens: 28,
    });
    expect(read(reported, 'openai-compatible', 'other').usage?.outputTokens).toBe(6);
  });

  it.each([
    ['DeepSeek', { prompt_cache_hit_tokens: 7 }],
    ['Moonshot', { cached_tokens: 7 }],
    ['LiteLLM', { cache_read_input_tokens: 7 }],
  ])('finds the cached tokens where %s puts them', (_name, extra) => {
    expect(read({ prompt_tokens: 10, completion_tokens: 1, ...extra }).usage?.cachedInputTokens).toBe(7);
  });

  it('counts one search for a search model', () => {
    expect(read(counts, 'openai', 'gpt-4o-mini-search-preview-2025-03-11').usage?.webSearches).toBe(1);
  });

  it.each([
    ['OpenRouter', { cost: 6e-8, is_byok: false, cost_details: { upstream_inference_cost: 6e-8 } }, 60, 0],
    [
      'OpenRouter with a key of one’s own',
      { cost: 0.0005, is_byok: true, cost_details: { upstream_inference_cost: 0.01 } },
      500_000,
      10_000_000,
    ],
    ['a free model', { cost: 0 }, 0, 0],
    ['Perplexity', { cost: { total_cost: 0.00501 } }, 5_010_000, 0],
    ['LLM Gateway', { cost_usd_total: 0.000125 }, 125_000, 0],
    ['xAI', { cost_in_usd_ticks: 1_721_255 }, 172_126, 0],
    ['nobody', { cost: -1 }, null, 0],
    ['nobody', { cost: 'free' }, null, 0],
  ])('takes the cost that %s reports', (_name, extra, nano, ownKey) => {
    const facts = read({ ...counts, ...extra });
    expect([facts.reportedCostNano, facts.reportedOwnKeyNano]).toEqual([nano, ownKey]);
  });

  it('counts a gateway’s searches where it does not report a cost that has them', () => {
    const searched = { ...counts, server_tool_use_details: { web_search_requests: 2 } };
    expect(read(searched).usage?.webSearches).toBe(2);
    expect(read({ ...searched, cost: 0.01 }).usage?.webSearches).toBe(0);
  });

  it('is unknown, not zero, where the answer has none', () => {
    const { facts } = whole(chat, { model: 'm', choices: [{ message: { content: 'four' } }], usage: null });
    expect([facts.usage, facts.usageIsFinal, facts.outputChars]).toEqual([null, false, 4]);
  });
});

describe('a chat request', () => {
  it('says what it may cost', () => {
    const facts = asked(chat, {
      model: 'gpt',
      stream: true,
      max_tokens: 10,
      max_completion_tokens: 20,
      n: 3,
      service_tier: 'flex',
      messages: [],
    });
    expect(facts).toEqual({
      ...nothingAsked,
      model: 'gpt',
      stream: true,
      maxOutputTokens: 20,
      choices: 3,
      serviceTier: 'flex',
      cacheWrites: '5m',
      extraInputTokens: 0,
      hiddenInputTokens: { atVendor: 32, elsewhere: 384 },
      searchInputTokens: 16_000,
      uses: { fileSearches: 0, codeSessions: 0, xSearches: 0 },
    });
  });

  it('has no bound where none can be read', () => {
    expect(asked(chat, { model: 7, max_tokens: null, n: 'x' })).toMatchObject({
      model: null,
      maxOutputTokens: null,
      choices: 1,
    });
  });

  it('allows searches by tool, option or model', () => {
    expect(asked(chat, { model: 'm', web_search_options: {} }).webSearches).toBe(10);
    expect(asked(chat, { model: 'm', tools: [{ type: 'openrouter:web_search' }] }).webSearches).toBe(10);
    expect(asked(chat, { model: 'gpt-4o-search-preview' }).webSearches).toBe(1);
    // Five results at $4 a thousand are two searches at $10 a thousand.
    expect(asked(chat, { model: 'x/y:online' }).webSearches).toBe(2);
    expect(asked(chat, { model: 'm', models: ['x/y:online'] }).webSearches).toBe(2);
    const plugins = [{ id: 'web' }, { id: 'web', max_results: '20' }];
    expect(asked(chat, { model: 'm', plugins }).webSearches).toBe(8);
    expect(asked('openai-responses', { model: 'm', plugins: [{ id: 'web' }] }).webSearches).toBe(2);
    expect(
      asked(chat, { model: 'm', tools: [{ type: 'function', function: { name: 'web_search' } }] })
        .webSearches,
    ).toBe(0);
  });

  it('counts input that its bytes do not show', () => {
    const image = { type: 'image_url', image_url: { url: 'https://x/y.png' } };
    const ask = (content: unknown[], model = 'gpt-5') =>
      asked(chat, { model, messages: [{ role: 'user', content }] }).extraInputTokens;
    expect(ask([{ type: 'text', text: 'an "image_url" in a text, or "file"' }])).toBe(0);
    expect(ask([image, image])).toBe(2 * 24_600);
    expect(ask([image], 'gpt-4o-mini')).toBe(48_169);
    expect(
      asked(chat, { model: 'm', tools: [{ parameters: { image_url: {}, enum: ['file', 'image_url'] } }] }),
    ).toMatchObject({ extraInputTokens: 0, hiddenInputTokens: { atVendor: 32 + 256, elsewhere: 384 + 512 } });
    expect(ask([{ type: 'file', file: { file_id: 'f' } }])).toBe(400_000);
  });

  it('is not metered where its answer is fetched later', () => {
    expect(asked(chat, { model: 'grok', deferred: true }).notMetered).toMatch(/deferred/);
  });

  it('of the older protocol counts every prompt and every try', () => {
    expect(asked('openai-completions', { model: 'm', prompt: ['a', 'b'], n: 2, best_of: 3 }).choices).toBe(6);
    expect(asked('openai-completions', { model: 'm', prompt: [1, 2, 3] }).choices).toBe(1);
  });
});

describe('edits of a chat request', () => {
  it.each([
    ['{"stream":true}', '{"stream":true,"stream_options":{"include_usage":true}}'],
    ['{"stream_options":null}', '{"stream_options":{"include_usage":true}}'],
    ['{"stream_options":{"include_usage":false,"x":1}}', '{"stream_options":{"include_usage":true,"x":1}}'],
    ['{"stream_options": {"include_usage": true}}', '{"stream_options": {"include_usage": true}}'],
  ])('ask for usage: %s becomes %s', (before, after) => {
    expect(edited(chat, before, { includeUsage: true })).toBe(after);
  });

  it('do not ask Mistral, which refuses the question and answers it unasked', () => {
    expect(edited(chat, '{"stream":true}', { includeUsage: true, vendor: 'mistral' })).toBe(
      '{"stream":true}',
    );
  });

  it.each([
    ['{"a":1}', undefined, '{"a":1,"max_completion_tokens":50}'],
    ['{"a":1}', 'ollama', '{"a":1,"max_tokens":50}'],
    ['{"a":1}', 'openai', '{"a":1,"max_completion_tokens":50}'],
    ['{"max_tokens":null}', 'mistral', '{"max_tokens":50}'],
    ['{"max_tokens":99}', 'openai', '{"max_tokens":50}'],
    ['{"max_tokens":9,"max_completion_tokens":99}', 'openai', '{"max_tokens":9,"max_completion_tokens":50}'],
    ['{"max_tokens":"many"}', 'openai', '{"max_tokens":50}'],
    ['{"max_completion_tokens":50}', 'openai', '{"max_completion_tokens":50}'],
  ])('lower the bound that is there, and raise none: %s (%s)', (before, vendor, after) => {
    expect(edited(chat, before, { maxOutputTokens: 50, ...(vendor && { vendor }) })).toBe(after);
  });

  it('name the model, and nothing where it is named so', () => {
    expect(edited(chat, '{"model" : "openai/gpt"}', { model: 'gpt' })).toBe('{"model" : "gpt"}');
    expect(edited(chat, '{"model" : "gpt"}', { model: 'gpt' })).toBe('{"model" : "gpt"}');
  });

  it('of the older protocol use its own bound', () => {
    expect(edited('openai-completions', '{"prompt":"a"}', { maxOutputTokens: 5 })).toBe(
      '{"prompt":"a","max_tokens":5}',
    );
  });
});

describe('embeddings', () => {
  it('are input alone', () => {
    const { facts } = whole('openai-embeddings', {
      model: 'e',
      usage: { prompt_tokens: 8, total_tokens: 8 },
    });
    expect([facts.model, facts.usage, facts.usageIsFinal]).toEqual(['e', usage({ inputTokens: 8 }), true]);
    expect(whole('openai-embeddings', { usage: { total_tokens: 9 } }).facts.usage?.inputTokens).toBe(9);
    expect(asked('openai-embeddings', { model: 'e', input: 'a' })).toMatchObject({
      model: 'e',
      stream: false,
      maxOutputTokens: 0,
    });
    expect(edited('openai-embeddings', '{"model":"p/e"}', { model: 'e', maxOutputTokens: 5 })).toBe(
      '{"model":"e"}',
    );
  });
});
