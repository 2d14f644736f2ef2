/**
 * Models without a price: what they are, and pricing their past rows once there is a price. An explicit action of the
 * person's; the ledger does the writing.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PriceAmounts } from '#shared/model.ts';
import { MAX_COST_NANO, type Nano } from '#shared/money.ts';
import type { Repricing, UnpricedModel } from '#shared/pricing.ts';
import type { Key, Keys } from '../config/keys.ts';
import { limitState } from '../config/limits.ts';
import type { Provider, Providers } from '../config/providers.ts';
import { billableOf, billFor, readBill } from '../pricing/bill.ts';
import type { Price } from '../pricing/cost.ts';
import { priceAmounts, type Prices } from '../pricing/prices.ts';
import type { Store } from '../store/store.ts';
import type { Account, Ledger, RowCost } from './ledger.ts';
import { usageOf, type StoredRequest } from './requests.ts';

export interface Unpriced {
  /** Counts a refusal, for the person who comes to set the price; kept until the process ends. */
  refused(provider: Provider, model: string): void;
  list(): UnpricedModel[];
  /** The provider by its id or slug. With `apply` the rows are written, in small transactions, between which others run. */
  reprice(which: { provider: Provider; model: string; apply: boolean }): Promise<Repricing>;
}

interface Dependencies {
  store: Store;
  keys: Keys;
  ledger: Ledger;
  prices: Prices;
  providers: Providers;
  now: () => number;
}

/** Rows written in one transaction: some milliseconds, in which no stream moves. */
const CHUNK_ROWS = 200;
/** More than any request has, and few enough for every price to stay within the whole numbers. */
const MOST_TOKENS = 500_000_000;
/** A client with a new model name at each request must not fill the memory. */
const REFUSALS_KEPT = 200;

/** What a row that kept nothing beside its columns is taken for. */
const standard = { serviceTier: null, askedTier: null, terms: {}, extraPasses: [] };

export function createUnpriced({ store, keys, ledger, prices, providers, now }: Dependencies): Unpriced {
  const { db } = store;
  const groups = db.prepare<[], GroupRecord>(
    `SELECT provider, model_asked AS model, count(*) AS requests, sum(input_tokens) AS inputTokens,
       sum(output_tokens) AS outputTokens, max(at) AS lastAt
     FROM requests WHERE cost_nano IS NULL GROUP BY provider, model_asked`,
  );
  const rowsAfter = db.prepare<[string, string, number], StoredRequest>(
    `SELECT * FROM requests WHERE cost_nano IS NULL AND provider = ? AND model_asked = ? AND id > ?
     ORDER BY id LIMIT ${CHUNK_ROWS}`,
  );
  const refusals = new Map<string, { provider: string; model: string; count: number; lastAt: number }>();

  /** As it would have been settled: the own price of what was asked for, else the price of what answered. */
  function priceOfRow(provider: Provider, row: StoredRequest): Price | null {
    const asked = prices.find(provider, row.model_asked, row.at);
    if (asked?.source === 'own' || row.model === row.model_asked) return asked;
    return prices.find(provider, row.model, row.at) ?? asked;
  }

  /**
   * null where nothing was seen of the request: no tokens times any price would be a silent zero. And where its provider
   * reported what no request can use or cost.
   */
  function costOfRow(provider: Provider, row: StoredRequest): RowCost | null {
    const price = priceOfRow(provider, row);
    const nothingSeen = row.input_tokens === 0 && row.output_tokens === 0;
    if (price === null || (nothingSeen && provider.billing !== 'free')) return null;
    if (row.input_tokens + row.output_tokens > MOST_TOKENS) return null;
    const kept = readBill(row.price);
    const { nano, estimated, bill } = billFor(
      price,
      (kept && billableOf(kept)) ?? { ...standard, usage: usageOf(row) },
      (model) => prices.find(provider, model, row.at),
    );
    if ((nano ?? 0) > MAX_COST_NANO) return null;
    return {
      costNano: nano ?? 0,
      computedCostNano: nano,
      price: JSON.stringify(bill),
      priceSource: price.source,
      estimated,
    };
  }

  return {
    refused(provider, model) {
      const key = `${provider.slug}\n${model}`;
      const known = refusals.get(key);
      // Taken out and put in again: the oldest is then the first.
      refusals.delete(key);
      if (refusals.size >= REFUSALS_KEPT) refusals.delete(refusals.keys().next().value ?? '');
      refusals.set(key, { provider: provider.slug, model, count: (known?.count ?? 0) + 1, lastAt: now() });
    },

    list() {
      const found = new Map<string, GroupRecord & { refused: number }>();
      for (const group of groups.all()) {
        found.set(`${group.provider}\n${group.model}`, { ...group, refused: 0 });
      }
      for (const [key, { provider, model, count, lastAt }] of refusals) {
        const served = found.get(key) ?? {
          provider,
          model,
          requests: 0,
          inputTokens: 0,
          outputTokens: 0,
          lastAt,
        };
        found.set(key, { ...served, refused: count, lastAt: Math.max(served.lastAt, lastAt) });
      }
      const bySlug = new Map(providers.list().map((provider) => [provider.slug, provider]));
      const models: UnpricedModel[] = [];
      for (const { lastAt, ...group } of found.values()) {
        const provider = bySlug.get(group.provider);
        const priced = provider !== undefined && prices.find(provider, group.model, now()) !== null;
        // What was only refused needs nothing more once it has a price.
        if (group.requests === 0 && priced) continue;
        const at = new Date(lastAt).toISOString();
        models.push({ ...group, providerId: provider?.id ?? null, lastAt: at, priced });
      }
      return models.toSorted((a, b) => b.lastAt.localeCompare(a.lastAt));
    },

    async reprice({ provider, model, apply }) {
      const price = prices.find(provider, model, now());
      const reason = price === null ? '' : `Re-priced with ${describePrice(price)}`;
      const effects = new Map<string, Effect>();
      let [rows, totalNano, left, last] = [0, 0, 0, 0];
      const accounts = new Map<string, Account | undefined>();
      for (;;) {
        const chunk = rowsAfter.all(provider.slug, model, last);
        if (chunk.length === 0) break;
        last = chunk.at(-1)?.id ?? last;
        const priced: number[] = [];
        for (const row of chunk) {
          const priceOf = costOfRow(provider, row);
          if (priceOf === null) {
            left += 1;
            continue;
          }
          priced.push(row.id);
          rows += 1;
          totalNano += priceOf.costNano;
          if (!accounts.has(row.key_id)) accounts.set(row.key_id, copyOf(ledger.account(row.key_id)));
          addTo(effects, row, priceOf.costNano, accounts.get(row.key_id));
        }
        if (apply && priced.length > 0) {
          ledger.priceUnpriced(priced, (row) => costOfRow(provider, row), reason);
        }
        // Requests go on between two chunks.
        await nextTurn();
      }
      return {
        provider: provider.slug,
        model,
        source: price === null ? null : price.source,
        amounts: price && priceAmounts(price),
        rows,
        totalNano,
        left,
        keys: [...effects].map(([keyId, effect]) =>
          toKeyEffect(keyId, keys.get(keyId), effect, accounts.get(keyId)),
        ),
        applied: apply,
      };
    },
  };
}

