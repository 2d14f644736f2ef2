/** What requests of the OpenAI protocols have in common: numbers of any type, tools, and what their input may hide. */
import type { JsonFields } from '../json.ts';
import type { RequestFacts } from './dialect.ts';
import { count, isRecord, objectsIn, text } from './values.ts';

/** The largest context window of an OpenAI model (GPT-5.4 and later, platform.openai.com/docs/models). */
export const CONTEXT_TOKENS = 1_050_000;

/**
 * Tokens one image can cost: 10,000 patches at detail `original`; gpt-4o-mini counts 2,833 and 5,667 for each of up to
 * eight tiles (platform.openai.com/docs/guides/images-vision, "Calculating costs"). A small file can be a large image.
 */
const IMAGE_TOKENS = 12_000;
const IMAGE_TOKENS_4O_MINI = 2_833 + 8 * 5_667;

/** What a search puts into the input; one of the recorded answers grew by 11,000 tokens a search. */
const SEARCH_TOKENS = 16_000;

/** No maximum is published for searches in one answer; requests that say `max_tool_calls` are held to it. */
const SEARCHES = 10;

/** The fields that mean the same in every OpenAI protocol. */
export function commonFacts(body: JsonFields): RequestFacts {
  return {
    model: text(body.get('model')),
    stream: body.get('stream') === true,
    maxOutputTokens: null,
    choices: 1,
    serviceTier: text(body.get('service_tier')),
    // Newer models write the cache unasked and bill it (`cache_write_tokens`); routers pass Anthropic's markers on.
    cacheWrites: body.contains('"cache_control"') && body.contains('"1h"') ? '1h' : '5m',
    extraInputTokens: 0,
    webSearches: 0,
    notMetered: null,
  };
}

/**
 * Tokens of what the body only points at, or shows in fewer bytes than tokens; never more than a context window. The
 * input is parsed only where one of the words stands in the body at all, which a tool's schema can bring about too.
 */
export function attachmentTokens(body: JsonFields, model: string | null): number {
  if (
    !['"image_url"', '"input_image"', '"file"', '"input_file"', '"item_reference"'].some((sign) =>
      body.contains(sign),
    )
  ) {
    return 0;
  }
  const imageTokens = model?.includes('gpt-4o-mini') === true ? IMAGE_TOKENS_4O_MINI : IMAGE_TOKENS;
  let tokens = 0;
  for (const part of objectsIn([body.get('messages'), body.get('input')])) {
    if (part['type'] === 'image_url' || part['type'] === 'input_image') tokens += imageTokens;
    // A page of a file is text and an image; stored items are input as long as they were.
    else if (['file', 'input_file', 'item_reference'].includes(String(part['type'])))
      tokens += CONTEXT_TOKENS;
  }
  return Math.min(tokens, CONTEXT_TOKENS);
}

/** Searches that the hosted tools of a request allow, and the input they and the other hosted tools can add. */
export function hostedTools(body: JsonFields): { webSearches: number; inputTokens: number } {
  const tools: unknown = body.get('tools');
  const types = (Array.isArray(tools) ? tools : []).map((tool) =>
    isRecord(tool) ? (text(tool['type']) ?? '') : '',
  );
  const searching =
    types.some((type) => type.includes('web_search')) || isRecord(body.get('web_search_options'));
  const webSearches = searching ? Math.min(SEARCHES, count(body.get('max_tool_calls')) ?? SEARCHES) : 0;
  const inputTokens = webSearches * SEARCH_TOKENS + types.reduce((sum, type) => sum + toolTokens(type), 0);
  return { webSearches, inputTokens: Math.min(inputTokens, CONTEXT_TOKENS) };
}

/**
 * File search returns up to 50 chunks of up to 4,096 tokens (guides/tools-file-search); what an MCP server or an
 * interpreter returns has no published maximum.
 */
function toolTokens(type: string): number {
  if (type === 'file_search') return 50 * 4_096;
  if (type === 'mcp' || type.startsWith('code_interpreter') || type.startsWith('computer')) return 200_000;
  return 0;
}
