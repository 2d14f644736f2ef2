/**
 * Gemini Interactions with a model (ai.google.dev/gemini-api/docs/interactions), which @google/genai 3 calls. What runs
 * by itself, agents and background runs, is refused: its cost comes back on another connection, or never.
 */
import type { JsonEdit, JsonFields } from '../base/json.ts';
import {
  nothingAsked,
  type AnswerFacts,
  type AnswerReader,
  type Dialect,
  type EventVerdict,
  type ReaderOptions,
  type RequestChange,
  type RequestFacts,
  type TokenUsage,
} from './dialect.ts';
import { geminiImageTokens, imageSize } from './media.ts';
import { contextTokens } from './model-limits.ts';
import { modelEdit } from './openai-request.ts';
import { geminiRefusal } from './refusal.ts';
import { emptyFacts, isTold, see, tokenUsage } from './usage.ts';
import {
  isAsked,
  isRecord,
  isWithin,
  largestAboveZero,
  modelName,
  objectsIn,
  parseEvent,
  record,
  records,
  reported,
  text,
  textLength,
  type JsonRecord,
} from './values.ts';

export const geminiInteractions: Dialect = {
  id: 'gemini-interactions',
  read,
  edits,
  reader: (options) => new InteractionReader(options),
  refusal: geminiRefusal,
};

/** Input limit of the Gemini models (ai.google.dev/gemini-api/docs/models). */
const LARGEST_CONTEXT = 1_048_576;
/** Around the input; nothing was measured. */
const HIDDEN_TOKENS = { atVendor: 256, elsewhere: 256 };
/** Billed by the query; no maximum is published (docs/google-search). */
const SEARCHES = 10;

function read(body: JsonFields): RequestFacts {
  const model = text(body.get('model'));
  const tools = records(body.get('tools'));
  const has = (type: string) => tools.some((tool) => tool['type'] === type);
  const asked = (name: string) => (body.get(name) ?? null) !== null;
  const window = contextTokens(model, LARGEST_CONTEXT);
  const stored = asked('previous_interaction_id') || asked('continuation_token') || asked('cached_content');
  const hosted = tools.some((tool) => tool['type'] !== 'function');
  return {
    ...nothingAsked,
    model: model ?? text(body.get('agent')),
    stream: body.get('stream') === true,
    maxOutputTokens: largestAboveZero(record(body.get('generation_config'))['max_output_tokens']),
    serviceTier: text(body.get('service_tier')),
    extraInputTokens: stored ? window : attachedTokens(body, window),
    hiddenInputTokens: HIDDEN_TOKENS,
    // A page, a search, a document: each turn of a hosted tool reads all that there is again.
    hostedInputTokens: hosted ? window : 0,
    storedInput: stored,
    soundInput: stored || body.contains('audio') || body.contains('video'),
    webSearches: has('google_search') ? SEARCHES : 0,
    uses: { mapSearches: has('google_maps') ? 1 : 0 },
    notMetered: whyNotMetered(asked, body),
  };
}

function whyNotMetered(asked: (name: string) => boolean, body: JsonFields): string | null {
  if (asked('agent'))
    return 'Agents of the Interactions API run on by themselves, and their cost cannot be metered: name a "model" instead of an "agent".';
  if (isAsked(body.get('background')))
    return 'Background interactions are fetched later, where their cost cannot be metered: leave out "background".';
  if (asked('environment'))
    return 'Environments of interactions are billed beside their tokens, which cannot be metered: leave out "environment".';
  return null;
}

/** Beyond one a byte of the body: images have a least number, films and documents can be as long as the model takes. */
function attachedTokens(body: JsonFields, window: number): number {
  if (!body.contains('uri') && !body.contains('data')) return 0;
  let tokens = 0;
  for (const part of objectsIn(body.get('input'))) {
    const data = text(part['data']);
    const linked = text(part['uri']) !== null;
    if (data === null && !linked) continue;
    if (part['type'] === 'image') tokens += geminiImageTokens(data === null ? null : imageSize(data));
    else if (linked || part['type'] !== 'audio') tokens += window;
  }
  return tokens;
}

function edits(body: JsonFields, change: RequestChange): JsonEdit[] {
  const result = modelEdit(body, change);
  const bound = change.maxOutputTokens;
  const given = record(body.get('generation_config'))['max_output_tokens'];
  if (bound !== undefined && !isWithin(given, bound))
    result.push({ path: ['generation_config', 'max_output_tokens'], json: String(bound) });
  return result;
}

