/** OpenAI Chat Completions and the older Completions, and what the many servers that speak them make of it. */
import type { DialectId } from '#shared/model.ts';
import type { JsonEdit, JsonFields } from '../base/json.ts';
import type {
  AllowedPass,
  AnswerFacts,
  AnswerReader,
  Dialect,
  EventVerdict,
  ReaderOptions,
  RequestChange,
  RequestFacts,
  TokenUsage,
} from './dialect.ts';
import { commonFacts, isDeepResearch, modelEdit, thinkingEdits } from './openai-request.ts';
import { openaiRefusal } from './refusal.ts';
import { RepeatedEvent } from './repeated-event.ts';
import {
  emptyFacts,
  gatewaySearches,
  isTold,
  isZero,
  readGatewayCost,
  readReportedCost,
  see,
  tokenUsage,
} from './usage.ts';
import {
  isAsked,
  isRecord,
  isWithin,
  largest,
  largestAboveZero,
  modelName,
  parseEvent,
  positive,
  record,
  records,
  reported,
  text,
  textLength,
  type JsonRecord,
} from './values.ts';

export const openaiChat: Dialect = chatDialect('openai-chat', readChat);
export const openaiCompletions: Dialect = chatDialect('openai-completions', readCompletions);

function chatDialect(id: DialectId, read: (body: JsonFields) => RequestFacts): Dialect {
  return {
    id,
    read,
    edits,
    reader: (options) => new ChatReader(options),
    refusal: (refusal, request) => openaiRefusal(refusal, request),
  };
}

function readChat(body: JsonFields): RequestFacts {
  const facts = commonFacts(body);
  return {
    ...facts,
    maxOutputTokens: largestAboveZero(body.get('max_completion_tokens'), body.get('max_tokens')),
    choices: positive(body.get('n')),
    webSearches: searchesOnce(body, facts.model) ? 1 : facts.webSearches,
    passes: [...facts.passes, ...uncountedOutput(body, facts.model)],
    notMetered:
      // xAI, deferred chat completions: the answer, and its usage, are fetched later by another call.
      isAsked(body.get('deferred'))
        ? 'Deferred completions are fetched later, where their cost cannot be metered: leave out "deferred".'
        : null,
  };
}

/** Reasoning of one piece of deep research beside its answer: up to 194,000 tokens in Perplexity's examples. */
const DEEP_RESEARCH_REASONING = 250_000;

/** More than any model thinks before it answers, whatever number a request says. */
const MOST_THINKING = 1_000_000;

/** Output that is billed and that the output bound does not bound. */
function uncountedOutput(body: JsonFields, model: string | null): AllowedPass[] {
  const passOf = (outputTokens: number) => ({ model: null, readsInput: false, inputTokens: 0, outputTokens });
  const passes: AllowedPass[] = [];
  // What the model did not take over of a prediction is billed as output (guides/predicted-outputs).
  const prediction = body.get('prediction');
  if (isRecord(prediction)) passes.push(passOf(Buffer.byteLength(JSON.stringify(prediction))));
  // Servers of Qwen bound the answer alone by `max_tokens`, and the thinking before it by this.
  const thinking = reported(body.get('thinking_budget')) ?? 0;
  if (thinking > 0) passes.push(passOf(Math.min(thinking, MOST_THINKING)));
  if (isDeepResearch(model)) passes.push(passOf(DEEP_RESEARCH_REASONING));
  return passes;
}

function readCompletions(body: JsonFields): RequestFacts {
  const prompt = body.get('prompt');
  const prompts = Array.isArray(prompt) && prompt.some((one) => typeof one !== 'number') ? prompt.length : 1;
  return {
    ...commonFacts(body),
    // The API reference gives 16 as the default of this endpoint alone; servers that copy it differ, so none is assumed.
    maxOutputTokens: largest(body.get('max_tokens')),
    // `best_of` completions are generated, and billed, whatever number of them comes back; each prompt has its own.
    choices: positive(body.get('n'), body.get('best_of')) * Math.max(1, prompts),
  };
}

/**
 * Models that search by themselves, once for each request, whatever options they are given for it. Perplexity's bill
 * the request instead, whose fee may not be known.
 */
