import type { ProviderRow } from '#shared/model.ts';
import { changeProviders, closeDialog } from '../actions.ts';
import { strings } from '../strings.ts';
import { ConfirmDialog } from '../ui/page.tsx';

const words = strings.providers;

export function DeleteProviderDialog({ row }: { row: ProviderRow }) {
  return (
    <ConfirmDialog
      title={words.deleteTitle}
      text={words.deleteText(row.name)}
      submit={words.deleteSubmit}
      run={async () => {
        const answer = await changeProviders('providers.delete', { id: row.id });
        if (!answer.ok) return answer.error.message;
        closeDialog();
        return null;
      }}
    />
  );
}
