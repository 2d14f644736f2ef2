import { Button, TextInput } from '@mantine/core';
import { IconPlus, IconSearch } from '@tabler/icons-react';
import { useState } from 'react';
import { loadKeys, openDialog } from '../actions.ts';
import { formatCount } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Empty, ListState, Page } from '../ui/page.tsx';
import { FirstStart, useFirstStart } from './FirstStart.tsx';
import { KeyTable } from './KeyTable.tsx';

const words = strings.keys;

/** Below this many rows a filter would be more to read than the list. */
const FILTER_FROM = 8;

export function KeysPage() {
  const [filter, setFilter] = useState('');
  const order = useApp((state) => state.keyOrder);
  const load = useApp((state) => state.keysLoad);
  const ids = useFiltered(order, filter);
  const firstStart = useFirstStart();
  const create = () => openDialog({ kind: 'create-key' });
  return (
    <Page
      title={strings.pages.keys}
      tools={
        <>
          {order.length >= FILTER_FROM && (
            <TextInput
              size="xs"
              type="search"
              aria-label={words.filter}
              placeholder={words.filter}
              leftSection={<IconSearch size={14} />}
              value={filter}
              onChange={(event) => setFilter(event.currentTarget.value)}
            />
          )}
          <Button leftSection={<IconPlus size={15} />} onClick={create}>
            {words.create}
          </Button>
        </>
      }
    >
      {firstStart && <FirstStart />}
      <ListState
        load={load}
        onRetry={() => void loadKeys()}
        empty={
          order.length > 0 ? null : firstStart ? (
            <></>
          ) : (
            <Empty title={words.emptyTitle} text={words.emptyText} />
          )
        }
      >
        {ids.length === 0 ? <Empty title={words.filterNone(filter.trim())} /> : <KeyTable ids={ids} />}
        <p className="list-foot dim">{words.count(formatCount(ids.length), ids.length === 1)}</p>
      </ListState>
    </Page>
  );
}

/** Ids whose name or masked key has the text. Follows names only, so a pushed number leaves the list as it is. */
function useFiltered(order: readonly string[], filter: string): readonly string[] {
  const text = filter.trim().toLowerCase();
  const joined = useApp((state) => {
    if (text === '') return '';
    return order.filter((id) => matches(state.keys[id], text)).join('\n');
  });
  if (text === '') return order;
  return joined === '' ? [] : joined.split('\n');
}

function matches(row: { name: string; masked: string } | undefined, text: string): boolean {
  return (
    row !== undefined && (row.name.toLowerCase().includes(text) || row.masked.toLowerCase().includes(text))
  );
}
