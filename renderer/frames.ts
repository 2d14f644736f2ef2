/** Folds what was pushed since the last frame into one change, so that sixty events a second cost one drawing each frame. */

/** A hidden window has no frames; what it missed is drawn when it is seen, or this often. */
const HIDDEN_MS = 500;

export interface FrameQueue<Item> {
  push(item: Item): void;
  /** Applies what is waiting, now. */
  flush(): void;
}

export function frameQueue<Item>(apply: (items: readonly Item[]) => void): FrameQueue<Item> {
  let waiting: Item[] = [];
  let cancel: (() => void) | null = null;

  const flush = () => {
    cancel?.();
    cancel = null;
    if (waiting.length === 0) return;
    const items = waiting;
    waiting = [];
    apply(items);
  };

  return {
    push(item) {
      waiting.push(item);
      cancel ??= nextFrame(flush);
    },
    flush,
  };
}

function nextFrame(run: () => void): () => void {
  const timer = setTimeout(run, HIDDEN_MS);
  const frame = requestAnimationFrame(run);
  return () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
  };
}
