/**
 * The contract: every call the window (or any other client) can make of the gateway, and every event it is sent.
 * Both ends parse with these schemas, so adding a method is one entry here and one handler in the gateway.
 */
import * as z from 'zod';
import { DEAR_NANO } from './defaults.ts';
import { ConnectPlan, ToolId, ToolRow } from './connect.ts';
import {
  BackupRow,
  Billing,
  Every,
  KeyFallback,
  KeyName,
  KeyRow,
  LimitAmount,
  LimitNotice,
  LimitScope,
  oneLineName,
  nano,
  PriceInput,
  PriceRow,
  ProviderKind,
  ProviderRow,
  RecurringLimit,
  RequestDetail,
  RequestFlag,
  RequestRow,
  SessionUsage,
  ScopeLimit,
  Settings,
  SharedLimits,
  Status,
  UsageGroup,
  UsagePoint,
} from './model.ts';
import { formatLimit, MAX_COST_NANO } from './money.ts';
import {
  CatalogueModel,
  PriceDataInfo,
  PriceInForce,
  PriceRefresh,
  Repricing,
  UnpricedModel,
} from './pricing.ts';
import { Reconciliation } from './reconciliation.ts';

/** A file is read in one piece; while it is, every stream waits. */
export const MAX_EXPORT_CHARACTERS = 8_000_000;

const id = z.string().min(1);
const count = z.int().min(0);
const time = z.iso.datetime({ offset: true });
const none = z.strictObject({}).default({});
const done = z.object({});

const slug = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'Use lower-case letters, digits and hyphens, such as my-openai.');
const baseUrl = z.url({
  protocol: /^https?$/,
  error: 'Enter a full address such as https://api.openai.com/v1.',
});
const credential = z
  .string()
  .trim()
  .max(4096)
  // A credential is sent as a header value: RFC 9110, section 5.5, leaves no room for line breaks or control characters.
  .regex(
    /^[\x21-\x7e]*$/,
    'The credential has a character that cannot be sent. Paste it again, without spaces or line breaks.',
  );
const providerName = oneLineName('Give the provider a name.');

const usageFilter = {
  keyId: id.optional(),
  provider: z.string().optional(),
  model: z.string().optional(),
  client: z.string().optional(),
};

const modelName = z.string().trim().min(1, 'Name the model.').max(200);

const method = <In extends z.ZodType, Out extends z.ZodType>(input: In, output: Out) => ({ input, output });

/** Which requests of the log. */
export const LogFilter = z.strictObject({
  keyId: id.optional(),
  status: z.union([z.int(), z.enum(['ok', 'error'])]).optional(),
  /** As it was asked for or as it was billed. */
  model: z.string().optional(),
  provider: z.string().optional(),
  client: z.string().optional(),
  session: z.string().optional(),
  agent: z.string().optional(),
  flag: RequestFlag.optional(),
  /** What cost at least so much; of less there is no index. */
  minCostNano: nano.min(DEAR_NANO, `Enter at least ${formatLimit(DEAR_NANO)}.`).optional(),
  /** Requests that started in [from, to). */
  from: time.optional(),
  to: time.optional(),
  /** Part of a model's, provider's or client's name, in any case. */
  search: z.string().trim().max(200).optional(),
});
export type LogFilter = z.infer<typeof LogFilter>;

/** Of the log, between two points: `requests` of them, nearly, with ids from `first` up to but not including `before`. */
export const LogStretch = z.object({ first: z.int(), before: z.int(), requests: z.int() });
export type LogStretch = z.infer<typeof LogStretch>;

