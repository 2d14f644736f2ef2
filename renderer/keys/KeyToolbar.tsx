/** Above the table: finding keys, and acting on those that are selected. One line, whatever stands in it. */
import { Button } from '@mantine/core';
import { IconX } from '@tabler/icons-react';
import { useState } from 'react';
import { formatCount } from '../format.ts';
import { setQuery } from '../router.ts';
import { strings } from '../strings.ts';
import { Chip } from '../ui/chip.tsx';
import type { MenuAction } from '../ui/floating.tsx';
import { FilterMenu, SearchField } from '../ui/toolbar.tsx';
import { enableKeys } from './changes.ts';
import { isFiltered, limitStates, statuses, type KeyView } from './key-view.ts';

const words = strings.keys;

export function KeyToolbar({
  view,
  shown,
  total,
  selected,
  onClear,
}: {
  view: KeyView;
  shown: number;
  total: number;
  selected: ReadonlySet<string>;
  onClear: () => void;
}) {
  return (
    <div className="toolbar">
      <SearchField label={words.filter} value={view.text} />
      <FilterMenu label={words.filters} actions={() => filterActions(view)} />
      {view.status !== null && (
        <Chip label={words.status[view.status]} onRemove={() => setQuery({ status: null })} />
      )}
      {view.limit !== null && (
        <Chip
          label={`${words.filterBy.limit}: ${words.limitStates[view.limit]}`}
          onRemove={() => setQuery({ limit: null })}
        />
      )}
      <span className="toolbar-end">
        {selected.size > 0 ? (
          <Bulk selected={selected} onClear={onClear} />
        ) : (
          <span className="dim">
            {isFiltered(view)
              ? words.countOf(formatCount(shown), formatCount(total))
              : words.count(formatCount(total), total === 1)}
          </span>
        )}
      </span>
    </div>
  );
}

function filterActions(view: KeyView): MenuAction[] {
  return [
    ...statuses.map((status) => ({
      group: words.filterBy.status,
      label: words.status[status],
      checked: view.status === status,
      run: () => setQuery({ status: view.status === status ? null : status }),
    })),
    ...limitStates.map((limit) => ({
      group: words.filterBy.limit,
      label: words.limitStates[limit],
      checked: view.limit === limit,
      run: () => setQuery({ limit: view.limit === limit ? null : limit }),
    })),
  ];
}

function Bulk({ selected, onClear }: { selected: ReadonlySet<string>; onClear: () => void }) {
  const [busy, setBusy] = useState(false);
  const apply = async (enabled: boolean) => {
    setBusy(true);
    await enableKeys([...selected], enabled);
    setBusy(false);
    onClear();
  };
  return (
    <>
      <span className="amount">{words.selected(formatCount(selected.size))}</span>
      <Button variant="default" disabled={busy} onClick={() => void apply(false)}>
        {words.menu.disable}
      </Button>
      <Button variant="default" disabled={busy} onClick={() => void apply(true)}>
        {words.menu.enable}
      </Button>
      <button
        type="button"
        className="icon-button"
        aria-label={strings.common.clear}
        title={strings.common.clear}
        onClick={onClear}
      >
        <IconX size={15} />
      </button>
    </>
  );
}
