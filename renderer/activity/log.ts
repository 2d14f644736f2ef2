/**
 * The log as a list of any length of which only the pages near what is on screen are in memory. A page is remembered by
 * the cursor it was asked with and by how many rows it had, so rows that were dropped come back where they stood.
 */
import type { Answer, Input, Output } from '#shared/contract.ts';
import type { RequestRow } from '#shared/model.ts';
import type { Loading } from '../store.ts';

type Ask = (input: NonNullable<Input<'requests.list'>>) => Promise<Answer<Output<'requests.list'>>>;

interface LogPage {
  /** The cursor it begins at; null for the newest rows. */
  before: number | null;
  count: number;
  /** null where they were dropped or are on their way. */
  rows: readonly RequestRow[] | null;
}

export interface LogView {
  load: Loading;
  /** Rows known of, newest first; more may follow where it is not complete. */
  count: number;
  complete: boolean;
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

export const PAGE_ROWS = 200;
/** Pages kept on either side of what is on screen. */
const NEAR_PAGES = 3;
/** The rows on top grow with every request; from this many on they are cut into pages that can be dropped. */
const HEAD_ROWS = 2 * PAGE_ROWS;

export function createLog(ask: Ask): Log {
  const tellers = new Set<() => void>();
  let pages: LogPage[] = [];
  /** Cursor of the rows after the last page; null where there are none. */
  let next: number | null = null;
  let held: RequestRow[] = [];
  let load: Loading = { state: 'loading' };
  let olderFailure: string | null = null;
  let view: LogView;
  let generation = 0;
  let loadingOlder = false;

  function changed(): void {
    view = {
      load,
      count: pages.reduce((sum, page) => sum + page.count, 0),
      complete: next === null,
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
    const answer = await fetchRows(null, PAGE_ROWS);
    if (asked !== generation) return;
    if (answer.ok) {
      // What was settled while the answer was on its way is newer than the answer.
      const newest = answer.value.rows[0]?.id ?? 0;
      held = held.filter((row) => row.id > newest);
      pages = [{ before: null, count: answer.value.rows.length, rows: answer.value.rows }];
      next = answer.value.next;
      load = { state: 'ready' };
      olderFailure = null;
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

  const loadingPages = new Set<number>();
  async function restore(page: LogPage): Promise<void> {
    if (page.before === null || loadingPages.has(page.before)) return;
    loadingPages.add(page.before);
    const asked = generation;
    const answer = await fetchRows(page.before, page.count);
    loadingPages.delete(page.before);
    if (asked !== generation || !answer.ok) return;
    pages = pages.map((each) => (each.before === page.before ? { ...each, rows: answer.value.rows } : each));
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

  function show(first: number, last: number): void {
    if (pages.length === 0) return;
    const from = pageAt(first).at;
    const to = pageAt(last).at;
    // The rows on top are never dropped: they have no cursor that would bring them back as they stand.
    const isFar = (at: number) => at > 0 && (at < from - NEAR_PAGES || at > to + NEAR_PAGES);
    if (pages.some((page, at) => page.rows !== null && isFar(at))) {
      pages = pages.map((page, at) => (isFar(at) ? { ...page, rows: null } : page));
    }
    for (const page of pages.slice(Math.max(0, from - 1), to + 2)) if (!page.rows) void restore(page);
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
    const newest = Math.max(pages[0]?.rows?.[0]?.id ?? 0, ...held.slice(0, 1).map((row) => row.id));
    // A row that is neither shown nor newer belongs to a page that is not loaded.
    const fresh = rows.filter((row) => row.id > newest && !replaced.has(row.id));
    held = [...fresh.toSorted((a, b) => b.id - a.id), ...held.map((row) => byId.get(row.id) ?? row)];
    if (!holdBack) return reveal();
    changed();
  }

  function reveal(): void {
    // Too many to put on top one by one, or all there are: the newest are asked for instead.
    if (held.length > HEAD_ROWS) {
      held = [];
      void reload();
      return;
    }
    const [head, ...rest] = pages;
    const rows = [...held, ...(head?.rows ?? [])];
    held = [];
    if (rows.length <= HEAD_ROWS) {
      pages = [{ before: null, count: rows.length, rows }, ...rest];
    } else {
      const top = rows.slice(0, PAGE_ROWS);
      const below = rows.slice(PAGE_ROWS);
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
    },
  };
}
