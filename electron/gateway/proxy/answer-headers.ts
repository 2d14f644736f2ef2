/** What the gateway says about a metered request in the headers of its answer. Dollars as plain decimals. */
import { formatPlainUsd, type Nano } from '#shared/money.ts';
import { leastRoom } from '../config/limits.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Admitted } from './admission.ts';

/**
 * Known when the answer begins: the row of the activity log, what the key had used and what was left for this request,
 * and what is set aside for it. The names mean what they mean in `GET /v1/key`.
 */
export function meterHeaders(ledger: Ledger, { hold, clamp }: Admitted): string[] {
  const account = ledger.account(hold.keyId);
  const headers = [
    'x-faregate-request-id',
    String(hold.id),
    'x-faregate-held',
    formatPlainUsd(hold.amountNano),
  ];
  if (account) headers.push('x-faregate-usage', formatPlainUsd(account.usageNano));
  if (account && account.limitNano !== null)
    headers.push('x-faregate-limit', formatPlainUsd(account.limitNano));
  const room = leastRoom(ledger.limiting(hold));
  if (room !== null)
    headers.push('x-faregate-remaining', formatPlainUsd(Math.max(0, room + hold.amountNano)));
  if (clamp?.outputTokens != null) headers.push('x-faregate-clamped', String(clamp.outputTokens));
  if (clamp?.searches != null) headers.push('x-faregate-clamped-searches', String(clamp.searches));
  return headers;
}

/** Known when the answer is over; none where the model has no price. */
export function costHeaders(costNano: Nano | null): string[] {
  return costNano === null ? [] : [COST_HEADER, formatPlainUsd(costNano)];
}

export const COST_HEADER = 'x-faregate-cost';
