/** `faregate open`: the window of the running app, or the dashboard of a headless gateway by a link that works once. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as z from 'zod';
import { parseDataDir } from '../options.ts';
import { askToOpen, findRunning } from './client.ts';
import {
  CommandError,
  commonHelp,
  commonOptions,
  readArguments,
  type Command,
  type Context,
} from './command.ts';

const Opened = z.union([z.object({ url: z.string() }), z.object({ shown: z.literal(true) })]).nullable();

export const openCommand: Command = {
  summary: 'open the window, or the dashboard in a browser by a one-time link',
  help: `Usage: faregate open [--print] [options]

Brings the app's window to the front. Of a headless gateway it opens the dashboard in the browser, by a link that works
once and for one minute. Over an SSH tunnel: \`faregate open --print\` on the far machine, with its --dashboard-port
tunnelled to the same port here.

  --print          print the link instead of opening a browser
${commonHelp}
`,
  async run(args, context) {
    const { values } = readArguments(args, { ...commonOptions, print: { type: 'boolean' } });
    const dataDir = parseDataDir(values['data-dir']);
    if (!(await findRunning(dataDir)))
      throw new CommandError(`No gateway runs on ${dataDir}. Start the app, or \`faregate gateway\`.`);
    const opened = Opened.parse(await askToOpen(dataDir));
    if (opened === null)
      throw new CommandError(
        'This gateway was started without a dashboard. Start it again without --no-dashboard.',
      );
    if (values.json) context.print(JSON.stringify(opened));
    else if ('shown' in opened) context.print('The window of Faregate is in front.');
    else if (values.print || !(await openBrowser(opened.url, context))) context.print(opened.url);
    return 0;
  },
};

/** false where there is no browser to be opened. */
async function openBrowser(url: string, { env }: Context): Promise<boolean> {
  if (process.platform === 'linux' && !env['DISPLAY'] && !env['WAYLAND_DISPLAY']) return false;
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['explorer.exe', url]
        : ['xdg-open', url];
  if (command === undefined) return false;
  const opener = spawn(command, args, { stdio: 'ignore', detached: true });
  try {
    await once(opener, 'spawn');
    opener.unref();
    return true;
  } catch {
    return false;
  }
}
