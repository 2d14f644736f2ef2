/** Going back shows a page where it was left. */
import { useCallback } from 'react';

const KEPT = 50;
const positions = new Map<string, number>();

/** A ref for the element that scrolls; it is mounted anew for every page. */
export function useScrollMemory(): (element: HTMLElement | null) => (() => void) | void {
  return useCallback((element: HTMLElement | null) => {
    if (!element) return;
    const address = location.hash;
    const before = positions.get(address) ?? 0;
    // Rows may come a moment after the page; what cannot be reached yet is tried once more.
    element.scrollTop = before;
    const again = requestAnimationFrame(() => {
      if (element.scrollTop < before) element.scrollTop = before;
    });
    const onScroll = () => {
      positions.delete(address);
      positions.set(address, element.scrollTop);
      const oldest = positions.keys().next().value;
      if (positions.size > KEPT && oldest !== undefined) positions.delete(oldest);
    };
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      cancelAnimationFrame(again);
      element.removeEventListener('scroll', onScroll);
    };
  }, []);
}
