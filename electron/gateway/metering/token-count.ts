/**
 * The input of a request counted, for where its bytes are too coarse a bound: by the vocabulary of OpenAI's models in a
 * worker thread, by the free counting calls of Anthropic and Gemini. Both have little time; what cannot be counted in it
 * keeps its cheap bound.
 */
import { request as send, type Dispatcher } from 'undici';
import type { DialectId } from '#shared/model.ts';
import type { JsonFields } from '../base/json.ts';
import type { Provider } from '../config/providers.ts';
import { jsonOf, upstreamAddress } from '../upstream/upstream.ts';
import type { Vocabulary } from '../workers/token-worker.ts';
import type { VocabularyCounter } from './vocabulary-counter.ts';

export interface CountRequest {
  dialect: DialectId;
  provider: Provider;
  model: string;
  fields: JsonFields;
  /** The cheap bound in tokens, however few of them the window holds. */
  cheapTokens: number;
  /** A part of the input is not in the body, and can only be counted where it is. */
  stored: boolean;
  /** As they would travel with the request itself, the provider's credential among them. */
  headers: string[];
  query: string;
}

export interface TokenCounter {
  /** An upper bound of the input tokens, below the cheap one; null where there is none to be had. Never rejects. */
  count(request: CountRequest, signal: AbortSignal): Promise<number | null>;
}

/** A smaller bound costs so little that counting is not worth a call. */
const SMALLEST_BOUND = 4_096;

/** A count that is far below what bytes of text are in tokens is none to rely on. */
const BYTES_PER_TOKEN_AT_MOST = 20;

