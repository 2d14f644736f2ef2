/** The command line: which word leads to which command, help, and what an error becomes. */
import { stackOf } from '#shared/caught.ts';
import { APP_NAME } from '#shared/defaults.ts';
import { DataFolderError, SecretKeyError } from '../gateway/gateway.ts';
import { CommandError, UsageError, type Command, type Context } from './command.ts';
import { connectCommand, disconnectCommand } from './connect.ts';
import { exportCommand } from './export.ts';
import { gatewayCommand } from './gateway.ts';
import { keysCommand } from './keys.ts';
import { openCommand } from './open.ts';
import { pricesCommand } from './prices.ts';
import { reconcileCommand } from './reconcile.ts';
import { restoreCommand } from './restore.ts';
import { runCommand } from './run.ts';
import { serviceCommand } from './service.ts';
import { statusCommand } from './status.ts';
import { usageCommand } from './usage.ts';

export type { Context } from './command.ts';

const commands: ReadonlyMap<string, Command> = new Map([
  ['run', runCommand],
  ['connect', connectCommand],
  ['disconnect', disconnectCommand],
  ['keys', keysCommand],
  ['usage', usageCommand],
  ['export', exportCommand],
  ['prices', pricesCommand],
  ['reconcile', reconcileCommand],
  ['restore', restoreCommand],
  ['status', statusCommand],
  ['open', openCommand],
  ['gateway', gatewayCommand],
  ['service', serviceCommand],
]);

/** What is asked of the program as a whole, in the ways people ask it. */
const general: ReadonlyMap<string, (context: Context) => string> = new Map([
  ['help', overview],
  ['--help', overview],
  ['-h', overview],
  ['--version', ({ version }: Context) => version],
]);

/** Whether a command line is one of a command, and not of the app or the gateway itself. */
export function namesCommand([first]: readonly string[]): boolean {
  return first !== undefined && (general.has(first) || commands.has(first));
}

/** Runs `faregate WORD ARGUMENTS`; resolves with the exit code and never rejects. */
export async function runCommandLine(args: readonly string[], context: Context): Promise<number> {
  const [name = 'help', ...rest] = args;
  const about = general.get(name);
  if (about) {
    context.print((commands.get(rest[0] ?? '')?.help ?? about(context)).trimEnd());
    return 0;
  }
  const command = commands.get(name);
  if (!command) {
    context.complain(`Unknown command '${name}'.\n\n${overview()}`);
    return 2;
  }
  // What follows `--` belongs to the command that is to be run.
  const own = new Set(rest.slice(0, rest.includes('--') ? rest.indexOf('--') : rest.length));
  if (own.has('--help') || own.has('-h')) {
    context.print(command.help.trimEnd());
    return 0;
  }
  try {
    return await command.run(rest, context);
  } catch (error) {
    if (error instanceof UsageError) {
      context.complain(`${error.message}\n\n${command.help.trimEnd()}`);
      return 2;
    }
    const expected =
      error instanceof CommandError || error instanceof DataFolderError || error instanceof SecretKeyError;
    context.complain(expected ? error.message : stackOf(error));
    return 1;
  }
}

function overview(): string {
  const width = Math.max(...[...commands.keys()].map((name) => name.length));
  const lines = [...commands].map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    'Usage: faregate [COMMAND]',
    '',
    `Without a command, ${APP_NAME} opens its window.`,
    '',
    ...lines,
    '',
    '`faregate COMMAND --help` says what a command takes.',
  ].join('\n');
}
