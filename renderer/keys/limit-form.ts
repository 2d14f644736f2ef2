/** The limit field as data: what was typed, what it means, what to warn of. Pure, so that the rules have tests. */
import type { ContractError } from '#shared/contract.ts';
import type { Every, KeyRow, RecurringLimit } from '#shared/model.ts';
import { formatPlainUsd, formatUsd, parseAmount, type Nano } from '#shared/money.ts';
import { strings } from '../strings.ts';

export interface LimitDraft {
  /** As typed, in dollars; empty = no limit. */
  amount: string;
  recurringAmount: string;
  every: Every;
  /** Of a key alone: what keys share has no limit per session. */
  sessionAmount?: string;
}

export interface LimitErrors {
  amount?: string;
  recurringAmount?: string;
  sessionAmount?: string;
  /** Belongs to no field. */
  form?: string;
}

export interface Limits {
  limitNano: Nano | null;
  recurring: RecurringLimit | null;
  sessionLimitNano?: Nano | null;
}

type Limited = Pick<KeyRow, 'limitNano' | 'recurring'> & Partial<Pick<KeyRow, 'sessionLimitNano'>>;

export type ReadDraft = { ok: true; limits: Limits } | { ok: false; errors: LimitErrors };

export const emptyDraft: LimitDraft = { amount: '', recurringAmount: '', every: 'month' };
export const emptyKeyDraft: LimitDraft = { ...emptyDraft, sessionAmount: '' };

export function draftOf(row: Limited): LimitDraft {
  const { sessionLimitNano: session } = row;
  return {
    amount: row.limitNano === null ? '' : formatPlainUsd(row.limitNano),
    recurringAmount: row.recurring === null ? '' : formatPlainUsd(row.recurring.amountNano),
    every: row.recurring?.every ?? emptyDraft.every,
    ...(session === undefined ? {} : { sessionAmount: session === null ? '' : formatPlainUsd(session) }),
  };
}

export function readDraft(draft: LimitDraft): ReadDraft {
  const amount = parseAmount(draft.amount);
  const recurring = parseAmount(draft.recurringAmount);
  const session = parseAmount(draft.sessionAmount ?? '');
  if (!amount.ok || !recurring.ok || !session.ok) {
    return {
      ok: false,
      errors: {
        ...(amount.ok ? {} : { amount: amount.message }),
        ...(recurring.ok ? {} : { recurringAmount: recurring.message }),
        ...(session.ok ? {} : { sessionAmount: session.message }),
      },
    };
  }
  return {
    ok: true,
    limits: {
      limitNano: amount.nano,
      recurring: recurring.nano === null ? null : { amountNano: recurring.nano, every: draft.every },
      ...(draft.sessionAmount === undefined ? {} : { sessionLimitNano: session.nano }),
    },
  };
}

/** What saving these limits would do that a person may not expect; null where nothing. */
export function limitWarning(
  limits: Limits,
  row: Pick<KeyRow, 'usageNano' | 'recurring'> | null,
): { text: string; field: 'amount' | 'recurringAmount' | 'sessionAmount' } | null {
  const { limitNano, recurring, sessionLimitNano } = limits;
  if (limitNano === 0) return { field: 'amount', text: strings.limit.zero };
  if (recurring?.amountNano === 0) return { field: 'recurringAmount', text: strings.limit.zero };
  if (sessionLimitNano === 0) return { field: 'sessionAmount', text: strings.limit.session.zero };
  if (row && limitNano !== null && limitNano <= row.usageNano) {
    return { field: 'amount', text: strings.limit.belowUsage(formatUsd(row.usageNano)) };
  }
  // What was used in a period is known for the period the key has now, and only for that.
  if (
    row?.recurring &&
    recurring?.every === row.recurring.every &&
    recurring.amountNano <= row.recurring.usedNano
  ) {
    return {
      field: 'recurringAmount',
      text: strings.limit.recurringBelowUsage(formatUsd(row.recurring.usedNano), recurring.every),
    };
  }
  return null;
}

/** The gateway's refusal at the field it names. */
export function errorsFrom(error: ContractError): LimitErrors {
  if (error.field === 'limitNano') return { amount: error.message };
  if (error.field?.startsWith('recurring')) return { recurringAmount: error.message };
  if (error.field === 'sessionLimitNano') return { sessionAmount: error.message };
  return { form: error.message };
}
