import { Button } from '@mantine/core';
import { IconPencil, IconPlus, IconTrash } from '@tabler/icons-react';
import { useEffect } from 'react';
import type { PriceRow } from '#shared/model.ts';
import { loadPrices, openDialog } from '../actions.ts';
import { setQuery, useRoute } from '../router.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { ListState, Page } from '../ui/page.tsx';
import { dollars, otherAmounts } from './amounts.ts';
import { CatalogueSection } from './CatalogueSection.tsx';
import { PriceDataSection } from './PriceDataSection.tsx';
import './prices.css';
import { UnpricedSection } from './UnpricedSection.tsx';

const words = strings.prices;

export function PricesPage() {
  const prices = useApp((state) => state.prices);
  const load = useApp((state) => state.pricesLoad);
  const connection = useApp((state) => state.connection);
  const hasProvider = useApp((state) => state.providers.length > 0);
  useEffect(() => {
    if (connection === 'online') void loadPrices();
  }, [connection]);
  useAskedPrice();
  return (
    <Page
      title={strings.pages.prices}
      tools={
        <Button
          leftSection={<IconPlus size={15} />}
          disabled={!hasProvider}
          title={hasProvider ? undefined : words.needsProvider}
          onClick={() => openDialog({ kind: 'price', row: null })}
        >
          {words.set}
        </Button>
      }
    >
      <PriceDataSection />
      <UnpricedSection />
      <section className="section" aria-labelledby="own-prices">
        <h2 id="own-prices">{words.own.title}</h2>
        <ListState
          load={load}
          onRetry={() => void loadPrices()}
          empty={
            prices.length > 0 ? null : (
              <p className="dim">{hasProvider ? words.own.none : words.own.noneYet}</p>
            )
          }
        >
          <p className="intro dim">{words.own.text}</p>
          <OwnPrices prices={prices} />
        </ListState>
      </section>
      {load.state !== 'loading' && <CatalogueSection />}
    </Page>
  );
}

/** `#/prices?provider=SLUG&model=NAME` opens the dialog for that model, once. */
function useAskedPrice(): void {
  const { query } = useRoute();
  const { provider, model } = query;
  const providers = useApp((state) => state.providers);
  const prices = useApp((state) => state.prices);
  const ready = useApp(
    (state) => state.providersLoad.state === 'ready' && state.pricesLoad.state === 'ready',
  );
  useEffect(() => {
    if (!ready || model === undefined) return;
    const providerId = providers.find((each) => each.slug === provider)?.id;
    const row = prices.find((each) => each.providerId === providerId && each.model === model) ?? null;
    setQuery({ provider: null, model: null });
    openDialog({ kind: 'price', row, model, ...(providerId === undefined ? {} : { providerId }) });
  }, [ready, model, provider, providers, prices]);
}

function OwnPrices({ prices }: { prices: readonly PriceRow[] }) {
  return (
    <div className="table-frame wide-table keep-last">
      <table className="table prices">
        <thead>
          <tr>
            <th scope="col">{words.columns.model}</th>
            <th scope="col">{words.columns.provider}</th>
            <th scope="col" className="end">
              {words.columns.input}
            </th>
            <th scope="col" className="end">
              {words.columns.cached}
            </th>
            <th scope="col" className="end">
              {words.columns.output}
            </th>
            <th scope="col">{words.columns.other}</th>
            <th scope="col">{words.columns.from}</th>
            <th scope="col" className="end">
              {strings.common.actions}
            </th>
          </tr>
        </thead>
        <tbody>
          {prices.map((row) => (
            <Row key={`${row.providerId} ${row.model}`} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ row }: { row: PriceRow }) {
  const provider = useApp((state) => state.providers.find((each) => each.id === row.providerId)?.name);
  const from = row.copiedFrom ?? words.own.typed;
  return (
    <tr>
      <th scope="row" className="name" title={row.model}>
        <code>{row.model}</code>
      </th>
      <td>{provider ?? <span className="dim">{words.deletedProvider}</span>}</td>
      <td className="end amount">{dollars(row.input)}</td>
      <td className="end amount">{dollars(row.cachedInput)}</td>
      <td className="end amount">{dollars(row.output)}</td>
      <td className="dim other-prices" title={otherAmounts(row)}>
        {otherAmounts(row) || '–'}
      </td>
      <td className="dim from" title={from}>
        {from}
      </td>
      <td className="end">
        <button
          type="button"
          className="icon-button"
          aria-label={words.edit(row.model)}
          onClick={() => openDialog({ kind: 'price', row })}
        >
          <IconPencil size={15} />
        </button>
        <button
          type="button"
          className="icon-button"
          aria-label={words.remove(row.model)}
          onClick={() => openDialog({ kind: 'remove-price', row })}
        >
          <IconTrash size={15} />
        </button>
      </td>
    </tr>
  );
}
