import { describe, expect, test } from 'vitest';
import { isEventName, isMethodName, methods, type MethodName } from '#shared/contract.ts';
import { Refusal, refusals } from '#shared/errors.ts';
import { MAX_LIMIT_NANO } from '#shared/money.ts';

/** The fields that a schema complains about; empty where it accepts. */
function faults(name: MethodName, input: unknown): string[] {
  const parsed = methods[name].input.safeParse(input);
  return parsed.success ? [] : parsed.error.issues.map(({ path }) => path.join('.'));
}

describe('limits as the contract takes them', () => {
  test.each([[null], [0], [1], [MAX_LIMIT_NANO]])('%d is a limit', (limitNano) => {
    expect(faults('keys.setLimit', { id: 'k', limitNano })).toEqual([]);
  });

  test.each([[-1], [0.5], [MAX_LIMIT_NANO + 1], [Infinity], [Number.NaN], ['10'], [undefined]])(
    '%j is none, and the fault stands at the field',
    (limitNano) => {
      expect(faults('keys.setLimit', { id: 'k', limitNano })).toEqual(['limitNano']);
    },
  );

  test('a recurring limit that is left out is not the same as one that is taken away', () => {
    const parse = (input: unknown) => methods['keys.setLimit'].input.parse(input);
    expect(parse({ id: 'k', limitNano: null })).not.toHaveProperty('recurring');
    expect(parse({ id: 'k', limitNano: null, recurring: null })).toHaveProperty('recurring', null);
  });

  test('a recurring limit needs an amount and a period', () => {
    const set = (recurring: unknown) => faults('keys.setLimit', { id: 'k', limitNano: null, recurring });
    expect(set({ amountNano: 1, every: 'day' })).toEqual([]);
    expect(set({ amountNano: 1, every: 'year' })).toEqual(['recurring.every']);
    expect(set({ every: 'day' })).toEqual(['recurring.amountNano']);
    expect(set({ amountNano: -1, every: 'day' })).toEqual(['recurring.amountNano']);
  });

  test('a new key has no limit unless it is given one', () => {
    expect(methods['keys.create'].input.parse({ name: ' spaced ' })).toEqual({
      name: 'spaced',
      limitNano: null,
      recurring: null,
      sessionLimitNano: null,
    });
  });
});

describe('what the contract refuses', () => {
  test.each<[MethodName, unknown, string]>([
    ['keys.create', { name: '' }, 'name'],
    ['keys.create', { name: 'x'.repeat(81) }, 'name'],
    ['keys.create', { name: 'x', usageNano: 5 }, ''],
    ['keys.create', { name: 'x', expiresAt: 'tomorrow' }, 'expiresAt'],
    ['providers.create', { kind: 'acme' }, 'kind'],
    ['providers.create', { kind: 'openai', baseUrl: 'file:///etc/passwd' }, 'baseUrl'],
    ['providers.create', { kind: 'openai', baseUrl: 'api.openai.com' }, 'baseUrl'],
    ['providers.create', { kind: 'openai', credential: 'sk-a\r\nx-evil: 1' }, 'credential'],
    ['providers.create', { kind: 'openai', slug: 'Has Spaces' }, 'slug'],
    ['prices.set', { providerId: 'p', model: 'm', input: -1, output: 1 }, 'input'],
    ['prices.set', { providerId: 'p', model: 'm', input: '1', output: 'free' }, 'output'],
    ['requests.list', { limit: 5000 }, 'limit'],
    ['requests.correct', { id: 1, costNano: 1, reason: '  ' }, 'reason'],
    ['settings.set', { theme: 'neon' }, 'theme'],
  ])('%s %j, at %j', (name, input, path) => {
    expect(faults(name, input)).toEqual([path]);
  });

  test.each(['constructor', '__proto__', 'toString', 'keys.steal', '', null, 1, ['keys.list']])(
    '%j is no method and no event',
    (name) => {
      expect([isMethodName(name), isEventName(name)]).toEqual([false, false]);
    },
  );
});

describe('refusals', () => {
  test('only what ends by itself may be tried again by the client', () => {
    const retried = Object.entries(refusals).filter(([, { retry }]) => retry);
    expect(retried.map(([code, { status }]) => [code, status])).toEqual([
      ['held_by_others', 429],
      ['upstream_unreachable', 502],
      ['upstream_timeout', 504],
    ]);
  });

  test('a refusal carries its status, its sentence and its cause', () => {
    const cause = new Error('disk full');
    const refusal = new Refusal('ledger_unavailable', 'The ledger cannot be written.', { cause });
    expect(refusal).toMatchObject({ status: 402, message: 'The ledger cannot be written.', cause });
    expect(refusal.retryAfter).toBeUndefined();
    expect(new Refusal('held_by_others', 'Held.', { retryAfter: 5 }).retryAfter).toBe(5);
  });
});
