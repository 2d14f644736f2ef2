/**
 * Stands in for the `electron` module in the main process: windows are real Chromium pages, everything of the desktop
 * around them is recorded and told to the test. Only what the app uses is here; see README.md for what it cannot show.
 */
import { EventEmitter } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import path from 'node:path';
import type { BrowserContext } from 'playwright-core';
import { PATIENCE_MS } from '../patience.ts';
import { PageContents, type Frame, type ProtocolHandler } from './contents.ts';
import {
  CDP_ENDPOINT,
  DISPLAY,
  KEYRING,
  NEWER_KEY,
  OTHER_MACHINE,
  RESOURCES,
  type Command,
  type FromApp,
} from './protocol.ts';

const projectRoot = path.resolve(import.meta.dirname, '..', '..', '..');

export function record(entry: FromApp): void {
  process.send?.(entry);
}

// Electron adds it to Node's `process`, and says it is always there.
Object.defineProperty(process, 'resourcesPath', { value: process.env[RESOURCES] ?? projectRoot });

/** A preventable event, as Electron passes it first to a listener. */
function preventable<T extends object>(fields: T) {
  const event = {
    ...fields,
    defaultPrevented: false,
    preventDefault() {
      event.defaultPrevented = true;
    },
  };
  return event;
}

class App extends EventEmitter {
  name = 'electron';
  readonly isPackaged = process.env[RESOURCES] !== undefined;
  readonly commandLine = { appendSwitch: () => undefined };
  #paths = new Map<string, string>();
  #ready = Promise.withResolvers<void>();
  #isReady = false;
  /** Until the first instance has heard of this one, and pages are gone that were closed: Electron takes them along. */
  readonly #leaving: Promise<unknown>[] = [];
  beforeExit(work: Promise<unknown>): void {
    this.#leaving.push(work);
  }

  becomeReady(): void {
    this.#isReady = true;
    this.emit('ready');
    this.#ready.resolve();
    record({ what: 'ready' });
  }
  isReady = () => this.#isReady;
  whenReady = () => this.#ready.promise;
  setName(name: string): void {
    this.name = name;
  }
  getVersion(): string {
    return String(JSON.parse(readFileSync(path.join(projectRoot, 'package.json'), 'utf8')).version);
  }
  setPath(name: string, folder: string): void {
    this.#paths.set(name, folder);
  }
  getName = () => this.name;
  getPath(name: string): string {
    return this.#paths.get(name) ?? '';
  }
  enableSandbox = () => undefined;
  setAppUserModelId = () => undefined;
  getAppPath = () => projectRoot;
  setLoginItemSettings = () => undefined;
  getLoginItemSettings = () => ({ wasOpenedAtLogin: false });

  /** As in Electron: true for the first app of a user data folder, which is told of the others. */
  requestSingleInstanceLock(): boolean {
    const lock = path.join(this.getPath('userData'), 'standin-instance');
    const socket = path.join(lock, 'socket');
    try {
      mkdirSync(lock);
    } catch {
      this.beforeExit(
        new Promise((resolve) => {
          createConnection(socket)
            .once('close', resolve)
            .on('error', resolve)
            .end(JSON.stringify(process.argv));
        }),
      );
      return false;
    }
    createServer((connection) => {
      connection.resume();
      connection.once('end', () => this.emit('second-instance', {}, process.argv, process.cwd()));
    })
      .listen(socket)
      .unref();
    process.once('exit', () => rmSync(lock, { recursive: true, force: true }));
    return true;
  }

  quit(): void {
    const event = preventable({});
    this.emit('before-quit', event);
    if (event.defaultPrevented) return;
    for (const window of BrowserWindow.getAllWindows()) window.destroy();
    this.exit(0);
  }
  exit(code = 0): void {
    this.emit('quit', {}, code);
    void this.#exit(code);
  }
  /** Both messages have to be out before the process is gone. */
  async #exit(code: number): Promise<void> {
    await Promise.all(this.#leaving);
    if (process.send) process.send({ what: 'quit', code } satisfies FromApp, () => process.exit(code));
    else process.exit(code);
  }
}
export const app = new App();

let connected: Promise<BrowserContext> | undefined;
/** The browser belongs to the test, which outlives the app. */
function browserContext(): Promise<BrowserContext> {
  connected ??= (async () => {
    // As long to load as the app itself, and not needed by one that opens no window.
    const { chromium } = await import('playwright-core');
    const browser = await chromium.connectOverCDP(process.env[CDP_ENDPOINT] ?? '', { timeout: PATIENCE_MS });
    const [context] = browser.contexts();
    if (!context) throw new Error('the browser of the test has no context');
    context.setDefaultTimeout(PATIENCE_MS);
    return context;
  })();
  return connected;
}

/** As far as it is used, Electron's fetch is Node's. */
export const net = { fetch: globalThis.fetch };

