import { describe, expect, it } from 'vitest';
import { asked, edited, readerOf, stream, usage, whole } from './answers.ts';

const dialect = 'gemini-interactions' as const;
const reported = {
  total_input_tokens: 100,
  total_cached_tokens: 40,
  total_tool_use_tokens: 7,
  total_output_tokens: 20,
  total_thought_tokens: 30,
  total_tokens: 157,
  grounding_tool_count: [{ type: 'google_search', count: 2 }],
};
const counted = usage({
  inputTokens: 107,
  cachedInputTokens: 40,
  outputTokens: 50,
  reasoningTokens: 30,
  webSearches: 2,
});

describe('an interaction', () => {
  it('streams its usage in the last event', () => {
    const reader = stream(dialect, [
      { event_type: 'interaction.created', interaction: { id: 'v1_a', model: 'gemini-3.8-flash' } },
      { event_type: 'step.delta', index: 0, delta: { type: 'text', text: 'Hello' } },
      {
        event_type: 'interaction.completed',
        interaction: { id: 'v1_a', status: 'completed', usage: reported },
      },
    ]);
    expect(reader.facts).toMatchObject({
      model: 'gemini-3.8-flash',
      usage: counted,
      usageIsFinal: true,
      outputChars: 5,
      failed: false,
    });
    expect(reader.finished).toBe(true);
    expect(reader.event('[DONE]', 'done')).toBe('last');
  });

  it('that is cut keeps the running usage, which is not the last word', () => {
    const running = { total_input_tokens: 100, total_output_tokens: 3 };
    const reader = stream(dialect, [
      { event_type: 'step.delta', delta: { text: 'a' }, metadata: { total_usage: running } },
    ]);
    expect(reader.facts.usage).toEqual(usage({ inputTokens: 100, outputTokens: 3 }));
    expect([reader.facts.usageIsFinal, reader.finished]).toEqual([false, false]);
  });

  it('in one piece has it at the top, with thoughts within the output where the total says so', () => {
    const within = { ...reported, total_output_tokens: 50 };
    const { facts } = whole(dialect, {
      model: 'models/gemini-3.8-flash',
      status: 'completed',
      usage: within,
    });
    expect(facts).toMatchObject({ model: 'gemini-3.8-flash', usage: counted, usageIsFinal: true });
  });

  it('is ended by an error event', () => {
    const ending = readerOf(dialect).ending('Over.', 'limit_reached');
    expect(ending).toBe(
      'event: error\ndata: {"event_type":"error","error":{"code":"limit_reached","message":"Over."}}\n\ndata: [DONE]\n\n',
    );
  });

  it('is bounded by its configuration, and by a whole context where it goes on from an earlier one', () => {
    const body = { model: 'gemini-3.8-flash', input: 'x', generation_config: { max_output_tokens: 50 } };
    expect(asked(dialect, { ...body, stream: true })).toMatchObject({
      model: 'gemini-3.8-flash',
      stream: true,
      maxOutputTokens: 50,
      storedInput: false,
      notMetered: null,
    });
    const next = asked(dialect, { ...body, previous_interaction_id: 'v1_a' });
    expect(next.storedInput).toBe(true);
    expect(next.extraInputTokens).toBeGreaterThan(100_000);
    expect(asked(dialect, { ...body, tools: [{ type: 'google_search' }] }).webSearches).toBeGreaterThan(0);
    expect(edited(dialect, JSON.stringify(body), { maxOutputTokens: 20 })).toContain(
      '"max_output_tokens":20',
    );
    expect(edited(dialect, JSON.stringify(body), { maxOutputTokens: 80 })).toBe(JSON.stringify(body));
  });

  it.each([{ agent: 'deep-research' }, { background: true }, { environment: 'e' }])(
    'that runs on by itself, or is billed elsewhere, is not metered: %o',
    (more) => {
      expect(asked(dialect, { model: 'gemini-3.8-flash', input: 'x', ...more }).notMetered).toMatch(
        /metered/,
      );
    },
  );
});
