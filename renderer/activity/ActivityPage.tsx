import { Button, NativeSelect } from '@mantine/core';
import { IconCurrencyDollar, IconPencil } from '@tabler/icons-react';
import { memo, useEffect, useMemo, useState } from 'react';
import type { RequestRow } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';
import { loadOlderRequests, loadRequests, openDialog, setRequestFilter } from '../actions.ts';
import { formatCompact, formatCount, formatDuration } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { notifyFailure } from '../ui/notify.ts';
import { Empty, ListState, Page } from '../ui/page.tsx';
import { When } from '../ui/time.tsx';

const words = strings.activity;

export function ActivityPage() {
  const requests = useApp((state) => state.requests);
  const load = useApp((state) => state.requestsLoad);
  const filter = useApp((state) => state.requestFilter);
  const connection = useApp((state) => state.connection);
  useEffect(() => {
    if (connection === 'online') void loadRequests();
  }, [connection]);
  const filtered = filter.keyId !== null || filter.status !== null;
  return (
    <Page title={strings.pages.activity} tools={<Filters />}>
      <ListState
        load={load}
        onRetry={() => void loadRequests()}
        empty={
          requests.length > 0 ? null : filtered ? (
            <Empty title={words.emptyFiltered} />
          ) : (
            <Empty title={words.emptyTitle} text={words.emptyText} />
          )
        }
      >
        <div className="table-frame wide-table">
          <table className="table activity">
            <thead>
              <tr>
                <th scope="col" className="w-time">
                  {words.columns.time}
                </th>
                <th scope="col" className="w-key">
                  {words.columns.key}
                </th>
                <th scope="col">{words.columns.model}</th>
                <th scope="col" className="w-tokens end">
                  {words.columns.tokens}
                </th>
                <th scope="col" className="w-cost end">
                  {words.columns.cost}
                </th>
                <th scope="col" className="w-flags">
                  {words.columns.flags}
                </th>
                <th scope="col" className="w-status">
                  {words.columns.status}
                </th>
                <th scope="col" className="w-duration end">
                  {words.columns.duration}
                </th>
              </tr>
            </thead>
            <tbody>
              {requests.map((row) => (
                <Row key={row.id} row={row} />
              ))}
            </tbody>
          </table>
        </div>
        <LoadMore />
      </ListState>
    </Page>
  );
}

function Filters() {
  const filter = useApp((state) => state.requestFilter);
  const order = useApp((state) => state.keyOrder);
  const names = useKeyNames(order);
  return (
    <>
      <NativeSelect
        size="xs"
        className="filter-key"
        aria-label={words.filterKey}
        value={filter.keyId ?? ''}
        data={[
          { value: '', label: words.allKeys },
          ...order.map((id, index) => ({ value: id, label: names[index] ?? id })),
        ]}
        onChange={(event) => setRequestFilter({ keyId: event.currentTarget.value || null })}
      />
      <NativeSelect
        size="xs"
        className="filter-status"
        aria-label={words.filterStatus}
        value={filter.status ?? ''}
        data={[
          { value: '', label: words.all },
          { value: 'ok', label: words.ok },
          { value: 'error', label: words.error },
        ]}
        onChange={({ currentTarget: { value } }) =>
          setRequestFilter({ status: value === 'ok' || value === 'error' ? value : null })
        }
      />
    </>
  );
}

/** Joined to one string, so that pushed numbers of the same keys do not draw the filter again. */
function useKeyNames(order: readonly string[]): readonly string[] {
  const joined = useApp((state) => order.map((id) => state.keys[id]?.name ?? '').join('\n'));
  return useMemo(() => joined.split('\n'), [joined]);
}

