/**
 * What the gateway needs to know of a wire protocol: what a request may cost, what its answer did cost, and how a
 * refusal or an early end looks to the clients that speak it. A dialect is pure: text in, facts out. It never sees a
 * key, a price or a socket.
 */
import type { Refusal } from '#shared/errors.ts';
import type { DialectId } from '#shared/model.ts';
import type { Nano } from '#shared/money.ts';
import type { JsonFields, JsonEdit } from '../base/json.ts';
import type { AnswerText } from './answer-text.ts';

/** Tokens by class, normalised: the first of each pair is the total, the others are parts of it. */
export interface TokenUsage {
  inputTokens: number;
  cachedInputTokens: number;
  /** All cache writes, those kept for one hour included. */
  cacheWriteTokens: number;
  cacheWrite1hTokens: number;
  audioInputTokens: number;
  cachedAudioInputTokens: number;
  imageInputTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  audioOutputTokens: number;
  imageOutputTokens: number;
  /** Films and other moving images. */
  videoInputTokens: number;
  /** Searches the provider bills by the piece. */
  webSearches: number;
  /** Searches in stored files or collections. */
  fileSearches: number;
  /** Containers in which the provider ran code, by the gigabyte where their size has a price. */
  codeSessions: number;
  /** Searches in the posts of X. */
  xSearches: number;
  /** Requests grounded with a map. */
  mapSearches: number;
  /** Uses of the provider's tools that may have a fee nobody states per use. */
  otherTools: number;
}

/** What else the price of an answer depends on, as far as the answer says. */
export interface CostTerms {
  /** Size of the search context that the request fee goes by (Perplexity). */
  searchContext?: 'low' | 'medium' | 'high' | null;
  /** The searches were made by the tool's preview version (OpenAI). */
  previewSearch?: boolean;
  /** Where the answer was computed, in the provider's word (`us`). */
  region?: string | null;
}

/** A model call the provider made inside this request and bills in addition, at a model of its own. */
export interface ExtraPass {
  model: string | null;
  usage: TokenUsage;
}

/** A model call of the provider's own that a request allows, billed beside its own. */
export interface AllowedPass {
  /** null = the model of the request. */
  model: string | null;
  /** The request's own input is read again. */
  readsInput: boolean;
  inputTokens: number;
  outputTokens: number;
}

/** Uses of the provider's tools that have a fee of their own, beside searches of the web. */
export type AllowedUses = Partial<
  Pick<TokenUsage, 'fileSearches' | 'codeSessions' | 'xSearches' | 'mapSearches'>
>;

/** Input tokens that a server puts around what was sent: its template, a prompt of its own. */
export interface HiddenTokens {
  /** At the vendor whose protocol it is. */
  atVendor: number;
  /** At the others that speak it. */
  elsewhere: number;
}

/** What the request allows, as far as it can make it dearer. */
export interface RequestFacts {
  /** As the client wrote it, in the body or the path; null where it names none. */
  model: string | null;
  stream: boolean;
  /** Output tokens allowed for one choice, thinking included; null where the request sets no bound. */
  maxOutputTokens: number | null;
  choices: number;
  /** The least output bound that the provider takes, and that leaves room for an answer. */
  leastOutputTokens: number;
  /** Service tier asked for (`flex`, `priority`, `fast` …); null where none. */
  serviceTier: string | null;
  /** Whether the request asks for cache writes, and of which class: the dearest that can apply. */
  cacheWrites: 'none' | '5m' | '1h';
  /**
   * Input tokens beyond one a body byte: images and files by reference, stored conversations. Below zero where the body
   * shows more bytes than tokens (base64).
   */
  extraInputTokens: number;
  hiddenInputTokens: HiddenTokens;
  /** Input that hosted tools can add while the answer is made; a count of what was sent does not have it. */
  hostedInputTokens: number;
  /** How often the input as sent is read at the most: again behind each round of hosted tools, searches apart. */
  inputReadings: number;
  /** A part of the input is not in the body: files by reference, earlier answers. */
  storedInput: boolean;
  /** The request carries sound, or points at what may be sound: its input can be billed at that rate. */
  soundInput: boolean;
  /** Billable searches the request allows at the most; 0 where it allows none. */
  webSearches: number;
  /** What one search puts into the input. */
  searchInputTokens: number;
  /** Fewer searches can be asked for by an edit. */
  searchesCanBeClamped: boolean;
  /** What else is billed by the piece, as often as the request allows it. */
  uses: AllowedUses;
  passes: readonly AllowedPass[];
  /** Why the cost of this request does not come back on this connection (a background run …); null where it does. */
  notMetered: string | null;
}