export const methods = {
  'status.get': method(none, Status),

  'keys.list': method(none, z.array(KeyRow)),
  'keys.create': method(
    z.strictObject({
      name: KeyName,
      limitNano: LimitAmount.nullable().default(null),
      recurring: RecurringLimit.nullable().default(null),
      /** What each session may cost, where its client names one; a request that names none has the other limits alone. */
      sessionLimitNano: LimitAmount.nullable().default(null),
      expiresAt: time.nullable().optional(),
    }),
    z.object({ key: KeyRow, secret: z.string() }),
  ),
  'keys.update': method(
    z.strictObject({
      id,
      name: KeyName.optional(),
      enabled: z.boolean().optional(),
      expiresAt: time.nullable().optional(),
      sessionLimitNano: LimitAmount.nullable().optional(),
      fallback: KeyFallback.nullable().optional(),
    }),
    KeyRow,
  ),
  /** `recurring` or `sessionLimitNano` left out keeps that limit as it is; null removes it. */
  'keys.setLimit': method(
    z.strictObject({
      id,
      limitNano: LimitAmount.nullable(),
      recurring: RecurringLimit.nullable().optional(),
      sessionLimitNano: LimitAmount.nullable().optional(),
      stopRunning: z.boolean().optional(),
    }),
    KeyRow,
  ),
  /**
   * Sets (not adds to) the money on top of every limit of the key until its window resets; where it has only an
   * all-time limit, until it is removed. 0 removes it. The limits stay as they are.
   */
  'keys.topUp': method(z.strictObject({ id, amountNano: LimitAmount }), KeyRow),
  /** Ends the pause of a key that the loop brake stopped. */
  'keys.resume': method(z.strictObject({ id }), KeyRow),
  'keys.rotate': method(z.strictObject({ id }), z.object({ key: KeyRow, secret: z.string() })),
  'keys.delete': method(z.strictObject({ id }), done),

  'providers.list': method(none, z.array(ProviderRow)),
  'providers.create': method(
    z.strictObject({
      kind: ProviderKind,
      name: providerName.optional(),
      slug: slug.optional(),
      baseUrl: baseUrl.optional(),
      credential: credential.optional(),
      billing: Billing.optional(),
    }),
    ProviderRow,
  ),
  /**
   * An empty or missing `credential` keeps the stored one, but not where `baseUrl` moves to another origin: then it is a
   * conflict on `credential`. null removes it.
   */
  'providers.update': method(
    z.strictObject({
      id,
      name: providerName.optional(),
      slug: slug.optional(),
      baseUrl: baseUrl.optional(),
      credential: credential.nullable().optional(),
      billing: Billing.optional(),
      enabled: z.boolean().optional(),
    }),
    ProviderRow,
  ),
  'providers.delete': method(z.strictObject({ id }), done),
  /** Lists the provider's models, a call that costs nothing. By id, or with what is typed but not yet saved. */
  'providers.test': method(
    z.strictObject({
      id: id.optional(),
      kind: ProviderKind.optional(),
      baseUrl: baseUrl.optional(),
      credential: credential.optional(),
    }),
    z.object({ ok: z.boolean(), message: z.string(), models: z.array(z.string()) }),
  ),

  'limits.get': method(none, SharedLimits),
  /** `recurring` left out keeps it as it is; null removes it. */
  'limits.set': method(
    z.strictObject({
      scope: LimitScope,
      limitNano: LimitAmount.nullable(),
      recurring: RecurringLimit.nullable().optional(),
      stopRunning: z.boolean().optional(),
    }),
    ScopeLimit,
  ),

  /** Paused: new requests are refused at once, running ones go on. Kept over a restart. */
  'gateway.pause': method(z.strictObject({ paused: z.boolean() }), Status),
  /** Stops every running and waiting request and pauses; how many were stopped. */
  'gateway.stopAll': method(none, z.object({ stopped: z.int().min(0) })),

  'prices.list': method(z.strictObject({ providerId: id.optional() }).default({}), z.array(PriceRow)),
  'prices.set': method(PriceInput, PriceRow),
  'prices.remove': method(z.strictObject({ providerId: id, model: z.string() }), done),
  /** What the model costs at the provider now, from whatever source; null where it has no price. */
  'prices.find': method(z.strictObject({ providerId: id, model: z.string() }), PriceInForce.nullable()),
  /** The catalogue's models whose vendor or name has all the words; best fit first. */
  'prices.search': method(
    z.strictObject({ query: z.string().max(200), limit: z.int().min(1).max(200).default(50) }),
    z.array(CatalogueModel),
  ),
  'prices.unpriced': method(none, z.array(UnpricedModel)),
  /** Prices the past rows of a model that had no price. Without `apply` it only says what would change. */
  'prices.reprice': method(
    z
      .strictObject({
        providerId: id.optional(),
        /** The provider's slug, instead of its id. */
        provider: z.string().optional(),
        model: z.string().min(1),
        apply: z.boolean(),
      })
      .refine(({ providerId, provider }) => providerId !== undefined || provider !== undefined, {
        message: 'Name the provider.',
        path: ['provider'],
      }),
    Repricing,
  ),
  'prices.data': method(none, PriceDataInfo),
  /** Fetches newer price data now, whatever the setting says. */
  'prices.refresh': method(none, PriceRefresh),

  /** The ledger beside a provider's own export of costs or usage, CSV or JSON; nothing of it is kept. */
  'reconcile.compare': method(
    z.strictObject({
      csv: z
        .string()
        .max(MAX_EXPORT_CHARACTERS, 'The file is too large for the window. Export a shorter period.'),
      /** The one provider to compare; without it all that the export can be about. */
      providerId: id.optional(),
      tolerancePercent: z.number().min(0).max(100).default(1),
    }),
    Reconciliation,
  ),

  'requests.list': method(
    LogFilter.extend({
      /** Rows older than this id: `next` of the page before. */
      before: z.int().nullable().optional(),
      limit: z.int().min(1).max(1000).default(100),
    }).default({ limit: 100 }),
    /** Newest first; `next` is null at the end of the history. */
    z.object({ rows: z.array(RequestRow), next: z.int().nullable() }),
  ),
  /** How long the list is and where in it what stands, without reading it; null where that cannot be told. */
  'requests.outline': method(LogFilter.default({}), z.array(LogStretch).nullable()),
  'requests.get': method(z.strictObject({ id: z.int() }), RequestDetail),
  'requests.correct': method(
    z.strictObject({
      id: z.int(),
      costNano: nano.max(MAX_COST_NANO, `Enter at most ${formatLimit(MAX_COST_NANO)}.`),
      reason: z.string().trim().min(1, 'Say why the cost is corrected.').max(500),
    }),
    RequestRow,
  ),

  'usage.summary': method(
    z.strictObject({
      from: time,
      to: time,
      groupBy: z.enum([
        'hour',
        'day',
        'week',
        'month',
        'key',
        'model',
        'provider',
        'client',
        'session',
        'agent',
      ]),
      ...usageFilter,
    }),
    z.array(UsageGroup),
  ),
  /** By local hour, day, week or month, oldest first. A period without requests is left out. */
  'usage.series': method(
    z.strictObject({
      from: time,
      to: time,
      every: Every,
      by: z.enum(['key', 'model', 'provider', 'client', 'none']).default('none'),
      ...usageFilter,
    }),
    z.array(UsagePoint),
  ),
  /** Each key's cost on each of the last days, today last; keys that cost nothing are left out. */
  'usage.sparklines': method(
    z.strictObject({ days: z.int().min(1).max(366).default(30) }).default({ days: 30 }),
    z.array(z.object({ keyId: z.string(), costNano: z.array(nano) })),
  ),
  /** The sessions that were active in [from, to), the one with the latest request first. */
  'usage.sessions': method(
    z
      .strictObject({
        from: time.optional(),
        to: time.optional(),
        keyId: id.optional(),
        client: z.string().optional(),
        session: z.string().optional(),
        /** `next` of the page before. */
        before: z.string().nullable().optional(),
        limit: z.int().min(1).max(200).default(50),
      })
      .default({ limit: 50 }),
    z.object({ sessions: z.array(SessionUsage), next: z.string().nullable() }),
  ),

  /** Newest first. One is made a day. */
  'backups.list': method(none, z.array(BackupRow)),
  'backups.create': method(none, BackupRow),
  /**
   * Puts a backup in the ledger's place: running requests get a few seconds to end, new ones fail until it is done.
   * `carryOver` keeps what was used since, and the keys made since; without it that usage is forgotten, and limits with
   * it. Keys that were deleted or rotated since are as they were in the backup.
   */
  'backups.restore': method(
    z.strictObject({ name: z.string(), carryOver: z.boolean().default(true) }),
    z.object({
      /** Where the ledger that was there is kept; null where there was none. */
      keptAs: z.string().nullable(),
      /** Requests that were carried over; null where they were not, or could not be read. */
      carried: count.nullable(),
    }),
  ),

  'settings.get': method(none, Settings),
  'settings.set': method(Settings.partial().strict(), Settings),

  /** Every tool that is known, with what was found of it on this machine. */
  'connect.list': method(none, z.array(ToolRow)),
  /** What connecting, or with `undo` disconnecting, would change. Changes nothing. */
  'connect.plan': method(
    z.strictObject({ tool: ToolId, model: modelName.optional(), undo: z.boolean().default(false) }),
    ConnectPlan,
  ),
  /** Makes a key for the tool and writes what was planned. `secret` only where the person has to enter it themselves. */
  'connect.apply': method(
    z.strictObject({
      tool: ToolId,
      planHash: z.string(),
      model: modelName.optional(),
      /** Left out: the limit of the tool's key stays, or it gets none. */
      limitNano: LimitAmount.nullable().optional(),
    }),
    z.object({ tool: ToolRow, secret: z.string().nullable() }),
  ),
  /** Asks the gateway for its models with the tool's own address and key: a real request that costs nothing. */
  'connect.check': method(
    z.strictObject({ tool: ToolId }),
    z.object({ ok: z.boolean(), message: z.string() }),
  ),
  /**
   * Leads every tool that is connected at an address of before to the one the gateway has now. The rows of those tools:
   * `connected` where that was all, `changed` with the reason where the person is needed.
   */
  'connect.follow': method(none, z.array(ToolRow)),
  /**
   * Gives the files their bytes back and switches the key off. Where a file was changed since, `planHash` of a plan with
   * `undo` says that its person has seen what is taken out of it.
   */
  'connect.undo': method(
    z.strictObject({ tool: ToolId, planHash: z.string().optional() }),
    z.object({ tool: ToolRow, how: ConnectPlan.shape.how }),
  ),
} as const;

