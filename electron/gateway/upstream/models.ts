/** `GET /v1/models`: the providers' own lists, free of charge, joined into the shape the caller's family expects. */
import type { Dispatcher } from 'undici';
import * as z from 'zod';
import { Refusal } from '#shared/errors.ts';
import type { DialectId } from '#shared/model.ts';
import { providerKindFacts } from '../config/provider-kinds.ts';
import type { Provider, Providers } from '../config/providers.ts';
import { noProvider } from './routing.ts';
import { fetchJson, unreachable } from './upstream.ts';

type Family = 'openai' | 'anthropic' | 'gemini';

/** An entry as the provider wrote it, with its id made callable here. */
type Entry = Record<string, unknown>;

export interface ModelLists {
  /** @throws Refusal where no provider could be asked, or the one model asked for is not there. */
  list(dialect: DialectId, which: { slug: string | null; id: string | null }): Promise<unknown>;
  /** The ids of one provider's models, asked for now. */
  ask(provider: Provider): Promise<{ status: number; ids: string[] }>;
  /** The providers changed: ask again. */
  forget(): void;
}

/** Lists change by the week; agents ask for them at every start. */
const FRESH_MS = 5 * 60_000;

const OpenAiList = z.object({ data: z.array(z.looseObject({ id: z.string() })) });
const GeminiList = z.object({ models: z.array(z.looseObject({ name: z.string() })) });

export function createModelLists(providers: Providers, agent: Dispatcher, now: () => number): ModelLists {
  const cache = new Map<string, { at: number; entries: Promise<Entry[]> }>();

  function entriesOf(provider: Provider): Promise<Entry[]> {
    const known = cache.get(provider.id);
    if (known && now() - known.at < FRESH_MS) return known.entries;
    const entries = read(provider).then(({ entries: found }) => found);
    cache.set(provider.id, { at: now(), entries });
    // A failure is not worth remembering.
    entries.catch(() => cache.delete(provider.id));
    return entries;
  }

  async function read(provider: Provider): Promise<{ status: number; entries: Entry[] }> {
    const family = familyOf(provider);
    const path = { openai: '/models', anthropic: '/models?limit=1000', gemini: '/models?pageSize=1000' }[
      family
    ];
    let answered: { status: number; body: unknown };
    try {
      answered = await fetchJson(agent, provider, path);
    } catch (error) {
      throw unreachable(provider, error);
    }
    const { status, body } = answered;
    if (status !== 200) throw new ListError(provider, status);
    const parsed =
      family === 'gemini' ? GeminiList.safeParse(body).data?.models : OpenAiList.safeParse(body).data?.data;
    if (!parsed) throw new ListError(provider, status);
    return { status, entries: parsed };
  }

  return {
    async list(dialect, { slug, id }) {
      const family =
        dialect === 'anthropic-messages' ? 'anthropic' : dialect.startsWith('gemini') ? 'gemini' : 'openai';
      const asked = providers
        .list()
        .filter(
          (provider) =>
            provider.enabled && (slug === null || provider.slug === slug) && speaks(provider, family),
        );
      if (asked.length === 0) throw noProvider(providers, dialect, slug);
      const answers = await Promise.allSettled(asked.map(entriesOf));
      const entries: Entry[] = [];
      const seen = new Set<string>();
      for (const [index, answer] of answers.entries()) {
        if (answer.status === 'rejected') continue;
        for (const entry of answer.value) {
          const shaped = shape(entry, family, seen, asked[index]);
          if (shaped) entries.push(shaped);
        }
      }
      const failed = answers.find((answer) => answer.status === 'rejected');
      if (entries.length === 0 && failed)
        throw failed.reason instanceof ListError ? failed.reason.refusal() : failed.reason;
      if (id !== null) {
        const one = entries.find((entry) => entry['id'] === id || entry['name'] === `models/${id}`);
        if (!one) throw new Refusal('no_provider', `No provider lists the model "${id}".`);
        return one;
      }
      if (family === 'gemini') return { models: entries };
      if (family === 'openai') return { object: 'list', data: entries };
      return {
        data: entries,
        has_more: false,
        first_id: entries[0]?.['id'] ?? null,
        last_id: entries.at(-1)?.['id'] ?? null,
      };
    },
    async ask(provider) {
      const { status, entries } = await read(provider);
      return { status, ids: entries.map(idOf) };
    },
    forget: () => cache.clear(),
  };
}

/** A provider's list could not be had; its status says why. */
export class ListError extends Error {
  readonly status: number;
  readonly provider: Provider;
  constructor(provider: Provider, status: number) {
    super(
      status === 401 || status === 403
        ? `${provider.name} does not accept the credential (HTTP ${status}).`
        : status === 200
          ? `${provider.name} answered, but not with a list of models. Check the address.`
          : `${provider.name} answered with HTTP ${status}. Check the address; it goes up to and including the version, such as /v1.`,
    );
    this.name = 'ListError';
    this.status = status;
    this.provider = provider;
  }
  refusal(): Refusal {
    return new Refusal('upstream_unreachable', this.message, { cause: this });
  }
}

function idOf(entry: Entry): string {
  const id = entry['id'] ?? entry['name'];
  return typeof id === 'string' ? id.replace(/^models\//, '') : '';
}

/** An id that another provider listed first is only reachable with the provider's name before it. */
function shape(
  entry: Entry,
  family: Family,
  seen: Set<string>,
  provider: Provider | undefined,
): Entry | null {
  const bare = idOf(entry);
  const id = seen.has(bare) && provider ? `${provider.slug}/${bare}` : bare;
  if (bare === '' || seen.has(id)) return null;
  seen.add(id);
  if (family === 'gemini') return { ...entry, name: `models/${id}` };
  // Providers of the other family leave these out; clients of this one rely on them.
  const required =
    family === 'anthropic'
      ? { type: 'model', display_name: bare }
      : { object: 'model', owned_by: provider?.slug };
  return { ...required, ...entry, id };
}

function familyOf(provider: Provider): Family {
  if (provider.kind === 'anthropic' || provider.kind === 'anthropic-compatible') return 'anthropic';
  return provider.kind === 'gemini' ? 'gemini' : 'openai';
}

function speaks(provider: Provider, family: Family): boolean {
  return providerKindFacts[provider.kind].dialects.some((dialect) =>
    family === 'anthropic'
      ? dialect === 'anthropic-messages'
      : family === 'gemini'
        ? dialect === 'gemini'
        : dialect.startsWith('openai'),
  );
}
