/** Who holds a port, from what the tools of three systems print, and for a real listener with those of this one. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import {
  describePortHolder,
  findPortHolder,
  parseLsof,
  parseNetstat,
  parseSs,
  parseTasklist,
} from '../../electron/port-holder.ts';

test('ss', () => {
  const line = 'LISTEN 0 511 127.0.0.1:3273 0.0.0.0:* users:(("node-MainThread",pid=4123,fd=20))\n';
  expect(parseSs(line)).toEqual({ name: 'node-MainThread', pid: 4123 });
  // Of another user the process is not told.
  expect(parseSs('LISTEN 0 511 127.0.0.1:3273 0.0.0.0:*\n')).toBeNull();
});

test('lsof', () => {
  expect(parseLsof('p4123\ncnode\nf20\n')).toEqual({ name: 'node', pid: 4123 });
  expect(parseLsof('')).toBeNull();
});

test('netstat and tasklist, whatever language Windows speaks', () => {
  const text = [
    'Aktive Verbindungen',
    '  Proto  Lokale Adresse         Remoteadresse          Status           PID',
    '  TCP    127.0.0.1:13273        0.0.0.0:0              ABHÖREN          1',
    '  TCP    127.0.0.1:50000        127.0.0.1:3273         HERGESTELLT      2',
    '  TCP    127.0.0.1:3273         127.0.0.1:50000        HERGESTELLT      3',
    '  TCP    127.0.0.1:3273         0.0.0.0:0              ABHÖREN          4123',
  ].join('\r\n');
  expect(parseNetstat(text, 3273)).toBe(4123);
  expect(parseNetstat(text, 80)).toBeNull();
  expect(parseTasklist('\r\n"node.exe","4123","Console","1","45.000 K"\r\n')).toBe('node.exe');
  expect(parseTasklist('INFORMATION: Es werden keine Aufgaben ausgeführt.')).toBeNull();
  expect(describePortHolder({ name: null, pid: 4 })).toBe('process 4');
});

test('a real listener is found, and a free port has no holder', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await findPortHolder(port)).toMatchObject({ pid: process.pid });
  server.close();
  await once(server, 'close');
  expect(await findPortHolder(port)).toBeNull();
});
