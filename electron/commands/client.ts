/**
 * The contract for a command: over the control socket of the gateway that runs on the data folder, desktop or headless;
 * where none runs, from a gateway of this process's own that listens on nothing.
 */
import { existsSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { codeOf } from '#shared/caught.ts';
import type { Input, MethodName, Output } from '#shared/contract.ts';
import { Envelope, readAnswer } from '#shared/wire.ts';
import { connectMethods } from '../connect/connect.ts';
import {
  createGateway,
  keyFileSecrets,
  proxySettings,
  readControlAddress,
  type Gateway,
} from '../gateway/gateway.ts';
import { parseDataDir, priceDataUrl } from '../options.ts';
import { CommandError, type Context } from './command.ts';

export interface Client {
  readonly dataDir: string;
  /** The gateway that this process started itself; null where it talks to one that runs. */
  readonly own: Gateway | null;
  /** @throws CommandError with the contract's sentence. */
  call<N extends MethodName>(name: N, input: Input<N>): Promise<Output<N>>;
  close(): Promise<void>;
}

/** Why there is nobody at the socket; anything else is a fault worth its own message. */
const nobodyThere: ReadonlySet<string> = new Set([
  'ENOENT',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTSOCK',
  'EPIPE',
]);

/**
 * The running gateway, or one of this process's own. Only what makes the first thing in a data folder makes the folder
 * as well (`makeFolder`): everything else looks for what is in it, and a name that was mistyped is to be noticed.
 */
export async function openClient(
  context: Context,
  dataDirOption: string | undefined,
  { makeFolder = false } = {},
): Promise<Client> {
  const dataDir = parseDataDir(dataDirOption);
  const running = await findRunning(dataDir);
  if (running) return running;
  if (!existsSync(dataDir)) {
    if (!makeFolder)
      throw new CommandError(
        `There is no data folder ${dataDir} yet. Start Faregate once, or name another folder with --data-dir.`,
      );
    context.complain(`The data folder ${dataDir} is new.`);
  }
  return startOwn(context, dataDir);
}

/** null where no gateway runs on this data folder. */
export async function findRunning(dataDir: string): Promise<Client | null> {
  const address = readControlAddress(dataDir);
  if (!address) return null;
  const post = (path: string, body: unknown) => send(address.socket, address.token, path, body);
  try {
    await post('/api/call', { name: 'status.get' });
  } catch (error) {
    if (isNobody(error)) return null;
    throw error;
  }
  return {
    dataDir,
    own: null,
    async call(name, input) {
      const answer = await post('/api/call', { name, input }).catch((cause: unknown) => {
        if (!isNobody(cause)) throw cause;
        throw new CommandError(
          'The gateway was stopped meanwhile. Start it again, then look with `faregate status`.',
          {
            cause,
          },
        );
      });
      return readValue(name, answer);
    },
    close: async () => {},
  };
}

function isNobody(error: unknown): boolean {
  return nobodyThere.has(codeOf(error));
}

/** Asks the running gateway for its dashboard; null where none runs. */
export async function askToOpen(dataDir: string): Promise<unknown> {
  const address = readControlAddress(dataDir);
  if (!address) return null;
  const answer = Envelope.parse(await send(address.socket, address.token, '/api/open', {}));
  if (!answer.ok) throw new CommandError(answer.error.message);
  return answer.value;
}

async function startOwn(context: Context, dataDir: string): Promise<Client> {
  const gateway = await createGateway({
    dataDir,
    secrets: keyFileSecrets({ dataDir, env: context.env }),
    version: context.version,
    ...priceDataUrl(context.env),
    proxies: proxySettings(context.env),
    machine: connectMethods({ dataDir, home: context.home, env: context.env }),
  });
  return {
    dataDir,
    own: gateway,
    call: async (name, input) => readValue(name, await gateway.dispatch(name, input)),
    close: () => gateway.close({ graceMs: 0 }),
  };
}

function readValue<N extends MethodName>(name: N, answer: unknown): Output<N> {
  const read = readAnswer(name, answer);
  if (read === null) {
    throw new CommandError(
      'The running gateway is of another version than this command. Restart Faregate, then try again.',
    );
  }
  if (!read.ok) throw new CommandError(read.error.message);
  return read.value;
}

async function send(socketPath: string, token: string, path: string, body: unknown): Promise<unknown> {
  const text = JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpRequest({ socketPath, path, method: 'POST', headers }, resolve).once('error', reject).end(text);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}
