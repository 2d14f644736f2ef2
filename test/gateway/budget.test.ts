/**
 * What one request may cost, as counts: statements and transactions of the ledger, and writes to the client's socket.
 * Times differ by the machine; these do not, and each of them is a part of the time that a request takes.
 */
import { Socket } from 'node:net';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test, vi, type MockInstance } from 'vitest';
import { addDimeProviders, boundedRequest } from '../support/bounded-requests.ts';
import { send } from '../support/client.ts';
import { startCore, usd, type CoreGateway } from '../support/gateway.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

let upstream: Upstream;
let gateway: CoreGateway;
let secret: string;
let statements: string[];
let spies: MockInstance[];

const { path, body } = boundedRequest('chat');
const ask = async () => {
  const { status } = await send(`${gateway.url}${path}`, {
    headers: { 'x-api-key': secret },
    body: body(50),
  });
  expect(status).toBe(200);
};

beforeEach(async () => {
  upstream = await startUpstream();
  gateway = await startCore();
  await addDimeProviders(gateway, upstream);
  ({ secret } = await gateway.call('keys.create', { name: 'dev', limitNano: usd('1000') }));
  upstream.answers({ inputTokens: 5, outputTokens: 10, text: 'x' });
  // The first request of its kind looks names up that later ones know.
  await ask();
  statements = [];
  const scratch = new Database(':memory:');
  const prototype = Object.getPrototypeOf(scratch.prepare('SELECT 1')) as Database.Statement;
  scratch.close();
  spies = (['run', 'get', 'all', 'iterate'] as const).map((method) => {
    const real = prototype[method];
    return vi.spyOn(prototype, method).mockImplementation(function (this: Database.Statement, ...bound) {
      statements.push(this.source);
      return Reflect.apply(real, this, bound);
    });
  });
});

afterEach(async () => {
  for (const spy of spies) spy.mockRestore();
  await gateway.dispose();
  await upstream.close();
});

const counted = (pattern: RegExp) => statements.filter((source) => pattern.test(source)).length;

test('a request alone is two transactions of five statements, and asks the file nothing', async () => {
  await ask();
  expect(statements.map((source) => source.split(' ', 3).join(' '))).toEqual([
    'BEGIN IMMEDIATE',
    'INSERT INTO holds',
    'COMMIT',
    'BEGIN IMMEDIATE',
    'DELETE FROM holds',
    'INSERT INTO requests',
    'UPDATE keys SET',
    'INSERT INTO limit_scopes',
    'COMMIT',
  ]);
});

test('requests at the same time share transactions', async () => {
  const together = 40;
  await Promise.all(Array.from({ length: together }, ask));
  expect(counted(/^INSERT INTO requests/)).toBe(together);
  expect(counted(/^(INSERT INTO|DELETE FROM) holds/)).toBe(2 * together);
  // Each alone makes two; how many share one is up to what the sockets bring at once.
  expect(counted(/^COMMIT/)).toBeLessThan(1.7 * together);
  expect(statements.length).toBeLessThan(8.5 * together);
});

test('an answer in one piece is one write to the client', async () => {
  const port = Number(new URL(gateway.url).port);
  let writes = 0;
  for (const method of ['_write', '_writev'] as const) {
    const real: unknown = Reflect.get(Socket.prototype, method);
    if (typeof real !== 'function') throw new Error(`a socket has no ${method}`);
    const spy = vi.spyOn(Socket.prototype, method as '_write');
    spies.push(
      spy.mockImplementation(function (this: Socket, ...given) {
        if (this.localPort === port) writes += 1;
        Reflect.apply(real, this, given);
      }),
    );
  }
  await ask();
  expect(writes).toBe(1);
});
