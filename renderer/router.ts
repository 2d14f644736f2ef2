/**
 * The address is the state of the page: `#/keys`, `#/keys/ID`, `#/activity?key=ID&status=error`. What stands there can be
 * bookmarked, reloaded and gone back to; nothing secret ever stands there.
 */
import { useSyncExternalStore } from 'react';

export const pageNames = [
  'keys',
  'activity',
  'usage',
  'limits',
  'connect',
  'providers',
  'prices',
  'bills',
  'settings',
] as const;
export type PageName = (typeof pageNames)[number];

export interface Route {
  page: PageName;
  /** What stands after the page's name: the key of a key's own page. */
  id: string | null;
  query: Readonly<Record<string, string>>;
}

/** Anything that is not an address of ours leads to the first page. */
function parseRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [name, id] = path.split('/');
  const page = pageNames.find((each) => each === name);
  if (!page) return { page: 'keys', id: null, query: {} };
  return {
    page,
    id: id ? safeDecode(id) : null,
    query: Object.fromEntries(new URLSearchParams(search)),
  };
}

export function hrefOf(page: PageName, query: Query = {}, id: string | null = null): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') search.set(name, value);
  }
  const tail = search.size > 0 ? `?${search}` : '';
  return `#/${page}${id === null ? '' : `/${encodeURIComponent(id)}`}${tail}`;
}

/** Empty values are left out of the address. */
export type Query = Readonly<Record<string, string | null | undefined>>;

const tellers = new Set<() => void>();
let current = parseRoute(location.hash);
let parsedFrom = location.hash;

function route(): Route {
  if (parsedFrom !== location.hash) {
    parsedFrom = location.hash;
    current = parseRoute(parsedFrom);
  }
  return current;
}

function onNavigation(tell: () => void): () => void {
  tellers.add(tell);
  window.addEventListener('hashchange', tell);
  return () => {
    tellers.delete(tell);
    window.removeEventListener('hashchange', tell);
  };
}

/** The same object until the address changes. */
export function useRoute(): Route {
  return useSyncExternalStore(onNavigation, route);
}

export function navigate(href: string): void {
  location.hash = href;
}

/** Changes part of the page's query in place; what is not named stays. Typing in a filter adds nothing to the history. */
export function setQuery(change: Query): void {
  const { page, id, query } = route();
  history.replaceState(history.state, '', hrefOf(page, { ...query, ...change }, id));
  for (const tell of tellers) tell();
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
