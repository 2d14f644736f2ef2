/**
 * The control socket: the contract for the command line of the same user. A Unix socket in a folder that only its owner
 * can enter, a named pipe on Windows; never a TCP port, so no web page and no other user gets as far as the token.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { answer, createContractHttp, refuse, type ContractHost } from './contract-http.ts';

/** Names the socket and its token. Read by its owner alone; on Windows the token is what keeps others out. */
const POINTER_FILE = 'control.json';
/** The longest path a socket can have: `sun_path` less its final zero, unix(7), unix(4) of macOS. */
const MAX_SOCKET_PATH = process.platform === 'darwin' ? 103 : 107;

const ControlAddress = z.object({ socket: z.string(), token: z.string(), pid: z.int() });
export type ControlAddress = z.infer<typeof ControlAddress>;

/** What `faregate open` leads to: an address for a browser, or the app's own window that now is in front. */
export type Opened = { url: string } | { shown: true };

export interface ControlOptions {
  gateway: ContractHost;
  /** The folder whose lock this process holds: what lies at the socket's place is then a dead one's. */
  dataDir: string;
  /** null where there is no dashboard to open. */
  open: () => Opened | null;
}

export interface Control {
  readonly socket: string;
  close(): Promise<void>;
}

/** Rejects with the system's error where no socket can be made at any place. */
export async function createControl({ gateway, dataDir, open }: ControlOptions): Promise<Control> {
  const contract = createContractHttp(gateway);
  const pointer = path.join(dataDir, POINTER_FILE);

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://local.invalid');
    if (await contract.serve(request, response, pathname)) return;
    if (pathname !== '/api/open' || request.method !== 'POST' || !contract.hasToken(request)) {
      return refuse(request, response, 404, 'not_found', 'Served here: POST /api/call and GET /api/events.');
    }
    answer(response, 200, { ok: true, value: open() });
  }

  const start = async (socket: string): Promise<Server> => {
    const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, (request, response) => {
      serve(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socket, resolve);
    });
    // The folder keeps others out already; this is for whoever looks at the file.
    if (process.platform !== 'win32') chmodSync(socket, 0o600);
    // The socket alone keeps no process.
    return server.unref();
  };

  const place = await listenSomewhere(start, dataDir, readControlAddress(dataDir)?.socket).catch(
    (error: unknown) => {
      contract.close();
      throw error;
    },
  );
  writePointer(pointer, { socket: place.socket, token: contract.token, pid: process.pid });

  return {
    socket: place.socket,
    async close() {
      rmSync(pointer, { force: true });
      contract.close();
      const closed = new Promise<void>((resolve) => place.server.close(() => resolve()));
      place.server.closeIdleConnections();
      const force = setTimeout(() => place.server.closeAllConnections(), 500);
      await closed;
      clearTimeout(force);
      if (place.folder !== null) rmSync(place.folder, { recursive: true, force: true });
    },
  };
}

/** Where the gateway of this data folder can be called; null where none was started, or it ended in order. */
export function readControlAddress(dataDir: string): ControlAddress | null {
  try {
    return ControlAddress.parse(JSON.parse(readFileSync(path.join(dataDir, POINTER_FILE), 'utf8')));
  } catch {
    return null;
  }
}

interface Place {
  socket: string;
  server: Server;
  /** Made for the socket, and goes with it. */
  folder: string | null;
}

/** In the data folder; else, where its path is too long or its file system has no sockets, in a private folder elsewhere. */
async function listenSomewhere(
  start: (socket: string) => Promise<Server>,
  dataDir: string,
  left: string | undefined,
): Promise<Place> {
  if (process.platform === 'win32') {
    const name = createHash('sha256').update(path.resolve(dataDir).toLowerCase()).digest('hex').slice(0, 32);
    const socket = `\\\\.\\pipe\\faregate-${name}`;
    return { socket, server: await start(socket), folder: null };
  }
  // A gateway that was killed leaves its socket behind, and the folder that was made for it.
  if (left !== undefined) removeLeft(left);
  const own = path.join(dataDir, 'control');
  const socket = path.join(own, 'gateway.sock');
  if (Buffer.byteLength(socket) <= MAX_SOCKET_PATH) {
    try {
      mkdirSync(own, { recursive: true, mode: 0o700 });
      chmodSync(own, 0o700);
      rmSync(socket, { force: true });
      return { socket, server: await start(socket), folder: own };
    } catch {
      // Some network and FAT file systems know no sockets.
      rmSync(own, { recursive: true, force: true });
    }
  }
  // mkdtemp makes the folder with mode 0700.
  const folder = mkdtempSync(path.join(runtimeFolder(), 'faregate-'));
  try {
    const elsewhere = path.join(folder, 'gateway.sock');
    return { socket: elsewhere, server: await start(elsewhere), folder };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function runtimeFolder(): string {
  const given = process.env['XDG_RUNTIME_DIR'];
  return given !== undefined && path.isAbsolute(given) && existsSync(given) ? given : tmpdir();
}

function removeLeft(socket: string): void {
  // Only what looks like ours: the pointer is a file that anybody with this account can write.
  if (path.basename(socket) !== 'gateway.sock') return;
  rmSync(socket, { force: true });
  const folder = path.dirname(socket);
  if (!path.basename(folder).startsWith('faregate-')) return;
  try {
    rmdirSync(folder);
  } catch {
    // Gone already, or no longer empty: then it is not ours.
  }
}

function writePointer(file: string, address: ControlAddress): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(address)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
