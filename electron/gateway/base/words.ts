/** Words that are looked for among bytes, without a string being made of what is none of them. */
export class Words<W extends string> {
  /** By length in bytes: most strings are told apart by that alone. */
  readonly #byLength: { word: W; bytes: Buffer }[][] = [];

  constructor(words: readonly W[]) {
    for (const word of words) {
      const bytes = Buffer.from(word);
      (this.#byLength[bytes.length] ??= []).push({ word, bytes });
    }
    // An array with holes is slow to read.
    for (let length = 0; length < this.#byLength.length; length++) this.#byLength[length] ??= [];
  }

  /** The length of the longest. */
  get longest(): number {
    return this.#byLength.length - 1;
  }

  /** The word that is all of `bytes` from `start` to before `end`; null where it is none of them. */
  find(bytes: Uint8Array, start: number, end: number): W | null {
    const candidates = this.#byLength[end - start];
    if (candidates === undefined) return null;
    for (const { word, bytes: known } of candidates)
      if (bytes[start] === known[0] && isSame(bytes, start, known)) return word;
    return null;
  }
}

function isSame(bytes: Uint8Array, start: number, known: Uint8Array): boolean {
  for (let at = 1; at < known.length; at++) if (bytes[start + at] !== known[at]) return false;
  return true;
}
