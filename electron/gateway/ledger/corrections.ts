/** What a row of usage did cost, told after the fact: by hand, or by a price that was set since. Part of the ledger. */
import type { RequestRow } from '#shared/model.ts';
import { assertNano, type Nano } from '#shared/money.ts';
import type { Balance, Window } from '../config/limits.ts';
import type { Store } from '../store/store.ts';
import { scopeId, sumOf, type Balances, type Counted, type RunningBalance } from './balances.ts';
import { ownPart } from './holds.ts';
import type { Statements } from './ledger-statements.ts';
import type { PeriodTotals } from './period-totals.ts';
import { toRequestRow, type StoredRequest } from './requests.ts';

export interface Corrections {
  correct(requestId: number, costNano: Nano, reason: string): RequestRow | null;
  /**
   * Gives rows without a price the cost that `priceOf` says, all in one transaction; rows that have one by now, and
   * those it answers null for, stay as they are. Returns how many were priced. The caller keeps the number of rows small
   * and comes back for more: every stream stands still meanwhile.
   */
  priceUnpriced(requestIds: readonly number[], priceOf: RowPricer, reason: string): number;
}

/** A cost worked out after the fact, with what it was worked out from. */
export interface RowCost {
  costNano: Nano;
  computedCostNano: Nano | null;
  /** As JSON, frozen in the row. */
  price: string | null;
  priceSource: string | null;
  /** Adds the flag; one that the row has stays. */
  estimated: boolean;
}

export type RowPricer = (row: StoredRequest) => RowCost | null;

interface CostChange {
  before: StoredRequest;
  after: StoredRequest;
  delta: Nano;
  ownDelta: Nano;
  /** Looked up before anything is written: what is summed up afterwards has the change already. */
  counted: readonly RunningBalance[];
}

export function createCorrections({
  store,
  sql,
  balances,
  period,
  now,
  told,
  freed,
  settled,
}: {
  store: Store;
  sql: Statements;
  balances: Balances;
  period: PeriodTotals;
  now: () => number;
  told(counts: Counted): void;
  freed(counts: Counted): void;
  settled(row: () => RequestRow): void;
}): Corrections {
  /** What another cost of a row changes, worked out before anything is written. */
  function changeOf(before: StoredRequest, cost: RowCost): CostChange {
    const own = ownPart(before.billing, assertNano(cost.costNano), before.cost_own_key_nano);
    const delta = assertNano(cost.costNano - (before.cost_nano ?? 0));
    const flags = new Set(before.flags.split(',').filter((flag) => flag !== '' && flag !== 'unpriced'));
    flags.add('corrected');
    if (cost.estimated) flags.add('estimated');
    return {
      before,
      after: {
        ...before,
        cost_nano: cost.costNano,
        cost_own_key_nano: own,
        computed_cost_nano: cost.computedCostNano,
        price: cost.price,
        price_source: cost.priceSource,
        flags: [...flags].join(','),
      },
      delta,
      ownDelta: own - before.cost_own_key_nano,
      counted: balances.against(countedBy(before)),
    };
  }

  function write({ before, after, delta, ownDelta, counted }: CostChange, reason: string): void {
    sql.insertCorrection.run(before.id, now(), before.cost_nano, after.cost_nano, reason);
    sql.correctRequest.run({
      id: before.id,
      cost: after.cost_nano,
      own: after.cost_own_key_nano,
      computed: after.computed_cost_nano,
      price: after.price,
      source: after.price_source,
      flags: after.flags,
    });
    const account = balances.key(before.key_id);
    sql.adjustKey.run({
      id: before.key_id,
      credits: delta - ownDelta,
      own: ownDelta,
      unpriced: before.cost_nano === null ? -1 : 0,
      window: account && windowOf(account, before) ? delta : 0,
    });
    for (const balance of counted) {
      const { scope } = balance;
      if (scope.kind === 'key' || scope.kind === 'session') continue;
      sql.adjustScope.run({
        id: scopeId(scope),
        usage: scope.kind === 'provider' ? delta : 0,
        window: windowOf(balance, before) ? delta : 0,
      });
    }
  }

  /** After the commit: the mirror in memory, and whoever looks. */
  function apply({ before, after, delta, ownDelta, counted }: CostChange): void {
    for (const balance of counted) {
      balance.usageNano = sumOf(balance.usageNano, delta);
      const window = windowOf(balance, before);
      if (window) window.usedNano = sumOf(window.usedNano, delta);
      const carried = carriedIn(balance, before);
      if (carried) carried.nano = sumOf(carried.nano, delta);
    }
    const account = balances.key(before.key_id);
    if (account) {
      account.usageCreditsNano += delta - ownDelta;
      account.usageOwnKeyNano += ownDelta;
      if (before.cost_nano === null) account.unpricedRequests -= 1;
    }
    period.add(before.at, delta);
    told(countedBy(before));
    settled(() => toRequestRow(after));
  }

  return {
    correct(requestId, costNano, reason) {
      const before = sql.request.get(requestId);
      if (!before) return null;
      const change = changeOf(before, {
        costNano,
        computedCostNano: before.computed_cost_nano,
        price: before.price,
        priceSource: before.price_source,
        estimated: before.flags.split(',').includes('estimated'),
      });
      store.write(() => write(change, reason));
      apply(change);
      freed(countedBy(before));
      return toRequestRow(change.after);
    },

    priceUnpriced(requestIds, priceOf, reason) {
      const changes: CostChange[] = [];
      for (const id of requestIds) {
        const before = sql.request.get(id);
        // Priced by an earlier run, or by hand in the meantime: once is enough.
        if (!before || before.cost_nano !== null) continue;
        const priced = priceOf(before);
        if (priced) changes.push(changeOf(before, priced));
      }
      if (changes.length === 0) return 0;
      store.write(() => {
        for (const change of changes) write(change, reason);
      });
      for (const change of changes) apply(change);
      // Told even where money only went: what waits finds out at once that it has reached the limit.
      const counts = new Map(
        changes.map(({ before }) => [`${before.key_id} ${before.provider_id}`, countedBy(before)]),
      );
      for (const each of counts.values()) freed(each);
      return changes.length;
    },
  };
}

function countedBy(row: StoredRequest): Counted {
  return { keyId: row.key_id, providerId: row.provider_id ?? '', session: row.session };
}

/**
 * A cost counts in the window in which it was settled; null where that is long over. As long as nothing was settled in
 * the current one it is the one before that the file has, and that goes on should the clock be set back.
 */
function windowOf({ window }: Balance, row: StoredRequest): Window | null {
  const settled = window?.before ?? window;
  return settled !== null && row.settled_at >= settled.start ? settled : null;
}

/** What was spent before a window that the clock was set back behind; null where the cost is not of that time. */
function carriedIn({ window }: Balance, row: StoredRequest): Window['carried'] | null {
  const carried = window?.carried;
  const within = carried && row.settled_at >= carried.from && row.settled_at < (window?.start ?? 0);
  return within ? carried : null;
}
