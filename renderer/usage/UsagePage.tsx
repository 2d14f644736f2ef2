/** What was spent, on what, and where that leads by the end of the month. */
import { Button, SegmentedControl } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { lazy, Suspense, useMemo } from 'react';
import { csvLine } from '#shared/csv.ts';
import { formatPlainUsd, formatUsd } from '#shared/money.ts';
import { formatCompact, formatCount, formatShare, formatSignedPercent } from '../format.ts';
import { NextStep } from '../keys/FirstStart.tsx';
import { hrefOf, navigate, setQuery, useRoute } from '../router.ts';
import { app } from '../store.ts';
import { strings } from '../strings.ts';
import { useAnswer, useLatest } from '../ui/answer.ts';
import { openFile } from '../ui/file.ts';
import { Empty, ListState, Page } from '../ui/page.tsx';
import { Tile, Tiles } from '../ui/tiles.tsx';
import { GroupTable } from './GroupTable.tsx';
import { barLabel, formatDay, useMinute, useNameOf, useToday } from './names.ts';
import { OutlookTable } from './OutlookTable.tsx';
import {
  changeOf,
  groupings,
  paceRange,
  projectMonth,
  rangesOf,
  lastOfMonth,
  readUsageView,
  spans,
  stacksOf,
  steps,
  sumOf,
  type Point,
  type Range,
  type UsageView,
} from './series.ts';
import { SessionTable } from './SessionTable.tsx';

const words = strings.usage;
const SpendChart = lazy(async () => ({ default: (await import('../ui/SpendChart.tsx')).SpendChart }));
const CHART_HEIGHT = 250;

const bounds = ({ from, to }: Range) => ({ from: from.toISOString(), to: to.toISOString() });

export function UsagePage() {
  const { query } = useRoute();
  const view = useMemo(() => readUsageView(query), [query]);
  // The day, not the moment: what is asked for changes at midnight.
  const today = useToday();
  const { current, before } = useMemo(() => rangesOf(view.span, new Date(today)), [view.span, today]);
  const asked = useLatest(
    useAnswer('usage.series', { ...bounds(current), every: view.every, by: view.by }, { live: true }),
  );
  const earlier = useLatest(useAnswer('usage.series', { ...bounds(before), every: 'month', by: 'none' }));
  const pace = useAnswer(
    'usage.series',
    { ...bounds(paceRange(new Date(today))), every: 'day', by: 'key' },
    { live: true },
  );
  const points = asked.value ?? [];
  return (
    <Page
      title={strings.pages.usage}
      tools={
        <Button
          variant="default"
          leftSection={<IconDownload size={14} />}
          disabled={points.length === 0}
          onClick={() => void exportSeries(points, view)}
        >
          {words.exportCsv}
        </Button>
      }
    >
      <Toolbar view={view} />
      <ListState load={asked.load} empty={null} onRetry={asked.reload}>
        <div className={asked.refreshing && asked.value !== points ? 'refreshing' : undefined}>
          <Totals points={points} earlier={earlier.value} pace={pace.value} />
          {points.length === 0 ? (
            <div className="block">
              <Empty title={words.emptyTitle} text={words.emptyText}>
                <NextStep />
              </Empty>
            </div>
          ) : (
            <>
              <Chart points={points} range={current} view={view} />
              <GroupTable points={points} range={current} view={view} />
            </>
          )}
          <OutlookTable points={pace.value ?? []} />
          {points.length > 0 && <SessionTable range={bounds(current)} />}
        </div>
      </ListState>
    </Page>
  );
}

function Toolbar({ view }: { view: UsageView }) {
  return (
    <div className="toolbar">
      <SegmentedControl
        size="xs"
        aria-label={words.span}
        value={view.span}
        data={spans.map((span) => ({ value: span, label: words.spans[span] }))}
        // Another period has a step of its own that suits it.
        onChange={(span) => setQuery({ span: span === '30d' ? null : span, every: null })}
      />
      <SegmentedControl
        size="xs"
        aria-label={words.every}
        value={view.every}
        data={steps.map((every) => ({ value: every, label: words.steps[every] }))}
        onChange={(every) => setQuery({ every })}
      />
      <SegmentedControl
        size="xs"
        aria-label={words.by}
        value={view.by}
        data={groupings.map((by) => ({ value: by, label: words.groupings[by] }))}
        onChange={(by) => setQuery({ by: by === 'key' ? null : by })}
      />
    </div>
  );
}

