import { Button, Select } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useMemo } from 'react';
import { DEAR_NANO } from '#shared/defaults.ts';
import { requestFlags } from '#shared/model.ts';
import { formatLimit, formatPlainUsd } from '#shared/money.ts';
import { openDialog } from '../actions.ts';
import { formatShort } from '../format.ts';
import { setQuery, type Query } from '../router.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Chip } from '../ui/chip.tsx';
import type { MenuAction } from '../ui/floating.tsx';
import { FilterMenu, SearchField } from '../ui/toolbar.tsx';
import { isFiltered, type RequestFilter } from './filter.ts';
import type { LogView } from './log.ts';

const words = strings.activity;
const HOUR = 3_600_000;
/** Steps at which a request is dear. */
const costs = [DEAR_NANO, 10 * DEAR_NANO, 100 * DEAR_NANO] as const;
const textFields = ['model', 'provider', 'client', 'session', 'agent'] as const;

export function ActivityToolbar({ filter, view }: { filter: RequestFilter; view: LogView }) {
  return (
    <div className="toolbar">
      <SearchField label={words.search} value={filter.q ?? ''} />
      <KeyFilter keyId={filter.key ?? null} />
      <FilterMenu label={words.filters} actions={(button) => filterActions(filter, button)} />
      <Chips filter={filter} />
      <span className="toolbar-end">
        {view.load.state === 'ready' && <span className="dim amount">{words.count(view)}</span>}
        <Button
          variant="default"
          leftSection={<IconDownload size={14} />}
          disabled={view.count === 0}
          onClick={() => openDialog({ kind: 'export-requests', filter })}
        >
          {words.exporting.button}
        </Button>
      </span>
    </div>
  );
}

function KeyFilter({ keyId }: { keyId: string | null }) {
  const order = useApp((state) => state.keyOrder);
  const names = useKeyNames(order);
  const data = order.map((id, index) => ({ value: id, label: names[index] ?? id }));
  // A key that was deleted still has its requests.
  const known = keyId === null || order.includes(keyId);
  return (
    <Select
      size="xs"
      className="filter-key"
      aria-label={words.filterKey}
      placeholder={words.anyKey}
      searchable
      clearable
      allowDeselect
      limit={100}
      clearButtonProps={{ 'aria-label': strings.common.removeFilter(words.filterKey) }}
      data={known ? data : [...data, { value: keyId, label: words.deletedKey }]}
      value={keyId}
      onChange={(key) => setQuery({ key })}
    />
  );
}

/** Joined to one string, so that pushed numbers of the same keys do not draw the filter again. */
function useKeyNames(order: readonly string[]): readonly string[] {
  const joined = useApp((state) => order.map((id) => state.keys[id]?.name ?? '').join('\n'));
  return useMemo(() => joined.split('\n'), [joined]);
}

function filterActions(filter: RequestFilter, button: HTMLElement): MenuAction[] {
  return [
    ...(['ok', 'error'] as const).map((status) => ({
      group: words.groups.status,
      label: words.statuses[status],
      checked: filter.status === status,
      run: () => setQuery({ status: filter.status === status ? null : status }),
    })),
    ...(['hour', 'day', 'today', 'week', 'month'] as const).map((period) => ({
      group: words.groups.time,
      label: words.periods[period],
      checked: false,
      run: () => setQuery({ from: startOf(period), to: null }),
    })),
    {
      group: words.groups.time,
      label: words.days.choose,
      checked: false,
      run: () => openDialog({ kind: 'request-days', filter }, button),
    },
    ...costs.map((cost) => ({
      group: words.groups.cost,
      label: words.costFrom(formatLimit(cost)),
      checked: filter.cost === cost,
      run: () => setQuery({ cost: filter.cost === cost ? null : formatPlainUsd(cost) }),
    })),
    ...requestFlags.map((flag) => ({
      group: words.groups.flag,
      label: words.flags[flag].label,
      checked: filter.flag === flag,
      run: () => setQuery({ flag: filter.flag === flag ? null : flag }),
    })),
  ];
}

function startOf(period: keyof typeof words.periods): string {
  const now = new Date();
  if (period === 'hour' || period === 'day')
    return new Date(now.getTime() - (period === 'hour' ? 1 : 24) * HOUR).toISOString();
  const days = { today: 0, week: 6, month: 29 }[period];
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - days).toISOString();
}

function Chips({ filter }: { filter: RequestFilter }) {
  if (!isFiltered(filter)) return null;
  const chips: [label: string, off: Query][] = [];
  if (filter.status) chips.push([words.statuses[filter.status], { status: null }]);
  if (filter.flag) chips.push([words.flags[filter.flag].label, { flag: null }]);
  if (filter.cost !== undefined) chips.push([words.costFrom(formatLimit(filter.cost)), { cost: null }]);
  for (const end of ['from', 'to'] as const) {
    const moment = filter[end];
    if (moment) chips.push([`${words.chips[end]} ${formatShort(moment)}`, { [end]: null }]);
  }
  for (const field of textFields) {
    const text = filter[field];
    if (text) chips.push([`${words.chips[field]}: ${text}`, { [field]: null }]);
  }
  return (
    <>
      {chips.map(([label, off]) => (
        <Chip key={label} label={label} onRemove={() => setQuery(off)} />
      ))}
    </>
  );
}
