/** `faregate gateway`: the gateway without a window, the same renderer in a browser. Its command line and ready line are an interface. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { stackOf } from '#shared/caught.ts';
import { APP_NAME } from '#shared/defaults.ts';
import { connectMethods } from '../connect/connect.ts';
import {
  createControl,
  createGateway,
  createWeb,
  DataFolderError,
  keyFileSecrets,
  ListenError,
  loadAssets,
  ProxySettingError,
  proxySettings,
  SecretKeyError,
  startDeadline,
  type Control,
  type Gateway,
  type Web,
} from '../gateway/gateway.ts';
import { openLog } from '../log.ts';
import { parseOptions, priceDataUrl, usage, type Options } from '../options.ts';
import { CommandError, type Command, type Context } from './command.ts';

/** Everything is to be over 5 s after the first signal. */
const DEADLINE_MS = 4_900;
/** Of it, what running requests do not get, for the ends to be tied. */
const SETTLE_MS = 900;
/** One Ctrl+C can arrive twice: from the terminal, and passed on by npm. It still is one wish. */
const SAME_WISH_MS = 500;

export const gatewayCommand: Command = {
  summary: 'run the gateway without a window, until it is stopped',
  help: usage,
  async run(args, context) {
    const options = parseOptions(args);
    if (options.version) {
      context.print(context.version);
      return 0;
    }
    const running = await start(options, context).catch((error: unknown) => {
      throw explain(error);
    });
    const stopped = untilStopped(running, context);
    announce(options, running, context);
    return stopped;
  },
};

interface Running {
  gateway: Gateway;
  gatewayUrl: string;
  exposedUrl: string | null;
  web: Web;
  control: Control | null;
}

/** V8's garbage collector, told what a gateway's garbage is like: `node --v8-options` has the defaults. */
const collectorFlags = [
  // Bodies lie outside of the heap, and by default every 64 MB of them have all of the heap looked through: for bodies
  // of 5 MB that was half of all the work. Counted as heap, they may grow by as much as it does.
  '--external-memory-accounted-in-global-limit',
  '--heap-growing-percent=60',
] as const;

async function start(options: Options, context: Context): Promise<Running> {
  const { dataDir } = options;
  if (process.versions.electron === undefined) for (const flag of collectorFlags) setFlagsFromString(flag);
  const log = openLog(dataDir, context.complain);
  // Read before anything is opened: a missing build or certificate is then told without a gateway half started.
  const assets = options.dashboard ? loadAssets(path.join(context.programDir, 'renderer')) : null;
  const exposed = options.exposed && {
    address: options.exposed.address,
    port: options.exposed.port,
    cert: readPem(options.exposed.certFile),
    key: readPem(options.exposed.keyFile),
  };
  const gateway = await createGateway({
    dataDir,
    secrets: keyFileSecrets({ dataDir, env: context.env }),
    version: context.version,
    log,
    ...priceDataUrl(context.env),
    proxies: proxySettings(context.env),
    machine: connectMethods({ dataDir, home: context.home, env: context.env }),
  });
  try {
    const { url } = await gateway.listen(options.port === undefined ? {} : { port: options.port });
    const exposedUrl = exposed ? (await gateway.expose(exposed)).url : null;
    const web = await createWeb({ gateway, assets, port: options.dashboardPort });
    const open = () => {
      const link = web.oneTimeLink();
      return link === null ? null : { url: link };
    };
    const control = await createControl({ gateway, dataDir, open }).catch((error: unknown) => {
      log.warn({ error: String(error) }, 'There is no control socket: commands cannot reach this gateway.');
      return null;
    });
    return { gateway, gatewayUrl: url, exposedUrl, web, control };
  } catch (error) {
    await gateway.close({ graceMs: 0 });
    throw error;
  }
}

/** Settles what runs, then resolves with the exit code; a second signal ends the process at once. */
function untilStopped({ gateway, web, control }: Running, { complain }: Context): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let stoppingSince: number | null = null;
  const stop = (code: number) => {
    if (stoppingSince !== null) {
      if (performance.now() - stoppingSince > SAME_WISH_MS) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    const deadline = startDeadline(DEADLINE_MS, () => process.exit(1));
    Promise.all([web.close(), control?.close()])
      .then(() => gateway.close({ graceMs: Math.max(0, deadline.leftMs() - SETTLE_MS) }))
      .then(
        () => resolve(code),
        (error: unknown) => {
          complain(`The gateway did not end in order: ${stackOf(error)}`);
          resolve(1);
        },
      );
  };
  process.on('SIGINT', () => stop(0));
  process.on('SIGTERM', () => stop(0));
  process.on('SIGHUP', () => stop(0));
  process.on('uncaughtException', (error) => {
    complain(`Unexpected failure, stopping: ${error.stack ?? error.message}`);
    stop(1);
  });
  return promise;
}

function announce(options: Options, { gatewayUrl, exposedUrl, web }: Running, context: Context): void {
  if (exposedUrl !== null) {
    context.complain(
      `listening on ${exposedUrl}: whoever reaches this address and has a gateway key spends your providers' money. ` +
        'The dashboard stays on this machine.',
    );
  }
  if (options.json) {
    const { dashboardUrl, apiUrl, token } = web;
    context.print(
      JSON.stringify({ event: 'ready', gatewayUrl, dashboardUrl, apiUrl, token, pid: process.pid }),
    );
    return;
  }
  const lines = [
    `${APP_NAME} ${context.version} is running.`,
    `  Gateway    ${gatewayUrl}   point your tools here, with a gateway key`,
    web.dashboardUrl ? `  Dashboard  ${web.dashboardUrl}` : `  Contract   ${web.apiUrl}   token ${web.token}`,
    `  Data       ${options.dataDir}`,
    'Press Ctrl+C to stop.',
  ];
  context.print(lines.join('\n'));
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CommandError(`${file} cannot be read. Name the certificate and its key as PEM files.`, {
      cause,
    });
  }
}

function explain(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  if (error instanceof ListenError) {
    const how = error.code === 'EADDRNOTAVAIL' ? '' : ' --port N names one, --port 0 takes any that is free.';
    return new CommandError(`${error.message}${how}`, { cause: error });
  }
  if (error instanceof DataFolderError && error.restorable)
    return new CommandError(`${error.message} \`faregate restore\` lists and restores them.`, {
      cause: error,
    });
  if (
    error instanceof DataFolderError ||
    error instanceof SecretKeyError ||
    error instanceof ProxySettingError
  )
    return new CommandError(error.message, { cause: error });
  return new CommandError(`The gateway could not start: ${stackOf(error)}`, { cause: error });
}
