/**
 * The deviations of providers from the protocols they speak, as wire text of our own making: each case names where the
 * form is documented or which library reads it.
 */
import { describe, expect, it } from 'vitest';
import type { DialectId } from '#shared/model.ts';
import type { TokenUsage } from '../../../electron/gateway/dialects/dialect.ts';
import { readerOf, stream, usage, whole } from './answers.ts';

type Case = [
  name: string,
  reported: string,
  /** null where it counts nothing. */
  counts: Partial<TokenUsage> | null,
  more?: { model?: string; vendor?: string },
];

const chat: Case[] = [
  [
    'Mistral: cached tokens at the top, by a name of its own',
    '{"prompt_tokens":64,"completion_tokens":6,"total_tokens":70,"num_cached_tokens":32}',
    { inputTokens: 64, cachedInputTokens: 32, outputTokens: 6 },
  ],
  [
    'Mistral: audio beside the prompt, and details that are null',
    '{"prompt_tokens":9,"completion_tokens":20,"total_tokens":404,"prompt_audio_seconds":4,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":375},"completion_tokens_details":null}',
    { inputTokens: 384, audioInputTokens: 375, outputTokens: 20 },
  ],
  [
    'DeepSeek: hits and misses without details',
    '{"prompt_tokens":976,"prompt_cache_hit_tokens":896,"prompt_cache_miss_tokens":80,"completion_tokens":61,"total_tokens":1037}',
    { inputTokens: 976, cachedInputTokens: 896, outputTokens: 61 },
  ],
  [
    'DeepSeek: hits and misses alone',
    '{"prompt_cache_hit_tokens":896,"prompt_cache_miss_tokens":80,"completion_tokens":61}',
    { inputTokens: 976, cachedInputTokens: 896, outputTokens: 61 },
  ],
  [
    'Moonshot, Together: cached tokens at the top',
    '{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50,"cached_tokens":10,"completion_tokens_details":{"reasoning_tokens":22}}',
    { inputTokens: 20, cachedInputTokens: 10, outputTokens: 30, reasoningTokens: 22 },
  ],
  [
    'Moonshot: zero in the details, the count at the top',
    '{"prompt_tokens":20,"completion_tokens":3,"cached_tokens":10,"prompt_tokens_details":{"cached_tokens":0}}',
    { inputTokens: 20, cachedInputTokens: 10, outputTokens: 3 },
  ],
  [
    'Alibaba: explicit caches in the details',
    '{"prompt_tokens":3019,"completion_tokens":104,"total_tokens":3123,"prompt_tokens_details":{"cached_tokens":0,"cache_creation_input_tokens":2005,"cache_creation":{"ephemeral_5m_input_tokens":2005},"cache_type":"ephemeral"}}',
    { inputTokens: 3019, cacheWriteTokens: 2005, outputTokens: 104 },
  ],
  [
    'LiteLLM: Anthropic counts at the top, the totals include them',
    '{"prompt_tokens":1000,"completion_tokens":5,"total_tokens":1005,"cache_creation_input_tokens":300,"cache_read_input_tokens":600,"prompt_tokens_details":{"cached_tokens":600}}',
    { inputTokens: 1000, cachedInputTokens: 600, cacheWriteTokens: 300, outputTokens: 5 },
  ],
  [
    'xAI: reasoning beside the completion',
    '{"prompt_tokens":12,"completion_tokens":2,"total_tokens":354,"completion_tokens_details":{"reasoning_tokens":340}}',
    { inputTokens: 12, outputTokens: 342, reasoningTokens: 340 },
    { vendor: 'xai' },
  ],
  [
    'Gemini behind its OpenAI endpoint: thinking in the total alone',
    '{"prompt_tokens":66,"completion_tokens":6,"total_tokens":100}',
    { inputTokens: 66, outputTokens: 34, reasoningTokens: 28 },
    { model: 'google/gemini-3-pro' },
  ],
  [
    'Gemma of DeepInfra: reasoning in no total',
    '{"prompt_tokens":66,"completion_tokens":84,"total_tokens":150,"completion_tokens_details":{"reasoning_tokens":1081}}',
    { inputTokens: 66, outputTokens: 1165, reasoningTokens: 1081 },
    { model: 'google/gemma-4-27b' },
  ],
  [
    'a total that is larger for a reason nobody gives adds nothing',
    '{"prompt_tokens":66,"completion_tokens":6,"total_tokens":100}',
    { inputTokens: 66, outputTokens: 6 },
  ],
  [
    'Perplexity: reasoning at the top',
    '{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"reasoning_tokens":7,"citation_tokens":3,"num_search_queries":2}',
    { inputTokens: 9, outputTokens: 12, reasoningTokens: 7 },
  ],
  [
    'names of the Responses API in a chat answer',
    '{"input_tokens":40,"output_tokens":7,"input_tokens_details":{"cached_tokens":16},"output_tokens_details":{"reasoning_tokens":2}}',
    { inputTokens: 40, cachedInputTokens: 16, outputTokens: 7, reasoningTokens: 2 },
  ],
  ['a total alone', '{"total_tokens":17}', { inputTokens: 17 }],
  ['a prompt and a total', '{"prompt_tokens":10,"total_tokens":17}', { inputTokens: 10, outputTokens: 7 }],
  [
    'a completion and a total',
    '{"completion_tokens":10,"total_tokens":17}',
    { inputTokens: 7, outputTokens: 10 },
  ],
  [
    'numbers as strings, and with a fraction',
    '{"prompt_tokens":"40","completion_tokens":"7.0","total_tokens":"47","prompt_tokens_details":{"cached_tokens":16.4}}',
    { inputTokens: 40, cachedInputTokens: 16, outputTokens: 7 },
  ],
  [
    'negative, unreadable and impossible numbers',
    '{"prompt_tokens":228,"completion_tokens":-3,"total_tokens":"n/a","prompt_tokens_details":{"cached_tokens":366,"cache_write_tokens":-1},"completion_tokens_details":{"reasoning_tokens":1e400}}',
    { inputTokens: 228, cachedInputTokens: 228 },
  ],
  [
    'null in every place',
    '{"prompt_tokens":null,"completion_tokens":null,"prompt_tokens_details":null}',
    null,
  ],
];

