/** `faregate usage`: what was spent, by key, model, provider or day. */
import type { UsageGroup } from '#shared/model.ts';
import { openClient } from './client.ts';
import {
  commonHelp,
  commonOptions,
  count,
  money,
  readArguments,
  table,
  UsageError,
  type Command,
} from './command.ts';

const help = `Usage: faregate usage [today|month|all] [--by key|model|provider|day] [options]

What was spent in the period, by default this month by key.

  --by WHAT        key (default), model, provider or day
  --from DAY       from this day on, YYYY-MM-DD; instead of a period
  --to DAY         up to and including this day
${commonHelp}
`;

const groups = ['key', 'model', 'provider', 'day'] as const;

export const usageCommand: Command = {
  summary: 'what was spent, by key, model, provider or day',
  help,
  async run(args, context) {
    const { values, positionals } = readArguments(
      args,
      { ...commonOptions, by: { type: 'string' }, from: { type: 'string' }, to: { type: 'string' } },
      { max: 1 },
    );
    const groupBy = groups.find((group) => group === (values.by ?? 'key'));
    if (!groupBy) throw new UsageError(`--by takes ${groups.join(', ')}.`);
    const range = readRange(positionals[0] ?? 'month', values.from, values.to);
    const client = await openClient(context, values['data-dir']);
    try {
      const rows = await client.call('usage.summary', {
        from: range.from.toISOString(),
        to: range.to.toISOString(),
        groupBy,
      });
      const names = new Map((await client.call('keys.list', {})).map(({ id, name }) => [id, name]));
      const named = rows.map((row) =>
        groupBy === 'key' ? { ...row, group: names.get(row.group) ?? `deleted ${row.group}` } : row,
      );
      if (values.json) context.print(JSON.stringify({ ...range, groupBy, rows }, null, 2));
      else if (named.length === 0) context.print('Nothing was spent in this period.');
      else context.print(usageTable(groupBy, named));
      return 0;
    } finally {
      await client.close();
    }
  },
};

function usageTable(groupBy: string, rows: readonly UsageGroup[]): string {
  const sum = (pick: (row: UsageGroup) => number) => rows.reduce((total, row) => total + pick(row), 0);
  const cells = rows.map((row) => [
    row.group,
    count(row.requests),
    count(row.inputTokens),
    count(row.outputTokens),
    money(row.costNano),
    row.unpricedRequests === 0 ? '' : `+ ${row.unpricedRequests} unpriced`,
  ]);
  const total = [
    'total',
    count(sum((row) => row.requests)),
    count(sum((row) => row.inputTokens)),
    count(sum((row) => row.outputTokens)),
    money(sum((row) => row.costNano)),
    '',
  ];
  return table([groupBy, '>requests', '>tokens in', '>tokens out', '>cost', ''], [...cells, total]);
}

/** In the machine's own time zone, as the limits' periods are. */
function readRange(period: string, from: string | undefined, to: string | undefined) {
  const now = new Date();
  const [year, month, day] = [now.getFullYear(), now.getMonth(), now.getDate()];
  const end = to === undefined ? new Date(year, month, day + 1) : readDay('--to', to, 1);
  if (from !== undefined) return { from: readDay('--from', from, 0), to: end };
  switch (period) {
    case 'today':
      return { from: new Date(year, month, day), to: end };
    case 'month':
      return { from: new Date(year, month, 1), to: end };
    case 'all':
      return { from: new Date(0), to: end };
    default:
      throw new UsageError(`Unknown period '${period}': today, month or all.`);
  }
}

/** The start of a local day, some days on. */
export function readDay(option: string, text: string, plusDays: number): Date {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text) ?? [];
  const at = new Date(Number(year), Number(month) - 1, Number(day));
  // The 31st of a short month would quietly become a day of the next.
  if (Number.isNaN(at.getTime()) || at.getDate() !== Number(day))
    throw new UsageError(`${option} takes a day such as 2026-11-22, not '${text}'.`);
  at.setDate(at.getDate() + plusDays);
  return at;
}
