/**
 * The API keys table. Rows are plain elements that each follow their own key in the store, so that a pushed number draws
 * one of them; of a long table only what is on screen is in the page. The menu and the usage card exist once for all.
 */
import { IconDots, IconPencil } from '@tabler/icons-react';
import { memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
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
import { useRowWindow } from '../ui/rows.ts';
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

/** In step with the rows of keys.css. */
const ROW = 53;
/**
 * Up to here the table is drawn whole, for the browser's own search and for reading on with a screen reader. A thousand
 * rows are fifty thousand elements, which every frame of a scroll has to look at.
 */
const WHOLE_ROWS = 100;

interface Selection {
  ids: readonly string[];
  selected: ReadonlySet<string>;
  onSelect: (ids: ReadonlySet<string>) => void;
}

type KeyTableProps = Selection & { sort: KeyView['sort'] };

export function KeyTable({ ids, sort, selected, onSelect }: KeyTableProps) {
  const [list, setList] = useState<HTMLElement | null>(null);
  const { first, last } = useRowWindow(list?.closest('main') ?? null, ids.length, ROW, {
    list,
    whole: WHOLE_ROWS,
  });
  const focused = useFocusedRow(list);
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
        <table className="table keys" aria-label={strings.pages.keys} aria-rowcount={ids.length + 1}>
          <Head ids={ids} sort={sort} selected={selected} onSelect={onSelect} />
          <tbody ref={setList} style={{ height: ids.length * ROW }}>
            {shownRows(first, last, focused === null ? -1 : ids.indexOf(focused)).map((index) => {
              const id = ids[index];
              return (
                id !== undefined && (
                  <Row
                    key={id}
                    id={id}
                    index={index}
                    picked={selected.has(id)}
                    spark={sparks.get(id) ?? ''}
                    menuOpen={menu?.id === id}
                    detailsOpen={details?.id === id}
                    onMenu={onMenu}
                    onDetails={onDetails}
                    onPick={onPick}
                  />
                )
              );
            })}
          </tbody>
        </table>
      </div>
      {menu && <KeyMenu anchor={menu} onClose={() => setMenu(null)} />}
      {details && <UsageCard anchor={details} onClose={closeDetails} />}
    </>
  );
}

/** The key whose row has the focus. */
function useFocusedRow(list: HTMLElement | null): string | null {
  const [focused, setFocused] = useState<string | null>(null);
  useEffect(() => {
    if (!list) return;
    const ended = new AbortController();
    const options = { signal: ended.signal };
    const onFocus = ({ target }: FocusEvent) =>
      setFocused((target instanceof Element && target.closest('tr')?.dataset['key']) || null);
    const onBlur = ({ relatedTarget }: FocusEvent) => {
      // On the way to another row the list still has it: a row that is let go of in between cannot take it.
      if (relatedTarget instanceof Node && !list.contains(relatedTarget)) setFocused(null);
    };
    list.addEventListener('focusin', onFocus, options);
    list.addEventListener('focusout', onBlur, options);
    return () => ended.abort();
  }, [list]);
  return focused;
}

/**
 * The rows on screen, and wherever it is scrolled to the one that has the focus, with a neighbour at each side for the
 * Tab key to go to. In order, as the keyboard goes through them.
 */
function shownRows(first: number, last: number, focused: number): number[] {
  const rows = new Set(Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at));
  if (focused >= 0) for (const index of [focused - 1, focused, focused + 1]) rows.add(index);
  return [...rows].toSorted((a, b) => a - b);
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
  index,
  picked,
  spark,
  menuOpen,
  detailsOpen,
  onMenu,
  onDetails,
  onPick,
}: {
  id: string;
  index: number;
  picked: boolean;
  spark: string;
  menuOpen: boolean;
  detailsOpen: boolean;
} & RowHandlers) {
  const row = useApp((state) => state.keys[id]);
  if (!row) return null;
  return (
    <tr
      className={row.status === 'active' ? undefined : 'off'}
      data-key={id}
      aria-rowindex={index + 2}
      aria-selected={picked || undefined}
      style={{ top: index * ROW }}
    >
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
        <a href={hrefOf('keys', {}, id)} dir="auto">
          {row.name}
        </a>
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
