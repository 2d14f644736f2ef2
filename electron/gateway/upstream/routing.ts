/** Which provider serves a request, by the dialect it speaks and the model it names. */
import { Refusal } from '#shared/errors.ts';
import type { DialectId } from '#shared/model.ts';
import { providerKindFacts } from '../config/provider-kinds.ts';
import type { Provider, Providers } from '../config/providers.ts';
import { catalogue } from '../pricing/catalogue.ts';
import { isVendor, type Prices } from '../pricing/prices.ts';

export interface Target {
  provider: Provider;
  /** The model's name without the slug: what the provider is asked for. */
  model: string;
}

/**
 * An explicit provider wins (`slug/model`, or the slug in the path); else the one that has a price of the person's own
 * for the model; else the vendor that the catalogue knows the bare name by, or the only one whose list has it; else the
 * only one that speaks the dialect.
 * @throws Refusal `no_provider` that names what to do.
 */
export function chooseProvider(
  { providers, prices }: { providers: Providers; prices: Prices },
  dialect: DialectId,
  asked: string,
  forcedSlug: string | null,
): Target {
  const speaking = providers.speaking(dialect);
  if (forcedSlug !== null) {
    const provider = speaking.find(({ slug }) => slug === forcedSlug);
    if (!provider) throw noProvider(providers, dialect, forcedSlug);
    return { provider, model: asked.startsWith(`${forcedSlug}/`) ? withoutSlug(provider, asked) : asked };
  }
  const slash = asked.indexOf('/');
  if (slash > 0) {
    const provider = speaking.find(({ slug }) => slug === asked.slice(0, slash));
    if (provider) return { provider, model: withoutSlug(provider, asked) };
  }
  if (speaking.length === 1 && speaking[0]) return { provider: speaking[0], model: asked };
  if (speaking.length === 0) throw noProvider(providers, dialect, null);

  const pricedBy = new Set(prices.providersPricing(asked));
  const priced = speaking.filter(({ id }) => pricedBy.has(id));
  if (priced.length === 1 && priced[0]) return { provider: priced[0], model: asked };

  const vendor = catalogue.vendorOf(asked);
  const ofVendor =
    vendor === null ? listing(speaking, asked) : speaking.find((provider) => isVendor(provider, vendor));
  if (ofVendor) return { provider: ofVendor, model: asked };
  const choices = speaking.map(({ slug }) => `${slug}/${asked}`).join(', ');
  throw new Refusal(
    'no_provider',
    `Several providers could serve the model "${asked}". Name one of them: ${choices}.`,
  );
}

/**
 * The provider of the only vendor whose list has the model. The catalogue tells vendors by the beginnings of names, which
 * embeddings and models that others trained (text-embedding-3-small, llama-3.3-70b-versatile) do not share.
 */
function listing(speaking: readonly Provider[], asked: string): Provider | undefined {
  const now = new Date();
  // OpenRouter serves everybody's models, by names that say whose they are.
  const [first, ...others] = speaking.filter(
    ({ kind }) => kind !== 'openrouter' && vendorLists(kind, asked, now),
  );
  return others.every(({ kind }) => kind === first?.kind) ? first : undefined;
}

function vendorLists(kind: Provider['kind'], model: string, at: Date): boolean {
  const { vendor } = providerKindFacts[kind];
  return vendor !== null && catalogue.find(model, { vendor }, at)?.certain === true;
}

/** Routers of OpenRouter's own, whose maker is its slug: without it they are no models (openrouter.ai/docs, "Auto Router"). */
const ownRouters: ReadonlySet<string> = new Set(['auto', 'free', 'bodybuilder']);

function withoutSlug({ kind, slug }: Provider, asked: string): string {
  const rest = asked.slice(slug.length + 1);
  return kind === 'openrouter' && ownRouters.has(rest) ? `openrouter/${rest}` : rest;
}

/** Why no provider can be asked, and what to do about it. */
export function noProvider(providers: Providers, dialect: DialectId, slug: string | null): Refusal {
  const known = slug === null ? undefined : providers.list().find((provider) => provider.slug === slug);
  if (known && !known.enabled)
    return new Refusal(
      'no_provider',
      `The provider ${known.name} is disabled. Enable it in Faregate, Providers.`,
    );
  if (known)
    return new Refusal(
      'no_provider',
      `The provider ${known.name} does not speak ${wordsFor[dialect]}. Use another provider for it.`,
    );
  return new Refusal(
    'no_provider',
    `No enabled provider speaks ${wordsFor[dialect]}. Add one in Faregate, Providers.`,
  );
}

const wordsFor: Readonly<Record<DialectId, string>> = {
  'openai-chat': 'the OpenAI chat completions protocol',
  'openai-completions': 'the OpenAI completions protocol',
  'openai-responses': 'the OpenAI Responses protocol',
  'openai-embeddings': 'the OpenAI embeddings protocol',
  'anthropic-messages': 'the Anthropic Messages protocol',
  gemini: 'the Gemini protocol',
  'gemini-embeddings': 'the Gemini embeddings protocol',
  'gemini-interactions': 'the Gemini Interactions protocol',
};
