/**
 * What images and sound cost in tokens at the most, by the providers' published formulas. Base64 is many bytes and few
 * tokens: counted as text, a screenshot would cost a context window.
 */

/** Pixels. */
export interface ImageSize {
  width: number;
  height: number;
}

/** Enough for the headers of a photo: colour profiles and a preview lie before the size in a JPEG. */
const HEADER_CHARS = [64, 16_384, 1_048_576] as const;

/** The size of an image in base64 or a data URL, from its header alone; null where that cannot be read. */
export function imageSize(encoded: string): ImageSize | null {
  const start = encoded.startsWith('data:') ? encoded.indexOf(',') + 1 : 0;
  for (const length of HEADER_CHARS) {
    const found = sizeInHeader(Buffer.from(encoded.slice(start, start + length), 'base64'));
    if (found !== 'later') return found;
    if (encoded.length <= start + length) break;
  }
  return null;
}

/** `later`: the part of the file that says the size lies further on. */
function sizeInHeader(bytes: Buffer): ImageSize | 'later' | null {
  if (bytes.length < 30) return null;
  const text = (from: number, to: number) => bytes.toString('latin1', from, to);
  // PNG, section 11.2.2: the header chunk comes first.
  if (text(1, 4) === 'PNG') return size(bytes.readUInt32BE(16), bytes.readUInt32BE(20));
  if (text(0, 3) === 'GIF') return size(bytes.readUInt16LE(6), bytes.readUInt16LE(8));
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP') return webpSize(bytes, text(12, 16));
  return bytes[0] === 0xff && bytes[1] === 0xd8 ? jpegSize(bytes) : null;
}

/** RFC 9649: lossy, lossless and extended files keep the size in different places. */
function webpSize(bytes: Buffer, chunk: string): ImageSize | null {
  if (chunk === 'VP8 ') return size(bytes.readUInt16LE(26) & 0x3fff, bytes.readUInt16LE(28) & 0x3fff);
  if (chunk === 'VP8X') return size(bytes.readUIntLE(24, 3) + 1, bytes.readUIntLE(27, 3) + 1);
  if (chunk !== 'VP8L') return null;
  const bits = bytes.readUInt32LE(21);
  return size((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
}

/** ITU T.81, annex B: segments of a marker and a length; a frame header says the size. */
function jpegSize(bytes: Buffer): ImageSize | 'later' | null {
  let at = 2;
  while (at + 9 < bytes.length) {
    if (bytes[at] !== 0xff) return null;
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) {
      at++;
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return size(bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5));
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return 'later';
}

function size(width: number, height: number): ImageSize | null {
  return width > 0 && height > 0 ? { width, height } : null;
}

const grid = ({ width, height }: ImageSize, unit: number) =>
  Math.ceil(width / unit) * Math.ceil(height / unit);

/** `guides/images-vision`, "Calculating costs"; models of other makers behind the same protocol by the dearest known. */
export function openaiImageTokens(model: string | null, image: ImageSize | null): number {
  const name = model?.slice(model.lastIndexOf('/') + 1) ?? '';
  if (name.startsWith('gpt-4o-mini')) return 2_833 + 5_667 * tiles(image);
  if (/^(gpt-4o|chatgpt-4o|gpt-4\.1(?!-(mini|nano))|gpt-4\.5|gpt-4-|o1|o3)/.test(name))
    return 85 + 170 * tiles(image);
  // Patches of 32 pixels, 10,000 at detail `original`, times 2.46 at the dearest model; older ones count tiles.
  if (/^(gpt-|o4|codex|chat-latest|computer-use)/.test(name))
    return Math.max(1_445, Math.ceil(2.46 * Math.min(10_000, image ? grid(image, 32) : Infinity)));
  // Patches of 14 pixels, up to 16,384 of them (Qwen-VL); others take a fixed number for any image (Gemma, InternVL).
  return Math.min(16_384, Math.max(4_096, image ? grid(image, 14) : Infinity));
}

/** Tiles of 512 pixels in an image that was fitted into 2,048 by 768; at most eight. */
function tiles(image: ImageSize | null): number {
  if (image === null) return 8;
  const long = Math.max(image.width, image.height);
  const short = Math.min(image.width, image.height);
  // Scaled up too: the page does not say that small images stay as they are.
  const scale = Math.min(768 / short, 2_048 / long);
  return Math.ceil((long * scale) / 512) * Math.ceil((short * scale) / 512);
}

/** Patches of 28 pixels, 4,784 at the highest native resolution (build-with-claude/vision); area / 750 in older words. */
export function anthropicImageTokens(image: ImageSize | null): number {
  const most = 5_000;
  return image === null ? most : Math.min(most, Math.ceil((grid(image, 28) * 784) / 750) + 8);
}

/** Tiles of 258 tokens (docs/tokens, "Multimodal tokens"); Gemini 3 has a fixed number, 2,240 at the most. */
export function geminiImageTokens(image: ImageSize | null): number {
  const fixed = 2_304;
  if (image === null) return 10_000;
  const unit = Math.min(768, Math.max(256, Math.floor(Math.min(image.width, image.height) / 1.5)));
  return Math.max(fixed, 258 * grid(image, unit));
}

/**
 * Sound in base64: 32 tokens a second at the dearest (Gemini), of a stream of 1.5 kbit/s at the least, below every
 * codec of speech. Lossless files shrink without bound where nothing is heard, so their bytes count.
 */
export function soundTokens(encodedLength: number, format: string): number {
  return /flac|lossless|alac/i.test(format) ? encodedLength : Math.ceil(encodedLength / 8) + 64;
}
