/** Server-sent events: read on the side while their bytes pass, or held event by event so that one can be left out. */
import { StringDecoder } from 'node:string_decoder';
import { createParser, type EventSourceParser } from 'eventsource-parser';
import type { AnswerReader } from '../dialects/dialect.ts';
import { join, MAX_EVENT, nothing, type EndingCode, type Meter } from './framing.ts';

/** Turns the bytes of a stream into events for the reader, and remembers what the reader said of the last ones. */
class EventTap {
  complete = false;
  /** One of the events since this was last set to false is to be hidden. */
  hide = false;
  readonly #reader: AnswerReader;
  readonly #decoder = new StringDecoder('utf8');
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
    this.#feed(this.#decoder.write(bytes));
  }

  /** Reads whole events, where nothing but whole events was read before. */
  readWhole(text: string): void {
    this.#feed(text);
  }

  /** Reads a last event that no blank line ends. */
  end(): void {
    this.#feed(`${this.#decoder.end()}\n\n`);
    this.complete ||= this.#reader.finished;
  }

  #feed(text: string): void {
    this.#parser.feed(text);
    // What is left of the line that was too long is no field, and the parser passes over it.
    if (this.#overflown) this.#parser.reset();
    this.#overflown = false;
  }
}

const LF = 0x0a;
const CR = 0x0d;

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

/** The text of a chunk that is exactly one event, its lines ended by LF, as most chunks are; null for any other. */
function oneEvent(chunk: Buffer): string | null {
  const { length } = chunk;
  if (chunk[0] === LF || chunk[length - 1] !== LF || chunk[length - 2] !== LF) return null;
  const text = chunk.toString('utf8');
  return text.indexOf('\n\n') === text.length - 2 && !text.includes('\r') ? text : null;
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
    const whole = this.#betweenEvents ? oneEvent(chunk) : null;
    if (whole !== null) {
      this.#tap.hide = false;
      this.#tap.readWhole(whole);
      return this.#tap.hide ? nothing : this.#sent.add(chunk);
    }
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