export type Methods = typeof methods;
export type MethodName = keyof Methods;
/** What a caller passes: defaults may be left out. */
export type Input<N extends MethodName> = z.input<Methods[N]['input']>;
/** What a handler receives: parsed, defaults filled in. */
export type Parsed<N extends MethodName> = z.output<Methods[N]['input']>;
export type Output<N extends MethodName> = z.output<Methods[N]['output']>;

export const contractErrorCodes = [
  'invalid_input',
  'not_found',
  'conflict',
  'unauthorized',
  'ledger_unavailable',
  'internal',
] as const;
export const ContractError = z.object({
  code: z.enum(contractErrorCodes),
  message: z.string(),
  /** The input field the message belongs to, where it belongs to one. */
  field: z.string().optional(),
});
export type ContractError = z.infer<typeof ContractError>;

export type Answer<T> = { ok: true; value: T } | { ok: false; error: ContractError };

export const events = {
  /** Rows whose numbers or settings changed, and the ids of keys that are gone. Coalesced. */
  'keys-changed': z.object({ rows: z.array(KeyRow), removed: z.array(z.string()) }),
  /** Requests that were settled since the last event, newest last. Coalesced. */
  'request-settled': z.object({ rows: z.array(RequestRow) }),
  'status-changed': Status,
  /** The limits over all keys and per provider, or what counts against them, changed. Coalesced. */
  'limits-changed': SharedLimits,
  /** A limit has come near: told once for a threshold and window, however often the gateway is restarted. */
  'limit-threshold': LimitNotice,
  /** The loop brake has paused this key. */
  'key-paused': KeyRow,
  /** The providers or their prices changed; ask again for what is shown. */
  'providers-changed': z.object({}),
  /** A backup was restored: everything that is shown has to be asked for again. */
  'ledger-replaced': z.object({}),
  /** A request was refused because its model has no price and its key has a limit. */
  'model-unpriced': z.object({ provider: z.string(), model: z.string(), keyId: z.string() }),
} as const;

export type Events = typeof events;
export type EventName = keyof Events;
export type EventData<N extends EventName> = z.output<Events[N]>;

export function isMethodName(name: unknown): name is MethodName {
  return typeof name === 'string' && Object.hasOwn(methods, name);
}

export function isEventName(name: unknown): name is EventName {
  return typeof name === 'string' && Object.hasOwn(events, name);
}
