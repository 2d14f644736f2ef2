/** The words of the project as types: the shapes that cross from the gateway to the window. */
import * as z from 'zod';
import { MAX_LIMIT_NANO } from './money.ts';

export const nano = z.int().min(0);
const time = z.iso.datetime();
const count = z.int().min(0);

export const providerKinds = [
  'openai',
  'anthropic',
  'gemini',
  'openrouter',
  'llmgateway',
  'deepseek',
  'mistral',
  'groq',
  'xai',
  'ollama',
  'lmstudio',
  'openai-compatible',
  'anthropic-compatible',
] as const;
export const ProviderKind = z.enum(providerKinds);
export type ProviderKind = z.infer<typeof ProviderKind>;

/** `own-key`: billed to the person by the provider; `credits`: paid from a gateway account; `free`: an explicit $0. */
export const Billing = z.enum(['own-key', 'credits', 'free']);
export type Billing = z.infer<typeof Billing>;

export const dialectIds = [
  'openai-chat',
  'openai-completions',
  'openai-responses',
  'openai-embeddings',
  'anthropic-messages',
  'gemini',
  'gemini-embeddings',
  'gemini-interactions',
] as const;
export const DialectId = z.enum(dialectIds);
export type DialectId = z.infer<typeof DialectId>;

export const Every = z.enum(['hour', 'day', 'week', 'month']);
export type Every = z.infer<typeof Every>;

export const LimitAmount = nano.max(MAX_LIMIT_NANO);
export const RecurringLimit = z.strictObject({ amountNano: LimitAmount, every: Every });
export type RecurringLimit = z.infer<typeof RecurringLimit>;

/** A name that is shown in one line, in terminals and logs too, where control characters do more than they show. */
export const oneLineName = (missing: string) =>
  z
    .string()
    .trim()
    .min(1, missing)
    .max(80, 'Use at most 80 characters.')
    .regex(/^\P{Cc}*$/u, 'Use letters, digits and signs in one line, without control characters.');

export const KeyName = oneLineName('Give the key a name.');

export const LimitState = z.enum(['none', 'ok', 'near', 'reached']);
export type LimitState = z.infer<typeof LimitState>;

const RecurringUse = RecurringLimit.extend({ usedNano: nano, resetsAt: time });

/** Money on top of a key's limits, but for the one per session: until the window it was given in resets, or until it is removed (null). */
export const TopUp = z.object({ amountNano: nano, until: time.nullable() });
export type TopUp = z.infer<typeof TopUp>;

/** The key sent the same request `count` times in a row and waits for a person. */
export const KeyPause = z.object({ reason: z.literal('loop'), at: time, count });
export type KeyPause = z.infer<typeof KeyPause>;

/** Where a request of a key goes once more, should the provider it was sent to fail before the first byte. */
export const KeyFallback = z.strictObject({
  providerId: z.string().min(1),
  /** Also to one that costs more, in whatever is billed. */
  dearer: z.boolean().default(false),
  /** Models that have another name there. */
  models: z
    .array(
      z.strictObject({
        from: z.string().trim().min(1, 'Name the model that is asked for.').max(200),
        to: z.string().trim().min(1, 'Name the model that takes its place.').max(200),
      }),
    )
    .max(100)
    .default([]),
});
export type KeyFallback = z.infer<typeof KeyFallback>;

export const KeyRow = z.object({
  id: z.string(),
  name: z.string(),
  masked: z.string(),
  status: z.enum(['active', 'disabled', 'expired']),
  createdAt: time,
  lastUsedAt: time.nullable(),
  expiresAt: time.nullable(),
  /** Settled: `usageCreditsNano` + `usageOwnKeyNano`. What is held for running requests is not in it. */
  usageNano: nano,
  usageCreditsNano: nano,
  usageOwnKeyNano: nano,
  heldNano: nano,
  requests: count,
  inputTokens: count,
  outputTokens: count,
  /** Requests served without a price: their cost is unknown and not in the usage. */
  unpricedRequests: count,
  limitNano: nano.nullable(),
  recurring: RecurringUse.nullable(),
  /** What each session may cost, by the session id that its client sends; null = no limit. */
  sessionLimitNano: nano.nullable(),
  topUp: TopUp.nullable(),
  pause: KeyPause.nullable(),
  /** null = a request that fails has failed. */
  fallback: KeyFallback.nullable(),
  limitState: LimitState,
});
export type KeyRow = z.infer<typeof KeyRow>;

