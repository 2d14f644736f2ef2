/** The gateway without a window: the same core, the same renderer in a browser. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { APP_NAME } from '#shared/defaults.ts';
import packageJson from '../package.json' with { type: 'json' };
import {
  createGateway,
  createWeb,
  DataFolderError,
  keyFileSecrets,
  ListenError,
  loadAssets,
  SecretKeyError,
  type Gateway,
  type Web,
} from './gateway/gateway.ts';
import { openLog } from './log.ts';
import { parseOptions, priceDataUrl, usage, UsageError, type Options } from './options.ts';

/** Everything is to be over 5 s after the first signal; what the gateway gets is less, for the ends to be tied. */
const GRACE_MS = 4_000;
const DEADLINE_MS = 4_900;
/** One Ctrl+C can arrive twice: from the terminal, and passed on by npm. It still is one wish. */
const SAME_WISH_MS = 500;

interface Running {
  gateway: Gateway;
  gatewayUrl: string;
  web: Web;
}

async function start(options: Options): Promise<Running> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const log = openLog(options.dataDir, complain);
  // Read before anything is opened: a missing build is then told without a gateway half started.
  const assets = options.dashboard ? loadAssets(path.join(import.meta.dirname, 'renderer')) : null;
  const gateway = await createGateway({
    dataDir: options.dataDir,
    secrets: keyFileSecrets({ dataDir: options.dataDir, env: process.env }),
    version: packageJson.version,
    log,
    ...priceDataUrl(process.env),
  });
  try {
    const { url } = await gateway.listen(options.port === undefined ? {} : { port: options.port });
    const web = await createWeb({ gateway, assets });
    return { gateway, gatewayUrl: url, web };
  } catch (error) {
    await gateway.close({ graceMs: 0 });
    throw error;
  }
}

/** Settles what runs, then ends the process; a second signal ends it at once. */
function stopOnSignals({ gateway, web }: Running): void {
  let stoppingSince: number | null = null;
  const stop = (code: number) => {
    if (stoppingSince !== null) {
      if (performance.now() - stoppingSince > SAME_WISH_MS) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    setTimeout(() => process.exit(1), DEADLINE_MS).unref();
    web
      .close()
      .then(() => gateway.close({ graceMs: GRACE_MS }))
      .then(
        () => process.exit(code),
        (error: unknown) => {
          complain(`The gateway did not end in order: ${describe(error)}`);
          process.exit(1);
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
}

function announce(options: Options, { gatewayUrl, web }: Running): void {
  if (options.json) {
    const { dashboardUrl, apiUrl, token } = web;
    process.stdout.write(
      `${JSON.stringify({ event: 'ready', gatewayUrl, dashboardUrl, apiUrl, token, pid: process.pid })}\n`,
    );
    return;
  }
  const lines = [
    `${APP_NAME} ${packageJson.version} is running.`,
    `  Gateway    ${gatewayUrl}   point your tools here, with a gateway key`,
    web.dashboardUrl ? `  Dashboard  ${web.dashboardUrl}` : `  Contract   ${web.apiUrl}   token ${web.token}`,
    `  Data       ${options.dataDir}`,
    'Press Ctrl+C to stop.',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function complain(text: string): void {
  process.stderr.write(`faregate: ${text}\n`);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function explain(error: unknown): string {
  if (error instanceof ListenError) {
    return `${error.message} Start with --port N for another one, or --port 0 for any free one.`;
  }
  if (error instanceof DataFolderError || error instanceof SecretKeyError) return error.message;
  return `The gateway could not start: ${describe(error)}`;
}

async function main(args: readonly string[]): Promise<void> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    complain(`${error.message}\n\n${usage}`);
    process.exitCode = 2;
    return;
  }
  if (options.help) return void process.stdout.write(usage);
  if (options.version) return void process.stdout.write(`${packageJson.version}\n`);
  // Whatever is created from here on, the database and the log among it, is its owner's alone.
  process.umask(0o077);
  // The reader of our output may go away; that is no reason to stop metering.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  try {
    const running = await start(options);
    stopOnSignals(running);
    announce(options, running);
  } catch (error) {
    complain(explain(error));
    process.exitCode = 1;
    // Nothing should keep the process, and nothing may.
    setTimeout(() => process.exit(), 1000).unref();
  }
}

await main(process.argv.slice(2));
