/** Anthropic Messages. */
import type { JsonEdit, JsonFields } from '../base/json.ts';
import {
  nothingAsked,
  type AllowedPass,
  type AnswerFacts,
  type AnswerReader,
  type Dialect,
  type EventVerdict,
  type HiddenTokens,
  type RequestChange,
  type RequestFacts,
  type TokenUsage,
} from './dialect.ts';
import { anthropicImageTokens, imageSize } from './media.ts';
import { contextTokens } from './model-limits.ts';
import { anthropicRefusal } from './refusal.ts';
import { RepeatedEvent } from './repeated-event.ts';
import { emptyFacts, isTold, isZero, readReportedCost, see, tokenUsage } from './usage.ts';
import {
  count,
  largest,
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

export const anthropicMessages: Dialect = {
  id: 'anthropic-messages',
  read,
  edits,
  reader: () => new MessagesReader(),
  refusal: anthropicRefusal,
};

/** The largest context window (platform.claude.com/docs/en/build-with-claude/context-windows). */
const LARGEST_CONTEXT = 1_000_000;

/** Around the messages: 112 tokens at the most in what was recorded. */
const HIDDEN_TOKENS = { atVendor: 256, elsewhere: 512 };

/**
 * System prompt that tools bring along (tool-use/overview, "Pricing"): up to 530 tokens for tools of the client's own,
 * several hundred more for each of bash, editor and computer.
 */
const TOOL_PROMPT_TOKENS = { own: 1_000, vendors: 3_000 };

/** The loop of server tools pauses after ten rounds (tool-use/server-tools, `pause_turn`). */
const SERVER_TOOL_ROUNDS = 10;

/** What a search puts into the input; the recorded answers grew by 11,000 tokens a search. */
const SEARCH_TOKENS = 16_000;

/** A long PDF, the largest of the examples on the page of the web fetch tool; `max_content_tokens` lowers it. */
const FETCH_TOKENS = 125_000;

/** Output of a code execution, or of another server tool, in one round. Not published. */
const OTHER_TOOL_TOKENS = 20_000;

/** What a model asked on the way writes: the summary of a compaction, the advice of an advisor. Not published. */
const PASS_OUTPUT_TOKENS = 16_000;

/** The least `thinking.budget_tokens`, which `max_tokens` has to be above (build-with-claude/extended-thinking). */
const LEAST_THINKING = 1_024;
const LEAST_ANSWER_BESIDE_THINKING = 256;

function read(body: JsonFields): RequestFacts {
  const marked = body.contains('cache_control');
  const tools = records(body.get('tools'));
  const model = text(body.get('model'));
  const speed = text(body.get('speed'));
  const searches = tools.filter((tool) => toolType(tool, 'web_search'));
  return {
    ...nothingAsked,
    model,
    stream: body.get('stream') === true,
    maxOutputTokens: largest(body.get('max_tokens')),
    leastOutputTokens: thinks(body) ? LEAST_THINKING + LEAST_ANSWER_BESIDE_THINKING : 1,
    // `fast` is dearer than any tier; `standard` says nothing.
    serviceTier: speed !== null && speed !== 'standard' ? speed : text(body.get('service_tier')),
    cacheWrites: !marked ? 'none' : body.contains('1h') ? '1h' : '5m',
    extraInputTokens: attachments(body, model),
    hiddenInputTokens: hiddenTokens(tools),
    hostedInputTokens: toolTokens(tools, body, model),
    inputReadings: 1 + hostedRounds(tools, body),
    webSearches: searches.reduce((sum, tool) => sum + uses(tool), 0),
    searchInputTokens: SEARCH_TOKENS,
    searchesCanBeClamped: searches.length === 1,
    passes: allowedPasses(body, tools),
  };
}

function hiddenTokens(tools: readonly JsonRecord[]): HiddenTokens {
  const { atVendor, elsewhere } = HIDDEN_TOKENS;
  if (tools.length === 0) return HIDDEN_TOKENS;
  const { own, vendors } = TOOL_PROMPT_TOKENS;
  const areOwn = tools.every(({ type }) => type === undefined || type === 'custom');
  return { atVendor: atVendor + (areOwn ? own : vendors), elsewhere: elsewhere + vendors };
}

function thinks(body: JsonFields): boolean {
  return record(body.get('thinking'))['type'] === 'enabled';
}

/**
 * Tokens of images and documents, less the bytes that show images. The messages are parsed only where one of the words
 * stands in the body at all, which a tool's schema can bring about too. An image anywhere counts; its bytes are taken
 * off only where the protocol has images, for in a tool's arguments they are text.
 */
function attachments(body: JsonFields, model: string | null): number {
  if (!(['image', 'document', 'container_upload'] as const).some((sign) => body.contains(sign))) return 0;
  const window = contextTokens(model, LARGEST_CONTEXT);
  const content = [body.get('messages'), body.get('system')];
  let tokens = 0;
  for (const block of objectsIn(content)) {
    const source = record(block['source']);
    if (block['type'] === 'image') tokens += anthropicImageTokens(sizeOf(source));
    else if (block['type'] === 'container_upload') tokens += window;
    // A page of a PDF is text and an image; plain text has at most a token a byte.
    else if (block['type'] === 'document' && source['type'] !== 'text' && source['type'] !== 'content') {
      tokens += window;
    }
  }
  return tokens - shownBytes(content.flatMap(records));
}

function sizeOf(source: JsonRecord) {
  const data = source['type'] === 'base64' ? text(source['data']) : null;
  return data === null ? null : imageSize(data);
}

/** Bytes of images in messages, in the results of tools and in documents, two levels below a message at the most. */
function shownBytes(blocks: readonly JsonRecord[], levels = 3): number {
  let bytes = 0;
  for (const block of blocks) {
    const source = record(block['source']);
    if (block['type'] === 'image' && source['type'] === 'base64') bytes += text(source['data'])?.length ?? 0;
    else if (levels > 0 && block['type'] !== 'tool_use' && block['type'] !== 'server_tool_use')
      bytes += shownBytes([...records(block['content']), ...records(source['content'])], levels - 1);
  }
  return bytes;
}

function toolTokens(tools: readonly JsonRecord[], body: JsonFields, model: string | null): number {
  let tokens = 0;
  // Each server of the MCP connector is asked inside the request.
  if (records(body.get('mcp_servers')).length > 0) tokens += SERVER_TOOL_ROUNDS * OTHER_TOOL_TOKENS;
  for (const tool of tools) {
    if (toolType(tool, 'web_fetch'))
      tokens += uses(tool) * (reported(tool['max_content_tokens']) ?? FETCH_TOKENS);
    else if (toolType(tool, 'code_execution') || toolType(tool, 'advisor'))
      tokens += uses(tool) * OTHER_TOOL_TOKENS;
  }
  return Math.min(tokens, contextTokens(model, LARGEST_CONTEXT));
}

/** Rounds of server tools but searches, which are held by the piece: each of them reads all of the input again. */
function hostedRounds(tools: readonly JsonRecord[], body: JsonFields): number {
  const hosted = tools.filter((tool) => toolType(tool, 'web_fetch') || toolType(tool, 'code_execution'));
  const asked = hosted.reduce((sum, tool) => sum + uses(tool), 0);
  const connected = records(body.get('mcp_servers')).length > 0 ? SERVER_TOOL_ROUNDS : 0;
  return Math.min(SERVER_TOOL_ROUNDS, asked + connected);
}

/** Passes that are billed beside the answer's own (`usage.iterations`): compaction, and the advisor tool's model. */
function allowedPasses(body: JsonFields, tools: readonly JsonRecord[]): AllowedPass[] {
  const passOf = (model: string | null) => ({
    model,
    readsInput: true,
    inputTokens: 0,
    outputTokens: PASS_OUTPUT_TOKENS,
  });
  const changes = records(record(body.get('context_management'))['edits']);
  const compactions = changes.filter((change) => toolType(change, 'compact')).map(() => passOf(null));
  const advice = tools
    .filter((tool) => toolType(tool, 'advisor'))
    .flatMap((tool) => Array<JsonRecord>(Math.min(uses(tool), SERVER_TOOL_ROUNDS)).fill(tool))
    .map((tool) => passOf(text(tool['model'])));
  return compactions.concat(advice);
}

/** Server tools are named with a date, such as `web_search_20250305`. */
function toolType(tool: JsonRecord, name: string): boolean {
  return text(tool['type'])?.startsWith(`${name}_`) === true;
}

function uses(tool: JsonRecord): number {
  return reported(tool['max_uses']) ?? SERVER_TOOL_ROUNDS;
}

function edits(body: JsonFields, change: RequestChange): JsonEdit[] {
  const result: JsonEdit[] = [];
  if (change.model !== undefined && body.get('model') !== change.model) {
    result.push({ path: ['model'], json: JSON.stringify(change.model) });
  }
  if (change.webSearches !== undefined) result.push(...searchEdits(body, change.webSearches));
  const bound = change.maxOutputTokens;
  if (bound === undefined || (reported(body.get('max_tokens')) ?? Infinity) <= bound) return result;
  result.push({ path: ['max_tokens'], json: String(bound) });
  // A thinking budget that is not below `max_tokens` would turn the request the key can still pay for into an error.
  const budget = thinks(body) ? reported(record(body.get('thinking'))['budget_tokens']) : undefined;
  if (budget !== undefined && budget >= bound && bound > LEAST_THINKING) {
    const lowered = Math.max(LEAST_THINKING, Math.floor(bound * 0.75));
    result.push({ path: ['thinking', 'budget_tokens'], json: String(lowered) });
  }
  return result;
}

function searchEdits(body: JsonFields, most: number): JsonEdit[] {
  const tools: unknown = body.get('tools');
  return (Array.isArray(tools) ? tools : []).flatMap((tool: unknown, index): JsonEdit[] =>
    toolType(record(tool), 'web_search') && uses(record(tool)) > most
      ? [{ path: ['tools', index, 'max_uses'], json: String(most) }]
      : [],
  );
}

class MessagesReader implements AnswerReader {
  readonly facts: AnswerFacts = emptyFacts();
  finished = false;
  /** The usage object so far: `message_start`, overwritten by what later events give. */
  #usage: JsonRecord = {};
  readonly #openBlocks = new Set<number>();
  readonly #repeated = new RepeatedEvent();

  event(data: string, type: string | undefined): EventVerdict {
    const repeated = this.#repeated.textOf(data, type);
    if (repeated !== null) {
      see(this.facts, repeated);
      return 'pass';
    }
    const event = parseEvent(data);
    if (event === null) return 'pass';
    switch (text(event['type']) ?? type) {
      case 'message_start':
        this.#start(record(event['message']));
        return 'pass';
      case 'content_block_start':
        this.#openBlock(event);
        return 'pass';
      case 'content_block_delta':
        this.#delta(event, data, type);
        return 'pass';
      case 'content_block_stop':
        this.#openBlocks.delete(count(event['index']) ?? 0);
        return 'pass';
      case 'message_delta':
        this.#merge(event['usage']);
        if (text(record(event['delta'])['stop_reason']) !== null && this.facts.usage !== null) {
          this.facts.usageIsFinal = true;
        }
        return 'pass';
      case 'message_stop':
        this.finished = true;
        return 'last';
      case 'error':
        this.facts.failed = true;
        this.finished = true;
        return 'pass';
      default:
        return 'pass';
    }
  }

  answer(fields: JsonFields): void {
    this.facts.model = modelName(fields.get('model'));
    this.facts.failed = fields.get('type') === 'error';
    this.#merge(fields.get('usage'));
    this.facts.usageIsFinal = this.facts.usage !== null;
    if (this.facts.usage === null) this.facts.outputChars = textLength(fields.get('content'));
    this.finished = true;
  }

  ending(message: string, code: 'limit_reached' | 'stopped' | 'upstream'): string {
    // Claude Code sends the whole request again, and is billed again, when an error finds a block open.
    const closed = [...this.#openBlocks].map(
      (index) =>
        `event: content_block_stop\ndata: ${JSON.stringify({ type: 'content_block_stop', index })}\n\n`,
    );
    // For `api_error` it sends the request three more times, and hides the sentence; a type it does not know it shows.
    const error = { type: code === 'upstream' ? 'upstream_error' : 'billing_error', message };
    return `${closed.join('')}event: error\ndata: ${JSON.stringify({ type: 'error', error })}\n\n`;
  }

  #start(message: JsonRecord): void {
    // A stream can hold more than one message; each begins its own account of the usage.
    this.finished = false;
    this.facts.usageIsFinal = false;
    this.#usage = {};
    this.#openBlocks.clear();
    this.facts.model = modelName(message['model']) ?? this.facts.model;
    this.#merge(message['usage']);
  }

  #openBlock(event: JsonRecord): void {
    this.#openBlocks.add(count(event['index']) ?? 0);
    const block = record(event['content_block']);
    if (block['type'] === 'fallback')
      this.facts.model = modelName(record(block['to'])['model']) ?? this.facts.model;
    see(this.facts, block['text'], block['thinking']);
  }

  #delta(event: JsonRecord, data: string, type: string | undefined): void {
    const pieces = piecesOf(event);
    see(this.facts, ...pieces);
    const [said, ...more] = pieces.filter((piece) => typeof piece === 'string' && piece !== '');
    if (typeof said !== 'string' || more.length > 0) return;
    const place = pieces.indexOf(said);
    this.#repeated.learn(data, type, said, (one) => piecesOf(one)[place]);
  }

  #merge(told: unknown): void {
    if (!isTold(told)) return;
    // A count that is null, missing, or 0 in a later event means no news: counts only grow. Where the passes are told
    // apart, the counts are those of the message alone, and what the start said of a compaction is no part of it.
    const isWhole = Array.isArray(told['iterations']);
    const news = Object.entries(told).filter(
      ([name, value]) => value !== null && (isWhole || !(Number(value) <= 0 && this.#usage[name])),
    );
    if (isWhole && told['cache_creation_input_tokens'] === 0) delete this.#usage['cache_creation'];
    this.#usage = { ...this.#usage, ...Object.fromEntries(news) };
    const usage = this.#usage;
    const { facts } = this;
    const speed = text(usage['speed']);
    facts.serviceTier = speed !== null && speed !== 'standard' ? speed : text(usage['service_tier']);
    const counts = messagesUsage(usage);
    // A further message that has counted nothing yet takes nothing back.
    if (facts.usage !== null && isZero(counts)) return;
    facts.usage = counts;
    const region = text(usage['inference_geo']);
    if (region !== null) facts.terms = { region };
    readReportedCost(facts, usage);
    this.#readPasses(records(usage['iterations']));
  }

  /**
   * The passes of one request. The totals cover those of type `message` and `fallback_message`; every other pass
   * (`compaction`, `advisor_message`) is billed on top, at its own model where it names one.
   */
  #readPasses(passes: readonly JsonRecord[]): void {
    const { facts } = this;
    const fallback = passes.findLast((pass) => pass['type'] === 'fallback_message');
    facts.model = modelName(fallback?.['model']) ?? facts.model;
    facts.extraPasses = passes
      .filter((pass) => pass['type'] !== 'message' && pass['type'] !== 'fallback_message')
      .map((pass) => ({ model: modelName(pass['model']) ?? facts.model, usage: messagesUsage(pass) }));
  }
}