/** `timeoutMs`: what a request waits for a count at the most. */
export function createTokenCounter(
  agent: Dispatcher,
  vocabularies: VocabularyCounter,
  timeoutMs: number,
): TokenCounter {
  async function countBy(request: CountRequest, signal: AbortSignal): Promise<number | null> {
    const { dialect, provider, model, fields } = request;
    // A stored prompt is no field of the counting call.
    const countable = (fields.get('prompt') ?? null) === null;
    if (request.stored && countable && dialect === 'openai-responses' && provider.kind === 'openai')
      return withMargin(
        await ask(request, '/responses/input_tokens', responsesCount(request), 'input_tokens', signal),
      );
    if (dialect.startsWith('openai-')) {
      const found = vocabularyOf(model);
      if (found === null) return null;
      const fewer = await saved(vocabularies, found, textsIn(fields), signal);
      return fewer === null ? null : request.cheapTokens - fewer;
    }
    if (dialect === 'anthropic-messages' && provider.kind === 'anthropic')
      return withMargin(
        await ask(request, '/messages/count_tokens', messagesCount(request), 'input_tokens', signal),
      );
    if (dialect === 'gemini' && provider.kind === 'gemini')
      return withMargin(
        await ask(request, `/models/${model}:countTokens`, geminiCount(request), 'totalTokens', signal),
      );
    return null;
  }

  async function ask(
    { provider, headers, query }: CountRequest,
    path: string,
    body: object,
    field: string,
    signal: AbortSignal,
  ): Promise<number | null> {
    const address = upstreamAddress(provider, path, query.replace(/(^|&)alt=[^&]*/, ''));
    const answer = await send(`${address.origin}${address.path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      dispatcher: agent,
      signal,
    });
    const json = await jsonOf(answer.body);
    if (answer.statusCode !== 200 || typeof json !== 'object' || json === null) return null;
    const tokens: unknown = Reflect.get(json, field);
    return typeof tokens === 'number' && tokens > 0 ? tokens : null;
  }

  return {
    async count(request, signal) {
      if (request.cheapTokens < SMALLEST_BOUND) return null;
      try {
        const tokens = await countBy(request, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
        if (tokens === null) return null;
        const bytes = Math.min(request.cheapTokens, request.fields.bytes.length);
        const least = Math.ceil(bytes / BYTES_PER_TOKEN_AT_MOST);
        return Math.min(request.cheapTokens, Math.max(tokens, least));
      } catch {
        // Out of time, out of reach, or not understood: the cheap bound holds as well.
        return null;
      }
    },
  };
}

/** The calls count what was sent; the pages call it an estimate. */
function withMargin(tokens: number | null): number | null {
  return tokens === null ? null : Math.ceil(tokens * 1.03) + 64;
}

/** The fields that the counting call knows (api/messages/count_tokens); it refuses others. */
function messagesCount({ model, fields }: CountRequest): object {
  const names = [
    'messages',
    'system',
    'tools',
    'tool_choice',
    'thinking',
    'output_config',
    'output_format',
    'context_management',
    'mcp_servers',
    'cache_control',
  ];
  const present = names.filter((name) => fields.has(name));
  return { model, ...Object.fromEntries(present.map((name) => [name, fields.get(name)])) };
}

/** The fields that the counting call knows (api-reference/responses/input-tokens). */
function responsesCount({ model, fields }: CountRequest): object {
  const names = [
    'input',
    'instructions',
    'previous_response_id',
    'conversation',
    'tools',
    'tool_choice',
    'parallel_tool_calls',
    'reasoning',
    'text',
    'truncation',
  ];
  const present = names.filter((name) => fields.has(name));
  return { model, ...Object.fromEntries(present.map((name) => [name, fields.get(name)])) };
}

/** api/tokens: only the whole request counts instructions and tools too. */
function geminiCount({ model, fields }: CountRequest): object {
  const names = [
    'contents',
    'systemInstruction',
    'system_instruction',
    'tools',
    'toolConfig',
    'tool_config',
    'generationConfig',
    'cachedContent',
  ];
  const present = names.filter((name) => fields.has(name));
  return {
    generateContentRequest: {
      model: `models/${model}`,
      ...Object.fromEntries(present.map((name) => [name, fields.get(name)])),
    },
  };
}

interface Counting {
  vocabulary: Vocabulary;
  /** For what the provider adds to a text, and for vocabularies that are not published yet. */
  factor: number;
}

/** As tiktoken's `model.py` has them; null where the vocabulary is not public. */
export function vocabularyOf(model: string): Counting | null {
  const name = model.slice(model.lastIndexOf('/') + 1).replace(/^ft:/, '');
  if (/^(gpt-4o|chatgpt-4o|gpt-4\.[15]|o[134](-|$)|gpt-5|gpt-oss|codex)/.test(name))
    return { vocabulary: 'o200k_base', factor: 1.05 };
  if (/^gpt-(4|3\.?5)/.test(name)) return { vocabulary: 'cl100k_base', factor: 1.05 };
  return /^gpt-\d/.test(name) ? { vocabulary: 'o200k_base', factor: 1.4 } : null;
}

/**
 * The names and texts of a body, without what is no text: data URLs and other long runs without a space. What is left
 * out keeps its bytes as its bound.
 */
function textsIn(fields: JsonFields): string[] {
  const texts: string[] = [];
  const left: unknown[] = [
    'messages',
    'input',
    'instructions',
    'tools',
    'prompt',
    'text',
    'response_format',
  ].map((name) => fields.get(name));
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === 'string') {
      const isBlob =
        value.startsWith('data:') || (value.length > 2_048 && !value.slice(0, 2_048).includes(' '));
      if (value.length > 4 && !isBlob) texts.push(value);
    } else if (Array.isArray(value)) for (const item of value as unknown[]) left.push(item);
    else if (typeof value === 'object' && value !== null)
      left.push(...Object.keys(value), ...Object.values(value));
  }
  return texts;
}

/** Tokens around a text where it meets what stands before and behind it. */
const PER_TEXT = 2;

/** How many tokens fewer than bytes the texts have at least; null where they could not be counted in time. */
async function saved(
  counter: VocabularyCounter,
  { vocabulary, factor }: Counting,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<number | null> {
  const counts = await counter.count(vocabulary, texts, signal);
  if (counts === null) return null;
  const tokens = counts.reduce((sum, count) => sum + count, 0);
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return Math.max(0, bytes - Math.ceil(tokens * factor) - texts.length * PER_TEXT);
}
