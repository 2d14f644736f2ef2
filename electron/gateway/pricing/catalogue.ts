/**
 * The price catalogue: the one place that touches @pydantic/genai-prices. What it knows ships with the application and
 * can be replaced while running by a newer file of the same form.
 */
import {
  calcPrice,
  findProvider,
  updatePrices,
  waitForUpdate,
  type MatchLogic,
  type ModelPrice,
  type Provider as CatalogueVendor,
} from '@pydantic/genai-prices';

export type { CatalogueVendor, ModelPrice };

export interface CatalogueInfo {
  /** Name and version, as a usage row shows them. */
  name: string;
  /** Day the data was made, YYYY-MM-DD. */
  date: string;
}

/** One model's prices on one day and hour. */
export interface CatalogueEntry {
  vendor: string;
  /** The catalogue's own name of the model, which may be shorter than the one asked about. */
  model: string;
  /** The catalogue lists this very name, or it is a listed one with a date behind it; else it only begins alike. */
  certain: boolean;
  /** US dollars by the catalogue's units: per million tokens (`…_mtok`), per thousand pieces (`…_kcount`). */
  prices: ModelPrice;
}

/** The data that ships with the application: npm package 0.1.8, published on that day. */
const bundled: CatalogueInfo = { name: 'genai-prices 0.1.8', date: '2026-09-23' };

let current = bundled;
let revision = 0;
const shipped = waitForUpdate();

/**
 * One for the whole process, since the library keeps its data so. Prices are in force from the moment they are
 * replaced; rows that are written keep the price they were written with.
 */
export const catalogue = {
  get info(): CatalogueInfo {
    return current;
  },

  /** Counts the replacements: an answer remembered from an earlier revision is stale. */
  get revision(): number {
    return revision;
  },

  /** A vendor's price of a model on a day and hour; null = not known. */
  find(model: string, where: { vendor: string }, at: Date): CatalogueEntry | null {
    try {
      // Asked with no tokens: only the matched entry and its price for this date and hour are wanted.
      const found = calcPrice({ input_tokens: 0, output_tokens: 0 }, model, {
        providerId: where.vendor,
        timestamp: at,
      });
      if (!found) return null;
      const { id, match } = found.model;
      const certain = isListed(match, model) || isDated(id, match, model);
      return { vendor: found.provider.id, model: id, certain, prices: found.model_price };
    } catch {
      // The library throws on names and addresses it cannot make sense of; unknown is the honest answer.
      return null;
    }
  },

  /** The vendor of a bare model name, such as `anthropic` for claude-…; null where none claims it. */
  vendorOf(model: string): string | null {
    try {
      return findProvider({ modelId: model })?.id ?? null;
    } catch {
      return null;
    }
  },

  /** The vendor that an address belongs to; null where the catalogue knows none. */
  vendorAt(address: string): string | null {
    try {
      return findProvider({ providerApiUrl: address })?.id ?? null;
    } catch {
      return null;
    }
  },

  /** Everything that is in force, for searching. */
  async vendors(): Promise<readonly CatalogueVendor[]> {
    return (await waitForUpdate()) ?? [];
  },

  /**
   * Puts other data in force; null brings back what ships with the application.
   * @throws Error where the data is not of the library's form; what was in force then stays.
   */
  async replace(next: { info: CatalogueInfo; vendors: CatalogueVendor[] } | null): Promise<void> {
    const vendors = next?.vendors ?? (await shipped) ?? [];
    updatePrices(({ setProviderData }: { setProviderData: (data: CatalogueVendor[]) => void }) =>
      setProviderData(vendors),
    );
    current = next?.info ?? bundled;
    revision += 1;
  },
};

/** Whether an entry names the model in full. */
function isListed(match: MatchLogic, model: string): boolean {
  const name = model.toLowerCase();
  if ('or' in match) return match.or.some((one) => isListed(one, model));
  if ('equals' in match) return match.equals.toLowerCase() === name;
  return 'regex' in match && match.regex.endsWith('$') && new RegExp(match.regex, 'i').test(name);
}

/**
 * What may stand behind a name and leave the model the same: a date or version of four digits, `latest`, `preview`, the
 * size of a family that has one price. A further number may not: claude-sonnet-5-5 is not claude-sonnet-5.
 */
const SAME_MODEL =
  /^([-@.:_]?(20\d{6}|20\d\d-\d\d-\d\d|\d\d-20\d\d|\d\d-\d\d|\d{4}|00\d|\d+b|it|v\d+|latest|preview|exp|beta|customtools|default))*[-@.:_]?$/;

function isDated(id: string, match: MatchLogic, model: string): boolean {
  // A fine-tuned model ends with names of its owner's: `ft:model:organisation:name:id`.
  const name = model.toLowerCase().replace(/^(ft:[^:]+):.*$/, '$1');
  return [id.toLowerCase(), ...beginnings(match)].some(
    (one) => name.startsWith(one) && SAME_MODEL.test(name.slice(one.length)),
  );
}

function beginnings(match: MatchLogic): string[] {
  if ('or' in match) return match.or.flatMap(beginnings);
  if ('and' in match) return match.and.flatMap(beginnings);
  if ('starts_with' in match) return [match.starts_with.toLowerCase()];
  return 'contains' in match ? [match.contains.toLowerCase()] : [];
}
