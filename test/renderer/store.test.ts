import { describe, expect, test } from 'vitest';
import type { EventMessage } from '#shared/wire.ts';
import { applyEvent, initialState, keysFrom, ready, type AppState } from '../../renderer/store.ts';
import { keyRow } from './fake-backend.ts';

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

test('a pushed status is what is shown', () => {
  const status = {
    version: '1.2.3',
    gatewayUrl: 'http://127.0.0.1:4000',
    dataFolder: '/home/me/faregate',
    paused: false,
    problem: 'The disk is full.',
    totals: { usageNano: 1, heldNano: 0, todayNano: 1, monthNano: 1, requests: 1, running: 0 },
  };
  expect(fold(initialState, { name: 'status-changed', data: status }).status).toEqual(status);
});
