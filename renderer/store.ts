/**
 * What the window knows, in one store: rows by id so that a row on screen follows its own key only, and the pure
 * functions that fold the gateway's answers and events into it. The window adds up no money; it shows what is pushed.
 */
import { useStore } from 'zustand';
import { createStore } from 'zustand/vanilla';
import type { ToolRow } from '#shared/connect.ts';
import type { EventData } from '#shared/contract.ts';
import type {
  BackupRow,
  KeyRow,
  LimitScope,
  PriceRow,
  ProviderKind,
  ProviderRow,
  RequestRow,
  Settings,
  SharedLimits,
  Status,
} from '#shared/model.ts';
import type { CatalogueModel } from '#shared/pricing.ts';
import type { RequestFilter } from './activity/filter.ts';
import type { EventMessage } from '#shared/wire.ts';
import type { Connection } from './backend.ts';
import { strings } from './strings.ts';

/** A list as the page sees it; the rows of an earlier load stay on screen while it is loaded again. */
export type Loading = { state: 'loading' } | { state: 'ready' } | { state: 'failed'; message: string };

export type Dialog =
  | { kind: 'create-key' }
  | { kind: 'edit-limit'; id: string; topUp?: boolean }
  | { kind: 'rename-key' | 'rotate-key' | 'delete-key' | 'connect-key'; id: string }
  | { kind: 'provider'; id: string | null; preset?: ProviderKind }
  | { kind: 'delete-provider'; id: string }
  | { kind: 'connect-tool' | 'disconnect-tool'; row: ToolRow }
  | { kind: 'price'; row: PriceRow | null; providerId?: string; model?: string; copied?: CatalogueModel }
  | { kind: 'reprice'; providerId: string; model: string }
  | { kind: 'remove-price'; row: PriceRow }
  | { kind: 'correct-cost'; row: RequestRow }
  | { kind: 'export-requests' | 'request-days'; filter: RequestFilter }
  | { kind: 'scope-limit'; scope: LimitScope }
  | { kind: 'restore-backup'; row: BackupRow }
  | { kind: 'shortcuts' };

export interface AppState {
  connection: Connection;
  status: Status | null;
  settings: Settings | null;
  settingsLoad: Loading;
  keys: Readonly<Record<string, KeyRow>>;
  /** Ids, newest key first. Depends on when keys were created, never on their numbers, so rows stay where they are. */
  keyOrder: readonly string[];
  keysLoad: Loading;
  providers: readonly ProviderRow[];
  providersLoad: Loading;
  /** The limits over all keys and per provider. */
  limits: SharedLimits | null;
  limitsLoad: Loading;
  prices: readonly PriceRow[];
  pricesLoad: Loading;
  /** Counts the refusals told for want of a price; the list of such models is asked for again when it moves. */
  unpricedTold: number;
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
  settingsLoad: loading,
  keys: {},
  keyOrder: [],
  keysLoad: loading,
  providers: [],
  providersLoad: loading,
  limits: null,
  limitsLoad: loading,
  prices: [],
  pricesLoad: loading,
  unpricedTold: 0,
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

/** The change an event makes, or an empty object where it changes nothing here. */
export function applyEvent(state: AppState, message: EventMessage): Partial<AppState> {
  switch (message.name) {
    case 'keys-changed':
      return applyKeyChanges(state, message.data);
    case 'request-settled':
      return { settledCount: state.settledCount + 1 };
    case 'status-changed':
      return { status: message.data };
    case 'limits-changed':
      return { limits: message.data, limitsLoad: ready };
    case 'key-paused':
      return { announcement: strings.keys.pausedAnnouncement(message.data.name) };
    case 'limit-threshold':
      // The row shows it; the desktop's notice is its own.
      return {};
    case 'model-unpriced':
      return { unpricedTold: state.unpricedTold + 1 };
    case 'ledger-replaced':
      // The page is loaded anew by the actions.
      return {};
    case 'providers-changed':
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
