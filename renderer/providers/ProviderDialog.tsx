import { Button, Checkbox, NativeSelect, PasswordInput, TextInput } from '@mantine/core';
import { IconCircleCheck, IconCircleX } from '@tabler/icons-react';
import { useState } from 'react';
import type { ContractError } from '#shared/contract.ts';
import { Billing, ProviderKind, providerKinds, type ProviderRow } from '#shared/model.ts';
import { call, changeProviders, closeDialog } from '../actions.ts';
import { formatCount } from '../format.ts';
import { strings } from '../strings.ts';
import { Fold } from '../ui/Fold.tsx';
import { notifyFailure } from '../ui/notify.ts';
import { Dialog, FormError, submitting } from '../ui/page.tsx';
import { kinds } from './kinds.ts';

const words = strings.providers;

interface Draft {
  kind: ProviderKind;
  name: string;
  slug: string;
  baseUrl: string;
  credential: string;
  removeCredential: boolean;
  /** Empty = the default of the kind. */
  billing: Billing | '';
}

const fields = ['kind', 'name', 'slug', 'baseUrl', 'credential', 'billing'] as const;
type Field = (typeof fields)[number];
type Errors = Partial<Record<Field | 'form', string>>;
type TestResult = { state: 'running' } | { state: 'done'; ok: boolean; message: string };

const kindOptions = providerKinds.map((kind) => ({ value: kind, label: kinds[kind].label }));

