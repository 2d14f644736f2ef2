/** A key's limits in two lines: what they are, and how far the nearest one is. One height, whichever there are. */
import { IconAlertTriangle, IconBan } from '@tabler/icons-react';
import type { KeyRow } from '#shared/model.ts';
import { formatLimit } from '#shared/money.ts';
import { limitProgress, type LimitProgress } from '../format.ts';
import { strings } from '../strings.ts';
import { Ahead } from '../ui/time.tsx';
import { limitText } from './changes.ts';

const words = strings.keys;

/** Of a key, or of what keys share. */
type Limited = Pick<KeyRow, 'usageNano' | 'heldNano' | 'limitNano' | 'recurring' | 'limitState'> &
  Partial<Pick<KeyRow, 'topUp' | 'sessionLimitNano'>>;

export function LimitSummary({ row }: { row: Limited }) {
  const progress = limitProgress(row);
  const text = limitText(row);
  if (!progress) {
    const amount = row.sessionLimitNano == null ? 'dim' : 'amount';
    return <span className={`limit-text ${amount}`}>{text}</span>;
  }
  return (
    <span className="limit-text amount">
      <span className="limit-amounts" title={text}>
        {text}
      </span>
      <span className="limit-line">
        <LimitState
          state={row.limitState}
          belowText={words.near(progress.percent, whichOf(row, progress.of))}
        />
        {row.topUp && (
          <span className="dim">
            {' · '}
            {strings.limits.topUp.current(formatLimit(row.topUp.amountNano))}
          </span>
        )}
        {row.recurring && progress.of === 'recurring' && (
          <span className="dim">
            {' · '}
            {words.resets} <Ahead iso={row.recurring.resetsAt} />
          </span>
        )}
      </span>
    </span>
  );
}

/** The limit that the percent is of, where there are two. */
function whichOf({ limitNano, recurring }: Limited, of: LimitProgress['of']): string | null {
  if (limitNano === null || recurring === null) return null;
  return formatLimit(of === 'recurring' ? recurring.amountNano : limitNano);
}

/** In words and with a sign, so that it does not rest on colour. */
export function LimitState({
  state,
  belowText,
  reachedText = words.reached,
}: {
  state: KeyRow['limitState'];
  /** What is said where it is not reached. */
  belowText: string;
  reachedText?: string;
}) {
  if (state === 'reached') {
    return (
      <span className="limit-state reached">
        <IconBan size={13} />
        {reachedText}
      </span>
    );
  }
  if (state === 'near') {
    return (
      <span className="limit-state near">
        <IconAlertTriangle size={13} />
        {belowText}
      </span>
    );
  }
  return <span className="limit-state">{belowText}</span>;
}
