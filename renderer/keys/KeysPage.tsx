import { Button } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { lazy, Suspense, useMemo, useState } from 'react';
import { loadKeys, openDialog } from '../actions.ts';
import { useRoute } from '../router.ts';
import { app, useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Empty, ListState, Page, PageSkeleton } from '../ui/page.tsx';
import { FirstStart, useFirstStart } from './FirstStart.tsx';
import { isFiltered, matchesView, readKeyView, sortKeys, type KeyView } from './key-view.ts';
import { KeyTable } from './KeyTable.tsx';
import { KeyToolbar } from './KeyToolbar.tsx';

const words = strings.keys;
const KeyPage = lazy(async () => ({ default: (await import('./KeyPage.tsx')).KeyPage }));

export function KeysPage() {
  const { id } = useRoute();
  if (id === null) return <KeyList />;
  return (
    <Suspense fallback={<PageSkeleton title={app.getState().keys[id]?.name ?? strings.pages.keys} />}>
      <KeyPage id={id} />
    </Suspense>
  );
}

function KeyList() {
  const { query } = useRoute();
  const view = useMemo(() => readKeyView(query), [query]);
  const total = useApp((state) => state.keyOrder.length);
  const load = useApp((state) => state.keysLoad);
  const ids = useVisibleKeys(view);
  const firstStart = useFirstStart();
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  // A key that is filtered away or deleted is no longer among what a button acts on.
  const selected = useMemo(() => new Set(ids.filter((id) => picked.has(id))), [ids, picked]);
  return (
    <Page
      title={strings.pages.keys}
      tools={
        <Button
          // The steps below have the one button that comes next.
          variant={firstStart ? 'default' : 'filled'}
          leftSection={<IconPlus size={15} />}
          onClick={() => openDialog({ kind: 'create-key' })}
        >
          {words.create}
        </Button>
      }
    >
      {firstStart && <FirstStart />}
      <ListState
        load={load}
        onRetry={() => void loadKeys()}
        empty={
          total > 0 ? null : firstStart ? <></> : <Empty title={words.emptyTitle} text={words.emptyText} />
        }
      >
        <KeyToolbar
          view={view}
          shown={ids.length}
          total={total}
          selected={selected}
          onClear={() => setPicked(new Set())}
        />
        {ids.length === 0 ? (
          <Empty title={words.filterNothing} />
        ) : (
          <KeyTable ids={ids} sort={view.sort} selected={selected} onSelect={setPicked} />
        )}
      </ListState>
    </Page>
  );
}

/**
 * The ids to show, in order. Sorted when the order is chosen or the set changes, not when a number does: rows that move
 * while they are read, or under the pointer, are worse than an order that is a moment old.
 */
function useVisibleKeys(view: KeyView): readonly string[] {
  const joined = useApp((state) => {
    if (!isFiltered(view)) return state.keyOrder.join('\n');
    return state.keyOrder
      .filter((id) => {
        const row = state.keys[id];
        return row !== undefined && matchesView(row, view);
      })
      .join('\n');
  });
  return useMemo(() => {
    const ids = joined === '' ? [] : joined.split('\n');
    const { keys } = app.getState();
    return sortKeys(
      ids.flatMap((id) => keys[id] ?? []),
      view.sort,
    ).map((row) => row.id);
  }, [joined, view.sort]);
}