/** What a delta says, under the names of its kinds. */
function piecesOf(event: JsonRecord): unknown[] {
  const delta = record(event['delta']);
  return [delta['text'], delta['thinking'], delta['partial_json'], delta['content']];
}

/** Usage of the Messages API, whose `input_tokens` leaves out what was read from and written to the cache. */
function messagesUsage(usage: JsonRecord): TokenUsage {
  const split = record(usage['cache_creation']);
  const written1h = reported(split['ephemeral_1h_input_tokens']) ?? 0;
  // The split stands in the first event alone; where the sum is missing, it is the sum.
  const written = Math.max(
    reported(usage['cache_creation_input_tokens']) ?? 0,
    (reported(split['ephemeral_5m_input_tokens']) ?? 0) + written1h,
  );
  const cached = reported(usage['cache_read_input_tokens']) ?? 0;
  const tools = record(usage['server_tool_use']);
  return tokenUsage({
    inputTokens: (reported(usage['input_tokens']) ?? 0) + cached + written,
    cachedInputTokens: cached,
    cacheWriteTokens: written,
    cacheWrite1hTokens: written1h,
    outputTokens: reported(usage['output_tokens']) ?? 0,
    reasoningTokens: reported(record(usage['output_tokens_details'])['thinking_tokens']) ?? 0,
    webSearches: reported(tools['web_search_requests']) ?? 0,
    // Free beside a search, and by the hour of its container otherwise.
    otherTools: reported(tools['code_execution_requests']) ?? 0,
  });
}
