/** `kill -9` at any instant; `npm run soak:kill` does the same for longer. */
import { expect, test } from 'vitest';
import { killRounds } from '../support/kill-rounds.ts';

test(
  'killed at any instant under load, it has lost no settled cost, counted none twice, and kept no hold',
  { timeout: 120_000 },
  async () => {
    const report = await killRounds({ rounds: 8 });
    expect(report.rounds).toBe(8);
    expect(report.ended).toBeGreaterThan(8);
    expect(report.orphans).toBeGreaterThan(0);
  },
);
