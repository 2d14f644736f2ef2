/** What the window does: asks the gateway, folds the answer into the store. Pages call these and never the transport. */
import type { Answer, Input, MethodName, Output } from '#shared/contract.ts';
import type { KeyRow, RequestRow } from '#shared/model.ts';
import type { EventMessage } from '#shared/wire.ts';
import { openBackend } from './backend.ts';
import { frameQueue } from './frames.ts';
import { notifyUnpriced } from './prices/notice.tsx';
import { applyEvent, applyKeyChanges, keysFrom, ready, app, type AppState, type Dialog } from './store.ts';

const backend = openBackend();
const { getState, setState } = app;

export const isDesktop = backend.desktop;

export function call<N extends MethodName>(name: N, input: Input<N>): Promise<Answer<Output<N>>> {
  return backend.call(name, input);
}

/** Key changes that arrive while a list is under way are newer than the list and are put on top of it again. */
let changesSinceAsked: EventMessage<'keys-changed'>[] | null = null;
const lastTold = new Map<string, number>();
let told = 0;

const pushed = frameQueue<EventMessage>((messages) => {
  const state = { ...getState() };
  for (const message of messages) Object.assign(state, applyEvent(state, message));
  setState(state);
  tellSettled(messages);
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
      // Another ledger, and with it perhaps another version of everything that is shown.
      if (message.name === 'ledger-replaced') return location.reload();
      pushed.push(message);
      if (message.name === 'model-unpriced') notifyUnpriced(message.data);
      if (message.name === 'providers-changed') {
        void loadProviders();
        void loadLimits();
        if (getState().pricesLoad.state === 'ready') void loadPrices();
      }
    },
  });
}

async function reloadAll(): Promise<void> {
  const loads = [loadStatus(), loadSettings(), loadKeys(), loadProviders(), loadLimits()];
  if (getState().pricesLoad.state !== 'loading') loads.push(loadPrices());
  await Promise.all(loads);
}

async function loadStatus(): Promise<void> {
  const answer = await call('status.get', {});
  if (answer.ok) setState({ status: answer.value });
}

export async function loadSettings(): Promise<void> {
  const answer = await call('settings.get', {});
  setState(
    answer.ok
      ? { settings: answer.value, settingsLoad: ready }
      : { settingsLoad: failed(answer.error.message) },
  );
}

export async function loadLimits(): Promise<void> {
  const answer = await call('limits.get', {});
  setState(
    answer.ok ? { limits: answer.value, limitsLoad: ready } : { limitsLoad: failed(answer.error.message) },
  );
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

type SettledListener = (rows: readonly RequestRow[]) => void;
const settledListeners = new Set<SettledListener>();

/** Tells of requests that were settled or corrected, once a frame. Returns the function that ends it. */
export function onSettled(listener: SettledListener): () => void {
  settledListeners.add(listener);
  return () => settledListeners.delete(listener);
}

function tellSettled(messages: readonly EventMessage[]): void {
  const rows = messages.flatMap((message) => (message.name === 'request-settled' ? message.data.rows : []));
  if (rows.length > 0) for (const listener of settledListeners) listener(rows);
}

const failed = (message: string) => ({ state: 'failed', message }) as const;

/** Calls that answer with a key's row; the row is shown at once, unless a newer one was pushed in the meantime. */
export async function changeKey<N extends 'keys.update' | 'keys.setLimit' | 'keys.topUp' | 'keys.resume'>(
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
  if (answer.ok) for (const listener of settledListeners) listener([answer.value]);
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
