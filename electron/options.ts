/** Command-line options that the desktop app and the headless gateway share, and where their data lives. */
import { homedir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '#shared/caught.ts';
import { APP_NAME } from '#shared/defaults.ts';

export interface Options {
  /** 0 = any free port; undefined = the one of the settings. */
  port: number | undefined;
  dataDir: string;
  dashboard: boolean;
  /** 0 = any free one. */
  dashboardPort: number;
  /** A second listener, with TLS, that other machines can reach; null unless it was asked for. */
  exposed: { address: string; port: number; certFile: string; keyFile: string } | null;
  json: boolean;
  help: boolean;
  version: boolean;
}

/** The command line cannot be understood; the message says why. */
export class UsageError extends Error {}

export const usage = `Usage: faregate gateway [options]

Runs the Faregate gateway without a desktop window, with the dashboard in a browser.

  --port N         port of the gateway, 0 for any free one (default: the one of the settings, at first 3273)
  --data-dir DIR   where keys, providers and usage are kept
                   (default: ${defaultDataDir()})
  --no-dashboard   do not serve the dashboard
  --dashboard-port N
                   port of the dashboard, so that an SSH tunnel can name it (default: any free one)
  --json           print one line of JSON when ready, for programs
  --help           show this text
  --version        show the version

The gateway listens on 127.0.0.1. To let other machines in as well, at the price that whoever reaches the address and
has a gateway key spends your money:

  --listen ADDRESS:PORT --tls-cert FILE --tls-key FILE
                   also listen there, with TLS; clients use an address or name of the certificate

FAREGATE_SECRET_KEY, 32 bytes in hex or base64, encrypts provider credentials instead of the key file in DIR.
FAREGATE_PRICE_DATA_URL is where newer price data is fetched from, instead of where its makers publish it.
`;

/** Throws a `UsageError` for what is unknown, repeated nonsense or out of range. */
export function parseOptions(args: readonly string[]): Options {
  const values = parseStrictly(args);
  return {
    port: values.port === undefined ? undefined : parsePort(values.port),
    dataDir: parseDataDir(values['data-dir']),
    dashboard: !values['no-dashboard'],
    dashboardPort: parsePort(values['dashboard-port'] ?? '0', '--dashboard-port'),
    exposed: parseExposed(values),
    json: values.json ?? false,
    help: values.help ?? false,
    version: values.version ?? false,
  };
}

/** For a machine that reaches a mirror only, and for tests. */
export function priceDataUrl(env: NodeJS.ProcessEnv): { priceDataUrl?: string } {
  const url = env['FAREGATE_PRICE_DATA_URL'];
  return url === undefined || url === '' ? {} : { priceDataUrl: url };
}

export interface DesktopOptions {
  port: number | undefined;
  dataDir: string;
  /** Start in the tray, as at login. */
  hidden: boolean;
}

/** Chromium adds switches of its own to the command line of the desktop app, so unknown ones pass. */
export function parseDesktopOptions(args: readonly string[]): DesktopOptions {
  const { values } = parseArgs({
    args: [...args],
    strict: false,
    options: { port: { type: 'string' }, 'data-dir': { type: 'string' }, hidden: { type: 'boolean' } },
  });
  const text = (value: string | boolean | undefined) => (typeof value === 'string' ? value : undefined);
  const port = text(values.port);
  return {
    port: port === undefined ? undefined : parsePort(port),
    dataDir: parseDataDir(text(values['data-dir'])),
    hidden: values.hidden === true,
  };
}

function parseStrictly(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        port: { type: 'string' },
        'data-dir': { type: 'string' },
        'no-dashboard': { type: 'boolean' },
        'dashboard-port': { type: 'string' },
        listen: { type: 'string' },
        'tls-cert': { type: 'string' },
        'tls-key': { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error });
  }
}

function parseExposed(values: {
  listen?: string | undefined;
  'tls-cert'?: string | undefined;
  'tls-key'?: string | undefined;
}): Options['exposed'] {
  const { listen, 'tls-cert': certFile, 'tls-key': keyFile } = values;
  if (listen === undefined) {
    if (certFile === undefined && keyFile === undefined) return null;
    throw new UsageError('--tls-cert and --tls-key belong to --listen ADDRESS:PORT.');
  }
  if (certFile === undefined || keyFile === undefined) {
    throw new UsageError(
      '--listen needs --tls-cert FILE and --tls-key FILE: gateway keys do not cross a network in the clear.',
    );
  }
  const [, bracketed, plain, port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(listen) ?? [];
  const address = bracketed ?? plain;
  if (address === undefined)
    throw new UsageError(`--listen takes ADDRESS:PORT such as 192.168.1.10:3443, not '${listen}'.`);
  return { address, port: parsePort(port, '--listen'), certFile, keyFile };
}

function parsePort(text: string, option = '--port'): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65535) {
    throw new UsageError(`${option} takes a number from 0 to 65535, not '${text}'.`);
  }
  return port;
}

export function parseDataDir(text: string | undefined): string {
  if (text === undefined) return defaultDataDir();
  if (text.trim() === '') throw new UsageError('--data-dir takes a folder.');
  return path.resolve(text);
}

/** The folder a program of this kind uses on this system. Desktop and headless share it, and with it the ledger. */
export function defaultDataDir(
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
  home: string = homedir(),
): string {
  switch (platform) {
    case 'darwin':
      return path.join(home, 'Library', 'Application Support', APP_NAME);
    case 'win32':
      return path.join(env['APPDATA'] ?? path.join(home, 'AppData', 'Roaming'), APP_NAME);
    default: {
      // XDG Base Directory Specification: a relative path there is to be ignored.
      const base = env['XDG_DATA_HOME'];
      return path.join(
        base !== undefined && path.isAbsolute(base) ? base : path.join(home, '.local', 'share'),
        APP_NAME,
      );
    }
  }
}
