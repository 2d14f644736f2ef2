/**
 * Words that say, wherever they stand in a body as a name or a value of their own, that a feature may be used. They are
 * found in the pass that scans the body (json.ts): to search megabytes of source code for each of them in turn takes
 * longer than to parse them.
 */
import { Words } from './words.ts';

const signs = [
  // What a prompt cache is told.
  'cache_control',
  '1h',
  // Images, sound and files, under the names of each protocol.
  'image',
  'image_url',
  'input_image',
  'computer_screenshot',
  'image_generation_call',
  'audio',
  'input_audio',
  'audio_url',
  'video',
  'video_url',
  'input_video',
  'document_url',
  'reasoning',
  'file',
  'input_file',
  'item_reference',
  'document',
  'container_upload',
  'fileData',
  'file_data',
  'inlineData',
  'inline_data',
  'uri',
  'data',
  // Tools that stand in the input.
  'additional_tools',
  // What answers count.
  'provider_metadata',
  'executed_tools',
  'web_search_call',
  'file_search_call',
  'code_interpreter_call',
  'x_search_call',
] as const;

export type Sign = (typeof signs)[number];

const known = new Words<Sign>(signs);

/** The longest of them, each of its characters written as an escape of six. */
const LONGEST_ESCAPED = known.longest * 6;

const BACKSLASH = 0x5c;

/** Takes note of the string that lies in `bytes` between its quotes, where it is one of the signs. */
export function noteSign(found: Set<Sign>, bytes: Buffer, start: number, end: number): void {
  const length = end - start;
  if (length > LONGEST_ESCAPED) return;
  const sign = known.find(bytes, start, end);
  if (sign !== null) found.add(sign);
  // `"cache\u005fcontrol"` means the same to the provider.
  for (let at = start; at < end; at++)
    if (bytes[at] === BACKSLASH) return noteEscaped(found, bytes, start, end);
}

function noteEscaped(found: Set<Sign>, bytes: Buffer, start: number, end: number): void {
  const plain = bytes
    .toString('latin1', start, end)
    .replace(/\\u([0-9a-f]{4})/gi, (_escape, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const meant = Buffer.from(plain);
  const sign = known.find(meant, 0, meant.length);
  if (sign !== null) found.add(sign);
}
