/**
 * Which rows of a list of equal rows are on screen. All rows are one height, so their places are a multiplication; a
 * measuring virtualizer would keep an entry for each of a million rows to find out the same.
 */
import { useCallback, useLayoutEffect, useState } from 'react';

export interface RowWindow {
  first: number;
  /** Inclusive. */
  last: number;
}

/** Rows drawn beyond each edge, so that a fast scroll finds them there. */
const OVERSCAN = 12;
/** Before anything is measured: more than most screens hold. */
const UNMEASURED: RowWindow = { first: 0, last: 40 };

/**
 * `scroller` scrolls the rows in `list`; without one, rows begin where its own content does. A list of at most `whole`
 * rows is drawn whole: the browser's own search finds all of it.
 */
export function useRowWindow(
  scroller: HTMLElement | null,
  count: number,
  rowHeight: number,
  { list = null, whole = 0 }: { list?: HTMLElement | null; whole?: number } = {},
): RowWindow {
  const [range, setRange] = useState(UNMEASURED);
  const measure = useCallback(() => {
    if (!scroller) return;
    const above = list
      ? scroller.getBoundingClientRect().top - list.getBoundingClientRect().top
      : scroller.scrollTop;
    const first = Math.max(0, Math.floor(above / rowHeight) - OVERSCAN);
    const last = Math.ceil((above + scroller.clientHeight) / rowHeight) + OVERSCAN;
    setRange((before) => (before.first === first && before.last === last ? before : { first, last }));
  }, [scroller, list, rowHeight]);
  useLayoutEffect(() => {
    if (!scroller) return;
    scroller.addEventListener('scroll', measure, { passive: true });
    // Tells of the size it finds, too.
    const resized = new ResizeObserver(measure);
    resized.observe(scroller);
    return () => {
      scroller.removeEventListener('scroll', measure);
      resized.disconnect();
    };
  }, [scroller, measure]);
  if (count <= whole) return { first: 0, last: count - 1 };
  return { first: Math.min(range.first, Math.max(0, count - 1)), last: Math.min(range.last, count - 1) };
}
