/** All that the page gets of Electron: the contract's calls and events, and no way to any other channel. */
import { contextBridge, ipcRenderer, type IpcRendererEvent } from 'electron';
import type { WindowBridge } from '#shared/wire.ts';
import { CALL_CHANNEL, EVENT_CHANNEL } from './channels.ts';

contextBridge.exposeInMainWorld('faregate', {
  call: (name, input) => ipcRenderer.invoke(CALL_CHANNEL, name, input),
  subscribe(listener) {
    // The event object leads back to ipcRenderer and stays on this side.
    const forward = (_event: IpcRendererEvent, name: string, data: unknown) => listener(name, data);
    ipcRenderer.on(EVENT_CHANNEL, forward);
    return () => {
      ipcRenderer.off(EVENT_CHANNEL, forward);
    };
  },
} satisfies WindowBridge);
