/** Kills the built gateway under load again and again and prints what was found: `npm run soak:kill -- --rounds 200`. */
import { parseArgs } from 'node:util';
import { killRounds } from '../support/kill-rounds.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string' }, seed: { type: 'string' } } });
const rounds = Number(values.rounds ?? 200);
const report = await killRounds({
  rounds,
  ...(values.seed === undefined ? {} : { seed: Number(values.seed) }),
  report: (text) => process.stdout.write(`${text}\n`),
});
console.table(report);
