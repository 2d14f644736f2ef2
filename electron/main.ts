/** The desktop app: the gateway first, then a window on it; at the end the window first, then the gateway. */
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import {
  app,
  dialog,
  Menu,
  nativeTheme,
  Notification,
  powerMonitor,
  session,
  type BrowserWindow,
} from 'electron';
import { APP_NAME } from '#shared/defaults.ts';
import { Settings, Status } from '#shared/model.ts';
import { connectBridge } from './bridge.ts';
import { namesCommand, runCommandLine } from './commands/index.ts';
import { connectMethods } from './connect/connect.ts';
import {
  createControl,
  createGateway,
  DataFolderError,
  listBackups,
  ListenError,
  loadAssets,
  proxySettings,
  restoreBackup,
  SecretKeyError,
  type Gateway,
} from './gateway/gateway.ts';
import { openLog, type AppLog } from './log.ts';
import { setLaunchAtLogin, wasStartedAtLogin } from './login.ts';
import { defaultDataDir, parseDesktopOptions, priceDataUrl } from './options.ts';
import { registerPageScheme, servePage, servePageFrom } from './page.ts';
import { desktopSecrets } from './secrets.ts';
import { openDesktopState, type DesktopStateFile } from './state.ts';
import { createTray, type TrayIcon } from './tray.ts';
import { closeWindow, focusWindow, guardContents, guardSession, openWindow } from './window.ts';

/** As for the headless gateway: all over within 5 s of the wish to quit. */
const GRACE_MS = 4_000;
const DEADLINE_MS = 4_900;

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
    dialog.showErrorBox(`${APP_NAME} cannot start`, error instanceof Error ? error.message : String(error));
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
  const gateway = await startGateway(log, state);
  if (!gateway) return app.quit();
  await showApp(gateway, state, log);
}

async function showApp(gateway: Gateway, state: DesktopStateFile, log: AppLog): Promise<void> {
  let window: BrowserWindow | null = null;
  let quitting = false;

  const show = () => {
    if (window) return focusWindow(window);
    window = openWindow(state);
    window.on('closed', () => (window = null));
    // Windows tells its windows of the end, not the app.
    window.on('session-end', () => app.quit());
  };
  const settings = await gateway.dispatch('settings.get', {});
  if (settings.ok) showTheme(settings.value);
  const disconnect = connectBridge({
    gateway,
    window: () => window,
    onCalled(name, input, value) {
      if (name !== 'settings.set') return;
      showTheme(value);
      if (typeof input === 'object' && input !== null && 'launchAtLogin' in input)
        applyLaunchAtLogin(value, log);
    },
  });

  const tray: TrayIcon | null = createTray({
    open: show,
    pause: (paused) => void gateway.dispatch('gateway.pause', { paused }),
    stopAll: () => void gateway.dispatch('gateway.stopAll', {}),
    quit: () => app.quit(),
  });
  const status = await gateway.dispatch('status.get', {});
  if (status.ok) tray?.show(Status.parse(status.value));
  const stopShowing = gateway.subscribe((name, data) => {
    if (name === 'status-changed') tray?.show(Status.parse(data));
  });

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

  app.on('second-instance', show);
  app.on('activate', show);
  app.on('window-all-closed', () => {
    if (quitting) return;
    // macOS apps stay without a window; elsewhere the tray is what is left of it.
    if (!tray && process.platform !== 'darwin') return app.quit();
    state.once('runs-on', () =>
      notify(
        `${APP_NAME} keeps running`,
        'Your tools still reach the gateway. Quit from the tray or the menu.',
      ),
    );
  });
  powerMonitor.on('shutdown', (event?: Electron.Event) => {
    // Asks the system for the moment it takes; without it running requests would count in full at the next start.
    event?.preventDefault();
    app.quit();
  });
  app.on('before-quit', (event) => {
    event.preventDefault();
    if (quitting) return;
    quitting = true;
    setTimeout(() => app.exit(1), DEADLINE_MS).unref();
    if (window) closeWindow(window, state);
    // The gateway still tells of what it settles while it ends.
    stopShowing();
    disconnect();
    tray?.destroy();
    Promise.all([control?.close(), gateway.close({ graceMs: GRACE_MS })]).then(
      () => app.exit(0),
      (error: unknown) => {
        log.error({ error: String(error) }, 'The gateway did not end in order.');
        app.exit(1);
      },
    );
  });

  if (!options.hidden && !wasStartedAtLogin()) show();
}

