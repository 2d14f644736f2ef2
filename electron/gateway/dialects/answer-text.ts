/** What an answer has said so far, collected from many small pieces. */

/** Above the longest answer of any model; what comes after is counted in characters only. */
const MAX_CHARS = 4_000_000;

/** Pieces that are joined at a time: kept one by one, a long answer's pieces would take several times its size. */
const BLOCK = 128;

export class AnswerText {
  readonly #blocks: string[] = [];
  #pieces: string[] = [];
  #length = 0;

  add(piece: string): void {
    if (this.#length > MAX_CHARS) return;
    this.#length += piece.length;
    if (this.#pieces.push(piece) < BLOCK) return;
    this.#blocks.push(this.#pieces.join(''));
    this.#pieces = [];
  }

  toString(): string {
    return [...this.#blocks, ...this.#pieces].join('');
  }
}
