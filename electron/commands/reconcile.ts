/** `faregate reconcile`: the ledger beside a provider's own export. */
import { readFileSync } from 'node:fs';
import { messageOf } from '#shared/caught.ts';
import { MAX_EXPORT_CHARACTERS } from '#shared/contract.ts';
import { formatUsd } from '#shared/money.ts';
import type { BillRow, Reconciliation } from '#shared/reconciliation.ts';
import { openClient } from './client.ts';
import {
  CommandError,
  commonHelp,
  commonOptions,
  count,
  money,
  readArguments,
  table,
  UsageError,
  type Command,
} from './command.ts';

const help = `Usage: faregate reconcile FILE [options]

Compares the ledger with a provider's own export, per day (UTC) and model: the costs or usage CSV of OpenAI, the cost
or usage CSV of Anthropic, the activity CSV of OpenRouter, or what their APIs answer as JSON. - reads the standard
input. The exit code is 1 where something differs by more than the tolerance.

  --provider SLUG   the provider to compare (default: all that the export can be about)
  --tolerance PERCENT
                    what is no difference (default: 1)
  --all             also show what agrees
${commonHelp}
`;

const options = {
  ...commonOptions,
  provider: { type: 'string' },
  tolerance: { type: 'string' },
  all: { type: 'boolean' },
} as const;

export const reconcileCommand: Command = {
  summary: 'compare the ledger with a provider’s own export',
  help,
  async run(args, context) {
    const { values, positionals } = readArguments(args, options, { min: 1, max: 1 });
    const csv = readExportFile(positionals[0] ?? '');
    const tolerance = readTolerance(values.tolerance);
    const client = await openClient(context, values['data-dir']);
    try {
      let providerId: string | undefined;
      if (values.provider !== undefined) {
        const rows = await client.call('providers.list', {});
        providerId = rows.find(({ slug }) => slug === values.provider)?.id;
        if (providerId === undefined) {
          const known = rows.map(({ slug }) => slug).join(', ');
          throw new CommandError(`There is no provider "${values.provider}". Known: ${known || 'none'}.`);
        }
      }
      const found = await client.call('reconcile.compare', {
        csv,
        ...(tolerance === undefined ? {} : { tolerancePercent: tolerance }),
        ...(providerId === undefined ? {} : { providerId }),
      });
      context.print(values.json ? JSON.stringify(found, null, 2) : report(found, values.all ?? false));
      return found.totals.outside === 0 && found.totals.within ? 0 : 1;
    } finally {
      await client.close();
    }
  },
};

function readExportFile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new CommandError(`The file cannot be read: ${messageOf(error)}`, { cause: error });
  }
  if (text.length > MAX_EXPORT_CHARACTERS) {
    throw new CommandError(
      `The file has more than ${count(MAX_EXPORT_CHARACTERS)} characters. Export a shorter period.`,
    );
  }
  return text;
}

function readTolerance(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text.replace(/%$/, ''));
  if (text.trim() === '' || !(value >= 0 && value <= 100))
    throw new UsageError(`--tolerance takes a percentage from 0 to 100, not '${text}'.`);
  return value;
}

function report(found: Reconciliation, all: boolean): string {
  const { totals } = found;
  const rows = found.rows.filter(({ within }) => all || !within);
  const billed = totals.billedNano === null ? '' : `${money(totals.billedNano)} in the export, `;
  const parts = [
    `${found.formatName}, ${found.from} to ${found.to} (UTC), compared with ${found.providers.join(', ')}.`,
    `${billed}${money(totals.ledgerNano)} in the ledger${totals.percent === null ? '.' : `: ${signed(totals.percent)} %.`}`,
    rows.length === 0
      ? `${found.rows.length === 1 ? 'The one line agrees' : `All ${count(found.rows.length)} lines agree`} within ${found.tolerancePercent} %.`
      : table(
          ['day', 'model', '>export', '>ledger', '>difference', '>percent', 'note'],
          rows.map((row) => [
            row.day,
            row.model ?? 'no model',
            row.billedNano === null ? tokens(row, 'billedTokens') : money(row.billedNano),
            totals.billedNano === null ? tokens(row, 'ledgerTokens') : money(row.ledgerNano),
            row.differenceNano === null ? '' : formatUsd(row.differenceNano),
            row.percent === null ? '' : signed(row.percent),
            row.side === 'export' ? 'only in the export' : row.side === 'ledger' ? 'only in the ledger' : '',
          ]),
        ),
    ...found.causes.map((cause) => `- ${cause}`),
    ...found.notes.map((note) => `Note: ${note}`),
  ];
  return parts.join('\n');
}

function tokens(row: BillRow, side: 'billedTokens' | 'ledgerTokens'): string {
  const sum = row.classes.reduce((total, each) => total + (each[side] ?? 0), 0);
  return sum === 0 ? '' : `${count(sum)} tokens`;
}

const signed = (percent: number) => `${percent > 0 ? '+' : ''}${percent.toFixed(2)}`;
