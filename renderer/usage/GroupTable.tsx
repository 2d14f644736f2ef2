/** The numbers behind the chart: each group's sums, and every bar. */
import { formatUsd } from '#shared/money.ts';
import { formatCompact, formatCount, formatShare } from '../format.ts';
import { hrefOf } from '../router.ts';
import { strings } from '../strings.ts';
import { Bar } from '../ui/Bar.tsx';
import { Block } from '../ui/tiles.tsx';
import { barLabel, useNameOf } from './names.ts';
import { groupsOf, stacksOf, sumOf, type Point, type Range, type UsageView } from './series.ts';

const words = strings.usage;
const columns = words.columns;
/** More are reached by another period or grouping; a table of a thousand rows tells nobody anything. */
const MOST_GROUPS = 50;

export function GroupTable({
  points,
  range,
  view,
}: {
  points: readonly Point[];
  range: Range;
  view: UsageView;
}) {
  const nameOf = useNameOf(view.by);
  const groups = groupsOf(points).slice(0, MOST_GROUPS);
  const total = sumOf(points);
  const shareOf = (costNano: number) => (total.costNano === 0 ? 0 : costNano / total.costNano);
  const span = { from: range.from.toISOString(), to: range.to.toISOString() };
  return (
    <Block title={words.chart(words.groupings[view.by].toLowerCase())}>
      <div className="table-frame">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{words.groupings[view.by]}</th>
              <th scope="col" className="end">
                {columns.spend}
              </th>
              <th scope="col" className="end">
                {columns.share}
              </th>
              <th scope="col" className="end">
                {columns.requests}
              </th>
              <th scope="col" className="end">
                {columns.input}
              </th>
              <th scope="col" className="end">
                {columns.cached}
              </th>
              <th scope="col" className="end">
                {columns.output}
              </th>
              <th scope="col" className="end" title={words.savedTitle}>
                {columns.saved}
              </th>
            </tr>
          </thead>
          <tbody>
            {groups.map((group) => (
              <tr key={group.group}>
                <th scope="row" className="name">
                  <a className="quiet" href={hrefOf('activity', { [view.by]: group.group, ...span })}>
                    {nameOf(group.group)}
                  </a>
                </th>
                <td className="end amount">{formatUsd(group.costNano)}</td>
                <td className="end amount">
                  <span className="share">
                    {formatShare(shareOf(group.costNano))}
                    <Bar used={shareOf(group.costNano)} />
                  </span>
                </td>
                <td className="end amount">{formatCount(group.requests)}</td>
                <td className="end amount" title={formatCount(group.inputTokens)}>
                  {formatCompact(group.inputTokens)}
                </td>
                <td className="end amount dim" title={formatCount(group.cachedInputTokens)}>
                  {formatShare(group.inputTokens === 0 ? 0 : group.cachedInputTokens / group.inputTokens)}
                </td>
                <td className="end amount" title={formatCount(group.outputTokens)}>
                  {formatCompact(group.outputTokens)}
                </td>
                <td className="end amount dim">{formatUsd(group.savedNano)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <BarTable points={points} range={range} view={view} />
    </Block>
  );
}

function BarTable({ points, range, view }: { points: readonly Point[]; range: Range; view: UsageView }) {
  const nameOf = useNameOf(view.by);
  const { stacks, groups } = stacksOf(points, range, view.every);
  return (
    <details>
      <summary>{words.asTable}</summary>
      <div className="table-frame wide-table">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{columns.period}</th>
              {groups.map((group) => (
                <th key={group ?? ''} scope="col" className="end">
                  {group === null ? words.other : nameOf(group)}
                </th>
              ))}
              <th scope="col" className="end">
                {columns.total}
              </th>
            </tr>
          </thead>
          <tbody>
            {stacks.toReversed().map(({ at, costs }) => (
              <tr key={at.getTime()}>
                <th scope="row">{barLabel(at, view.every)}</th>
                {costs.map((cost, index) => (
                  <td key={groups[index] ?? ''} className="end amount">
                    {formatUsd(cost)}
                  </td>
                ))}
                <td className="end amount">{formatUsd(costs.reduce((sum, cost) => sum + cost, 0))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