const schemes = new Map<string, ProtocolHandler>();
export const protocol = {
  handle: (scheme: string, handler: ProtocolHandler) => void schemes.set(scheme, handler),
  registerSchemesAsPrivileged(
    list: { scheme: string; privileges: { standard?: boolean; secure?: boolean } }[],
  ) {
    if (app.isReady())
      throw new Error('registerSchemesAsPrivileged has to be called before the app is ready');
    // The pages get an https address in Chromium, which is right only for schemes registered like this.
    for (const { scheme, privileges } of list) {
      if (!privileges.standard || !privileges.secure) throw new Error(`${scheme} is not standard and secure`);
    }
  },
};

type PermissionRequest = (
  contents: PageContents,
  permission: string,
  answer: (granted: boolean) => void,
) => void;
type PermissionCheck = (contents: PageContents | null, permission: string) => boolean;
const permissions: { request?: PermissionRequest; check?: PermissionCheck } = {};
export const session = {
  defaultSession: {
    protocol,
    setPermissionRequestHandler: (handler: PermissionRequest) => void (permissions.request = handler),
    setPermissionCheckHandler: (handler: PermissionCheck) => void (permissions.check = handler),
    setDevicePermissionHandler: () => undefined,
  },
};

type Handler = (event: { sender: PageContents; senderFrame: Frame | null }, ...args: unknown[]) => unknown;
const handlers = new Map<string, Handler>();
export const ipcMain = {
  handle(channel: string, handler: Handler) {
    if (handlers.has(channel)) throw new Error(`a second handler for ${channel}`);
    handlers.set(channel, handler);
  },
  removeHandler: (channel: string) => void handlers.delete(channel),
};

interface WindowOptions {
  width: number;
  height: number;
  webPreferences: { preload: string; sandbox: boolean; contextIsolation: boolean; nodeIntegration: boolean };
  [name: string]: unknown;
}

