import { Checkbox } from '@mantine/core';
import { useState } from 'react';
import type { LimitScope, ScopeLimit } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';
import { closeDialog } from '../actions.ts';
import { draftOf, errorsFrom, limitWarning, readDraft, type LimitErrors } from '../keys/limit-form.ts';
import { LimitFields } from '../keys/LimitFields.tsx';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Dialog, DialogButtons, FormError, submitting } from '../ui/page.tsx';
import { setSharedLimit } from './actions.ts';

const words = strings.limits;

/** The limit over all keys, or of one provider. */
export function ScopeLimitDialog({ scope }: { scope: LimitScope }) {
  const limits = useApp((state) => state.limits);
  const provider =
    scope.kind === 'provider' && limits?.providers.find(({ providerId }) => providerId === scope.providerId);
  const limit = scope.kind === 'global' ? limits?.global : provider;
  const whose = provider ? provider.name : words.allKeys;
  return (
    <Dialog title={strings.limit.title}>
      {limit ? <ScopeLimitForm scope={scope} whose={whose} limit={limit} /> : <p>{words.gone}</p>}
    </Dialog>
  );
}

function ScopeLimitForm({ scope, whose, limit }: { scope: LimitScope; whose: string; limit: ScopeLimit }) {
  // Taken once: a pushed row must not overwrite what is being typed.
  const [draft, setDraft] = useState(() => draftOf(limit));
  const [errors, setErrors] = useState<LimitErrors>({});
  const [stopRunning, setStopRunning] = useState(false);
  const [busy, setBusy] = useState(false);

  const save = async () => {
    const read = readDraft(draft);
    if (!read.ok) return setErrors(read.errors);
    setBusy(true);
    const answer = await setSharedLimit(limit, {
      scope,
      ...read.limits,
      ...(stopRunning ? { stopRunning } : {}),
    });
    setBusy(false);
    if (answer.ok) closeDialog();
    else setErrors(errorsFrom(answer.error));
  };

  const read = readDraft(draft);
  const canStop = limit.heldNano > 0 && read.ok && limitWarning(read.limits, limit) !== null;
  return (
    <form className="dialog-form" onSubmit={submitting(save)} noValidate>
      <dl className="facts">
        <dt>{words.whose}</dt>
        <dd>{whose}</dd>
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
      <p className="hint">{words.unpricedHint}</p>
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
