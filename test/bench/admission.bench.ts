/**
 * What admission costs a request far from the limit, in microseconds: `node test/bench/admission.bench.ts`. The bound is
 * measured alone, and together with the hold and the settlement in a real ledger, for requests of several sizes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DialectId } from '#shared/model.ts';
import { createKeys } from '../../electron/gateway/config/keys.ts';
import { createLedger } from '../../electron/gateway/ledger/ledger.ts';
import { createAdmission } from '../../electron/gateway/proxy/admission.ts';
import { openStore } from '../../electron/gateway/store/store.ts';
import { boundOfBody } from '../support/bounds.ts';
import { draft, outcome } from '../support/ledger.ts';

const text = 'The quick brown fox jumps over the lazy dog. ';
const sizes = { '1 KB': 20, '100 KB': 2_200, '1 MB': 22_000 };
const bodies: Readonly<Record<string, (content: string) => object>> = {
  'openai-chat': (content) => ({ model: 'gpt-5.5', messages: [{ role: 'user', content }] }),
  'openai-responses': (content) => ({ model: 'gpt-5.5', input: content, tools: [{ type: 'web_search' }] }),
  'anthropic-messages': (content) => ({
    model: 'claude-opus-5',
    max_tokens: 32_000,
    messages: [{ role: 'user', content }],
  }),
  gemini: (content) => ({ contents: [{ parts: [{ text: content }] }] }),
};

/** Mean of the middle half, so that a pause of the collector or of the machine does not count. */
async function microseconds(rounds: number, run: () => unknown): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await run();
    times.push((performance.now() - start) * 1000);
  }
  const middle = times.toSorted((a, b) => a - b).slice(rounds / 4, (rounds * 3) / 4);
  return middle.reduce((sum, time) => sum + time, 0) / middle.length;
}

const folder = mkdtempSync(join(tmpdir(), 'faregate-bench-'));
const store = openStore(folder);
const now = () => Date.now();
const keys = createKeys(store, now);
const ledger = createLedger(store, now, {
  changed() {},
  freed() {},
  settled() {},
  problemChanged() {},
});
const far = 1_000_000_000_000_000;
const limits = { limitNano: far, recurring: { amountNano: far, every: 'day' } } as const;
const { key } = keys.create({ name: 'bench', expiresAt: null, limits });
ledger.openAccount(key.id);
const admission = createAdmission(ledger, { waitMs: 1_000 });
const signal = () => new AbortController().signal;

console.info('Admission far from the limit, mean of the middle half, in µs');
for (const [dialect, bodyOf] of Object.entries(bodies)) {
  for (const [size, repeats] of Object.entries(sizes)) {
    const body = Buffer.from(JSON.stringify(bodyOf(text.repeat(repeats))));
    const id = dialect as DialectId;
    const read = await microseconds(400, () => boundOfBody(id, body));
    const bound = boundOfBody(id, body);
    const held = await microseconds(400, async () => {
      const { hold } = await admission.admit(key, draft(key.id), { bound }, signal);
      ledger.settle(hold, outcome(1000));
    });
    console.info(
      `${dialect.padEnd(20)}${size.padStart(8)}  read and bound ${read.toFixed(1).padStart(8)}  hold and settle ${held.toFixed(1).padStart(8)}`,
    );
  }
}
admission.close();
store.close();
rmSync(folder, { recursive: true, force: true });
