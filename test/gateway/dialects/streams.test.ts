/**
 * Streams of every dialect however they reach the meter: cut at any byte, with any line ends, with comments, pings and
 * events that cannot be read in between, with or without their formal end. Bytes pass, and facts stay the same.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DialectId } from '#shared/model.ts';
import { createMeter } from '../../../electron/gateway/metering/meter.ts';
import { readerOf } from './answers.ts';

interface Sample {
  dialect: DialectId;
  events: { type?: string; data: string }[];
  /** The last event is a form that servers leave out. */
  endIsOptional: boolean;
}

const typed = (data: { type: string } & Record<string, unknown>) => ({
  type: data.type,
  data: JSON.stringify(data),
});
const plain = (data: unknown) => ({ data: JSON.stringify(data) });

const samples: Sample[] = [
  {
    dialect: 'openai-chat',
    endIsOptional: true,
    events: [
      plain({
        model: 'm',
        service_tier: 'flex',
        choices: [{ delta: { content: 'Grüße €𝄞' }, finish_reason: null }],
        usage: null,
      }),
      plain({
        model: 'm',
        choices: [{ delta: { tool_calls: [{ function: { name: 'f', arguments: '{"ü":1}' } }] } }],
      }),
      plain({ model: 'm', choices: [{ delta: {}, finish_reason: 'stop' }] }),
      plain({
        model: 'm',
        choices: [],
        usage: {
          prompt_tokens: 12,
          completion_tokens: 3,
          cost: 6e-8,
          prompt_tokens_details: { cached_tokens: 4 },
        },
      }),
      { data: '[DONE]' },
    ],
  },
  {
    dialect: 'openai-completions',
    endIsOptional: true,
    events: [
      plain({ model: 'm', choices: [{ text: 'Ein Text', finish_reason: 'length' }] }),
      plain({ model: 'm', choices: [], usage: { prompt_tokens: 12, completion_tokens: 3 } }),
      { data: '[DONE]' },
    ],
  },
  {
    dialect: 'openai-responses',
    endIsOptional: false,
    events: [
      typed({ type: 'response.created', sequence_number: 0, response: { id: 'r', model: 'm', usage: null } }),
      typed({ type: 'response.output_text.delta', sequence_number: 1, delta: 'Grüße €𝄞' }),
      typed({
        type: 'response.output_item.done',
        sequence_number: 2,
        item: { type: 'web_search_call', action: { type: 'search' } },
      }),
      typed({
        type: 'response.completed',
        sequence_number: 3,
        response: {
          id: 'r',
          model: 'm',
          service_tier: 'default',
          usage: { input_tokens: 12, output_tokens: 3 },
        },
      }),
    ],
  },
  {
    dialect: 'anthropic-messages',
    endIsOptional: false,
    events: [
      typed({
        type: 'message_start',
        message: {
          model: 'm',
          usage: {
            input_tokens: 9,
            cache_read_input_tokens: 3,
            cache_creation: { ephemeral_1h_input_tokens: 2 },
            output_tokens: 1,
          },
        },
      }),
      typed({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
      typed({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Grüße €𝄞' } }),
      typed({ type: 'content_block_stop', index: 0 }),
      typed({
        type: 'message_delta',
        delta: { stop_reason: 'end_turn' },
        usage: { output_tokens: 3, server_tool_use: { web_search_requests: 2 } },
      }),
      typed({ type: 'message_stop' }),
    ],
  },
  {
    dialect: 'gemini',
    endIsOptional: false,
    events: [
      plain({
        candidates: [{ content: { parts: [{ text: 'Grüße €𝄞' }] } }],
        usageMetadata: { promptTokenCount: 12 },
        modelVersion: 'm',
      }),
      plain({
        candidates: [{ finishReason: 'STOP' }],
        usageMetadata: { promptTokenCount: 12, candidatesTokenCount: 3, thoughtsTokenCount: 2 },
        modelVersion: 'm',
      }),
    ],
  },
];

/** What servers and networks put between the events; none of it says anything. */
const noise = fc.constantFrom(
  ': keep-alive',
  ':',
  'event: ping\ndata: {"type":"ping"}',
  'data: not JSON',
  'data: {"half":',
  'data:',
  'data: null',
  'data: []',
  'data: "choices"',
  'id: 7\nretry: 1000',
  `data: ${'['.repeat(5_000)}`,
  `data: ${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`,
  'data: {"type":"unheard.of","delta":{"nested":[1,2,{"x":null}]}}',
  'unknown: field',
);

const wire = fc.record({
  end: fc.constantFrom('\n', '\r\n', '\r'),
  bom: fc.boolean(),
  blankLast: fc.boolean(),
  withEnd: fc.boolean(),
  named: fc.boolean(),
  noises: fc.array(fc.tuple(fc.nat({ max: 5 }), noise), { maxLength: 6 }),
  cuts: fc.array(fc.nat(), { maxLength: 40 }),
});

const undecided = { contentType: 'text/event-stream', stream: true, jsonArray: false };

describe.each(samples.map((sample) => [sample.dialect, sample] as const))('%s', (dialect, sample) => {
  const clean = readerOf(dialect);
  for (const { data, type } of sample.events) clean.event(data, type);

  it('has the same bytes and the same facts however it comes', () => {
    fc.assert(
      fc.property(wire, ({ end, bom, blankLast, withEnd, named, noises, cuts }) => {
        const events = sample.events.slice(0, withEnd || !sample.endIsOptional ? undefined : -1);
        const blocks: string[] = [];
        for (const [at, { type, data }] of events.entries()) {
          for (const [before, text] of noises) if (before === at) blocks.push(text);
          blocks.push(`${named && type !== undefined ? `event: ${type}\n` : ''}data: ${data}`);
        }
        let text = blocks.map((block) => `${block}\n\n`).join('');
        if (!blankLast) text = text.slice(0, -1);
        const body = Buffer.from((bom ? '\ufeff' : '') + text.replaceAll('\n', end));

        const reader = readerOf(dialect);
        const meter = createMeter({ reader, framing: undecided, hideUsage: false });
        const out: Buffer[] = [];
        let from = 0;
        for (const cut of [
          ...cuts.map((one) => one % (body.length + 1)).toSorted((a, b) => a - b),
          body.length,
        ]) {
          out.push(meter.push(body.subarray(from, cut)));
          from = cut;
        }
        out.push(meter.end());
        expect(Buffer.concat(out).equals(body)).toBe(true);
        expect(reader.facts).toEqual(clean.facts);
        expect([meter.complete, meter.framing]).toEqual([true, 'sse']);
      }),
      { numRuns: 150 },
    );
  });
});
