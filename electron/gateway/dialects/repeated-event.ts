/** What most of a stream is: the event before once more, with another piece of text in the same place. */
import { parseEvent, type JsonRecord } from './values.ts';

/** How often an event is learnt that none repeats before it is given up: some protocols number their events. */
const MAX_IN_VAIN = 4;
/** An event much longer than what a token takes is no piece of text. */
const MAX_LEARNT = 4096;

/**
 * Tells the text of such an event without parsing it, which is most of what reading one costs. It is no guess: where
 * the characters before a string are those of an event that was parsed, and those behind it too, JSON leaves no room
 * for another meaning. Whoever learns an event vouches that to read it twice in a row would change nothing but to count
 * its text twice.
 */
export class RepeatedEvent {
  #type: string | undefined;
  /** Up to and with the opening quote of the text; empty where nothing is learnt. */
  #before = '';
  /** From the closing quote on. */
  #behind = '';
  #inVain = 0;

  /** null where this is not the event before: what was learnt of that is then forgotten. */
  textOf(data: string, type: string | undefined): string | null {
    const before = this.#before;
    if (before === '') return null;
    const behind = this.#behind;
    const end = data.length - behind.length;
    const text =
      type === this.#type && end >= before.length && data.startsWith(before) && data.endsWith(behind)
        ? stringOf(data.slice(before.length - 1, end + 1))
        : null;
    if (text === null) this.#before = '';
    else this.#inVain = 0;
    return text;
  }

  /** `text` is what `read` finds in this event. Learns nothing where that cannot be shown to stand in one place. */
  learn(data: string, type: string | undefined, text: string, read: (event: JsonRecord) => unknown): void {
    if (this.#inVain >= MAX_IN_VAIN || text === '' || data.length > MAX_LEARNT) return;
    this.#inVain++;
    const written = JSON.stringify(text);
    const at = data.indexOf(written);
    if (at === -1) return;
    const before = data.slice(0, at + 1);
    const behind = data.slice(at + written.length - 1);
    // The same characters can stand elsewhere in the event: another text in this place has to be what is found.
    const other = `${text}.`;
    const changed = parseEvent(before + JSON.stringify(other).slice(1, -1) + behind);
    if (changed === null || read(changed) !== other) return;
    this.#type = type;
    this.#before = ownCopy(before);
    this.#behind = ownCopy(behind);
  }
}

/** The string that is all of this JSON text; null where it is anything else. */
function stringOf(json: string): string | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : null;
  } catch {
    return null;
  }
}

/** A part of a text keeps all of it in memory, for as long as the stream goes on. */
function ownCopy(part: string): string {
  return Buffer.from(part).toString();
}