/** What a limit is over, beside a key: all keys together, or all requests to one provider. */
export const LimitScope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('global') }),
  z.strictObject({ kind: z.literal('provider'), providerId: z.string().min(1) }),
]);
export type LimitScope = z.infer<typeof LimitScope>;

export const ScopeLimit = z.object({
  limitNano: nano.nullable(),
  recurring: RecurringUse.nullable(),
  usageNano: nano,
  heldNano: nano,
  limitState: LimitState,
});
export type ScopeLimit = z.infer<typeof ScopeLimit>;

export const ProviderLimit = ScopeLimit.extend({
  providerId: z.string(),
  slug: z.string(),
  name: z.string(),
});
export type ProviderLimit = z.infer<typeof ProviderLimit>;

export const SharedLimits = z.object({ global: ScopeLimit, providers: z.array(ProviderLimit) });
export type SharedLimits = z.infer<typeof SharedLimits>;

/** A limit has come near or is reached. `usedNano` is of the window where the limit is a recurring one. */
export const LimitNotice = z.object({
  scope: z.enum(['key', 'provider', 'global']),
  /** The key's or the provider's; `global` for all keys. */
  id: z.string(),
  name: z.string(),
  /** The threshold that was passed: one of the settings'. */
  percent: z.int().min(1).max(100),
  usedNano: nano,
  limitNano: nano,
  every: Every.nullable(),
  resetsAt: time.nullable(),
});
export type LimitNotice = z.infer<typeof LimitNotice>;

export const ProviderRow = z.object({
  id: z.string(),
  kind: ProviderKind,
  name: z.string(),
  slug: z.string(),
  baseUrl: z.string(),
  billing: Billing,
  enabled: z.boolean(),
  /** Whether a credential is stored. The credential itself never leaves the gateway. */
  hasCredential: z.boolean(),
  /** A credential is stored but this machine cannot decrypt it: it has to be entered again. */
  credentialUnreadable: z.boolean(),
  dialects: z.array(DialectId),
  createdAt: time,
});
export type ProviderRow = z.infer<typeof ProviderRow>;

export const requestFlags = [
  'estimated',
  'overrun',
  'unpriced',
  'clamped',
  'stopped',
  'interrupted',
  'corrected',
  'fallback',
] as const;
export const RequestFlag = z.enum(requestFlags);
export type RequestFlag = z.infer<typeof RequestFlag>;

export const RequestRow = z.object({
  id: z.int(),
  at: time,
  keyId: z.string(),
  /** The provider's slug. */
  provider: z.string(),
  dialect: DialectId,
  modelAsked: z.string(),
  model: z.string(),
  /** The program that asked (`claude-code`, `openai-node` …), without its version; null where it does not say. */
  client: z.string().nullable(),
  /** The client's own ids, or a hash of them where one is not plainly an id: a session, and a subagent within it. */
  session: z.string().nullable(),
  agent: z.string().nullable(),
  parentAgent: z.string().nullable(),
  /** HTTP status the provider answered with; 0 where it gave none. */
  status: z.int(),
  stream: z.boolean(),
  /** Totals; the cached, written and reasoning counts are parts of them. */
  inputTokens: count,
  cachedInputTokens: count,
  cacheWriteTokens: count,
  cacheWrite1hTokens: count,
  outputTokens: count,
  reasoningTokens: count,
  webSearches: count,
  /** null = unpriced: the cost is unknown, which is not the same as nothing. */
  costNano: nano.nullable(),
  reportedCostNano: nano.nullable(),
  computedCostNano: nano.nullable(),
  /** What the cached input would have cost in addition at the plain input price; null where that is unknown. */
  savedNano: nano.nullable(),
  priceSource: z.string().nullable(),
  flags: z.array(RequestFlag),
  firstByteMs: z.number().nullable(),
  durationMs: z.number(),
});
export type RequestRow = z.infer<typeof RequestRow>;

