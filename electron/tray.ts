/** The icon in the tray: today's spend at a glance, and the way back to a closed window. */
import path from 'node:path';
import { app, Menu, nativeImage, Tray } from 'electron';
import type { Status } from '#shared/model.ts';
import { formatUsd } from '#shared/money.ts';

export interface TrayIcon {
  show(status: Status): void;
  destroy(): void;
}

/** null where the desktop has no tray. */
export function createTray({ open, quit }: { open: () => void; quit: () => void }): TrayIcon | null {
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
  const show = (spend: string) => {
    // Rebuilding the menu closes it under the pointer, so only when it says something else.
    if (spend === shown) return;
    shown = spend;
    tray.setToolTip(`${app.name}: ${spend}`);
    tray.setContextMenu(
      Menu.buildFromTemplate([
        { label: `Open ${app.name}`, click: open },
        { label: spend, enabled: false },
        { type: 'separator' },
        { label: 'Quit', click: quit },
      ]),
    );
  };
  show('Starting');
  return {
    show: ({ totals, problem }) => show(problem ? 'Needs attention' : `${formatUsd(totals.todayNano)} today`),
    destroy: () => tray.destroy(),
  };
}
