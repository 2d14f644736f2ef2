/**
 * Tells once when a limit comes near: the highest threshold that its usage has passed, and no more until it passes the
 * next one. A window that resets or a limit that is raised takes the usage below a threshold and arms it again.
 */
import type { LimitNotice } from '#shared/model.ts';
import { appliedLimits, type AppliedLimit, type Balance, type Scope } from '../config/limits.ts';
import type { Store } from '../store/store.ts';

export interface Warnings {
  /** Looks at the limits of a balance that has changed. */
  check(balance: Balance<Scope>): void;
}

export function createWarnings(
  store: Store,
  options: {
    thresholds(): readonly number[];
    nameOf(balance: Balance<Scope>): string;
    tell(notice: LimitNotice): void;
    onInternalError(error: unknown): void;
  },
): Warnings {
  const { db } = store;
  const told = new Map<string, number>();
  const stored = db.prepare<[], { scope: string; recurring: number; percent: number }>(
    'SELECT scope, recurring, percent FROM limit_notices',
  );
  for (const { scope, recurring, percent } of stored.all()) told.set(keyOf(scope, recurring === 1), percent);
  const save = db.prepare(
    'INSERT INTO limit_notices (scope, recurring, percent) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET percent = excluded.percent',
  );
  const forget = db.prepare('DELETE FROM limit_notices WHERE scope = ? AND recurring = ?');

  function checkLimit(balance: Balance<Scope>, limit: AppliedLimit<Scope>): void {
    const recurring = limit.recurring !== null;
    const id = idOf(balance);
    const before = told.get(keyOf(id, recurring)) ?? 0;
    // A limit of zero is a way to block a key, and comes near to nothing.
    const passed = limit.limitNano > 0 ? highestPassed(options.thresholds(), limit) : 0;
    if (passed === before) return;
    told.set(keyOf(id, recurring), passed);
    try {
      // On record before it is told: a restart must not tell it again.
      store.write(() =>
        passed === 0 ? forget.run(id, Number(recurring)) : save.run(id, Number(recurring), passed),
      );
    } catch (error) {
      options.onInternalError(error);
    }
    if (passed > before) options.tell(toNotice(limit, id, options.nameOf(balance), passed));
  }

  return {
    check(balance) {
      for (const limit of appliedLimits(balance)) checkLimit(balance, limit);
    },
  };
}

function highestPassed(thresholds: readonly number[], { usedNano, limitNano }: AppliedLimit): number {
  return Math.max(0, ...thresholds.filter((percent) => usedNano * 100 >= limitNano * percent));
}

const keyOf = (scope: string, recurring: boolean) => `${scope}${recurring ? ' recurring' : ''}`;

function idOf({ scope }: Balance<Scope>): string {
  return scope.kind === 'global' ? 'global' : scope.id;
}

function toNotice(limit: AppliedLimit<Scope>, id: string, name: string, percent: number): LimitNotice {
  return {
    scope: limit.scope.kind,
    id,
    name,
    percent,
    usedNano: limit.usedNano,
    limitNano: limit.limitNano,
    every: limit.recurring?.every ?? null,
    resetsAt: limit.recurring ? new Date(limit.recurring.resetsAt).toISOString() : null,
  };
}
