/** The control socket: who reaches it, where it lies, and what a killed gateway leaves behind. */
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createControl, readControlAddress, type Control } from '../../../electron/gateway/gateway.ts';
import { temporaryFolder } from '../../support/gateway.ts';

let folder: string;
let dataDir: string;
const open: Control[] = [];
beforeEach(() => {
  folder = temporaryFolder();
  dataDir = path.join(folder, 'data');
  mkdirSync(dataDir);
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((control) => control.close()));
  rmSync(folder, { recursive: true, force: true });
});

const host = {
  dispatch: async (name: unknown) => ({ ok: true as const, value: { asked: name } }),
  subscribe: () => () => {},
};

async function start(at = dataDir): Promise<Control> {
  const control = await createControl({
    gateway: host,
    dataDir: at,
    open: () => ({ url: 'http://127.0.0.1:1/#once=x' }),
  });
  open.push(control);
  return control;
}

async function post(socketPath: string, token: string, url = '/api/call') {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const sent = request({ socketPath, path: url, method: 'POST', headers }).end('{"name":"status.get"}');
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, body: JSON.parse(text) as unknown };
}

function addressOf(at = dataDir) {
  const address = readControlAddress(at);
  if (!address) throw new Error('there is no control.json');
  return address;
}

describe.runIf(process.platform !== 'win32')('the control socket', () => {
  test('serves the contract to whoever can read the token, over no port', async () => {
    await start();
    const { socket, token } = addressOf();
    expect(await post(socket, token)).toEqual({
      status: 200,
      body: { ok: true, value: { asked: 'status.get' } },
    });
    expect(await post(socket, token, '/api/open')).toMatchObject({ body: { value: { url: /once/ } } });
    expect((await post(socket, 'guessed')).status).toBe(401);
    expect((await post(socket, 'guessed', '/api/open')).status).toBe(404);
    // What listens is a file: a web page has no address for it.
    expect(statSync(socket).isSocket()).toBe(true);
  });

  test('is closed to other users: socket, folder and token, also in a folder that others may read', async () => {
    chmodSync(dataDir, 0o755);
    await start();
    const { socket } = addressOf();
    const mode = (file: string) => statSync(file).mode & 0o777;
    expect([mode(socket), mode(path.dirname(socket)), mode(path.join(dataDir, 'control.json'))]).toEqual([
      0o600, 0o700, 0o600,
    ]);
  });

  test('leaves nothing behind when it ends in order', async () => {
    await (await start()).close();
    expect(readControlAddress(dataDir)).toBeNull();
    expect(existsSync(path.join(dataDir, 'control'))).toBe(false);
  });

  test('takes the place of the socket that a killed gateway left', async () => {
    const socket = path.join(dataDir, 'control', 'gateway.sock');
    mkdirSync(path.dirname(socket));
    const dead = createServer().listen(socket);
    await once(dead, 'listening');
    // The file stays, as after SIGKILL, while nobody answers any more.
    const kept = readFileSync('/proc/self/comm', 'utf8');
    await new Promise((resolve) => dead.close(resolve));
    writeFileSync(socket, kept);
    writeFileSync(path.join(dataDir, 'control.json'), JSON.stringify({ socket, token: 'old', pid: 1 }));
    await start();
    expect((await post(addressOf().socket, addressOf().token)).status).toBe(200);
  });

  test('goes to a private folder elsewhere where the path would be too long for a socket', async () => {
    const deep = path.join(folder, ...Array.from({ length: 10 }, () => 'a-folder-name'));
    mkdirSync(deep, { recursive: true });
    const control = await start(deep);
    const { socket, token } = addressOf(deep);
    expect(socket.startsWith(deep)).toBe(false);
    expect(statSync(path.dirname(socket)).mode & 0o777).toBe(0o700);
    expect((await post(socket, token)).status).toBe(200);

    // Killed: the next one clears what was left away.
    writeFileSync(path.join(folder, 'pointer'), readFileSync(path.join(deep, 'control.json')));
    await control.close();
    mkdirSync(path.dirname(socket));
    writeFileSync(socket, '');
    writeFileSync(path.join(deep, 'control.json'), readFileSync(path.join(folder, 'pointer')));
    await start(deep);
    expect(existsSync(path.dirname(socket))).toBe(false);
  });

  test('goes elsewhere, too, where no socket can be made in the data folder', async () => {
    // As on a file system without sockets: the place is taken by something that cannot be replaced.
    symlinkSync('/dev/null/nowhere', path.join(dataDir, 'control'));
    await start();
    expect((await post(addressOf().socket, addressOf().token)).status).toBe(200);
  });
});