export class BrowserWindow extends EventEmitter {
  static #open = new Set<BrowserWindow>();
  static getAllWindows = () => [...BrowserWindow.#open];

  readonly webContents: PageContents;
  #bounds: { x: number; y: number; width: number; height: number };
  #destroyed = false;

  constructor(options: WindowOptions) {
    super();
    const { sandbox, contextIsolation, nodeIntegration, preload } = options.webPreferences;
    // The stand-in can run no other page than a sandboxed one.
    if (!sandbox || !contextIsolation || nodeIntegration) throw new Error('the window is not sandboxed');
    const { width, height } = options;
    this.#bounds = { x: Number(options['x'] ?? 0), y: Number(options['y'] ?? 0), width, height };
    record({ what: 'window', options: { ...options } });
    BrowserWindow.#open.add(this);
    this.webContents = new PageContents({
      context: browserContext(),
      preload: readFileSync(preload, 'utf8'),
      schemes,
      size: { width, height },
      record,
      invoke: async (frame, channel, args) => {
        const handler = handlers.get(channel);
        if (!handler) throw new Error(`No handler registered for '${channel}'`);
        return handler({ sender: this.webContents, senderFrame: frame }, ...args);
      },
    });
    this.webContents.once('dom-ready', () => this.emit('ready-to-show'));
    app.emit('web-contents-created', {}, this.webContents);
  }

  loadURL = (url: string) => this.webContents.loadURL(url);
  show = () => record({ what: 'show' });
  focus = () => record({ what: 'focus' });
  restore = () => undefined;
  maximize = () => undefined;
  isMinimized = () => false;
  isMaximized = () => false;
  isFullScreen = () => false;
  isFocused = () => false;
  isDestroyed = () => this.#destroyed;
  getNormalBounds = () => this.#bounds;
  setBounds(bounds: { x: number; y: number; width: number; height: number }): void {
    this.#bounds = bounds;
    record({ what: 'bounds', bounds });
  }

  close(): void {
    const event = preventable({});
    this.emit('close', event);
    if (!event.defaultPrevented) this.destroy();
  }
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    BrowserWindow.#open.delete(this);
    this.webContents.close();
    app.beforeExit(this.webContents.gone);
    this.emit('closed');
    record({ what: 'closed' });
    if (BrowserWindow.#open.size === 0) app.emit('window-all-closed');
  }
}

interface DialogOptions {
  message: string;
  detail?: string;
  buttons: string[];
}
let lastDialog = 0;
const dialogs = new Map<number, (response: number) => void>();
export const dialog = {
  showMessageBox(first: BrowserWindow | DialogOptions, second?: DialogOptions) {
    const options = first instanceof BrowserWindow ? second : first;
    if (!options) throw new TypeError('a message box without options');
    const id = (lastDialog += 1);
    return new Promise<{ response: number; checkboxChecked: boolean }>((resolve) => {
      dialogs.set(id, (response) => resolve({ response, checkboxChecked: false }));
      record({ what: 'dialog', id, options });
    });
  },
  showErrorBox: (title: string, content: string) => record({ what: 'error-box', title, content }),
};

interface MenuItem {
  label?: string;
  click?: () => void;
}
export const Menu = {
  setApplicationMenu: () => undefined,
  buildFromTemplate: (items: MenuItem[]) => ({ items }),
};

const trays = new Set<Tray>();
export class Tray extends EventEmitter {
  items: MenuItem[] = [];
  constructor(image: { file: string }) {
    super();
    trays.add(this);
    this.setImage(image);
  }
  setImage(image: { file: string }): void {
    record({ what: 'tray', image: path.basename(image.file), imageExists: existsSync(image.file) });
  }
  setToolTip(text: string): void {
    if (!trays.has(this)) throw new TypeError('Object has been destroyed');
    record({ what: 'tray-tooltip', text });
  }
  setContextMenu(menu: { items: MenuItem[] }): void {
    this.items = menu.items;
    record({ what: 'tray-menu', labels: menu.items.flatMap(({ label }) => label ?? []) });
  }
  destroy = () => void trays.delete(this);
}
export const nativeImage = { createFromPath: (file: string) => ({ file }) };

interface NotificationOptions {
  title: string;
  body: string;
  actions?: { type: string; text: string }[];
}
const notifications: Notification[] = [];
export class Notification extends EventEmitter {
  static isSupported = () => true;
  readonly #id: number;
  readonly #options: NotificationOptions;
  constructor(options: NotificationOptions) {
    super();
    this.#options = options;
    this.#id = notifications.push(this) - 1;
  }
  show(): void {
    const { title, body, actions = [] } = this.#options;
    record({
      what: 'notification',
      id: this.#id,
      title,
      body,
      actions: actions.map(({ text }) => text),
    });
  }
  close(): void {
    record({ what: 'notification-closed', id: this.#id });
    this.emit('close', {});
  }
}

export const shell = {
  async openExternal(url: string) {
    record({ what: 'open-external', url });
  },
  showItemInFolder: (file: string) => record({ what: 'show-in-folder', file }),
};
export const nativeTheme = { themeSource: 'system', shouldUseDarkColors: false };
class Screen extends EventEmitter {
  workArea = JSON.parse(process.env[DISPLAY] ?? '{"x":0,"y":0,"width":1920,"height":1080}');
  getDisplayMatching = () => ({ workArea: this.workArea });
}
export const screen = new Screen();
export const powerMonitor = new EventEmitter();

const [FIRST_KEY, NEXT_KEY] = ['v11-standin:', 'v12-standin:'];
const currentKey = () => (process.env[NEWER_KEY] === '1' ? NEXT_KEY : FIRST_KEY);
/** No encryption: what is tested is who asks for it and when. */
export const safeStorage = {
  getSelectedStorageBackend: () => process.env[KEYRING] ?? 'gnome_libsecret',
  isAsyncEncryptionAvailable: async () => true,
  encryptStringAsync: async (plain: string) =>
    Buffer.from(currentKey() + Buffer.from(plain).toString('base64')),
  async decryptStringAsync(sealed: Buffer) {
    const text = sealed.toString();
    const key = [FIRST_KEY, NEXT_KEY].find((each) => text.startsWith(each));
    if (key === undefined || process.env[OTHER_MACHINE] === '1')
      throw new Error('Error while decrypting the ciphertext');
    const result = Buffer.from(text.slice(key.length), 'base64').toString();
    return { result, shouldReEncrypt: key !== currentKey() };
  },
};

function obey(command: Command): void {
  const [window] = BrowserWindow.getAllWindows();
  switch (command.do) {
    case 'answer-dialog':
      dialogs.get(command.id)?.(command.response);
      dialogs.delete(command.id);
      return;
    case 'close-window':
      window?.close();
      return;
    case 'click-tray':
      for (const tray of trays) tray.emit('click');
      return;
    case 'choose-tray-item':
      for (const { items } of trays) items.find(({ label }) => label === command.label)?.click?.();
      return;
    case 'quit':
      app.quit();
      return;
    case 'answer-notification': {
      const notification = notifications[command.id];
      if (command.action === undefined) notification?.emit('click', {});
      else notification?.emit('action', { actionIndex: command.action }, command.action, -1);
      return;
    }
    case 'power':
      powerMonitor.emit(command.event, preventable({}));
      return;
    case 'change-display':
      screen.workArea = command.workArea;
      screen.emit('display-removed', {}, {});
      return;
    case 'hang-page':
      window?.emit('unresponsive');
      return;
    case 'force-load':
      window?.loadURL(command.url).catch(() => undefined);
      return;
    case 'crash-page':
      window?.webContents.emit('render-process-gone', {}, { reason: 'crashed', exitCode: 133 });
      return;
    case 'ask-permission': {
      if (!window) return;
      const { id, permission } = command;
      const checked = permissions.check?.(window.webContents, permission) ?? true;
      permissions.request?.(window.webContents, permission, (requested) => {
        record({ what: 'permission', id, requested, checked });
      });
    }
  }
}

process.on('message', (message) => obey(message as Command));
// The app ends by its own will, not because the test let go of it.
process.channel?.unref();
setImmediate(() => {
  const alive = setInterval(() => undefined, 60_000);
  app.once('quit', () => clearInterval(alive));
  app.becomeReady();
});
