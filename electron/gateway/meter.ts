/**
 * The tap on an answer: bytes go on as they came while their events are read on the side. What cannot be read changes
 * nothing about what is passed on.
 */
import { createParser, type EventSourceParser } from 'eventsource-parser';
import type { AnswerReader } from './dialects/dialect.ts';
import { scanObject } from './json.ts';

/** How an answer is cut into pieces: server-sent events, one streamed JSON array, one JSON object, or not at all. */
export type Framing = 'sse' | 'json-array' | 'json' | 'opaque';

export type EndingCode = Parameters<AnswerReader['ending']>[1];

export interface MeterOptions {
  reader: AnswerReader;
  framing: Framing;
  /** Drop the events that the reader wants hidden. */
  hideUsage: boolean;
}

export interface Meter {
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

const nothing: Buffer = Buffer.alloc(0);

export function createMeter({ reader, framing, hideUsage }: MeterOptions): Meter {
  switch (framing) {
    case 'sse':
      return hideUsage ? new HidingEventMeter(reader) : new EventMeter(reader);
    case 'json-array':
      return new ArrayMeter(reader);
    case 'json':
      return new ObjectMeter(reader);
    case 'opaque':
      return new OpaqueMeter();
  }
}

/** The longest event that is read, in characters: above what providers send, images included. */
const MAX_EVENT = 64 * 1024 * 1024;

/** Turns the bytes of a stream into events for the reader, and remembers what the reader said of the last ones. */
class EventTap {
  complete = false;
  /** One of the events since this was last set to false is to be hidden. */
  hide = false;
  readonly #reader: AnswerReader;
  readonly #decoder = new TextDecoder();
  readonly #parser: EventSourceParser;
  #overflown = false;

  constructor(reader: AnswerReader) {
    this.#reader = reader;
    this.#parser = createParser({
      maxBufferSize: MAX_EVENT,
      onEvent: ({ data, event }) => {
        const verdict = this.#reader.event(data, event);
        if (verdict === 'last') this.complete = true;
        else if (verdict === 'hide') this.hide = true;
      },
      onError: (error) => {
        this.#overflown ||= error.type === 'max-buffer-size-exceeded';
      },
    });
  }

  read(bytes: Buffer): void {
    this.#feed(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Reads a last event that no blank line ends. */
  end(): void {
    this.#feed(`${this.#decoder.decode()}\n\n`);
    this.complete ||= this.#reader.finished;
  }

  #feed(text: string): void {
    this.#parser.feed(text);
    // What is left of the line that was too long is no field, and the parser passes over it.
    if (this.#overflown) this.#parser.reset();
    this.#overflown = false;
  }
}

/** The last bytes that were passed on, to tell whether an event has ended. */
class SentTail {
  #tail = '';

  add(bytes: Buffer): Buffer {
    if (bytes.length > 0)
      this.#tail = (this.#tail + bytes.toString('latin1', Math.max(0, bytes.length - 4))).slice(-4);
    return bytes;
  }

  get insideEvent(): boolean {
    return this.#tail !== '' && !this.#tail.replaceAll(/\r\n?/g, '\n').endsWith('\n\n');
  }
}

/** An event that was cut off becomes one that clients pass over, as far as its protocol has such. */
const afterCutEvent = '\nevent: ping\n\n';

class EventMeter implements Meter {
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
class HidingEventMeter implements Meter {
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
    const out: Buffer[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      const isReturn = byte === 0x0d;
      if (byte === 0x0a && this.#afterReturn) {
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
      if (byte !== 0x0a && !isReturn) {
        this.#lineEmpty = false;
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

function join(pieces: Buffer[]): Buffer {
  const [first, ...others] = pieces;
  return first === undefined ? nothing : others.length === 0 ? first : Buffer.concat(pieces);
}

/** A streamed array, taken apart into its elements by counting brackets outside of strings. */
class ArrayMeter implements Meter {
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
    this.complete ||= this.#depth === 0 && this.#reader.finished;
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
class ObjectMeter implements Meter {
  complete = false;
  readonly midEvent = true;
  readonly #reader: AnswerReader;
  #seen: Buffer[] = [];
  #seenLength = 0;
  #waiting = nothing;

  constructor(reader: AnswerReader) {
    this.#reader = reader;
  }

  push(chunk: Buffer): Buffer {
    if (chunk.length === 0) return nothing;
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

class OpaqueMeter implements Meter {
  complete = false;
  readonly midEvent = false;

  push(chunk: Buffer): Buffer {
    return chunk;
  }

  end(): Buffer {
    this.complete = true;
    return nothing;
  }

  ending(): Buffer {
    return nothing;
  }
}
