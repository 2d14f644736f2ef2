/** The limit as a person types it: one field; a recurring one and one per session are folded away until they are wanted. */
import { NativeSelect, TextInput } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { Every, type KeyRow } from '#shared/model.ts';
import { strings } from '../strings.ts';
import { Fold } from '../ui/Fold.tsx';
import { limitWarning, readDraft, type LimitDraft, type LimitErrors } from './limit-form.ts';

const everyOptions = Every.options.map((every) => ({ value: every, label: strings.limit.everyLabel[every] }));

type LimitFieldsRow = Pick<KeyRow, 'usageNano' | 'recurring'> | null;

export function LimitFields({
  draft,
  errors,
  row,
  autoFocus,
  onChange,
}: {
  draft: LimitDraft;
  errors: LimitErrors;
  /** The key as it is, where there is one: what it has used decides the warnings. */
  row: LimitFieldsRow;
  autoFocus: boolean;
  onChange: (draft: LimitDraft) => void;
}) {
  const read = readDraft(draft);
  const warning = read.ok ? limitWarning(read.limits, row) : null;
  return (
    <>
      <TextInput
        label={strings.limit.field}
        description={warning?.field === 'amount' || errors.amount ? undefined : strings.limit.hint}
        inputWrapperOrder={['label', 'input', 'description', 'error']}
        placeholder={strings.limit.placeholder}
        leftSection="$"
        inputMode="decimal"
        autoComplete="off"
        spellCheck={false}
        className="amount-field"
        value={draft.amount}
        error={errors.amount}
        onChange={(event) => onChange({ ...draft, amount: event.currentTarget.value })}
        onFocus={(event) => event.currentTarget.select()}
        {...(autoFocus ? { 'data-autofocus': true } : {})}
      />
      {warning?.field === 'amount' && <Warning text={warning.text} />}
      <Fold
        label={strings.limit.recurring}
        filled={draft.recurringAmount !== ''}
        wrong={errors.recurringAmount !== undefined}
      >
        <div className="field-row">
          <TextInput
            label={strings.limit.recurringField}
            placeholder={strings.limit.recurringPlaceholder}
            leftSection="$"
            inputMode="decimal"
            autoComplete="off"
            spellCheck={false}
            className="amount-field grow"
            value={draft.recurringAmount}
            error={errors.recurringAmount}
            onChange={(event) => onChange({ ...draft, recurringAmount: event.currentTarget.value })}
          />
          <NativeSelect
            label={strings.limit.period}
            data={everyOptions}
            value={draft.every}
            onChange={(event) => onChange({ ...draft, every: Every.parse(event.currentTarget.value) })}
          />
        </div>
        <p className="hint">{recurringHint(draft, row)}</p>
        {warning?.field === 'recurringAmount' && <Warning text={warning.text} />}
      </Fold>
      {draft.sessionAmount !== undefined && (
        <Fold
          label={strings.limit.session.title}
          filled={draft.sessionAmount !== ''}
          wrong={errors.sessionAmount !== undefined}
        >
          <TextInput
            label={strings.limit.session.field}
            placeholder={strings.limit.recurringPlaceholder}
            leftSection="$"
            inputMode="decimal"
            autoComplete="off"
            spellCheck={false}
            className="amount-field"
            value={draft.sessionAmount}
            error={errors.sessionAmount}
            onChange={(event) => onChange({ ...draft, sessionAmount: event.currentTarget.value })}
          />
          <p className="hint">{strings.limit.session.hint}</p>
          {warning?.field === 'sessionAmount' && <Warning text={warning.text} />}
        </Fold>
      )}
    </>
  );
}

/** A new amount keeps what the period has used; a new period starts at nothing, also in its middle. */
function recurringHint({ recurringAmount, every }: LimitDraft, row: LimitFieldsRow): string {
  const isNew = row !== null && row.recurring?.every !== every;
  return isNew && recurringAmount.trim() !== ''
    ? strings.limit.recurringStarts(every)
    : strings.limit.recurringHint;
}

function Warning({ text }: { text: string }) {
  return (
    <p className="warning" role="status">
      <IconAlertTriangle size={15} />
      {text}
    </p>
  );
}
