/** What every story needs: a provider on loopback, a gateway of its own over an empty folder, and its page. */
import { expect, test as base, type Locator, type Page } from '@playwright/test';
import type { Input } from '#shared/contract.ts';
import type { KeyRow } from '#shared/model.ts';
import { addProvider, startGateway, type GatewayProcess } from '../support/gateway.ts';
import { easePages } from '../support/page.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

export const upstreamCredential = 'sk-upstream-e2e';

interface Stage {
  upstream: Upstream;
  gateway: GatewayProcess;
  /** The page, at the gateway's dashboard. */
  dashboard: Page;
}

export const test = base.extend<Stage>({
  upstream: async ({}, use) => {
    const upstream = await startUpstream({ credential: upstreamCredential });
    await use(upstream);
    await upstream.close();
  },
  gateway: async ({}, use) => {
    const gateway = await startGateway();
    await use(gateway);
    await gateway.dispose();
  },
  dashboard: async ({ page, gateway }, use) => {
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => {
      // The page's own content security policy reports what it stopped here.
      if (message.type() === 'error' && message.text().includes('Content Security Policy'))
        problems.push(message.text());
    });
    await easePages(page.context());
    await page.goto(gateway.dashboardUrl);
    await use(page);
    expect(problems, 'faults and policy violations in the page').toEqual([]);
  },
});

export { expect };

/** A provider and a key as a person who is past the first start has them. */
export async function prepare(
  gateway: GatewayProcess,
  upstream: Upstream,
  key: Input<'keys.create'>,
): Promise<{ key: KeyRow; secret: string }> {
  await addProvider(gateway, upstream, 'openai', { credential: upstreamCredential });
  return gateway.call('keys.create', key);
}

export function keyRow(page: Page, name: string): Locator {
  return page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) });
}

/** The cell of a row that stands under this heading, found as a reader finds it. */
export async function cell(page: Page, row: Locator, heading: string): Promise<Locator> {
  await expect(page.getByRole('columnheader', { name: heading, exact: true })).toBeVisible();
  const headings = await page.getByRole('columnheader').allInnerTexts();
  const index = headings.findIndex((text) => text.trim() === heading);
  expect(index, `a column "${heading}" among ${headings.join(', ')}`).toBeGreaterThanOrEqual(0);
  return row.getByRole('cell').or(row.getByRole('rowheader')).nth(index);
}
