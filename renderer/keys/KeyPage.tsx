/** All about one key: what it spent, on what, its last requests, and its settings. */
import { Button } from '@mantine/core';
import { IconChevronLeft, IconDots, IconPencil, IconPlayerPause } from '@tabler/icons-react';
import { lazy, Suspense, useMemo, useRef, useState } from 'react';
import type { KeyRow } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';
import { loadKeys, openDialog } from '../actions.ts';
import { StatusText } from '../activity/RequestTable.tsx';
import { formatCompact, formatCount, formatDuration, formatShare, limitProgress } from '../format.ts';
import { hrefOf } from '../router.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer, useLatest } from '../ui/answer.ts';
import { Bar } from '../ui/Bar.tsx';
import type { Anchor } from '../ui/floating.tsx';
import { Empty, ListState, Page } from '../ui/page.tsx';
import { Block, Tile, Tiles } from '../ui/tiles.tsx';
import { Ago, When } from '../ui/time.tsx';
import { barLabel, useToday } from '../usage/names.ts';
import { groupsOf, rangesOf, stacksOf, sumOf, type Point } from '../usage/series.ts';
import { SessionTable } from '../usage/SessionTable.tsx';
import { FallbackForm } from './FallbackForm.tsx';
import { KeyMenu } from './KeyMenu.tsx';
import { KeyState, ResumeKey } from './KeyState.tsx';
import { LimitSummary } from './LimitSummary.tsx';

const SpendChart = lazy(async () => ({ default: (await import('../ui/SpendChart.tsx')).SpendChart }));
const words = strings.keyPage;
const CHART_HEIGHT = 200;
const LAST_REQUESTS = 8;

export function KeyPage({ id }: { id: string }) {
  const row = useApp((state) => state.keys[id]);
  const load = useApp((state) => state.keysLoad);
  if (row) return <Found row={row} />;
  return (
    <Page title={strings.pages.keys}>
      <ListState
        load={load}
        onRetry={() => void loadKeys()}
        empty={
          <Empty title={words.gone} text={words.goneText}>
            <Button component="a" href={hrefOf('keys')} variant="default">
              {words.back}
            </Button>
          </Empty>
        }
      >
        {null}
      </ListState>
    </Page>
  );
}

function Found({ row }: { row: KeyRow }) {
  const today = useToday();
  const range = useMemo(() => rangesOf('30d', new Date(today)).current, [today]);
  const span = { from: range.from.toISOString(), to: range.to.toISOString() };
  const series = { ...span, every: 'day' as const, keyId: row.id };
  const byModel = useLatest(useAnswer('usage.series', { ...series, by: 'model' }, { live: true }));
  const byClient = useLatest(useAnswer('usage.series', { ...series, by: 'client' }, { live: true }));
  const points = byModel.value ?? [];
  return (
    <Page
      title={row.name}
      back={
        <a className="back" href={hrefOf('keys')} title={words.back} aria-label={words.back}>
          <IconChevronLeft size={18} />
        </a>
      }
      tools={<Tools row={row} />}
    >
      <Paused row={row} />
      <Summary row={row} />
      <Block title={words.spend} text={words.days}>
        <ListState load={byModel.load} empty={null} onRetry={byModel.reload}>
          {points.length === 0 ? <Empty title={words.nothing} /> : <Bars points={points} range={range} />}
        </ListState>
      </Block>
      {points.length > 0 && (
        <div className="columns">
          <Split title={words.byModel} field="model" points={points} keyId={row.id} />
          <Split title={words.byClient} field="client" points={byClient.value ?? []} keyId={row.id} />
        </div>
      )}
      <SessionTable range={span} keyId={row.id} />
      <LastRequests id={row.id} />
      <FallbackForm key={row.id} row={row} />
    </Page>
  );
}

function Tools({ row }: { row: KeyRow }) {
  const button = useRef<HTMLButtonElement>(null);
  const [menu, setMenu] = useState<Anchor | null>(null);
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconPencil size={14} />}
        onClick={(event) => openDialog({ kind: 'edit-limit', id: row.id }, event.currentTarget)}
      >
        {words.editLimit}
      </Button>
      <Button
        ref={button}
        variant="default"
        px={7}
        aria-label={strings.keys.actionsOf(row.name)}
        aria-haspopup="menu"
        aria-expanded={menu !== null}
        onClick={(event) => setMenu(menu ? null : { id: row.id, element: event.currentTarget })}
      >
        <IconDots size={16} />
      </Button>
      {menu && <KeyMenu anchor={menu} onClose={() => setMenu(null)} />}
    </>
  );
}

/** Why its requests are refused, and the way out, before any number. */
function Paused({ row }: { row: KeyRow }) {
  if (row.pause === null || row.status !== 'active') return null;
  return (
    <div className="notice key-paused" role="status">
      <IconPlayerPause size={16} />
      <span>{strings.limits.key.pausedTitle(row.pause.count)}</span>
      <ResumeKey row={row} />
    </div>
  );
}

