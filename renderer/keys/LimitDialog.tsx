import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Dialog } from '../ui/page.tsx';
import { setKeyLimit } from './changes.ts';
import { LimitForm } from './LimitForm.tsx';
import { TopUp } from './TopUp.tsx';

/** `topUp`: opened for that, so it is unfolded. */
export function LimitDialog({ id, topUp }: { id: string; topUp: boolean }) {
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
          <TopUp row={row} wanted={topUp} />
        </LimitForm>
      ) : (
        <p>{strings.limit.gone}</p>
      )}
    </Dialog>
  );
}
