import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { defineConfig } from '@playwright/test';
import { chromiumArguments, findChromium } from '../support/chromium.ts';
import { PATIENCE_MS } from '../support/patience.ts';

const executablePath = findChromium();

export default defineConfig({
  testDir: import.meta.dirname,
  testMatch: '*.spec.ts',
  outputDir: resolve(import.meta.dirname, '..', '..', 'test-results'),
  // Each is a Chromium and a gateway of its own. What they leave of the processors is for the tests that run beside them,
  // which take longer (test/run.ts): with more of these, both have more to start and neither is over sooner.
  workers: Math.max(2, Math.floor(availableParallelism() / 2)),
  // What passes only the second time is a finding.
  retries: 0,
  fullyParallel: true,
  forbidOnly: Boolean(process.env['CI']),
  // These only end what hangs, and are no measure of anything.
  timeout: 3 * PATIENCE_MS,
  expect: { timeout: PATIENCE_MS },
  use: {
    browserName: 'chromium',
    headless: true,
    viewport: { width: 1280, height: 800 },
    locale: 'en-US',
    timezoneId: 'UTC',
    // Motion is wanted by none of the stories; the window's own tests run with it.
    contextOptions: { reducedMotion: 'reduce' },
    actionTimeout: PATIENCE_MS,
    // A trace of every test doubles their time; `--trace on` takes one of the test that is looked at.
    trace: 'off',
    screenshot: 'only-on-failure',
    launchOptions: {
      timeout: PATIENCE_MS,
      args: [
        ...chromiumArguments,
        // A foreign name that leads to this machine, as an attacker's DNS server can make one.
        '--host-resolver-rules=MAP *.rebound.test 127.0.0.1',
      ],
      ...(executablePath === null ? {} : { executablePath }),
    },
  },
});
