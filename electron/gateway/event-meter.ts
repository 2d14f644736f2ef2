/** Server-sent events: read on the side while their bytes pass, or held event by event so that one can be left out. */
import { StringDecoder } from 'node:string_decoder';
import { createParser, type EventSourceParser } from 'eventsource-parser';
import type { AnswerReader } from './dialects/dialect.ts';
import { join, MAX_EVENT, nothing, type EndingCode, type Meter } from './framing.ts';

const LF = 0x0a;
const CR = 0x0d;

/** Turns the bytes of a stream into events for the reader, and remembers what the reader said of the last ones. */
class EventTap {
  complete = false;
  /** One of the events since this was last set to false is to be hidden. */
  hide = false;
  readonly #reader: AnswerReader;
  /** For what comes in pieces or in a rare form: many streams never need it, and it is most of what a tap takes. */
  #parsing: { decoder: StringDecoder; parser: EventSourceParser } | undefined;
  /** Nothing of an event is waiting for more. */
  #between = true;
  #begun = false;
  #overflown = false;

  constructor(reader: AnswerReader) {
    this.#reader = reader;
  }

  read(bytes: Buffer): void {
    if (this.readOne(bytes)) return;
    const { decoder } = (this.#parsing ??= this.#createParsing());
    this.#feed(decoder.write(bytes));
    this.#between = endsInBlankLine(bytes);
  }

  /** Reads these bytes where they are exactly one event in its usual form, as most chunks are; false where they are not. */
  readOne(bytes: Buffer): boolean {
    const event = this.#between ? oneEvent(bytes) : null;
    if (event === null) return false;
    this.#begun = true;
    this.#event(event.data, event.type);
    return true;
  }

  /** Reads a last event that no blank line ends. */
  end(): void {
    if (this.#parsing !== undefined) this.#feed(`${this.#parsing.decoder.end()}\n\n`);
    this.complete ||= this.#reader.finished;
  }

  #event(data: string, type: string | undefined): void {
    const verdict = this.#reader.event(data, type);
    if (verdict === 'last') this.complete = true;
    else if (verdict === 'hide') this.hide = true;
  }

  #createParsing(): { decoder: StringDecoder; parser: EventSourceParser } {
    const parser = createParser({
      maxBufferSize: MAX_EVENT,
      onEvent: ({ data, event }) => this.#event(data, event),
      onError: (error) => {
        this.#overflown ||= error.type === 'max-buffer-size-exceeded';
      },
    });
    // A byte order mark is one at the start alone.
    if (this.#begun) parser.feed('\n');
    return { decoder: new StringDecoder('utf8'), parser };
  }

  #feed(text: string): void {
    const parser = this.#parsing?.parser;
    parser?.feed(text);
    // What is left of the line that was too long is no field, and the parser passes over it.
    if (this.#overflown) parser?.reset();
    this.#overflown = false;
  }
}

function endsInBlankLine(bytes: Buffer): boolean {
  const { length } = bytes;
  return length > 1 && bytes[length - 1] === LF && bytes[length - 2] === LF;
}

/** An event of one data line, with or without its name before it; null where these bytes are anything else. */
function oneEvent(bytes: Buffer): { data: string; type: string | undefined } | null {
  if (!endsInBlankLine(bytes)) return null;
  const text = bytes.toString('utf8');
  const end = text.length - 2;
  let type: string | undefined;
  let at = 0;
  if (text.startsWith('event:')) {
    at = text.indexOf('\n') + 1;
    type = valueOf(text, 'event:'.length, at - 1) || undefined;
  }
  if (!text.startsWith('data:', at) || text.indexOf('\n', at) !== end || text.includes('\r')) return null;
  return { data: valueOf(text, at + 'data:'.length, end), type };
}

/** Without the one space that may stand before it (HTML standard, section 9.2.6). */
function valueOf(text: string, start: number, end: number): string {
  return text.slice(text.charCodeAt(start) === 0x20 ? start + 1 : start, end);
}

/** The last bytes that were passed on, to tell whether an event has ended. */
class SentTail {
  /** Four of them, the last one lowest. What begins stands where a blank line ends. */
  #tail = 0x0a0a0a0a;

  add(bytes: Buffer): Buffer {
    const { length } = bytes;
    for (let at = Math.max(0, length - 4); at < length; at++)
      this.#tail = (this.#tail << 8) | (bytes[at] ?? 0);
    return bytes;
  }

  get insideEvent(): boolean {
    const tail = this.#tail;
    const text = String.fromCharCode(tail >>> 24, (tail >>> 16) & 0xff, (tail >>> 8) & 0xff, tail & 0xff);
    return !text.replaceAll(/\r\n?/g, '\n').endsWith('\n\n');
  }
}

/** An event that was cut off becomes one that clients pass over, as far as its protocol has such. */
const afterCutEvent = '\nevent: ping\n\n';

export class EventMeter implements Meter {
  readonly framing = 'sse';
  readonly #reader: AnswerReader;
  readonly #tap: EventTap;
  readonly #sent = new SentTail();

