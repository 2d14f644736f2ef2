import { describe, expect, test } from 'vitest';
import type { EventMessage } from '../../renderer/backend.ts';
import {
  applyEvent,
  initialState,
  keysFrom,
  mergeRequests,
  passesFilter,
  ready,
  REQUESTS_KEPT,
  type AppState,
} from '../../renderer/store.ts';
import { keyRow, requestRow } from './fake-backend.ts';

const older = keyRow({
  id: 'a',
  name: 'older',
  createdAt: '2026-01-01T00:00:00.000Z',
  limitNano: 100,
  usageNano: 10,
});
const newer = keyRow({ id: 'b', name: 'newer', createdAt: '2026-02-01T00:00:00.000Z' });

const withKeys = (): AppState => ({ ...initialState, ...keysFrom([older, newer]), keysLoad: ready });
function fold(state: AppState, ...messages: EventMessage[]): AppState {
  let current = state;
  for (const message of messages) current = Object.assign({}, current, applyEvent(current, message));
  return current;
}

describe('keys', () => {
  test('the newest key comes first, whatever order the gateway lists them in', () => {
    expect(keysFrom([older, newer]).keyOrder).toEqual(['b', 'a']);
    expect(keysFrom([newer, older]).keyOrder).toEqual(['b', 'a']);
  });

  test('a changed number changes that row alone and leaves the order as it is', () => {
    const before = withKeys();
    const after = fold(before, {
      name: 'keys-changed',
      data: { rows: [{ ...older, usageNano: 50 }], removed: [] },
    });
    expect(after.keys['a']?.usageNano).toBe(50);
    expect(after.keys['b']).toBe(before.keys['b']);
    expect(after.keyOrder).toBe(before.keyOrder);
  });

  test('a new key is put in its place and a removed one is gone', () => {
    const added = keyRow({ id: 'c', name: 'between', createdAt: '2026-01-15T00:00:00.000Z' });
    const after = fold(
      withKeys(),
      { name: 'keys-changed', data: { rows: [added], removed: [] } },
      { name: 'keys-changed', data: { rows: [], removed: ['b', 'never-there'] } },
    );
    expect(after.keyOrder).toEqual(['c', 'a']);
    expect(after.keys['b']).toBeUndefined();
  });

  test('reaching the limit is announced once, by name', () => {
    const reached = { ...older, usageNano: 100, limitState: 'reached' as const };
    const after = fold(withKeys(), { name: 'keys-changed', data: { rows: [reached], removed: [] } });
    expect(after.announcement).toContain('older has reached its usage limit');
    const again = fold(
      { ...after, announcement: '' },
      { name: 'keys-changed', data: { rows: [{ ...reached, usageNano: 120 }], removed: [] } },
    );
    expect(again.announcement).toBe('');
  });

  test('a key that is first seen at its limit is not announced', () => {
    const state = fold(initialState, {
      name: 'keys-changed',
      data: { rows: [{ ...older, limitState: 'reached' }], removed: [] },
    });
    expect(state.announcement).toBe('');
  });
});

describe('requests', () => {
  const shown = (ids: number[], next: number | null = null): AppState => ({
    ...initialState,
    requests: ids.map((id) => requestRow(id)),
    requestsLoad: ready,
    requestsNext: next,
  });
  const ids = (state: Pick<AppState, 'requests'>) => state.requests.map((row) => row.id);

  test('settled requests are put on top, newest first, each once', () => {
    const after = fold(shown([2, 1]), {
      name: 'request-settled',
      data: { rows: [requestRow(3), requestRow(4), requestRow(2)] },
    });
    expect(ids(after)).toEqual([4, 3, 2, 1]);
  });

  test('a row that is shown is replaced in place', () => {
    const corrected = requestRow(1, { costNano: 5, flags: ['corrected'] });
    const after = fold(shown([2, 1]), { name: 'request-settled', data: { rows: [corrected] } });
    expect(after.requests[1]).toEqual(corrected);
  });

  test('a row older than what is loaded does not appear out of turn', () => {
    const after = fold(shown([12, 11], 11), { name: 'request-settled', data: { rows: [requestRow(3)] } });
    expect(ids(after)).toEqual([12, 11]);
  });

  test('rows that the filter leaves out are not taken in', () => {
    const filtered = { ...shown([1]), requestFilter: { keyId: 'k1', status: 'error' as const } };
    const after = fold(filtered, {
      name: 'request-settled',
      data: {
        rows: [requestRow(2), requestRow(3, { keyId: 'k2', status: 500 }), requestRow(4, { status: 500 })],
      },
    });
    expect(ids(after)).toEqual([4, 1]);
  });

  test('nothing is taken in before the log was opened', () => {
    expect(fold(initialState, { name: 'request-settled', data: { rows: [requestRow(1)] } }).requests).toEqual(
      [],
    );
  });

  test('the log that runs on is bounded, and what was cut off can be loaded again', () => {
    const full = shown(Array.from({ length: REQUESTS_KEPT }, (_, index) => REQUESTS_KEPT - index));
    const after = { ...full, ...mergeRequests(full, [requestRow(REQUESTS_KEPT + 1)]) };
    expect(after.requests).toHaveLength(REQUESTS_KEPT);
    expect(after.requests[0]?.id).toBe(REQUESTS_KEPT + 1);
    expect(after.requestsNext).toBe(2);
  });

  test('pages a person has loaded are not cut off', () => {
    const long = shown(
      Array.from({ length: REQUESTS_KEPT + 200 }, (_, index) => REQUESTS_KEPT + 200 - index),
    );
    expect(mergeRequests(long, [requestRow(5_000)]).requests).toHaveLength(REQUESTS_KEPT + 200);
  });

  test.each([
    [200, 'ok', true],
    [302, 'ok', false],
    [0, 'error', true],
    [529, 'error', true],
    [200, 'error', false],
  ] as const)('status %i passes the filter "%s": %s', (status, filter, passes) => {
    expect(passesFilter(requestRow(1, { status }), { keyId: null, status: filter })).toBe(passes);
  });
});

test('a pushed status is what is shown', () => {
  const status = {
    version: '1.2.3',
    gatewayUrl: 'http://127.0.0.1:4000',
    paused: false,
    problem: 'The disk is full.',
    totals: { usageNano: 1, heldNano: 0, todayNano: 1, monthNano: 1, requests: 1, running: 0 },
  };
  expect(fold(initialState, { name: 'status-changed', data: status }).status).toEqual(status);
});
