import { useEffect } from 'react';
import { app } from '../store.ts';

/** Calls `reload` when prices have changed, or a request was refused for want of one. */
export function usePriceChanges(reload: () => void): void {
  useEffect(
    () =>
      app.subscribe((state, before) => {
        // Own prices are asked for again whenever any price has changed, the catalogue's among them.
        if (state.prices !== before.prices || state.unpricedTold !== before.unpricedTold) reload();
      }),
    [reload],
  );
}
