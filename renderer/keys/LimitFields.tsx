/** The limit as a person types it: one field; a recurring limit is folded away until it is wanted. */
import { NativeSelect, TextInput } from '@mantine/core';
import { IconAlertTriangle, IconChevronRight } from '@tabler/icons-react';
import { useId, useState } from 'react';
import { Every, type KeyRow } from '#shared/model.ts';
import { strings } from '../strings.ts';
import { limitWarning, readDraft, type LimitDraft, type LimitErrors } from './limit-form.ts';

const everyOptions = Every.options.map((every) => ({ value: every, label: strings.limit.everyLabel[every] }));

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
  row: Pick<KeyRow, 'usageNano' | 'recurring'> | null;
  autoFocus: boolean;
  onChange: (draft: LimitDraft) => void;
}) {
  const [open, setOpen] = useState(draft.recurringAmount !== '');
  const panel = useId();
  const read = readDraft(draft);
  const warning = read.ok ? limitWarning(read.limits, row) : null;
  const unfolded = open || errors.recurringAmount !== undefined;
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
      <button
        type="button"
        className="fold"
        aria-expanded={unfolded}
        aria-controls={panel}
        onClick={() => setOpen(!unfolded)}
      >
        <IconChevronRight size={14} />
        {strings.limit.recurring}
      </button>
      <div id={panel} hidden={!unfolded}>
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
        <p className="hint">{strings.limit.recurringHint}</p>
        {warning?.field === 'recurringAmount' && <Warning text={warning.text} />}
      </div>
    </>
  );
}

function Warning({ text }: { text: string }) {
  return (
    <p className="warning" role="status">
      <IconAlertTriangle size={15} />
      {text}
    </p>
  );
}
