import type { PriceRow } from '#shared/model.ts';
import { changeProviders, closeDialog } from '../actions.ts';
import { strings } from '../strings.ts';
import { ConfirmDialog } from '../ui/page.tsx';

const words = strings.prices;

export function RemovePriceDialog({ row }: { row: PriceRow }) {
  return (
    <ConfirmDialog
      title={words.removeTitle}
      text={words.removeText(row.model)}
      submit={strings.common.remove}
      run={async () => {
        const answer = await changeProviders('prices.remove', {
          providerId: row.providerId,
          model: row.model,
        });
        if (!answer.ok) return answer.error.message;
        closeDialog();
        return null;
      }}
    />
  );
}
