/** Create, rename, rotate and delete a key. */
import { TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Output } from '#shared/contract.ts';
import { KeyName, type KeyRow } from '#shared/model.ts';
import { closeDialog, createKey, deleteKey, rotateKey } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { ConfirmDialog, Dialog, DialogButtons, FormError, submitting } from '../ui/page.tsx';
import { renameKey } from './changes.ts';
import { emptyKeyDraft, errorsFrom, readDraft, type LimitErrors } from './limit-form.ts';
import { LimitFields } from './LimitFields.tsx';
import { SecretDialog } from './SecretView.tsx';

/** The sentence of the contract for a name that does not do, or null. */
function nameError(name: string): string | null {
  const read = KeyName.safeParse(name);
  return read.success ? null : (read.error.issues[0]?.message ?? null);
}

export function CreateKeyDialog() {
  const [created, setCreated] = useState<Output<'keys.create'> | null>(null);
  const noProvider = useApp((state) => state.providersLoad.state === 'ready' && state.providers.length === 0);
  const [name, setName] = useState('');
  const [draft, setDraft] = useState(emptyKeyDraft);
  const [errors, setErrors] = useState<LimitErrors & { name?: string }>({});
  const [busy, setBusy] = useState(false);
  if (created)
    return <SecretDialog title={strings.secret.createdTitle} row={created.key} secret={created.secret} />;

  const create = async () => {
    const wrongName = nameError(name);
    const read = readDraft(draft);
    if (wrongName !== null || !read.ok) {
      return setErrors({
        ...(wrongName === null ? {} : { name: wrongName }),
        ...(read.ok ? {} : read.errors),
      });
    }
    setBusy(true);
    const answer = await createKey({ name, ...read.limits });
    setBusy(false);
    if (answer.ok) setCreated(answer.value);
    else setErrors(answer.error.field === 'name' ? { name: answer.error.message } : errorsFrom(answer.error));
  };

  return (
    <Dialog title={strings.createKey.title}>
      <form className="dialog-form" onSubmit={submitting(create)} noValidate>
        <TextInput
          label={strings.createKey.name}
          placeholder={strings.createKey.namePlaceholder}
          autoComplete="off"
          maxLength={80}
          data-autofocus
          value={name}
          error={errors.name}
          onChange={(event) => {
            setName(event.currentTarget.value);
            setErrors({});
          }}
        />
        <LimitFields
          draft={draft}
          errors={errors}
          row={null}
          autoFocus={false}
          onChange={(next) => {
            setDraft(next);
            setErrors({});
          }}
        />
        {noProvider && <p className="hint">{strings.createKey.needsProvider}</p>}
        <FormError message={errors.form ?? null} />
        <DialogButtons submit={strings.createKey.submit} busy={busy} />
      </form>
    </Dialog>
  );
}

export function RenameDialog({ row }: { row: KeyRow }) {
  const [name, setName] = useState(row.name);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const rename = async () => {
    const wrong = nameError(name);
    if (wrong !== null) return setError(wrong);
    setBusy(true);
    const answer = await renameKey(row, name);
    setBusy(false);
    if (answer.ok) closeDialog();
    else setError(answer.error.message);
  };
  return (
    <Dialog title={strings.rename.title}>
      <form className="dialog-form" onSubmit={submitting(rename)} noValidate>
        <TextInput
          label={strings.rename.field}
          autoComplete="off"
          maxLength={80}
          data-autofocus
          value={name}
          error={error}
          onFocus={(event) => event.currentTarget.select()}
          onChange={(event) => {
            setName(event.currentTarget.value);
            setError(null);
          }}
        />
        <DialogButtons submit={strings.rename.submit} busy={busy} />
      </form>
    </Dialog>
  );
}

export function RotateDialog({ row }: { row: KeyRow }) {
  const [rotated, setRotated] = useState<Output<'keys.rotate'> | null>(null);
  if (rotated)
    return <SecretDialog title={strings.secret.rotatedTitle} row={rotated.key} secret={rotated.secret} />;
  return (
    <ConfirmDialog
      title={strings.rotate.title}
      text={strings.rotate.text(row.name)}
      submit={strings.rotate.submit}
      run={async () => {
        const answer = await rotateKey(row.id);
        if (!answer.ok) return answer.error.message;
        setRotated(answer.value);
        return null;
      }}
    />
  );
}

export function DeleteKeyDialog({ row }: { row: KeyRow }) {
  return (
    <ConfirmDialog
      title={strings.deleteKey.title}
      text={strings.deleteKey.text(row.name)}
      submit={strings.deleteKey.submit}
      run={async () => {
        const answer = await deleteKey(row.id);
        if (!answer.ok) return answer.error.message;
        closeDialog();
        return null;
      }}
    />
  );
}
