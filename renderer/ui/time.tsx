import { useSyncExternalStore } from 'react';
import { formatAgo, formatAhead, formatDate, formatExact, formatWhen } from '../format.ts';

/** One clock for all relative times on screen; a text is drawn again only where it has changed. */
const TICK_MS = 15_000;
const tellers = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function onTick(tell: () => void): () => void {
  tellers.add(tell);
  timer ??= setInterval(() => tellers.forEach((each) => each()), TICK_MS);
  return () => {
    tellers.delete(tell);
    if (tellers.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

export function Ago({ iso }: { iso: string }) {
  const text = useSyncExternalStore(onTick, () => formatAgo(iso, Date.now()));
  return (
    <time dateTime={iso} title={formatExact(iso)}>
      {text}
    </time>
  );
}

export function When({ iso, seconds = false }: { iso: string; seconds?: boolean }) {
  const text = useSyncExternalStore(onTick, () => formatWhen(iso, Date.now(), seconds));
  return (
    <time dateTime={iso} title={formatExact(iso)}>
      {text}
    </time>
  );
}

export function Day({ iso }: { iso: string }) {
  const text = useSyncExternalStore(onTick, () => formatDate(iso, Date.now()));
  return (
    <time dateTime={iso} title={formatExact(iso)}>
      {text}
    </time>
  );
}

/** A moment to come. */
export function Ahead({ iso }: { iso: string }) {
  const text = useSyncExternalStore(onTick, () => formatAhead(iso, Date.now()));
  return (
    <time dateTime={iso} title={formatExact(iso)}>
      {text}
    </time>
  );
}
