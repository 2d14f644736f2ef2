/** The contract between the window's page and the gateway, for our own page alone. */
import { ipcMain, type BrowserWindow, type IpcMainInvokeEvent } from 'electron';
import type { Answer } from '#shared/contract.ts';
import { CALL_CHANNEL, EVENT_CHANNEL } from './channels.ts';
import type { Gateway } from './gateway/gateway.ts';
import { PAGE_ORIGIN } from './page.ts';

export interface BridgeOptions {
  gateway: Pick<Gateway, 'dispatch' | 'subscribe'>;
  /** The window that is open now, if one is. */
  window: () => BrowserWindow | null;
  /** Told of every call that succeeded, before its answer goes to the page. */
  onCalled?: (name: unknown, input: unknown, value: unknown) => void;
}

/** Returns the function that takes the bridge down again. */
export function connectBridge({ gateway, window, onCalled }: BridgeOptions): () => void {
  ipcMain.handle(CALL_CHANNEL, async (event, name: unknown, input: unknown): Promise<Answer<unknown>> => {
    if (!isOwnPage(event, window())) {
      return { ok: false, error: { code: 'unauthorized', message: 'This page may not call the gateway.' } };
    }
    const answer = await gateway.dispatch(name, input);
    if (answer.ok) onCalled?.(name, input, answer.value);
    return answer;
  });
  const unsubscribe = gateway.subscribe(({ name, data }) => {
    const contents = window()?.webContents;
    if (contents && !contents.isDestroyed()) contents.send(EVENT_CHANNEL, name, data);
  });
  return () => {
    unsubscribe();
    ipcMain.removeHandler(CALL_CHANNEL);
  };
}

/**
 * Our window, its main frame, and our page in it: a frame inside it, or a page it was led to, gets nothing. The origin
 * is the one the browser process knows; a page cannot choose it.
 */
function isOwnPage(event: IpcMainInvokeEvent, window: BrowserWindow | null): boolean {
  const frame = event.senderFrame;
  return (
    window !== null &&
    event.sender === window.webContents &&
    frame !== null &&
    frame === window.webContents.mainFrame &&
    frame.origin === PAGE_ORIGIN
  );
}
