/** The rows of the log that are on screen, as a table that says how many there are in all. */
import { Button, VisuallyHidden } from '@mantine/core';
import { IconArrowUp } from '@tabler/icons-react';
import { memo, useEffect, useEffectEvent, useLayoutEffect, useRef, useState } from 'react';
import type { RequestRow } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';
import { formatCount, formatDuration, formatExact, formatTight } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useRowWindow } from '../ui/rows.ts';
import { When } from '../ui/time.tsx';
import { isSuccess } from './filter.ts';
import type { Log, LogView } from './log.ts';

const words = strings.activity;
const columns = ['time', 'key', 'client', 'model', 'tokens', 'cost', 'flags', 'duration', 'status'] as const;

/** In step with --row of activity.css. */
const ROW = 32;
/** Browsers draw no element taller than about 33 million pixels. */
const MOST_ROWS = 1_040_000;

export function RequestTable({
  log,
  view,
  open,
  onOpen,
  onReading,
}: {
  log: Log;
  view: LogView;
  open: number | null;
  onOpen: (id: number) => void;
  /** Whether the rows are scrolled, so that new ones on top would move them. */
  onReading: (isReading: boolean) => void;
}) {
  const [frame, setFrame] = useState<HTMLDivElement | null>(null);
  const count = Math.min(view.count, MOST_ROWS);
  const { first, last } = useRowWindow(frame, count, ROW);
  const [active, setActive] = useState<number | null>(null);

  // After every drawing: what is loaded, and how much follows, may have changed as well as what is on screen.
  useEffect(() => log.show(first, last));
  useAnchor(frame, log);

  useEffect(() => {
    if (!frame) return;
    const onScroll = () => {
      onReading(frame.scrollTop > 0);
      // Back at the top, there is nothing to keep in place.
      if (frame.scrollTop === 0 && log.view().waiting > 0) log.reveal();
    };
    onReading(frame.scrollTop > 0);
    frame.addEventListener('scroll', onScroll, { passive: true });
    return () => frame.removeEventListener('scroll', onScroll);
  }, [frame, log, onReading]);

  const rows = [];
  for (let index = first; index <= last; index += 1) {
    const row = log.rowAt(index);
    rows.push(
      row ? (
        <Row
          key={row.id}
          row={row}
          index={index}
          isOpen={row.id === open}
          isStop={active === null ? index === first : row.id === active}
          onOpen={onOpen}
        />
      ) : (
        <tr
          key={`at-${index}`}
          className="log-row"
          aria-rowindex={index + 2}
          style={{ top: index * ROW }}
          aria-busy="true"
        />
      ),
    );
  }

  /** The row that the keyboard was led to and that may not be there yet. */
  const wanted = useRef<number | null>(null);
  const focusWanted = useEffectEvent(() => {
    if (wanted.current === null || !frame) return;
    const row = log.rowAt(Math.min(wanted.current, count - 1));
    const button = row && frame.querySelector<HTMLElement>(`[data-request="${row.id}"]`);
    if (!button) return;
    wanted.current = null;
    button.focus();
    setActive(row.id);
    if (open !== null) onOpen(row.id);
  });
  const move = useEffectEvent((event: KeyboardEvent) => {
    const target = event.target instanceof HTMLElement ? Number(event.target.dataset['request']) : Number.NaN;
    const at = Number.isNaN(target) ? -1 : log.indexOf(target);
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 };
    const step = steps[event.key];
    const ends: Record<string, number> = { Home: 0, End: count - 1 };
    const to = ends[event.key] ?? (step === undefined || at < 0 ? null : at + step);
    if (to === null || !frame) return;
    event.preventDefault();
    wanted.current = Math.max(0, Math.min(to, count - 1));
    scrollTo(frame, wanted.current);
    focusWanted();
    // The row is not there before it was loaded and drawn, and the one that has the focus may be gone by then.
    if (wanted.current !== null) frame.focus({ preventScroll: true });
  });
  useEffect(() => focusWanted());
  const press = useEffectEvent(({ target }: MouseEvent) => {
    if (!(target instanceof Element) || target.closest('button')) return;
    // The end of selecting some text is no click.
    if (getSelection()?.isCollapsed === false) return;
    const button = target.closest('.log-row')?.querySelector<HTMLElement>('[data-request]');
    if (!button) return;
    button.focus({ preventScroll: true });
    onOpen(Number(button.dataset['request']));
  });
  useEffect(() => {
    if (!frame) return;
    const ended = new AbortController();
    frame.addEventListener('keydown', (event) => move(event), { signal: ended.signal });
    frame.addEventListener('click', (event) => press(event), { signal: ended.signal });
    return () => ended.abort();
  }, [frame]);

  return (
    <div className="log">
      {view.waiting > 0 && (
        <Button
          className="log-fresh"
          size="compact-sm"
          radius="xl"
          leftSection={<IconArrowUp size={14} />}
          title={words.freshTitle}
          onClick={() => {
            log.reveal();
            frame?.scrollTo(0, 0);
          }}
        >
          {words.fresh(formatCount(view.waiting))}
        </Button>
      )}
      {/* The rows inside take the focus; what scrolls has to be reachable too where there are only a few. */}
      <div className="table-frame log-frame" ref={setFrame} tabIndex={-1}>
        <table className="table activity" aria-rowcount={view.complete ? count + 1 : -1}>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col" className={`w-${column}`}>
                  {words.columns[column]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody style={{ height: count * ROW }}>{rows}</tbody>
        </table>
        {view.olderFailure !== null && (
          <p className="log-foot bad" role="alert">
            {words.olderFailed} {view.olderFailure}{' '}
            <Button variant="default" size="compact-xs" onClick={() => log.retryOlder()}>
              {strings.common.retry}
            </Button>
          </p>
        )}
        {view.count > MOST_ROWS && <p className="log-foot dim">{words.tooMany}</p>}
      </div>
    </div>
  );
}

