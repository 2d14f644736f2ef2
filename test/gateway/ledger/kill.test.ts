/** `kill -9` at any instant; `npm run soak:kill` does the same for longer. */
import { expect, test } from 'vitest';
import { killRounds, type KillReport } from '../../support/kill-rounds.ts';

test(
  'killed at any instant under load, it has lost no settled cost, counted none twice, and kept no hold',
  { timeout: 600_000 },
  async () => {
    // A slow machine gets less done before it is killed.
    const enough = ({ ended, orphans }: KillReport) => ended > 8 && orphans > 0;
    const report = await killRounds({ rounds: 8, enough });
    expect(report.rounds).toBeGreaterThanOrEqual(8);
    expect(enough(report)).toBe(true);
  },
);