function searchesOnce(body: JsonFields, model: string | null): boolean {
  const byItself = searchesUncounted(model) > 0 || /(^|\/)sonar(-(pro|reasoning)|$)/.test(model ?? '');
  return byItself && !body.has('tools') && !body.has('plugins');
}

/** Models that search once for each request and do not say so in the answer. */
function searchesUncounted(model: string | null): number {
  return /-search-(preview|api)/.test(model ?? '') ? 1 : 0;
}

/** Providers that know `max_completion_tokens`; all the others know `max_tokens`, and some refuse what they do not know. */
const newerBound: ReadonlySet<string> = new Set(['openai', 'openrouter', 'llmgateway', 'groq', 'xai']);

function edits(body: JsonFields, change: RequestChange): JsonEdit[] {
  const result = modelEdit(body, change);
  // Mistral reports usage unasked and refuses fields it does not know, this one included.
  if (change.includeUsage === true && change.vendor !== 'mistral') {
    if (record(body.get('stream_options'))['include_usage'] !== true) {
      result.push({ path: ['stream_options', 'include_usage'], json: 'true' });
    }
  }
  if (change.maxOutputTokens !== undefined)
    result.push(...boundEdits(body, change.maxOutputTokens, change.vendor));
  return [...result, ...thinkingEdits(body, change.maxOutputTokens)];
}

/** Lowers whichever bound the client set, and never raises one; adds one where it set none. */
function boundEdits(body: JsonFields, bound: number, vendor: string | undefined): JsonEdit[] {
  const used = ['max_completion_tokens', 'max_tokens'].filter((name) => (body.get(name) ?? null) !== null);
  if (used.length === 0) used.push(defaultBound(body, vendor));
  return used
    .filter((name) => !isWithin(body.get(name), bound))
    .map((name) => ({ path: [name], json: String(bound) }));
}

function defaultBound(body: JsonFields, vendor: string | undefined): string {
  if (body.has('prompt') && !body.has('messages')) return 'max_tokens';
  // Of the two it is the one that is taken beside a prediction (guides/predicted-outputs, "Limitations").
  if (isRecord(body.get('prediction'))) return 'max_tokens';
  // OpenAI's reasoning models refuse the older name, whoever serves them.
  if (/(^|\/)(o\d|gpt-[5-9])/.test(text(body.get('model')) ?? '')) return 'max_completion_tokens';
  return vendor === undefined || newerBound.has(vendor) ? 'max_completion_tokens' : 'max_tokens';
}

const searchContexts = ['low', 'medium', 'high'] as const;

class ChatReader implements AnswerReader {
  readonly facts: AnswerFacts;
  finished = false;
  readonly #vendor: string;
  readonly #asked: string | null;
  readonly #hideUsage: boolean;
  readonly #repeated = new RepeatedEvent();
  /** Tools that Groq ran itself: it has fees for some, and counts none. */
  #toolsRun = 0;

  constructor(options: ReaderOptions) {
    this.facts = emptyFacts(options.keepText);
    this.#vendor = options.vendor;
    this.#asked = options.model ?? null;
    this.#hideUsage = options.hideUsage;
  }

  event(data: string, type: string | undefined): EventVerdict {
    const repeated = this.#repeated.textOf(data, type);
    if (repeated !== null) {
      see(this.facts, repeated);
      return 'pass';
    }
    if (data.trimEnd() === '[DONE]') {
      this.finished = true;
      this.facts.usageIsFinal = this.facts.usage !== null;
      return 'last';
    }
    const chunk = parseEvent(data);
    if (chunk === null) return 'pass';
    this.#head(chunk);
    if (type === 'error') this.#fail();
    const choices = records(chunk['choices']);
    const { outputChars, outputCalls } = this.facts;
    for (const choice of choices) this.#choice(choice);

    const usage = chunkUsage(chunk, choices);
    const isUsageAlone = choices.length === 0 && isRecord(usage) && !isRecord(chunk['error']);
    if (isRecord(usage)) {
      this.#usage(usage);
      this.facts.usageIsFinal = this.finished || isUsageAlone;
    } else if (!this.finished && choices.length > 0) {
      this.facts.usageIsFinal = false;
    }
    // What else such a chunk can hold is set by the second of two in the way the first has set it.
    const content = contentOf(chunk);
    const saysThatAlone =
      typeof content === 'string' &&
      this.facts.outputChars - outputChars === content.length &&
      this.facts.outputCalls === outputCalls;
    if (saysThatAlone && !this.finished && !isRecord(usage))
      this.#repeated.learn(data, type, content, contentOf);
    return isUsageAlone && this.#hideUsage ? 'hide' : 'pass';
  }

