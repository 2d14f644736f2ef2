import { useMemo } from 'react';
import { formatPercent } from '#shared/limit-share.ts';
import type { KeyRow } from '#shared/model.ts';
import { formatLimit, formatUsd } from '#shared/money.ts';
import { LimitState } from '../keys/LimitSummary.tsx';
import { hrefOf } from '../router.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Block } from '../ui/tiles.tsx';
import { formatDay, useMinute } from './names.ts';
import { lastOfMonth, outlooks, type Point } from './series.ts';

const words = strings.usage;
const MOST_ROWS = 8;
const NEAR = 0.8;

/** Which keys meet their limit before the month ends, if they go on as they do. */
export function OutlookTable({ points }: { points: readonly Point[] }) {
  const keys = useApp((state) => state.keys);
  const now = useMinute();
  const rows = useMemo(
    () => outlooks(points, Object.values(keys), new Date(now)).slice(0, MOST_ROWS),
    [points, keys, now],
  );
  if (rows.length === 0) return null;
  return (
    <Block title={words.outlook} text={words.outlookText}>
      <div className="table-frame">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{words.outlookColumns.key}</th>
              <th scope="col" className="end">
                {words.outlookColumns.soFar}
              </th>
              <th scope="col" className="end">
                {words.outlookColumns.projected(formatDay(lastOfMonth(new Date(now))))}
              </th>
              <th scope="col" className="end">
                {words.outlookColumns.limit}
              </th>
              <th scope="col">{words.outlookColumns.state}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.id}>
                <th scope="row" className="name">
                  <a className="quiet" href={hrefOf('keys', {}, row.id)}>
                    {row.name}
                  </a>
                </th>
                <td className="end amount">{formatUsd(row.soFarNano)}</td>
                <td className="end amount">{formatUsd(row.projectedNano)}</td>
                <td className="end amount">
                  {row.monthly
                    ? strings.keys.per(formatLimit(row.limitNano), 'month')
                    : formatLimit(row.limitNano)}
                </td>
                <td>
                  <LimitState
                    state={stateOf(row.share)}
                    belowText={words.outlookStates.below(formatPercent(row.share))}
                    reachedText={
                      row.reachedAt === null
                        ? strings.keys.reached
                        : words.outlookStates.reaches(formatDay(row.reachedAt))
                    }
                  />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Block>
  );
}

function stateOf(share: number): KeyRow['limitState'] {
  if (share >= 1) return 'reached';
  return share >= NEAR ? 'near' : 'ok';
}
