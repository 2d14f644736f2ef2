/** The desktop app: the gateway first, then a window on it; at the end the window first, then the gateway. */
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { app, dialog, Menu, nativeTheme, powerMonitor, session, type BrowserWindow } from 'electron';
import { messageOf } from '#shared/caught.ts';
import { APP_NAME } from '#shared/defaults.ts';
import { Settings } from '#shared/model.ts';
import { connectBridge } from './bridge.ts';
import { namesCommand, runCommandLine } from './commands/index.ts';
import { callsOf, createControl, loadAssets, startDeadline, type Call } from './gateway/gateway.ts';
import { openLog, type AppLog } from './log.ts';
import { setLaunchAtLogin, wasStartedAtLogin } from './login.ts';
import { createNotices, type Notices } from './notify.ts';
import { defaultDataDir, parseDesktopOptions } from './options.ts';
import { registerPageScheme, servePage, servePageFrom } from './page.ts';
import { startGateway, type Started } from './start.ts';
import { openDesktopState, type DesktopStateFile } from './state.ts';
import { createTray, type TrayIcon } from './tray.ts';
import { createUpdates, hasUpdateFeed, type Updates } from './update.ts';
import { closeWindow, focusWindow, guardContents, guardSession, openWindow } from './window.ts';

/** As for the headless gateway: all over within 5 s of the wish to quit. */
const GRACE_MS = 4_000;
const DEADLINE_MS = 4_900;
/** How often it is looked whether an update is due, or may be installed now. */
const UPDATE_TICK_MS = 60_000;

const options = parseDesktopOptions(process.argv.slice(1));
const { dataDir } = options;

// Whatever is created from here on is its owner's alone.
process.umask(0o077);
mkdirSync(dataDir, { recursive: true, mode: 0o700 });
app.setName(APP_NAME);
// What Windows shows notifications for; the same as in electron-builder.yml.
app.setAppUserModelId('app.faregate.desktop');
// The lock of the single instance hangs on this folder: one app a ledger.
app.setPath('userData', dataDir);
app.setPath('sessionData', path.join(dataDir, 'browser'));
app.enableSandbox();
registerPageScheme();

/** What was typed: unpackaged, the first argument is the app's own path. */
const words = process.argv.slice(app.isPackaged ? 1 : 2);

if (namesCommand(words)) {
  // `faregate keys list` of an installed app: no window, no dock, and the app that runs is talked to, not focused.
  app.dock?.hide();
  void runCommandLine(words, {
    env: process.env,
    home: homedir(),
    version: app.getVersion(),
    programDir: import.meta.dirname,
    // An AppImage is mounted somewhere else at each start.
    self: [process.env['APPIMAGE'] ?? process.execPath],
    print: (text) => process.stdout.write(`${text}\n`),
    complain: (text) => process.stderr.write(`faregate: ${text}\n`),
  }).then((code) => process.stdout.write('', () => app.exit(code)));
} else if (app.requestSingleInstanceLock()) {
  // Not awaited: Electron becomes ready only once this module has run to its end.
  runApp().catch((error: unknown) => {
    dialog.showErrorBox(`${APP_NAME} cannot start`, messageOf(error));
    app.exit(1);
  });
} else {
  app.quit();
}

async function runApp(): Promise<void> {
  const log = openLog(dataDir, (line) => process.stderr.write(`faregate: ${line}\n`));
  const state = openDesktopState(dataDir);
  app.on('web-contents-created', (_event, contents) => guardContents(contents));
  process.on('SIGTERM', () => app.quit());
  process.on('SIGINT', () => app.quit());
  process.on('uncaughtExceptionMonitor', (error) => log.error({ error: error.stack }, 'Unexpected failure.'));
  await app.whenReady();
  Menu.setApplicationMenu(applicationMenu());
  guardSession(session.defaultSession);

  const devServer = process.env['FAREGATE_DEV_SERVER'];
  if (devServer !== undefined && !app.isPackaged) servePageFrom(session.defaultSession, devServer);
  else servePage(session.defaultSession, loadAssets(path.join(import.meta.dirname, 'renderer')));
  const started = await startGateway({ dataDir, port: options.port, log, state });
  if (!started) return app.quit();
  await showApp(started, state, log);
}

