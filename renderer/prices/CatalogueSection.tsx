import { Button, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { useState } from 'react';
import type { CatalogueModel } from '#shared/pricing.ts';
import { openDialog } from '../actions.ts';
import { formatCount } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer, useLatest } from '../ui/answer.ts';
import { dollars, otherAmounts } from './amounts.ts';

const words = strings.prices.catalogue;
const SHOWN = 30;
const TYPING_MS = 150;

export function CatalogueSection() {
  const [query, setQuery] = useState('');
  const [settled] = useDebouncedValue(query.trim(), TYPING_MS);
  const { value: found } = useLatest(
    useAnswer('prices.search', settled === '' ? null : { query: settled, limit: SHOWN }),
  );
  return (
    <section className="section" aria-labelledby="catalogue">
      <h2 id="catalogue">{words.title}</h2>
      <p className="intro dim">{words.text}</p>
      <TextInput
        type="search"
        className="catalogue-search"
        aria-label={words.search}
        placeholder={words.placeholder}
        leftSection={<IconSearch size={14} />}
        autoComplete="off"
        spellCheck={false}
        value={query}
        onChange={(event) => setQuery(event.currentTarget.value)}
      />
      {settled !== '' && found !== null && <Results query={settled} found={found} />}
    </section>
  );
}

function Results({ query, found }: { query: string; found: readonly CatalogueModel[] }) {
  if (found.length === 0) return <p className="dim list-foot">{words.nothing(query)}</p>;
  const { columns } = strings.prices;
  return (
    <>
      <div className="table-frame wide-table keep-last">
        <table className="table prices">
          <thead>
            <tr>
              <th scope="col">{columns.model}</th>
              <th scope="col">{words.vendor}</th>
              <th scope="col" className="end">
                {columns.input}
              </th>
              <th scope="col" className="end">
                {columns.cached}
              </th>
              <th scope="col" className="end">
                {columns.output}
              </th>
              <th scope="col">{columns.other}</th>
              <th scope="col" className="end">
                {strings.common.actions}
              </th>
            </tr>
          </thead>
          <tbody>
            {found.map((entry) => (
              <Row key={`${entry.vendor}/${entry.model}`} entry={entry} />
            ))}
          </tbody>
        </table>
      </div>
      {found.length === SHOWN && <p className="dim list-foot">{words.more(formatCount(SHOWN))}</p>}
    </>
  );
}

function Row({ entry }: { entry: CatalogueModel }) {
  const hasProvider = useApp((state) => state.providers.length > 0);
  const { amounts } = entry;
  const other = [
    otherAmounts(amounts),
    entry.changesByHour ? words.byHour : '',
    entry.moreClasses ? words.moreClasses : '',
  ]
    .filter(Boolean)
    .join(', ');
  return (
    <tr>
      <th
        scope="row"
        className="name"
        title={[entry.name, `${entry.source}, ${entry.date}`, entry.url].filter(Boolean).join('\n')}
      >
        <code>{entry.model}</code>
      </th>
      <td className="nowrap">{entry.vendorName}</td>
      <td className="end amount">{dollars(amounts.input)}</td>
      <td className="end amount">{dollars(amounts.cachedInput)}</td>
      <td className="end amount">{dollars(amounts.output)}</td>
      <td className="dim other-prices" title={other}>
        {other}
      </td>
      <td className="end">
        <Button
          size="compact-xs"
          variant="default"
          disabled={!hasProvider}
          aria-label={words.takeOf(entry.model)}
          onClick={() => openDialog({ kind: 'price', row: null, model: entry.model, copied: entry })}
        >
          {words.use}
        </Button>
      </td>
    </tr>
  );
}