  answer(fields: JsonFields): void {
    this.#head({
      model: fields.get('model'),
      service_tier: fields.get('service_tier'),
      error: fields.get('error'),
      object: fields.get('object'),
    });
    if (fields.contains('provider_metadata')) {
      for (const choice of records(fields.get('choices')))
        readGatewayCost(this.facts, record(choice['message'])['provider_metadata']);
    }
    if (fields.contains('executed_tools')) {
      for (const choice of records(fields.get('choices'))) this.#readTools(record(choice['message']));
    }
    const usage = fields.get('usage');
    if (isRecord(usage)) this.#usage(usage);
    this.facts.usageIsFinal = this.facts.usage !== null;
    if (this.facts.usage === null) this.facts.outputChars = textLength(fields.get('choices'));
    this.finished = true;
  }

  ending(message: string, code: 'limit_reached' | 'stopped' | 'upstream'): string {
    // Continue sends the request ten more times for the type `server_error`, opencode five more for that word anywhere.
    const reason = code === 'upstream' ? 'upstream_gone' : 'insufficient_quota';
    const error = JSON.stringify({ error: { message, type: reason, param: null, code: reason } });
    return `data: ${error}\n\ndata: [DONE]\n\n`;
  }

  #head(chunk: JsonRecord): void {
    this.facts.model = modelName(chunk['model']) ?? this.facts.model;
    this.facts.serviceTier = text(chunk['service_tier']) ?? this.facts.serviceTier;
    const { error } = chunk;
    // vLLM's older form of an error is an object of that name.
    if (isRecord(error) || text(error) !== null || chunk['object'] === 'error') this.#fail();
  }

  /** An error inside a successful stream ends it; most providers send no [DONE] behind it. */
  #fail(): void {
    this.facts.failed = true;
    this.finished = true;
  }

  #choice(choice: JsonRecord): void {
    const delta = record(choice['delta']);
    readGatewayCost(this.facts, delta['provider_metadata']);
    this.#readTools(delta);
    const { content } = delta;
    // Mistral's thinking models send the content in parts.
    if (typeof content !== 'string') this.facts.outputChars += textLength(content);
    see(this.facts, choice['text'], content, delta['refusal']);
    // The same thinking under the names of vLLM and DeepSeek, of Groq and OpenRouter; never both are counted.
    see(this.facts, text(delta['reasoning_content']) ?? delta['reasoning']);
    see(this.facts, record(delta['function_call'])['arguments'], record(delta['audio'])['transcript']);
    for (const call of records(delta['tool_calls'])) {
      const called = record(call['function']);
      if (text(called['name']) !== null) this.facts.outputCalls++;
      see(this.facts, called['name'], called['arguments']);
    }
    if (text(choice['finish_reason']) !== null) this.finished = true;
  }

  #readTools(message: JsonRecord): void {
    this.#toolsRun = Math.max(this.#toolsRun, records(message['executed_tools']).length);
  }

  #usage(usage: JsonRecord): void {
    if (!isTold(usage)) return readReportedCost(this.facts, usage);
    const model = this.facts.model ?? this.#asked;
    const counts = chatUsage(usage, this.#vendor, model);
    if (this.facts.usage !== null && isZero(counts)) return;
    readReportedCost(this.facts, usage);
    const webSearches = searchesUncounted(model) + gatewaySearches(this.facts, usage);
    this.facts.usage = { ...counts, webSearches, otherTools: this.#toolsRun };
    const searchContext = searchContexts.find((size) => size === usage['search_context_size']);
    if (searchContext !== undefined) this.facts.terms = { searchContext };
  }
}

