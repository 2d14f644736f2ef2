import { Button } from '@mantine/core';
import { IconPencil, IconPlus, IconTrash } from '@tabler/icons-react';
import { useEffect } from 'react';
import type { PriceRow } from '#shared/model.ts';
import { changeProviders, closeDialog, loadPrices, openDialog } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { ConfirmDialog, Empty, ListState, Page } from '../ui/page.tsx';

const words = strings.prices;

export function PricesPage() {
  const prices = useApp((state) => state.prices);
  const load = useApp((state) => state.pricesLoad);
  const connection = useApp((state) => state.connection);
  const hasProvider = useApp((state) => state.providers.length > 0);
  useEffect(() => {
    if (connection === 'online') void loadPrices();
  }, [connection]);
  const set = (
    <Button
      leftSection={<IconPlus size={15} />}
      disabled={!hasProvider}
      onClick={() => openDialog({ kind: 'price', row: null })}
    >
      {words.set}
    </Button>
  );
  return (
    <Page title={strings.pages.prices} tools={prices.length > 0 && set}>
      <ListState
        load={load}
        onRetry={() => void loadPrices()}
        empty={
          prices.length > 0 ? null : (
            <Empty title={words.emptyTitle} text={words.emptyText}>
              {set}
              {!hasProvider && <p className="hint">{words.needsProvider}</p>}
            </Empty>
          )
        }
      >
        <p className="intro dim">{words.intro}</p>
        <div className="table-frame wide-table">
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
      </ListState>
    </Page>
  );
}

function Row({ row }: { row: PriceRow }) {
  const provider = useApp((state) => state.providers.find((each) => each.id === row.providerId)?.name);
  return (
    <tr>
      <th scope="row" className="name" title={row.model}>
        <code>{row.model}</code>
      </th>
      <td>{provider ?? <span className="dim">{words.deletedProvider}</span>}</td>
      <td className="end amount">${row.input}</td>
      <td className="end amount">{row.cachedInput === undefined ? '' : `$${row.cachedInput}`}</td>
      <td className="end amount">${row.output}</td>
      <td className="dim">{otherPrices(row)}</td>
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

function otherPrices(row: PriceRow): string {
  const others = ['cacheWrite', 'cacheWrite1h', 'perRequest', 'webSearch'] as const;
  return others
    .filter((each) => row[each] !== undefined)
    .map((each) => `${words[each]} $${row[each]}`)
    .join(', ');
}

export function RemovePriceDialog({ row }: { row: PriceRow }) {
  return (
    <ConfirmDialog
      title={words.removeTitle}
      text={words.removeText(row.model)}
      submit={strings.common.remove}
      run={async () => {
        const answer = await changeProviders('prices.remove', {
          providerId: row.providerId,
          model: row.model,
        });
        if (!answer.ok) return answer.error.message;
        closeDialog();
        return null;
      }}
    />
  );
}
