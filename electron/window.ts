/** The one window, and what no page in it may do. */
import path from 'node:path';
import {
  app,
  BrowserWindow,
  dialog,
  nativeTheme,
  screen,
  shell,
  type Rectangle,
  type Session,
  type WebContents,
} from 'electron';
import { isPageUrl, PAGE_URL } from './page.ts';
import type { DesktopStateFile, WindowBounds } from './state.ts';

const MIN_SIZE = { width: 720, height: 480 };
const FIRST_SIZE = { width: 1180, height: 760 };
/** A page that crashes more often than this is left alone rather than reloaded for ever. */
const RELOADS_PER_MINUTE = 3;

/** Where a link of the page may lead, in the person's browser: the places where provider keys and prices are found. */
const linkHosts: ReadonlySet<string> = new Set([
  'github.com',
  'platform.openai.com',
  'console.anthropic.com',
  'platform.claude.com',
  'aistudio.google.com',
  'ai.google.dev',
  'openrouter.ai',
  'llmgateway.io',
  'platform.deepseek.com',
  'console.mistral.ai',
  'console.groq.com',
  'console.x.ai',
  'ollama.com',
  'lmstudio.ai',
]);

/** Everything a page can ask the system for is denied but writing to the clipboard, which the copy buttons do. */
export function guardSession(session: Session): void {
  const allowed = 'clipboard-sanitized-write';
  session.setPermissionRequestHandler((contents, permission, answer) => {
    answer(permission === allowed && isPageUrl(contents.getURL()));
  });
  session.setPermissionCheckHandler(
    (contents, permission) => permission === allowed && contents !== null && isPageUrl(contents.getURL()),
  );
  session.setDevicePermissionHandler(() => false);
}

/** Keeps every page, also one that should not exist, where it is. */
export function guardContents(contents: WebContents): void {
  const stay = (event: { preventDefault(): void; url: string }) => {
    if (!isPageUrl(event.url)) event.preventDefault();
  };
  contents.on('will-navigate', stay);
  contents.on('will-frame-navigate', stay);
  contents.on('will-redirect', stay);
  contents.on('will-attach-webview', (event) => event.preventDefault());
  contents.setWindowOpenHandler(({ url }) => {
    if (mayOpenOutside(url)) void shell.openExternal(url);
    return { action: 'deny' };
  });
}

function mayOpenOutside(address: string): boolean {
  const url = URL.parse(address);
  return url !== null && url.protocol === 'https:' && url.username === '' && linkHosts.has(url.host);
}

/** Opens the window on a page, such as `#/limits`, and shows it once there is something to see. */
export function openWindow(state: DesktopStateFile, page: string): BrowserWindow {
  const bounds = visibleBounds(state.get().bounds);
  const window = new BrowserWindow({
    ...(bounds ?? FIRST_SIZE),
    minWidth: MIN_SIZE.width,
    minHeight: MIN_SIZE.height,
    title: app.name,
    show: false,
    // What is seen before the first paint, and while the window grows.
    backgroundColor: nativeTheme.shouldUseDarkColors ? '#191b20' : '#ffffff',
    webPreferences: {
      preload: path.join(import.meta.dirname, 'preload.cjs'),
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      webSecurity: true,
      webviewTag: false,
      // Its dictionaries would be fetched from the network.
      spellcheck: false,
      devTools: !app.isPackaged,
    },
  });
  if (bounds?.maximized) window.maximize();
  window.once('ready-to-show', () => window.show());
  // At the end alone: while a window is dragged it moves hundreds of times.
  window.on('close', () => keepBounds(window, state));
  const putBack = () => {
    if (!window.isMaximized() && !window.isFullScreen()) window.setBounds(clamped(window.getNormalBounds()));
  };
  // A screen that is unplugged takes along what stood on it.
  screen.on('display-removed', putBack);
  window.once('closed', () => screen.off('display-removed', putBack));
  reloadAfterCrash(window);
  askWhenStuck(window);
  load(window, page);
  return window;
}

/** To the front; `page` leads it to a page, without loading anything anew. */
export function focusWindow(window: BrowserWindow, page: string): void {
  if (page !== '') load(window, page);
  if (window.isMinimized()) window.restore();
  window.show();
  window.focus();
}

function load(window: BrowserWindow, page: string): void {
  // Rejects where the next page is asked for before this one is there; that one is shown then.
  window.loadURL(PAGE_URL + page).catch(() => undefined);
}

/** At once, without asking the page. */
export function closeWindow(window: BrowserWindow, state: DesktopStateFile): void {
  keepBounds(window, state);
  window.destroy();
}

function visibleBounds(bounds: WindowBounds | null): WindowBounds | null {
  return bounds && { ...clamped(bounds), maximized: bounds.maximized };
}

/** Moved, and where need be made smaller, so that all of it lies on the screen it is nearest to. */
function clamped(bounds: Rectangle): Rectangle {
  const area = screen.getDisplayMatching(bounds).workArea;
  const width = Math.max(MIN_SIZE.width, Math.min(bounds.width, area.width));
  const height = Math.max(MIN_SIZE.height, Math.min(bounds.height, area.height));
  const x = Math.max(area.x, Math.min(bounds.x, area.x + area.width - width));
  const y = Math.max(area.y, Math.min(bounds.y, area.y + area.height - height));
  return { x, y, width, height };
}

function keepBounds(window: BrowserWindow, state: DesktopStateFile): void {
  state.update({ bounds: { ...window.getNormalBounds(), maximized: window.isMaximized() } });
}

/** The gateway lives in another process than the page and does not notice; the page starts over. */
function reloadAfterCrash(window: BrowserWindow): void {
  let recent: number[] = [];
  const askToGoOn = async () => {
    const choice = await ask(window, 'The window keeps crashing', ['Load it again', 'Close the window']);
    recent = [];
    if (window.isDestroyed()) return;
    if (choice === 'Load it again') window.webContents.reload();
    else window.destroy();
  };
  window.webContents.on('render-process-gone', (_event, { reason }) => {
    if (reason === 'clean-exit' || window.isDestroyed()) return;
    const now = Date.now();
    recent = [...recent.filter((at) => now - at < 60_000), now];
    if (recent.length <= RELOADS_PER_MINUTE) window.webContents.reload();
    // Once: whatever crashes while the question stands is answered with it.
    else if (recent.length === RELOADS_PER_MINUTE + 1) void askToGoOn();
  });
}

/** A page that answers no more is the person's to end: it may be in the middle of something. */
function askWhenStuck(window: BrowserWindow): void {
  let asking = false;
  const askToEnd = async () => {
    asking = true;
    const choice = await ask(window, 'The window does not respond', ['Wait', 'Load it again']);
    asking = false;
    // Its end is noticed as a crash, and the page loaded anew.
    if (choice === 'Load it again' && !window.isDestroyed()) window.webContents.forcefullyCrashRenderer();
  };
  window.on('unresponsive', () => {
    if (!asking) void askToEnd();
  });
}

async function ask<Choice extends string>(
  window: BrowserWindow,
  message: string,
  buttons: readonly Choice[],
): Promise<Choice | undefined> {
  const { response } = await dialog.showMessageBox(window, {
    type: 'warning',
    title: app.name,
    message,
    detail: 'The gateway is not touched by this: your tools still reach it, and limits hold.',
    buttons: [...buttons],
    defaultId: 0,
    cancelId: 0,
    noLink: true,
  });
  return buttons[response];
}
