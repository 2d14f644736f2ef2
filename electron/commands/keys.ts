/** `faregate keys`: the API keys table on the command line. */
import type { KeyRow } from '#shared/model.ts';
import { Every } from '#shared/model.ts';
import { formatLimit } from '#shared/money.ts';
import { openClient, type Client } from './client.ts';
import {
  CommandError,
  commonHelp,
  commonOptions,
  moment,
  money,
  readArguments,
  readLimit,
  table,
  UsageError,
  type Command,
  type Context,
} from './command.ts';

const help = `Usage: faregate keys ACTION [arguments] [options]

  list                        every key with its usage and its limits
  create NAME                 make a key; it is printed once
  set-limit KEY AMOUNT        set the all-time limit, in dollars; 'none' removes it, 0 blocks the key
  top-up KEY AMOUNT           more money until the recurring limit starts again; 0 takes it away
  enable KEY, disable KEY     a disabled key is refused, and its running requests are stopped
  resume KEY                  end the pause of a key that sent the same request over and over
  rotate KEY                  a new secret for the key; the old one stops working at once
  delete KEY                  what it has spent stays in the totals

KEY is a key's name or its id.

  --limit AMOUNT              with create: the all-time limit
  --session-limit AMOUNT      with create and set-limit: what each session of a coding agent may cost; 'none' removes it
  --recurring AMOUNT --every hour|day|week|month
                              with create and set-limit: a limit that starts again each period; 'none' removes it
  --stop-running              with set-limit: also end the requests that run now
${commonHelp}
`;

const options = {
  ...commonOptions,
  limit: { type: 'string' },
  'session-limit': { type: 'string' },
  recurring: { type: 'string' },
  every: { type: 'string' },
  'stop-running': { type: 'boolean' },
} as const;

type Values = ReturnType<typeof readArguments<typeof options>>['values'];

/** What each action does with the words after it; it returns the row, and the secret where one was made. */
const actions: Readonly<
  Record<
    string,
    { words: number; run(client: Client, words: readonly string[], values: Values): Promise<Done> }
  >
> = {
  create: {
    words: 1,
    async run(client, [name = ''], values) {
      return client.call('keys.create', {
        name,
        limitNano: values.limit === undefined ? null : readLimit('--limit', values.limit),
        recurring: readRecurring(values) ?? null,
        sessionLimitNano: readSessionLimit(values) ?? null,
      });
    },
  },
  'set-limit': {
    words: 2,
    async run(client, [which = '', amount = ''], values) {
      const recurring = readRecurring(values);
      const limitNano = readLimit('AMOUNT', amount);
      const sessionLimitNano = readSessionLimit(values);
      const key = await client.call('keys.setLimit', {
        id: (await findKey(client, which)).id,
        limitNano,
        ...(recurring === undefined ? {} : { recurring }),
        ...(sessionLimitNano === undefined ? {} : { sessionLimitNano }),
        ...(values['stop-running'] === undefined ? {} : { stopRunning: values['stop-running'] }),
      });
      return { key };
    },
  },
  'top-up': {
    words: 2,
    async run(client, [which = '', amount = '']) {
      const amountNano = readLimit('AMOUNT', amount);
      if (amountNano === null) throw new UsageError('AMOUNT: enter an amount in dollars such as 5.00.');
      const { id } = await findKey(client, which);
      return { key: await client.call('keys.topUp', { id, amountNano }) };
    },
  },
  resume: {
    words: 1,
    run: async (client, [which = '']) => ({
      key: await client.call('keys.resume', { id: (await findKey(client, which)).id }),
    }),
  },
  enable: { words: 1, run: (client, [which = '']) => setEnabled(client, which, true) },
  disable: { words: 1, run: (client, [which = '']) => setEnabled(client, which, false) },
  rotate: {
    words: 1,
    run: async (client, [which = '']) =>
      client.call('keys.rotate', { id: (await findKey(client, which)).id }),
  },
  delete: {
    words: 1,
    async run(client, [which = '']) {
      const key = await findKey(client, which);
      await client.call('keys.delete', { id: key.id });
      return { key, gone: true };
    },
  },
};

