/** `GET /v1/key`: what a tool is told of its own key. */
import { Refusal } from '#shared/errors.ts';
import { nanoToUsd } from '#shared/money.ts';
import type { Key } from '../config/keys.ts';
import { appliedLimits, leastOf, usedIn, type AppliedLimit } from '../config/limits.ts';
import type { Providers } from '../config/providers.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** The calling key's own account, in dollars, and the limits that other requests count against as well. */
export function describeKey(
  { ledger, providers }: { ledger: Ledger; providers: Providers },
  key: Key,
): Record<string, unknown> {
  const account = ledger.account(key.id);
  if (!account)
    throw new Refusal('invalid_key', 'This key was deleted. Create another one in Faregate, API Keys.');
  const always = [account, ledger.balance({ kind: 'global' })].flatMap(appliedLimits);
  const tightest = leastOf(always, ({ roomNano }) => roomNano);
  const { recurring, window, topUp } = account;
  const limits = providers
    .list()
    .flatMap(({ id, slug }) =>
      appliedLimits(ledger.balance({ kind: 'provider', id })).map((limit) => describeLimit(limit, slug)),
    );
  return {
    name: key.name,
    usage: nanoToUsd(account.usageNano),
    held: nanoToUsd(account.heldNano),
    limit: account.limitNano === null ? null : nanoToUsd(account.limitNano),
    remaining: tightest === null ? null : nanoToUsd(Math.max(0, tightest.roomNano)),
    recurring:
      recurring === null || window === null
        ? null
        : {
            amount: nanoToUsd(recurring.amountNano),
            every: recurring.every,
            used: nanoToUsd(usedIn(window)),
          },
    resets_at: window === null ? null : new Date(window.end).toISOString(),
    top_up: topUp && {
      amount: nanoToUsd(topUp.amountNano),
      until: topUp.until === null ? null : new Date(topUp.until).toISOString(),
    },
    session_limit: account.sessionLimitNano === null ? null : nanoToUsd(account.sessionLimitNano),
    paused: key.pause !== null,
    limits: [...always.map((limit) => describeLimit(limit)), ...limits],
  };
}

/** A limit that applies, its top-up included; `scope` says over what it is. */
function describeLimit(
  { scope, limitNano, usedNano, roomNano, recurring }: AppliedLimit,
  provider?: string,
): Record<string, unknown> {
  return {
    scope: scope.kind,
    ...(provider === undefined ? {} : { provider }),
    limit: nanoToUsd(limitNano),
    used: nanoToUsd(usedNano),
    remaining: nanoToUsd(Math.max(0, roomNano)),
    every: recurring?.every ?? null,
    resets_at: recurring === null ? null : new Date(recurring.resetsAt).toISOString(),
  };
}
