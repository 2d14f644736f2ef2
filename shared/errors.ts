/**
 * Every refusal of the gateway, in one table: HTTP status and whether a client may try again. The sentence is made
 * where the facts are known; the shape is the caller's dialect's. Which status makes which client stop at once and
 * show the sentence was measured; see the comments.
 */
export const refusals = {
  bad_request: { status: 400, retry: false },
  forbidden_host: { status: 403, retry: false },
  cross_site: { status: 403, retry: false },
  body_too_large: { status: 413, retry: false },
  // 401 without `x-should-retry: false` is tried ten more times by Claude Code.
  invalid_key: { status: 401, retry: false },
  unknown_route: { status: 404, retry: false },
  method_not_allowed: { status: 405, retry: false },
  websocket_not_served: { status: 426, retry: false },
  no_provider: { status: 404, retry: false },
  // 400, not 404 or 422: those make agents hide the sentence behind one of their own.
  unpriced_model: { status: 400, retry: false },
  not_metered: { status: 400, retry: false },
  // 402 is the one status that every agent and SDK measured shows at once and does not try again.
  limit_reached: { status: 402, retry: false },
  not_enough_left: { status: 402, retry: false },
  ledger_unavailable: { status: 402, retry: false },
  gateway_paused: { status: 402, retry: false },
  key_paused: { status: 402, retry: false },
  // Only this one is worth another try: the money is held by requests that will end.
  held_by_others: { status: 429, retry: true },
  // Ended on purpose while it ran: the key was disabled, deleted or rotated, all was stopped, or the gateway is closing.
  stopped: { status: 402, retry: false },
  credential_missing: { status: 402, retry: false },
  upstream_unreachable: { status: 502, retry: true },
  upstream_timeout: { status: 504, retry: true },
  internal: { status: 500, retry: false },
} as const satisfies Record<string, { status: number; retry: boolean }>;

export type RefusalCode = keyof typeof refusals;

/** A request the gateway answers itself. `message` is one full sentence for the person, with what to do. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  /** Seconds, where trying again is worth it. */
  readonly retryAfter: number | undefined;

  constructor(code: RefusalCode, message: string, options?: { retryAfter?: number; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Refusal';
    this.code = code;
    this.retryAfter = options?.retryAfter;
  }

  get status(): number {
    return refusals[this.code].status;
  }
}