interface GroupRecord {
  provider: string;
  model: string;
  requests: number;
  inputTokens: number;
  outputTokens: number;
  lastAt: number;
}

interface Effect {
  rows: number;
  addNano: Nano;
  /** The part of it that counts in the key's current window. */
  windowNano: Nano;
}

function addTo(
  effects: Map<string, Effect>,
  row: StoredRequest,
  nano: Nano,
  account: Account | undefined,
): void {
  const effect = effects.get(row.key_id) ?? { rows: 0, addNano: 0, windowNano: 0 };
  effect.rows += 1;
  effect.addNano += nano;
  if (account?.window != null && row.settled_at >= account.window.start) effect.windowNano += nano;
  effects.set(row.key_id, effect);
}

/** As it was before anything was written, since the ledger changes its own in place. */
function copyOf(account: Readonly<Account> | undefined): Account | undefined {
  return account && { ...account, window: account.window && { ...account.window } };
}

function toKeyEffect(
  keyId: string,
  key: Key | undefined,
  { rows, addNano, windowNano }: Effect,
  before: Account | undefined,
): Repricing['keys'][number] {
  const after = before && {
    ...before,
    usageNano: before.usageNano + addNano,
    window: before.window && { ...before.window, usedNano: before.window.usedNano + windowNano },
  };
  return {
    keyId,
    name: key?.name ?? null,
    rows,
    addNano,
    usageAfterNano: after?.usageNano ?? addNano,
    limitNano: before?.limitNano ?? null,
    reachesLimit:
      before !== undefined &&
      after !== undefined &&
      limitState(before) !== 'reached' &&
      limitState(after) === 'reached',
  };
}

/** For the record of a correction: what was paid, not only where it stood. */
function describePrice(price: Price): string {
  if (price.source === 'free') return 'the provider’s billing, which is free.';
  const { input, output } = priceAmounts(price) satisfies PriceAmounts;
  const name = price.source === 'own' ? 'your own price' : price.source;
  return `${name}: $${input} input, $${output} output per million tokens.`;
}
