import { Checkbox } from '@mantine/core';
import { useState } from 'react';
import type { KeyRow } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';
import { closeDialog } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Dialog, DialogButtons, FormError, submitting } from '../ui/page.tsx';
import { setKeyLimit } from './changes.ts';
import { draftOf, errorsFrom, limitWarning, readDraft, type LimitErrors } from './limit-form.ts';
import { LimitFields } from './LimitFields.tsx';
import { TopUp } from './TopUp.tsx';

export function LimitDialog({ id }: { id: string }) {
  const row = useApp((state) => state.keys[id]);
  return (
    <Dialog title={strings.limit.title}>{row ? <LimitForm row={row} /> : <p>{strings.limit.gone}</p>}</Dialog>
  );
}

function LimitForm({ row }: { row: KeyRow }) {
  // Taken once: a pushed row must not overwrite what is being typed.
  const [draft, setDraft] = useState(() => draftOf(row));
  const [errors, setErrors] = useState<LimitErrors>({});
  const [stopRunning, setStopRunning] = useState(false);
  const [busy, setBusy] = useState(false);

  const save = async () => {
    const read = readDraft(draft);
    if (!read.ok) return setErrors(read.errors);
    setBusy(true);
    const answer = await setKeyLimit(row, {
      id: row.id,
      ...read.limits,
      ...(stopRunning ? { stopRunning } : {}),
    });
    setBusy(false);
    if (answer.ok) closeDialog();
    else setErrors(errorsFrom(answer.error));
  };

  const read = readDraft(draft);
  const canStop = row.heldNano > 0 && read.ok && limitWarning(read.limits, row) !== null;
  return (
    <form className="dialog-form" onSubmit={submitting(save)} noValidate>
      <dl className="facts">
        <dt>{strings.limit.key}</dt>
        <dd>{row.name}</dd>
        <dt>{strings.limit.usageSoFar}</dt>
        <dd>
          <span className="amount">{formatUsd(row.usageNano)}</span>
          {row.heldNano > 0 && <span className="dim"> + {strings.keys.held(formatUsd(row.heldNano))}</span>}
        </dd>
        {row.recurring && (
          <>
            <dt>{strings.keys.details.window(row.recurring.every)}</dt>
            <dd className="amount">{formatUsd(row.recurring.usedNano)}</dd>
          </>
        )}
      </dl>
      <LimitFields
        draft={draft}
        errors={errors}
        row={row}
        autoFocus
        onChange={(next) => {
          setDraft(next);
          setErrors({});
        }}
      />
      <TopUp row={row} />
      {canStop && (
        <Checkbox
          label={strings.limit.stopRunning}
          checked={stopRunning}
          onChange={(event) => setStopRunning(event.currentTarget.checked)}
        />
      )}
      <FormError message={errors.form ?? null} />
      <DialogButtons submit={strings.common.save} busy={busy} />
    </form>
  );
}
