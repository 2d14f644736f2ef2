/**
 * The tap on an answer: bytes go on as they came while their events are read on the side. What cannot be read changes
 * nothing about what is passed on.
 */
import type { AnswerFacts, AnswerReader } from '../dialects/dialect.ts';
import { EventMeter, HidingEventMeter } from './event-meter.ts';
import {
  framingOf,
  framingOfNothing,
  join,
  nothing,
  type EndingCode,
  type Expected,
  type Framing,
  type Meter,
} from './framing.ts';
import { ArrayMeter, ObjectMeter } from './json-meter.ts';

export interface MeterOptions {
  reader: AnswerReader;
  /** How the answer is cut, or what is known of it: then its first bytes decide. */
  framing: Framing | Expected;
  /** Drop the events that the reader wants hidden. */
  hideUsage: boolean;
}

export function createMeter({ reader, framing, hideUsage }: MeterOptions): Meter {
  switch (framing) {
    case 'sse':
      return hideUsage ? new HidingEventMeter(reader) : new EventMeter(reader);
    case 'json-array':
      return new ArrayMeter(reader);
    case 'json':
      return new ObjectMeter(reader);
    case 'opaque':
      return new OpaqueMeter(reader.facts);
    default:
      return new UndecidedMeter(framing, (decided) =>
        // Readable and no answer of any protocol, such as the page of a hotel's network.
        decided === 'opaque' ? new OpaqueMeter() : createMeter({ reader, framing: decided, hideUsage }),
      );
  }
}

/** Longer than a name of a field of an event. */
const START_BYTES = 16;

/** Passes white space on (servers keep connections alive with it) and becomes the meter that the first byte asks for. */
class UndecidedMeter implements Meter {
  readonly #expected: Expected;
  readonly #create: (framing: Framing) => Meter;
  #meter: Meter | undefined;
  #start = nothing;

  constructor(expected: Expected, create: (framing: Framing) => Meter) {
    this.#expected = expected;
    this.#create = create;
  }

  get framing(): Framing {
    return this.#meter?.framing ?? framingOfNothing(this.#expected);
  }

  get complete(): boolean {
    return this.#meter?.complete ?? false;
  }

  get midEvent(): boolean {
    return this.#meter?.midEvent ?? false;
  }

  push(chunk: Buffer): Buffer {
    if (this.#meter !== undefined) return this.#meter.push(chunk);
    const bytes = join([this.#start, chunk].filter(({ length }) => length > 0));
    const from = this.#start.length > 0 ? 0 : firstInk(bytes);
    const ink = bytes.subarray(from);
    const framing =
      ink.length === 0 ? null : framingOf(ink.toString('latin1', 0, START_BYTES), this.#expected);
    if (framing === null) {
      this.#start = ink;
      return bytes.subarray(0, from);
    }
    this.#start = nothing;
    this.#meter = this.#create(framing);
    const out = this.#meter.push(ink);
    return from === 0 ? out : join([bytes.subarray(0, from), out]);
  }

  end(): Buffer {
    this.#meter ??= this.#create(this.framing);
    const start = this.#start;
    this.#start = nothing;
    return start.length === 0 ? this.#meter.end() : join([this.#meter.push(start), this.#meter.end()]);
  }

  ending(message: string, code: EndingCode): Buffer {
    return (this.#meter ?? this.#create(this.framing)).ending(message, code);
  }
}

/** Where the first byte stands that is neither white space nor part of a byte order mark. */
function firstInk(bytes: Buffer): number {
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte > 0x20 && byte !== 0xef && byte !== 0xbb && byte !== 0xbf) return at;
  }
  return bytes.length;
}

class OpaqueMeter implements Meter {
  readonly framing = 'opaque';
  complete = false;
  readonly midEvent = false;
  readonly #facts: AnswerFacts | undefined;

  /** `facts` where what passes can be an answer: its length is then all that is known of what was generated. */
  constructor(facts?: AnswerFacts) {
    this.#facts = facts;
  }

  push(chunk: Buffer): Buffer {
    if (this.#facts !== undefined) this.#facts.outputChars += chunk.length;
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