/** Keeps what is read in its place where the number of rows above it turns out to be another than was thought. */
function useAnchor(frame: HTMLElement | null, log: Log): void {
  const anchor = useRef<{ id: number; index: number } | null>(null);
  useLayoutEffect(() => {
    if (!frame) return;
    const before = anchor.current;
    const now = before && frame.scrollTop > 0 ? log.indexOf(before.id) : -1;
    if (before && now >= 0 && now !== before.index) frame.scrollBy(0, (now - before.index) * ROW);
    const index = Math.floor(frame.scrollTop / ROW);
    const row = log.rowAt(index);
    anchor.current = row ? { id: row.id, index } : null;
  });
}

function scrollTo(frame: HTMLElement, index: number): void {
  const head = frame.querySelector('thead')?.clientHeight ?? 0;
  const top = index * ROW;
  if (top < frame.scrollTop) frame.scrollTop = top;
  else if (top + ROW + head > frame.scrollTop + frame.clientHeight) {
    frame.scrollTop = top + ROW + head - frame.clientHeight;
  }
}

const Row = memo(function Row({
  row,
  index,
  isOpen,
  isStop,
  onOpen,
}: {
  row: RequestRow;
  index: number;
  isOpen: boolean;
  /** The one row that Tab stops at; arrows lead to the others. */
  isStop: boolean;
  onOpen: (id: number) => void;
}) {
  const keyName = useApp((state) => state.keys[row.keyId]?.name);
  return (
    <tr
      className="log-row"
      data-row={row.id}
      aria-rowindex={index + 2}
      aria-selected={isOpen || undefined}
      style={{ top: index * ROW }}
    >
      <td className="w-time">
        <button
          type="button"
          className="log-open"
          data-request={row.id}
          tabIndex={isStop ? 0 : -1}
          aria-expanded={isOpen}
          aria-label={words.open(formatExact(row.at))}
          title={formatExact(row.at)}
          onClick={() => onOpen(row.id)}
        />
        <span className="dim">
          <When iso={row.at} seconds />
        </span>
      </td>
      <td className="w-key" title={keyName ?? row.keyId}>
        {keyName ?? <span className="dim">{words.deletedKey}</span>}
      </td>
      <td className="w-client dim" title={row.client ?? undefined}>
        {row.client}
      </td>
      <td className="w-model" title={modelTitle(row)}>
        <span>{row.model}</span> <span className="dim">{words.viaProvider(row.provider)}</span>
      </td>
      <td className="w-tokens amount" title={tokenDetails(row)}>
        {formatTight(row.inputTokens)}
        <span className="dim"> / {formatTight(row.cachedInputTokens)} / </span>
        {formatTight(row.outputTokens)}
      </td>
      <td className="w-cost amount">
        {row.costNano === null ? <span className="near">{words.unknownCost}</span> : formatUsd(row.costNano)}
      </td>
      <td className="w-flags">
        <Flags flags={row.flags} />
      </td>
      <td className="w-duration amount dim">
        {row.firstByteMs === null ? '' : `${formatDuration(row.firstByteMs)} / `}
        {formatDuration(row.durationMs)}
      </td>
      <td className="w-status">
        <StatusText status={row.status} />
      </td>
    </tr>
  );
});

/** There is room for one. What else there is stands behind its number, and in full in the details. */
function Flags({ flags: [first, ...others] }: Pick<RequestRow, 'flags'>) {
  if (first === undefined) return null;
  const labels = others.map((flag) => words.flags[flag].label).join(', ');
  return (
    <>
      <span className="flag" title={words.flags[first].title}>
        {words.flags[first].label}
      </span>
      {others.length > 0 && (
        <span
          className="flag"
          title={others.map((flag) => `${words.flags[flag].label}: ${words.flags[flag].title}`).join('\n')}
        >
          <span aria-hidden="true">+{others.length}</span>
          <VisuallyHidden>, {labels}</VisuallyHidden>
        </span>
      )}
    </>
  );
}

function modelTitle(row: RequestRow): string {
  const billed = `${row.model} ${words.viaProvider(row.provider)}`;
  return row.modelAsked === row.model ? billed : `${billed}. ${words.askedAs(row.modelAsked)}`;
}

/** The exact counts, and the parts that the three numbers leave out. */
export function tokenCounts(row: RequestRow): [label: string, count: number][] {
  const counts: [string, number][] = [
    [words.tokens.input, row.inputTokens],
    [words.tokens.cached, row.cachedInputTokens],
    [words.tokens.cacheWrite, row.cacheWriteTokens],
    [words.tokens.cacheWrite1h, row.cacheWrite1hTokens],
    [words.tokens.output, row.outputTokens],
    [words.tokens.reasoning, row.reasoningTokens],
    [words.tokens.webSearches, row.webSearches],
  ];
  return counts.filter(
    ([label, count]) => count > 0 || label === words.tokens.input || label === words.tokens.output,
  );
}

const tokenDetails = (row: RequestRow) =>
  tokenCounts(row)
    .map(([label, count]) => `${label}: ${formatCount(count)}`)
    .join('\n');

export function StatusText({ status }: { status: number }) {
  if (status === 0) return <span className="bad">{words.noAnswer}</span>;
  return <span className={isSuccess(status) ? 'amount dim' : 'amount bad'}>{status}</span>;
}
