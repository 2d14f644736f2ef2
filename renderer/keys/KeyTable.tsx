/**
 * The API keys table. Rows are plain elements that each follow their own key in the store, so a thousand keys cost a
 * thousand cheap rows and a pushed number draws one of them; the menu and the usage card exist once for the whole table.
 */
import { IconAlertTriangle, IconBan, IconDots, IconPencil } from '@tabler/icons-react';
import { memo, useCallback, useDeferredValue, useRef, useState } from 'react';
import type { KeyRow } from '#shared/model.ts';
import { formatLimit, formatUsd } from '#shared/money.ts';
import { openDialog } from '../actions.ts';
import { limitProgress } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import type { Anchor } from '../ui/floating.tsx';
import { Ago, Day } from '../ui/time.tsx';
import { KeyMenu } from './KeyMenu.tsx';
import { USAGE_CARD, UsageCard } from './UsageCard.tsx';

interface RowHandlers {
  onMenu: (anchor: Anchor) => void;
  onDetails: (anchor: Anchor | null) => void;
}

const words = strings.keys;
const columns = ['name', 'key', 'status', 'created', 'lastUsed', 'usage', 'limit', 'actions'] as const;

/** More than a screen holds: these are drawn at once, the rest right after without holding up the window. */
const FIRST_ROWS = 40;

export function KeyTable({ ids }: { ids: readonly string[] }) {
  const shown = useDeferredValue(ids, ids.slice(0, FIRST_ROWS));
  const [menu, setMenu] = useState<Anchor | null>(null);
  const [details, setDetails] = useState<Anchor | null>(null);
  const onMenu = useCallback((anchor: Anchor) => setMenu(anchor), []);
  const onDetails = useCallback((anchor: Anchor | null) => setDetails(anchor), []);
  const closeDetails = useCallback(() => setDetails(null), []);
  return (
    <>
      <div className="table-frame">
        <table className="table keys" aria-label={strings.pages.keys}>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col" className={`col-${column}`}>
                  {words.columns[column]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((id) => (
              <Row
                key={id}
                id={id}
                menuOpen={menu?.id === id}
                detailsOpen={details?.id === id}
                onMenu={onMenu}
                onDetails={onDetails}
              />
            ))}
          </tbody>
        </table>
      </div>
      {menu && <KeyMenu anchor={menu} onClose={() => setMenu(null)} />}
      {details && <UsageCard anchor={details} onClose={closeDetails} />}
    </>
  );
}

const Row = memo(function Row({
  id,
  menuOpen,
  detailsOpen,
  onMenu,
  onDetails,
}: { id: string; menuOpen: boolean; detailsOpen: boolean } & RowHandlers) {
  const row = useApp((state) => state.keys[id]);
  if (!row) return null;
  return (
    <tr className={row.status === 'active' ? undefined : 'off'}>
      <th scope="row" className="name" title={row.name}>
        {row.name}
      </th>
      <td>
        <code>{row.masked}</code>
      </td>
      <td>
        <span className={`state state-${row.status}`}>{words.status[row.status]}</span>
      </td>
      <td className="col-created dim">
        <Day iso={row.createdAt} />
      </td>
      <td className="col-lastUsed dim">
        {row.lastUsedAt ? <Ago iso={row.lastUsedAt} /> : strings.common.never}
      </td>
      <UsageCell row={row} open={detailsOpen} onDetails={onDetails} />
      <td>
        <div className="limit-cell">
          <LimitText row={row} />
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

function LimitText({ row }: { row: KeyRow }) {
  const progress = limitProgress(row);
  if (!progress) return <span className="limit-text dim">{words.noLimit}</span>;
  // Under the limit that it speaks of.
  const state = <LimitState row={row} percent={progress.percent} />;
  return (
    <span className="limit-text amount">
      {row.limitNano !== null && <span>{formatLimit(row.limitNano)}</span>}
      {progress.of === 'all-time' && state}
      {row.recurring && <span>{words.per(formatLimit(row.recurring.amountNano), row.recurring.every)}</span>}
      {progress.of === 'recurring' && state}
    </span>
  );
}

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
      {progress && (
        <span className={`bar bar-${row.limitState}`} aria-hidden="true">
          <span className="bar-used" style={{ width: `${progress.used * 100}%` }} />
          <span className="bar-held" style={{ width: `${progress.held * 100}%` }} />
        </span>
      )}
    </>
  );
}

function LimitState({ row, percent }: { row: KeyRow; percent: string }) {
  if (row.limitState === 'reached') {
    return (
      <span className="limit-state reached">
        <IconBan size={13} />
        {words.reached}
      </span>
    );
  }
  if (row.limitState === 'near') {
    return (
      <span className="limit-state near">
        <IconAlertTriangle size={13} />
        {words.near(percent)}
      </span>
    );
  }
  return <span className="limit-state">{words.near(percent)}</span>;
}
