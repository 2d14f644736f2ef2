/** The contract's handlers for prices: the person's own, the catalogue's, and what has none. */
import type { PriceInForce } from '#shared/pricing.ts';
import type { Providers } from '../config/providers.ts';
import type { Unpriced } from '../ledger/repricing.ts';
import { searchCatalogue } from '../pricing/catalogue-search.ts';
import type { Price } from '../pricing/cost.ts';
import type { PriceData } from '../pricing/price-data.ts';
import { priceAmounts, type Prices } from '../pricing/prices.ts';
import { exportFacts, ExportError, readExport, type ProviderExport } from '../reports/provider-exports.ts';
import { providersFor, reconcile } from '../reports/reconcile.ts';
import type { Store } from '../store/store.ts';
import { CallError, mustBe, type Handlers } from './calls.ts';

export interface PriceDependencies {
  providers: Providers;
  prices: Prices;
  unpriced: Unpriced;
  priceData: PriceData;
  store: Store;
  now: () => number;
  providersChanged(): void;
}

type PriceHandlers = Pick<Handlers, Extract<keyof Handlers, `prices.${string}`>>;

export function priceHandlers(dependencies: PriceDependencies): PriceHandlers {
  const { providers, prices, unpriced, priceData, now } = dependencies;
  return {
    'prices.list': ({ providerId }) => prices.list(providerId),
    'prices.set': (input) => {
      if (!providers.get(input.providerId))
        throw new CallError('not_found', 'This provider does not exist.', 'providerId');
      const row = prices.set(input);
      dependencies.providersChanged();
      return row;
    },
    'prices.remove': ({ providerId, model }) => {
      if (!prices.remove(providerId, model))
        throw new CallError('not_found', 'There is no own price for this model.');
      dependencies.providersChanged();
      return {};
    },
    'prices.find': ({ providerId, model }) => {
      const price = prices.find(mustBe(providers.get(providerId), 'provider'), model, now());
      return price && toPriceInForce(price);
    },
    'prices.search': ({ query, limit }) => searchCatalogue(query, limit, now()),
    'prices.unpriced': () => unpriced.list(),
    'prices.reprice': async ({ providerId, provider: slug, model, apply }) => {
      const provider = providers.list().find(({ id, slug: own }) => id === providerId || own === slug);
      const repricing = await unpriced.reprice({ provider: mustBe(provider, 'provider'), model, apply });
      if (apply && repricing.source === null) {
        throw new CallError('conflict', `The model "${model}" still has no price. Set one first.`, 'model');
      }
      if (apply) dependencies.providersChanged();
      return repricing;
    },
    'prices.data': () => priceData.info(),
    'prices.refresh': () => priceData.refresh(),
  };
}

function toPriceInForce(price: Price): PriceInForce {
  const kind =
    price.source === 'own'
      ? 'own'
      : price.source.startsWith('free')
        ? 'free'
        : price.guessed
          ? 'guess'
          : 'catalogue';
  return { source: price.source, kind, amounts: priceAmounts(price) };
}

export function reconcileHandler({
  providers,
  store,
  now,
}: PriceDependencies): Handlers['reconcile.compare'] {
  return async ({ csv, providerId, tolerancePercent }) => {
    let billed: ProviderExport;
    try {
      billed = await readExport(csv);
    } catch (error) {
      if (error instanceof ExportError) throw new CallError('invalid_input', error.message, 'csv');
      throw error;
    }
    const compared =
      providerId === undefined
        ? providersFor(providers.list(), billed)
        : [mustBe(providers.get(providerId), 'provider')];
    if (compared.length === 0) {
      const { name } = exportFacts[billed.format];
      throw new CallError(
        'not_found',
        `The file is an export of ${name}, and no provider of that kind is set up. Choose the provider it belongs to.`,
        'providerId',
      );
    }
    const slugs = compared.map(({ slug }) => slug);
    return reconcile(store, billed, { providers: slugs, tolerancePercent, now: now() });
  };
}
