/** The tray's icons are what their script draws, so that neither is changed without the other. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { drawTrayIcons } from '../../electron/icons/draw.ts';

const folder = path.resolve(import.meta.dirname, '..', '..', 'electron', 'icons');

/** The pixels: how well they were packed depends on the zlib of the day. */
const pixelsOf = (png: Buffer) => {
  const start = png.indexOf('IDAT') + 4;
  return inflateSync(png.subarray(start, start + png.readUInt32BE(start - 8)));
};

test('every state has an icon for each kind of tray, as it is drawn, and none are alike', () => {
  const drawn = drawTrayIcons();
  expect([...drawn.keys()].toSorted()).toEqual(
    readdirSync(folder)
      .filter((name) => name.startsWith('tray-'))
      .toSorted(),
  );
  const pictures = new Set<string>();
  for (const [name, bytes] of drawn) {
    const pixels = pixelsOf(readFileSync(path.join(folder, name)));
    expect(pixels.equals(pixelsOf(bytes)), name).toBe(true);
    pictures.add(pixels.toString('base64'));
  }
  expect(pictures.size).toBe(16);
});