interface Done {
  key: KeyRow;
  secret?: string;
  gone?: boolean;
}

export const keysCommand: Command = {
  summary: 'list, create, limit, disable and delete API keys',
  help,
  async run(args, context) {
    const { values, positionals } = readArguments(args, options, { max: 3 });
    const [action = 'list', ...words] = positionals;
    const found = actions[action];
    if (!found && action !== 'list') throw new UsageError(`Unknown action '${action}'.`);
    if (found && words.length !== found.words)
      throw new UsageError(`'${action}' takes ${found.words} ${found.words === 1 ? 'word' : 'words'}.`);
    const client = await openClient(context, values['data-dir'], { makeFolder: action === 'create' });
    try {
      if (!found) return await list(client, values, context);
      report(await found.run(client, words, values), values, context);
      return 0;
    } finally {
      await client.close();
    }
  },
};

async function list(client: Client, values: Values, { print }: Context): Promise<number> {
  const rows = await client.call('keys.list', {});
  if (values.json) print(JSON.stringify(rows, null, 2));
  else if (rows.length === 0) print('There are no keys yet. Make one with `faregate keys create NAME`.');
  else print(keyTable(rows));
  return 0;
}

function keyTable(rows: readonly KeyRow[]): string {
  return table(
    ['name', 'key', 'status', '>usage', '>limit', 'recurring', '>a session', 'last used', 'id'],
    rows.map((row) => [
      row.name,
      row.masked,
      [
        row.status,
        ...(row.pause ? ['paused'] : []),
        ...(row.limitState === 'reached' ? ['limit reached'] : []),
      ].join(', '),
      money(row.usageNano),
      (row.limitNano === null ? 'none' : formatLimit(row.limitNano)) +
        (row.topUp === null ? '' : ` + ${formatLimit(row.topUp.amountNano)}`),
      row.recurring === null
        ? 'none'
        : `${money(row.recurring.usedNano)} of ${formatLimit(row.recurring.amountNano)} a ${row.recurring.every}`,
      row.sessionLimitNano === null ? 'none' : formatLimit(row.sessionLimitNano),
      moment(row.lastUsedAt),
      row.id,
    ]),
  );
}

function report({ key, secret, gone }: Done, values: Values, { print, complain }: Context): void {
  if (values.json)
    return print(JSON.stringify({ key, ...(secret === undefined ? {} : { secret }) }, null, 2));
  if (secret !== undefined) {
    // The secret alone on the output: `KEY=$(faregate keys create ci)` is what scripts do.
    print(secret);
    return complain(`This is the key of "${key.name}". It is shown once; nobody can look it up again.`);
  }
  print(gone ? `"${key.name}" is deleted.` : keyTable([key]));
}

async function setEnabled(client: Client, which: string, enabled: boolean): Promise<Done> {
  const { id } = await findKey(client, which);
  return { key: await client.call('keys.update', { id, enabled }) };
}

/** By id, or by a name that only one key has. */
async function findKey(client: Client, which: string): Promise<KeyRow> {
  const rows = await client.call('keys.list', {});
  const named = rows.filter(({ id, name }) => id === which || name === which);
  if (named.length > 1) {
    throw new CommandError(
      `${named.length} keys are named "${which}". Use the id: ${named.map(({ id }) => id).join(', ')}.`,
    );
  }
  const [key] = named;
  if (!key) throw new CommandError(`There is no key "${which}". \`faregate keys list\` shows all of them.`);
  return key;
}

/** undefined = not asked for; null = remove it. */
function readSessionLimit({ 'session-limit': amount }: Values) {
  return amount === undefined ? undefined : readLimit('--session-limit', amount);
}

/** undefined = not asked for; null = remove it. */
function readRecurring({ recurring, every }: Values) {
  if (recurring === undefined) {
    if (every !== undefined) throw new UsageError('--every belongs to --recurring AMOUNT.');
    return undefined;
  }
  const amountNano = readLimit('--recurring', recurring);
  if (amountNano === null) return null;
  const period = Every.safeParse(every);
  if (!period.success) throw new UsageError(`--every takes ${Every.options.join(', ')}.`);
  return { amountNano, every: period.data };
}
