/** Tells subscribers what changed, coalesced: a busy key is one event every frame or so, not one a request. */
import type { EventData } from '#shared/contract.ts';
import type { KeyRow, RequestRow, SharedLimits, Status } from '#shared/model.ts';
import type { EventMessage } from '#shared/wire.ts';

export type EventListener = (event: EventMessage) => void;

export interface Announcer {
  keyChanged(keyId: string): void;
  settled(row: () => RequestRow): void;
  statusChanged(): void;
  providersChanged(): void;
  modelUnpriced(refused: EventData<'model-unpriced'>): void;
  limitsChanged(): void;
  /** At once: what a person is to be told of. */
  tell(event: EventMessage<'limit-threshold' | 'key-paused'>): void;
  subscribe(listener: EventListener): () => void;
  /** Sends what is pending, now. */
  flush(): void;
  close(): void;
}

/** About one frame of a 30 Hz display: a person sees it move, the window is not flooded. */
const COALESCE_MS = 33;
/** A burst longer than this is told in part; the window asks for the rest when it looks. */
const MAX_ROWS = 500;

export function createAnnouncer(sources: {
  keyRow(keyId: string): KeyRow | undefined;
  status(): Status;
  limits(): SharedLimits;
}): Announcer {
  const listeners = new Set<EventListener>();
  const keys = new Set<string>();
  let rows: (() => RequestRow)[] = [];
  let status = false;
  let providers = false;
  /** By provider and model: a client that asks again and again is told of once a flush. */
  const unpriced = new Map<string, EventData<'model-unpriced'>>();
  let limits = false;
  let timer: NodeJS.Timeout | undefined;

  const schedule = () => {
    // Without anyone listening there is nothing to collect.
    if (listeners.size > 0) timer ??= setTimeout(flush, COALESCE_MS);
  };

  function emit(event: EventMessage): void {
    for (const listener of listeners) listener(event);
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (keys.size > 0) {
      const changed = [...keys].map((id) => [id, sources.keyRow(id)] as const);
      keys.clear();
      emit({
        name: 'keys-changed',
        data: {
          rows: changed.flatMap(([, row]) => (row ? [row] : [])),
          removed: changed.flatMap(([id, row]) => (row ? [] : [id])),
        },
      });
    }
    if (rows.length > 0) {
      const settled = rows;
      rows = [];
      emit({ name: 'request-settled', data: { rows: settled.map((row) => row()) } });
    }
    if (providers) {
      providers = false;
      emit({ name: 'providers-changed', data: {} });
    }
    for (const refused of unpriced.values()) emit({ name: 'model-unpriced', data: refused });
    unpriced.clear();
    if (limits) {
      limits = false;
      emit({ name: 'limits-changed', data: sources.limits() });
    }
    if (status) {
      status = false;
      emit({ name: 'status-changed', data: sources.status() });
    }
  }

  return {
    keyChanged(keyId) {
      if (listeners.size === 0) return;
      keys.add(keyId);
      // The totals of all keys are part of the status.
      status = true;
      schedule();
    },
    settled(row) {
      if (listeners.size === 0) return;
      if (rows.length >= MAX_ROWS) rows.shift();
      rows.push(row);
      schedule();
    },
    statusChanged() {
      status = true;
      schedule();
    },
    providersChanged() {
      providers = true;
      schedule();
    },
    modelUnpriced(refused) {
      if (listeners.size === 0) return;
      unpriced.set(`${refused.provider}\n${refused.model}`, refused);
      schedule();
    },
    limitsChanged() {
      if (listeners.size === 0) return;
      limits = true;
      schedule();
    },
    tell: emit,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    flush,
    close() {
      clearTimeout(timer);
      listeners.clear();
    },
  };
}
