/** Gemini generateContent and embedContent, of the Gemini API and of Vertex AI. */
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
import { geminiImageTokens, imageSize, soundTokens } from './media.ts';
import { contextTokens } from './model-limits.ts';
import { geminiError, geminiRefusal } from './refusal.ts';
import { emptyFacts, isTold, isZero, readReportedCost, see, tokenUsage } from './usage.ts';
import {
  isRecord,
  isWithin,
  largestAboveZero,
  modelName,
  objectsIn,
  parseEvent,
  positive,
  record,
  records,
  reported,
  text,
  textLength,
  type JsonRecord,
} from './values.ts';

export const gemini: Dialect = {
  id: 'gemini',
  read: readGenerate,
  edits,
  reader: (options) => new GeminiReader(options),
  refusal: geminiRefusal,
};

export const geminiEmbeddings: Dialect = {
  id: 'gemini-embeddings',
  read: readEmbed,
  edits: () => [],
  reader: (options) => new GeminiReader(options),
  refusal: geminiRefusal,
};

/** Input limit of the Gemini models (ai.google.dev/gemini-api/docs/models). */
const LARGEST_CONTEXT = 1_048_576;

/** Around the contents; nothing was measured. */
const HIDDEN_TOKENS = { atVendor: 64, elsewhere: 256 };

/** Gemini 3 is billed by the query, Gemini 2 by the request; no maximum is published (docs/google-search). */
const SEARCHES = 10;

/** Grounding and code execution bring `toolUsePromptTokenCount`; a generous share for each. */
const TOOL_TOKENS = 16_000;

/** Fifty of the largest chunks (docs/file-search); what is found is billed as input. */
const FILE_SEARCH_TOKENS = 50 * 2_048;

function readGenerate(body: JsonFields, path: { model: string | null; stream: boolean }): RequestFacts {
  const config = record(body.get('generationConfig') ?? body.get('generation_config'));
  // Google's servers take one element for a list of it.
  const tools = [body.get('tools')].flat().filter(isRecord);
  const model = path.model ?? text(body.get('model'));
  const input = attachments(body, model);
  return {
    ...nothingAsked,
    model,
    stream: path.stream,
    maxOutputTokens: largestAboveZero(config['maxOutputTokens'], config['max_output_tokens']),
    choices: positive(config['candidateCount'], config['candidate_count']),
    serviceTier: text(body.get('serviceTier') ?? body.get('service_tier')),
    // Storing an explicit cache is another call; the implicit one costs nothing to write.
    extraInputTokens: input.tokens,
    hiddenInputTokens: HIDDEN_TOKENS,
    hostedInputTokens: toolTokens(tools, model),
    soundInput: input.sound,
    webSearches: searchesAllowed(tools, model),
    uses: { mapSearches: has(tools, /^google_?maps$/i) ? 1 : 0 },
    passes: showsPictures(config, model) ? [PICTURE] : [],
  };
}

/** A picture of 4K size (docs/image-generation), which is billed whole however few tokens the answer may have. */
const PICTURE = { model: null, readsInput: false, inputTokens: 0, outputTokens: 2_560 };

function showsPictures(config: JsonRecord, model: string | null): boolean {
  const asked = JSON.stringify(config['responseModalities'] ?? config['response_modalities'] ?? '');
  return /image/i.test(asked) || (model ?? '').includes('-image');
}

function readEmbed(body: JsonFields, path: { model: string | null; stream: boolean }): RequestFacts {
  const model = path.model ?? text(body.get('model'));
  const input = attachments(body, model);
  return {
    ...nothingAsked,
    model,
    maxOutputTokens: 0,
    extraInputTokens: input.tokens,
    hiddenInputTokens: HIDDEN_TOKENS,
    soundInput: input.sound,
  };
}

/**
 * Tokens of images, sound, films and documents, less the bytes that show images and sound. The contents are parsed
 * only where one of the words stands in the body at all.
 */