async function showApp({ gateway, followed }: Started, state: DesktopStateFile, log: AppLog): Promise<void> {
  let window: BrowserWindow | null = null;
  let quitting = false;
  let ended = false;
  const call = callsOf(gateway);

  const show = (page = '') => {
    if (window) return focusWindow(window, page);
    window = openWindow(state, page);
    window.on('closed', () => (window = null));
    // Windows tells its windows of the end, not the app.
    window.on('session-end', () => app.quit());
  };
  showTheme(await call('settings.get', {}));
  const disconnect = connectBridge({
    gateway,
    window: () => window,
    onCalled(name, input, value) {
      if (name !== 'settings.set') return;
      const settings = Settings.parse(value);
      showTheme(settings);
      if (typeof input === 'object' && input !== null && 'launchAtLogin' in input)
        applyLaunchAtLogin(settings, log);
    },
  });
  const notices = createNotices({
    gateway,
    open: show,
    isWatched: () => window?.isFocused() ?? false,
    log,
  });
  const tray = createTray({ gateway, open: show, quit: () => app.quit() });

  const updates = await startUpdates({ call, notices, tray, state, log });

  const control = await createControl({
    gateway,
    dataDir,
    open: () => {
      show();
      return { shown: true };
    },
  }).catch((error: unknown) => {
    log.warn({ error: String(error) }, 'There is no control socket: commands cannot reach this app.');
    return null;
  });

  app.on('second-instance', () => show());
  app.on('activate', () => show());
  const endOrStay = async () => {
    const { keepRunning } = await call('settings.get', {});
    // macOS apps stay without a window; elsewhere the tray is what is left of it.
    if (!keepRunning || (!tray && process.platform !== 'darwin')) return app.quit();
    state.once('runs-on', () =>
      notices.tell({
        about: 'runs-on',
        title: `${APP_NAME} keeps running`,
        body: 'Your tools still reach the gateway. Quit from the tray or the menu; Settings can make closing the window quit.',
        click: () => show('#/settings'),
      }),
    );
  };
  app.on('window-all-closed', () => {
    if (!quitting) void endOrStay();
  });
  // A machine that sleeps, or is left alone, may never come back. Running requests go on, or end by their own timeouts.
  const flush = () => {
    if (!quitting) void gateway.flush().finally(() => log.flush());
  };
  powerMonitor.on('suspend', flush);
  powerMonitor.on('lock-screen', flush);
  powerMonitor.on('shutdown', (event?: Electron.Event) => {
    // Asks the system for the moment it takes; without it running requests would count in full at the next start.
    event?.preventDefault();
    app.quit();
  });
  const end = () => {
    ended = true;
    if (updates?.restarts()) updates.install();
    else app.exit(0);
  };
  app.on('before-quit', (event) => {
    // The installer of an update quits once more.
    if (ended) return;
    event.preventDefault();
    if (quitting) return;
    quitting = true;
    startDeadline(DEADLINE_MS, () => app.exit(1));
    if (window) closeWindow(window, state);
    disconnect();
    // The gateway still tells of what it settles while it ends.
    notices.close();
    tray?.destroy();
    Promise.all([control?.close(), gateway.close({ graceMs: GRACE_MS })]).then(end, (error: unknown) => {
      log.error({ error: String(error) }, 'The gateway did not end in order.');
      app.exit(1);
    });
  });

  if (!options.hidden && !wasStartedAtLogin()) show();
  await tellWhatIsLeftToDo(call, notices, { followed, show });
}

