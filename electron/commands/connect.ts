/** `faregate connect` and `faregate disconnect`: the tools of this machine led to the gateway, and back. */
import { createInterface } from 'node:readline/promises';
import { ToolId, toolIds, type ConnectPlan, type DiffLine, type ToolRow } from '#shared/connect.ts';
import { openClient, type Client } from './client.ts';
import {
  commonHelp,
  commonOptions,
  readArguments,
  readLimit,
  table,
  UsageError,
  type Command,
  type Context,
} from './command.ts';

const connectHelp = `Usage: faregate connect [TOOL | --follow] [options]

Without TOOL: which tools are on this machine and which of them are connected.
With --follow: leads all that are connected to the address that the gateway has now, for instance after its port changed.

With TOOL: makes a key for it, shows the change to its configuration, asks, writes it and checks it by a request that
costs nothing. \`faregate disconnect TOOL\` gives the file its bytes back.

  TOOL             ${toolIds.join(', ')}
  --limit AMOUNT   the most its key may spend, in dollars; 'none' for no limit
  --model MODEL    the model it is to use, of tools that cannot do without
  --dry-run        only show the change
  --yes            do not ask
${commonHelp}
`;

const disconnectHelp = `Usage: faregate disconnect TOOL [options]

Gives the files of the tool the bytes they had before, and switches its key off. Where they were changed since, only what
Faregate wrote is taken out, and everything else stays.

  TOOL             ${toolIds.join(', ')}
  --dry-run        only show the change
  --yes            do not ask
${commonHelp}
`;

const options = { ...commonOptions, 'dry-run': { type: 'boolean' }, yes: { type: 'boolean' } } as const;

export const connectCommand: Command = {
  summary: 'connect a tool such as claude-code or codex, or list what is connected',
  help: connectHelp,
  async run(args, context) {
    const { values, positionals } = readArguments(
      args,
      { ...options, limit: { type: 'string' }, model: { type: 'string' }, follow: { type: 'boolean' } },
      { max: 1 },
    );
    const tool = positionals[0] === undefined ? null : readTool(positionals[0]);
    if (values.follow && tool !== null)
      throw new UsageError('--follow is for all tools that are connected: leave TOOL out.');
    const limitNano = values.limit === undefined ? undefined : readLimit('--limit', values.limit);
    const model = values.model === undefined ? {} : { model: values.model };
    const client = await openClient(context, values['data-dir']);
    try {
      if (values.follow) return await follow(client, values.json ?? false, context);
      if (tool === null) return await list(client, values.json ?? false, context);
      const plan = await client.call('connect.plan', { tool, ...model });
      if (!(await confirmed(plan, values, context))) return values['dry-run'] ? 0 : 1;
      const { tool: row, secret } = await client.call('connect.apply', {
        tool,
        planHash: plan.hash,
        ...model,
        ...(limitNano === undefined ? {} : { limitNano }),
      });
      const check = await checkUnlessAlone(client, tool);
      if (values.json)
        context.print(JSON.stringify({ tool: row, check, ...(secret === null ? {} : { secret }) }));
      else {
        context.print(`${row.name} is connected, with a key of its own.`);
        if (secret !== null) context.print(`Its key, shown once: ${secret}`);
        context.print(check.message);
        for (const note of plan.notes) context.print(note);
      }
      // What a person has to do themselves is no failure.
      return check.ok || secret !== null || client.own !== null ? 0 : 1;
    } finally {
      await client.close();
    }
  },
};

export const disconnectCommand: Command = {
  summary: 'give a tool its own configuration back',
  help: disconnectHelp,
  async run(args, context) {
    const { values, positionals } = readArguments(args, options, { min: 1, max: 1 });
    const tool = readTool(positionals[0] ?? '');
    const client = await openClient(context, values['data-dir']);
    try {
      const plan = await client.call('connect.plan', { tool, undo: true });
      if (!(await confirmed(plan, values, context))) return values['dry-run'] ? 0 : 1;
      const { tool: row, how } = await client.call('connect.undo', { tool, planHash: plan.hash });
      if (values.json) context.print(JSON.stringify({ tool: row, how }));
      else {
        context.print(
          how === 'restore'
            ? `${row.name} is disconnected: its files are byte for byte what they were. Its key is switched off.`
            : `${row.name} is disconnected: what Faregate wrote was taken out, your own changes stay. Its key is switched off.`,
        );
      }
      return 0;
    } finally {
      await client.close();
    }
  },
};

function readTool(text: string): ToolId {
  const tool = ToolId.safeParse(text);
  if (!tool.success) throw new UsageError(`Unknown tool '${text}': ${toolIds.join(', ')}.`);
  return tool.data;
}

async function list(client: Client, json: boolean, { print }: Context): Promise<number> {
  const rows = await client.call('connect.list', {});
  if (json) print(JSON.stringify(rows, null, 2));
  else print(table(['tool', 'name', 'found', 'state', 'configuration'], rows.map(cells)));
  return 0;
}

/** 1 where a tool still asks at the address of before. */
async function follow(client: Client, json: boolean, { print }: Context): Promise<number> {
  const rows = await client.call('connect.follow', {});
  if (json) print(JSON.stringify(rows, null, 2));
  else if (rows.length === 0) print('Every connected tool is led to this gateway already.');
  else {
    for (const { name, state, why } of rows)
      print(
        state === 'connected' ? `${name} is led to this gateway. Start it again.` : `${name}: ${why ?? ''}`,
      );
  }
  return rows.every(({ state }) => state === 'connected') ? 0 : 1;
}

function cells(row: ToolRow): string[] {
  const found = row.found ? (row.version ?? 'yes') : 'no';
  return [row.id, row.name, found, row.state, row.why ?? row.configPath];
}

/** There is nobody to answer where this command itself is the gateway. */
async function checkUnlessAlone(client: Client, tool: ToolId): Promise<{ ok: boolean; message: string }> {
  if (client.own) {
    return {
      ok: false,
      message: 'No gateway runs yet: start the app, or `faregate gateway`, before you use it.',
    };
  }
  return client.call('connect.check', { tool });
}

/** Shows the change, and asks where there is somebody to ask. */
async function confirmed(
  plan: ConnectPlan,
  values: { 'dry-run'?: boolean | undefined; yes?: boolean | undefined; json?: boolean | undefined },
  context: Context,
): Promise<boolean> {
  if (values.json && values['dry-run']) context.print(JSON.stringify(plan, null, 2));
  else if (!values.json) context.print(showPlan(plan));
  if (values['dry-run']) return false;
  if (values.yes || values.json || !process.stdin.isTTY) return true;
  const questions = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await questions.question('Write this? [y/N] ')).trim());
  } finally {
    questions.close();
  }
}

const signs: Record<DiffLine['kind'], string> = { same: '  ', add: '+ ', remove: '- ', gap: '  …' };

function showPlan({ files, how }: ConnectPlan): string {
  const lines =
    how === 'take-out' ? ['Changed since it was connected: only what Faregate wrote is taken out.', ''] : [];
  for (const { path, whole, diff } of files) {
    if (diff.length === 0) continue;
    lines.push(`${path}${whole === null ? '' : ` (${whole})`}`);
    for (const { kind, text } of diff) lines.push(`${signs[kind]}${text}`);
    lines.push('');
  }
  return lines.join('\n').trimEnd();
}
