/**
 * The log as a list of any length of which only the pages near what is on screen are in memory. A page is remembered by
 * the cursor it was asked with and by how many rows it had, so rows that were dropped come back where they stood.
 *
 * The outline says how much of the list lies below what was loaded, and between which ids. So the scrollbar stands for all
 * of it from the start, and wherever it is dragged to, the page there is asked for; where rows lie unevenly between the
 * ids of a stretch, the guess is mended as it is looked at.
 */
import type { Answer, Input, LogStretch, Output } from '#shared/contract.ts';
import type { RequestRow } from '#shared/model.ts';
import type { Loading } from '../store.ts';

type Ask = (input: NonNullable<Input<'requests.list'>>) => Promise<Answer<Output<'requests.list'>>>;

/** Where the rows are, newest first, those loaded already included; null where nobody knows before they are read. */
export interface Outline {
  ask: () => Promise<readonly LogStretch[] | null>;
  /** Whether it counts exactly, so that only where the rows stand is guessed; it does not at the edges of a time. */
  exact: boolean;
}

interface LogPage {
  /** The cursor it begins at; null for the newest rows. */
  before: number | null;
  count: number;
  /** null where they were dropped or are on their way. */
  rows: readonly RequestRow[] | null;
  /** The oldest id thought to be in it, where nobody has looked yet: `count` is what the outline says. */
  guessed?: number;
}

export interface LogView {
  load: Loading;
  /** Rows known of, newest first; more may follow where it is not complete. */
  count: number;
  complete: boolean;
  /** `count` is nearly, not exactly, that of all rows. */
  guessed: boolean;
  /** How many rows there are in all; null where that is not known, or not exactly. */
  total: number | null;
  /** New rows that are held back so that what is read stays where it is. */
  waiting: number;
  /** Older rows could not be loaded; what is shown stays. */
  olderFailure: string | null;
}

export interface Log {
  view(): LogView;
  subscribe(tell: () => void): () => void;
  rowAt(index: number): RequestRow | undefined;
  /** Where a loaded row stands; -1 where it is not loaded. */
  indexOf(id: number): number;
  /** Loads the newest rows, for the first time or again. */
  reload(): Promise<void>;
  /** Says which rows are on screen: they and what follows are loaded, what is far away is dropped. */
  show(first: number, last: number): void;
  /** Rows that were settled or corrected. New ones are put on top, or held back. */
  add(rows: readonly RequestRow[], holdBack: boolean): void;
  /** Puts what was held back on top. */
  reveal(): void;
  retryOlder(): void;
}

export const PAGE_ROWS = 120;
/** Pages kept on either side of what is on screen. */
const NEAR_PAGES = 3;
/** The rows on top grow with every request; from this many on they are cut into pages that can be dropped. */
const HEAD_ROWS = 2 * PAGE_ROWS;

const noOutline: Outline = { ask: async () => null, exact: false };

