/** `faregate status`: whether a gateway runs, where, and what it has spent. Exit code 3 where none runs, as service tools have it. */
import { parseDataDir } from '../options.ts';
import { findRunning } from './client.ts';
import { type Command, commonHelp, commonOptions, money, readArguments, requests } from './command.ts';

const NOT_RUNNING = 3;

export const statusCommand: Command = {
  summary: 'whether the gateway runs, where, and what was spent today',
  help: `Usage: faregate status [options]

Exit code 0 where a gateway runs on the data folder, 3 where none does.

${commonHelp}
`,
  async run(args, context) {
    const { values } = readArguments(args, commonOptions);
    const dataDir = parseDataDir(values['data-dir']);
    const client = await findRunning(dataDir);
    if (!client) {
      context.print(
        values.json
          ? JSON.stringify({ running: false, dataDir })
          : `No gateway runs on ${dataDir}. Start the app, or \`faregate gateway\`.`,
      );
      return NOT_RUNNING;
    }
    const status = await client.call('status.get', {});
    if (values.json) {
      context.print(JSON.stringify({ running: true, dataDir, ...status }, null, 2));
      return 0;
    }
    const { totals } = status;
    const lines = [
      ['Gateway', `${status.gatewayUrl}${status.paused ? ', paused' : ''}`],
      ['Version', status.version],
      ['Data', dataDir],
      ['Today', money(totals.todayNano)],
      ['This month', money(totals.monthNano)],
      ['Running', `${requests(totals.running)}, ${money(totals.heldNano)} held`],
      ...(status.problem === null ? [] : [['Problem', status.problem]]),
    ];
    context.print(lines.map(([label = '', value = '']) => `${label.padEnd(12)}${value}`).join('\n'));
    return 0;
  },
};
