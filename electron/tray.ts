/** The icon in the tray: today's spend at a glance, the way back to a closed window, and the way to stop it all. */
import path from 'node:path';
import { app, Menu, nativeImage, Tray } from 'electron';
import type { Status } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';

export interface TrayIcon {
  show(status: Status): void;
  destroy(): void;
}

/** null where the desktop has no tray. */
export function createTray({
  open,
  pause,
  stopAll,
  quit,
}: {
  open: () => void;
  pause: (paused: boolean) => void;
  stopAll: () => void;
  quit: () => void;
}): TrayIcon | null {
  let tray: Tray;
  try {
    // "Template" in the name lets macOS draw it in the colour of the menu bar; @2x is found beside it.
    const name = process.platform === 'darwin' ? 'trayTemplate.png' : 'tray.png';
    tray = new Tray(nativeImage.createFromPath(path.join(import.meta.dirname, 'icons', name)));
  } catch {
    return null;
  }
  tray.setToolTip(app.name);
  tray.on('click', open);

  let shown = '';
  const show = (state: string, paused: boolean) => {
    const spend = paused ? `${state}, paused` : state;
    // Rebuilding the menu closes it under the pointer, so only when it says something else.
    if (spend === shown) return;
    shown = spend;
    tray.setToolTip(`${app.name}: ${spend}`);
    tray.setContextMenu(
      Menu.buildFromTemplate([
        { label: `Open ${app.name}`, click: open },
        { label: spend, enabled: false },
        { type: 'separator' },
        paused
          ? { label: 'Resume', click: () => pause(false) }
          : { label: 'Pause new requests', click: () => pause(true) },
        { label: 'Stop all and pause', click: stopAll },
        { type: 'separator' },
        { label: 'Quit', click: quit },
      ]),
    );
  };
  show('Starting', false);
  return {
    show: ({ totals, problem, paused }) =>
      show(problem ? 'Needs attention' : `${formatUsd(totals.todayNano)} today`, paused),
    destroy: () => tray.destroy(),
  };
}
