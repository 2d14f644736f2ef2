/** `webContents` over a page of a real Chromium, driven through the DevTools protocol. */
import { EventEmitter } from 'node:events';
import type { BrowserContext, CDPSession, Page, Route } from 'playwright-core';
import { PRELOAD_IN_EVERY_FRAME, type FromApp } from './protocol.ts';
import {
  BINDING,
  isolatedWorldScript,
  mainWorldScript,
  RECEIVER,
  WORLD,
  type FromPage,
  type ToPage,
} from './worlds.ts';

export type ProtocolHandler = (request: Request) => Response | Promise<Response>;

/** As much of `WebFrameMain` as an app looks at. */
export interface Frame {
  readonly id: string;
  url: string;
  origin: string;
}

export interface ContentsOptions {
  context: Promise<BrowserContext>;
  preload: string;
  schemes: ReadonlyMap<string, ProtocolHandler>;
  size: { width: number; height: number };
  record: (entry: FromApp) => void;
  invoke: (frame: Frame, channel: string, args: unknown[]) => Promise<unknown>;
}

/** Chromium without Electron knows no schemes of an app, so `scheme://host` is `https://host.scheme.test` in there. */
const SUFFIX = '.test';
export function toChromium(address: string): string {
  const match = /^([a-z][a-z0-9-]*):\/\/([^/]+)(.*)$/.exec(address);
  if (!match || match[1] === 'https' || match[1] === 'http') return address;
  return `https://${match[2]}.${match[1]}${SUFFIX}${match[3]}`;
}
export function fromChromium(address: string): string {
  const match = /^https:\/\/([^./]+)\.([a-z0-9-]+)\.test(.*)$/.exec(address);
  return match ? `${match[2]}://${match[1]}${match[3]}` : address;
}

/** What was asked of a page, or of a request of it, that is gone by now: Electron says nothing either. */
const ignore = () => undefined;

export class PageContents extends EventEmitter {
  #options: ContentsOptions;
  #opening: Promise<{ page: Page; devtools: CDPSession }>;
  #frames = new Map<string, Frame>();
  #frameOfWorld = new Map<number, string>();
  #mainFrame: Frame = { id: '', url: '', origin: 'null' };
  #openHandler: ((details: { url: string }) => { action: string }) | undefined;
  /** Of the app's own making, which the guards are not asked about. */
  #expected: string | null = null;
  #loads = 0;
  #closed = false;
  /** Resolves when the page is gone, once it was told to go. */
  gone: Promise<unknown> = Promise.resolve();

