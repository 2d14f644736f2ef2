/** What the window does: asks the gateway, folds the answer into the store. Pages call these and never the transport. */
import type { Answer, Input, MethodName, Output } from '#shared/contract.ts';
import type { KeyRow } from '#shared/model.ts';
import { openBackend, type EventMessage } from './backend.ts';
import { frameQueue } from './frames.ts';
import {
  applyEvent,
  applyKeyChanges,
  keysFrom,
  ready,
  app,
  type AppState,
  type Dialog,
  type RequestFilter,
} from './store.ts';

const backend = openBackend();
const { getState, setState } = app;

export const isDesktop = backend.desktop;

export function call<N extends MethodName>(name: N, input: Input<N>): Promise<Answer<Output<N>>> {
  return backend.call(name, input);
}

/** Key changes that arrive while a list is under way are newer than the list and are put on top of it again. */
let changesSinceAsked: Extract<EventMessage, { name: 'keys-changed' }>[] | null = null;
const lastTold = new Map<string, number>();
let told = 0;

const pushed = frameQueue<EventMessage>((messages) => {
  const state = { ...getState() };
  for (const message of messages) Object.assign(state, applyEvent(state, message));
  setState(state);
});

export function start(): () => void {
  return backend.subscribe({
    connection(connection) {
      setState({ connection });
      // Events sent while the line was down are lost, so everything on screen is asked for again.
      if (connection === 'online') void reloadAll();
    },
    event(message) {
      if (message.name === 'keys-changed') {
        changesSinceAsked?.push(message);
        told += 1;
        for (const row of message.data.rows) lastTold.set(row.id, told);
      }
      pushed.push(message);
      if (message.name === 'providers-changed') {
        void loadProviders();
        if (getState().pricesLoad.state === 'ready') void loadPrices();
      }
    },
  });
}

async function reloadAll(): Promise<void> {
  const loads = [loadStatus(), loadSettings(), loadKeys(), loadProviders()];
  if (getState().requestsLoad.state !== 'loading') loads.push(loadRequests());
  if (getState().pricesLoad.state !== 'loading') loads.push(loadPrices());
  await Promise.all(loads);
}

async function loadStatus(): Promise<void> {
  const answer = await call('status.get', {});
  if (answer.ok) setState({ status: answer.value });
}

async function loadSettings(): Promise<void> {
  const answer = await call('settings.get', {});
  if (answer.ok) setState({ settings: answer.value });
}

export async function loadKeys(): Promise<void> {
  changesSinceAsked = [];
  const answer = await call('keys.list', {});
  pushed.flush();
  const missed = changesSinceAsked;
  changesSinceAsked = null;
  if (!answer.ok) return setState({ keysLoad: failed(answer.error.message) });
  setState({ ...keysFrom(answer.value), keysLoad: ready });
  for (const message of missed) setState(applyEvent(getState(), message));
}

export async function loadProviders(): Promise<void> {
  const answer = await call('providers.list', {});
  setState(
    answer.ok
      ? { providers: answer.value, providersLoad: ready }
      : { providersLoad: failed(answer.error.message) },
  );
}

export async function loadPrices(): Promise<void> {
  const answer = await call('prices.list', {});
  setState(
    answer.ok ? { prices: answer.value, pricesLoad: ready } : { pricesLoad: failed(answer.error.message) },
  );
}

const REQUESTS_PAGE = 100;

export async function loadRequests(): Promise<void> {
  const { requestFilter } = getState();
  const answer = await call('requests.list', { ...filterInput(requestFilter), limit: REQUESTS_PAGE });
  if (getState().requestFilter !== requestFilter) return;
  setState(
    answer.ok
      ? { requests: answer.value.rows, requestsNext: answer.value.next, requestsLoad: ready }
      : { requestsLoad: failed(answer.error.message) },
  );
}

/** Returns the gateway's sentence where it failed; the rows already shown stay. */
export async function loadOlderRequests(): Promise<string | null> {
  const { requestFilter, requestsNext } = getState();
  if (requestsNext === null) return null;
  const answer = await call('requests.list', {
    ...filterInput(requestFilter),
    before: requestsNext,
    limit: REQUESTS_PAGE,
  });
  if (!answer.ok) return answer.error.message;
  if (getState().requestFilter !== requestFilter) return null;
  const known = new Set(getState().requests.map((row) => row.id));
  const older = answer.value.rows.filter((row) => !known.has(row.id));
  setState((state) => ({ requests: [...state.requests, ...older], requestsNext: answer.value.next }));
  return null;
}