function Summary({ row }: { row: KeyRow }) {
  const progress = limitProgress(row);
  return (
    <Tiles>
      <Tile
        label={strings.keys.columns.usage}
        value={formatUsd(row.usageNano)}
        note={
          row.heldNano > 0
            ? strings.keys.held(formatUsd(row.heldNano))
            : row.usageCreditsNano > 0
              ? words.ofCredits(formatUsd(row.usageCreditsNano))
              : words.ownKeys
        }
      />
      <div className="tile">
        <dt>{words.limit}</dt>
        <dd>
          <LimitSummary row={row} />
          {progress && (
            <Bar used={progress.used} held={progress.held} state={row.limitState} className="tile-bar" />
          )}
        </dd>
      </div>
      <Tile
        label={strings.keys.details.requests}
        value={formatCount(row.requests)}
        note={
          row.unpricedRequests > 0 ? (
            <a className="near" href={hrefOf('activity', { key: row.id, flag: 'unpriced' })}>
              {formatCount(row.unpricedRequests)} {words.unpriced}
            </a>
          ) : (
            <>
              {strings.keys.columns.lastUsed}{' '}
              {row.lastUsedAt ? <Ago iso={row.lastUsedAt} /> : strings.common.never}
            </>
          )
        }
      />
      <Tile
        label={strings.keys.details.tokens}
        value={`${formatCompact(row.inputTokens)} / ${formatCompact(row.outputTokens)}`}
      />
      <div className="tile">
        <dt>{strings.keys.columns.key}</dt>
        <dd className="tile-lines">
          <code>{row.masked}</code>
          <KeyState row={row} resumable={false} />
          <span className="dim">
            {strings.keys.columns.created} <When iso={row.createdAt} />
          </span>
          {row.expiresAt && (
            <span className="dim">
              {strings.keys.details.expires} <When iso={row.expiresAt} />
            </span>
          )}
        </dd>
      </div>
    </Tiles>
  );
}

function Bars({ points, range }: { points: readonly Point[]; range: { from: Date; to: Date } }) {
  const { stacks, groups } = stacksOf(points, range, 'day');
  return (
    <div className="card chart-card">
      <Suspense fallback={<div style={{ height: CHART_HEIGHT }} />}>
        <SpendChart
          title={words.chart}
          height={CHART_HEIGHT}
          bars={stacks.map(({ at, costs }) => ({ label: barLabel(at, 'day'), costs }))}
          series={groups.map((group) => group ?? strings.usage.other)}
          restIsLast={groups.at(-1) === null}
        />
      </Suspense>
    </div>
  );
}

function Split({
  title,
  field,
  points,
  keyId,
}: {
  title: string;
  field: 'model' | 'client';
  points: readonly Point[];
  keyId: string;
}) {
  const total = sumOf(points).costNano;
  return (
    <Block title={title} text={words.lastDays}>
      <div className="table-frame">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{strings.usage.groupings[field]}</th>
              <th scope="col" className="end">
                {strings.usage.columns.requests}
              </th>
              <th scope="col" className="end">
                {strings.usage.columns.share}
              </th>
              <th scope="col" className="end">
                {strings.usage.columns.spend}
              </th>
            </tr>
          </thead>
          <tbody>
            {groupsOf(points).map((group) => (
              <tr key={group.group}>
                <th scope="row" className="name">
                  {group.group === '' ? (
                    strings.usage.noGroup[field]
                  ) : (
                    <a className="quiet" href={hrefOf('activity', { key: keyId, [field]: group.group })}>
                      {group.group}
                    </a>
                  )}
                </th>
                <td className="end amount">{formatCount(group.requests)}</td>
                <td className="end amount dim">{formatShare(total === 0 ? 0 : group.costNano / total)}</td>
                <td className="end amount">{formatUsd(group.costNano)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Block>
  );
}

function LastRequests({ id }: { id: string }) {
  const asked = useAnswer('requests.list', { keyId: id, limit: LAST_REQUESTS }, { live: true });
  const rows = asked.value?.rows ?? [];
  return (
    <Block
      title={words.last}
      tools={
        <a className="link" href={hrefOf('activity', { key: id })}>
          {words.all}
        </a>
      }
    >
      <ListState
        load={asked.load}
        onRetry={asked.reload}
        empty={rows.length > 0 ? null : <p className="dim">{strings.activity.emptyTitle}</p>}
      >
        <div className="table-frame wide-table keep-last">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{strings.activity.columns.time}</th>
                <th scope="col">{strings.activity.columns.model}</th>
                <th scope="col">{strings.activity.columns.client}</th>
                <th scope="col" className="end">
                  {strings.activity.panel.total}
                </th>
                <th scope="col" className="end">
                  {strings.activity.columns.status}
                </th>
                <th scope="col" className="end">
                  {strings.activity.columns.cost}
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.id}>
                  <td className="nowrap">
                    <a className="quiet dim" href={hrefOf('activity', { key: id, request: String(row.id) })}>
                      <When iso={row.at} seconds />
                    </a>
                  </td>
                  <td className="model">{row.model}</td>
                  <td className="dim model">{row.client}</td>
                  <td className="end amount dim">{formatDuration(row.durationMs)}</td>
                  <td className="end">
                    <StatusText status={row.status} />
                  </td>
                  <td className="end amount">
                    {row.costNano === null ? (
                      <span className="near">{strings.activity.unknownCost}</span>
                    ) : (
                      formatUsd(row.costNano)
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </ListState>
    </Block>
  );
}
