/** Changes of keys that can be taken back: each says what it did and offers the way back. */
import type { Answer, Input } from '#shared/contract.ts';
import type { KeyRow } from '#shared/model.ts';
import { formatLimit } from '#shared/money.ts';
import { changeKey } from '../actions.ts';
import { app } from '../store.ts';
import { strings } from '../strings.ts';
import { notifyFailure } from '../ui/notify.ts';
import { notifyUndo } from '../ui/undo.tsx';

const words = strings.keys;

/** Enables or disables the keys that are not so already, one after the other, and tells of all of them at once. */
export async function enableKeys(ids: readonly string[], enabled: boolean): Promise<void> {
  const { changed, failure } = await setEnabled(ids, enabled);
  if (failure !== null) notifyFailure(failure.message, words.changeFailed(failure.name));
  if (changed.length === 0) return;
  const toast = enabled ? words.enabledToast(changed.length) : words.disabledToast(changed.length);
  notifyUndo(toast, async () => {
    const undone = await setEnabled(
      changed.map((row) => row.id),
      !enabled,
    );
    return undone.failure?.message ?? null;
  });
}

async function setEnabled(ids: readonly string[], enabled: boolean) {
  const changed: KeyRow[] = [];
  for (const id of ids) {
    const row = app.getState().keys[id];
    if (!row || (row.status !== 'disabled') === enabled) continue;
    const answer = await changeKey('keys.update', { id, enabled });
    if (!answer.ok) return { changed, failure: { name: row.name, message: answer.error.message } };
    changed.push(answer.value);
  }
  return { changed, failure: null };
}

export async function renameKey(row: KeyRow, name: string): Promise<Answer<KeyRow>> {
  const answer = await changeKey('keys.update', { id: row.id, name });
  if (answer.ok && answer.value.name !== row.name) {
    notifyUndo(words.renamedToast, async () => {
      const undone = await changeKey('keys.update', { id: row.id, name: row.name });
      return undone.ok ? null : undone.error.message;
    });
  }
  return answer;
}

/** Requests that were stopped on the way stay stopped; the limit alone comes back. */
export async function setKeyLimit(row: KeyRow, input: Input<'keys.setLimit'>): Promise<Answer<KeyRow>> {
  const answer = await changeKey('keys.setLimit', input);
  if (answer.ok && limitText(answer.value) !== limitText(row)) {
    notifyUndo(words.limitToast, async () => {
      const { limitNano, recurring, sessionLimitNano } = row;
      const undone = await changeKey('keys.setLimit', {
        id: row.id,
        limitNano,
        recurring: recurring && { amountNano: recurring.amountNano, every: recurring.every },
        sessionLimitNano,
      });
      return undone.ok ? null : undone.error.message;
    });
  }
  return answer;
}

/** `$50.00 · $10.00 / day · $2.00 / session`, or that there is none. */
export function limitText({
  limitNano,
  recurring,
  sessionLimitNano = null,
}: Pick<KeyRow, 'limitNano' | 'recurring'> & Partial<Pick<KeyRow, 'sessionLimitNano'>>): string {
  const parts = [
    ...(limitNano === null ? [] : [formatLimit(limitNano)]),
    ...(recurring === null ? [] : [words.per(formatLimit(recurring.amountNano), recurring.every)]),
    ...(sessionLimitNano === null ? [] : [words.perSession(formatLimit(sessionLimitNano))]),
  ];
  return parts.length === 0 ? words.noLimit : parts.join(' · ');
}
