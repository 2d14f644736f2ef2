/**
 * What the window knows, in one store: rows by id so that a row on screen follows its own key only, and the pure
 * functions that fold the gateway's answers and events into it. The window adds up no money; it shows what is pushed.
 */
import { useStore } from 'zustand';
import { createStore } from 'zustand/vanilla';
import type { EventData } from '#shared/contract.ts';
import type {
  KeyRow,
  PriceRow,
  ProviderKind,
  ProviderRow,
  RequestRow,
  Settings,
  SharedLimits,
  Status,
} from '#shared/model.ts';
import type { Connection, EventMessage } from './backend.ts';
import { strings } from './strings.ts';

/** A list as the page sees it; the rows of an earlier load stay on screen while it is loaded again. */
export type Loading = { state: 'loading' } | { state: 'ready' } | { state: 'failed'; message: string };

export type Dialog =
  | { kind: 'create-key' }
  | { kind: 'edit-limit' | 'rename-key' | 'rotate-key' | 'delete-key' | 'connect-key'; id: string }
  | { kind: 'provider'; id: string | null; preset?: ProviderKind }
  | { kind: 'delete-provider'; id: string }
  | { kind: 'price'; row: PriceRow | null; providerId?: string; model?: string }
  | { kind: 'remove-price'; row: PriceRow }
  | { kind: 'correct-cost'; row: RequestRow }
  | { kind: 'shortcuts' };

export interface RequestFilter {
  keyId: string | null;
  status: 'ok' | 'error' | null;
}

export interface AppState {
  connection: Connection;
  status: Status | null;
  settings: Settings | null;
  keys: Readonly<Record<string, KeyRow>>;
  /** Ids, newest key first. Depends on when keys were created, never on their numbers, so rows stay where they are. */
  keyOrder: readonly string[];
  keysLoad: Loading;
  providers: readonly ProviderRow[];
  providersLoad: Loading;
  /** The limits over all keys and per provider. */
  limits: SharedLimits | null;
  requests: readonly RequestRow[];
  requestsLoad: Loading;
  /** `before` of the next older page; null when all are shown. */
  requestsNext: number | null;
  requestFilter: RequestFilter;
  prices: readonly PriceRow[];
  pricesLoad: Loading;
  /** Counts the events that settled requests; what is computed from them is asked for again when it moves. */
  settledCount: number;
  dialog: Dialog | null;
  /** The command palette; loaded when it is first opened. */
  palette: boolean;
  /** Read out by the live region. */
  announcement: string;
}

const loading: Loading = { state: 'loading' };
export const ready: Loading = { state: 'ready' };

export const initialState: AppState = {
  connection: 'connecting',
  status: null,
  settings: null,
  keys: {},
  keyOrder: [],
  keysLoad: loading,
  providers: [],
  providersLoad: loading,
  limits: null,
  requests: [],
  requestsLoad: loading,
  requestsNext: null,
  requestFilter: { keyId: null, status: null },
  prices: [],
  pricesLoad: loading,
  settledCount: 0,
  dialog: null,
  palette: false,
  announcement: '',
};

export const app = createStore<AppState>()(() => initialState);

/** Follows the part of the state that the selector picks. */
export function useApp<Part>(selector: (state: AppState) => Part): Part {
  return useStore(app, selector);
}

/** Requests kept in memory while the log runs on; older ones come back with "Load more". */
export const REQUESTS_KEPT = 1_000;

/** The change an event makes, or an empty object where it changes nothing here. */
export function applyEvent(state: AppState, message: EventMessage): Partial<AppState> {
  switch (message.name) {
    case 'keys-changed':
      return applyKeyChanges(state, message.data);
    case 'request-settled':
      return { ...applySettled(state, message.data.rows), settledCount: state.settledCount + 1 };
    case 'status-changed':
      return { status: message.data };
    case 'limits-changed':
      return { limits: message.data };
    case 'key-paused':
      return { announcement: strings.keys.pausedAnnouncement(message.data.name) };
    case 'limit-threshold':
      // The row shows it; the desktop's notice is its own.
      return {};
    case 'providers-changed':
    case 'model-unpriced':
      // Carries no rows: the lists are asked for again by the actions.
      return {};
  }
}

export function applyKeyChanges(
  state: Pick<AppState, 'keys' | 'keyOrder'>,
  change: EventData<'keys-changed'>,
): Partial<AppState> {
  const keys = { ...state.keys };
  let reordered = false;
  let announcement: string | undefined;
  for (const row of change.rows) {
    const before = keys[row.id];
    if (!before) reordered = true;
    else if (row.limitState === 'reached' && before.limitState !== 'reached')
      announcement = strings.keys.reachedAnnouncement(row.name);
    keys[row.id] = row;
  }
  for (const id of change.removed) {
    if (!keys[id]) continue;
    delete keys[id];
    reordered = true;
  }
  return {
    keys,
    ...(reordered ? { keyOrder: orderOf(keys) } : {}),
    ...(announcement === undefined ? {} : { announcement }),
  };
}

export function keysFrom(rows: readonly KeyRow[]): Pick<AppState, 'keys' | 'keyOrder'> {
  const keys = Object.fromEntries(rows.map((row) => [row.id, row]));
  return { keys, keyOrder: orderOf(keys) };
}

function orderOf(keys: Readonly<Record<string, KeyRow>>): string[] {
  return Object.values(keys)
    .toSorted((a, b) => compareText(b.createdAt, a.createdAt) || compareText(b.id, a.id))
    .map((row) => row.id);
}

const compareText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** New rows on top, known rows (a corrected cost) in place; rows the filter leaves out are not taken in. */
function applySettled(state: AppState, rows: readonly RequestRow[]): Partial<AppState> {
  if (state.requestsLoad.state !== 'ready') return {};
  return mergeRequests(
    state,
    rows.filter((row) => passesFilter(row, state.requestFilter)),
  );
}

export function mergeRequests(
  state: Pick<AppState, 'requests' | 'requestsNext'>,
  rows: readonly RequestRow[],
): Partial<AppState> {
  if (rows.length === 0) return {};
  const byId = new Map(state.requests.map((row) => [row.id, row]));
  const oldest = state.requestsNext === null ? 0 : (state.requests.at(-1)?.id ?? 0);
  // An old request corrected while its page is not loaded must not appear out of turn.
  for (const row of rows) if (row.id >= oldest) byId.set(row.id, row);
  const requests = [...byId.values()].toSorted((a, b) => b.id - a.id);
  // Pages a person has loaded stay; only the growth at the top is bounded.
  const limit = Math.max(REQUESTS_KEPT, state.requests.length);
  if (requests.length <= limit) return { requests };
  const kept = requests.slice(0, limit);
  return { requests: kept, requestsNext: kept.at(-1)?.id ?? null };
}

export function passesFilter(row: RequestRow, filter: RequestFilter): boolean {
  if (filter.keyId !== null && row.keyId !== filter.keyId) return false;
  if (filter.status === null) return true;
  const ok = row.status >= 200 && row.status < 300;
  return filter.status === 'ok' ? ok : !ok;
}
