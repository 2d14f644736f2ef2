/** What a meter is, and how an answer is cut into pieces; the meters of each form are built on it. */
import type { AnswerReader } from '../dialects/dialect.ts';

/** How an answer is cut into pieces: server-sent events, one streamed JSON array, one JSON object, or not at all. */
export type Framing = 'sse' | 'json-array' | 'json' | 'opaque';

export type EndingCode = Parameters<AnswerReader['ending']>[1];

export interface Meter {
  readonly framing: Framing;
  /** Reads the upstream's next bytes and returns those to send on now: in order, unchanged, possibly none. */
  push(chunk: Buffer): Buffer;
  /** The upstream has closed: reads what was left, returns what was held back. */
  end(): Buffer;
  /**
   * The answer is whole and its cost known as far as it will be. Known before the bytes that say so are returned, so
   * that the cost can be committed before the client has them; at the latest after `end`.
   */
  readonly complete: boolean;
  /** The bytes returned so far stop inside an event or an element. */
  readonly midEvent: boolean;
  /** The bytes that end the answer properly in place of the rest; empty where no proper end can follow what was sent. */
  ending(message: string, code: EndingCode): Buffer;
}

/** The longest event or element that is read, in characters: above what providers send, images included. */
export const MAX_EVENT = 64 * 1024 * 1024;

export const nothing: Buffer = Buffer.alloc(0);

export function join(pieces: Buffer[]): Buffer {
  const [first, ...others] = pieces;
  return first === undefined ? nothing : others.length === 0 ? first : Buffer.concat(pieces);
}

/** What is known of an answer before its first byte. */
export interface Expected {
  /** The header, in lower case; empty where there is none. */
  contentType: string;
  /** The client asked for a stream. */
  stream: boolean;
  /** A stream of this request is a JSON array and not events (Gemini). */
  jsonArray: boolean;
}

const EVENT_FIELD = /^(?:data|event|id|retry)?:/;

/**
 * How the bytes that begin with `start` (no white space before it) are cut: by what they are rather than by what the
 * header says, for servers send events as text/plain and errors as text/event-stream. null where it takes more bytes
 * to tell.
 */
export function framingOf(start: string, { contentType, stream, jsonArray }: Expected): Framing | null {
  if (start.startsWith('{')) return jsonArray || isLines(contentType) ? 'json-array' : 'json';
  if (start.startsWith('[')) return stream ? 'json-array' : 'json';
  if (contentType.includes('text/event-stream') || EVENT_FIELD.test(start)) return 'sse';
  if (start.length < 'event:'.length && /^[a-z]*$/.test(start)) return null;
  return contentType.includes('json') ? 'json' : 'opaque';
}

/** What an answer without a byte would have been. */
export function framingOfNothing({ contentType, stream, jsonArray }: Expected): Framing {
  if (contentType.includes('text/event-stream')) return 'sse';
  if (jsonArray) return 'json-array';
  return stream && !contentType.includes('json') ? 'sse' : 'json';
}

function isLines(contentType: string): boolean {
  return /ndjson|jsonl|json-lines/.test(contentType);
}
