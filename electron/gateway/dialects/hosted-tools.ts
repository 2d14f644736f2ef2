/** Uses of the tools that a provider runs itself in a Responses answer, as far as they have a fee by the piece. */
import type { TokenUsage } from './dialect.ts';
import { record, records, reported, text, type JsonRecord } from './values.ts';

export type ToolUses = Pick<
  TokenUsage,
  'webSearches' | 'fileSearches' | 'codeSessions' | 'xSearches' | 'otherTools'
>;

/** As the provider counts them; null where it does not. */
export function countedTools(response: JsonRecord, usage: JsonRecord): Partial<ToolUses> {
  const xai = record(usage['server_side_tool_usage_details']);
  const searches =
    reported(record(record(response['tool_usage'])['web_search'])['num_requests']) ??
    reported(xai['web_search_calls']);
  if (Object.keys(xai).length === 0) return searches === undefined ? {} : { webSearches: searches };
  const count = (...names: string[]) => names.reduce((sum, name) => sum + (reported(xai[name]) ?? 0), 0);
  return {
    webSearches: searches ?? 0,
    xSearches: count('x_search_calls'),
    codeSessions: count('code_interpreter_calls'),
    fileSearches: count('file_search_calls', 'collections_search_calls'),
    otherTools: count('document_search_calls', 'attachment_search_calls', 'image_generation_calls'),
  };
}

/** As the calls among the output's items show them. */
export function toolsIn(items: readonly JsonRecord[]): ToolUses {
  const ofType = (type: string) => items.filter((item) => item['type'] === type);
  // A container is paid for once, however often code runs in it.
  const containers = new Set(ofType('code_interpreter_call').map((item) => text(item['container_id'])));
  return {
    webSearches: ofType('web_search_call').filter(isSearch).length,
    fileSearches: ofType('file_search_call').length,
    codeSessions: containers.size,
    xSearches: ofType('x_search_call').length,
    otherTools: 0,
  };
}

/** Opening a page and finding in one are calls of the same tool that are not billed. */
const isSearch = (item: JsonRecord) => (text(record(item['action'])['type']) ?? 'search') === 'search';

const LARGEST_CONTAINER = 64;

/**
 * Gigabytes of the largest container that the tools may have: it costs as many times what the smallest does
 * (guides/tools-code-interpreter, `memory_limit`; pricing, "Containers").
 */
export function containerSize(tools: readonly JsonRecord[]): number {
  const sizes = tools.map((tool) => {
    const limit = record(tool['container'])['memory_limit'] ?? record(tool['environment'])['memory_limit'];
    return Number(/^(\d+)g$/i.exec(text(limit) ?? '')?.[1] ?? 1);
  });
  return Math.min(LARGEST_CONTAINER, Math.max(1, ...sizes));
}

/** The names stand in the text of an answer whose output has such calls. */
export const toolCallNames = [
  'web_search_call',
  'file_search_call',
  'code_interpreter_call',
  'x_search_call',
] as const;

/** The older version of the search tool, which has a price of its own at some models. */
export function usesPreviewSearch(response: JsonRecord): boolean {
  return records(response['tools']).some((tool) => text(tool['type'])?.startsWith('web_search_preview'));
}
