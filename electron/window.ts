/** The one window, and what no page in it may do. */
import path from 'node:path';
import { app, BrowserWindow, nativeTheme, screen, shell, type Session, type WebContents } from 'electron';
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

/** Opens the window and shows it once there is something to see. */
export function openWindow(state: DesktopStateFile): BrowserWindow {
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
  reloadAfterCrash(window);
  void window.loadURL(PAGE_URL);
  return window;
}

export function focusWindow(window: BrowserWindow): void {
  if (window.isMinimized()) window.restore();
  window.show();
  window.focus();
}

/** At once, without asking the page. */
export function closeWindow(window: BrowserWindow, state: DesktopStateFile): void {
  keepBounds(window, state);
  window.destroy();
}

/** null where the window would stand outside of every screen, as after one was unplugged. */
function visibleBounds(bounds: WindowBounds | null): WindowBounds | null {
  if (!bounds) return null;
  const { x, y, width, height } = screen.getDisplayMatching(bounds).workArea;
  const isVisible =
    bounds.x < x + width && bounds.x + bounds.width > x && bounds.y < y + height && bounds.y >= y - 1;
  return isVisible ? bounds : null;
}

function keepBounds(window: BrowserWindow, state: DesktopStateFile): void {
  state.update({ bounds: { ...window.getNormalBounds(), maximized: window.isMaximized() } });
}

/** The gateway lives in another process than the page and does not notice; the page starts over. */
function reloadAfterCrash(window: BrowserWindow): void {
  let recent: number[] = [];
  window.webContents.on('render-process-gone', (_event, { reason }) => {
    if (reason === 'clean-exit') return;
    const now = Date.now();
    recent = [...recent.filter((at) => now - at < 60_000), now];
    if (recent.length <= RELOADS_PER_MINUTE && !window.isDestroyed()) window.webContents.reload();
  });
}