const Row = memo(function Row({ row }: { row: RequestRow }) {
  const keyName = useApp((state) => state.keys[row.keyId]?.name);
  return (
    <tr>
      <td className="dim nowrap">
        <When iso={row.at} seconds />
      </td>
      <td className="name" title={keyName ?? row.keyId}>
        {keyName ?? <span className="dim">{words.deletedKey}</span>}
      </td>
      <td className="model" title={modelTitle(row)}>
        {row.model}
        <span className="dim"> {words.viaProvider(row.provider)}</span>
      </td>
      <td className="end amount nowrap" title={tokenDetails(row)}>
        {formatCompact(row.inputTokens)}
        <span className="dim"> / {formatCompact(row.cachedInputTokens)} / </span>
        {formatCompact(row.outputTokens)}
      </td>
      <td className="end amount nowrap" title={costDetails(row)}>
        {row.costNano === null ? <span className="near">{words.unknownCost}</span> : formatUsd(row.costNano)}
        <CostAction row={row} />
      </td>
      <td>
        <span className="flags">
          {row.flags.map((flag) => (
            <span key={flag} className="flag" title={words.flags[flag].title}>
              {words.flags[flag].label}
            </span>
          ))}
        </span>
      </td>
      <td>
        <StatusText status={row.status} />
      </td>
      <td
        className="end amount dim nowrap"
        title={row.firstByteMs === null ? undefined : words.firstByte(formatDuration(row.firstByteMs))}
      >
        {formatDuration(row.durationMs)}
      </td>
    </tr>
  );
});

function modelTitle(row: RequestRow): string {
  return row.modelAsked === row.model ? row.model : `${row.model}. ${words.askedAs(row.modelAsked)}`;
}

/** The exact counts, and the parts that the three numbers leave out. */
function tokenDetails(row: RequestRow): string {
  const counts = [
    [words.tokens.input, row.inputTokens],
    [words.tokens.cached, row.cachedInputTokens],
    [words.tokens.cacheWrite, row.cacheWriteTokens],
    [words.tokens.cacheWrite1h, row.cacheWrite1hTokens],
    [words.tokens.output, row.outputTokens],
    [words.tokens.reasoning, row.reasoningTokens],
    [words.tokens.webSearches, row.webSearches],
  ] as const;
  return counts
    .filter(([label, count]) => count > 0 || label === words.tokens.input || label === words.tokens.output)
    .map(([label, count]) => `${label}: ${formatCount(count)}`)
    .join('\n');
}

/** Where the cost comes from; the provider's figure and the computed one beside each other where they differ. */
function costDetails(row: RequestRow): string | undefined {
  const lines: string[] = [];
  if (row.priceSource !== null) lines.push(words.priceFrom(row.priceSource));
  if (row.reportedCostNano !== null) lines.push(words.reported(formatUsd(row.reportedCostNano)));
  if (row.computedCostNano !== null && row.computedCostNano !== row.costNano) {
    lines.push(words.computed(formatUsd(row.computedCostNano)));
  }
  return lines.length > 0 ? lines.join('\n') : undefined;
}

function StatusText({ status }: { status: number }) {
  if (status === 0) return <span className="bad">{words.noAnswer}</span>;
  return <span className={status < 300 ? 'amount dim' : 'amount bad'}>{status}</span>;
}

/** Where a cost is not certain, the way to mend it stands beside it. */
function CostAction({ row }: { row: RequestRow }) {
  const providers = useApp((state) => state.providers);
  if (row.costNano === null) {
    const providerId = providers.find((each) => each.slug === row.provider)?.id;
    return (
      <button
        type="button"
        className="icon-button"
        aria-label={words.setPrice}
        title={words.setPrice}
        onClick={() =>
          openDialog({
            kind: 'price',
            row: null,
            model: row.model,
            ...(providerId === undefined ? {} : { providerId }),
          })
        }
      >
        <IconCurrencyDollar size={14} />
      </button>
    );
  }
  const uncertain =
    row.flags.includes('estimated') || row.flags.includes('overrun') || row.flags.includes('corrected');
  if (!uncertain) return <span className="icon-gap" />;
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={words.correct(row.id)}
      title={words.correctTitle}
      onClick={() => openDialog({ kind: 'correct-cost', row })}
    >
      <IconPencil size={14} />
    </button>
  );
}

function LoadMore() {
  const next = useApp((state) => state.requestsNext);
  const [busy, setBusy] = useState(false);
  if (next === null) return null;
  const more = async () => {
    setBusy(true);
    const failure = await loadOlderRequests();
    setBusy(false);
    if (failure !== null) notifyFailure(failure);
  };
  return (
    <div className="load-more">
      <Button variant="default" loading={busy} onClick={() => void more()}>
        {words.more}
      </Button>
    </div>
  );
}
