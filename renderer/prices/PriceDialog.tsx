import { NativeSelect, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconX } from '@tabler/icons-react';
import { useState } from 'react';
import { PriceInput, type PriceAmounts, type PriceRow, type PriceTier } from '#shared/model.ts';
import type { CatalogueModel } from '#shared/pricing.ts';
import { call, changeProviders, closeDialog, openDialog } from '../actions.ts';
import { formatCount } from '../format.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Fold } from '../ui/Fold.tsx';
import { useAnswer, useLatest } from '../ui/answer.ts';
import { Dialog, DialogButtons, FormError, submitting } from '../ui/page.tsx';
import { amountsText, tierText } from './amounts.ts';
import { hideUnpriced } from './notice.tsx';
import './prices.css';

const words = strings.prices;

const mainPrices = ['input', 'output'] as const;
const otherPrices = ['cachedInput', 'cacheWrite', 'cacheWrite1h', 'perRequest', 'webSearch'] as const;
const amounts = [...mainPrices, ...otherPrices];
type Amount = (typeof amounts)[number];
const TYPING_MS = 150;
/** Entries of the catalogue offered while a name is typed. */
const OFFERED = 4;
type Errors = Partial<Record<Amount | 'model' | 'providerId' | 'form', string>>;

/** What the form holds beside the two names: typed, or copied from the catalogue in one go. */
interface Draft {
  typed: Partial<Record<Amount, string>>;
  tiers: readonly PriceTier[];
  copied: { from: string; losesClasses: boolean; losesHours: boolean } | null;
}

export function PriceDialog({
  row,
  providerId,
  model,
  copied,
}: {
  row: PriceRow | null;
  providerId?: string | undefined;
  model?: string | undefined;
  copied?: CatalogueModel | undefined;
}) {
  const providers = useApp((state) => state.providers);
  const [chosen, setChosen] = useState(row?.providerId ?? providerId ?? providers[0]?.id ?? '');
  const [name, setName] = useState(row?.model ?? model ?? '');
  const [draft, setDraft] = useState<Draft>(() => (copied ? copyOf(copied) : draftOf(row)));
  const [errors, setErrors] = useState<Errors>({});
  const [busy, setBusy] = useState(false);
  const { typed, tiers } = draft;

  const save = async () => {
    const filled = amounts.flatMap((each) => {
      const text = typed[each]?.trim().replace(/^\$/, '');
      return text ? [[each, text]] : [];
    });
    const input = PriceInput.safeParse({
      providerId: chosen,
      model: name,
      ...Object.fromEntries(filled),
      ...(tiers.length > 0 ? { tiers } : {}),
      ...(draft.copied === null ? {} : { copiedFrom: draft.copied.from }),
    });
    if (!input.success) return setErrors(errorsOf(input.error.issues));
    setBusy(true);
    const answer = await changeProviders('prices.set', input.data);
    const past = answer.ok ? await hasPastRequests(chosen, input.data.model) : false;
    setBusy(false);
    if (answer.ok) hideUnpriced(providers.find(({ id }) => id === chosen)?.slug ?? '', input.data.model);
    if (answer.ok && past)
      return openDialog({ kind: 'reprice', providerId: chosen, model: input.data.model });
    if (answer.ok) return closeDialog();
    const { field, message } = answer.error;
    setErrors({ [field ?? 'form']: message });
  };

  const take = (entry: CatalogueModel) => {
    const copy = copyOf(entry);
    setDraft(copy);
    setErrors({});
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
        // What was changed by hand is no copy any more.
        setDraft({ ...draft, typed: { ...typed, [each]: event.currentTarget.value }, copied: null });
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
        <InForce providerId={chosen} model={name} />
        {row === null && <CopyFrom model={name} onTake={take} />}
        <div className="field-row">{mainPrices.map(amountField)}</div>
        <p className="hint">{words.unit}</p>
        {draft.copied !== null && <Copied copied={draft.copied} />}
        <Fold
          label={words.more}
          filled={otherPrices.some((each) => Boolean(typed[each]))}
          wrong={otherPrices.some((each) => errors[each] !== undefined)}
          className="field-grid"
        >
          {otherPrices.map(amountField)}
        </Fold>
        {tiers.length > 0 && (
          <ul className="price-tiers">
            {tiers.map((tier) => (
              <li key={tier.above}>
                <span>{tierText(tier)}</span>
                <button
                  type="button"
                  className="icon-button"
                  aria-label={words.tierRemove(formatCount(tier.above))}
                  onClick={() =>
                    setDraft({ ...draft, tiers: tiers.filter((each) => each !== tier), copied: null })
                  }
                >
                  <IconX size={14} />
                </button>
              </li>
            ))}
          </ul>
        )}
        <FormError message={errors.form ?? null} />
        <DialogButtons submit={words.set} busy={busy} />
      </form>
    </Dialog>
  );
}

