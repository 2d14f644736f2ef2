import { NativeSelect, TextInput } from '@mantine/core';
import { IconChevronRight } from '@tabler/icons-react';
import { useId, useState } from 'react';
import { PriceInput, type PriceRow } from '#shared/model.ts';
import { changeProviders, closeDialog } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Dialog, DialogButtons, FormError, submitting } from '../ui/page.tsx';

const words = strings.prices;

const mainPrices = ['input', 'output'] as const;
const otherPrices = ['cachedInput', 'cacheWrite', 'cacheWrite1h', 'perRequest', 'webSearch'] as const;
const amounts = [...mainPrices, ...otherPrices];
type Amount = (typeof amounts)[number];
type Errors = Partial<Record<Amount | 'model' | 'providerId' | 'form', string>>;

export function PriceDialog({
  row,
  providerId,
  model,
}: {
  row: PriceRow | null;
  providerId?: string | undefined;
  model?: string | undefined;
}) {
  const providers = useApp((state) => state.providers);
  const [chosen, setChosen] = useState(row?.providerId ?? providerId ?? providers[0]?.id ?? '');
  const [name, setName] = useState(row?.model ?? model ?? '');
  const [typed, setTyped] = useState<Partial<Record<Amount, string>>>(() => amountsOf(row));
  const [errors, setErrors] = useState<Errors>({});
  const [busy, setBusy] = useState(false);
  const [open, setOpen] = useState(() => otherPrices.some((each) => typed[each]));
  const panel = useId();
  const unfolded = open || otherPrices.some((each) => errors[each]);

  const save = async () => {
    const filled = amounts.flatMap((each) => {
      const text = typed[each]?.trim().replace(/^\$/, '');
      return text ? [[each, text]] : [];
    });
    const input = PriceInput.safeParse({ providerId: chosen, model: name, ...Object.fromEntries(filled) });
    if (!input.success) return setErrors(errorsOf(input.error.issues));
    setBusy(true);
    const answer = await changeProviders('prices.set', input.data);
    setBusy(false);
    if (answer.ok) return closeDialog();
    const { field, message } = answer.error;
    setErrors({ [field ?? 'form']: message });
  };

  const amountField = (each: Amount) => (
    <TextInput
      key={each}
      label={words[each]}
      leftSection="$"
      inputMode="decimal"
      autoComplete="off"
      className="amount-field grow"
      value={typed[each] ?? ''}
      error={errors[each]}
      onChange={(event) => {
        setTyped({ ...typed, [each]: event.currentTarget.value });
        setErrors({});
      }}
    />
  );

  return (
    <Dialog title={words.addTitle} size={480}>
      <form className="dialog-form" onSubmit={submitting(save)} noValidate>
        <NativeSelect
          label={words.provider}
          disabled={row !== null}
          data={providers.map((each) => ({ value: each.id, label: each.name }))}
          value={chosen}
          error={errors.providerId}
          onChange={(event) => setChosen(event.currentTarget.value)}
        />
        <TextInput
          label={words.model}
          disabled={row !== null}
          autoComplete="off"
          spellCheck={false}
          value={name}
          error={errors.model}
          onChange={(event) => {
            setName(event.currentTarget.value);
            setErrors({});
          }}
          {...(row === null && name === '' ? { 'data-autofocus': true } : {})}
        />
        <div className="field-row">{mainPrices.map(amountField)}</div>
        <p className="hint">{words.unit}</p>
        <button
          type="button"
          className="fold"
          aria-expanded={unfolded}
          aria-controls={panel}
          onClick={() => setOpen(!unfolded)}
        >
          <IconChevronRight size={14} />
          {words.more}
        </button>
        <div id={panel} hidden={!unfolded} className="field-grid">
          {otherPrices.map(amountField)}
        </div>
        <FormError message={errors.form ?? null} />
        <DialogButtons submit={words.set} busy={busy} />
      </form>
    </Dialog>
  );
}

function amountsOf(row: PriceRow | null): Partial<Record<Amount, string>> {
  if (!row) return {};
  return Object.fromEntries(amounts.flatMap((each) => (row[each] === undefined ? [] : [[each, row[each]]])));
}

function errorsOf(issues: readonly { path: readonly PropertyKey[] }[]): Errors {
  const errors: Errors = {};
  for (const { path } of issues) {
    const field = path[0];
    if (field === 'model') errors.model = words.needsModel;
    else if (field === 'providerId') errors.providerId = words.needsProvider;
    else for (const each of amounts) if (each === field) errors[each] = words.invalid;
  }
  return errors;
}
