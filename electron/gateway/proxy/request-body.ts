/** What a request says in its body, as far as its cost hangs on it, and the edits that are made to it. Pure. */
import { Refusal } from '#shared/errors.ts';
import { MAX_MEMBERS, scanObject, type JsonEdit, type JsonObject } from '../base/json.ts';
import { nothingAsked, type Dialect, type RequestFacts } from '../dialects/dialect.ts';
import { isRecord, MAX_MODEL_NAME } from '../dialects/values.ts';
import type { Target } from '../upstream/routing.ts';
import type { Clamp } from './bound.ts';
import type { UpstreamRoute } from './routes.ts';

interface Arrived {
  route: UpstreamRoute;
  body: Buffer;
  query: string;
}

/** What a request says of itself. */
export interface ReadRequest {
  /** null for a call without a body. */
  fields: JsonObject | null;
  facts: RequestFacts;
  model: string;
  jsonArray: boolean;
}

/** Fields on which the price hangs: given twice, providers differ in which one they take. */
const DECISIVE = new Set([
  'model',
  'stream',
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'generationConfig',
  'generation_config',
  'n',
  'best_of',
  'prompt',
  'service_tier',
  'serviceTier',
  'speed',
  'tools',
  'max_tool_calls',
  'messages',
  'input',
  'contents',
  'system',
  'thinking',
  'mcp_servers',
  'context_management',
  'web_search_options',
  'cachedContent',
  'cached_content',
  'models',
  'plugins',
  'prediction',
  'preset',
  'store',
  'previous_response_id',
  'previous_interaction_id',
  'continuation_token',
  'agent',
  'environment',
  'conversation',
  'background',
  'deferred',
]);

/** Names of one field: the JSON of protocol buffers takes either. */
const SPELLINGS = [
  ['generationConfig', 'generation_config'],
  ['cachedContent', 'cached_content'],
  ['serviceTier', 'service_tier'],
] as const;

const decisiveFolded = new Map(Array.from(DECISIVE, (name) => [folded(name), name]));

/** What servers that do not mind the case compare: Go's encoding/json takes `MAX_TOKENS` for `max_tokens`. */
function folded(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** A field on which the price hangs for some servers and not for others, and its name; null where there is none. */
function misspelt(fields: JsonObject): { given: string; meant: string } | null {
  for (const given of fields.names()) {
    // Nearly all names: there is nothing to fold.
    if (/^[a-z0-9_]*$/.test(given) || DECISIVE.has(given)) continue;
    const meant = decisiveFolded.get(folded(given));
    if (meant !== undefined) return { given, meant };
  }
  return null;
}

/** @throws Refusal `bad_request` where a field on which the price hangs is given twice, or cannot be told to be given once. */
function requireOnce(fields: JsonObject): void {
  const twice = (name: string) =>
    new Refusal('bad_request', `The field "${name}" is given twice. Send it once.`);
  for (const name of fields.duplicates) if (DECISIVE.has(name)) throw twice(name);
  const both = SPELLINGS.find((names) => names.every((name) => fields.has(name)));
  if (both !== undefined) throw twice(both[0]);
  for (const name of SPELLINGS[0]) {
    if (!fields.has(name)) continue;
    const inner = fields.object(name);
    if (inner === null && isRecord(fields.get(name)))
      throw new Refusal(
        'bad_request',
        `The field "${name}" has more than ${MAX_MEMBERS} fields. Send fewer.`,
      );
    for (const inside of inner?.duplicates ?? []) throw twice(`${name}.${inside}`);
  }
}

/** @throws Refusal `bad_request` where the body says nothing that can be priced. */
export function readRequest(
  { route, body, query }: Arrived,
  method: string | undefined,
  dialect: Dialect,
): ReadRequest {
  const jsonArray = route.dialect === 'gemini' && route.stream && !/(^|&)alt=sse(&|$)/.test(query);
  if (method !== 'POST' || (route.kind === 'free' && body.length === 0)) {
    // A call without a body names no model (a stored response): the provider is chosen by the dialect alone.
    return { fields: null, facts: nothingAsked, model: route.model ?? '', jsonArray };
  }
  const fields = scanObject(body);
  if (fields === null)
    throw new Refusal(
      'bad_request',
      `The body is not a JSON object, or has more than ${MAX_MEMBERS} fields. Send the request as JSON.`,
    );
  requireOnce(fields);
  const other = misspelt(fields);
  if (other !== null)
    throw new Refusal('bad_request', `The field "${other.given}" is not known. Call it "${other.meant}".`);
  const facts = dialect.read(fields, { model: route.model, stream: route.stream });
  if (facts.model === null && route.kind === 'metered') {
    throw new Refusal('bad_request', 'The request names no model. Set the field "model".');
  }
  if ((facts.model ?? '').length > MAX_MODEL_NAME) {
    const most = `The name of the model has more than ${MAX_MODEL_NAME} characters.`;
    throw new Refusal('bad_request', `${most} Set the field "model" to the name of a model.`);
  }
  return { fields, facts, model: facts.model ?? '', jsonArray };
}

/** Models a router may answer with instead of the one that is named (OpenRouter, "Model fallbacks"). */
export function routedModels({ fields }: ReadRequest, { provider }: Target): string[] {
  const models: unknown = provider.kind === 'openrouter' ? fields?.get('models') : undefined;
  return Array.isArray(models) ? models.filter((model) => typeof model === 'string') : [];
}

/**
 * The whole list of edits to a body; nothing else of a request changes. `clamp`: what admission asks for, `free` for a
 * call that costs nothing. `hideUsage`: the client did not ask for the usage.
 */
export function bodyEdits(
  route: UpstreamRoute,
  {
    read: { fields, facts, model },
    target,
    dialect,
  }: { read: ReadRequest; target: Target; dialect: Dialect },
  { askUsage, clamp }: { askUsage: boolean; clamp: Clamp | null | 'free' },
): { edits: JsonEdit[]; hideUsage: boolean } {
  if (fields === null) return { edits: [], hideUsage: false };
  const vendor = target.provider.kind;
  const edits: JsonEdit[] = [];
  if (route.model === null && target.model !== model)
    edits.push(...dialect.edits(fields, { model: target.model }));
  if (clamp === 'free') return { edits, hideUsage: false };
  // A dialect that always reports usage, or a client that asked for it, has no edit to make.
  const usageEdits = facts.stream && askUsage ? dialect.edits(fields, { includeUsage: true, vendor }) : [];
  edits.push(...usageEdits);
  const { outputTokens, searches } = clamp ?? { outputTokens: null, searches: null };
  if (outputTokens !== null) edits.push(...dialect.edits(fields, { maxOutputTokens: outputTokens, vendor }));
  if (searches !== null) edits.push(...dialect.edits(fields, { webSearches: searches, vendor }));
  return { edits, hideUsage: usageEdits.length > 0 };
}