  constructor(options: ContentsOptions) {
    super();
    this.#options = options;
    this.#opening = this.#open();
    this.#opening.catch((error: unknown) => {
      // One that is closed while it is opened has no page, and needs none.
      if (!this.#closed) throw error;
    });
  }

  get mainFrame(): Frame {
    return this.#mainFrame;
  }
  getURL = () => this.#mainFrame.url;
  isDestroyed = () => this.#closed;
  setWindowOpenHandler(handler: (details: { url: string }) => { action: string }): void {
    this.#openHandler = handler;
  }

  async loadURL(url: string): Promise<void> {
    const { page } = await this.#opening;
    const load = (this.#loads += 1);
    this.#expected = toChromium(url);
    try {
      await page.goto(this.#expected);
    } catch (error) {
      if (!this.#closed) throw error;
    } finally {
      // Where only the fragment changed, nothing was asked for. What a later load expects is not this one's.
      if (load === this.#loads) this.#expected = null;
    }
  }
  forcefullyCrashRenderer(): void {
    this.emit('render-process-gone', {}, { reason: 'killed', exitCode: 9 });
  }
  reload(): void {
    this.#options.record({ what: 'reload' });
    // Superseded by the next one, or failed: Electron's returns nothing, and throws nothing either.
    this.loadURL(this.#mainFrame.url).catch(ignore);
  }
  send(channel: string, ...args: unknown[]): void {
    const world = [...this.#frameOfWorld].find(([, frame]) => frame === this.#mainFrame.id)?.[0];
    if (world !== undefined) void this.#tell(world, { emit: channel, args });
  }
  close(): void {
    this.#closed = true;
    this.gone = this.#opening.then(({ page }) => page.close()).catch(ignore);
  }

  async #open() {
    const context = await this.#options.context;
    const page = await context.newPage();
    await page.setViewportSize(this.#options.size);
    await page.route('**/*', (route) => this.#answer(page, route));
    // The app allows no second window, so none stays.
    page.on('popup', (popup) => void popup.close().catch(ignore));
    page.on('domcontentloaded', () => this.emit('dom-ready'));

    const devtools = await context.newCDPSession(page);
    devtools.on('Page.frameNavigated', ({ frame }) => this.#keepFrame(frame));
    devtools.on('Runtime.executionContextCreated', ({ context: world }) => {
      if (world.name === WORLD) this.#frameOfWorld.set(world.id, String(world.auxData?.['frameId']));
      // A frame without an address of its own has that of the page it is in, and is never "navigated" to.
      const id = String(world.auxData?.['frameId']);
      if (!this.#frames.has(id))
        this.#keepFrame({ id, url: 'about:blank', securityOrigin: world.origin, parentId: 'unknown' });
    });
    devtools.on('Page.windowOpen', ({ url }) => this.#decideOnWindow(url));
    devtools.on('Runtime.executionContextDestroyed', ({ executionContextId }) =>
      this.#frameOfWorld.delete(executionContextId),
    );
    devtools.on('Runtime.bindingCalled', ({ name, payload, executionContextId }) => {
      if (name === BINDING) void this.#invoke(executionContextId, JSON.parse(payload));
    });
    await devtools.send('Page.enable');
    await devtools.send('Runtime.enable');
    await devtools.send('Runtime.addBinding', { name: BINDING, executionContextName: WORLD });
    await devtools.send('Page.addScriptToEvaluateOnNewDocument', { source: mainWorldScript() });
    await devtools.send('Page.addScriptToEvaluateOnNewDocument', {
      worldName: WORLD,
      source: isolatedWorldScript(this.#options.preload, {
        everyFrame: process.env[PRELOAD_IN_EVERY_FRAME] === '1',
      }),
    });
    const { frameTree } = await devtools.send('Page.getFrameTree');
    this.#keepFrame(frameTree.frame);
    return { page, devtools };
  }

  #keepFrame(frame: { id: string; url: string; securityOrigin: string; parentId?: string }): void {
    const known = this.#frames.get(frame.id) ?? { id: frame.id, url: '', origin: '' };
    known.url = fromChromium(frame.url);
    known.origin = fromChromium(frame.securityOrigin);
    this.#frames.set(frame.id, known);
    if (frame.parentId === undefined) this.#mainFrame = known;
  }

  async #invoke(world: number, { invoke, channel, args }: FromPage): Promise<void> {
    const frame = this.#frames.get(this.#frameOfWorld.get(world) ?? '');
    if (!frame) return;
    try {
      const value = await this.#options.invoke(frame, channel, args);
      await this.#tell(world, { answer: invoke, ok: true, value });
    } catch (error) {
      await this.#tell(world, {
        answer: invoke,
        ok: false,
        message: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** The page may be gone by now, and nobody waits there any more. */
  async #tell(world: number, message: ToPage): Promise<void> {
    const expression = `globalThis.${RECEIVER}(${JSON.stringify(JSON.stringify(message))})`;
    await this.#opening
      .then(({ devtools }) => devtools.send('Runtime.evaluate', { contextId: world, expression }))
      .catch(ignore);
  }

  async #answer(page: Page, route: Route): Promise<void> {
    const request = route.request();
    const address = request.url();
    const url = fromChromium(address);
    if (
      request.isNavigationRequest() &&
      !this.#mayNavigate(page, request.frame() === page.mainFrame(), address)
    ) {
      return route.abort('aborted').catch(ignore);
    }
    const handler = this.#options.schemes.get(url.slice(0, url.indexOf(':')));
    // There is no network here. What a page of another site would be does not matter, only that it is another site.
    if (!handler)
      return (
        request.isNavigationRequest()
          ? route.fulfill({ contentType: 'text/html', body: '<p>elsewhere' })
          : route.abort()
      ).catch(ignore);
    const response = await handler(new Request(url, { method: request.method() }));
    const [headers, bytes] = [Object.fromEntries(response.headers), await response.arrayBuffer()];
    await route.fulfill({ status: response.status, headers, body: Buffer.from(bytes) }).catch(ignore);
  }

  #mayNavigate(page: Page, isMain: boolean, address: string): boolean {
    if (isMain && address === this.#expected) {
      this.#expected = null;
      return true;
    }
    const event = {
      url: fromChromium(address),
      isMainFrame: isMain,
      defaultPrevented: false,
      preventDefault() {
        event.defaultPrevented = true;
      },
    };
    this.emit('will-frame-navigate', event);
    if (isMain) this.emit('will-navigate', event, event.url);
    if (event.defaultPrevented && !page.isClosed()) {
      this.#options.record({ what: 'navigation-refused', url: event.url, frame: isMain ? 'main' : 'sub' });
    }
    return !event.defaultPrevented;
  }

  /** Chromium tells of the wish and opens the page at the same time; what is denied is closed again. */
  #decideOnWindow(address: string): void {
    const url = fromChromium(address);
    const { action } = this.#openHandler?.({ url }) ?? { action: 'allow' };
    this.#options.record({ what: 'window-open', url, action });
  }
}