export function setRequestFilter(filter: Partial<RequestFilter>): void {
  setState((state) => ({
    requestFilter: { ...state.requestFilter, ...filter },
    requests: [],
    requestsNext: null,
    requestsLoad: { state: 'loading' },
  }));
  void loadRequests();
}

function filterInput(filter: RequestFilter) {
  return {
    ...(filter.keyId === null ? {} : { keyId: filter.keyId }),
    ...(filter.status === null ? {} : { status: filter.status }),
  };
}

const failed = (message: string) => ({ state: 'failed', message }) as const;

/** Calls that answer with a key's row; the row is shown at once, unless a newer one was pushed in the meantime. */
export async function changeKey<N extends 'keys.update' | 'keys.setLimit'>(
  name: N,
  input: Input<N>,
): Promise<Answer<Output<N>>> {
  const asked = told;
  const answer = await call(name, input);
  if (answer.ok) showKey(answer.value, asked);
  return answer;
}

export async function createKey(input: Input<'keys.create'>): Promise<Answer<Output<'keys.create'>>> {
  const asked = told;
  const answer = await call('keys.create', input);
  if (answer.ok) showKey(answer.value.key, asked);
  return answer;
}

export async function rotateKey(id: string): Promise<Answer<Output<'keys.rotate'>>> {
  const asked = told;
  const answer = await call('keys.rotate', { id });
  if (answer.ok) showKey(answer.value.key, asked);
  return answer;
}

export async function deleteKey(id: string): Promise<Answer<Output<'keys.delete'>>> {
  const answer = await call('keys.delete', { id });
  pushed.flush();
  if (answer.ok) setState((state) => applyKeyChanges(state, { rows: [], removed: [id] }));
  return answer;
}

function showKey(row: KeyRow, asked: number): void {
  pushed.flush();
  if ((lastTold.get(row.id) ?? 0) > asked) return;
  setState((state) => applyKeyChanges(state, { rows: [row], removed: [] }));
}

/** Runs a call that changes providers or prices and shows the new lists without waiting for the event. */
export async function changeProviders<
  N extends `providers.${'create' | 'update' | 'delete'}` | `prices.${'set' | 'remove'}`,
>(name: N, input: Input<N>): Promise<Answer<Output<N>>> {
  const answer = await call(name, input);
  if (answer.ok) await (name.startsWith('prices.') ? loadPrices() : loadProviders());
  return answer;
}

export async function saveSettings(change: Input<'settings.set'>): Promise<Answer<Output<'settings.set'>>> {
  const answer = await call('settings.set', change);
  if (answer.ok) setState({ settings: answer.value });
  return answer;
}

export async function correctCost(
  input: Input<'requests.correct'>,
): Promise<Answer<Output<'requests.correct'>>> {
  const answer = await call('requests.correct', input);
  if (answer.ok) {
    setState((state) => ({
      requests: state.requests.map((row) => (row.id === answer.value.id ? answer.value : row)),
    }));
  }
  return answer;
}

let opener: HTMLElement | null = null;

/** `from` is where the focus returns to; by default the element that has it now. */
export function openDialog(dialog: Dialog, from?: HTMLElement | null): void {
  opener = from ?? (document.activeElement instanceof HTMLElement ? document.activeElement : null);
  setState({ dialog });
}

let beforePalette: HTMLElement | null = null;

export function setPalette(palette: boolean): void {
  if (palette) beforePalette = document.activeElement instanceof HTMLElement ? document.activeElement : null;
  setState({ palette });
}

/** Where the focus was before the palette took it, and where it goes again. */
export const paletteOpener = () => beforePalette;

export function closeDialog(): void {
  const target = opener;
  opener = null;
  setState({ dialog: null });
  // After React has taken the dialog (and its focus trap) away.
  requestAnimationFrame(() => {
    if (target?.isConnected) target.focus();
    else document.querySelector<HTMLElement>('main')?.focus();
  });
}

export function announce(announcement: AppState['announcement']): void {
  setState({ announcement });
}