function attachments(body: JsonFields, model: string | null): { tokens: number; sound: boolean } {
  const window = contextTokens(model, LARGEST_CONTEXT);
  if ((body.get('cachedContent') ?? body.get('cached_content') ?? null) !== null)
    return { tokens: window, sound: true };
  if (!(['fileData', 'file_data', 'inlineData', 'inline_data'] as const).some((name) => body.contains(name)))
    return { tokens: 0, sound: false };
  let tokens = 0;
  let sound = false;
  const contents = ['contents', 'content', 'requests', 'systemInstruction', 'system_instruction'].map(
    (name) => body.get(name),
  );
  const shown = shownParts(contents);
  for (const part of objectsIn(contents)) {
    const inline = record(part['inlineData'] ?? part['inline_data']);
    const linked = record(part['fileData'] ?? part['file_data']);
    const type = typeOf(inline) ?? typeOf(linked) ?? '';
    const data = text(inline['data']) ?? '';
    // Elsewhere, as in the arguments of a function, it is text, whatever it is called.
    if (data !== '')
      tokens += inlineTokens(type, data, part, window) - (shown.has(part) ? bytesShown(type, data) : 0);
    // A film by its address can be as long as the model takes.
    else if (Object.keys(linked).length > 0)
      tokens += type.startsWith('image/') ? geminiImageTokens(null) : window;
    sound ||=
      /^(audio|video)\//.test(type) || (Object.keys(linked).length > 0 && !/^(image|text)\//.test(type));
  }
  return { tokens, sound };
}

const typeOf = (blob: JsonRecord) => text(blob['mimeType'] ?? blob['mime_type']);

/** The parts of the places where the protocol has images and sound: contents, and the results of functions. */
function shownParts(contents: readonly unknown[]): Set<JsonRecord> {
  const turns = contents.flatMap((value) => (Array.isArray(value) ? records(value) : [record(value)]));
  const nested = turns.map((turn) => record(turn['content']));
  const parts = [...turns, ...nested].flatMap((turn) => records(turn['parts']).concat(record(turn['parts'])));
  const results = parts.flatMap((part) =>
    records(record(part['functionResponse'] ?? part['function_response'])['parts']),
  );
  return new Set([...parts, ...results]);
}

function bytesShown(type: string, data: string): number {
  return /^(image|audio)\//.test(type) ? data.length : 0;
}

/** Tokens beyond one a byte of base64, by kind (docs/tokens, "Multimodal tokens"). */
function inlineTokens(type: string, data: string, part: JsonRecord, window: number): number {
  if (type.startsWith('image/')) return geminiImageTokens(imageSize(data));
  if (type.startsWith('audio/')) return soundTokens(data.length, type);
  if (type.startsWith('text/')) return 0;
  // 263 tokens a second, less than a token a byte, where one frame a second is looked at.
  if (type.startsWith('video/')) {
    const film = record(part['videoMetadata'] ?? part['video_metadata']);
    const frames = reported(film['fps']) ?? 1;
    return frames <= 1 ? 0 : Math.min(window, data.length * frames);
  }
  // A page of a document is an image, however few bytes it has.
  return window;
}

function toolTokens(tools: readonly JsonRecord[], model: string | null): number {
  const names = tools
    .flatMap((tool) => Object.keys(tool))
    .filter((name) => !/^function_?declarations$/i.test(name));
  // A page that the URL tool fetches can be as long as the model takes.
  if (names.some((name) => /^url_?context$/i.test(name))) return contextTokens(model, LARGEST_CONTEXT);
  const fileSearches = names.filter((name) => /^file_?search$/i.test(name)).length;
  return (names.length - fileSearches) * TOOL_TOKENS + fileSearches * FILE_SEARCH_TOKENS;
}

function searchesAllowed(tools: readonly JsonRecord[], model: string | null): number {
  if (!has(tools, /^(google_?search|enterprise_?web_?search)/i)) return 0;
  return billsEachQuery(model) ? SEARCHES : 1;
}

