/** What was just done can be taken back for a moment: with the toast's button, or Ctrl/Cmd+Z. */
import { Button } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { strings } from '../strings.ts';
import { notifyFailure } from './notify.ts';

/** Only the last change can be taken back: an offer to undo an older one would undo what came after it too. */
const UNDO_TOAST = 'undo';
const UNDO_MS = 9_000;
let lastUndo: (() => Promise<string | null>) | null = null;

/** `undo` returns the sentence to show where it failed. */
export function notifyUndo(message: string, undo: () => Promise<string | null>): void {
  lastUndo = undo;
  notifications.hide(UNDO_TOAST);
  notifications.show({
    id: UNDO_TOAST,
    className: 'undo-toast',
    withBorder: true,
    autoClose: UNDO_MS,
    message: (
      <span className="undo">
        <span>{message}</span>
        <Button variant="default" size="compact-xs" onClick={() => void undoLast()}>
          {strings.common.undo}
        </Button>
      </span>
    ),
    closeButtonProps: { 'aria-label': strings.common.close },
    onClose: () => {
      if (lastUndo === undo) lastUndo = null;
    },
  });
}

/** Takes the last change back while its toast is shown; returns whether there was one. */
export async function undoLast(): Promise<boolean> {
  const undo = lastUndo;
  if (!undo) return false;
  lastUndo = null;
  notifications.hide(UNDO_TOAST);
  const failure = await undo();
  if (failure !== null) notifyFailure(failure, strings.common.notUndone);
  return true;
}
