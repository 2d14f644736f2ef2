/** Helpers of the dialects' tests: bodies and answers as values. */
import type { DialectId } from '#shared/model.ts';
import { applyEdits, scanObject, type JsonObject } from '../../../electron/gateway/base/json.ts';
import {
  noUsage,
  type AnswerReader,
  type ReaderOptions,
  type TokenUsage,
} from '../../../electron/gateway/dialects/dialect.ts';
import type { RequestChange } from '../../../electron/gateway/dialects/dialect.ts';
import { dialects } from '../../../electron/gateway/dialects/index.ts';

export function fieldsOf(value: unknown): JsonObject {
  const fields = scanObject(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
  if (fields === null) throw new Error('not a JSON object');
  return fields;
}

export function readerOf(id: DialectId, options: Partial<ReaderOptions> = {}): AnswerReader {
  return dialects[id].reader({ hideUsage: false, vendor: 'openai-compatible', ...options });
}

/** Feeds events, given as values or as text, and returns the reader. */
export function stream(id: DialectId, events: unknown[], options: Partial<ReaderOptions> = {}): AnswerReader {
  const reader = readerOf(id, options);
  for (const event of events)
    reader.event(typeof event === 'string' ? event : JSON.stringify(event), undefined);
  return reader;
}

export function whole(id: DialectId, answer: unknown, options: Partial<ReaderOptions> = {}): AnswerReader {
  const reader = readerOf(id, options);
  reader.answer(fieldsOf(answer));
  return reader;
}

/** Usage in full: what is not named is 0. */
export function usage(counts: Partial<TokenUsage>): TokenUsage {
  return { ...noUsage, ...counts };
}

/** What a request of this body asks for; the path is Gemini's. */
export function asked(id: DialectId, body: unknown, path = { model: null as string | null, stream: false }) {
  return dialects[id].read(fieldsOf(body), path);
}

/** The body after the edits, as text. */
export function edited(id: DialectId, body: string, change: RequestChange): string {
  const fields = fieldsOf(body);
  return applyEdits(fields.bytes, dialects[id].edits(fields, change)).toString();
}