/** What the model costs at the provider now, and where that price comes from. */
function InForce({ providerId, model }: { providerId: string; model: string }) {
  const [settled] = useDebouncedValue(model.trim(), TYPING_MS);
  const asked = useAnswer(
    'prices.find',
    providerId === '' || settled === '' ? null : { providerId, model: settled },
  );
  if (settled === '' || asked.load.state === 'failed') return null;
  // Its line is there from the start: what is below it must not move away from under the pointer when the answer comes.
  if (asked.load.state === 'loading') return <p className="hint">{'\u00a0'}</p>;
  const { value } = asked;
  if (value === null) return <p className="hint near">{words.noneInForce}</p>;
  const kinds = words.inForceKinds;
  const source =
    value.kind === 'own' || value.kind === 'free' ? kinds[value.kind] : kinds[value.kind](value.source);
  return (
    <p className="hint">
      {words.inForce(source)}
      {value.kind !== 'free' && ` (${amountsText(value.amounts)})`}
    </p>
  );
}

/** The entries of the catalogue that fit the model's name, to take the amounts of one. */
function CopyFrom({ model, onTake }: { model: string; onTake: (entry: CatalogueModel) => void }) {
  const [query, setQuery] = useState<string | null>(null);
  // Once one is taken the form below is what matters.
  const [taken, setTaken] = useState(false);
  const wanted = query ?? model;
  const [settled] = useDebouncedValue(wanted.trim(), TYPING_MS);
  const { value: found } = useLatest(
    useAnswer('prices.search', settled === '' ? null : { query: settled, limit: OFFERED }),
  );
  return (
    <div className="copy-from">
      <TextInput
        type="search"
        label={words.copyTitle}
        placeholder={words.catalogue.placeholder}
        autoComplete="off"
        spellCheck={false}
        value={wanted}
        onChange={(event) => {
          setQuery(event.currentTarget.value);
          setTaken(false);
        }}
        // Enter looks for what is typed; it must not save the form.
        onKeyDown={(event) => event.key === 'Enter' && event.preventDefault()}
      />
      {settled !== '' && !taken && (
        <ul className="copy-offers">
          {found?.length === 0 && <li className="dim">{words.catalogue.nothing(settled)}</li>}
          {found?.map((entry) => (
            <li key={`${entry.vendor}/${entry.model}`}>
              <button
                type="button"
                aria-label={words.catalogue.takeOf(`${entry.vendor}/${entry.model}`)}
                onClick={() => {
                  setTaken(true);
                  onTake(entry);
                }}
              >
                <code>{entry.model}</code>
                <span className="dim">{entry.vendorName}</span>
                <span className="amount">{amountsText(entry.amounts)}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Copied({ copied }: { copied: NonNullable<Draft['copied']> }) {
  const lines = [
    words.copiedFrom(copied.from),
    ...(copied.losesClasses ? [words.copyLosesClasses] : []),
    ...(copied.losesHours ? [words.copyLosesHours] : []),
  ];
  return <p className={lines.length > 1 ? 'hint near' : 'hint'}>{lines.join(' ')}</p>;
}

async function hasPastRequests(providerId: string, model: string): Promise<boolean> {
  const answer = await call('prices.reprice', { providerId, model, apply: false });
  return answer.ok && answer.value.rows > 0;
}

function draftOf(row: PriceRow | null): Draft {
  if (!row) return { typed: {}, tiers: [], copied: null };
  const copied =
    row.copiedFrom === undefined ? null : { from: row.copiedFrom, losesClasses: false, losesHours: false };
  return { typed: amountsOf(row), tiers: row.tiers ?? [], copied };
}

function copyOf(entry: CatalogueModel): Draft {
  return {
    typed: amountsOf(entry.amounts),
    tiers: entry.amounts.tiers ?? [],
    copied: {
      from: `${entry.source}, ${entry.date}`,
      losesClasses: entry.moreClasses,
      losesHours: entry.changesByHour,
    },
  };
}

function amountsOf(from: PriceAmounts): Partial<Record<Amount, string>> {
  return Object.fromEntries(
    amounts.flatMap((each) => (from[each] === undefined ? [] : [[each, from[each]]])),
  );
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