export interface AnswerFacts {
  /** The model that answered, as the provider names it. */
  model: string | null;
  serviceTier: string | null;
  terms: CostTerms;
  /** null until the provider has reported any. Running counts of a stream that is cut stay here. */
  usage: TokenUsage | null;
  /** Whether `usage` is the provider's last word for a complete answer. */
  usageIsFinal: boolean;
  extraPasses: ExtraPass[];
  /** What the provider says it charged; null where it does not say. */
  reportedCostNano: Nano | null;
  /** `reportedCostNano` is what is billed; false where it is a field that nobody has filled in. */
  reportedCostIsBilled: boolean;
  /** Billed to the person's own key by the provider behind a gateway, beside what the gateway charged (OpenRouter BYOK). */
  reportedOwnKeyNano: Nano;
  /** Characters of text, thinking and tool arguments seen, for an estimate where usage is missing. */
  outputChars: number;
  /** Calls of the client's tools among it: each has tokens beside its name and arguments. */
  outputCalls: number;
  /** That text itself, where its tokens can be counted and it was asked to be kept; never longer than the request lives. */
  outputText: AnswerText | null;
  /** The provider reported an error inside a successful answer. */
  failed: boolean;
}

/**
 * `pass`: on to the client. `hide`: the chunk exists only because the gateway asked for usage. `last`: on to the
 * client, and the answer is complete (nothing that matters for the cost can follow).
 */
export type EventVerdict = 'pass' | 'hide' | 'last';

/** Collects the facts of one answer. Never throws: an event that cannot be read changes nothing. */
export interface AnswerReader {
  readonly facts: AnswerFacts;
  /**
   * The protocol's own end has been seen, a reported error included: when the connection closes now, nothing is
   * missing. Some protocols have no last event (Gemini), and some servers leave theirs out (`[DONE]`).
   */
  readonly finished: boolean;
  /** One event of a stream: its `data` text and its `event` name, or one element of a streamed JSON array. */
  event(data: string, type: string | undefined): EventVerdict;
  /** A whole JSON answer. */
  answer(fields: JsonFields): void;
  /**
   * The bytes that end this stream properly when it cannot go on (limit, stop, provider gone), given what has been
   * seen so far. The form was measured to make clients stop and show the message.
   */
  ending(message: string, code: 'limit_reached' | 'stopped' | 'upstream'): string;
}

export interface ReaderOptions {
  /** Usage was asked for by the gateway, not by the client: the chunk that carries it alone is hidden. */
  hideUsage: boolean;
  /** Keep what a stream says, so that its tokens can be counted should it be cut. */
  keepText?: boolean;
  /** Provider kind or price vendor, for the providers that deviate from the protocol they speak (`xai`, `mistral` …). */
  vendor: string;
  /** The model that was asked, for an answer that names none. */
  model?: string;
  /** The provider streams a JSON array instead of events (Gemini without `alt=sse`). */
  jsonArray?: boolean;
}

/** What the gateway may change in a request. */
export interface RequestChange {
  model?: string;
  /** Ask a stream to report its usage, where the protocol does so only when asked. */
  includeUsage?: boolean;
  maxOutputTokens?: number;
  /** The most searches to allow. */
  webSearches?: number;
  /** Provider kind, for the providers that refuse or ignore a field of the protocol they speak. */
  vendor?: string;
}

export interface Dialect {
  readonly id: DialectId;
  read(body: JsonFields, path: { model: string | null; stream: boolean }): RequestFacts;
  /** The edits that make the request say so; an empty list where it says so already. */
  edits(body: JsonFields, change: RequestChange): JsonEdit[];
  reader(options: ReaderOptions): AnswerReader;
  refusal(
    refusal: Refusal,
    request: { id: string; headers: Readonly<Record<string, string | string[] | undefined>> },
  ): RefusalAnswer;
}

export interface RefusalAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export const noUsage: Readonly<TokenUsage> = {
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  audioInputTokens: 0,
  cachedAudioInputTokens: 0,
  imageInputTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  audioOutputTokens: 0,
  imageOutputTokens: 0,
  videoInputTokens: 0,
  webSearches: 0,
  fileSearches: 0,
  codeSessions: 0,
  xSearches: 0,
  mapSearches: 0,
  otherTools: 0,
};

/** A request that allows nothing: what a dialect's reading of a request begins with. */
export const nothingAsked: RequestFacts = {
  model: null,
  stream: false,
  maxOutputTokens: null,
  choices: 1,
  leastOutputTokens: 1,
  serviceTier: null,
  cacheWrites: 'none',
  extraInputTokens: 0,
  hiddenInputTokens: { atVendor: 0, elsewhere: 0 },
  hostedInputTokens: 0,
  inputReadings: 1,
  storedInput: false,
  soundInput: false,
  webSearches: 0,
  searchInputTokens: 0,
  searchesCanBeClamped: false,
  uses: {},
  passes: [],
  notMetered: null,
};
