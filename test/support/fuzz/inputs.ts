/** What the inputs are made of: values, texts and bytes that are nearly right, since those get furthest in. */
import fc from 'fast-check';
import { anyCharacter } from '../characters.ts';

const hostileNames = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '',
  '\u0000',
  '\ud800',
];
const fieldNames =
  'model messages input contents max_tokens max_completion_tokens max_output_tokens stream stream_options include_usage n tools type content text role usage prompt_tokens completion_tokens input_tokens output_tokens total_tokens cost cost_details prompt_tokens_details cached_tokens usageMetadata promptTokenCount candidatesTokenCount thoughtsTokenCount modelVersion candidates parts choices delta message response output cache_creation_input_tokens server_tool_use iterations service_tier system thinking budget_tokens generationConfig maxOutputTokens source data url image_url data: web_search_requests error id'.split(
    ' ',
  );
const aName = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...fieldNames) },
  { weight: 1, arbitrary: fc.constantFrom(...hostileNames) },
);
const aLongRun = fc
  .tuple(
    fc.constantFrom('a', ' ', '"', '\\', '[', '{', '\n', '#', '=', '.', '0', '-', '\t', '%'),
    fc.nat(5_000),
  )
  .map(([piece, times]) => piece.repeat(times));
export const aText = fc.oneof(
  fc.string({ unit: anyCharacter, maxLength: 40 }),
  fc.constantFrom(
    'acme',
    'true',
    'text/event-stream',
    'web_search',
    'high',
    'priority',
    'data:image/png;base64,AAAA',
  ),
  fc.constantFrom(...hostileNames),
);
const aNumber = fc.oneof(
  fc.constantFrom(-1, 0, -0, 0.5, 1, 7, 1e6, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e21, 1e308, -1e308, 5e-324),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
export const aValue = fc.letrec<{ value: unknown; object: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    aNumber,
    aText,
    fc.constantFrom(true, false, null),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('object'),
  ),
  object: fc.dictionary(aName, tie('value'), { maxKeys: 6 }),
}));
export const anObject = aValue.object;

/** A text with pieces taken out, doubled, or put in. */
export const mutated = (texts: fc.Arbitrary<string>) =>
  fc
    .tuple(
      texts,
      fc.array(
        fc.tuple(
          fc.nat(),
          fc.nat(12),
          fc.oneof(aText, aLongRun, fc.constantFrom('"', '}', ']', ',', ':', '\n', '\r')),
        ),
        { maxLength: 4 },
      ),
    )
    .map(([text, changes]) =>
      changes.reduce((now, [place, length, put]) => {
        const at = now.length === 0 ? 0 : place % now.length;
        return now.slice(0, at) + put + now.slice(at + length);
      }, text),
    );
export const nearJson = fc.oneof(
  anObject.map((value) => JSON.stringify(value)),
  mutated(anObject.map((value) => JSON.stringify(value))),
);
