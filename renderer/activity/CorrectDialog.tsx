import { TextInput } from '@mantine/core';
import { useState } from 'react';
import type { RequestRow } from '#shared/model.ts';
import { formatPlainUsd, parseAmount } from '#shared/money.ts';
import { closeDialog, correctCost } from '../actions.ts';
import { strings } from '../strings.ts';
import { Dialog, DialogButtons, FormError, submitting } from '../ui/page.tsx';

const words = strings.activity;

interface Errors {
  cost?: string;
  reason?: string;
  form?: string;
}

export function CorrectDialog({ row }: { row: RequestRow }) {
  const [cost, setCost] = useState(row.costNano === null ? '' : formatPlainUsd(row.costNano));
  const [reason, setReason] = useState('');
  const [errors, setErrors] = useState<Errors>({});
  const [busy, setBusy] = useState(false);

  const save = async () => {
    const read = parseAmount(cost);
    if (!read.ok || read.nano === null) return setErrors({ cost: words.correctNeeded });
    setBusy(true);
    const answer = await correctCost({ id: row.id, costNano: read.nano, reason });
    setBusy(false);
    if (answer.ok) return closeDialog();
    const { field, message } = answer.error;
    setErrors(
      field === 'reason' ? { reason: message } : field === 'costNano' ? { cost: message } : { form: message },
    );
  };

  return (
    <Dialog title={words.correctTitle}>
      <form className="dialog-form" onSubmit={submitting(save)} noValidate>
        <p className="dim">{words.correctText}</p>
        <TextInput
          label={words.correctCost}
          leftSection="$"
          inputMode="decimal"
          autoComplete="off"
          className="amount-field"
          data-autofocus
          value={cost}
          error={errors.cost}
          onChange={(event) => {
            setCost(event.currentTarget.value);
            setErrors({});
          }}
        />
        <TextInput
          label={words.correctReason}
          autoComplete="off"
          maxLength={500}
          value={reason}
          error={errors.reason}
          onChange={(event) => {
            setReason(event.currentTarget.value);
            setErrors({});
          }}
        />
        <FormError message={errors.form ?? null} />
        <DialogButtons submit={strings.common.save} busy={busy} />
      </form>
    </Dialog>
  );
}