/** null where this is no installed release, which nothing is looked for. */
async function startUpdates({
  call,
  notices,
  tray,
  state,
  log,
}: {
  call: Call;
  notices: Notices;
  tray: TrayIcon | null;
  state: DesktopStateFile;
  log: AppLog;
}): Promise<Updates | null> {
  if (!hasUpdateFeed({ isPackaged: app.isPackaged, resources: process.resourcesPath })) return null;
  // Its parts look for what only a packed app has, so it is not so much as loaded elsewhere.
  const { autoUpdater } = await import('electron-updater');
  // As an AppImage that was unpacked by hand.
  if (!autoUpdater.isUpdaterActive()) return null;
  autoUpdater.logger = null;
  const updates = createUpdates({
    updater: autoUpdater,
    wanted: async () => (await call('settings.get', {})).appUpdates,
    running: async () => (await call('status.get', {})).totals.running,
    lastCheck: {
      get: () => state.get().updateCheckedAt,
      set: (updateCheckedAt) => state.update({ updateCheckedAt }),
    },
    showItem: (item) => tray?.showUpdate(item ?? lookNow),
    tell: (notice) => notices.tell(notice),
    ask: async (message, detail, buttons) => {
      const cancelId = buttons.length - 1;
      const question = {
        message,
        detail,
        buttons: [...buttons],
        defaultId: cancelId,
        cancelId,
        noLink: true,
      };
      return buttons[
        (await dialog.showMessageBox({ type: 'question', title: APP_NAME, ...question })).response
      ];
    },
    quit: () => app.quit(),
    now: () => Date.now(),
    log,
  });
  const lookNow = { label: 'Look for a new version', click: () => void updates.offer() };
  tray?.showUpdate(lookNow);
  const tick = () =>
    void updates
      .tick()
      .catch((error: unknown) =>
        log.warn({ error: String(error) }, 'Whether an update is due could not be worked out.'),
      );
  setInterval(tick, UPDATE_TICK_MS).unref();
  return updates;
}

/** What a start cannot mend by itself, and the person may not see while the window stays closed. */
async function tellWhatIsLeftToDo(
  call: Call,
  notices: Notices,
  { followed, show }: Pick<Started, 'followed'> & { show: (page: string) => void },
): Promise<void> {
  const names = (rows: readonly { name: string }[]) => rows.map(({ name }) => name).join(', ');
  const led = followed.filter(({ state }) => state === 'connected');
  const left = followed.filter(({ state }) => state !== 'connected');
  if (led.length > 0) {
    notices.tell({
      about: 'followed',
      title: 'Your tools follow the gateway to its new port',
      body: `The new address is in the configuration of ${names(led)}. What runs already needs to be started again.`,
      click: () => show('#/connect'),
    });
  }
  if (left.length > 0) {
    notices.tell({
      about: 'left-behind',
      title: 'Connect your tools again',
      body: `The gateway has a new port. The configuration of ${names(left)} was changed meanwhile, or cannot be written: only you can lead it there.`,
      click: () => show('#/connect'),
    });
  }
  // As after the data folder was moved here from another machine: only that one could decrypt them.
  const unreadable = (await call('providers.list', {})).filter((row) => row.credentialUnreadable);
  if (unreadable.length > 0) {
    notices.tell({
      about: 'credentials',
      title: 'Enter credentials again',
      body: `This machine cannot decrypt what is stored for ${names(unreadable)}. Everything else is as it was.`,
      click: () => show('#/providers'),
    });
  }
}

function showTheme({ theme }: Settings): void {
  nativeTheme.themeSource = theme;
}

/** Only where the person changed it just now: what the system says at other times is the system's. */
function applyLaunchAtLogin({ launchAtLogin }: Settings, log: AppLog): void {
  try {
    setLaunchAtLogin(launchAtLogin, dataDir === defaultDataDir() ? [] : ['--data-dir', dataDir]);
  } catch (error) {
    log.warn({ error: String(error) }, 'Starting at login could not be changed.');
  }
}

/** Only macOS has a menu bar that is always there, and needs it for its editing keys. */
function applicationMenu(): Menu | null {
  if (process.platform !== 'darwin') return null;
  return Menu.buildFromTemplate([{ role: 'appMenu' }, { role: 'editMenu' }, { role: 'windowMenu' }]);
}
