/** The README's pictures, made from a running gateway so that they cannot show what is not there. */
import { join } from 'node:path';
import { NANO_PER_USD } from '#shared/money.ts';
import { addProvider } from '../support/gateway.ts';
import { expect, test, upstreamCredential } from './fixtures.ts';

const kept = process.env['UPDATE_SCREENSHOTS'] === '1';

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme, viewport: { width: 1280, height: 450 } });

    test(`the API keys page in use (${colorScheme})`, async ({
      gateway,
      upstream,
      dashboard: page,
    }, info) => {
      await addProvider(gateway, upstream, 'openai', { credential: upstreamCredential });
      const usages: [
        name: string,
        limitUsd: number | null,
        perDayUsd: number | null,
        outputTokens: number,
      ][] = [
        ['claude-code', 50, 10, 812_000],
        ['codex', 25, null, 2_210_000],
        ['nightly-eval', 5, null, 499_500],
        ['editor', null, null, 64_300],
        ['scripts', 2, null, 40_100],
      ];
      for (const [name, limitUsd, perDayUsd, outputTokens] of usages) {
        const { secret } = await gateway.call('keys.create', {
          name,
          limitNano: limitUsd === null ? null : limitUsd * NANO_PER_USD,
          recurring: perDayUsd === null ? null : { amountNano: perDayUsd * NANO_PER_USD, every: 'day' },
        });
        upstream.answers({ inputTokens: 2000, outputTokens, text: 'Hello.' });
        const response = await fetch(`${gateway.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }] }),
        });
        expect(response.status).toBe(200);
        await response.text();
      }

      await page.reload();
      await expect(page.getByText('scripts', { exact: true })).toBeVisible();
      await expect(page.getByText('Limit reached').first()).toBeVisible();
      const name = colorScheme === 'light' ? 'api-keys.png' : 'api-keys-dark.png';
      const path = kept ? join(import.meta.dirname, 'screenshots', name) : info.outputPath(name);
      const picture = await page.screenshot({ path, animations: 'disabled', caret: 'hide' });
      expect(picture.length).toBeGreaterThan(10_000);
    });
  });
}
