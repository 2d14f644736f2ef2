/** The limit of a key, of a provider or of all keys, as a form: what is used so far, the fields, and the stop. */
import { Checkbox } from '@mantine/core';
import { useState, type ReactNode } from 'react';
import type { Answer } from '#shared/contract.ts';
import type { KeyRow, ScopeLimit } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';
import { closeDialog } from '../actions.ts';
import { strings } from '../strings.ts';
import { DialogButtons, FormError, submitting } from '../ui/page.tsx';
import { draftOf, errorsFrom, limitWarning, readDraft, type LimitErrors, type Limits } from './limit-form.ts';
import { LimitFields } from './LimitFields.tsx';

export function LimitForm({
  label,
  name,
  limit,
  save,
  children,
}: {
  /** What `name` is of: a key, or what keys share. */
  label: string;
  name: string;
  limit: ScopeLimit & Partial<Pick<KeyRow, 'sessionLimitNano'>>;
  save: (change: Limits & { stopRunning?: boolean }) => Promise<Answer<unknown>>;
  /** Below the fields. */
  children: ReactNode;
}) {
  // Taken once: a pushed row must not overwrite what is being typed.
  const [draft, setDraft] = useState(() => draftOf(limit));
  const [errors, setErrors] = useState<LimitErrors>({});
  const [stopRunning, setStopRunning] = useState(false);
  const [busy, setBusy] = useState(false);
  const read = readDraft(draft);
  const canStop = limit.heldNano > 0 && read.ok && limitWarning(read.limits, limit) !== null;

  const submit = async () => {
    if (!read.ok) return setErrors(read.errors);
    setBusy(true);
    const answer = await save({ ...read.limits, ...(stopRunning ? { stopRunning } : {}) });
    setBusy(false);
    if (answer.ok) closeDialog();
    else setErrors(errorsFrom(answer.error));
  };

  return (
    <form className="dialog-form" onSubmit={submitting(submit)} noValidate>
      <dl className="facts">
        <dt>{label}</dt>
        <dd>{name}</dd>
        <dt>{strings.limit.usageSoFar}</dt>
        <dd>
          <span className="amount">{formatUsd(limit.usageNano)}</span>
          {limit.heldNano > 0 && (
            <span className="dim"> + {strings.keys.held(formatUsd(limit.heldNano))}</span>
          )}
        </dd>
        {limit.recurring && (
          <>
            <dt>{strings.keys.details.window(limit.recurring.every)}</dt>
            <dd className="amount">{formatUsd(limit.recurring.usedNano)}</dd>
          </>
        )}
      </dl>
      <LimitFields
        draft={draft}
        errors={errors}
        row={limit}
        autoFocus
        onChange={(next) => {
          setDraft(next);
          setErrors({});
        }}
      />
      {children}
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