const responses: Case[] = [
  [
    'as documented',
    '{"input_tokens":88,"input_tokens_details":{"cache_write_tokens":43,"cached_tokens":10},"output_tokens":14,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":102}',
    { inputTokens: 88, cachedInputTokens: 10, cacheWriteTokens: 43, outputTokens: 14, reasoningTokens: 4 },
  ],
  [
    'names of Chat Completions',
    '{"prompt_tokens":88,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens":14,"completion_tokens_details":{"reasoning_tokens":4}}',
    { inputTokens: 88, cachedInputTokens: 10, outputTokens: 14, reasoningTokens: 4 },
  ],
  ['a total and one part', '{"input_tokens":88,"total_tokens":102}', { inputTokens: 88, outputTokens: 14 }],
  ['strings', '{"input_tokens":"88","output_tokens":"14"}', { inputTokens: 88, outputTokens: 14 }],
];

const messages: Case[] = [
  [
    'the split of the cache writes without their sum',
    '{"input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":400,"ephemeral_1h_input_tokens":18},"cache_read_input_tokens":10,"output_tokens":4}',
    {
      inputTokens: 431,
      cachedInputTokens: 10,
      cacheWriteTokens: 418,
      cacheWrite1hTokens: 18,
      outputTokens: 4,
    },
  ],
  [
    'a sum of 0 beside the split',
    '{"input_tokens":3,"cache_creation_input_tokens":0,"cache_creation":{"ephemeral_1h_input_tokens":18},"output_tokens":4}',
    { inputTokens: 21, cacheWriteTokens: 18, cacheWrite1hTokens: 18, outputTokens: 4 },
  ],
  ['null in every place', '{"input_tokens":null,"cache_creation":null,"server_tool_use":null}', null],
];

const gemini: Case[] = [
  [
    'no count of the candidates: what is left of the total',
    '{"promptTokenCount":15,"thoughtsTokenCount":2,"toolUsePromptTokenCount":5,"totalTokenCount":30}',
    { inputTokens: 20, outputTokens: 10, reasoningTokens: 2 },
  ],
  [
    'modalities of prompt, tool prompt and cache',
    '{"promptTokenCount":300,"toolUsePromptTokenCount":50,"cachedContentTokenCount":100,"candidatesTokenCount":9,"totalTokenCount":359,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":120},{"modality":"TEXT","tokenCount":180}],"toolUsePromptTokensDetails":[{"modality":"AUDIO","tokenCount":20},{"modality":"IMAGE","tokenCount":30}],"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":60},{"modality":"TEXT","tokenCount":40}]}',
    {
      inputTokens: 350,
      cachedInputTokens: 100,
      audioInputTokens: 140,
      cachedAudioInputTokens: 60,
      imageInputTokens: 30,
      outputTokens: 9,
    },
  ],
  [
    'counts as strings, as protobuf writes 64-bit numbers',
    '{"promptTokenCount":"8","candidatesTokenCount":"7"}',
    { inputTokens: 8, outputTokens: 7 },
  ],
  [
    'the live form',
    '{"promptTokenCount":25,"responseTokenCount":20,"totalTokenCount":45}',
    { inputTokens: 25, outputTokens: 20 },
  ],
];

