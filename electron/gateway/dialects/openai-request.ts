/** What requests of the OpenAI protocols have in common: numbers of any type, tools, and what their input may hide. */
import type { JsonEdit, JsonFields } from '../base/json.ts';
import {
  nothingAsked,
  type AllowedPass,
  type AllowedUses,
  type HiddenTokens,
  type RequestChange,
  type RequestFacts,
} from './dialect.ts';
import { containerSize } from './hosted-tools.ts';
import { imageSize, openaiImageTokens, soundTokens } from './media.ts';
import { contextTokens, modelLimits } from './model-limits.ts';
import { isRecord, objectsIn, record, records, reported, text, type JsonRecord } from './values.ts';

/** The largest context window of an OpenAI model (GPT-5.4 and later, platform.openai.com/docs/models). */
const LARGEST_CONTEXT = 1_050_000;

/** What a search puts into the input; one of the recorded answers grew by 11,000 tokens a search. */
const SEARCH_TOKENS = 16_000;

/**
 * Calls of hosted tools, searches among them, in one answer. No maximum is published; requests that say
 * `max_tool_calls` are held to it, and those that say a million to what no answer reaches.
 */
const CALLS = 10;
const MOST_CALLS = 1_000;

/** Deep research searches by the dozen: 18 to 28 times in Perplexity's examples, more at OpenAI. */
const DEEP_RESEARCH_CALLS = 50;

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
  const bounded = reported(body.get('max_tool_calls')) ?? null;
  const input = attachments(body, model);
  const hosted = hostedTokens(tools, model);
  return {
    ...nothingAsked,
    model,
    stream: body.get('stream') === true,
    leastOutputTokens: thinkingBudgets(body).length > 0 ? LEAST_THINKING + LEAST_ANSWER : 1,
    serviceTier: text(body.get('service_tier')),
    // Newer models write the cache unasked and bill it (`cache_write_tokens`); routers pass Anthropic's markers on.
    cacheWrites: body.contains('cache_control') && body.contains('1h') ? '1h' : '5m',
    extraInputTokens: input.tokens,
    hiddenInputTokens: hiddenTokens(tools.length > 0, [model, ...(Array.isArray(others) ? others : [])]),
    hostedInputTokens: hosted + computerTokens(tools),
    // A stored prompt is allowed for with a whole window already, in which there is room for what its tools do.
    inputReadings: hosted === 0 || hasStoredPrompt(body) ? 1 : 1 + Math.min(bounded ?? CALLS, MOST_CALLS),
    storedInput: input.stored,
    soundInput: input.sound,
    webSearches: Math.max(
      searching ? Math.min(bounded ?? callsOf(model), MOST_CALLS) : 0,
      routerSearches(body, [model, ...(Array.isArray(others) ? others : [])]),
    ),
    searchInputTokens: SEARCH_TOKENS,
    uses: usesOf(tools, Math.min(bounded ?? CALLS, MOST_CALLS)),
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

export function isDeepResearch(model: string | null): boolean {
  return model?.includes('deep-research') === true;
}

function callsOf(model: string | null): number {
  return isDeepResearch(model) ? DEEP_RESEARCH_CALLS : CALLS;
}

/** What a stored prompt may have among its settings, which the request does not show (guides/prompting). */
const STORED_TOOLS: readonly JsonRecord[] = [
  'web_search',
  'file_search',
  'code_interpreter',
  'image_generation',
].map((type) => ({ type }));

const hasStoredPrompt = (body: JsonFields) => isRecord(body.get('prompt'));

/** Tools may also stand in the input, as Codex sends them to its newer models, and in a stored prompt. */
function allTools(body: JsonFields): JsonRecord[] {
  const tools = records(body.get('tools'));
  if (hasStoredPrompt(body)) tools.push(...STORED_TOOLS);
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
  'audio',
  'audio_url',
  'video_url',
  'input_video',
  'document_url',
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
  // A preset of OpenRouter brings a system prompt along that the request does not show.
  const preset = text(body.get('preset')) !== null;
  // Requests that are not to be stored, such as those of Codex, carry their reasoning, encrypted.
  const remembers = body.has('input') && body.get('store') !== false && body.contains('reasoning');
  if (!preset && !remembers && !SIGNS.some((sign) => body.contains(sign)))
    return { tokens: 0, stored: false, sound: false };
  let tokens = preset ? storedTokens(model) : 0;
  let stored = preset;
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
        const data = text(part['input_audio']) ?? text(record(part['input_audio'])['data']) ?? '';
        tokens += isLink(data)
          ? storedTokens(model)
          : soundTokens(data.length, String(record(part['input_audio'])['format']));
        sound = true;
        break;
      }
      // Billed as input for as long as the answer goes on with the tools' results (guides/reasoning).
      case 'reasoning':
        if (text(part['encrypted_content']) !== null || text(part['id']) === null) break;
        tokens += modelLimits(model ?? '').outputTokens;
        stored = true;
        break;
      // A page of a file is text and an image; a film or stored items are input as long as they were, of any kind.
      case 'audio_url':
      case 'video_url':
      case 'input_video':
      case 'document_url':
      case 'file':
      case 'input_file':
      case 'item_reference':
        tokens += storedTokens(model);
        stored = true;
        sound ||= !/file|document/.test(part['type']);
        break;
    }
    // What a model said earlier, by the name its sound is stored under (guides/audio).
    if (part['role'] === 'assistant' && text(record(part['audio'])['id']) !== null) {
      tokens += modelLimits(model ?? '').outputTokens;
      stored = sound = true;
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

const isLink = (data: string) => /^[a-z][a-z\d+.-]*:\/\//i.test(data);

function sizeOf(data: string | null) {
  return data === null || isLink(data) ? null : imageSize(data);
}

/**
 * Input that hosted tools can add. File search returns up to 50 chunks of up to 4,096 tokens
 * (guides/tools-file-search); what an MCP server or an interpreter returns has no published maximum.
 */
function hostedTokens(tools: readonly JsonRecord[], model: string | null): number {
  // Groq's agents have their tools unasked (docs/compound).
  let tokens = /(^|\/)compound/.test(model ?? '') ? UNBOUNDED_TOOL_TOKENS : 0;
  for (const { type } of tools) {
    const name = text(type) ?? '';
    if (name === 'file_search') tokens += 50 * 4_096;
    else if (unboundedTool.test(name)) tokens += UNBOUNDED_TOOL_TOKENS;
  }
  return Math.min(tokens, storedTokens(model));
}

const UNBOUNDED_TOOL_TOKENS = 200_000;

/** The client's own machine does what this tool says; what stays is its prompt, whose length is not published. */
function computerTokens(tools: readonly JsonRecord[]): number {
  return tools.some(({ type }) => text(type)?.startsWith('computer') === true) ? 4_000 : 0;
}

/** OpenRouter runs what is named after it. */
const unboundedTool =
  /^(mcp|code_interpreter|shell|x_search|collections_search|browser_search|openrouter:(?!web_search|datetime))/;

const noUses: AllowedUses = { fileSearches: 0, codeSessions: 0, xSearches: 0 };

function usesOf(tools: readonly JsonRecord[], calls: number): AllowedUses {
  if (tools.length === 0) return noUses;
  const has = (name: string) => (tools.some(({ type }) => text(type)?.startsWith(name) === true) ? calls : 0);
  return {
    fileSearches: has('file_search') + has('collections_search'),
    // One container, which is kept for all calls of an answer.
    codeSessions: Math.min(1, has('code_interpreter') + has('shell')) * containerSize(tools),
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

/** Anthropic's least budget, which routers and its own compatible endpoint pass on, and an answer beside it. */
const LEAST_THINKING = 1_024;
const LEAST_ANSWER = 256;

/** Thinking budgets in tokens: OpenRouter's (guides/reasoning-tokens), and Anthropic's own as extra field. */
function thinkingBudgets(body: JsonFields): { path: [string, string]; budget: number }[] {
  const paths: [string, string][] = [
    ['reasoning', 'max_tokens'],
    ['thinking', 'budget_tokens'],
  ];
  return paths.flatMap((path) => {
    const budget = reported(record(body.get(path[0]))[path[1]]) ?? 0;
    return budget > 0 ? [{ path, budget }] : [];
  });
}

/** A thinking budget that is not below the output bound would turn the request the key can still pay for into an error. */
export function thinkingEdits(body: JsonFields, bound: number | undefined): JsonEdit[] {
  if (bound === undefined || bound <= LEAST_THINKING) return [];
  const lowered = Math.max(LEAST_THINKING, Math.floor(bound * 0.75));
  return thinkingBudgets(body)
    .filter(({ budget }) => budget >= bound)
    .map(({ path }) => ({ path, json: String(lowered) }));
}
