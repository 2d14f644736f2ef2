/** Where a key's requests go once more when the provider they were sent to fails. None unless the person chooses one. */
import { Button, Checkbox, NativeSelect, Textarea } from '@mantine/core';
import { useState } from 'react';
import type { KeyFallback, KeyRow } from '#shared/model.ts';
import { changeKey } from '../actions.ts';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { FormError, submitting } from '../ui/page.tsx';
import { Block } from '../ui/tiles.tsx';
import { modelsFrom, modelsText } from './fallback-models.ts';

const words = strings.keyPage.fallback;

interface Draft {
  /** Empty = none. */
  providerId: string;
  dearer: boolean;
  models: string;
}

export function FallbackForm({ row }: { row: KeyRow }) {
  const providers = useApp((state) => state.providers);
  /** null = as it is stored. */
  const [typed, setTyped] = useState<Draft | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState(false);
  const draft = typed ?? draftOf(row.fallback);

  const type = (change: Partial<Draft>) => {
    setTyped({ ...draft, ...change });
    setError(null);
    setDone(false);
  };
  const save = async () => {
    const models = modelsFrom(draft.models);
    if (models === null) return setError(words.modelsWrong);
    const { providerId, dearer } = draft;
    setBusy(true);
    const fallback = providerId === '' ? null : { providerId, dearer, models };
    const answer = await changeKey('keys.update', { id: row.id, fallback });
    setBusy(false);
    if (!answer.ok) return setError(answer.error.message);
    setTyped(null);
    setDone(true);
  };

  return (
    <Block title={words.title} text={words.text}>
      <form className="dialog-form card fallback" onSubmit={submitting(save)} noValidate>
        <NativeSelect
          label={words.provider}
          data={[
            { value: '', label: words.none },
            ...providers.map(({ id, name }) => ({ value: id, label: name })),
          ]}
          value={draft.providerId}
          onChange={(event) => type({ providerId: event.currentTarget.value })}
        />
        {draft.providerId !== '' && (
          <>
            <Checkbox
              label={words.dearer}
              description={words.dearerHint}
              checked={draft.dearer}
              onChange={(event) => type({ dearer: event.currentTarget.checked })}
            />
            <Textarea
              label={words.models}
              description={words.modelsHint}
              placeholder={words.modelsPlaceholder}
              autosize
              minRows={2}
              autoComplete="off"
              spellCheck={false}
              value={draft.models}
              onChange={(event) => type({ models: event.currentTarget.value })}
            />
          </>
        )}
        <FormError message={error} />
        {typed !== null && (
          <div>
            <Button type="submit" size="compact-sm" loading={busy}>
              {strings.common.save}
            </Button>
          </div>
        )}
        <p className="setting-done" role="status">
          {done && words.saved}
        </p>
      </form>
    </Block>
  );
}

function draftOf(fallback: KeyFallback | null): Draft {
  if (fallback === null) return { providerId: '', dearer: false, models: '' };
  return { ...fallback, models: modelsText(fallback.models) };
}
