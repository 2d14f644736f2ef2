import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Dialog } from '../ui/page.tsx';
import { setKeyLimit } from './changes.ts';
import { LimitForm } from './LimitForm.tsx';
import { TopUp } from './TopUp.tsx';

export function LimitDialog({ id }: { id: string }) {
  const row = useApp((state) => state.keys[id]);
  return (
    <Dialog title={strings.limit.title}>
      {row ? (
        <LimitForm
          label={strings.limit.key}
          name={row.name}
          limit={row}
          save={(change) => setKeyLimit(row, { id: row.id, ...change })}
        >
          <TopUp row={row} />
        </LimitForm>
      ) : (
        <p>{strings.limit.gone}</p>
      )}
    </Dialog>
  );
}
