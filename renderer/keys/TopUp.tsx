/** Money on top of a key's limits for a while: one press, at once, and the limits stay as they are. */
import { Button } from '@mantine/core';
import { useState } from 'react';
import type { KeyRow } from '#shared/model.ts';
import { formatLimit, NANO_PER_USD } from '#shared/money.ts';
import { changeKey } from '../actions.ts';
import { strings } from '../strings.ts';
import { Fold } from '../ui/Fold.tsx';
import { FormError } from '../ui/page.tsx';
import { When } from '../ui/time.tsx';

const words = strings.limits.topUp;
const steps = [1, 5, 20].map((dollars) => dollars * NANO_PER_USD);

/** Nothing where the key has no limit. */
export function TopUp({ row, wanted }: { row: KeyRow; wanted: boolean }) {
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  // At hand where it is likely to be wanted; elsewhere the limit is all that the dialog is about.
  const [opened] = useState(
    wanted || row.topUp !== null || row.limitState === 'near' || row.limitState === 'reached',
  );
  if (row.limitNano === null && row.recurring === null) return null;

  const set = async (amountNano: number) => {
    setBusy(true);
    const answer = await changeKey('keys.topUp', { id: row.id, amountNano });
    setBusy(false);
    setFailure(answer.ok ? null : answer.error.message);
  };
  const current = row.topUp?.amountNano ?? 0;
  return (
    <Fold label={words.title} filled={opened} group>
      <p className="hint" role="status">
        {row.topUp === null ? (
          words.none(row.recurring?.every ?? null)
        ) : (
          <>
            <strong className="amount">{words.current(formatLimit(current))}</strong>{' '}
            {row.topUp.until === null ? (
              words.untilRemoved
            ) : (
              <>
                {words.until} <When iso={row.topUp.until} />
              </>
            )}
          </>
        )}
      </p>
      <div className="top-up-buttons">
        {steps.map((step) => (
          <Button
            key={step}
            variant="default"
            size="compact-sm"
            disabled={busy}
            aria-label={words.addLabel(formatLimit(step))}
            onClick={() => void set(current + step)}
          >
            {words.add(`$${step / NANO_PER_USD}`)}
          </Button>
        ))}
        {row.topUp !== null && (
          <Button variant="subtle" size="compact-sm" disabled={busy} onClick={() => void set(0)}>
            {words.remove}
          </Button>
        )}
      </div>
      <FormError message={failure} />
    </Fold>
  );
}
