/** `faregate restore`: the backups of the ledger, and one of them in its place; through the gateway where one runs. */
import { DataFolderError, listBackups, restoreBackup, RestoreError } from '../gateway/gateway.ts';
import { parseDataDir } from '../options.ts';
import { findRunning } from './client.ts';
import {
  type Command,
  CommandError,
  commonHelp,
  commonOptions,
  moment,
  readArguments,
  requests,
  table,
} from './command.ts';

export const restoreCommand: Command = {
  summary: 'list the backups of the ledger, or restore one',
  help: `Usage: faregate restore [NAME | latest] [options]

Without a name it lists the backups, which are made once a day. With one it puts that backup in the place of keys, limits,
prices, settings and usage; the ledger of now is kept beside the backups. Keys that were deleted or replaced since the
backup work again.

  --forget-usage   do not keep what was used since the backup: keys can then spend as much once more
${commonHelp}
`,
  async run(args, context) {
    const { values, positionals } = readArguments(
      args,
      { ...commonOptions, 'forget-usage': { type: 'boolean' } },
      { max: 1 },
    );
    const dataDir = parseDataDir(values['data-dir']);
    const backups = listBackups(dataDir);
    const [asked] = positionals;
    if (asked === undefined) {
      const rows = backups.map(({ name, at, bytes }) => ({ name, at: new Date(at).toISOString(), bytes }));
      if (values.json) context.print(JSON.stringify(rows, null, 2));
      else if (rows.length === 0) context.print(`There is no backup in ${dataDir} yet.`);
      else {
        const lines = rows.map(({ name, at, bytes }) => [name, moment(at), `${(bytes / 1e6).toFixed(1)} MB`]);
        context.print(table(['Name', 'Made', '>Size'], lines));
      }
      return 0;
    }
    const name = asked === 'latest' ? backups[0]?.name : asked;
    if (name === undefined) throw new CommandError(`There is no backup in ${dataDir} yet.`);
    const carryOver = !values['forget-usage'];
    const client = await findRunning(dataDir);
    const restored = client
      ? await client.call('backups.restore', { name, carryOver })
      : restoreHere(dataDir, name, carryOver);
    if (values.json) {
      context.print(JSON.stringify({ name, ...restored }));
      return 0;
    }
    const carried =
      restored.carried === null
        ? carryOver && restored.keptAs !== null
          ? 'What was used since could not be read from the ledger that was there.'
          : 'What was used since is not in it.'
        : `Kept ${requests(restored.carried)} made since.`;
    const kept = restored.keptAs === null ? '' : ` The ledger that was there is ${restored.keptAs}.`;
    context.print(`${name} is restored. ${carried}${kept}`);
    return 0;
  },
};

function restoreHere(dataDir: string, name: string, carryOver: boolean) {
  try {
    return restoreBackup(dataDir, name, { carryOver, now: Date.now() });
  } catch (error) {
    if (error instanceof RestoreError || error instanceof DataFolderError)
      throw new CommandError(error.message, { cause: error });
    throw error;
  }
}
