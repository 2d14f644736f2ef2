/**
 * What providers billed beyond the bound. The evidence is the ledger's own rows, flagged `overrun`; what is learned from
 * them makes the next holds for the same model of the same provider larger.
 */
import type { RequestFlag } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';
import type { Store } from '../store/store.ts';
import { flagsOf, ODD_ROWS } from './requests.ts';

export interface Overruns {
  /** What bounds for this model are multiplied with: 1 where no bill was ever above one. */
  ratio(providerSlug: string, model: string): number;
  /** Takes note of a request's end; only one that was billed beyond its hold changes anything. */
  learn(
    hold: { provider: string; model: string; amountNano: Nano },
    outcome: { costNano: Nano | null; flags: readonly RequestFlag[] },
  ): void;
}

/** Above what was seen: one bill beyond the bound is rarely the largest. */
const MARGIN = 1.1;

/** One absurd bill should make a model dear to ask, not impossible. */
const MOST = 100;

/** How many of the newest rows are looked through at the start. */
const ROWS = 200_000;

export function createOverruns(store: Store): Overruns {
  const ratios = new Map<string, number>();
  const keyOf = (provider: string, model: string) => `${provider}\n${model}`;

  const learn: Overruns['learn'] = ({ provider, model, amountNano }, { costNano, flags }) => {
    // An estimate is no bill, a correction no answer, and a bound of nothing has no multiple.
    const isBill = flags.includes('overrun') && !flags.includes('estimated') && !flags.includes('corrected');
    if (!isBill || costNano === null || amountNano <= 0 || costNano <= amountNano) return;
    // The hold had the ratio in it already, where it was the whole bound.
    const excess =
      (costNano / amountNano) * (flags.includes('clamped') ? 1 : (ratios.get(keyOf(provider, model)) ?? 1));
    const next = Math.min(MOST, excess * MARGIN);
    ratios.set(keyOf(provider, model), Math.max(next, ratios.get(keyOf(provider, model)) ?? 1));
  };

  const known = store.db.prepare<
    [number],
    { provider: string; model: string; costNano: Nano | null; amountNano: Nano; flags: string }
  >(
    `SELECT provider, model_asked AS model, cost_nano AS costNano, held_nano AS amountNano, flags
     FROM requests INDEXED BY requests_odd
     WHERE ${ODD_ROWS} AND id > (SELECT COALESCE(MAX(id), 0) FROM requests) - ? AND flags LIKE '%overrun%' ORDER BY id`,
  );
  for (const row of known.all(ROWS)) learn(row, { costNano: row.costNano, flags: flagsOf(row) });

  return { ratio: (provider, model) => ratios.get(keyOf(provider, model)) ?? 1, learn };
}