export function ProviderDialog({
  row,
  preset,
}: {
  row: ProviderRow | null;
  preset?: ProviderKind | undefined;
}) {
  const [draft, setDraft] = useState<Draft>(() => ({
    kind: row?.kind ?? preset ?? 'openai',
    name: row?.name ?? '',
    slug: row?.slug ?? '',
    baseUrl: row?.baseUrl ?? '',
    credential: '',
    removeCredential: false,
    billing: row?.billing ?? '',
  }));
  const [errors, setErrors] = useState<Errors>({});
  const [busy, setBusy] = useState(false);
  const [test, setTest] = useState<TestResult | null>(null);
  const kind = kinds[draft.kind];

  const change = (part: Partial<Draft>) => {
    setDraft({ ...draft, ...part });
    setErrors({});
    setTest(null);
  };

  const save = async () => {
    const missing = missingFields(draft, row);
    if (missing) return setErrors(missing);
    setBusy(true);
    const answer = row
      ? await changeProviders('providers.update', {
          id: row.id,
          ...changedFields(draft, row),
          ...(draft.removeCredential ? { credential: null } : {}),
        })
      : await changeProviders('providers.create', { kind: draft.kind, ...typedFields(draft) });
    setBusy(false);
    if (!answer.ok) return setErrors(errorsFrom(answer.error));
    closeDialog();
    // Whoever has tested it has seen what came of it.
    if (test === null) void tellIfRefused(answer.value);
  };

  const runTest = async () => {
    const missing = missingFields(draft, row);
    if (missing) return setErrors(missing);
    setTest({ state: 'running' });
    const { baseUrl, credential } = row ? changedFields(draft, row) : typedFields(draft);
    const answer = await call('providers.test', {
      ...(row ? { id: row.id } : {}),
      kind: draft.kind,
      ...(baseUrl === undefined ? {} : { baseUrl }),
      ...(credential === undefined ? {} : { credential }),
    });
    if (!answer.ok) {
      setTest(null);
      return setErrors(errorsFrom(answer.error));
    }
    const { ok, message, models } = answer.value;
    setTest({ state: 'done', ok, message: ok ? words.testOk(formatCount(models.length)) : message });
  };

  return (
    <Dialog title={row ? words.editTitle(row.name) : words.addTitle} size={500}>
      <form className="dialog-form" onSubmit={submitting(save)} noValidate>
        <NativeSelect
          label={words.kind}
          data={kindOptions}
          value={draft.kind}
          disabled={row !== null}
          error={errors.kind}
          onChange={(event) => change({ kind: ProviderKind.parse(event.currentTarget.value) })}
          {...(row ? {} : { 'data-autofocus': true })}
        />
        <PasswordInput
          label={words.credential}
          description={credentialHint(row, kind.needsCredential)}
          inputWrapperOrder={['label', 'input', 'description', 'error']}
          placeholder={row?.hasCredential ? words.credentialPlaceholderStored : ''}
          visibilityToggleButtonProps={{ 'aria-label': words.credentialShow }}
          // Not a password of this page: browsers must not offer to keep or fill it.
          autoComplete="new-password"
          value={draft.credential}
          error={errors.credential}
          disabled={draft.removeCredential}
          onChange={(event) => change({ credential: event.currentTarget.value })}
          {...(row ? { 'data-autofocus': true } : {})}
        />
        {row?.hasCredential && (
          <Checkbox
            label={words.credentialRemove}
            checked={draft.removeCredential}
            onChange={(event) => change({ removeCredential: event.currentTarget.checked, credential: '' })}
          />
        )}
        <TextInput
          label={words.baseUrl}
          description={
            kind.baseUrl === '' || draft.baseUrl !== '' ? words.baseUrlHint : words.baseUrlDefaultHint
          }
          inputWrapperOrder={['label', 'input', 'description', 'error']}
          placeholder={kind.baseUrl}
          type="url"
          autoComplete="off"
          spellCheck={false}
          value={draft.baseUrl}
          error={errors.baseUrl}
          onChange={(event) => change({ baseUrl: event.currentTarget.value })}
        />
        <MoreFields draft={draft} errors={errors} change={change} />
        <FormError message={errors.form ?? null} />
        <div className="dialog-buttons">
          <TestOutcome test={test} />
          <Button variant="default" loading={test?.state === 'running'} onClick={() => void runTest()}>
            {words.test}
          </Button>
          <Button variant="default" onClick={closeDialog}>
            {strings.common.cancel}
          </Button>
          <Button type="submit" loading={busy}>
            {row ? strings.common.save : words.add}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** A credential with a mistake is said now, not with the first request that fails. */
async function tellIfRefused({ id, kind, name, enabled }: ProviderRow): Promise<void> {
  if (!enabled) return;
  const answer = await call('providers.test', { id, kind });
  if (answer.ok && !answer.value.ok) notifyFailure(answer.value.message, words.testFailed(name));
}

function MoreFields({
  draft,
  errors,
  change,
}: {
  draft: Draft;
  errors: Errors;
  change: (part: Partial<Draft>) => void;
}) {
  const billingDefault = strings.billing[kinds[draft.kind].billing];
  return (
    <Fold
      label={words.more}
      wrong={Boolean(errors.name ?? errors.slug ?? errors.billing)}
      className="dialog-form"
    >
      <div className="field-row">
        <TextInput
          label={words.name}
          placeholder={kinds[draft.kind].label}
          autoComplete="off"
          maxLength={80}
          className="grow"
          value={draft.name}
          error={errors.name}
          onChange={(event) => change({ name: event.currentTarget.value })}
        />
        <TextInput
          label={words.slug}
          placeholder={draft.kind}
          autoComplete="off"
          spellCheck={false}
          maxLength={40}
          className="grow"
          value={draft.slug}
          error={errors.slug}
          onChange={(event) => change({ slug: event.currentTarget.value })}
        />
      </div>
      <p className="hint">{words.slugHint}</p>
      <NativeSelect
        label={words.billing}
        description={words.billingHint}
        inputWrapperOrder={['label', 'input', 'description', 'error']}
        data={[
          ...(draft.billing === '' ? [{ value: '', label: billingDefault }] : []),
          ...Billing.options
            .filter((each) => draft.billing !== '' || each !== kinds[draft.kind].billing)
            .map((each) => ({ value: each, label: strings.billing[each] })),
        ]}
        value={draft.billing}
        error={errors.billing}
        onChange={(event) => change({ billing: Billing.safeParse(event.currentTarget.value).data ?? '' })}
      />
    </Fold>
  );
}

function TestOutcome({ test }: { test: TestResult | null }) {
  return (
    <p className="test-outcome" role="status">
      {test?.state === 'running' && <span className="dim">{words.testing}</span>}
      {test?.state === 'done' && (
        <span className={test.ok ? 'good' : 'bad'}>
          {test.ok ? <IconCircleCheck size={15} /> : <IconCircleX size={15} />}
          <span>{test.message}</span>
        </span>
      )}
    </p>
  );
}

function credentialHint(row: ProviderRow | null, needed: boolean): string {
  if (row?.credentialUnreadable) return words.credentialUnreadableTitle;
  if (row?.hasCredential) return words.credentialKept;
  return needed ? words.credentialHint : words.credentialOptionalHint;
}

function missingFields(draft: Draft, row: ProviderRow | null): Errors | null {
  const { baseUrl, needsCredential } = kinds[draft.kind];
  if (draft.baseUrl.trim() === '' && baseUrl === '') return { baseUrl: words.baseUrlNeeded };
  if (row === null && needsCredential && draft.credential.trim() === '')
    return { credential: words.credentialNeeded };
  return null;
}

/** What was typed; fields left empty are left to the gateway's defaults. */
function typedFields(draft: Draft) {
  const text = (value: string) => (value.trim() === '' ? undefined : value.trim());
  return {
    name: text(draft.name),
    slug: text(draft.slug),
    baseUrl: text(draft.baseUrl),
    credential: text(draft.credential),
    billing: draft.billing === '' ? undefined : draft.billing,
  };
}

/** An emptied base URL goes back to the default of the kind. */
function changedFields(draft: Draft, row: ProviderRow) {
  const typed = typedFields(draft);
  const baseUrl = typed.baseUrl ?? kinds[row.kind].baseUrl;
  return { ...typed, baseUrl: baseUrl === row.baseUrl ? undefined : baseUrl };
}

function errorsFrom(error: ContractError): Errors {
  const field = fields.find((each) => each === error.field);
  return { [field ?? 'form']: error.message };
}
