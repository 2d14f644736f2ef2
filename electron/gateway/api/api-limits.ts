/** The contract's handlers for what holds requests back: limits, top-ups, pauses. */
import type { KeyRow, LimitScope, ScopeLimit, SharedLimits, Status } from '#shared/model.ts';
import type { Key, Keys } from '../config/keys.ts';
import {
  hasLimit,
  limitState,
  usedIn,
  type Balance,
  type Scope,
  type SharedScope,
} from '../config/limits.ts';
import type { Providers } from '../config/providers.ts';
import { PAUSED_SENTENCE, type SettingsStore } from '../config/settings.ts';
import type { RunningBalance } from '../ledger/balances.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { CallError, mustBe, type Handlers } from './calls.ts';

export interface LimitDependencies {
  keys: Keys;
  providers: Providers;
  ledger: Ledger;
  settings: SettingsStore;
  /** Ends what runs and waits under this scope, with a sentence for its clients; how many requests that were. */
  stopRunning(scope: Scope, message: string): number;
  stopWaiting(message: string): void;
  resumed(keyId: string): void;
  statusChanged(): void;
  status(): Status;
}

type LimitHandlers = Pick<
  Handlers,
  | 'keys.setLimit'
  | 'keys.topUp'
  | 'keys.resume'
  | 'limits.get'
  | 'limits.set'
  | 'gateway.pause'
  | 'gateway.stopAll'
>;

export function limitHandlers(dependencies: LimitDependencies, changed: (key: Key) => KeyRow): LimitHandlers {
  const { keys, providers, ledger, settings } = dependencies;
  const mustHaveKey = (id: string) => mustBe(keys.get(id), 'key');

  return {
    'keys.setLimit': ({ id, limitNano, recurring, sessionLimitNano, stopRunning }) => {
      const key = mustHaveKey(id);
      const before = mustBe(ledger.account(id), 'key');
      const scope = { kind: 'key', id } as const;
      ledger.setLimits(scope, {
        limitNano,
        recurring: recurring === undefined ? before.recurring : recurring,
      });
      if (sessionLimitNano !== undefined) ledger.setSessionLimit(id, sessionLimitNano);
      if (stopRunning === true)
        dependencies.stopRunning(
          scope,
          `Stopped: the usage limit of key "${key.name}" was changed in Faregate.`,
        );
      return changed(key);
    },
    'keys.topUp': ({ id, amountNano }) => {
      const key = mustHaveKey(id);
      if (amountNano > 0 && !hasLimit(mustBe(ledger.account(id), 'key')))
        throw new CallError(
          'conflict',
          'This key has no limit that a top-up could be added to.',
          'amountNano',
        );
      ledger.setTopUp(id, amountNano === 0 ? null : amountNano);
      return changed(key);
    },
    'keys.resume': ({ id }) => {
      const key = mustBe(keys.setPause(id, null), 'key');
      dependencies.resumed(id);
      return changed(key);
    },

    'limits.get': () => sharedLimits(ledger, providers),
    'limits.set': ({ scope, limitNano, recurring, stopRunning }) => {
      const { shared, whose } = resolve(scope);
      const before = ledger.balance(shared);
      ledger.setLimits(shared, {
        limitNano,
        recurring: recurring === undefined ? before.recurring : recurring,
      });
      if (stopRunning === true)
        dependencies.stopRunning(shared, `Stopped: the usage limit of ${whose} was changed in Faregate.`);
      return toScopeLimit(ledger.balance(shared));
    },

    'gateway.pause': ({ paused }) => {
      setPaused(paused);
      // What runs goes on; what waits has not been sent, so it counts as new.
      if (paused) dependencies.stopWaiting(PAUSED_SENTENCE);
      return dependencies.status();
    },
    'gateway.stopAll': () => {
      // Paused first: no client that starts again at once gets in between.
      setPaused(true);
      const message =
        'Stopped: all requests were stopped in Faregate, and it is paused until you press Resume.';
      return { stopped: dependencies.stopRunning({ kind: 'global' }, message) };
    },
  };

  function setPaused(paused: boolean): void {
    settings.setPaused(paused);
    dependencies.statusChanged();
  }

  function resolve(scope: LimitScope): { shared: SharedScope; whose: string } {
    if (scope.kind === 'global') return { shared: scope, whose: 'all keys together' };
    const { id, name } = mustBe(providers.get(scope.providerId), 'provider');
    return { shared: { kind: 'provider', id }, whose: `provider "${name}"` };
  }
}

export function sharedLimits(ledger: Ledger, providers: Providers): SharedLimits {
  return {
    global: toScopeLimit(ledger.balance({ kind: 'global' })),
    providers: providers.list().map(({ id: providerId, slug, name }) => {
      const limit = toScopeLimit(ledger.balance({ kind: 'provider', id: providerId }));
      return Object.assign(limit, { providerId, slug, name });
    }),
  };
}

function toScopeLimit(balance: RunningBalance): ScopeLimit {
  return {
    limitNano: balance.limitNano,
    recurring: recurringUse(balance),
    usageNano: balance.usageNano,
    heldNano: balance.heldNano,
    limitState: limitState(balance),
  };
}

/** A recurring limit with what its window has used: the number that is enforced. */
export function recurringUse({ recurring, window }: Balance): KeyRow['recurring'] {
  if (recurring === null || window === null) return null;
  return { ...recurring, usedNano: usedIn(window), resetsAt: new Date(window.end).toISOString() };
}