function has(tools: readonly JsonRecord[], name: RegExp): boolean {
  return tools.some((tool) => Object.keys(tool).some((key) => name.test(key)));
}

function billsEachQuery(model: string | null): boolean {
  const generation = /gemini-(\d+)/.exec(model ?? '')?.[1];
  return generation === undefined || Number(generation) >= 3;
}

/** The model stands in the path, and streams report usage unasked: only the output bound is a matter of the body. */
function edits(body: JsonFields, change: RequestChange): JsonEdit[] {
  const bound = change.maxOutputTokens;
  if (bound === undefined) return [];
  const parent =
    body.has('generation_config') && !body.has('generationConfig') ? 'generation_config' : 'generationConfig';
  const config = record(body.get(parent));
  const used = ['maxOutputTokens', 'max_output_tokens'].filter((name) => (config[name] ?? null) !== null);
  if (used.length === 0) used.push('maxOutputTokens');
  const lowered = used
    .filter((name) => !isWithin(config[name], bound))
    .map((name): JsonEdit => ({ path: [parent, name], json: String(bound) }));
  return lowered.length === 0 ? [] : [...lowered, ...thinkingEdits(config, parent, bound)];
}

/** The least budget that every thinking model takes (docs/thinking, the table of ranges; 0 and -1 mean something else). */
const LEAST_THINKING = 512;

/** Thinking counts as output: a budget that is all of the bound would leave no answer. */
function thinkingEdits(config: JsonRecord, parent: string, bound: number): JsonEdit[] {
  for (const thinking of ['thinkingConfig', 'thinking_config']) {
    for (const name of ['thinkingBudget', 'thinking_budget']) {
      const budget = reported(record(config[thinking])[name]);
      const lowered = Math.floor(bound * 0.75);
      if (budget !== undefined && budget > lowered && lowered >= LEAST_THINKING)
        return [{ path: [parent, thinking, name], json: String(lowered) }];
    }
  }
  return [];
}

class GeminiReader implements AnswerReader {
  readonly facts: AnswerFacts = emptyFacts();
  finished = false;
  readonly #jsonArray: boolean;
  readonly #asked: string | null;
  #elements = 0;
  readonly #queries = new Set<string>();
  #mapsUsed = false;

  constructor(options: ReaderOptions) {
    this.#jsonArray = options.jsonArray === true;
    this.#asked = options.model ?? null;
  }

  /** Always `pass`: nothing marks the last event, and some models send a finish reason more than once. */
  event(data: string): EventVerdict {
    this.#elements++;
    const chunk = parseEvent(data);
    if (chunk !== null) this.#read(chunk);
    return 'pass';
  }

  answer(fields: JsonFields): void {
    const names = ['modelVersion', 'usageMetadata', 'candidates', 'promptFeedback', 'error'];
    this.#read(Object.fromEntries(names.map((name) => [name, fields.get(name)])));
    this.facts.usageIsFinal = this.facts.usage !== null;
    if (this.facts.usage === null) this.facts.outputChars = textLength(fields.get('candidates'));
    this.finished = true;
  }

