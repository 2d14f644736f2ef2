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

/** `element` scrolls; its list begins `headHeight` below its top. */
export function useRowWindow(element: HTMLElement | null, count: number, rowHeight: number): RowWindow {
  const [range, setRange] = useState<RowWindow>({ first: 0, last: 60 });
  const measure = useCallback(() => {
    if (!element) return;
    const first = Math.max(0, Math.floor(element.scrollTop / rowHeight) - OVERSCAN);
    const last = Math.ceil((element.scrollTop + element.clientHeight) / rowHeight) + OVERSCAN;
    setRange((before) => (before.first === first && before.last === last ? before : { first, last }));
  }, [element, rowHeight]);
  useLayoutEffect(() => {
    if (!element) return;
    element.addEventListener('scroll', measure, { passive: true });
    // Tells of the size it finds, too.
    const resized = new ResizeObserver(measure);
    resized.observe(element);
    return () => {
      element.removeEventListener('scroll', measure);
      resized.disconnect();
    };
  }, [element, measure]);
  return { first: Math.min(range.first, Math.max(0, count - 1)), last: Math.min(range.last, count - 1) };
}