export function createLog(ask: Ask, outline: Outline = noOutline): Log {
  const tellers = new Set<() => void>();
  let pages: LogPage[] = [];
  /** Cursor of the rows after the last page; null where there are none. */
  let next: number | null = null;
  /** As the outline counted them, and what came since. */
  let total: number | null = null;
  let held: RequestRow[] = [];
  let load: Loading = { state: 'loading' };
  let olderFailure: string | null = null;
  let view: LogView;
  let generation = 0;
  let loadingOlder = false;

  function changed(): void {
    const count = pages.reduce((sum, page) => sum + page.count, 0);
    const complete = next === null && !pages.some(isGuessed);
    view = {
      load,
      count,
      complete,
      total: complete ? count : total,
      guessed: pages.some(isGuessed),
      waiting: held.length,
      olderFailure,
    };
    for (const tell of tellers) tell();
  }

  /** Asks until there are `wanted` rows: a page may come back short while the gateway is still looking. */
  async function fetchRows(before: number | null, wanted: number): Promise<Answer<Output<'requests.list'>>> {
    const rows: RequestRow[] = [];
    let cursor = before;
    for (;;) {
      const answer = await ask({ before: cursor, limit: wanted - rows.length });
      if (!answer.ok) return answer;
      rows.push(...answer.value.rows);
      cursor = answer.value.next;
      if (cursor === null || rows.length >= wanted) return { ok: true, value: { rows, next: cursor } };
    }
  }

  async function reload(): Promise<void> {
    generation += 1;
    const asked = generation;
    const [answer, stretches] = await Promise.all([fetchRows(null, PAGE_ROWS), outline.ask()]);
    if (asked !== generation) return;
    if (answer.ok) {
      const { rows } = answer.value;
      pages = [{ before: null, count: rows.length, rows }];
      next = answer.value.next;
      const below = next === null || stretches === null ? [] : guessBelow(stretches, next, rows.length);
      if (below.length > 0) {
        pages.push(...below);
        next = null;
      }
      total =
        outline.exact && stretches !== null
          ? stretches.reduce((sum, { requests }) => sum + requests, 0)
          : null;
      load = { state: 'ready' };
      olderFailure = null;
      // Settled while the answer was on its way.
      const seen = new Set(rows.map((row) => row.id));
      const missed = held.filter((row) => !seen.has(row.id));
      held = [];
      for (const row of missed) place(row);
    } else if (load.state !== 'ready') {
      load = { state: 'failed', message: answer.error.message };
    }
    changed();
  }

  async function loadOlder(): Promise<void> {
    if (loadingOlder || next === null || olderFailure !== null) return;
    loadingOlder = true;
    const asked = generation;
    const before = next;
    const answer = await fetchRows(before, PAGE_ROWS);
    loadingOlder = false;
    if (asked !== generation) return;
    if (answer.ok) {
      if (answer.value.rows.length > 0) {
        pages = [...pages, { before, count: answer.value.rows.length, rows: answer.value.rows }];
      }
      next = answer.value.next;
    } else {
      olderFailure = answer.error.message;
    }
    changed();
  }

  let exploring = false;
  const loadingPages = new Set<number>();
  async function restore(page: LogPage): Promise<void> {
    if (page.before === null || loadingPages.has(page.before)) return;
    loadingPages.add(page.before);
    const asked = generation;
    const answer = await fetchRows(page.before, page.count);
    loadingPages.delete(page.before);
    if (asked !== generation || !answer.ok) return;
    pages = pages.map((each) =>
      // Where a row was put into it meanwhile, it is asked for again.
      each.before === page.before && each.count === page.count ? { ...each, rows: answer.value.rows } : each,
    );
    changed();
  }

  /** Asks for the rows about `skip` rows down a guessed stretch, and leaves what is above and below them guessed. */
  async function explore(page: LogPage, skip: number): Promise<void> {
    const { before, guessed: first } = page;
    if (before === null || first === undefined || exploring || olderFailure !== null) return;
    exploring = true;
    const asked = generation;
    const above = skip < PAGE_ROWS ? 0 : skip - PAGE_ROWS / 2;
    const cursor = before - Math.round((above / page.count) * (before - first));
    const answer = await fetchRows(cursor, PAGE_ROWS);
    exploring = false;
    if (asked !== generation) return;
    const at = pages.indexOf(page);
    if (!answer.ok) olderFailure = answer.error.message;
    else if (at >= 0) {
      const floor = pages[at + 1]?.before ?? 1;
      const rows = answer.value.rows.filter((row) => row.id >= floor);
      const reached = rows.length < answer.value.rows.length ? floor : (answer.value.next ?? floor);
      const left = reached <= first ? 0 : Math.max(1, page.count - above - rows.length);
      const parts: LogPage[] = [
        { before, count: Math.min(above, before - cursor), rows: null, guessed: cursor },
        { before: cursor, count: rows.length, rows },
        { before: reached, count: Math.min(left, reached - first), rows: null, guessed: first },
      ];
      pages = pages.toSpliced(at, 1, ...parts.filter(({ count }) => count > 0));
    }
    changed();
  }

  function pageAt(index: number): { at: number; offset: number } {
    let offset = 0;
    for (const [at, page] of pages.entries()) {
      if (index < offset + page.count) return { at, offset };
      offset += page.count;
    }
    return { at: pages.length - 1, offset };
  }

  function startOf(page: LogPage): number {
    let offset = 0;
    for (const each of pages) {
      if (each === page) break;
      offset += each.count;
    }
    return offset;
  }

  function show(first: number, last: number): void {
    if (pages.length === 0) return;
    const from = pageAt(first).at;
    const to = pageAt(last).at;
    // The rows on top are never dropped: they have no cursor that would bring them back as they stand.
    const isFar = (at: number) => at > 0 && (at < from - NEAR_PAGES || at > to + NEAR_PAGES);
    if (pages.some((page, at) => page.rows !== null && isFar(at))) {
      pages = pages.map((page, at) => (page.rows !== null && isFar(at) ? { ...page, rows: null } : page));
    }
    for (const page of pages.slice(Math.max(0, from - 1), to + 2)) {
      if (page.rows || isGuessed(page)) continue;
      void restore(page);
    }
    const unknown = pages.slice(from, to + 2).find(isGuessed);
    if (unknown) void explore(unknown, Math.max(0, first - startOf(unknown)));
    if (to >= pages.length - 1) void loadOlder();
  }

  function add(rows: readonly RequestRow[], holdBack: boolean): void {
    if (load.state !== 'ready') {
      held.push(...rows);
      return;
    }
    const replaced = new Set<number>();
    const byId = new Map(rows.map((row) => [row.id, row]));
    pages = pages.map((page) => {
      if (!page.rows?.some((row) => byId.has(row.id))) return page;
      return {
        ...page,
        rows: page.rows.map((row) => {
          const now = byId.get(row.id);
          if (now) replaced.add(row.id);
          return now ?? row;
        }),
      };
    });
    const known = new Set(held.map((row) => row.id));
    // A correction of a row that is not loaded is seen when that is. The rest is new: a request that began before one
    // that is shown may well end after it.
    const fresh = rows.filter(
      (row) =>
        !replaced.has(row.id) && !known.has(row.id) && !row.flags.includes('corrected') && isWithin(row.id),
    );
    held = [...fresh, ...held.map((row) => byId.get(row.id) ?? row)].toSorted((a, b) => b.id - a.id);
    if (!holdBack) return reveal();
    changed();
  }

  /** Whether a row of this id would stand among those that were looked at. */
  function isWithin(id: number): boolean {
    const page = pages[pageOf(id)];
    return page !== undefined && !isGuessed(page);
  }

  /** The page a row of this id belongs to; -1 where that is below all that was loaded. */
  function pageOf(id: number): number {
    if (next !== null && id < next) return -1;
    return pages.findLastIndex((page) => page.before === null || id < page.before);
  }

  function place(row: RequestRow): void {
    const at = pageOf(row.id);
    const page = pages[at];
    if (!page || isGuessed(page)) return;
    if (total !== null) total += 1;
    if (!page.rows) {
      pages = pages.with(at, { ...page, count: page.count + 1 });
      return;
    }
    const below = page.rows.findIndex((each) => each.id < row.id);
    const rows = page.rows.toSpliced(below < 0 ? page.rows.length : below, 0, row);
    pages = pages.with(at, { ...page, count: rows.length, rows });
  }

  function reveal(): void {
    // Too many to put on top one by one, or all there are: the newest are asked for instead.
    if (held.length > HEAD_ROWS) {
      held = [];
      void reload();
      return;
    }
    for (const row of held) place(row);
    held = [];
    const [head, ...rest] = pages;
    if (head?.rows && head.count > HEAD_ROWS) {
      const top = head.rows.slice(0, PAGE_ROWS);
      const below = head.rows.slice(PAGE_ROWS);
      pages = [
        { before: null, count: top.length, rows: top },
        { before: top.at(-1)?.id ?? null, count: below.length, rows: below },
        ...rest,
      ];
    }
    changed();
  }

  changed();
  return {
    view: () => view,
    subscribe(tell) {
      tellers.add(tell);
      return () => tellers.delete(tell);
    },
    rowAt(index) {
      const { at, offset } = pageAt(index);
      return pages[at]?.rows?.[index - offset];
    },
    indexOf(id) {
      let offset = 0;
      for (const page of pages) {
        const at = page.rows?.findIndex((row) => row.id === id) ?? -1;
        if (at >= 0) return offset + at;
        offset += page.count;
      }
      return -1;
    },
    reload,
    show,
    add,
    reveal,
    retryOlder() {
      olderFailure = null;
      void loadOlder();
      changed();
    },
  };
}

const isGuessed = (page: LogPage) => page.guessed !== undefined;

/** The outline below the cursor `next`, without the `loaded` newest rows. */
function guessBelow(stretches: readonly LogStretch[], next: number, loaded: number): LogPage[] {
  let above = loaded;
  let ceiling = next;
  return stretches.flatMap(({ first, before, requests }) => {
    const count = Math.max(0, requests - above);
    above -= requests - count;
    // Two that overlap, as at midnight, share the ids between them.
    const top = Math.min(before, ceiling);
    if (count === 0 || first >= top) return [];
    ceiling = first;
    return [{ before: top, count: Math.min(count, top - first), rows: null, guessed: first }];
  });
}
