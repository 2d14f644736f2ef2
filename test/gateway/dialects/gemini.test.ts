import { describe, expect, it } from 'vitest';
import { nothingAsked } from '../../../electron/gateway/dialects/dialect.ts';
import { asked, edited, readerOf, stream, usage, whole } from './answers.ts';

const gemini = 'gemini' as const;
const part = (text: string, finishReason?: string) => ({
  content: { parts: [{ text }] },
  ...(finishReason && { finishReason }),
});

describe('a Gemini stream', () => {
  it('has running totals: the last ones count, with thinking and tool prompts added', () => {
    const reader = readerOf(gemini);
    const verdicts = [
      {
        modelVersion: 'gemini-2.5-flash',
        candidates: [part('Hel')],
        usageMetadata: { promptTokenCount: 10, totalTokenCount: 10 },
      },
      {
        modelVersion: 'gemini-2.5-flash',
        candidates: [part('lo', 'STOP')],
        usageMetadata: {
          promptTokenCount: 10,
          cachedContentTokenCount: 4,
          toolUsePromptTokenCount: 73,
          candidatesTokenCount: 30,
          thoughtsTokenCount: 109,
          totalTokenCount: 222,
          serviceTier: 'standard',
        },
      },
    ].map((chunk) => reader.event(JSON.stringify(chunk), undefined));
    expect(verdicts).toEqual(['pass', 'pass']);
    expect(reader.finished).toBe(true);
    expect(reader.facts).toEqual({
      model: 'gemini-2.5-flash',
      serviceTier: 'standard',
      terms: {},
      usage: usage({ inputTokens: 83, cachedInputTokens: 4, outputTokens: 139, reasoningTokens: 109 }),
      usageIsFinal: true,
      extraPasses: [],
      reportedCostNano: null,
      reportedCostIsBilled: true,
      reportedOwnKeyNano: 0,
      outputChars: 5,
      outputCalls: 0,
      outputText: null,
      failed: false,
    });
  });

  it('that is cut keeps the running count, which is not the last word', () => {
    const reader = stream(gemini, [
      { candidates: [part('a')], usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 3 } },
    ]);
    expect([reader.facts.usage?.outputTokens, reader.facts.usageIsFinal, reader.finished]).toEqual([
      3,
      false,
      false,
    ]);
  });

  it('may send its usage behind the finish reason', () => {
    const reader = stream(gemini, [
      { candidates: [part('a', 'STOP')] },
      { usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 3 } },
    ]);
    expect([reader.facts.usage?.outputTokens, reader.facts.usageIsFinal]).toEqual([3, true]);
  });

  it('is over where the prompt was blocked, and has failed with an error', () => {
    expect(stream(gemini, [{ promptFeedback: { blockReason: 'SAFETY' } }]).finished).toBe(true);
    const failed = stream(gemini, [{ error: { code: 503 } }]);
    expect([failed.finished, failed.facts.failed]).toEqual([true, true]);
  });

  it('is ended by an error in both of the forms that clients read', () => {
    const ending = readerOf(gemini).ending('Over.', 'limit_reached');
    const [raw = '', event = ''] = ending.split('\n\n');
    // The list that is none is for clients that pass over an error.
    expect(JSON.parse(event.replace(/^data: /, ''))).toEqual({ ...JSON.parse(raw), candidates: {} });
    expect(ending.endsWith('\n\n')).toBe(true);
    expect(JSON.parse(raw)).toEqual({
      error: {
        code: 402,
        message: 'Over.',
        status: 'FAILED_PRECONDITION',
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
            reason: 'KEY_SPEND_LIMIT_REACHED',
            domain: 'faregate',
          },
        ],
      },
    });
  });

  it('that is an array is ended inside of it', () => {
    const element = { candidates: [part('a')] };
    const reader = stream(gemini, [element], { jsonArray: true });
    expect(JSON.parse(`[${JSON.stringify(element)}${reader.ending('Over.', 'stopped')}`)).toHaveLength(2);
    expect(JSON.parse(readerOf(gemini, { jsonArray: true }).ending('Gone.', 'upstream'))).toMatchObject([
      { error: { code: 424, status: 'FAILED_PRECONDITION' } },
    ]);
  });
});

