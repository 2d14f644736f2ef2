/** What requests of one turn of the event loop write together, and how it is written. Only the ledger uses it. */
import { assertNano, type Nano } from '#shared/money.ts';
import type { Store } from '../store/store.ts';
import { scopeId, sumOf, type Account, type Balances, type RunningBalance } from './balances.ts';
import { ownPart, recordOf, rowOf, type Hold, type Outcome } from './holds.ts';
import type { Statements } from './ledger-statements.ts';
import type { StoredRequest } from './requests.ts';
import type { Rollup } from './rollup.ts';

export interface Settlement {
  hold: Hold;
  outcome: Outcome;
  settledAt: number;
}

export interface Group {
  size: number;
  holds: { hold: Hold; limited: boolean }[];
  settlements: Settlement[];
  /** What the settlements add to each key. */
  spent: Map<string, Nano>;
  told: PromiseWithResolvers<void> | null;
}

export const emptyGroup = (): Group => ({
  size: 0,
  holds: [],
  settlements: [],
  spent: new Map(),
  told: null,
});

/** A settlement worked out: its row, and the balances it counts in. */
export interface End {
  hold: Hold;
  counted: RunningBalance[];
  /** Undefined where the key is gone. */
  account: Account | undefined;
  spent: Nano;
  own: Nano;
  row: StoredRequest;
}

/** What requests add to their key's totals. */
interface KeySums {
  credits: Nano;
  own: Nano;
  requests: number;
  unpriced: number;
  input: number;
  output: number;
  at: number;
}

function plus(sums: KeySums | undefined, { hold: { at }, spent, own, row }: End): KeySums {
  return {
    credits: (sums?.credits ?? 0) + spent - own,
    own: (sums?.own ?? 0) + own,
    requests: (sums?.requests ?? 0) + 1,
    unpriced: (sums?.unpriced ?? 0) + (row.cost_nano === null ? 1 : 0),
    input: (sums?.input ?? 0) + row.input_tokens,
    output: (sums?.output ?? 0) + row.output_tokens,
    at: Math.max(sums?.at ?? 0, at),
  };
}

/** null = no price. */
export function costOf(held: Hold, outcome: Outcome): Nano | null {
  return held.billing === 'free' ? 0 : outcome.costNano;
}

export function endOf(balances: Balances, { hold: held, outcome, settledAt }: Settlement): End {
  const counted = balances.against(held);
  const cost = costOf(held, outcome);
  const own = assertNano(ownPart(held.billing, cost ?? 0, outcome.ownKeyNano));
  // Never before the windows it counts in, wherever a wrong clock stands: that is how they are told apart later.
  const at = Math.max(settledAt, ...counted.map(({ window }) => window?.start ?? 0));
  const row = rowOf(held, outcome, { settledAt: at, cost, own });
  return { hold: held, counted, account: balances.key(held.keyId), spent: cost ?? 0, own, row };
}

interface Writing {
  store: Store;
  sql: Statements;
  balances: Balances;
  rollup: Pick<Rollup, 'seriesOf'>;
}

/** What writes holds and ends in one transaction: all of them or nothing. The balances in memory are left as they are. */
export function groupWriter({ store, sql, balances, rollup }: Writing) {
  return (holds: readonly { hold: Hold }[], ends: readonly End[]): void => {
    const byKey = new Map<string, KeySums>();
    const byScope = new Map<RunningBalance, Nano>();
    for (const end of ends) {
      byKey.set(end.hold.keyId, plus(byKey.get(end.hold.keyId), end));
      for (const balance of end.counted)
        if (balance !== end.account) byScope.set(balance, sumOf(byScope.get(balance) ?? 0, end.spent));
    }
    store.write(() => {
      for (const { hold: taken } of holds) sql.insertHold.run(recordOf(taken));
      for (const { row } of ends) {
        sql.deleteHold.run(row.id);
        row.series = rollup.seriesOf(row);
        sql.insertRequest.run(row);
      }
      for (const [id, sums] of byKey) {
        const window = balances.key(id)?.window;
        const windowUsed = (window?.usedNano ?? 0) + sums.credits + sums.own;
        const { credits, own, requests, unpriced, input, output, at } = sums;
        const start = window?.start ?? null;
        sql.addToKey.run(credits, own, requests, unpriced, input, output, at, start, windowUsed, id);
      }
      for (const [balance, spent] of byScope) writeUsage(sql, balance, spent);
    });
  };
}

/** `added` to what is spent under a limit that keys share. The usage of all keys is in the keys' own totals. */
function writeUsage(sql: Statements, { scope, usageNano, window }: RunningBalance, added: Nano): void {
  // A session's usage is in the rows and their sums.
  if (scope.kind === 'key' || scope.kind === 'session') return;
  if (window === null && (added === 0 || scope.kind === 'global')) return;
  sql.setScopeUsage.run(
    scopeId(scope),
    scope.kind === 'global' ? 0 : sumOf(usageNano, added),
    window?.start ?? null,
    sumOf(window?.usedNano ?? 0, added),
  );
}

/** Replaces the hold by the cost in the balances, once that is on record. */
export function applyTo({ hold: held, counted, account, spent, own, row }: End): void {
  for (const balance of counted) {
    balance.heldNano -= held.amountNano;
    balance.running -= 1;
    balance.requests += 1;
    balance.usageNano = sumOf(balance.usageNano, spent);
    if (balance.window) {
      balance.window.usedNano = sumOf(balance.window.usedNano, spent);
      balance.window.before = undefined;
    }
  }
  if (!account) return;
  account.usageCreditsNano += spent - own;
  account.usageOwnKeyNano += own;
  if (row.cost_nano === null) account.unpricedRequests += 1;
  account.inputTokens += row.input_tokens;
  account.outputTokens += row.output_tokens;
  account.lastUsedAt = Math.max(account.lastUsedAt ?? 0, held.at);
}
