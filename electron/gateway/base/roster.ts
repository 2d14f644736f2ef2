/**
 * What is under way: members come and go with each request, and are looked through now and then.
 *
 * An array and no Map or Set, for the sake of the garbage collector. V8 replaces the table of those as members come and
 * go; each table it leaves behind still has its members and points to the next one. Once a major collection has moved
 * one to the old generation, all that follow outlive every minor collection, and with them whatever the members lead to:
 * a fifth of all that requests allocate.
 */
export interface Member {
  /** Where it stands in its roster; `ABSENT` where it is in none. Only the roster sets it. */
  place: number;
}

/** What a new member begins with. */
export const ABSENT = -1;

export class Roster<M extends Member> implements Iterable<M> {
  readonly #members: M[] = [];

  /** `member` is in no roster. */
  add(member: M): void {
    member.place = this.#members.length;
    this.#members.push(member);
  }

  has(member: M): boolean {
    return this.#members[member.place] === member;
  }

  /** Does nothing for one that is not in it. The last member takes its place: the order is not kept. */
  remove(member: M): void {
    const { place } = member;
    if (place === ABSENT) return;
    member.place = ABSENT;
    const last = this.#members.pop();
    if (last === undefined || last === member) return;
    this.#members[place] = last;
    last.place = place;
  }

  /** In no particular order; whoever adds or removes meanwhile iterates over a copy. */
  [Symbol.iterator](): Iterator<M> {
    return this.#members[Symbol.iterator]();
  }
}