/** One line of how a cost came about: `count` × `unitNano` / `per` = `nano`, each rounded for itself. */
export const LineItem = z.object({
  /** A class of tokens (`input`, `cachedInput`, `cacheWrite`, `output`, `reasoning` …) or a fee (`webSearch`, `request`). */
  item: z.string(),
  /** Another model than the one asked for, which ran inside the request. */
  model: z.string().optional(),
  count: count,
  /** The unit price is for this many: a million tokens, a thousand searches. */
  per: count,
  unitNano: nano,
  nano,
});
export type LineItem = z.infer<typeof LineItem>;

export const Correction = z.object({
  at: time,
  /** null = it was unpriced. */
  beforeNano: nano.nullable(),
  afterNano: nano,
  reason: z.string(),
});
export type Correction = z.infer<typeof Correction>;

/** A request with all that explains its cost, as it was frozen when it was settled. */
export const RequestDetail = RequestRow.extend({
  settledAt: time,
  billing: Billing,
  /** What was set aside for it before it was sent. */
  heldNano: nano,
  /** Empty where the cost was not computed from a price. Their sum is exactly `computedCostNano`. */
  lineItems: z.array(LineItem),
  /** null where there was no price. */
  price: z
    .object({
      source: z.string(),
      /** Day of the source, YYYY-MM-DD; null where it has none. */
      date: z.string().nullable(),
      /** The maker was guessed from the model's name. */
      guessed: z.boolean(),
      /** null = the standard one. */
      serviceTier: z.string().nullable(),
      /** Percent of the standard token price at that tier. */
      tierPercent: z.int().nullable(),
      region: z.string().nullable(),
      /** The price is that of inputs above so many tokens; null = below every step. */
      aboveTokens: z.int().nullable(),
      /** Why the cost is an estimate, one reason a line. */
      doubts: z.array(z.string()),
      /** How far the provider's own figure is from the computed one; null where it reports none or they agree. */
      reportedDiffersNano: z.int().nullable(),
    })
    .nullable(),
  /** Oldest first. */
  corrections: z.array(Correction),
});
export type RequestDetail = z.infer<typeof RequestDetail>;

/** US dollars, a decimal as a number or as text. */
const decimal = z
  .union(
    [
      z.number().min(0),
      z.string().regex(/^\d*\.?\d+(e-?\d{1,2})?$/i, 'Enter a price in dollars such as 0.15.'),
    ],
    'Enter a price in dollars such as 0.15.',
  )
  .transform(String);

/** From more than `above` input tokens on, all tokens of the request cost these prices; what is left out stays. */
export const PriceTier = z.strictObject({
  above: z.int().min(1),
  input: decimal.optional(),
  output: decimal.optional(),
  cachedInput: decimal.optional(),
  cacheWrite: decimal.optional(),
  cacheWrite1h: decimal.optional(),
});
export type PriceTier = z.infer<typeof PriceTier>;

/** US dollars per million tokens, per request and per 1,000 searches where it says so. */
export const PriceAmounts = z.strictObject({
  input: decimal,
  output: decimal,
  cachedInput: decimal.optional(),
  cacheWrite: decimal.optional(),
  cacheWrite1h: decimal.optional(),
  perRequest: decimal.optional(),
  /** Per 1,000 searches. */
  webSearch: decimal.optional(),
  /** Ascending. */
  tiers: z.array(PriceTier).max(10).optional(),
});
export type PriceAmounts = z.infer<typeof PriceAmounts>;

/**
 * A price a person set: that of the standard service tier, for the model asked for, whichever model answers. What it
 * leaves out by the piece (searches, requests), and the share that a service tier or a region costs of it, is as known
 * for that model at its provider; a class of tokens it leaves out is billed as the related one, as an open estimate.
 */
export const PriceInput = PriceAmounts.extend({
  providerId: z.string(),
  model: z.string().trim().min(1, 'Name the model the price is for.').max(200),
  /** The entry of the catalogue that it was copied from, with its date. */
  copiedFrom: z.string().max(300).optional(),
});
export type PriceInput = z.infer<typeof PriceInput>;
export const PriceRow = PriceInput.extend({ source: z.string(), setAt: time });
export type PriceRow = z.infer<typeof PriceRow>;