  ending(message: string, code: 'limit_reached' | 'stopped' | 'upstream'): string {
    // Not 502: Gemini CLI and opencode send the whole request again for it, and a provider that breaks off bills each.
    const status = code === 'upstream' ? 424 : 402;
    const reason = {
      limit_reached: 'KEY_SPEND_LIMIT_REACHED',
      stopped: 'STOPPED',
      upstream: 'UPSTREAM_GONE',
    }[code];
    const told = geminiError(status, message, reason);
    const error = JSON.stringify(told);
    if (this.#jsonArray) return `${this.#elements === 0 ? '[' : ','}${error}]`;
    // Gemini CLI reads an error only where it is no event; other clients read either form. What is no list of
    // candidates stops those that pass over an error (opencode, which would ask to go on for ever).
    return `${error}\n\ndata: ${JSON.stringify({ ...told, candidates: {} })}\n\n`;
  }

  #read(chunk: JsonRecord): void {
    const { facts } = this;
    facts.model = modelName(chunk['modelVersion'])?.replace(/^.*\//, '') ?? facts.model;
    const candidates = records(chunk['candidates']);
    for (const candidate of candidates) this.#candidate(candidate);
    if (text(record(chunk['promptFeedback'])['blockReason']) !== null) this.finished = true;
    if (isRecord(chunk['error'])) {
      facts.failed = true;
      this.finished = true;
    }
    const metadata = chunk['usageMetadata'];
    if (isTold(metadata)) {
      facts.serviceTier = text(metadata['serviceTier']) ?? text(metadata['trafficType']) ?? facts.serviceTier;
      readReportedCost(facts, metadata);
      const usage = geminiUsage(metadata);
      if (facts.usage === null || !isZero(usage)) facts.usage = usage;
    }
    if (facts.usage !== null) {
      facts.usage.webSearches = this.#searches();
      facts.usage.mapSearches = this.#mapsUsed ? 1 : 0;
      facts.usageIsFinal = this.finished;
    }
  }

  #candidate(candidate: JsonRecord): void {
    if (text(candidate['finishReason']) !== null) this.finished = true;
    for (const part of records(record(candidate['content'])['parts'])) {
      see(this.facts, part['text'], record(part['executableCode'])['code']);
      if (isRecord(part['functionCall'])) see(this.facts, JSON.stringify(part['functionCall']));
    }
    const grounding = record(candidate['groundingMetadata']);
    const queries: unknown = grounding['webSearchQueries'];
    // Empty and repeated queries are not billed (docs/google-search, "Pricing").
    for (const query of Array.isArray(queries) ? queries : []) {
      if (text(query) !== null) this.#queries.add(String(query));
    }
    // Grounding with Google Maps is billed by the grounded request.
    if (records(grounding['groundingChunks']).some((piece) => isRecord(piece['maps']))) this.#mapsUsed = true;
  }

  #searches(): number {
    return billsEachQuery(this.facts.model ?? this.#asked)
      ? this.#queries.size
      : Math.min(1, this.#queries.size);
  }
}

/** The counts are running totals: the last event's are the answer's. Thinking and tool prompts stand beside the totals. */
function geminiUsage(metadata: JsonRecord): TokenUsage {
  const prompt = reported(metadata['promptTokenCount']) ?? 0;
  const toolPrompt = reported(metadata['toolUsePromptTokenCount']) ?? 0;
  const thoughts = reported(metadata['thoughtsTokenCount']) ?? 0;
  const total = reported(metadata['totalTokenCount']) ?? 0;
  const candidates =
    reported(metadata['candidatesTokenCount'] ?? metadata['responseTokenCount']) ??
    Math.max(0, total - prompt - toolPrompt - thoughts);
  // `promptTokenDetails`: embeddings spell it so.
  const inputs = ['promptTokensDetails', 'promptTokenDetails', 'toolUsePromptTokensDetails'];
  const input = (modality: string) =>
    inputs.reduce((sum, name) => sum + ofModality(metadata[name], modality), 0);
  return tokenUsage({
    inputTokens: prompt + toolPrompt,
    cachedInputTokens: reported(metadata['cachedContentTokenCount']) ?? 0,
    audioInputTokens: input('AUDIO'),
    cachedAudioInputTokens: ofModality(metadata['cacheTokensDetails'], 'AUDIO'),
    imageInputTokens: input('IMAGE'),
    videoInputTokens: input('VIDEO'),
    outputTokens: candidates + thoughts,
    reasoningTokens: thoughts,
    audioOutputTokens: ofModality(metadata['candidatesTokensDetails'], 'AUDIO'),
    imageOutputTokens: ofModality(metadata['candidatesTokensDetails'], 'IMAGE'),
  });
}

function ofModality(details: unknown, modality: string): number {
  return records(details)
    .filter((one) => one['modality'] === modality)
    .reduce((sum, one) => sum + (reported(one['tokenCount']) ?? 0), 0);
}
