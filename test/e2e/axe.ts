import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect } from './fixtures.ts';

/** What axe looks at that a scheme of colours can change. Names, roles, order and sizes are the same in all of them. */
const rulesOfColour = ['color-contrast', 'link-in-text-block'];

/**
 * All of axe's rules on what the page shows now in light, and then those on colours in dark, in one visit: the page
 * follows the system's scheme. `within`: only what is under this selector, where the rest was looked at before.
 */
export async function expectAccessible(page: Page, where: string, within?: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
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
      .options({ resultTypes: ['violations'] });
    if (colorScheme === 'dark') axe.withRules(rulesOfColour);
    const { violations } = await (within === undefined ? axe : axe.include(within)).analyze();
    const found = violations.map(
      ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' | ')}`,
    );
    expect(found, `${where}, ${colorScheme}`).toEqual([]);
  }
}
