/** An event that repeats the one before it counts as it would have, had it been parsed. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { DialectId } from '#shared/model.ts';
import { dialects } from '../../../electron/gateway/dialects/index.ts';
import { anyCharacter } from '../../support/characters.ts';

type Event = [data: string, type: string | undefined];

const readerOf = (dialect: DialectId) =>
  dialects[dialect].reader({ hideUsage: true, keepText: true, vendor: 'openai' });

const chat = (choices: object[], more: object = {}): Event => [
  JSON.stringify({ id: 'c', model: 'acme', choices, ...more }),
  undefined,
];
const delta = (content: unknown, more: object = {}) => ({
  index: 0,
  delta: { content },
  finish_reason: null,
  ...more,
});
const messages = (event: { type: string; [name: string]: unknown }): Event => [
  JSON.stringify(event),
  event.type,
];
const blockDelta = (more: object) => messages({ type: 'content_block_delta', index: 0, delta: more });

const said = fc.oneof(
  fc.constantFrom('', 'content', 'acme', 'a', '"', '\\', '\n', 'é€𝄞', 'null', '","content":"x'),
  fc.string({ unit: anyCharacter, maxLength: 8 }),
);
const usage = { prompt_tokens: 3, completion_tokens: 2 };

const chatEvent = fc.oneof(
  { weight: 6, arbitrary: said.map((text) => chat([delta(text)])) },
  said.map((text) => chat([delta(text, { finish_reason: 'stop' })])),
  said.map((text) => chat([delta(text)], { usage })),
  said.map((text) => chat([delta(text), delta(text, { index: 1 })])),
  said.map((text) => chat([delta(text, { text })])),
  said.map((text) => chat([{ index: 0, delta: { content: text, reasoning: text } }])),
  said.map((text) => chat([{ index: 0, delta: { tool_calls: [{ function: { name: text } }] } }])),
  said.map((text) => chat([delta(text)], { model: 'other' })),
  said.map((text): Event => [`{"choices":[{"delta":{"content":"${text}`, undefined]),
  fc.constantFrom<Event>(
    chat([], { usage }),
    chat([delta([{ text: 'in parts' }])]),
    ['[DONE]', undefined],
    ['{"error":{}}', undefined],
    [chat([delta('error')])[0], 'error'],
    ['{"choices":[{"delta":{"content":"a","content":"a"}}]}', undefined],
  ),
);

const messagesEvent = fc.oneof(
  { weight: 4, arbitrary: said.map((text) => blockDelta({ type: 'text_delta', text })) },
  { weight: 2, arbitrary: said.map((text) => blockDelta({ type: 'input_json_delta', partial_json: text })) },
  said.map((text) => blockDelta({ type: 'odd', text, thinking: text })),
  said.map((text): Event => [JSON.stringify({ delta: { text } }), 'content_block_delta']),
  said.map((text): Event => [JSON.stringify({ delta: { text } }), 'ping']),
  fc.constantFrom(
    messages({ type: 'ping' }),
    messages({ type: 'message_start', message: { model: 'acme', usage: { input_tokens: 3 } } }),
    messages({ type: 'message_delta', delta: { stop_reason: 'end' }, usage: { output_tokens: 4 } }),
    messages({ type: 'error' }),
  ),
);

describe.each([
  ['openai-chat', chatEvent],
  ['anthropic-messages', messagesEvent],
] as const)('%s', (dialect, event) => {
  test('any stream counts the same as where no two events begin alike', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 12 }), (events) => {
        const [read, parsed] = [readerOf(dialect), readerOf(dialect)];
        for (const [at, [data, type]] of events.entries()) {
          // White space behind an event means nothing, and sets it apart from its neighbours.
          const verdict = parsed.event(data + ' '.repeat(at % 2), type);
          expect(read.event(data, type)).toBe(verdict);
          expect(read.facts).toEqual(parsed.facts);
          expect(String(read.facts.outputText)).toBe(String(parsed.facts.outputText));
          expect(read.finished).toBe(parsed.finished);
        }
      }),
      { numRuns: 1500 },
    );
  });
});

test('only the first of a run is parsed, and a protocol whose events are numbered is not learnt for ever', () => {
  const parse = vi.spyOn(JSON, 'parse');
  const lengths = () => parse.mock.calls.splice(0).map(([text]) => text.length);
  const read = readerOf('openai-chat');
  const [data] = chat([delta('one')]);
  read.event(data, undefined);
  lengths();
  for (const word of ['two', 'three', 'fo"ur'])
    read.event(data.replace('one', JSON.stringify(word).slice(1, -1)), undefined);
  expect(Math.max(...lengths())).toBeLessThan(10);
  expect(read.facts.outputChars).toBe('onetwothreefo"ur'.length);

  for (let number = 0; number < 10; number++) read.event(chat([delta('x')], { number })[0], undefined);
  lengths();
  read.event(chat([delta('x')], { number: 10 })[0], undefined);
  expect(lengths()).toHaveLength(1);
  parse.mockRestore();
});
