import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect } from './fixtures.ts';

/** What axe looks at that a scheme of colours can change. Names, roles, order and sizes are the same in all of them. */
const rulesOfColour = ['color-contrast', 'link-in-text-block'];

/**
 * All of axe's rules on what the page shows now, and then those on colours in the other scheme, in one visit: the page
 * follows the system's, and stays in that for the next visit, since all of it is drawn anew for another one. `within`:
 * only what is under this selector, where the rest was looked at before.
 */
export async function expectAccessible(page: Page, where: string, within?: string): Promise<void> {
  const isDark = await page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches);
  const schemes = ['light', 'dark'] as const;
  for (const [index, colorScheme] of (isDark ? schemes.toReversed() : schemes).entries()) {
    await page.emulateMedia({ colorScheme });
    await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', colorScheme);
    // Colours and opacity mean nothing to axe while they are still moving.
    await page.evaluate(() =>
      Promise.allSettled(document.getAnimations().map((animation) => animation.finished)),
    );
    // Half a megabyte of axe is read into a page once, not for each answer.
    const isThere = await page.evaluate(() => 'axe' in window);
    // Legacy: in the page itself. The other mode opens a blank page for each answer, to bring frames together; the
    // page's policy allows no frames.
    const axe = new AxeBuilder({ page, ...(isThere ? { axeSource: 'void 0' } : {}) })
      .setLegacyMode()
      // No rule that is run looks into style sheets, which are read rule by rule otherwise.
      .options({ resultTypes: ['violations'], preload: { assets: ['media'] } });
    if (index > 0) axe.withRules(rulesOfColour);
    const { violations } = await (within === undefined ? axe : axe.include(within)).analyze();
    const found = violations.map(
      ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' | ')}`,
    );
    expect(found, `${where}, ${colorScheme}`).toEqual([]);
  }
}