/** null where the person chose to quit instead. */
async function startGateway(log: AppLog, state: DesktopStateFile): Promise<Gateway | null> {
  for (;;) {
    try {
      const secrets = await desktopSecrets({ dataDir, env: process.env });
      if (!secrets.bySystem) {
        state.once('key-file', () =>
          notify(
            'No keyring found',
            'Provider credentials are encrypted with a key file that only your account can read.',
          ),
        );
      }
      const gateway = await createGateway({
        dataDir,
        secrets,
        version: app.getVersion(),
        log,
        ...priceDataUrl(process.env),
        proxies: proxySettings(process.env),
        machine: connectMethods({ dataDir, home: homedir(), env: process.env }),
      });
      const listening = await listen(gateway).catch(async (error: unknown) => {
        await gateway.close({ graceMs: 0 });
        throw error;
      });
      if (listening) return gateway;
      await gateway.close({ graceMs: 0 });
      return null;
    } catch (error) {
      if (!(error instanceof DataFolderError || error instanceof SecretKeyError)) {
        log.error(
          { error: error instanceof Error ? error.stack : String(error) },
          'The gateway could not start.',
        );
      }
      const message = error instanceof Error ? error.message : String(error);
      if (!(await mendOrTryAgain(error, message))) return null;
    }
  }
}

/** false where the person chose to quit. A damaged ledger can be mended with the newest backup that is whole. */
async function mendOrTryAgain(error: unknown, message: string): Promise<boolean> {
  const [backup] = error instanceof DataFolderError && error.restorable ? listBackups(dataDir) : [];
  if (!backup) return (await ask(`${APP_NAME} cannot start`, message, ['Try again', 'Quit'])) === 'Try again';
  const made = new Date(backup.at).toLocaleString();
  const detail = `${message}\n\nThe newest backup is of ${made}. What was used since then is kept as far as the damaged ledger can be read.`;
  const choice = await ask(`${APP_NAME} cannot start`, detail, ['Restore the backup', 'Try again', 'Quit']);
  if (choice === 'Restore the backup') {
    try {
      restoreBackup(dataDir, backup.name, { carryOver: true, now: Date.now() });
    } catch (failure) {
      const failed = failure instanceof Error ? failure.message : String(failure);
      return (await ask('The backup was not restored', failed, ['Try again', 'Quit'])) === 'Try again';
    }
  }
  return choice !== 'Quit' && choice !== undefined;
}

/** Whether the gateway listens now. A port that is taken is the person's to decide about: tools are set to it. */
async function listen(gateway: Gateway): Promise<boolean> {
  let anyPort = false;
  for (;;) {
    try {
      const wanted = anyPort ? 0 : options.port;
      const { port } = await gateway.listen(wanted === undefined ? {} : { port: wanted });
      // Kept, so that the tools need to be told of the new address once only.
      if (anyPort) await gateway.dispatch('settings.set', { port });
      return true;
    } catch (error) {
      if (!(error instanceof ListenError)) throw error;
      const choice = await ask('The gateway cannot listen', error.message, [
        'Try again',
        'Use another port',
        'Quit',
      ]);
      if (choice === 'Quit') return false;
      anyPort = choice === 'Use another port';
    }
  }
}

async function ask<Choice extends string>(
  title: string,
  detail: string,
  buttons: readonly Choice[],
): Promise<Choice | undefined> {
  const cancelId = buttons.length - 1;
  const { response } = await dialog.showMessageBox({
    type: 'error',
    title: APP_NAME,
    message: title,
    detail,
    buttons: [...buttons],
    defaultId: 0,
    cancelId,
    noLink: true,
  });
  return buttons[response];
}

function showTheme(value: unknown): void {
  nativeTheme.themeSource = Settings.parse(value).theme;
}

/** Only where the person changed it just now: what the system says at other times is the system's. */
function applyLaunchAtLogin(value: unknown, log: AppLog): void {
  try {
    setLaunchAtLogin(
      Settings.parse(value).launchAtLogin,
      dataDir === defaultDataDir() ? [] : ['--data-dir', dataDir],
    );
  } catch (error) {
    log.warn({ error: String(error) }, 'Starting at login could not be changed.');
  }
}

function notify(title: string, body: string): void {
  if (Notification.isSupported()) new Notification({ title, body }).show();
}

/** Only macOS has a menu bar that is always there, and needs it for its editing keys. */
function applicationMenu(): Menu | null {
  if (process.platform !== 'darwin') return null;
  return Menu.buildFromTemplate([{ role: 'appMenu' }, { role: 'editMenu' }, { role: 'windowMenu' }]);
}
