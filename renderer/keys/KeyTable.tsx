/**
 * The API keys table. Rows are plain elements that each follow their own key in the store, so a thousand keys cost a
 * thousand cheap rows and a pushed number draws one of them; the menu and the usage card exist once for the whole table.
 */
import { IconDots, IconPencil } from '@tabler/icons-react';
import { memo, useCallback, useDeferredValue, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { KeyRow } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';
import { openDialog } from '../actions.ts';
import { limitProgress } from '../format.ts';
import { hrefOf, setQuery } from '../router.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer } from '../ui/answer.ts';
import { Bar } from '../ui/Bar.tsx';
import type { Anchor } from '../ui/floating.tsx';
import { Sparkline } from '../ui/Sparkline.tsx';
import { SortHeader } from '../ui/table.tsx';
import { Ago, Day } from '../ui/time.tsx';
import { nextSort, sortColumns, type KeyView } from './key-view.ts';
import { KeyMenu } from './KeyMenu.tsx';
import { KeyState } from './KeyState.tsx';
import { LimitSummary } from './LimitSummary.tsx';
import { USAGE_CARD, UsageCard } from './UsageCard.tsx';

interface RowHandlers {
  onMenu: (anchor: Anchor) => void;
  onDetails: (anchor: Anchor | null) => void;
  onPick: (id: string, picked: boolean, range: boolean) => void;
}

const words = strings.keys;
const columns = [
  'name',
  'key',
  'status',
  'created',
  'lastUsed',
  'usage',
  'days30',
  'limit',
  'actions',
] as const;

/** More than a screen holds: these are drawn at once, the rest right after without holding up the window. */
const FIRST_ROWS = 40;

/** In step with the rows of keys.css. */
const ROW = 53;
/**
 * Rows that the browser takes up and leaves together (content-visibility): each on its own is a thousand places to look
 * at for every frame that is scrolled, and many together are long to draw at once.
 */
const GROUP_ROWS = 12;

function groupsOf(ids: readonly string[]): { from: number; group: readonly string[] }[] {
  return Array.from({ length: Math.ceil(ids.length / GROUP_ROWS) }, (_, at) => {
    const from = at * GROUP_ROWS;
    return { from, group: ids.slice(from, from + GROUP_ROWS) };
  });
}

interface Selection {
  ids: readonly string[];
  selected: ReadonlySet<string>;
  onSelect: (ids: ReadonlySet<string>) => void;
}

type KeyTableProps = Selection & { sort: KeyView['sort'] };

export function KeyTable({ ids, sort, selected, onSelect }: KeyTableProps) {
  const shown = useDeferredValue(ids, ids.slice(0, FIRST_ROWS));
  const [menu, setMenu] = useState<Anchor | null>(null);
  const [details, setDetails] = useState<Anchor | null>(null);
  const onMenu = useCallback((anchor: Anchor) => setMenu(anchor), []);
  const onDetails = useCallback((anchor: Anchor | null) => setDetails(anchor), []);
  const closeDetails = useCallback(() => setDetails(null), []);
  const onPick = usePicking(ids, selected, onSelect);
  const sparks = useSparklines();
  return (
    <>
      <div className="table-frame keys-frame">
        <table className="table keys" aria-label={strings.pages.keys}>
          <Head ids={ids} sort={sort} selected={selected} onSelect={onSelect} />
          {groupsOf(shown).map(({ from, group }) => (
            <tbody key={from} style={{ containIntrinsicBlockSize: `auto ${group.length * ROW}px` }}>
              {group.map((id) => (
                <Row
                  key={id}
                  id={id}
                  picked={selected.has(id)}
                  spark={sparks.get(id) ?? ''}
                  menuOpen={menu?.id === id}
                  detailsOpen={details?.id === id}
                  onMenu={onMenu}
                  onDetails={onDetails}
                  onPick={onPick}
                />
              ))}
            </tbody>
          ))}
        </table>
      </div>
      {menu && <KeyMenu anchor={menu} onClose={() => setMenu(null)} />}
      {details && <UsageCard anchor={details} onClose={closeDetails} />}
    </>
  );
}

/** Costs of the last days by key, as texts: a row is drawn again where its own has changed, and only then. */
function useSparklines(): ReadonlyMap<string, string> {
  const { value } = useAnswer('usage.sparklines', { days: DAYS }, { live: true });
  return useMemo(() => new Map(value?.map(({ keyId, costNano }) => [keyId, costNano.join(',')])), [value]);
}

const DAYS = 30;
const sparkLabel = (values: string) =>
  words.days30Title(formatUsd(values.split(',').reduce((sum, value) => sum + Number(value), 0)));

/** With Shift, everything from the box before to this one takes its state. The callback stays the same, so no row is drawn for it. */
function usePicking(
  ids: readonly string[],
  selected: ReadonlySet<string>,
  onSelect: (ids: ReadonlySet<string>) => void,
): RowHandlers['onPick'] {
  const last = useRef<string | null>(null);
  const now = useRef({ ids, selected, onSelect });
  useLayoutEffect(() => {
    now.current = { ids, selected, onSelect };
  });
  return useCallback((id, picked, range) => {
    const { ids: all, selected: before, onSelect: tell } = now.current;
    const from = range && last.current !== null ? all.indexOf(last.current) : -1;
    const to = all.indexOf(id);
    const touched = from < 0 ? [id] : all.slice(Math.min(from, to), Math.max(from, to) + 1);
    const next = new Set(before);
    for (const each of touched) {
      if (picked) next.add(each);
      else next.delete(each);
    }
    last.current = id;
    tell(next);
  }, []);
}

/** On its own, so that sparklines that come in draw their rows and leave the headings alone. */
const Head = memo(function Head({ ids, sort, selected, onSelect }: KeyTableProps) {
  return (
    <thead>
      <tr>
        <th scope="col" className="col-select">
          <SelectAll ids={ids} selected={selected} onSelect={onSelect} />
        </th>
        {columns.map((column) => {
          const sortable = sortColumns.find((each) => each === column);
          if (!sortable) {
            return (
              <th key={column} scope="col" className={`col-${column}`}>
                {words.columns[column]}
              </th>
            );
          }
          return (
            <SortHeader
              key={column}
              className={`col-${column}`}
              label={words.columns[column]}
              sorted={sort.column === sortable ? (sort.descending ? 'descending' : 'ascending') : 'none'}
              onSort={() => setQuery({ sort: nextSort(sort, sortable) })}
            />
          );
        })}
      </tr>
    </thead>
  );
});

function SelectAll({ ids, selected, onSelect }: Selection) {
  const all = selected.size === ids.length;
  return (
    <input
      type="checkbox"
      className="check"
      aria-label={words.selectAll}
      checked={all}
      ref={(box) => {
        // Has no attribute in HTML.
        if (box) box.indeterminate = selected.size > 0 && !all;
      }}
      onChange={() => onSelect(new Set(all ? [] : ids))}
    />
  );
}

const Row = memo(function Row({
  id,
  picked,
  spark,
  menuOpen,
  detailsOpen,
  onMenu,
  onDetails,
  onPick,
}: { id: string; picked: boolean; spark: string; menuOpen: boolean; detailsOpen: boolean } & RowHandlers) {
  const row = useApp((state) => state.keys[id]);
  if (!row) return null;
  return (
    <tr className={row.status === 'active' ? undefined : 'off'} aria-selected={picked || undefined}>
      <td className="col-select">
        <input
          type="checkbox"
          className="check"
          aria-label={words.select(row.name)}
          checked={picked}
          onChange={(event) =>
            onPick(
              id,
              event.currentTarget.checked,
              event.nativeEvent instanceof MouseEvent && event.nativeEvent.shiftKey,
            )
          }
        />
      </td>
      <th scope="row" className="name" title={row.name}>
        <a href={hrefOf('keys', {}, id)}>{row.name}</a>
      </th>
      <td className="col-key">
        <code>{row.masked}</code>
      </td>
      <td>
        <KeyState row={row} />
      </td>
      <td className="col-created dim">
        <Day iso={row.createdAt} />
      </td>
      <td className="col-lastUsed dim">
        {row.lastUsedAt ? <Ago iso={row.lastUsedAt} /> : strings.common.never}
      </td>
      <UsageCell row={row} open={detailsOpen} onDetails={onDetails} />
      <td className="col-days30">{spark !== '' && <Sparkline values={spark} label={sparkLabel(spark)} />}</td>
      <td>
        <div className="limit-cell">
          <LimitSummary row={row} />
          <button
            type="button"
            className="icon-button"
            aria-label={words.editLimit(row.name)}
            title={strings.limit.title}
            onClick={(event) => openDialog({ kind: 'edit-limit', id }, event.currentTarget)}
          >
            <IconPencil size={15} />
          </button>
        </div>
      </td>
      <td className="col-actions">
        <button
          type="button"
          className="icon-button"
          aria-label={words.actionsOf(row.name)}
          aria-haspopup="menu"
          aria-expanded={menuOpen}
          onClick={(event) => onMenu({ id, element: event.currentTarget })}
        >
          <IconDots size={16} />
        </button>
      </td>
    </tr>
  );
});

function UsageCell({
  row,
  open,
  onDetails,
}: {
  row: KeyRow;
  open: boolean;
  onDetails: RowHandlers['onDetails'];
}) {
  const button = useRef<HTMLButtonElement>(null);
  const show = () => button.current && onDetails({ id: row.id, element: button.current });
  const hide = () => onDetails(null);
  return (
    <td>
      <button
        ref={button}
        type="button"
        className="usage"
        aria-describedby={open ? USAGE_CARD : undefined}
        onMouseEnter={show}
        onMouseLeave={hide}
        onFocus={show}
        onBlur={hide}
        onClick={show}
      >
        <UsageAmount row={row} />
      </button>
    </td>
  );
}

function UsageAmount({ row }: { row: KeyRow }) {
  const progress = limitProgress(row);
  return (
    <>
      <span className="usage-line">
        <span className="amount">{formatUsd(row.usageNano)}</span>
        {row.heldNano > 0 && <span className="held amount">{words.held(formatUsd(row.heldNano))}</span>}
      </span>
      {progress && <Bar used={progress.used} held={progress.held} state={row.limitState} />}
    </>
  );
}
