/** What images and sound cost: by their size and the published formulas, not by their base64. */
import { describe, expect, test } from 'vitest';
import type { DialectId } from '#shared/model.ts';
import {
  anthropicImageTokens,
  geminiImageTokens,
  imageSize,
  openaiImageTokens,
} from '../../../electron/gateway/dialects/media.ts';
import { inputBound } from '../../support/bounds.ts';

/** A PNG of this size, as far as its header goes, in so many bytes. */
function png(width: number, height: number, length = 64): string {
  const image = Buffer.alloc(Math.max(length, 64));
  Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1').copy(image);
  image.writeUInt32BE(width, 16);
  image.writeUInt32BE(height, 20);
  return image.toString('base64');
}

/** A JPEG whose size lies behind `before` bytes of other segments. */
function jpeg(width: number, height: number, before: number): string {
  const segments = Array.from({ length: Math.ceil(before / 60_000) }, () => {
    const segment = Buffer.alloc(60_002);
    segment.writeUInt16BE(0xffe2);
    segment.writeUInt16BE(60_000, 2);
    return segment;
  });
  const frame = Buffer.alloc(64);
  frame.writeUInt16BE(0xffc2);
  frame.writeUInt16BE(17, 2);
  frame.writeUInt16BE(height, 5);
  frame.writeUInt16BE(width, 7);
  return Buffer.concat([Buffer.from([0xff, 0xd8]), ...segments, frame]).toString('base64');
}

function bytes(hex: string): string {
  return Buffer.concat([Buffer.from(hex, 'hex'), Buffer.alloc(64)]).toString('base64');
}

describe('the size of an image', () => {
  test.each([
    ['a PNG', png(1920, 1080)],
    ['a PNG in a data URL', `data:image/png;base64,${png(1920, 1080)}`],
    ['a GIF', bytes('47494638396180073804')],
    ['a lossy WebP', bytes(`52494646000000005745425056503820${'00'.repeat(7)}9d012a80073804`)],
    ['an extended WebP', bytes('5249464600000000574542505650385800000000000000007f0700370400')],
    ['a lossless WebP', bytes('52494646000000005745425056503 84c000000002f7fc70d01'.replaceAll(' ', ''))],
    ['a JPEG', jpeg(1920, 1080, 0)],
    ['a JPEG behind its colour profile', jpeg(1920, 1080, 400_000)],
  ])('is read from the header of %s', (_, image) => {
    expect(imageSize(image)).toEqual({ width: 1920, height: 1080 });
  });

  test.each([
    ['nothing', ''],
    ['too little', 'AAAA'],
    ['no image', Buffer.alloc(100, 'x').toString('base64')],
    ['an image of no size', png(0, 5)],
    [
      'a JPEG cut off before its size',
      Buffer.from([0xff, 0xd8, 0xff, 0xe2, 0xff, 0xff, ...Array<number>(60).fill(0)]).toString('base64'),
    ],
  ])('is unknown for %s', (_, image) => {
    expect(imageSize(image)).toBeNull();
  });
});

const screen = { width: 1920, height: 1080 };

test('images cost what the formulas of the providers say, and the most there is where the size is unknown', () => {
  // 1365 × 768 in tiles of 512: three by two.
  expect(openaiImageTokens('gpt-4o', screen)).toBe(85 + 170 * 6);
  expect(openaiImageTokens('gpt-4o-mini', screen)).toBe(2_833 + 5_667 * 6);
  // 60 × 34 patches at the dearest multiplier.
  expect(openaiImageTokens('gpt-5.5', screen)).toBe(Math.ceil(2_040 * 2.46));
  expect(openaiImageTokens('gpt-4o', null)).toBe(1_445);
  expect(openaiImageTokens('some-vision-model', null)).toBe(16_384);
  expect(anthropicImageTokens(screen)).toBe(Math.ceil((69 * 39 * 784) / 750) + 8);
  expect(anthropicImageTokens({ width: 8_000, height: 8_000 })).toBe(5_000);
  expect(geminiImageTokens({ width: 300, height: 300 })).toBe(2_304);
  expect(geminiImageTokens({ width: 4_000, height: 3_000 })).toBe(258 * 6 * 4);
});

const shot = png(1920, 1080, 5_000_000);
const requests: readonly [name: string, dialect: DialectId, body: object][] = [
  [
    'chat',
    'openai-chat',
    {
      model: 'gpt-5.5',
      messages: [
        {
          role: 'user',
          content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${shot}` } }],
        },
      ],
    },
  ],
  [
    'the result of a tool in Responses',
    'openai-responses',
    {
      model: 'gpt-5.5',
      input: [
        {
          type: 'function_call_output',
          call_id: 'c',
          output: [{ type: 'input_image', image_url: `data:image/png;base64,${shot}` }],
        },
      ],
    },
  ],
  [
    'the result of a tool in Messages',
    'anthropic-messages',
    {
      model: 'claude-opus-5',
      messages: [
        {
          role: 'user',
          content: [
            {
              type: 'tool_result',
              tool_use_id: 't',
              content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: shot } }],
            },
          ],
        },
      ],
    },
  ],
  ['Gemini', 'gemini', { contents: [{ parts: [{ inlineData: { mimeType: 'image/png', data: shot } }] }] }],
];

test.each(requests)(
  'a screenshot of five megabytes costs thousands of tokens, not millions: %s',
  (_, dialect, body) => {
    expect(inputBound(dialect, Buffer.from(JSON.stringify(body)))).toBeLessThan(10_000);
  },
);

test.each([
  [
    'openai-chat',
    {
      model: 'gpt-5.5',
      messages: [
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ arguments: { type: 'image_url', image_url: { url: shot } } }],
        },
      ],
    },
  ],
  [
    'anthropic-messages',
    {
      model: 'claude-opus-5',
      messages: [
        {
          role: 'assistant',
          content: [
            {
              type: 'tool_use',
              id: 't',
              name: 'f',
              input: { content: [{ type: 'image', source: { type: 'base64', data: shot } }] },
            },
          ],
        },
      ],
    },
  ],
  [
    'gemini',
    {
      contents: [
        {
          parts: [
            { functionCall: { name: 'f', args: { inlineData: { mimeType: 'image/png', data: shot } } } },
          ],
        },
      ],
    },
  ],
] as const)('what looks like an image in the arguments of a tool is text: %s', (dialect, body) => {
  // No more than a window holds, though the text is longer.
  expect(inputBound(dialect, Buffer.from(JSON.stringify(body)))).toBeGreaterThanOrEqual(1_000_000);
});