/** When the same request over and over is taken for a loop and pauses its key. */
export const LoopBrakeSettings = z.object({
  /** So many times in a row, each sent after the one before was answered. */
  requests: z
    .int('Enter a whole number of requests.')
    .min(2, 'Enter at least 2 requests.')
    .max(1_000_000, 'Enter at most 1,000,000 requests.'),
  seconds: z
    .int('Enter a whole number of seconds.')
    .min(1, 'Enter at least 1 second.')
    .max(86_400, 'Enter at most 86,400 seconds.'),
  /** Only steps of an agent count: requests that declare tools and take as long as a model takes. */
  agentsOnly: z.boolean().default(false),
});
export type LoopBrakeSettings = z.infer<typeof LoopBrakeSettings>;

export const Settings = z.object({
  port: z.int().min(0).max(65535),
  launchAtLogin: z.boolean(),
  /** Percent of a limit at which the person is told. */
  thresholds: z.array(z.int().min(1).max(100)).max(10),
  /** null = off. */
  loopBrake: LoopBrakeSettings.nullable(),
  theme: z.enum(['system', 'light', 'dark']),
  /** Fetch newer price data once a day. */
  priceUpdates: z.boolean(),
  /** The desktop app alone: notices of the operating system at the thresholds and of faults. */
  notices: z.boolean(),
  /** The desktop app alone: closing the window leaves the gateway running in the tray. */
  keepRunning: z.boolean(),
  /** The desktop app alone, where it was installed from a release: look for a newer one once a day. */
  appUpdates: z.boolean(),
});
export type Settings = z.infer<typeof Settings>;

/** A copy of the ledger in the data folder. */
export const BackupRow = z.object({ name: z.string(), at: time, bytes: count });
export type BackupRow = z.infer<typeof BackupRow>;

export const Totals = z.object({
  usageNano: nano,
  heldNano: nano,
  todayNano: nano,
  monthNano: nano,
  requests: count,
  running: count,
});

export const Status = z.object({
  version: z.string(),
  gatewayUrl: z.string(),
  /** Absolute path of the folder with the ledger, its backups and the log. */
  dataFolder: z.string(),
  paused: z.boolean(),
  /** A fault that needs the person, in one sentence that says what to do; null when all is well. */
  problem: z.string().nullable(),
  totals: Totals,
});
export type Status = z.infer<typeof Status>;

/** Sums over requests. The cached and written counts are parts of the input, reasoning of the output. */
const sums = {
  requests: count,
  /** Requests that the provider did not answer with success. */
  errors: count,
  /** Requests whose cost was computed from what was seen, not from what the provider reported. */
  estimatedRequests: count,
  unpricedRequests: count,
  inputTokens: count,
  cachedInputTokens: count,
  cacheWriteTokens: count,
  outputTokens: count,
  reasoningTokens: count,
  costNano: nano,
  costCreditsNano: nano,
  costOwnKeyNano: nano,
  /** What the cached input would have cost in addition at the plain input price, as far as that is known. */
  savedNano: nano,
};

export const UsageGroup = z.object({
  /**
   * The local hour (YYYY-MM-DDThh:mm±hh:mm), day or first day of the week (YYYY-MM-DD), month
   * (YYYY-MM), or the key's id, model, provider's slug, client, session or agent; empty where a row has none.
   */
  group: z.string(),
  ...sums,
});
export type UsageGroup = z.infer<typeof UsageGroup>;

export const UsagePoint = z.object({
  /** Where the local hour, day, week or month starts, also where the time asked for starts later. */
  at: time,
  /** Key id, model, provider's slug or client; empty for `none`, or where a row has none. */
  group: z.string(),
  ...sums,
});
export type UsagePoint = z.infer<typeof UsagePoint>;

/** What the requests of one agent of a session cost. */
export const AgentUsage = z.object({ agent: z.string(), parentAgent: z.string().nullable(), ...sums });
export type AgentUsage = z.infer<typeof AgentUsage>;

/** A client's session: its sums are of all its requests, those of its agents included. */
export const SessionUsage = z.object({
  id: z.int(),
  session: z.string(),
  client: z.string().nullable(),
  keyId: z.string(),
  firstAt: time,
  lastAt: time,
  /** Subagents only; what is left of the sums is the main agent's. Dearest first. */
  agents: z.array(AgentUsage),
  ...sums,
});
export type SessionUsage = z.infer<typeof SessionUsage>;
