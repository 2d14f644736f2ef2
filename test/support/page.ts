/** Looking at pages in a real browser, on a machine that may be slow. */
import { expect, type BrowserContext } from '@playwright/test';
import { PATIENCE_MS } from './patience.ts';

/** What a page comes to show; Playwright's own tests set the same patience in their configuration. */
export const expectPage = expect.configure({ timeout: PATIENCE_MS });

/** The window's messages go by themselves after eight to twelve seconds. */
const MESSAGE_MS = [8_000, 12_000] as const;

/** Keeps the window's messages where they are: a slow machine reads them, or presses *Undo* in them, later than a person. */
export async function keepMessages(context: BrowserContext): Promise<void> {
  await context.addInitScript(([least, most]) => {
    const { setTimeout: start } = window;
    Reflect.set(window, 'setTimeout', (work: TimerHandler, ms = 0, ...args: unknown[]) =>
      start(work, ms >= least && ms <= most ? 100 * ms : ms, ...args),
    );
  }, MESSAGE_MS);
}
