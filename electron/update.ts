/**
 * Newer versions of the app: looked for once a day where the person wants that, fetched while nothing else runs, and
 * installed when they say so or quit. Nothing here ever stops a request.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { APP_NAME } from '#shared/defaults.ts';
import type { Log } from './gateway/gateway.ts';
import type { Notice } from './notify.ts';

/** As much of electron-updater as is used. */
export interface Updater {
  on(
    event: 'update-available' | 'update-not-available' | 'update-downloaded',
    listener: (info: { version: string }) => void,
  ): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  checkForUpdates(): Promise<unknown>;
  quitAndInstall(isSilent?: boolean, isForceRunAfter?: boolean): void;
}

export interface UpdatesOptions {
  updater: Updater;
  /** Whether the person wants it looked for. */
  wanted: () => Promise<boolean>;
  /** How many requests run now. */
  running: () => Promise<number>;
  /** When it was last looked for, in milliseconds since the epoch, over restarts. */
  lastCheck: { get(): number; set(at: number): void };
  showItem: (item: { label: string; click: () => void } | null) => void;
  tell: (notice: Notice) => void;
  ask: (message: string, detail: string, buttons: readonly string[]) => Promise<string | undefined>;
  /** Ends the app in order; it has to call `install` of what this returns as its last act. */
  quit: () => void;
  now: () => number;
  log: Log;
}

export interface Updates {
  /** What is due now; called every few minutes, since a timer for tomorrow stands still while the machine sleeps. */
  tick(): Promise<void>;
  /** Shows what is known, or looks for a newer version; for a person who asks. */
  offer(): Promise<void>;
  /** Whether the person asked for the restart, rather than quit. */
  restarts(): boolean;
  /** Starts the installer, which waits for the app to end and starts the new one. */
  install(): void;
}

const DAY_MS = 86_400_000;

/**
 * Whether the app was installed from a release that says where newer ones are. A checkout, or a package that somebody
 * built for themselves, does not.
 */
export function hasUpdateFeed({
  isPackaged,
  resources,
}: {
  isPackaged: boolean;
  resources: string;
}): boolean {
  return isPackaged && existsSync(path.join(resources, 'app-update.yml'));
}

export function createUpdates(options: UpdatesOptions): Updates {
  const { updater, lastCheck, showItem, now, log } = options;
  let found: string | null = null;
  let downloaded: string | null = null;
  let remindedAt = 0;
  let asking = false;
  let restarts = false;
  /** The person waits for the last request to end. */
  let whenIdle = false;
  /** The check was asked for by hand, so its outcome is told. */
  let byHand = false;

  updater.on('update-available', ({ version }) => {
    found = version;
    byHand = false;
    showItem({ label: `Fetching ${APP_NAME} ${version} …`, click: () => undefined });
  });
  updater.on('update-not-available', () => {
    if (byHand) options.tell({ about: 'update', title: `${APP_NAME} is up to date`, body: '' });
    byHand = false;
  });
  updater.on('update-downloaded', ({ version }) => {
    downloaded = version;
    showItem({ label: `Restart to update to ${version}`, click: () => void offer() });
    remind();
  });
  updater.on('error', (error) => {
    // Tomorrow is another day: a machine without a network is no fault to show.
    log.warn({ error: error.message }, 'A newer version could not be looked for or fetched.');
    if (byHand)
      options.tell({ about: 'update', title: 'The update could not be fetched', body: error.message });
    byHand = false;
    found = null;
    if (downloaded === null) showItem(null);
  });

  function remind(): void {
    remindedAt = now();
    options.tell({
      about: 'update',
      title: `${APP_NAME} ${downloaded ?? ''} is ready`,
      body: 'It is installed when you quit. Click to restart now.',
      click: () => void offer(),
    });
  }

  async function check(): Promise<void> {
    lastCheck.set(now());
    // Its failures are events, too.
    await updater.checkForUpdates().catch(() => undefined);
  }

  async function offer(): Promise<void> {
    if (asking) return;
    if (downloaded === null) {
      if (found !== null) return;
      byHand = true;
      return check();
    }
    asking = true;
    try {
      const running = await options.running();
      const choice =
        running === 0
          ? await options.ask(
              `Restart to update to ${APP_NAME} ${downloaded}?`,
              'Tools get no answer for the seconds it takes.',
              ['Restart now', 'Later'],
            )
          : await options.ask(
              `${running === 1 ? 'A request runs' : `${running} requests run`} now`,
              `${APP_NAME} ${downloaded} is installed as soon as none does, or when you quit.`,
              ['Restart when they are done', 'Later'],
            );
      whenIdle = choice === 'Restart now' || choice === 'Restart when they are done';
      // The person took their time: a request may have begun since.
      if (whenIdle) await restartIfIdle();
    } finally {
      asking = false;
    }
  }

  async function restartIfIdle(): Promise<void> {
    if (restarts || (await options.running()) > 0) return;
    restarts = true;
    options.quit();
  }

  return {
    async tick() {
      if (whenIdle) return restartIfIdle();
      if (downloaded !== null) {
        // Put off: said again a day later, not every few minutes.
        if (!asking && now() - remindedAt >= DAY_MS) remind();
        return;
      }
      if (found !== null || now() - lastCheck.get() < DAY_MS) return;
      if (!(await options.wanted()) || (await options.running()) > 0) return;
      await check();
    },
    offer,
    restarts: () => restarts,
    // Silent: all there is to choose was chosen when it was first installed. And started again.
    install: () => updater.quitAndInstall(true, true),
  };
}
