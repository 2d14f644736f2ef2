/** `faregate export`: the log as CSV or JSON, to a file or to the next program, a page at a time. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { codeOf } from '#shared/caught.ts';
import type { Input } from '#shared/contract.ts';
import { exportFormats } from '#shared/export.ts';
import { requestFlags } from '#shared/model.ts';
import { openClient, type Client } from './client.ts';
import { type Command, CommandError, commonOptions, readArguments, requests, UsageError } from './command.ts';
import { readDay } from './usage.ts';

const help = `Usage: faregate export [FILE] [options]

Every request as a line, newest first, to FILE or to the output: CSV with amounts in dollars, or JSON with amounts in
whole nano-dollars.

  --format FORMAT  csv (default) or json
  --from DAY       from this day on, YYYY-MM-DD
  --to DAY         up to and including this day
  --key NAME       only of this key: its name or its id
  --provider SLUG  --model MODEL  --client CLIENT  --session ID  --flag FLAG
                   only of this provider, model, client, session, or with this flag
  --status STATUS  ok, error, or a number such as 429
  --data-dir DIR   the data folder of the gateway to talk to (default: this user's)
  --help           show this text
`;

const PAGE = 1_000;

type Question = Omit<NonNullable<Input<'requests.list'>>, 'before' | 'limit'>;

export const exportCommand: Command = {
  summary: 'the log as CSV or JSON',
  help,
  async run(args, context) {
    const text = { type: 'string' } as const;
    const { values, positionals } = readArguments(
      args,
      {
        'data-dir': commonOptions['data-dir'],
        format: text,
        from: text,
        to: text,
        key: text,
        provider: text,
        model: text,
        client: text,
        session: text,
        flag: text,
        status: text,
      },
      { max: 1 },
    );
    const format = values.format ?? 'csv';
    if (format !== 'csv' && format !== 'json') throw new UsageError('--format takes csv or json.');
    const flag = requestFlags.find((name) => name === values.flag);
    if (values.flag !== undefined && flag === undefined)
      throw new UsageError(`--flag takes ${requestFlags.join(', ')}.`);
    const question: Question = {
      ...defined({
        provider: values.provider,
        model: values.model,
        client: values.client,
        session: values.session,
        from: values.from === undefined ? undefined : readDay('--from', values.from, 0).toISOString(),
        to: values.to === undefined ? undefined : readDay('--to', values.to, 1).toISOString(),
      }),
      ...(flag === undefined ? {} : { flag }),
      ...(values.status === undefined ? {} : { status: readStatus(values.status) }),
    };
    const client = await openClient(context, values['data-dir']);
    try {
      const keys = await client.call('keys.list', {});
      const names = new Map(keys.map(({ id, name }) => [id, name]));
      const given = values.key;
      const key =
        given === undefined ? undefined : keys.find(({ id, name }) => id === given || name === given);
      // A deleted key is no longer listed, but its rows are there under its id.
      if (given !== undefined && key === undefined && !given.startsWith('key_'))
        throw new CommandError(`There is no key "${given}". \`faregate keys\` lists them.`);
      const keyId = key?.id ?? given;
      const rows = await write(
        positionals[0],
        client,
        { ...question, ...defined({ keyId }) },
        exportFormats[format],
        names,
      );
      if (positionals[0] !== undefined) context.print(`${requests(rows)} written to ${positionals[0]}.`);
      return 0;
    } finally {
      await client.close();
    }
  },
};

/** Returns how many rows were written. A program that has read enough ends the export without an error. */
async function write(
  file: string | undefined,
  client: Client,
  question: Question,
  { head, line, tail }: (typeof exportFormats)['csv'],
  names: ReadonlyMap<string, string>,
): Promise<number> {
  const output = file === undefined ? process.stdout : createWriteStream(file, { mode: 0o600 });
  const failures: Error[] = [];
  const onError = (error: Error) => failures.push(error);
  output.on('error', onError);
  const put = async (chunk: string) => {
    if (failures.length === 0 && !output.write(chunk))
      await Promise.race([once(output, 'drain'), once(output, 'close')]);
  };
  let [rows, before]: [number, number | null] = [0, null];
  try {
    await put(head);
    do {
      const page: Awaited<ReturnType<typeof client.call<'requests.list'>>> = await client.call(
        'requests.list',
        {
          ...question,
          before,
          limit: PAGE,
        },
      );
      await put(page.rows.map((row, at) => line(row, names.get(row.keyId) ?? '', rows + at === 0)).join(''));
      rows += page.rows.length;
      before = page.next;
    } while (before !== null && failures.length === 0);
    await put(tail);
    if (file !== undefined) {
      output.end();
      await finished(output);
    }
  } catch (error) {
    if (failures.length === 0) throw error;
  } finally {
    output.off('error', onError);
  }
  const [failed] = failures;
  if (failed !== undefined && !isBrokenPipe(failed))
    throw new CommandError(
      `The export could not be written: ${failed.message}. Choose another file or free some space.`,
    );
  return rows;
}

const isBrokenPipe = (error: Error) => codeOf(error) === 'EPIPE';

function readStatus(text: string): 'ok' | 'error' | number {
  if (text === 'ok' || text === 'error') return text;
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new UsageError('--status takes ok, error, or a number such as 429.');
}

/** Only what was given. */
function defined<T extends Record<string, string | undefined>>(values: T): { [K in keyof T]?: string } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: string;
  };
}