const wholeAnswer: Readonly<Record<string, (reported: string, model: string) => string>> = {
  'openai-chat': (reported, model) => `{"model":"${model}","choices":[],"usage":${reported}}`,
  'openai-embeddings': (reported, model) => `{"model":"${model}","data":[],"usage":${reported}}`,
  'openai-responses': (reported, model) =>
    `{"model":"${model}","status":"completed","output":[],"usage":${reported}}`,
  'anthropic-messages': (reported, model) => `{"model":"${model}","content":[],"usage":${reported}}`,
  gemini: (reported, model) =>
    `{"modelVersion":"${model}","candidates":[{"finishReason":"STOP"}],"usageMetadata":${reported}}`,
};

const dialects: [DialectId, Case[]][] = [
  ['openai-chat', chat],
  ['openai-embeddings', chat],
  ['openai-responses', responses],
  ['anthropic-messages', messages],
  ['gemini', gemini],
];

describe.each(dialects)('usage in %s', (id, cases) => {
  it.each(cases)('%s', (_name, reported, counts, { model = 'acme', vendor = 'openai-compatible' } = {}) => {
    const { facts } = whole(id, wholeAnswer[id]?.(reported, model), { vendor });
    expect(facts.usage).toEqual(counts && usage(counts));
    expect(facts.usageIsFinal).toBe(counts !== null);
  });
});

describe('the cost a provider reports', () => {
  const reported = (usageText: string, more = '') =>
    whole('openai-chat', `{"model":"m","choices":[]${more},"usage":${usageText}}`).facts;

  it.each([
    ['OpenRouter', '{"cost":6e-08}', 60],
    ['OpenRouter, as a string', '{"cost":"0.0133176"}', 13_317_600],
    ['Perplexity', '{"cost":{"total_cost":0.00502,"request_cost":0.005}}', 5_020_000],
    ['xAI', '{"cost_in_usd_ticks":1721250}', 172_125],
    ['LLM Gateway', '{"cost_usd_total":0.25}', 250_000_000],
    ['a negative amount', '{"cost":-1}', null],
    ['no amount', '{"cost":null}', null],
  ])('%s', (_name, text, nano) => {
    const facts = reported(text);
    expect([facts.reportedCostNano, facts.reportedCostIsBilled]).toEqual([nano, true]);
  });

  it('is the fee and the provider’s bill where OpenRouter uses the person’s own key', () => {
    const facts = reported(
      '{"cost":0.00005,"is_byok":true,"cost_details":{"upstream_inference_cost":0.001}}',
    );
    expect([facts.reportedCostNano, facts.reportedOwnKeyNano]).toEqual([50_000, 1_000_000]);
  });

  it('is not what Azure says of Grok: ticks that nobody filled in', () => {
    const facts = reported('{"prompt_tokens":205,"completion_tokens":18,"cost_in_usd_ticks":0}');
    expect([facts.reportedCostNano, facts.reportedCostIsBilled]).toEqual([0, false]);
  });

  it('stands beside the message where the Vercel AI Gateway answers, whole or streamed', () => {
    const metadata = '"provider_metadata":{"gateway":{"cost":"0.0045405","marketCost":"0.005"}}';
    const answer = whole(
      'openai-chat',
      `{"choices":[{"message":{"content":"",${metadata}}}],"usage":{"prompt_tokens":1}}`,
    );
    const streamed = stream('openai-chat', [
      `{"choices":[{"delta":{${metadata}},"finish_reason":"stop"}]}`,
      '{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}',
      '[DONE]',
    ]);
    expect([answer.facts.reportedCostNano, streamed.facts.reportedCostNano]).toEqual([4_540_500, 4_540_500]);
  });
});

