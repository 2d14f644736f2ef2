/**
 * What a page asks the gateway for itself, as opposed to what every page shares in the store: the last answer stays on
 * screen while it is asked again, and is there at once when a person comes back to the page.
 */
import { useCallback, useEffect, useState, useSyncExternalStore } from 'react';
import type { Input, MethodName, Output } from '#shared/contract.ts';
import { call } from '../actions.ts';
import { app, ready, type Loading } from '../store.ts';

export interface Asked<Value> {
  /** The last answer to this very question; null before the first, which `load` tells apart from an answer that is null. */
  value: Value | null;
  load: Loading;
  /** The value is of an earlier moment and is being asked for again. */
  refreshing: boolean;
  reload: () => void;
}

interface Entry {
  /** undefined before the first answer. */
  value: unknown;
  failure: string | null;
  refreshing: boolean;
}

const KEPT = 60;
const entries = new Map<string, Entry>();
const tellers = new Set<() => void>();

function put(key: string, change: Partial<Entry>): void {
  const before = entries.get(key) ?? { value: undefined, failure: null, refreshing: false };
  // Put last again: the oldest entries are the ones to go.
  entries.delete(key);
  entries.set(key, { ...before, ...change });
  for (const oldest of entries.keys()) {
    if (entries.size <= KEPT) break;
    entries.delete(oldest);
  }
  for (const tell of tellers) tell();
}

const onChange = (tell: () => void) => {
  tellers.add(tell);
  return () => tellers.delete(tell);
};

/** Settled requests come many a second; aggregates are asked for at most this often. */
const REFRESH_MS = 2_500;

/** `live`: asked again when requests are settled. With `input` null nothing is asked. */
export function useAnswer<N extends MethodName>(
  name: N,
  input: Input<N> | null,
  options: { live?: boolean } = {},
): Asked<Output<N>> {
  const question = input === null ? '' : JSON.stringify(input);
  const key = question && `${name} ${question}`;
  const entry = useSyncExternalStore(onChange, () => entries.get(key));

  const ask = useCallback(async () => {
    if (question === '' || entries.get(key)?.refreshing) return;
    put(key, { refreshing: true });
    // Read back from the text, so that the callback changes with what is asked and not with each new object.
    const answer = await call(name, JSON.parse(question) as Input<N>);
    put(
      key,
      answer.ok
        ? { value: answer.value, failure: null, refreshing: false }
        : { failure: answer.error.message, refreshing: false },
    );
  }, [key, name, question]);

  useEffect(() => {
    if (key === '') return;
    void ask();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last = Date.now();
    const unsubscribe = app.subscribe((state, before) => {
      const isBack = state.connection === 'online' && before.connection !== 'online';
      const settled = options.live && state.settledCount !== before.settledCount;
      if (isBack) void ask();
      else if (settled) {
        timer ??= setTimeout(
          () => {
            timer = undefined;
            last = Date.now();
            void ask();
          },
          Math.max(0, last + REFRESH_MS - Date.now()),
        );
      }
    });
    return () => {
      clearTimeout(timer);
      unsubscribe();
    };
  }, [ask, key, options.live]);

  const value = (entry?.value ?? null) as Output<N> | null;
  return {
    value,
    load:
      entry?.value !== undefined
        ? ready
        : entry?.failure != null
          ? { state: 'failed', message: entry.failure }
          : { state: 'loading' },
    refreshing: entry?.refreshing ?? false,
    reload: () => void ask(),
  };
}

/** The answer before stays while a new question (another period, another grouping) is under way, so nothing jumps. */
export function useLatest<Value>(asked: Asked<Value>): Asked<Value> {
  const [last, setLast] = useState(asked.value);
  if (asked.value !== null && asked.value !== last) setLast(asked.value);
  if (asked.value !== null || last === null || asked.load.state === 'failed') return asked;
  return { ...asked, value: last, load: ready, refreshing: true };
}