describe('a Gemini answer', () => {
  it('has its tokens by modality', () => {
    const { facts } = whole(gemini, {
      modelVersion: 'models/gemini-2.5-flash',
      candidates: [],
      usageMetadata: {
        promptTokenCount: 100,
        promptTokensDetails: [
          { modality: 'TEXT', tokenCount: 10 },
          { modality: 'AUDIO', tokenCount: 40 },
          { modality: 'IMAGE', tokenCount: 50 },
        ],
        cachedContentTokenCount: 30,
        cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 20 }],
        candidatesTokenCount: 60,
        candidatesTokensDetails: [
          { modality: 'IMAGE', tokenCount: 45 },
          { modality: 'AUDIO', tokenCount: 5 },
        ],
        trafficType: 'ON_DEMAND',
      },
    });
    expect([facts.model, facts.serviceTier, facts.usageIsFinal]).toEqual([
      'gemini-2.5-flash',
      'ON_DEMAND',
      true,
    ]);
    expect(facts.usage).toEqual(
      usage({
        inputTokens: 100,
        cachedInputTokens: 30,
        audioInputTokens: 40,
        cachedAudioInputTokens: 20,
        imageInputTokens: 50,
        outputTokens: 60,
        imageOutputTokens: 45,
        audioOutputTokens: 5,
      }),
    );
  });

  it('may leave out the candidates’ count', () => {
    expect(
      whole(gemini, { usageMetadata: { promptTokenCount: 15, thoughtsTokenCount: 2, totalTokenCount: 17 } })
        .facts.usage?.outputTokens,
    ).toBe(2);
    expect(
      whole(gemini, { usageMetadata: { promptTokenCount: 15, totalTokenCount: 20 } }).facts.usage
        ?.outputTokens,
    ).toBe(5);
  });

  it('is billed by the query from Gemini 3 on, by the grounded request before', () => {
    const grounded = (modelVersion: string, queries: string[]) =>
      whole(gemini, {
        modelVersion,
        candidates: [{ ...part('a', 'STOP'), groundingMetadata: { webSearchQueries: queries } }],
        usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1 },
      }).facts.usage?.webSearches;
    expect(grounded('gemini-3.5-flash', ['a', 'b', 'a', ''])).toBe(2);
    expect(grounded('gemini-2.5-flash', ['a', 'b'])).toBe(1);
    expect(grounded('gemini-2.5-flash', [])).toBe(0);
  });

  it('of an embedding is input alone', () => {
    const reported = { promptTokenCount: 261, promptTokenDetails: [{ modality: 'IMAGE', tokenCount: 258 }] };
    const { facts } = whole('gemini-embeddings', { embeddings: [], usageMetadata: reported });
    expect(facts.usage).toEqual(usage({ inputTokens: 261, imageInputTokens: 258 }));
    expect(whole('gemini-embeddings', { embeddings: [] }).facts.usage).toBeNull();
  });
});

describe('a Gemini request', () => {
  const path = { model: 'gemini-3.5-flash', stream: true };

  it('says what it may cost, the model and the stream by its path', () => {
    expect(
      asked(gemini, { contents: [], generationConfig: { maxOutputTokens: 9, candidateCount: 2 } }, path),
    ).toEqual({
      ...nothingAsked,
      model: 'gemini-3.5-flash',
      stream: true,
      maxOutputTokens: 9,
      choices: 2,
      serviceTier: null,
      cacheWrites: 'none',
      extraInputTokens: 0,
      hiddenInputTokens: { atVendor: 64, elsewhere: 256 },
      uses: { mapSearches: 0 },
    });
    expect(asked(gemini, { generation_config: { max_output_tokens: 7 } }, path).maxOutputTokens).toBe(7);
  });

  it('allows searches by its tools', () => {
    const searches = (tools: object[], model = 'gemini-3-pro') =>
      asked(gemini, { tools }, { model, stream: false }).webSearches;
    expect(searches([{ google_search: {} }])).toBe(10);
    expect(searches([{ googleSearch: {} }, { functionDeclarations: [] }], 'gemini-2.5-pro')).toBe(1);
    expect(searches([{ functionDeclarations: [{ name: 'googleSearch' }] }])).toBe(0);
  });

  it('counts input that its bytes do not show', () => {
    const ask = (body: object) => asked(gemini, body, path).extraInputTokens;
    expect(ask({ contents: [{ parts: [{ inlineData: { mimeType: 'image/png', data: 'AA' } }] }] })).toBe(
      10_000 - 2,
    );
    expect(ask({ contents: [{ parts: [{ file_data: { file_uri: 'https://x' } }] }] })).toBe(1_048_576);
    expect(
      ask({ contents: [{ parts: [{ fileData: { mimeType: 'image/png', fileUri: 'https://x' } }] }] }),
    ).toBe(10_000);
    expect(
      ask({ contents: [{ parts: [{ inlineData: { mimeType: 'application/pdf', data: 'AA' } }] }] }),
    ).toBe(1_048_576);
    expect(ask({ cachedContent: 'cachedContents/1' })).toBe(1_048_576);
    expect(asked(gemini, { tools: [{ urlContext: {} }] }, path).hostedInputTokens).toBe(1_048_576);
    expect(ask({ tools: [{ function_declarations: [] }] })).toBe(0);
  });

  it.each([
    ['{}', '{"generationConfig":{"maxOutputTokens":5}}'],
    ['{"generationConfig":{"temperature":1}}', '{"generationConfig":{"temperature":1,"maxOutputTokens":5}}'],
    ['{"generationConfig":{"maxOutputTokens":9}}', '{"generationConfig":{"maxOutputTokens":5}}'],
    ['{"generation_config":{"max_output_tokens":9}}', '{"generation_config":{"max_output_tokens":5}}'],
    ['{"generationConfig":{"maxOutputTokens":4}}', '{"generationConfig":{"maxOutputTokens":4}}'],
  ])('has its bound lowered where it stands: %s', (before, after) => {
    expect(edited(gemini, before, { maxOutputTokens: 5, model: 'm', includeUsage: true })).toBe(after);
  });
});