function contentOf(chunk: JsonRecord): unknown {
  return record(records(chunk['choices'])[0]?.['delta'])['content'];
}

/**
 * The usage a chunk carries. Groq has it under a name of its own as well, and there alone where the client did not ask
 * for it; Moonshot puts it into the choice.
 */
function chunkUsage(chunk: JsonRecord, choices: readonly JsonRecord[]): unknown {
  if (isRecord(chunk['usage'])) return chunk['usage'];
  return record(chunk['x_groq'])['usage'] ?? choices.find((choice) => isRecord(choice['usage']))?.['usage'];
}

/**
 * Usage as Chat Completions and Embeddings report it, under all the names that servers give the same counts.
 * `total_tokens` tells where a provider leaves a part out of its two totals: xAI its reasoning, Mistral its audio,
 * Gemini its thinking.
 */
export function chatUsage(usage: JsonRecord, vendor: string, model: string | null): TokenUsage {
  const input = record(usage['prompt_tokens_details'] ?? usage['input_tokens_details']);
  const output = record(usage['completion_tokens_details'] ?? usage['output_tokens_details']);
  const total = reported(usage['total_tokens']);
  const hit = reported(usage['prompt_cache_hit_tokens']); // DeepSeek
  const missed = reported(usage['prompt_cache_miss_tokens']);
  let completion = reported(usage['completion_tokens'] ?? usage['output_tokens']) ?? 0;
  let prompt =
    reported(usage['prompt_tokens'] ?? usage['input_tokens']) ??
    (hit === undefined && missed === undefined ? undefined : (hit ?? 0) + (missed ?? 0)) ??
    Math.max(0, (total ?? 0) - completion);
  // Where a part of the total has no name, the completion is what is left of it.
  if (total !== undefined && (usage['completion_tokens'] ?? usage['output_tokens'] ?? null) === null)
    completion = Math.max(0, total - prompt);
  let reasoning = reported(output['reasoning_tokens']) ?? reported(usage['reasoning_tokens']) ?? 0;
  const audio = reported(input['audio_tokens']) ?? 0;

  let missing = total === undefined ? 0 : total - prompt - completion;
  const isGoogle = vendor === 'gemini' || /\bgem(ini|ma)-/.test(model ?? '');
  // Where DeepInfra serves Google's models the total lacks the reasoning too: it is more than all that was completed.
  const reasoningLeftOut =
    reasoning > 0 &&
    (missing >= reasoning ||
      (isGoogle && reasoning > completion) ||
      (vendor === 'xai' && total === undefined));
  if (reasoningLeftOut) {
    completion += reasoning;
    missing -= reasoning;
  }
  if (audio > 0 && missing >= audio) {
    prompt += audio;
    missing -= audio;
  }
  if (missing > 0 && isGoogle) {
    completion += missing;
    reasoning += missing;
  }

  const split = record(input['cache_creation']); // Alibaba, for its Anthropic-like explicit caches
  return tokenUsage({
    inputTokens: prompt,
    cachedInputTokens: Math.max(
      reported(input['cached_tokens']) ?? 0,
      hit ?? 0,
      reported(usage['cached_tokens']) ?? 0, // Moonshot, Together
      reported(usage['num_cached_tokens']) ?? 0, // Mistral
      reported(usage['cache_read_input_tokens']) ?? 0, // LiteLLM
    ),
    cacheWriteTokens:
      reported(input['cache_write_tokens']) ?? // OpenAI, OpenRouter
      reported(input['cache_creation_input_tokens']) ?? // Alibaba
      reported(input['cache_creation_tokens']) ?? // LiteLLM
      reported(usage['cache_creation_input_tokens']) ??
      0,
    cacheWrite1hTokens: reported(split['ephemeral_1h_input_tokens']) ?? 0,
    audioInputTokens: audio,
    cachedAudioInputTokens: reported(record(input['cached_tokens_details'])['audio_tokens']) ?? 0,
    imageInputTokens: reported(input['image_tokens']) ?? 0,
    outputTokens: completion,
    reasoningTokens: reasoning,
    audioOutputTokens: reported(output['audio_tokens']) ?? 0,
    imageOutputTokens: reported(output['image_tokens']) ?? 0,
  });
}
