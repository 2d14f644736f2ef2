/** `faregate prices`: the prices a person has set, the catalogue's, and what still has none. */
import type { PriceRow } from '#shared/model.ts';
import { openClient, type Client } from './client.ts';
import {
  type Command,
  CommandError,
  commonHelp,
  commonOptions,
  count,
  moment,
  money,
  readArguments,
  requests,
  table,
  UsageError,
} from './command.ts';

const help = `Usage: faregate prices [ACTION] [options]

  list                            your own prices, in dollars per million tokens
  set PROVIDER MODEL --input USD --output USD
                                  set the price of a model; it comes before the built-in catalogue
  remove PROVIDER MODEL           use the built-in catalogue again
  search TEXT                     models of the built-in catalogue and their prices
  unpriced                        models that were asked for and have no price
  refresh                         fetch newer price data now
  reprice PROVIDER MODEL          what their past requests cost at the price they have now; --apply writes it

PROVIDER is a provider's slug.

  --cached-input USD, --cache-write USD, --cache-write-1h USD, --per-request USD, --web-search USD
                                  with set: the other rates; per 1,000 searches for --web-search
  --apply                         with reprice: count it
${commonHelp}
`;

const rates = {
  input: 'input',
  output: 'output',
  'cached-input': 'cachedInput',
  'cache-write': 'cacheWrite',
  'cache-write-1h': 'cacheWrite1h',
  'per-request': 'perRequest',
  'web-search': 'webSearch',
} as const;
const rateNames = Object.keys(rates).filter((name): name is keyof typeof rates => Object.hasOwn(rates, name));

const options = {
  ...commonOptions,
  input: { type: 'string' },
  output: { type: 'string' },
  'cached-input': { type: 'string' },
  'cache-write': { type: 'string' },
  'cache-write-1h': { type: 'string' },
  'per-request': { type: 'string' },
  'web-search': { type: 'string' },
  apply: { type: 'boolean' },
} as const;

type Values = ReturnType<typeof readArguments<typeof options>>['values'];

/** The actions that only ask; they take the words after them. */
const questions: Readonly<
  Record<
    string,
    (client: Client, words: readonly string[], values: Values) => Promise<{ value: unknown; text: string }>
  >
> = {
  async search(client, words) {
    const query = words.join(' ');
    if (query === '') throw new UsageError("'search' takes a TEXT.");
    const value = await client.call('prices.search', { query });
    const rows = value.map(({ vendor, model, amounts, source }) => [
      vendor,
      model,
      amounts.input ?? '',
      amounts.cachedInput ?? '',
      amounts.output ?? '',
      source,
    ]);
    const text =
      rows.length === 0
        ? 'The catalogue knows no such model.'
        : table(['vendor', 'model', '>input', '>cached', '>output', 'source'], rows);
    return { value, text };
  },
  async refresh(client) {
    const value = await client.call('prices.refresh', {});
    return { value, text: value.message };
  },
  async unpriced(client) {
    const value = await client.call('prices.unpriced', {});
    const rows = value.map((row) => [
      row.provider,
      row.model,
      count(row.requests),
      count(row.refused),
      moment(row.lastAt),
      row.priced ? 'has a price now: reprice it' : 'set a price',
    ]);
    const text =
      rows.length === 0
        ? 'Every model that was asked for has a price.'
        : table(['provider', 'model', '>unpriced', '>refused', 'last', 'to do'], rows);
    return { value, text };
  },
  async reprice(client, [provider, model], { apply = false }) {
    if (provider === undefined || model === undefined)
      throw new UsageError("'reprice' takes PROVIDER MODEL.");
    const value = await client.call('prices.reprice', { provider, model, apply });
    const left = value.left === 0 ? '' : ` ${count(value.left)} stay without a price.`;
    const text = `${requests(value.rows)}, ${money(value.totalNano)} in all${apply ? ': counted now.' : '; --apply counts it.'}${left}`;
    return { value, text };
  },
};

export const pricesCommand: Command = {
  summary: 'find prices, set your own, price past requests',
  help,
  async run(args, context) {
    const { values, positionals } = readArguments(args, options, { max: 3 });
    const [action = 'list', slug, model] = positionals;
    const question = questions[action];
    if (!question && !['list', 'set', 'remove'].includes(action))
      throw new UsageError(`Unknown action '${action}'.`);
    const client = await openClient(context, values['data-dir']);
    try {
      if (question) {
        const { value, text } = await question(client, positionals.slice(1), values);
        context.print(values.json ? JSON.stringify(value, null, 2) : text);
        return 0;
      }
      const providers = new Map((await client.call('providers.list', {})).map((row) => [row.id, row.slug]));
      if (action === 'list') {
        const rows = await client.call('prices.list', {});
        if (values.json) context.print(JSON.stringify(rows, null, 2));
        else if (rows.length === 0)
          context.print('You have set no prices; known models are priced from the built-in catalogue.');
        else context.print(priceTable(rows, providers));
        return 0;
      }
      if (slug === undefined || model === undefined)
        throw new UsageError(`'${action}' takes PROVIDER MODEL.`);
      const providerId = findProvider(providers, slug);
      if (action === 'remove') {
        await client.call('prices.remove', { providerId, model });
        context.print(`${model} of ${slug} is priced from the built-in catalogue again.`);
        return 0;
      }
      const row = await setPrice(client, providerId, model, values);
      context.print(values.json ? JSON.stringify(row, null, 2) : priceTable([row], providers));
      return 0;
    } finally {
      await client.close();
    }
  },
};

function setPrice(
  client: Client,
  providerId: string,
  model: string,
  values: Partial<Record<keyof typeof rates, string>>,
): Promise<PriceRow> {
  const { input, output } = values;
  if (input === undefined || output === undefined) throw new UsageError("'set' needs --input and --output.");
  const given = rateNames.flatMap((name) => {
    const value = values[name];
    return value === undefined ? [] : [[rates[name], value] as const];
  });
  return client.call('prices.set', { providerId, model, input, output, ...Object.fromEntries(given) });
}

function findProvider(providers: ReadonlyMap<string, string>, slug: string): string {
  const found = [...providers].find(([, each]) => each === slug);
  if (found) return found[0];
  const known = [...providers.values()].join(', ');
  throw new CommandError(
    known === '' ? 'There are no providers yet.' : `There is no provider "${slug}". Known: ${known}.`,
  );
}

function priceTable(rows: readonly PriceRow[], providers: ReadonlyMap<string, string>): string {
  return table(
    ['provider', 'model', '>input', '>cached', '>output', 'source'],
    rows.map((row) => [
      providers.get(row.providerId) ?? 'deleted',
      row.model,
      row.input,
      row.cachedInput ?? '',
      row.output,
      row.source,
    ]),
  );
}