class InteractionReader implements AnswerReader {
  readonly facts: AnswerFacts;
  finished = false;

  constructor(options: ReaderOptions) {
    this.facts = emptyFacts(options.keepText);
  }

  event(data: string, type: string | undefined): EventVerdict {
    // Behind the last event that has any meaning for the cost.
    if (data === '[DONE]') return this.finished ? 'last' : 'pass';
    const event = parseEvent(data);
    if (event === null) return 'pass';
    const name = text(event['event_type']) ?? type ?? '';
    if (name === 'step.delta') {
      const delta = record(event['delta']);
      see(this.facts, delta['text'], record(delta['content'])['text'], delta['arguments']);
      const running = record(event['metadata'])['total_usage'];
      if (isTold(running)) this.facts.usage = interactionUsage(running);
    }
    if (name === 'step.start' && record(event['step'])['type'] === 'function_call') {
      this.facts.outputCalls++;
      see(this.facts, record(event['step'])['name']);
    }
    if (name === 'error') {
      this.facts.failed = true;
      this.finished = true;
    }
    if (isRecord(event['interaction'])) this.#read(event['interaction']);
    if (name === 'interaction.completed') {
      this.finished = true;
      this.facts.usageIsFinal = this.facts.usage !== null;
    }
    return 'pass';
  }

  answer(fields: JsonFields): void {
    const names = ['model', 'service_tier', 'usage', 'status', 'errors', 'error'];
    const interaction: JsonRecord = Object.fromEntries(names.map((name) => [name, fields.get(name)]));
    this.#read(interaction);
    this.facts.failed ||= isRecord(interaction['error']);
    this.facts.usageIsFinal = this.facts.usage !== null;
    if (this.facts.usage === null) this.facts.outputChars = textLength(fields.get('steps'));
    this.finished = true;
  }

  ending(message: string, code: 'limit_reached' | 'stopped' | 'upstream'): string {
    const error = { event_type: 'error', error: { code, message } };
    return `event: error\ndata: ${JSON.stringify(error)}\n\ndata: [DONE]\n\n`;
  }

  #read(interaction: JsonRecord): void {
    const { facts } = this;
    facts.model = modelName(interaction['model'])?.replace(/^models\//, '') ?? facts.model;
    facts.serviceTier = text(interaction['service_tier']) ?? facts.serviceTier;
    facts.failed ||= interaction['status'] === 'failed';
    if (isTold(interaction['usage'])) facts.usage = interactionUsage(interaction['usage']);
  }
}

/** Tokens of tools stand beside the input. Those of thoughts, too, beside the output, as far as the total says so. */
function interactionUsage(usage: JsonRecord): TokenUsage {
  const number = (name: string) => reported(usage[name]) ?? 0;
  const inputTokens = number('total_input_tokens') + number('total_tool_use_tokens');
  const [shown, thoughts] = [number('total_output_tokens'), number('total_thought_tokens')];
  const rest = number('total_tokens') - inputTokens;
  const ofTool = (type: string) =>
    records(usage['grounding_tool_count'])
      .filter((tool) => tool['type'] === type)
      .reduce((sum, tool) => sum + (reported(tool['count']) ?? 0), 0);
  const tokens = (list: string, modality: string) =>
    records(usage[list])
      .filter((one) => String(one['modality']).toLowerCase() === modality)
      .reduce((sum, one) => sum + (reported(one['tokens']) ?? 0), 0);
  return tokenUsage({
    inputTokens,
    cachedInputTokens: number('total_cached_tokens'),
    audioInputTokens: tokens('input_tokens_by_modality', 'audio'),
    cachedAudioInputTokens: tokens('cached_tokens_by_modality', 'audio'),
    imageInputTokens: tokens('input_tokens_by_modality', 'image'),
    videoInputTokens: tokens('input_tokens_by_modality', 'video'),
    outputTokens: rest >= shown && rest < shown + thoughts ? rest : shown + thoughts,
    reasoningTokens: thoughts,
    audioOutputTokens: tokens('output_tokens_by_modality', 'audio'),
    imageOutputTokens: tokens('output_tokens_by_modality', 'image'),
    webSearches: ofTool('google_search'),
    mapSearches: Math.min(1, ofTool('google_maps')),
  });
}
