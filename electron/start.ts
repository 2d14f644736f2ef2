/** From the data folder to a gateway that listens, with the questions that only the person can answer. */
import { homedir } from 'node:os';
import { app, dialog, shell } from 'electron';
import { messageOf, stackOf } from '#shared/caught.ts';
import type { ToolRow } from '#shared/connect.ts';
import { APP_NAME } from '#shared/defaults.ts';
import { connectMethods } from './connect/connect.ts';
import {
  callsOf,
  createGateway,
  DataFolderError,
  listBackups,
  ListenError,
  proxySettings,
  restoreBackup,
  SecretKeyError,
  type Gateway,
} from './gateway/gateway.ts';
import type { AppLog } from './log.ts';
import { priceDataUrl } from './options.ts';
import { describePortHolder, findPortHolder } from './port-holder.ts';
import { desktopSecrets, type DesktopSecrets } from './secrets.ts';
import type { DesktopStateFile } from './state.ts';

export interface StartOptions {
  dataDir: string;
  /** 0 = any free one; undefined = the one of the settings. */
  port: number | undefined;
  log: AppLog;
  state: DesktopStateFile;
}

export interface Started {
  gateway: Gateway;
  /** Tools that were led to another port, those included that only the person can lead to this one. */
  followed: ToolRow[];
}

/** null where the person chose to quit instead. */
export async function startGateway(options: StartOptions): Promise<Started | null> {
  const { dataDir, log, state } = options;
  for (;;) {
    try {
      const secrets = await askedSecrets(dataDir, state);
      if (!secrets) return null;
      const gateway = await createGateway({
        dataDir,
        secrets,
        version: app.getVersion(),
        log,
        ...priceDataUrl(process.env),
        proxies: proxySettings(process.env),
        machine: connectMethods({ dataDir, home: homedir(), env: process.env }),
      });
      const outcome = await listen(gateway, options.port).catch(async (error: unknown) => {
        await gateway.close({ graceMs: 0 });
        throw error;
      });
      if (outcome === 'quit') {
        await gateway.close({ graceMs: 0 });
        return null;
      }
      const moved = outcome === 'moved';
      // A port for this one start is not where tools are to be led.
      const tools = moved || options.port === undefined ? await followTools(gateway, log) : [];
      // What a person leads elsewhere is news when the port changes, and not at every start from then on.
      const isNews = moved || tools.some(({ state: toolState }) => toolState === 'connected');
      return { gateway, followed: isNews ? tools : [] };
    } catch (error) {
      if (!(error instanceof DataFolderError || error instanceof SecretKeyError)) {
        log.error({ error: stackOf(error) }, 'The gateway could not start.');
      }
      if (!(await mendOrTryAgain(error, options))) return null;
    }
  }
}

/** false where the person chose to quit. A damaged ledger can be mended with the newest backup that is whole. */
async function mendOrTryAgain(error: unknown, { dataDir, log }: StartOptions): Promise<boolean> {
  const backups = error instanceof DataFolderError && error.restorable ? listBackups(dataDir) : [];
  const [backup] = backups;
  const made = backup && new Date(backup.at).toLocaleString();
  const restorable = `\n\nThe newest backup is of ${made}. What was used since then is kept as far as the damaged ledger can be read.`;
  const choice = await ask(
    'error',
    `${APP_NAME} cannot start`,
    `${messageOf(error)}${backup ? restorable : ''}`,
    [...(backup ? (['Restore the backup'] as const) : []), 'Try again', 'Show the log', 'Quit'] as const,
  );
  if (choice === 'Show the log') shell.showItemInFolder(log.file);
  if (choice !== 'Restore the backup') return choice !== 'Quit' && choice !== undefined;
  let failure: unknown;
  for (const { name } of backups) {
    try {
      restoreBackup(dataDir, name, { carryOver: true, now: Date.now() });
      return true;
    } catch (cause) {
      failure = cause;
    }
  }
  const again = ['Try again', 'Quit'] as const;
  return (await ask('error', 'No backup could be restored', messageOf(failure), again)) === 'Try again';
}

/**
 * Without a store of the system's the credentials are worth what a file is worth: the person's to decide, once. null
 * where they would rather not.
 */
async function askedSecrets(dataDir: string, state: DesktopStateFile): Promise<DesktopSecrets | null> {
  for (;;) {
    const secrets = await desktopSecrets({ dataDir, env: process.env });
    if (secrets.bySystem || state.wasTold('key-file')) return secrets;
    const choice = await ask(
      'question',
      'No keyring was found',
      `The credentials of your providers cannot be kept by the operating system. ${APP_NAME} can encrypt them with a key in a file of its data folder that only your account can read: programs you run could read it too.\n\nTo use a keyring instead, install or unlock one (GNOME Keyring, KWallet), then try again. Credentials that a keyring encrypted before cannot be read without it.`,
      ['Use a key file', 'Try again', 'Quit'],
    );
    if (choice === 'Use a key file') {
      state.once('key-file', () => undefined);
      return secrets;
    }
    if (choice !== 'Try again') return null;
  }
}

/** A port that is taken is the person's to decide about: tools are set to it. `moved`: it is another one from now on. */
async function listen(gateway: Gateway, port: number | undefined): Promise<'as-wanted' | 'moved' | 'quit'> {
  let anyPort = false;
  for (;;) {
    try {
      const wanted = anyPort ? 0 : port;
      const listening = await gateway.listen(wanted === undefined ? {} : { port: wanted });
      // Kept, so that the tools need to be told of the new address once only.
      if (anyPort) await gateway.dispatch('settings.set', { port: listening.port });
      return anyPort ? 'moved' : 'as-wanted';
    } catch (error) {
      if (!(error instanceof ListenError)) throw error;
      const holder = error.code === 'EADDRINUSE' ? await findPortHolder(error.port) : null;
      const who = holder ? `It is ${describePortHolder(holder)}.\n\n` : '';
      const choice = await ask(
        'error',
        'The gateway cannot listen',
        `${error.message}\n\n${who}${await costOfMoving(gateway)}`,
        ['Try again', 'Use another port', 'Quit'],
      );
      if (choice !== 'Try again' && choice !== 'Use another port') return 'quit';
      anyPort = choice === 'Use another port';
    }
  }
}

/** Nothing to fail a start for. */
async function followTools(gateway: Gateway, log: AppLog): Promise<ToolRow[]> {
  return callsOf(gateway)('connect.follow', {}).catch((error: unknown) => {
    log.warn({ error: messageOf(error) }, 'The connected tools could not be led to this port.');
    return [];
  });
}

/** What *Use another port* does besides, before it is done. */
async function costOfMoving(gateway: Gateway): Promise<string> {
  const tools = await callsOf(gateway)('connect.list', {}).catch(() => []);
  const names = tools
    .filter(({ keyId, state }) => keyId !== null && state !== 'not-connected')
    .map(({ name }) => name);
  const byHand = 'What you set up by hand has to be led to it by hand.';
  return names.length === 0
    ? `Another port is kept from then on. ${byHand}`
    : `Another port is kept from then on, and written into the configuration of ${names.join(', ')}. ${byHand}`;
}

/** The last button is what Escape means. */
async function ask<Choice extends string>(
  type: 'error' | 'question',
  message: string,
  detail: string,
  buttons: readonly Choice[],
): Promise<Choice | undefined> {
  const { response } = await dialog.showMessageBox({
    type,
    title: APP_NAME,
    message,
    detail,
    buttons: [...buttons],
    defaultId: 0,
    cancelId: buttons.length - 1,
    noLink: true,
  });
  return buttons[response];
}