describe('an error inside an answer that began well', () => {
  it.each([
    ['openai-chat', ['{"object":"error","message":"out of memory","type":"BadRequestError"}']],
    ['openai-chat', ['{"error":"overloaded","error_type":"overloaded"}']],
    ['openai-chat', ['{"choices":[{"delta":{},"finish_reason":"error"}],"error":{"code":502}}']],
    ['openai-responses', ['{"type":"error","code":"server_error","message":"no"}']],
    [
      'openai-responses',
      ['{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error"}}}'],
    ],
    ['anthropic-messages', ['{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}']],
    ['gemini', ['{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}']],
  ] satisfies [DialectId, string[]][])('%s: %s', (id, events) => {
    const reader = stream(id, events);
    expect([reader.facts.failed, reader.finished, reader.facts.usage]).toEqual([true, true, null]);
  });

  it('keeps the usage that came before it, and takes the one that comes with or after it', () => {
    const before = stream('anthropic-messages', [
      '{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}',
      '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}',
      '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
    ]).facts;
    expect([before.usage?.inputTokens, before.usageIsFinal, before.outputChars]).toEqual([25, false, 5]);
    const failed = stream('openai-responses', [
      '{"type":"error","code":"server_error","message":"no"}',
      '{"type":"response.failed","response":{"status":"failed","usage":{"input_tokens":9,"output_tokens":2}}}',
    ]).facts;
    expect([failed.usage?.inputTokens, failed.usageIsFinal, failed.failed]).toEqual([9, true, true]);
    const late = stream('openai-chat', [
      '{"error":{"message":"no"}}',
      '{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}',
    ]).facts;
    expect([late.usage?.inputTokens, late.usageIsFinal]).toEqual([9, true]);
  });
});

describe('a stream of more than one message', () => {
  const start = (input: number, output: number) =>
    `{"type":"message_start","message":{"model":"m","usage":{"input_tokens":${input},"output_tokens":${output}}}}`;
  const delta = (output: number) =>
    `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":${output}}}`;
  const stop = '{"type":"message_stop"}';

  it('counts the last', () => {
    const { facts } = stream('anthropic-messages', [
      start(699, 5),
      delta(158),
      stop,
      start(1040, 1),
      delta(41),
      stop,
    ]);
    expect(facts.usage).toEqual(usage({ inputTokens: 1040, outputTokens: 41 }));
  });

  it('counts one once that is announced twice', () => {
    const { facts } = stream('anthropic-messages', [start(17, 1), start(17, 1), delta(227), stop]);
    expect(facts.usage).toEqual(usage({ inputTokens: 17, outputTokens: 227 }));
  });

  it('loses nothing to one that has counted nothing', () => {
    const { facts } = stream('anthropic-messages', [start(3369, 5), delta(725), stop, start(0, 0), stop]);
    expect(facts.usage).toEqual(usage({ inputTokens: 3369, outputTokens: 725 }));
  });

  it('counts what a compaction read once, as its own pass', () => {
    const pass =
      '{"type":"compaction","input_tokens":100,"cache_read_input_tokens":55096,"output_tokens":83}';
    const { facts } = stream('anthropic-messages', [
      '{"type":"message_start","message":{"model":"m","usage":{"input_tokens":100,"cache_read_input_tokens":55096,"output_tokens":1}}}',
      `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":181,"cache_read_input_tokens":0,"cache_creation_input_tokens":0,"output_tokens":8,"iterations":[${pass},{"type":"message","input_tokens":181,"output_tokens":8}]}}`,
      stop,
    ]);
    expect(facts.usage).toEqual(usage({ inputTokens: 181, outputTokens: 8 }));
    expect(
      facts.extraPasses.map(({ usage: of }) => [of.inputTokens, of.cachedInputTokens, of.outputTokens]),
    ).toEqual([[55_196, 55_096, 83]]);
  });

  it('has its input in the last event where the first has none (Anthropic-compatible servers)', () => {
    const { facts } = stream('anthropic-messages', [
      start(0, 0),
      '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":42,"cache_read_input_tokens":1000,"output_tokens":7}}',
      stop,
    ]);
    expect([facts.usage, facts.usageIsFinal]).toEqual([
      usage({ inputTokens: 1042, cachedInputTokens: 1000, outputTokens: 7 }),
      true,
    ]);
  });
});

it('a response that is queued has no last word yet', () => {
  const { facts, finished } = whole(
    'openai-responses',
    '{"model":"m","status":"queued","output":[],"usage":null}',
  );
  expect([facts.usage, facts.usageIsFinal, finished]).toEqual([null, false, true]);
});

it('reads nothing into answers of another kind', () => {
  for (const id of ['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini'] as const) {
    const reader = readerOf(id);
    for (const event of [
      '',
      'null',
      '[]',
      '"x"',
      '7',
      '{"choices":{"a":1},"usage":"none","response":[],"message":0}',
    ])
      expect(reader.event(event, undefined)).toBe('pass');
    expect([reader.facts.usage, reader.facts.failed]).toEqual([null, false]);
  }
});
