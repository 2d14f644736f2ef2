/** OpenAI Responses, compaction included. */
import type { JsonEdit, JsonFields } from '../base/json.ts';
import type {
  AnswerFacts,
  AnswerReader,
  Dialect,
  EventVerdict,
  ExtraPass,
  ReaderOptions,
  RequestChange,
  RequestFacts,
  TokenUsage,
} from './dialect.ts';
import {
  containerSize,
  countedTools,
  toolCallNames,
  toolsIn,
  usesPreviewSearch,
  type ToolUses,
} from './hosted-tools.ts';
import { commonFacts, modelEdit, storedTokens, thinkingEdits } from './openai-request.ts';
import { openaiRefusal } from './refusal.ts';
import { emptyFacts, gatewaySearches, isTold, readReportedCost, see, tokenUsage } from './usage.ts';
import {
  count,
  isAsked,
  isRecord,
  isWithin,
  largestAboveZero,
  modelName,
  parseEvent,
  record,
  records,
  reported,
  text,
  textLength,
  type JsonRecord,
} from './values.ts';

export const openaiResponses: Dialect = {
  id: 'openai-responses',
  read,
  edits,
  reader: (options) => new ResponsesReader(options),
  refusal: (refusal, request) => openaiRefusal(refusal, request, true),
};

/** `max_output_tokens` has a minimum (API reference, "Create a model response"). */
const LEAST_OUTPUT_TOKENS = 16;

function read(body: JsonFields): RequestFacts {
  const facts = commonFacts(body);
  const stored = ['previous_response_id', 'conversation', 'prompt'].some(
    (name) => (body.get(name) ?? null) !== null,
  );
  return {
    ...facts,
    maxOutputTokens: largestAboveZero(body.get('max_output_tokens')),
    leastOutputTokens: Math.max(facts.leastOutputTokens, LEAST_OUTPUT_TOKENS),
    extraInputTokens: facts.extraInputTokens + (stored ? storedTokens(facts.model) : 0),
    storedInput: facts.storedInput || stored,
    soundInput: facts.soundInput || stored,
    searchesCanBeClamped: true,
    notMetered: isAsked(body.get('background'))
      ? 'Background responses are fetched later, where their cost cannot be metered: leave out "background".'
      : null,
  };
}

function edits(body: JsonFields, change: RequestChange): JsonEdit[] {
  const result = modelEdit(body, change);
  const lower = (name: string, bound: number | undefined) => {
    if (bound !== undefined && !isWithin(body.get(name), bound))
      result.push({ path: [name], json: String(bound) });
  };
  lower('max_output_tokens', change.maxOutputTokens);
  // Counts the calls of all hosted tools, searches among them.
  lower('max_tool_calls', change.webSearches);
  return [...result, ...thinkingEdits(body, change.maxOutputTokens)];
}

const lastEvents: ReadonlySet<string> = new Set([
  'response.completed',
  'response.incomplete',
  'response.failed',
  'response.cancelled',
  // OpenRouter, while its Responses were in beta.
  'response.done',
]);

class ResponsesReader implements AnswerReader {
  readonly facts: AnswerFacts;
  finished = false;
  /** The response as the first events described it: an ending has to name the same one. */
  #response: JsonRecord = {};
  #sequence = -1;
  /** Calls of hosted tools among the items that are done. */
  readonly #calls: JsonRecord[] = [];

  constructor(options: ReaderOptions) {
    this.facts = emptyFacts(options.keepText);
  }

  event(data: string, type: string | undefined): EventVerdict {
    const event = parseEvent(data);
    if (event === null) return 'pass';
    this.#sequence = count(event['sequence_number']) ?? this.#sequence;
    const name = text(event['type']) ?? type ?? '';
    if (name.endsWith('.delta')) {
      // Audio comes as base64, which says nothing of its tokens.
      if (!name.includes('audio.delta')) see(this.facts, event['delta']);
      return 'pass';
    }
    if (name === 'response.output_item.added') {
      const item = record(event['item']);
      if (item['type'] !== 'function_call' && item['type'] !== 'custom_tool_call') return 'pass';
      this.facts.outputCalls++;
      see(this.facts, item['name']);
      return 'pass';
    }
    if (name === 'response.output_item.done') {
      const item = record(event['item']);
      // Not the item itself: what a tool found or made can be long.
      if (text(item['type'])?.endsWith('_call'))
        this.#calls.push({ type: item['type'], action: item['action'], container_id: item['container_id'] });
      return 'pass';
    }
    if (name === 'error' || (name === '' && isRecord(event['error']))) {
      this.facts.failed = true;
      this.finished = true;
      return 'pass';
    }
    if (!isRecord(event['response'])) return 'pass';
    this.#read(event['response']);
    if (!lastEvents.has(name)) return 'pass';
    this.finished = true;
    this.facts.failed ||= name === 'response.failed';
    this.facts.usageIsFinal = this.facts.usage !== null;
    return 'last';
  }

