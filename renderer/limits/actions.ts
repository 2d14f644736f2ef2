/** What holds requests back, as the window changes it: shared limits, the pause, a key's top-up. */
import type { Answer, Input } from '#shared/contract.ts';
import type { KeyRow, LimitScope, ScopeLimit } from '#shared/model.ts';
import { call, changeKey } from '../actions.ts';
import { app } from '../store.ts';
import { strings } from '../strings.ts';
import { notifyFailure, notifyDone } from '../ui/notify.ts';
import { notifyUndo } from '../ui/undo.tsx';

const words = strings.limits;

export async function setSharedLimit(
  before: ScopeLimit,
  input: Input<'limits.set'>,
): Promise<Answer<ScopeLimit>> {
  const answer = await call('limits.set', input);
  if (!answer.ok) return answer;
  showLimit(input.scope, answer.value);
  notifyUndo(words.toast, async () => {
    const { limitNano, recurring } = before;
    const undone = await call('limits.set', {
      scope: input.scope,
      limitNano,
      recurring: recurring && { amountNano: recurring.amountNano, every: recurring.every },
    });
    if (undone.ok) showLimit(input.scope, undone.value);
    return undone.ok ? null : undone.error.message;
  });
  return answer;
}

/** The event follows; the person should not wait for it. */
function showLimit(scope: LimitScope, limit: ScopeLimit): void {
  app.setState(({ limits }) => {
    if (!limits) return {};
    if (scope.kind === 'global') return { limits: { ...limits, global: limit } };
    const providers = limits.providers.map((each) =>
      each.providerId === scope.providerId ? Object.assign({}, each, limit) : each,
    );
    return { limits: { ...limits, providers } };
  });
}

export async function setPaused(paused: boolean): Promise<void> {
  const answer = await call('gateway.pause', { paused });
  if (answer.ok) app.setState({ status: answer.value });
  else notifyFailure(answer.error.message, paused ? words.pause.failed : words.pause.resumeFailed);
}

export async function stopAll(): Promise<void> {
  const answer = await call('gateway.stopAll', {});
  if (answer.ok) notifyDone(words.pause.stopped(answer.value.stopped));
  else notifyFailure(answer.error.message, words.pause.failed);
}

export async function resumeKey(row: KeyRow): Promise<void> {
  const answer = await changeKey('keys.resume', { id: row.id });
  if (!answer.ok) notifyFailure(answer.error.message, words.key.resumeFailed(row.name));
}
