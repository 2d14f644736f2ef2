/**
 * Draws the tray's icons: `node electron/icons/draw.ts`, then look at them. Written here rather than with a drawing
 * program, because sixteen pixels ask for edges that lie on the pixel grid, and eight states of one picture for the same.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32, deflateSync } from 'node:zlib';

/** In units of a picture that is 16 wide, whatever its size in pixels. */
type Inside = (x: number, y: number) => boolean;
type Colour = readonly [red: number, green: number, blue: number];
/** `null` takes away what lies below, which leaves a gap round a badge. */
interface Stroke {
  inside: Inside;
  colour: Colour | null;
}

const rounded =
  (left: number, top: number, right: number, bottom: number, radius: number): Inside =>
  (x, y) => {
    const dx = Math.max(left + radius - x, x - (right - radius), 0);
    const dy = Math.max(top + radius - y, y - (bottom - radius), 0);
    return x >= left && x <= right && y >= top && y <= bottom && dx * dx + dy * dy <= radius * radius;
  };
const disc = (cx: number, cy: number, radius: number) =>
  rounded(cx - radius, cy - radius, cx + radius, cy + radius, radius);
const bar = (left: number, top: number, right: number, bottom: number) =>
  rounded(left, top, right, bottom, Math.min(right - left, bottom - top) / 2);

const hex = (text: string): Colour => [
  Number.parseInt(text.slice(1, 3), 16),
  Number.parseInt(text.slice(3, 5), 16),
  Number.parseInt(text.slice(5, 7), 16),
];

const tile = rounded(0, 0, 16, 16, 4);
const posts = [bar(3, 3, 5, 13), bar(11, 3, 13, 13)];
/** Open as in the app's own icon; closed where nothing passes any more. */
const openBar = bar(3, 7, 9, 9);
const closedBar = bar(3, 6.5, 13, 9.5);
const pauseSign = [bar(5, 4, 7, 12), bar(9, 4, 11, 12)];

function coloured(
  ground: string,
  post: string,
  front: readonly Inside[],
  badge: Stroke[] = [],
): readonly Stroke[] {
  const white = hex('#ffffff');
  return [
    { inside: tile, colour: hex(ground) },
    ...(post === '' ? [] : posts.map((inside) => ({ inside, colour: hex(post) }))),
    ...front.map((inside) => ({ inside, colour: white })),
    ...badge,
  ];
}

/** States differ in shape as well as in colour: not everyone tells red from blue, and a menu bar has no colour at all. */
const colouredIcons = {
  ok: coloured('#364fc7', '#bac8ff', [openBar]),
  near: coloured(
    '#364fc7',
    '#bac8ff',
    [openBar],
    [
      { inside: disc(12, 4, 5), colour: null },
      { inside: disc(12, 4, 4), colour: hex('#fab005') },
    ],
  ),
  reached: coloured('#e03131', '#ffc9c9', [closedBar]),
  paused: coloured('#5f6673', '', pauseSign),
} as const satisfies Record<string, readonly Stroke[]>;

const black = hex('#000000');
const solid = (...shapes: Inside[]): Stroke[] => shapes.map((inside) => ({ inside, colour: black }));
const widePosts = [bar(2, 2, 4, 14), bar(12, 2, 14, 14)];
/** Black and clear only: macOS takes the shape and gives it the colour of the menu bar. */
const templateIcons = {
  ok: solid(...widePosts, bar(2, 7, 9, 9)),
  near: [
    ...solid(...widePosts, bar(2, 7, 9, 9)),
    { inside: disc(12.5, 3.5, 4.5), colour: null },
    ...solid(disc(12.5, 3.5, 3)),
  ],
  reached: solid(...widePosts, bar(2, 6, 14, 10)),
  paused: [
    ...solid(rounded(1, 1, 15, 15, 4)),
    { inside: pauseSign[0] ?? tile, colour: null },
    { inside: pauseSign[1] ?? tile, colour: null },
  ],
} as const satisfies Record<keyof typeof colouredIcons, readonly Stroke[]>;

/** Samples a pixel, per axis. */
const SAMPLES = 8;

/** RGBA, one row after the other. */
function paint(strokes: readonly Stroke[], size: number): Buffer {
  const pixels = Buffer.alloc(size * size * 4);
  const unit = 16 / (size * SAMPLES);
  for (let index = 0; index < size * size; index += 1) {
    const sum = [0, 0, 0];
    let covered = 0;
    for (let sample = 0; sample < SAMPLES * SAMPLES; sample += 1) {
      const x = ((index % size) * SAMPLES + (sample % SAMPLES) + 0.5) * unit;
      const y = (Math.floor(index / size) * SAMPLES + Math.floor(sample / SAMPLES) + 0.5) * unit;
      const colour = strokes.findLast(({ inside }) => inside(x, y))?.colour;
      if (!colour) continue;
      covered += 1;
      for (const [channel, value] of colour.entries()) sum[channel] = (sum[channel] ?? 0) + value;
    }
    if (covered === 0) continue;
    for (const [channel, value] of sum.entries()) pixels[index * 4 + channel] = Math.round(value / covered);
    pixels[index * 4 + 3] = Math.round((covered / SAMPLES ** 2) * 255);
  }
  return pixels;
}

/** PNG, second edition (ISO/IEC 15948): 8 bits of red, green, blue and alpha, no filter. */
function png(pixels: Buffer, size: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 6, 0, 0, 0], 8);
  const rows = Array.from({ length: size }, (_, row) =>
    Buffer.concat([Buffer.from([0]), pixels.subarray(row * size * 4, (row + 1) * size * 4)]),
  );
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows), { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, check]);
}

/** File names with their contents. macOS knows a template by the end of its name, and finds `@2x` beside it. */
export function drawTrayIcons(): Map<string, Buffer> {
  const drawn = new Map<string, Buffer>();
  for (const [suffix, icons] of [
    ['', colouredIcons],
    ['Template', templateIcons],
  ] as const) {
    for (const [state, strokes] of Object.entries(icons)) {
      drawn.set(`tray-${state}${suffix}.png`, png(paint(strokes, 16), 16));
      drawn.set(`tray-${state}${suffix}@2x.png`, png(paint(strokes, 32), 32));
    }
  }
  return drawn;
}

if (import.meta.main) {
  for (const [name, bytes] of drawTrayIcons()) writeFileSync(path.join(import.meta.dirname, name), bytes);
}
