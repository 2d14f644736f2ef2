/** What a key's usage is made of, beside the amount that is hovered or focused. */
import { useEffect } from 'react';
import { formatLimit, formatUsd } from '#shared/money.ts';
import { formatCompact, formatCount } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { useFloating, type Anchor } from '../ui/floating.tsx';
import { Ago, Day, When } from '../ui/time.tsx';

const words = strings.keys.details;

/** The element's id, for the control it describes. */
export const USAGE_CARD = 'usage-card';

export function UsageCard({ anchor, onClose }: { anchor: Anchor; onClose: () => void }) {
  const row = useApp((state) => state.keys[anchor.id]);
  const card = useFloating(anchor.element, 'start', onClose);

  useEffect(() => {
    // WCAG 1.4.13: what appears on hover can be sent away without moving the pointer.
    const onKey = (event: KeyboardEvent) => event.key === 'Escape' && onClose();
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [onClose]);

  if (!row) return null;
  return (
    <div ref={card} id={USAGE_CARD} className="floating usage-card" role="tooltip">
      <dl className="facts">
        <dt>{words.credits}</dt>
        <dd className="amount">{formatUsd(row.usageCreditsNano)}</dd>
        <dt>{words.ownKeys}</dt>
        <dd className="amount">{formatUsd(row.usageOwnKeyNano)}</dd>
        {row.heldNano > 0 && (
          <>
            <dt>{words.held}</dt>
            <dd className="amount">{formatUsd(row.heldNano)}</dd>
          </>
        )}
        {row.recurring && (
          <>
            <dt>{words.window(row.recurring.every)}</dt>
            <dd className="amount">
              {words.windowValue(formatUsd(row.recurring.usedNano), formatLimit(row.recurring.amountNano))}
            </dd>
            <dt>{words.resets}</dt>
            <dd>
              <When iso={row.recurring.resetsAt} />
            </dd>
          </>
        )}
        <dt className="apart">{words.requests}</dt>
        <dd className="amount apart">{formatCount(row.requests)}</dd>
        <dt>{words.tokens}</dt>
        <dd className="amount">
          {formatCompact(row.inputTokens)} / {formatCompact(row.outputTokens)}
        </dd>
        {row.unpricedRequests > 0 && (
          <>
            <dt className="near">{words.unpriced}</dt>
            <dd className="amount near">{formatCount(row.unpricedRequests)}</dd>
          </>
        )}
        {/* Repeated here because a narrow window leaves these columns out. */}
        <dt className="apart">{strings.keys.columns.created}</dt>
        <dd className="apart">
          <Day iso={row.createdAt} />
        </dd>
        {row.expiresAt && (
          <>
            <dt>{words.expires}</dt>
            <dd>
              <When iso={row.expiresAt} />
            </dd>
          </>
        )}
        <dt>{strings.keys.columns.lastUsed}</dt>
        <dd>{row.lastUsedAt ? <Ago iso={row.lastUsedAt} /> : strings.common.never}</dd>
      </dl>
    </div>
  );
}
