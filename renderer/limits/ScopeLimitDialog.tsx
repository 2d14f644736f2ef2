import type { LimitScope } from '#shared/model.ts';
import { LimitForm } from '../keys/LimitForm.tsx';
import { useApp } from '../store.ts';
import { strings } from '../strings.ts';
import { Dialog } from '../ui/page.tsx';
import { setSharedLimit } from './actions.ts';

const words = strings.limits;

/** The limit over all keys, or of one provider. */
export function ScopeLimitDialog({ scope }: { scope: LimitScope }) {
  const limits = useApp((state) => state.limits);
  const provider =
    scope.kind === 'provider' && limits?.providers.find(({ providerId }) => providerId === scope.providerId);
  const limit = scope.kind === 'global' ? limits?.global : provider;
  return (
    <Dialog title={strings.limit.title}>
      {limit ? (
        <LimitForm
          label={words.whose}
          name={provider ? provider.name : words.allKeys}
          limit={limit}
          save={(change) => setSharedLimit(limit, { scope, ...change })}
        >
          <p className="hint">{words.unpricedHint}</p>
        </LimitForm>
      ) : (
        <p>{words.gone}</p>
      )}
    </Dialog>
  );
}
