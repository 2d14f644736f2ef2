import { describe, expect, it } from 'vitest';
import { nothingAsked } from '../../../electron/gateway/dialects/dialect.ts';
import { asked, edited, readerOf, stream, usage, whole } from './answers.ts';

const messages = 'anthropic-messages' as const;
const start = (reported: object, model = 'claude') => ({
  type: 'message_start',
  message: { model, usage: reported },
});
const open = (index: number, content_block: object = { type: 'text', text: '' }) => ({
  type: 'content_block_start',
  index,
  content_block,
});
const text = (index: number, value: string) => ({
  type: 'content_block_delta',
  index,
  delta: { type: 'text_delta', text: value },
});
const close = (index: number) => ({ type: 'content_block_stop', index });
const delta = (reported: object, stop_reason: string | null = 'end_turn') => ({
  type: 'message_delta',
  delta: { stop_reason },
  usage: reported,
});

describe('a Messages stream', () => {
  it('has its input at the start, its output at the end, and ends with message_stop', () => {
    const reader = readerOf(messages);
    const verdicts = [
      start({
        input_tokens: 10,
        cache_read_input_tokens: 100,
        cache_creation_input_tokens: 50,
        cache_creation: { ephemeral_5m_input_tokens: 20, ephemeral_1h_input_tokens: 30 },
        output_tokens: 1,
        service_tier: 'standard',
      }),
      { type: 'ping' },
      open(0),
      text(0, 'Hello'),
      close(0),
      // The counts of the input are repeated, some as null; the split by time of life is not.
      delta({
        input_tokens: 10,
        cache_read_input_tokens: null,
        cache_creation_input_tokens: 50,
        output_tokens: 7,
        output_tokens_details: { thinking_tokens: 3 },
      }),
      { type: 'message_stop' },
    ].map((event) => reader.event(JSON.stringify(event), event.type));
    expect(verdicts).toEqual(['pass', 'pass', 'pass', 'pass', 'pass', 'pass', 'last']);
    expect(reader.facts).toEqual({
      model: 'claude',
      serviceTier: 'standard',
      terms: {},
      usage: usage({
        inputTokens: 160,
        cachedInputTokens: 100,
        cacheWriteTokens: 50,
        cacheWrite1hTokens: 30,
        outputTokens: 7,
        reasoningTokens: 3,
      }),
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

  it('has not had its last word before the end: the output so far is a placeholder', () => {
    const { facts } = stream(messages, [
      start({ input_tokens: 20, output_tokens: 1 }),
      open(0),
      text(0, 'abc'),
    ]);
    expect([
      facts.usage?.inputTokens,
      facts.usage?.outputTokens,
      facts.usageIsFinal,
      facts.outputChars,
    ]).toEqual([20, 1, false, 3]);
  });

  it('counts characters of text, thinking, tool input and summaries', () => {
    const deltas = [
      { type: 'thinking_delta', thinking: 'ab' },
      { type: 'input_json_delta', partial_json: '{"a"' },
      { type: 'compaction_delta', content: 'xyz' },
      { type: 'signature_delta', signature: 'AAAA' },
    ];
    const { facts } = stream(
      messages,
      deltas.map((one) => ({ type: 'content_block_delta', index: 0, delta: one })),
    );
    expect(facts.outputChars).toBe(9);
  });

  it('reads the older message_delta that has only the output, and searches', () => {
    const { facts } = stream(messages, [
      start({ input_tokens: 20, output_tokens: 1 }),
      delta({ output_tokens: 9, server_tool_use: { web_search_requests: 2 } }),
    ]);
    expect(facts.usage).toEqual(usage({ inputTokens: 20, outputTokens: 9, webSearches: 2 }));
  });

  it('loses nothing to a later 0, and takes a later count of the input', () => {
    const later = delta({ input_tokens: 0, cache_read_input_tokens: 30, output_tokens: 9 });
    const { facts } = stream(messages, [
      start({ input_tokens: 20, cache_read_input_tokens: 0, output_tokens: 1 }),
      later,
    ]);
    expect(facts.usage).toEqual(usage({ inputTokens: 50, cachedInputTokens: 30, outputTokens: 9 }));
  });

  it('begins its account anew with a second message', () => {
    const reader = stream(messages, [
      start({ input_tokens: 699, cache_creation: { ephemeral_1h_input_tokens: 5 }, output_tokens: 5 }),
      open(0),
      delta({ input_tokens: 1630, output_tokens: 158, server_tool_use: { web_search_requests: 1 } }),
      { type: 'message_stop' },
      start({ input_tokens: 1040, output_tokens: 1 }),
    ]);
    expect([reader.finished, reader.facts.usageIsFinal]).toEqual([false, false]);
    reader.event(JSON.stringify(delta({ input_tokens: 1040, output_tokens: 41 })), undefined);
    expect(reader.facts.usage).toEqual(usage({ inputTokens: 1040, outputTokens: 41 }));
  });

  it('has failed with an error event, which ends it', () => {
    const reader = stream(messages, [
      start({ input_tokens: 20, output_tokens: 1 }),
      { type: 'error', error: { type: 'overloaded_error' } },
    ]);
    expect([reader.facts.failed, reader.finished, reader.facts.usageIsFinal]).toEqual([true, true, false]);
  });

  it('is ended by closing the open block and then by an error', () => {
    const reader = stream(messages, [start({}), open(0), close(0), open(1), text(1, 'a')]);
    expect(reader.ending('Over.', 'limit_reached')).toBe(
      'event: content_block_stop\ndata: {"type":"content_block_stop","index":1}\n\n' +
        'event: error\ndata: {"type":"error","error":{"type":"billing_error","message":"Over."}}\n\n',
    );
    expect(readerOf(messages).ending('Gone.', 'upstream')).toBe(
      'event: error\ndata: {"type":"error","error":{"type":"upstream_error","message":"Gone."}}\n\n',
    );
  });

  it('passes what it cannot read', () => {
    for (const data of [
      '',
      'x',
      '[]',
      '{"type":"message_start"}',
      '{"type":"message_delta","usage":7}',
      '{"type":"new_event","usage":{}}',
    ]) {
      expect(readerOf(messages).event(data, undefined)).toBe('pass');
    }
  });
});

describe('the passes of a Messages answer', () => {
  const pass = (type: string, model: string | undefined, input_tokens: number, output_tokens: number) => ({
    type,
    model,
    input_tokens,
    output_tokens,
  });

  it('are billed on top where the totals leave them out, at their own model', () => {
    const iterations = [
      pass('compaction', undefined, 60_385, 522),
      pass('advisor_message', 'claude-big', 2_728, 874),
      pass('message', undefined, 612, 2_819),
    ];
    const { facts } = stream(messages, [
      start({ input_tokens: 612, output_tokens: 1 }),
      delta({ input_tokens: 612, output_tokens: 2_819, iterations }),
    ]);
    expect(facts.usage).toEqual(usage({ inputTokens: 612, outputTokens: 2_819 }));
    expect(facts.extraPasses).toEqual([
      { model: 'claude', usage: usage({ inputTokens: 60_385, outputTokens: 522 }) },
      { model: 'claude-big', usage: usage({ inputTokens: 2_728, outputTokens: 874 }) },
    ]);
  });

  it('tell which model answered where it was not the one that began', () => {
    const iterations = [
      pass('message', 'claude', 408, 0),
      pass('fallback_message', 'claude-other', 412, 264),
    ];
    const { facts } = stream(messages, [
      start({ input_tokens: 408, output_tokens: 1 }),
      delta({ input_tokens: 412, output_tokens: 264, iterations }),
    ]);
    expect([facts.model, facts.extraPasses, facts.usage]).toEqual([
      'claude-other',
      [],
      usage({ inputTokens: 412, outputTokens: 264 }),
    ]);

    const block = open(0, { type: 'fallback', from: { model: 'claude' }, to: { model: 'claude-other' } });
    expect(stream(messages, [start({ input_tokens: 1 }), block]).facts.model).toBe('claude-other');
  });
});

describe('a Messages answer', () => {
  it('has the same usage', () => {
    const { facts } = whole(messages, {
      type: 'message',
      model: 'claude',
      usage: {
        input_tokens: 28,
        cache_creation_input_tokens: 5_596,
        cache_creation: { ephemeral_1h_input_tokens: 4_096 },
        output_tokens: 12,
        service_tier: 'priority',
      },
    });
    expect([facts.model, facts.serviceTier, facts.usageIsFinal]).toEqual(['claude', 'priority', true]);
    expect(facts.usage).toEqual(
      usage({ inputTokens: 5_624, cacheWriteTokens: 5_596, cacheWrite1hTokens: 4_096, outputTokens: 12 }),
    );
  });

  it('says when it was served fast, and what a gateway charged for it', () => {
    const { facts } = whole(messages, {
      model: 'claude',
      usage: {
        input_tokens: 1,
        output_tokens: 1,
        speed: 'fast',
        service_tier: 'standard',
        pydantic_ai_gateway: { cost_estimate: 0.00019199999999999998 },
      },
    });
    expect([facts.serviceTier, facts.reportedCostNano]).toEqual(['fast', 192_000]);
  });

  it('that is an error has failed', () => {
    expect(whole(messages, { type: 'error', error: {} }).facts).toMatchObject({
      failed: true,
      usage: null,
      usageIsFinal: false,
    });
  });
});

describe('a Messages request', () => {
  it('says what it may cost', () => {
    expect(
      asked(messages, {
        model: 'claude',
        stream: true,
        max_tokens: 9,
        speed: 'fast',
        service_tier: 'auto',
        messages: [],
      }),
    ).toEqual({
      ...nothingAsked,
      model: 'claude',
      stream: true,
      maxOutputTokens: 9,
      choices: 1,
      serviceTier: 'fast',
      cacheWrites: 'none',
      extraInputTokens: 0,
      hiddenInputTokens: { atVendor: 256, elsewhere: 512 },
      searchInputTokens: 16_000,
    });
  });

  it('asks for cache writes of the dearest class it marks, wherever the mark is and however it is written', () => {
    const mark = (cache_control: object) => ({
      model: 'c',
      messages: [
        { content: [{ type: 'tool_result', content: [{ type: 'text', text: 'a', cache_control }] }] },
      ],
    });
    expect(asked(messages, mark({ type: 'ephemeral' })).cacheWrites).toBe('5m');
    expect(asked(messages, mark({ type: 'ephemeral', ttl: '1h' })).cacheWrites).toBe('1h');
    expect(asked(messages, { model: 'c', cache_control: { type: 'ephemeral' } }).cacheWrites).toBe('5m');
    expect(
      asked(messages, '{"model":"c","system":[{"cache\\u005fcontrol":{"ttl":"1\\u0068"}}]}').cacheWrites,
    ).toBe('1h');
  });

  it('allows the searches of its tools', () => {
    expect(
      asked(messages, {
        model: 'c',
        tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 8 }],
      }).webSearches,
    ).toBe(8);
    expect(
      asked(messages, { model: 'c', tools: [{ type: 'web_search_20260318', name: 'web_search' }] })
        .webSearches,
    ).toBe(10);
    expect(
      asked(messages, { model: 'c', tools: [{ name: 'web_search', input_schema: {} }] }).webSearches,
    ).toBe(0);
  });

  it('counts input that its bytes do not show', () => {
    const ask = (...content: object[]) =>
      asked(messages, { model: 'c', messages: [{ role: 'user', content }] }).extraInputTokens;
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } };
    expect(ask({ type: 'text', text: 'a' })).toBe(0);
    // Not even a header: the most that an image can cost, less the bytes that show it.
    expect(ask(image, image)).toBe(2 * (5_000 - 4));
    expect(ask({ type: 'document', source: { type: 'url', url: 'https://x/y.pdf' } })).toBe(1_000_000);
    expect(ask({ type: 'image', source: { type: 'file', file_id: 'f' } })).toBe(5_000);
    expect(ask({ type: 'document', source: { type: 'text', data: 'a' } })).toBe(0);
    const schema = { properties: { type: { enum: ['image', 'document'] } } };
    const hidden = (...tools: object[]) => asked(messages, { model: 'c', tools }).hiddenInputTokens;
    expect(hidden({ name: 'f', input_schema: schema })).toEqual({ atVendor: 1_256, elsewhere: 3_512 });
    expect(hidden({ type: 'custom', name: 'f' }, { type: 'bash_20250124', name: 'bash' }).atVendor).toBe(
      3_256,
    );
    const tools = [{ type: 'web_fetch_20250910', name: 'web_fetch', max_uses: 2, max_content_tokens: 5_000 }];
    expect(asked(messages, { model: 'c', tools }).hostedInputTokens).toBe(10_000);
  });

  it('is edited for its model and its bound, and a thinking budget that would not fit in it', () => {
    expect(
      edited(messages, '{"model":"p/c","max_tokens":9}', {
        model: 'c',
        includeUsage: true,
        maxOutputTokens: 5,
      }),
    ).toBe('{"model":"c","max_tokens":5}');
    expect(edited(messages, '{"max_tokens":5}', { maxOutputTokens: 5 })).toBe('{"max_tokens":5}');
    const thinking = '{"max_tokens":32000,"thinking":{"type":"enabled","budget_tokens":31999}}';
    expect(edited(messages, thinking, { maxOutputTokens: 8_000 })).toBe(
      '{"max_tokens":8000,"thinking":{"type":"enabled","budget_tokens":6000}}',
    );
    expect(edited(messages, thinking, { maxOutputTokens: 31_999 })).toContain('"budget_tokens":23999');
    expect(
      edited(messages, '{"max_tokens":32000,"thinking":{"budget_tokens":2000}}', { maxOutputTokens: 8_000 }),
    ).toContain('"budget_tokens":2000');
  });
});
