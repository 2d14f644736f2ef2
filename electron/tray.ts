/** The icon in the tray: the spend and the limits at a glance, the way back to a closed window, and the way to stop it all. */
import path from 'node:path';
import { app, Menu, nativeImage, Tray, type MenuItemConstructorOptions } from 'electron';
import type { KeyRow, SharedLimits, Status } from '#shared/model.ts';
import { callsOf, type Gateway } from './gateway/gateway.ts';
import { overview, type Overview, type TrayState } from './overview.ts';

export interface TrayIcon {
  /** What the update has to say, as an item of the menu; null for nothing. */
  showUpdate(item: { label: string; click: () => void } | null): void;
  destroy(): void;
}

export interface TrayOptions {
  gateway: Pick<Gateway, 'dispatch' | 'subscribe'>;
  /** Brings the window; `page` is an address within it, such as `#/limits`. */
  open: (page?: string) => void;
  quit: () => void;
}

/** Setting a menu closes it under the pointer, and a busy gateway would do so all the time. */
const MENU_MS = 1_000;

/** null where the desktop has no tray. */
export function createTray({ gateway, open, quit }: TrayOptions): TrayIcon | null {
  let tray: Tray;
  try {
    tray = new Tray(iconOf('ok'));
  } catch {
    return null;
  }
  tray.setToolTip(app.name);
  tray.on('click', () => open());

  const call = callsOf(gateway);
  const keys = new Map<string, KeyRow>();
  let status: Status | null = null;
  let shared: SharedLimits | null = null;
  let update: { label: string; click: () => void } | null = null;

  let shownIcon: TrayState = 'ok';
  let shownMenu = '';
  let menuTimer: NodeJS.Timeout | undefined;
  let menuSetAt = Number.NEGATIVE_INFINITY;

  function show(): void {
    if (!status || !shared) return;
    const now = overview(status, keys.values(), shared);
    if (now.state !== shownIcon) tray.setImage(iconOf(now.state));
    shownIcon = now.state;
    tray.setToolTip(tooltip(now));
    // Asked again when it is due: by then there may be more to say.
    menuTimer ??= setTimeout(showMenu, Math.max(0, menuSetAt + MENU_MS - Date.now())).unref();
  }

  function showMenu(): void {
    menuTimer = undefined;
    if (!status || !shared) return;
    const items = menuOf(overview(status, keys.values(), shared));
    const text = JSON.stringify(items);
    if (text === shownMenu) return;
    shownMenu = text;
    menuSetAt = Date.now();
    tray.setContextMenu(Menu.buildFromTemplate(items));
  }

  function menuOf(now: Overview): MenuItemConstructorOptions[] {
    const separator = { type: 'separator' } as const;
    return [
      { label: `Open ${app.name}`, click: () => open() },
      ...(now.problem === null ? [] : [{ label: 'Needs attention …', click: () => open() }]),
      ...(now.paused ? [{ label: 'Paused: no request is served', enabled: false }] : []),
      separator,
      { label: now.today, click: () => open('#/usage') },
      { label: now.month, click: () => open('#/usage') },
      ...(now.nearest.length === 0 ? [] : [separator]),
      ...now.nearest.map(({ label, page }) => ({ label: literal(label), click: () => open(page) })),
      separator,
      now.paused
        ? { label: 'Resume', click: () => run('gateway.pause', { paused: false }) }
        : { label: 'Pause new requests', click: () => run('gateway.pause', { paused: true }) },
      { label: 'Stop all and pause', click: () => run('gateway.stopAll', {}) },
      separator,
      ...(update ? [update] : []),
      { label: 'Quit', click: quit },
    ];
  }

  const run = (name: 'gateway.pause' | 'gateway.stopAll', input: object) =>
    // What it changes is pushed, and shown.
    void gateway.dispatch(name, input);

  const unsubscribe = gateway.subscribe((event) => {
    switch (event.name) {
      case 'status-changed':
        status = event.data;
        return show();
      case 'limits-changed':
        shared = event.data;
        return show();
      case 'keys-changed': {
        for (const row of event.data.rows) keys.set(row.id, row);
        for (const id of event.data.removed) keys.delete(id);
        return show();
      }
      case 'ledger-replaced':
        return load();
      default:
    }
  });
  const readAll = async () => {
    keys.clear();
    for (const row of await call('keys.list', {})) keys.set(row.id, row);
    shared = await call('limits.get', {});
    status = await call('status.get', {});
    show();
  };
  // What fails now is told by the next event.
  const load = () => void readAll().catch(() => undefined);
  load();

  return {
    showUpdate(item) {
      update = item;
      show();
    },
    destroy() {
      unsubscribe();
      clearTimeout(menuTimer);
      tray.destroy();
    },
  };
}

function iconOf(state: TrayState) {
  // macOS takes the shape of a "Template" and colours it as the menu bar; `@2x` is found beside it.
  const suffix = process.platform === 'darwin' ? 'Template' : '';
  return nativeImage.createFromPath(path.join(import.meta.dirname, 'icons', `tray-${state}${suffix}.png`));
}

function tooltip({ problem, paused, today, nearest: [nearest] }: Overview): string {
  // Windows cuts a longer one off in the middle of a word.
  const text = [`${app.name}: ${paused ? 'paused, ' : ''}${today}`, problem ?? nearest?.label ?? '']
    .filter((line) => line !== '')
    .join('\n');
  return text.length <= 127 ? text : `${text.slice(0, 126)}…`;
}

/** In a menu `&` marks the key to press, unless it is doubled. */
const literal = (text: string) => text.replaceAll('&', '&&');
