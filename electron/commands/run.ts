/** `faregate run -- COMMAND`: one command with a key of its own, a limit, and the environment set; at the end, what it cost. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { KeyRow, RequestRow } from '#shared/model.ts';
import { formatLimit, formatUsd } from '#shared/money.ts';
import { parseDataDir } from '../options.ts';
import { openClient, type Client } from './client.ts';
import {
  type Command,
  CommandError,
  commonHelp,
  commonOptions,
  type Context,
  count,
  readArguments,
  readLimit,
  requests,
  table,
  UsageError,
} from './command.ts';
import { argumentsFor, environmentFor } from './run-environment.ts';

const help = `Usage: faregate run [--limit AMOUNT] [--name NAME] [--keep] -- COMMAND [ARGUMENTS]

Runs COMMAND with a key of its own and the variables set that SDKs and agents read, and prints at the end, on the error
stream, what it cost. The exit code is the command's. Where no gateway runs, one is started for as long as it takes.

  --limit AMOUNT   the most it may spend, in dollars, such as 2.00 (default: no limit)
  --name NAME      name of the key (default: the command's)
  --keep           keep the key, disabled, so that its usage stays under its name (default: it is deleted)
${commonHelp.replace('print JSON, with', 'print what it cost as one line of JSON on the error stream, with')}

Set: OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_BASE_URL, ANTHROPIC_AUTH_TOKEN, GOOGLE_GEMINI_BASE_URL, GEMINI_API_KEY and
their variants, OPENROUTER_BASE_URL, OPENROUTER_API_KEY, FAREGATE_URL, FAREGATE_API_KEY.
`;

/** A run that is killed leaves its key behind; nobody knows the secret, and it ends by itself. */
const KEY_DAYS = 30;
/** A client that goes away leaves a request that is read on for its cost; the summary waits this long for it. */
const SETTLE_MS = 5_000;
const SETTLE_POLL_MS = 50;

export const runCommand: Command = {
  summary: 'run one command with a key and a limit of its own, and print what it cost',
  help,
  async run(args, context) {
    const split = args.indexOf('--');
    const [command, ...commandArgs] = split === -1 ? [] : args.slice(split + 1);
    if (command === undefined)
      throw new UsageError('Put the command after --, as in: faregate run -- node script.mjs');
    const { values } = readArguments(args.slice(0, split), {
      ...commonOptions,
      limit: { type: 'string' },
      name: { type: 'string' },
      keep: { type: 'boolean' },
    });
    const limitNano = values.limit === undefined ? null : readLimit('--limit', values.limit);
    mkdirSync(parseDataDir(values['data-dir']), { recursive: true, mode: 0o700 });
    const client = await openClient(context, values['data-dir']);
    try {
      const gatewayUrl = await addressOf(client);
      await checkProviders(client, context);
      const { key, secret } = await client.call('keys.create', {
        name: values.name ?? path.basename(command),
        limitNano,
        expiresAt: new Date(Date.now() + KEY_DAYS * 86_400_000).toISOString(),
      });
      try {
        const env = environmentFor(command, { gatewayUrl, secret, env: context.env });
        return await runProgram(command, argumentsFor(command, commandArgs, gatewayUrl), env);
      } finally {
        const settled = await whenSettled(client, key.id);
        const rows = await readRequests(client, key.id);
        context.complain(values.json ? toJson(settled, rows) : summary(settled, rows));
        await (values.keep
          ? client.call('keys.update', { id: key.id, enabled: false })
          : client.call('keys.delete', { id: key.id }));
      }
    } finally {
      await client.close();
    }
  },
};

/** Of the gateway that runs, or of our own, which only now begins to listen. */
async function addressOf(client: Client): Promise<string> {
  if (client.own) return (await client.own.listen({ port: 0 })).url;
  return (await client.call('status.get', {})).gatewayUrl;
}

/** Known before the command has begun: it would fail at its first request and leave the reason to its own output. */
async function checkProviders(client: Client, { complain }: Context): Promise<void> {
  const enabled = (await client.call('providers.list', {})).filter((provider) => provider.enabled);
  if (enabled.length === 0)
    throw new CommandError('There are no providers yet. Add one under Providers: `faregate open`.');
  for (const { name, credentialUnreadable } of enabled) {
    if (!credentialUnreadable) continue;
    complain(
      `The credential of ${name} is kept by the system's store, which only the app can read. Start the app first to use it.`,
    );
  }
}

