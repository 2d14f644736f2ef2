/** Looking at pages in a real browser, on a machine that may be slow. */
import { expect, type BrowserContext } from '@playwright/test';
import { PATIENCE_MS } from './patience.ts';

/** What a page comes to show; Playwright's own tests set the same patience in their configuration. */
export const expectPage = expect.configure({ timeout: PATIENCE_MS });

/** The window's messages go by themselves after eight to twelve seconds. */
const MESSAGE_MS = [8_000, 12_000] as const;

/**
 * Makes a context's pages fit for a slow machine, and cheaper for it. The window's messages stay where they are, to be
 * read, or for *Undo* to be pressed in them, later than by a person. The code of a page of the window is fetched when it
 * is gone to: to have all of it ready takes a fifth of the work of a start. What gives its pages no ease shows that, too.
 */
export async function easePages(context: BrowserContext): Promise<void> {
  await context.addInitScript(([least, most]) => {
    const { setTimeout: start } = window;
    Reflect.set(window, 'setTimeout', (work: TimerHandler, ms = 0, ...args: unknown[]) =>
      start(work, ms >= least && ms <= most ? 100 * ms : ms, ...args),
    );
    Reflect.set(window, 'requestIdleCallback', () => 0);
  }, MESSAGE_MS);
}
