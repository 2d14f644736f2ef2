/** What requests of the OpenAI protocols have in common: numbers of any type, tools, and what their input may hide. */
import type { JsonEdit, JsonFields } from '../json.ts';
import { contextTokens } from '../model-limits.ts';
import {
  nothingAsked,
  type AllowedPass,
  type AllowedUses,
  type HiddenTokens,
  type RequestChange,
  type RequestFacts,
} from './dialect.ts';
import { imageSize, openaiImageTokens, soundTokens } from './media.ts';
import { count, objectsIn, record, records, reported, text, type JsonRecord } from './values.ts';

/** The largest context window of an OpenAI model (GPT-5.4 and later, platform.openai.com/docs/models). */
const LARGEST_CONTEXT = 1_050_000;

/** What a search puts into the input; one of the recorded answers grew by 11,000 tokens a search. */
const SEARCH_TOKENS = 16_000;

/** No maximum is published for searches in one answer; requests that say `max_tool_calls` are held to it. */
const SEARCHES = 10;

/**
 * Beyond one token a byte of the body, whose own punctuation pays for a template. In recordings OpenAI itself never needed
 * any; Groq took 304 more, Snowflake 196 with tools, Grok by way of OpenRouter 494.
 */
const HIDDEN_TOKENS = {
  atVendor: { always: 32, withTools: 256 },
  elsewhere: { always: 384, withTools: 512, grok: 768 },
};

/** A picture of the image tool at the highest quality and largest size (guides/image-generation, "Cost"), and its input. */
const PICTURE = { inputTokens: 20_000, outputTokens: 8_000 };

/** The fields that mean the same in every OpenAI protocol, and what input and tools can add to the tokens. */
export function commonFacts(body: JsonFields): RequestFacts {
  const model = text(body.get('model'));
  const tools = allTools(body);
  const others = body.get('models');
  const searching = hasSearch(tools) || typeof body.get('web_search_options') === 'object';
  const bounded = count(body.get('max_tool_calls'));
  const input = attachments(body, model);
  return {
    ...nothingAsked,
    model,
    stream: body.get('stream') === true,
    serviceTier: text(body.get('service_tier')),
    // Newer models write the cache unasked and bill it (`cache_write_tokens`); routers pass Anthropic's markers on.
    cacheWrites: body.contains('cache_control') && body.contains('1h') ? '1h' : '5m',
    extraInputTokens: input.tokens,
    hiddenInputTokens: hiddenTokens(tools.length > 0, [model, ...(Array.isArray(others) ? others : [])]),
    hostedInputTokens: toolTokens(tools, model),
    storedInput: input.stored,
    soundInput: input.sound,
    webSearches: Math.max(
      searching ? Math.min(SEARCHES, bounded ?? SEARCHES) : 0,
      routerSearches(body, [model, ...(Array.isArray(others) ? others : [])]),
    ),
    searchInputTokens: SEARCH_TOKENS,
    uses: usesOf(tools),
    passes: tools.filter(({ type }) => type === 'image_generation').map(picture),
  };
}

/** Stored input is billed like sent input, and can be as long as the model takes. */
export function storedTokens(model: string | null): number {
  return contextTokens(model, LARGEST_CONTEXT);
}

/** `models`: all that may answer. */
function hiddenTokens(hasTools: boolean, models: readonly unknown[]): HiddenTokens {
  const { atVendor, elsewhere } = HIDDEN_TOKENS;
  const grok = models.some((name) => typeof name === 'string' && /grok/i.test(name));
  return {
    atVendor: atVendor.always + (hasTools ? atVendor.withTools : 0),
    elsewhere: elsewhere.always + (hasTools ? elsewhere.withTools : 0) + (grok ? elsewhere.grok : 0),
  };
}

/** Tools may also stand in the input, as Codex sends them to its newer models. */
function allTools(body: JsonFields): JsonRecord[] {
  const tools = records(body.get('tools'));
  if (!body.contains('additional_tools')) return tools;
  const added = records(body.get('input')).filter(({ type }) => type === 'additional_tools');
  return [...tools, ...added.flatMap((item) => records(item['tools']))];
}

function hasSearch(tools: readonly JsonRecord[]): boolean {
  return tools.some(({ type }) => text(type)?.includes('web_search') === true);
}

/**
 * OpenRouter's web plug-in, which `:online` behind a model's name stands for, is billed by the result: what five of
 * them cost, as many as it has by default, is two searches of the tool (openrouter.ai/docs/features/web-search).
 */
function routerSearches(body: JsonFields, models: readonly unknown[]): number {
  const online = models.some((name) => typeof name === 'string' && name.endsWith(':online'));
  if (!online && !body.has('plugins')) return 0;
  const results = records(body.get('plugins')).map((plugin) => reported(plugin['max_results']) ?? 5);
  return Math.ceil(0.4 * Math.max(5, ...results));
}