/** Resolves with the exit code, as a shell has it: 128 + n for signal n, 127 not found, 126 cannot be run. */
function runProgram(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', env, shell: process.platform === 'win32' });
    // A terminal sends Ctrl+C to the child as well; sent to us alone, it is passed on like the others.
    const interrupt = () => process.stdin.isTTY || child.kill('SIGINT');
    const terminate = () => child.kill('SIGTERM');
    const hangUp = () => child.kill('SIGHUP');
    process.on('SIGINT', interrupt).on('SIGTERM', terminate).on('SIGHUP', hangUp);
    const done = () => {
      process.off('SIGINT', interrupt).off('SIGTERM', terminate).off('SIGHUP', hangUp);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      done();
      if (error.code === 'ENOENT') return resolve(notRun(command, 'was not found', 127));
      if (error.code === 'EACCES') return resolve(notRun(command, 'cannot be executed', 126));
      reject(error);
    });
    child.once('exit', (code, signal) => {
      done();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

function notRun(command: string, why: string, code: number): number {
  process.stderr.write(`faregate: ${command} ${why}.\n`);
  return code;
}

async function whenSettled(client: Client, id: string): Promise<KeyRow> {
  const until = performance.now() + SETTLE_MS;
  for (;;) {
    const key = (await client.call('keys.list', {})).find((row) => row.id === id);
    if (!key)
      throw new CommandError('The key of this run was deleted while it ran; its cost is in the totals.');
    if (key.heldNano === 0 || performance.now() > until) return key;
    await delay(SETTLE_POLL_MS);
  }
}

async function readRequests(client: Client, keyId: string): Promise<RequestRow[]> {
  const all: RequestRow[] = [];
  let before: number | null = null;
  do {
    const page: { rows: RequestRow[]; next: number | null } = await client.call('requests.list', {
      keyId,
      before,
      limit: 1000,
    });
    all.push(...page.rows);
    before = page.next;
  } while (before !== null);
  return all;
}

interface ModelSum {
  model: string;
  requests: number;
  inputTokens: number;
  outputTokens: number;
  costNano: number;
}

function byModel(rows: readonly RequestRow[]): ModelSum[] {
  const sums = new Map<string, ModelSum>();
  for (const row of rows) {
    const sum = sums.get(row.model) ?? {
      model: row.model,
      requests: 0,
      inputTokens: 0,
      outputTokens: 0,
      costNano: 0,
    };
    sum.requests += 1;
    sum.inputTokens += row.inputTokens;
    sum.outputTokens += row.outputTokens;
    sum.costNano += row.costNano ?? 0;
    sums.set(row.model, sum);
  }
  return [...sums.values()].toSorted((a, b) => b.costNano - a.costNano);
}

function summary(key: KeyRow, rows: readonly RequestRow[]): string {
  const models = byModel(rows);
  const facts = [
    `${formatUsd(key.usageNano)} for ${requests(key.requests)}, ${count(key.inputTokens)} tokens in, ${count(key.outputTokens)} out`,
    ...(key.limitNano === null
      ? []
      : [`limit ${formatLimit(key.limitNano)}${key.limitState === 'reached' ? ' reached' : ''}`]),
    ...(key.unpricedRequests === 0 ? [] : [`${requests(key.unpricedRequests)} without a price not counted`]),
    ...(key.heldNano === 0 ? [] : [`${formatUsd(key.heldNano)} still held for running requests`]),
  ].join('; ');
  if (models.length < 2) return models[0] ? `${facts} (${models[0].model})` : facts;
  const lines = table(
    ['model', '>requests', '>tokens in', '>tokens out', '>cost'],
    models.map((sum) => [
      sum.model,
      count(sum.requests),
      count(sum.inputTokens),
      count(sum.outputTokens),
      formatUsd(sum.costNano),
    ]),
  );
  return `${facts}\n${lines}`;
}

function toJson(key: KeyRow, rows: readonly RequestRow[]): string {
  return JSON.stringify({
    costNano: key.usageNano,
    requests: key.requests,
    inputTokens: key.inputTokens,
    outputTokens: key.outputTokens,
    unpricedRequests: key.unpricedRequests,
    limitNano: key.limitNano,
    limitReached: key.limitState === 'reached',
    models: byModel(rows),
  });
}
