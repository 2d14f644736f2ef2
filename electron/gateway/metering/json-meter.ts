/** JSON answers: one object, or the elements of a streamed array (or of lines) as they come. */
import { scanObject } from '../base/json.ts';
import type { AnswerReader } from '../dialects/dialect.ts';
import { join, MAX_EVENT, nothing, type EndingCode, type Meter } from './framing.ts';

/** A streamed array, taken apart into its elements by counting brackets outside of strings. */
export class ArrayMeter implements Meter {
  readonly framing = 'json-array';
  complete = false;
  readonly #reader: AnswerReader;
  #depth = 0;
  #opened = false;
  #inString = false;
  #escaped = false;
  /** What stands last between the elements, which decides how an ending has to begin. */
  #last: 'nothing' | 'bracket' | 'element' | 'comma' = 'nothing';
  #element: Buffer[] = [];
  #elementLength = 0;
  #elements = 0;

  constructor(reader: AnswerReader) {
    this.#reader = reader;
  }

  get midEvent(): boolean {
    return this.#depth > 0;
  }

  push(chunk: Buffer): Buffer {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === 0x5c) this.#escaped = true;
        else if (byte === 0x22) this.#inString = false;
      } else if (this.#depth > 0) {
        if (byte === 0x22) this.#inString = true;
        else if (byte === 0x7b || byte === 0x5b) this.#depth++;
        else if ((byte === 0x7d || byte === 0x5d) && --this.#depth === 0)
          this.#close(chunk.subarray(start, at + 1));
      } else if (byte === 0x7b) {
        this.#depth = 1;
        start = at;
      } else if (byte === 0x5b) {
        this.#opened = true;
        this.#last = 'bracket';
      } else if (byte === 0x2c) {
        this.#last = 'comma';
      } else if (byte === 0x5d && this.#opened) {
        this.complete = true;
      }
    }
    if (this.#depth > 0) this.#collect(chunk.subarray(start));
    return chunk;
  }

  end(): Buffer {
    // An object that stands alone, in no array, is how a refusal comes, whatever is in it.
    const alone = !this.#opened && this.#elements === 1;
    this.complete ||= this.#depth === 0 && (this.#reader.finished || alone);
    return nothing;
  }

  ending(message: string, code: EndingCode): Buffer {
    if (this.complete || this.midEvent) return nothing;
    const ending = this.#reader.ending(message, code).replace(/^[[,]/, '');
    const lead = { nothing: '[', bracket: '', element: ',', comma: '' }[this.#last];
    return Buffer.from(lead + ending);
  }

  #collect(bytes: Buffer): void {
    this.#elementLength += bytes.length;
    if (this.#elementLength > MAX_EVENT) this.#element = [];
    else this.#element.push(bytes);
  }

  #close(bytes: Buffer): void {
    this.#collect(bytes);
    this.#last = 'element';
    this.#elements += 1;
    if (this.#elementLength <= MAX_EVENT) {
      const verdict = this.#reader.event(join(this.#element).toString('utf8'), undefined);
      if (verdict === 'last') this.complete = true;
    }
    this.#element = [];
    this.#elementLength = 0;
  }
}

/** The longest JSON answer that is read; the usage of a longer one is unknown. */
const MAX_OBJECT = 128 * 1024 * 1024;

/** One JSON answer. Its last bytes wait for `end`, so that no client has the whole of it before its cost is known. */
export class ObjectMeter implements Meter {
  readonly framing = 'json';
  complete = false;
  readonly midEvent = true;
  readonly #reader: AnswerReader;
  #seen: Buffer[] = [];
  #seenLength = 0;
  /** The first byte is that of an object. */
  #begun = false;
  #waiting = nothing;

  constructor(reader: AnswerReader) {
    this.#reader = reader;
  }

  push(chunk: Buffer): Buffer {
    if (chunk.length === 0) return nothing;
    if (this.#seenLength === 0) this.#begun = chunk[0] === 0x7b;
    this.#seenLength += chunk.length;
    if (this.#seenLength > MAX_OBJECT) this.#seen = [];
    else this.#seen.push(chunk);
    const out = this.#waiting;
    this.#waiting = chunk;
    return out;
  }

  end(): Buffer {
    const fields = this.#seenLength > MAX_OBJECT ? null : scanObject(join(this.#seen));
    if (fields !== null) {
      this.#reader.answer(fields);
      this.complete = true;
    } else if (this.#begun) {
      // Half an object: its length is all that is known of what was generated.
      this.#reader.facts.outputChars = this.#seenLength;
    }
    this.#seen = [];
    const out = this.#waiting;
    this.#waiting = nothing;
    return out;
  }

  ending(): Buffer {
    return nothing;
  }
}