/** Signs that a body may show more bytes, or fewer, than it has tokens; a tool's schema can bring one about too. */
const SIGNS = [
  'image_url',
  'input_image',
  'computer_screenshot',
  'image_generation_call',
  'input_audio',
  'file',
  'input_file',
  'item_reference',
] as const;

interface Attachments {
  tokens: number;
  stored: boolean;
  sound: boolean;
}

/**
 * Tokens of images, sound and files, less the bytes that show them. The input is parsed only where one of the signs
 * stands in the body at all. An image anywhere counts; its bytes are taken off only where the protocol has images, for
 * in a tool's arguments they are text.
 */
function attachments(body: JsonFields, model: string | null): Attachments {
  if (!SIGNS.some((sign) => body.contains(sign))) return { tokens: 0, stored: false, sound: false };
  let tokens = 0;
  let stored = false;
  let sound = false;
  const content = [body.get('messages'), body.get('input')];
  for (const part of objectsIn(content)) {
    switch (part['type']) {
      case 'image_url':
      case 'input_image':
      case 'computer_screenshot':
        tokens += openaiImageTokens(model, sizeOf(imageData(part)));
        break;
      case 'image_generation_call':
        tokens += openaiImageTokens(model, sizeOf(text(part['result'])));
        break;
      case 'input_audio': {
        const data = text(record(part['input_audio'])['data']) ?? '';
        tokens += soundTokens(data.length, String(record(part['input_audio'])['format']));
        sound = true;
        break;
      }
      // A page of a file is text and an image; stored items are input as long as they were, of any kind.
      case 'file':
      case 'input_file':
      case 'item_reference':
        tokens += storedTokens(model);
        stored = true;
        sound ||= part['type'] === 'item_reference';
        break;
    }
  }
  return { tokens: tokens - shownBytes(content), stored, sound };
}

/** Bytes of images and sound in the places where the protocols have them. */
function shownBytes(content: readonly unknown[]): number {
  let bytes = 0;
  for (const item of content.flatMap(records)) {
    const parts = [...records(item['content']), ...records(item['output']), record(item['output'])];
    for (const part of parts) {
      const data = imageData(part);
      const sound = part['type'] === 'input_audio' ? text(record(part['input_audio'])['data']) : null;
      bytes += (data?.startsWith('data:image/') === true ? data.length : 0) + (sound?.length ?? 0);
    }
    if (item['type'] === 'image_generation_call') bytes += text(item['result'])?.length ?? 0;
  }
  return bytes;
}

/** The address or data URL of an image part, which the two protocols nest differently. */
function imageData(part: JsonRecord): string | null {
  if (!['image_url', 'input_image', 'computer_screenshot'].includes(String(part['type']))) return null;
  return text(part['image_url']) ?? text(record(part['image_url'])['url']);
}

function sizeOf(data: string | null) {
  return data === null || /^https?:/i.test(data) ? null : imageSize(data);
}

/**
 * Input that hosted tools can add. File search returns up to 50 chunks of up to 4,096 tokens
 * (guides/tools-file-search); what an MCP server or an interpreter returns has no published maximum.
 */
function toolTokens(tools: readonly JsonRecord[], model: string | null): number {
  const tokens = tools.reduce((sum, { type }) => {
    const name = text(type) ?? '';
    if (name === 'file_search') return sum + 50 * 4_096;
    return /^(mcp|code_interpreter|shell|computer|x_search|collections_search)/.test(name)
      ? sum + 200_000
      : sum;
  }, 0);
  return Math.min(tokens, storedTokens(model));
}

/** Calls of one tool in one answer. No maximum is published. */
const USES = 10;

const noUses: AllowedUses = { fileSearches: 0, codeSessions: 0, xSearches: 0 };

function usesOf(tools: readonly JsonRecord[]): AllowedUses {
  if (tools.length === 0) return noUses;
  const has = (name: string) => (tools.some(({ type }) => text(type)?.startsWith(name) === true) ? USES : 0);
  return {
    fileSearches: has('file_search') + has('collections_search'),
    // One container, which is kept for all calls of an answer.
    codeSessions: Math.min(1, has('code_interpreter') + has('shell')),
    xSearches: has('x_search'),
  };
}

function picture(tool: JsonRecord): AllowedPass {
  // The default the API reference gives for the tool's model.
  return { model: text(tool['model']) ?? 'gpt-image-1', readsInput: false, ...PICTURE };
}

/** The edit of the model's name, where it is another. */
export function modelEdit(body: JsonFields, { model }: RequestChange): JsonEdit[] {
  if (model === undefined || body.get('model') === model) return [];
  return [{ path: ['model'], json: JSON.stringify(model) }];
}
