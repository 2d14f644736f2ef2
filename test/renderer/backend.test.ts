import { describe, expect, test } from 'vitest';
import type { EventMessage } from '#shared/wire.ts';
import { overTransport, type Connection } from '../../renderer/backend.ts';
import { keyRow } from './fake-backend.ts';

/** A transport whose answer and events the test decides. */
function backendAnswering(answer: () => Promise<unknown>) {
  let tell: (name: string, data: unknown) => void = () => undefined;
  const backend = overTransport({
    desktop: false,
    send: answer,
    listen(onEvent, onConnection) {
      tell = onEvent;
      onConnection('online');
      return () => undefined;
    },
  });
  return { backend, tell: (name: string, data: unknown) => tell(name, data) };
}

describe('a call', () => {
  test('answers with the value, read by the contract', async () => {
    const row = keyRow({ id: 'k', name: 'one' });
    const { backend } = backendAnswering(async () => ({ ok: true, value: [{ ...row, unknownField: 1 }] }));
    expect(await backend.call('keys.list', {})).toEqual({ ok: true, value: [row] });
  });

  test('passes the error of the gateway on, with its field', async () => {
    const error = { code: 'invalid_input', message: 'Too much.', field: 'limitNano' };
    const { backend } = backendAnswering(async () => ({ ok: false, error }));
    expect(await backend.call('keys.delete', { id: 'k' })).toEqual({ ok: false, error });
  });

  test.each([
    ['a value of another shape', { ok: true, value: [{ id: 'k' }] }],
    ['an error of another shape', { ok: false, error: 'no' }],
    ['no envelope', 'hello'],
    ['nothing', undefined],
  ])('turns %s into an error instead of showing it', async (_, answer) => {
    const { backend } = backendAnswering(async () => answer);
    expect(await backend.call('keys.list', {})).toMatchObject({ ok: false, error: { code: 'internal' } });
  });

  test('never rejects: a broken line is an answer too', async () => {
    const { backend } = backendAnswering(() => Promise.reject(new TypeError('Failed to fetch')));
    expect(await backend.call('status.get', {})).toMatchObject({
      ok: false,
      error: { message: expect.stringContaining('could not be reached') },
    });
  });
});

test('events of the contract are passed on; what is not one is dropped', () => {
  const { backend, tell } = backendAnswering(async () => undefined);
  const messages: EventMessage[] = [];
  const connections: Connection[] = [];
  backend.subscribe({
    event: (message) => void messages.push(message),
    connection: (state) => void connections.push(state),
  });
  tell('keys-changed', { rows: [], removed: ['k'] });
  tell('keys-changed', { rows: 'none' });
  tell('no-such-event', {});
  expect(messages).toEqual([{ name: 'keys-changed', data: { rows: [], removed: ['k'] } }]);
  expect(connections).toEqual(['online']);
});