function Totals({
  points,
  earlier,
  pace,
}: {
  points: readonly Point[];
  earlier: readonly Point[] | null;
  pace: readonly Point[] | null;
}) {
  const total = sumOf(points);
  const before = earlier && sumOf(earlier);
  const now = new Date(useMinute());
  const month = pace && projectMonth(pace, now);
  return (
    <>
      <Tiles>
        <Tile
          label={words.spend}
          value={formatUsd(total.costNano)}
          note={
            before && (
              <Change now={total.costNano} before={before.costNano} text={formatUsd(before.costNano)} />
            )
          }
        />
        <Tile
          label={words.projected(formatDay(lastOfMonth(now)))}
          title={words.paceTitle}
          value={month ? formatUsd(month.projectedNano) : '–'}
          note={month && `${strings.header.month}: ${formatUsd(month.soFarNano)}`}
        />
        <Tile
          label={words.requests}
          value={formatCount(total.requests)}
          note={total.errors === 0 ? words.noneFailed : words.failed(formatCount(total.errors))}
        />
        <Tile
          label={words.tokens}
          value={`${formatCompact(total.inputTokens)} / ${formatCompact(total.outputTokens)}`}
        />
        <Tile
          label={words.cache}
          title={words.savedTitle}
          value={formatUsd(total.savedNano)}
          note={words.cacheShare(
            formatShare(total.inputTokens === 0 ? 0 : total.cachedInputTokens / total.inputTokens),
          )}
        />
      </Tiles>
      {total.unpricedRequests > 0 && (
        <p className="notice block">
          {words.unpriced(formatCount(total.unpricedRequests))}{' '}
          <a href={hrefOf('activity', { flag: 'unpriced' })}>{words.showUnpriced}</a>
        </p>
      )}
    </>
  );
}

function Change({ now, before, text }: { now: number; before: number; text: string }) {
  const change = changeOf(now, before);
  if (change === null) return words.noBefore;
  return (
    <span title={words.beforeTitle}>
      {formatSignedPercent(change)} {words.before(text)}
    </span>
  );
}

function Chart({ points, range, view }: { points: readonly Point[]; range: Range; view: UsageView }) {
  const nameOf = useNameOf(view.by);
  const { stacks, groups } = stacksOf(points, range, view.every);
  const open = (index: number) => {
    const from = stacks[index]?.at;
    const to = stacks[index + 1]?.at ?? range.to;
    if (from) navigate(hrefOf('activity', { from: from.toISOString(), to: to.toISOString() }));
  };
  return (
    <div className="card chart-card block">
      <Suspense fallback={<div style={{ height: CHART_HEIGHT }} />}>
        <SpendChart
          title={`${words.chart(words.groupings[view.by].toLowerCase())}. ${words.chartText}`}
          height={CHART_HEIGHT}
          bars={stacks.map(({ at, costs }) => ({ label: barLabel(at, view.every), costs }))}
          series={groups.map((group) => (group === null ? words.other : nameOf(group)))}
          restIsLast={groups.at(-1) === null}
          onBar={open}
        />
      </Suspense>
    </div>
  );
}

async function exportSeries(points: readonly Point[], view: UsageView): Promise<void> {
  const sink = await openFile(`faregate-usage-${view.span}-by-${view.by}.csv`, 'text/csv');
  if (!sink) return;
  const { keys } = app.getState();
  await sink.write(
    csvLine([
      view.every,
      view.by,
      ...(view.by === 'key' ? ['key_name'] : []),
      'cost_usd',
      'saved_usd',
      'requests',
      'failed',
      'unpriced',
      'input_tokens',
      'cached_input_tokens',
      'output_tokens',
    ]),
  );
  for (const point of points) {
    await sink.write(
      csvLine([
        point.at,
        point.group,
        ...(view.by === 'key' ? [keys[point.group]?.name ?? ''] : []),
        formatPlainUsd(point.costNano),
        formatPlainUsd(point.savedNano),
        point.requests,
        point.errors,
        point.unpricedRequests,
        point.inputTokens,
        point.cachedInputTokens,
        point.outputTokens,
      ]),
    );
  }
  await sink.close();
}
