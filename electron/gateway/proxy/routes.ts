/** The gateway's addresses: which of them cost money, which are free, and which are refused and why. Pure. */
import type { IncomingHttpHeaders } from 'node:http';
import type { DialectId } from '#shared/model.ts';
import { entryOf } from '../base/entry.ts';

/** A call that goes to a provider. */
export interface UpstreamRoute {
  kind: 'metered' | 'free';
  dialect: DialectId;
  /** Follows the version segment of the provider's base URL; `{model}` stands for the model in the path. */
  path: string;
  /** The model where the path names it; null where the body does. */
  model: string | null;
  /** The path alone says that the answer is a stream. */
  stream: boolean;
  /** Forces the provider. */
  slug: string | null;
}

export type Route =
  | UpstreamRoute
  | { kind: 'models'; slug: string | null; id: string | null }
  | { kind: 'own-key' }
  | { kind: 'alive' }
  | { kind: 'not-metered'; what: string }
  | { kind: 'wrong-method'; allow: string }
  | { kind: 'unknown' };

/** What is served, for the refusal of everything else. */
export const SERVED =
  'POST /v1/chat/completions, /v1/completions, /v1/responses, /v1/embeddings, /v1/messages, /v1/messages/count_tokens, ' +
  '/v1beta/models/{model}:generateContent (streamGenerateContent, countTokens, embedContent), /v1beta/interactions, GET /v1/models and GET /v1/key';

const metered: Readonly<Record<string, DialectId>> = {
  'chat/completions': 'openai-chat',
  completions: 'openai-completions',
  responses: 'openai-responses',
  'responses/compact': 'openai-responses',
  embeddings: 'openai-embeddings',
  messages: 'anthropic-messages',
  interactions: 'gemini-interactions',
};

const free: Readonly<Record<string, DialectId>> = {
  'messages/count_tokens': 'anthropic-messages',
  'responses/input_tokens': 'openai-responses',
};

const geminiMethods: Readonly<
  Record<string, { dialect: DialectId; kind: 'metered' | 'free'; stream: boolean }>
> = {
  generateContent: { dialect: 'gemini', kind: 'metered', stream: false },
  streamGenerateContent: { dialect: 'gemini', kind: 'metered', stream: true },
  countTokens: { dialect: 'gemini', kind: 'free', stream: false },
  embedContent: { dialect: 'gemini-embeddings', kind: 'metered', stream: false },
  batchEmbedContents: { dialect: 'gemini-embeddings', kind: 'metered', stream: false },
};

/** Calls whose cost does not come back on the same connection, or comes in a form the meter does not read. */
const notMetered: readonly [pattern: RegExp, what: string][] = [
  [/^(messages\/)?batches\b/, 'Batches'],
  [/^files\b/, 'Files'],
  [/^(fine_tuning|fine-tunes)\b/, 'Fine-tuning'],
  [/^images\b/, 'Image generation'],
  [/^audio\b/, 'Audio'],
  [/^videos\b/, 'Video generation'],
  [/^realtime\b/, 'Realtime sessions'],
  [/^(assistants|threads)\b/, 'Stored assistants'],
  [/^vector_stores\b/, 'Vector stores'],
  [/^containers\b/, 'Containers'],
  [/^evals\b/, 'Evals'],
  [/^(rerank|ocr|moderations|alpha)\b/, 'This call'],
  [/^cachedContents\b/, 'Stored caches'],
];

/** Version segments are optional and may be doubled: people set the base address with and without them. */
const VERSIONS = new Set(['v1', 'v1beta']);

/** Clients call the same few addresses over and over: the routes of the last ones are kept, as long as the slugs stay. */
export function createRouter(): typeof matchRoute {
  const posted = new Map<string, Route>();
  let of: ReadonlySet<string> | undefined;
  return (method, pathname, slugs) => {
    if (method !== 'POST' || pathname.length > 200) return matchRoute(method, pathname, slugs);
    if (of !== slugs || posted.size >= 500) posted.clear();
    of = slugs;
    let route = posted.get(pathname);
    if (route === undefined) posted.set(pathname, (route = matchRoute(method, pathname, slugs)));
    return route;
  };
}