  answer(fields: JsonFields): void {
    const names = ['model', 'service_tier', 'usage', 'tool_usage', 'tools', 'status', 'error'];
    const response: JsonRecord = Object.fromEntries(names.map((name) => [name, fields.get(name)]));
    // The output can be megabytes of images; it is looked into only where it has something to count.
    if (toolCallNames.some((name) => fields.contains(name))) response['output'] = fields.get('output');
    this.#read(response);
    const status = response['status'];
    this.facts.failed = status === 'failed' || isRecord(response['error']);
    this.facts.usageIsFinal = this.facts.usage !== null && status !== 'queued' && status !== 'in_progress';
    if (this.facts.usage === null) this.facts.outputChars = textLength(fields.get('output'));
    this.finished = true;
  }

  ending(message: string): string {
    const { usage } = this.facts;
    const event = {
      type: 'response.failed',
      sequence_number: this.#sequence + 1,
      response: {
        id: text(this.#response['id']) ?? 'resp_ended',
        object: 'response',
        created_at: count(this.#response['created_at']) ?? 0,
        status: 'failed',
        // Codex and opencode show the sentence and stop for this code alone; with `server_error` each of them sends the
        // whole request five more times, which a provider that breaks off bills as often.
        error: { code: 'invalid_prompt', message },
        incomplete_details: null,
        model: this.facts.model,
        output: [],
        usage: usage && {
          input_tokens: usage.inputTokens,
          input_tokens_details: { cached_tokens: usage.cachedInputTokens },
          output_tokens: usage.outputTokens,
          output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
          total_tokens: usage.inputTokens + usage.outputTokens,
        },
      },
    };
    return `event: response.failed\ndata: ${JSON.stringify(event)}\n\n`;
  }

  #read(response: JsonRecord): void {
    this.#response = response;
    this.facts.model = modelName(response['model']) ?? this.facts.model;
    this.facts.serviceTier = text(response['service_tier']) ?? this.facts.serviceTier;
    const usage = response['usage'];
    if (!isRecord(usage)) return;
    readReportedCost(this.facts, usage);
    if (!isTold(usage)) return;
    const uses = this.#toolUses(response, usage);
    this.facts.usage = {
      ...responsesUsage(usage),
      ...uses,
      webSearches: uses.webSearches + gatewaySearches(this.facts, usage),
    };
    if (usesPreviewSearch(response)) this.facts.terms = { previewSearch: true };
    this.facts.extraPasses = imagePasses(response);
  }

  /** As the provider counts them, else the calls that were seen. */
  #toolUses(response: JsonRecord, usage: JsonRecord): ToolUses {
    const seen = toolsIn(this.#calls);
    const listed = toolsIn(records(response['output']));
    const most = (name: keyof ToolUses) => Math.max(seen[name], listed[name]);
    const gigabytes = containerSize(records(response['tools']));
    return {
      webSearches: most('webSearches'),
      fileSearches: most('fileSearches'),
      codeSessions: most('codeSessions') * gigabytes,
      xSearches: most('xSearches'),
      otherTools: most('otherTools'),
      ...countedTools(response, usage),
    };
  }
}

function responsesUsage(usage: JsonRecord): TokenUsage {
  const input = record(usage['input_tokens_details'] ?? usage['prompt_tokens_details']);
  const output = record(usage['output_tokens_details'] ?? usage['completion_tokens_details']);
  const total = reported(usage['total_tokens']);
  const outputTokens = reported(usage['output_tokens'] ?? usage['completion_tokens']);
  // The names of Chat Completions come from servers that translate one protocol into the other.
  const inputTokens =
    reported(usage['input_tokens'] ?? usage['prompt_tokens']) ??
    Math.max(0, (total ?? 0) - (outputTokens ?? 0));
  return tokenUsage({
    inputTokens,
    cachedInputTokens: reported(input['cached_tokens']) ?? 0,
    cacheWriteTokens: reported(input['cache_write_tokens']) ?? 0,
    audioInputTokens: reported(input['audio_tokens']) ?? 0,
    imageInputTokens: reported(input['image_tokens']) ?? 0,
    outputTokens: outputTokens ?? Math.max(0, (total ?? 0) - inputTokens),
    reasoningTokens: reported(output['reasoning_tokens']) ?? 0,
    audioOutputTokens: reported(output['audio_tokens']) ?? 0,
    imageOutputTokens: reported(output['image_tokens']) ?? 0,
  });
}

/** The image tool runs a model of its own, whose tokens stand beside the usage and not in it. */
function imagePasses(response: JsonRecord): ExtraPass[] {
  const images = record(record(response['tool_usage'])['image_gen']);
  const usage = responsesUsage(images);
  if (usage.inputTokens + usage.outputTokens === 0) return [];
  const tool = records(response['tools']).find((one) => one['type'] === 'image_generation');
  // The default the API reference gives for the tool's model.
  return [{ model: modelName(tool?.['model']) ?? 'gpt-image-1', usage }];
}