  constructor(reader: AnswerReader) {
    this.#reader = reader;
    this.#tap = new EventTap(reader);
  }

  get complete(): boolean {
    return this.#tap.complete;
  }

  get midEvent(): boolean {
    return this.#sent.insideEvent;
  }

  push(chunk: Buffer): Buffer {
    this.#tap.read(chunk);
    return this.#sent.add(chunk);
  }

  end(): Buffer {
    this.#tap.end();
    return nothing;
  }

  ending(message: string, code: EndingCode): Buffer {
    return Buffer.from((this.midEvent ? afterCutEvent : '') + this.#reader.ending(message, code));
  }
}

/** An event longer than this is not the one that carries usage alone: it is passed on while it comes. */
const MAX_HELD = 64 * 1024;

/** Passes whole events on, so that one can be left out. */
export class HidingEventMeter implements Meter {
  readonly framing = 'sse';
  readonly #reader: AnswerReader;
  readonly #tap: EventTap;
  readonly #sent = new SentTail();
  /** The bytes so far of an event that has not ended. */
  #held: Buffer[] = [];
  #heldLength = 0;
  /** The event that is coming was too long to hold: its start has been passed on. */
  #passing = false;
  #lineEmpty = true;
  #afterReturn = false;
  /** The event before ended in a CR: a LF that follows it shares its fate. */
  #closedByReturn: 'no' | 'passed' | 'hidden' = 'no';

  constructor(reader: AnswerReader) {
    this.#reader = reader;
    this.#tap = new EventTap(reader);
  }

  get complete(): boolean {
    return this.#tap.complete;
  }

  get midEvent(): boolean {
    return this.#sent.insideEvent;
  }

  push(chunk: Buffer): Buffer {
    this.#tap.hide = false;
    if (this.#betweenEvents && this.#tap.readOne(chunk))
      return this.#tap.hide ? nothing : this.#sent.add(chunk);
    const out: Buffer[] = [];
    const { length } = chunk;
    let start = 0;
    for (let at = 0; at < length; at++) {
      const byte = chunk[at];
      const isReturn = byte === CR;
      if (byte === LF && this.#afterReturn) {
        // The second half of a line end. Behind a blank line it belongs to the event before.
        this.#afterReturn = false;
        if (this.#closedByReturn !== 'no') {
          this.#tap.read(chunk.subarray(at, at + 1));
          if (this.#closedByReturn === 'passed') out.push(chunk.subarray(at, at + 1));
          this.#closedByReturn = 'no';
          start = at + 1;
        }
        continue;
      }
      this.#afterReturn = isReturn;
      this.#closedByReturn = 'no';
      if (byte !== LF && !isReturn) {
        this.#lineEmpty = false;
        // To the end of the line.
        while (at + 1 < length && chunk[at + 1] !== LF && chunk[at + 1] !== CR) at++;
      } else if (this.#lineEmpty) {
        const hidden = this.#close(chunk.subarray(start, at + 1), out);
        if (isReturn) this.#closedByReturn = hidden ? 'hidden' : 'passed';
        start = at + 1;
      } else {
        this.#lineEmpty = true;
      }
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start), out);
    return this.#sent.add(join(out));
  }

  end(): Buffer {
    this.#tap.hide = false;
    this.#tap.end();
    const rest = this.#tap.hide && !this.#passing ? nothing : join(this.#held);
    this.#held = [];
    return this.#sent.add(rest);
  }

  ending(message: string, code: EndingCode): Buffer {
    return Buffer.from((this.midEvent ? afterCutEvent : '') + this.#reader.ending(message, code));
  }

  get #betweenEvents(): boolean {
    return this.#lineEmpty && !this.#afterReturn && !this.#passing && this.#held.length === 0;
  }

  /** Ends the event of the held bytes and `last`; true where it is hidden. */
  #close(last: Buffer, out: Buffer[]): boolean {
    this.#tap.hide = false;
    this.#tap.read(last);
    const hidden = this.#tap.hide && !this.#passing;
    if (!hidden) out.push(...this.#held, last);
    this.#held = [];
    this.#heldLength = 0;
    this.#passing = false;
    return hidden;
  }

  #hold(bytes: Buffer, out: Buffer[]): void {
    this.#tap.read(bytes);
    this.#held.push(bytes);
    this.#heldLength += bytes.length;
    if (!this.#passing && this.#heldLength <= MAX_HELD) return;
    out.push(...this.#held);
    this.#held = [];
    this.#passing = true;
  }
}