/** `slugs` are the providers' names that may stand first in the path. */
export function matchRoute(method: string, pathname: string, slugs: ReadonlySet<string>): Route {
  const segments = pathname.split('/').filter((segment) => segment !== '');
  if (segments.length === 0) {
    return method === 'GET' || method === 'HEAD'
      ? { kind: 'alive' }
      : { kind: 'wrong-method', allow: 'GET, HEAD' };
  }
  // The path is never passed on as it came, but nothing that tries to climb out of it deserves an answer.
  if (segments.some((segment) => /^(\.|%2e){1,2}$/i.test(segment))) return { kind: 'unknown' };
  const slug = slugs.has(segments[0] ?? '') ? (segments.shift() ?? null) : null;
  while (VERSIONS.has(segments[0] ?? '')) segments.shift();
  const rest = segments.join('/');

  if (rest === 'key') return allow(method, ['GET', 'HEAD']) ?? { kind: 'own-key' };
  if (segments[0] === 'models') return matchModels(method, segments.slice(1).join('/'), slug);
  const paid = entryOf(metered, rest);
  const dialect = paid ?? entryOf(free, rest);
  if (dialect) {
    const kind = paid ? 'metered' : 'free';
    return allow(method, ['POST']) ?? { kind, dialect, path: `/${rest}`, model: null, stream: false, slug };
  }
  const stored = /^(responses|interactions)\/[\w-]+(\/input_items|\/cancel)?$/.exec(rest);
  if (stored) {
    const methods = stored[2] === '/cancel' ? ['POST'] : stored[2] ? ['GET'] : ['GET', 'DELETE'];
    // What is fetched was billed when it was made.
    return (
      allow(method, methods) ?? {
        kind: 'free',
        dialect: stored[1] === 'interactions' ? 'gemini-interactions' : 'openai-responses',
        path: `/${rest}`,
        model: null,
        stream: false,
        slug,
      }
    );
  }
  const refused = notMetered.find(([pattern]) => pattern.test(rest));
  return refused ? { kind: 'not-metered', what: refused[1] } : { kind: 'unknown' };
}

function matchModels(method: string, rest: string, slug: string | null): Route {
  const decoded = decode(rest);
  if (decoded === null) return { kind: 'unknown' };
  const call = /^(.+):(\w+)$/.exec(decoded);
  // An OpenRouter id may carry a colon too (`…:free`); only a method of Gemini's makes it a call.
  const gemini = call && entryOf(geminiMethods, call[2] ?? '');
  if (gemini) {
    const model = call[1] ?? '';
    // It becomes a part of the provider's path: nothing in it may end a segment or climb out of one.
    if (!/^[\w.@-]+(\/[\w.@-]+)*$/.test(model) || /(^|\/)\.\.?(\/|$)/.test(model)) return { kind: 'unknown' };
    return allow(method, ['POST']) ?? { ...gemini, path: `/models/{model}:${call[2]}`, model, slug };
  }
  if (method === 'POST' && call) return { kind: 'not-metered', what: `${call[2]} of Gemini` };
  return allow(method, ['GET', 'HEAD']) ?? { kind: 'models', slug, id: decoded === '' ? null : decoded };
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function allow(method: string, methods: readonly string[]): { kind: 'wrong-method'; allow: string } | null {
  return methods.includes(method) ? null : { kind: 'wrong-method', allow: methods.join(', ') };
}

/** The shape an answer of the gateway's own takes where the address does not tell: by the headers of the family. */
export function dialectOf(route: Route, pathname: string, headers: IncomingHttpHeaders): DialectId {
  if ('dialect' in route) return route.dialect;
  if (headers['anthropic-version'] !== undefined) return 'anthropic-messages';
  if (headers['x-goog-api-key'] !== undefined || pathname.includes('/v1beta')) return 'gemini';
  return 'openai-chat';
}
