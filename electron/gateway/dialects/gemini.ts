/** Gemini generateContent and embedContent, of the Gemini API and of Vertex AI. */
import type { JsonEdit, JsonFields } from '../json.ts';
import type {
  AnswerFacts,
  AnswerReader,
  Dialect,
  EventVerdict,
  ReaderOptions,
  RequestChange,
  RequestFacts,
  TokenUsage,
} from './dialect.ts';
import { geminiError, geminiRefusal } from './refusal.ts';
import { emptyFacts, readReportedCost, tokenUsage } from './usage.ts';
import {
  chars,
  count,
  isRecord,
  largest,
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
const CONTEXT_TOKENS = 1_048_576;

/** 258 tokens for each tile of 768 pixels (docs/tokens), up to four by four; Gemini 3 stays below at any resolution. */
const IMAGE_TOKENS = 16 * 258;

/** 258 tokens a page, up to 1,000 pages (docs/document-processing). */
const PDF_TOKENS = 258 * 1_000;

/** Gemini 3 is billed by the query, Gemini 2 by the request; no maximum is published (docs/google-search). */
const SEARCHES = 10;

/** Grounding and code execution bring `toolUsePromptTokenCount`; a generous share for each. */
const TOOL_TOKENS = 16_000;

function readGenerate(body: JsonFields, path: { model: string | null; stream: boolean }): RequestFacts {
  const config = record(body.get('generationConfig') ?? body.get('generation_config'));
  const tools = records(body.get('tools'));
  const model = path.model ?? text(body.get('model'));
  return {
    model,
    stream: path.stream,
    maxOutputTokens: largest(config['maxOutputTokens'], config['max_output_tokens']),
    choices: positive(config['candidateCount'] ?? config['candidate_count']),
    serviceTier: text(body.get('serviceTier') ?? body.get('service_tier')),
    // Storing an explicit cache is another call; the implicit one costs nothing to write.
    cacheWrites: 'none',
    extraInputTokens: Math.min(CONTEXT_TOKENS, attachmentTokens(body) + toolTokens(tools)),
    webSearches: searchesAllowed(tools, model),
    notMetered: null,
  };
}

function readEmbed(body: JsonFields, path: { model: string | null; stream: boolean }): RequestFacts {
  return {
    model: path.model ?? text(body.get('model')),
    stream: false,
    maxOutputTokens: 0,
    choices: 1,
    serviceTier: null,
    cacheWrites: 'none',
    extraInputTokens: attachmentTokens(body),
    webSearches: 0,
    notMetered: null,
  };
}

/**
 * Tokens of what the body only points at, or shows in fewer bytes than tokens. The contents are parsed only where one
 * of the words stands in the body at all.
 */
function attachmentTokens(body: JsonFields): number {
  if ((body.get('cachedContent') ?? body.get('cached_content') ?? null) !== null) return CONTEXT_TOKENS;
  if (!['fileData', 'file_data', 'inlineData', 'inline_data'].some((name) => body.contains(`"${name}"`)))
    return 0;
  let tokens = 0;
  for (const part of objectsIn(
    ['contents', 'content', 'requests', 'systemInstruction'].map((name) => body.get(name)),
  )) {
    const inline = record(part['inlineData'] ?? part['inline_data']);
    const linked = record(part['fileData'] ?? part['file_data']);
    const type =
      text(inline['mimeType'] ?? inline['mime_type'] ?? linked['mimeType'] ?? linked['mime_type']) ?? '';
    if (Object.keys(inline).length > 0) tokens += type === 'application/pdf' ? PDF_TOKENS : IMAGE_TOKENS;
    // A film by its address can be as long as the model takes.
    else if (Object.keys(linked).length > 0)
      tokens += type.startsWith('image/') ? IMAGE_TOKENS : CONTEXT_TOKENS;
  }
  return Math.min(tokens, CONTEXT_TOKENS);
}

function toolTokens(tools: readonly JsonRecord[]): number {
  const names = tools
    .flatMap((tool) => Object.keys(tool))
    .filter((name) => !/^function_?declarations$/i.test(name));
  // A page that the URL tool fetches can be as long as the model takes.
  if (names.some((name) => /^url_?context$/i.test(name))) return CONTEXT_TOKENS;
  return names.length * TOOL_TOKENS;
}

function searchesAllowed(tools: readonly JsonRecord[], model: string | null): number {
  const names = tools.flatMap((tool) => Object.keys(tool));
  const searches = names.some((name) => /^(google_?search|enterprise_?web_?search)/i.test(name));
  const maps = names.some((name) => /^google_?maps$/i.test(name));
  return (searches ? (billsEachQuery(model) ? SEARCHES : 1) : 0) + (maps ? 1 : 0);
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
  return used
    .filter((name) => !((count(config[name]) ?? Infinity) <= bound))
    .map((name) => ({ path: [parent, name], json: String(bound) }));
}

class GeminiReader implements AnswerReader {
  readonly facts: AnswerFacts = emptyFacts();
  finished = false;
  readonly #jsonArray: boolean;
  #elements = 0;
  readonly #queries = new Set<string>();
  #mapsUsed = false;

  constructor(options: ReaderOptions) {
    this.#jsonArray = options.jsonArray === true;
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
    const status = code === 'upstream' ? 502 : 402;
    const reason = {
      limit_reached: 'KEY_SPEND_LIMIT_REACHED',
      stopped: 'STOPPED',
      upstream: 'UPSTREAM_GONE',
    }[code];
    const error = JSON.stringify(geminiError(status, message, reason));
    if (this.#jsonArray) return `${this.#elements === 0 ? '[' : ','}${error}]`;
    // Gemini CLI reads an error only where it is no event; other clients read either form.
    return `${error}\n\ndata: ${error}\n\n`;
  }

  #read(chunk: JsonRecord): void {
    const { facts } = this;
    facts.model = text(chunk['modelVersion'])?.replace(/^.*\//, '') ?? facts.model;
    const candidates = records(chunk['candidates']);
    for (const candidate of candidates) this.#candidate(candidate);
    if (text(record(chunk['promptFeedback'])['blockReason']) !== null) this.finished = true;
    if (isRecord(chunk['error'])) {
      facts.failed = true;
      this.finished = true;
    }
    const metadata = chunk['usageMetadata'];
    if (isRecord(metadata)) {
      facts.serviceTier = text(metadata['serviceTier']) ?? text(metadata['trafficType']) ?? facts.serviceTier;
      facts.usage = geminiUsage(metadata);
      readReportedCost(facts, metadata);
    }
    if (facts.usage !== null) {
      facts.usage.webSearches = this.#searches();
      facts.usageIsFinal = this.finished;
    }
  }

  #candidate(candidate: JsonRecord): void {
    if (text(candidate['finishReason']) !== null) this.finished = true;
    for (const part of records(record(candidate['content'])['parts'])) {
      this.facts.outputChars += chars(part['text']) + chars(record(part['executableCode'])['code']);
      if (isRecord(part['functionCall']))
        this.facts.outputChars += JSON.stringify(part['functionCall']).length;
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
    const queries = billsEachQuery(this.facts.model) ? this.#queries.size : Math.min(1, this.#queries.size);
    return queries + (this.#mapsUsed ? 1 : 0);
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
