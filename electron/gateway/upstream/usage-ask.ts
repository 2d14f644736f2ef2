/**
 * `stream_options.include_usage`, asked for where the client did not: some servers refuse a field they do not know. The
 * same request is then sent again without it, nothing of which the client sees, and those that follow are sent without.
 */
import type { Dispatcher } from 'undici';

type Handler = Dispatcher.DispatchHandler;

export interface UsageAsks {
  /** Whether a stream of this upstream may be asked for its usage. `upstream` is a base URL and a model. */
  mayAsk(upstream: string): boolean;
  /**
   * Stands before the handler of a request that asks. `resend` sends it again without the field, to the handler it is
   * given; at the most once, and only where the refusal names the field or one that is not known.
   */
  guard(upstream: string, handler: Handler, resend: (handler: Handler) => void): Handler;
}

/** Longer than the error of any API; what is longer is passed on. */
const MAX_ERROR = 64 * 1024;

/** Kept in memory: forgetting them at the end costs one refused request for each at the next start. */
const MAX_REMEMBERED = 1_000;

export function createUsageAsks(): UsageAsks {
  const refusing = new Set<string>();

  function remember(upstream: string): void {
    if (refusing.size < MAX_REMEMBERED) refusing.add(upstream);
  }

  return {
    mayAsk: (upstream) => !refusing.has(upstream),
    guard(upstream, handler, resend) {
      let held: {
        start: Parameters<NonNullable<Handler['onResponseStart']>>;
        pieces: Buffer[];
        length: number;
      } | null = null;

      const release = () => {
        const taken = held;
        held = null;
        if (taken === null) return;
        handler.onResponseStart?.(...taken.start);
        for (const piece of taken.pieces) handler.onResponseData?.(taken.start[0], piece);
      };

      return {
        onRequestStart: (controller, context: unknown) => handler.onRequestStart?.(controller, context),
        onResponseStart(...start) {
          if (start[1] < 400) handler.onResponseStart?.(...start);
          else held = { start, pieces: [], length: 0 };
        },
        onResponseData(controller, chunk) {
          if (held === null) return handler.onResponseData?.(controller, chunk);
          held.pieces.push(chunk);
          held.length += chunk.length;
          if (held.length > MAX_ERROR) release();
        },
        onResponseEnd(controller, trailers) {
          if (held !== null && refusesTheField(held.start[1], Buffer.concat(held.pieces).toString('utf8'))) {
            held = null;
            // Without the field the request is the client's own: whatever comes now is its answer.
            resend(noting(handler, () => remember(upstream)));
            return;
          }
          release();
          handler.onResponseEnd?.(controller, trailers);
        },
        onResponseError(controller, error) {
          release();
          handler.onResponseError?.(controller, error);
        },
      };
    },
  };
}

/** Tells once the answer is a success: then it was the field that had been refused, and nothing else. */
function noting(handler: Handler, tell: () => void): Handler {
  return {
    onRequestStart: (controller, context: unknown) => handler.onRequestStart?.(controller, context),
    onResponseStart(...start) {
      if (start[1] >= 200 && start[1] < 300) tell();
      handler.onResponseStart?.(...start);
    },
    onResponseData: (controller, chunk) => handler.onResponseData?.(controller, chunk),
    onResponseEnd: (controller, trailers) => handler.onResponseEnd?.(controller, trailers),
    onResponseError: (controller, error) => handler.onResponseError?.(controller, error),
  };
}

const UNKNOWN_FIELD =
  /(unknown|unrecogni[sz]ed|unexpected|unsupported|extra|additional|invalid)[\s_"'-]*(request|body|json)?[\s_"'-]*(field|param|propert|argument|input|key|option)|extra_forbidden|not permitted/i;

/** An error that names the field, in whichever status; or one of a bad request that speaks of a field nobody knows. */
function refusesTheField(status: number, error: string): boolean {
  if (/stream_options|include_usage/i.test(error)) return true;
  return (status === 400 || status === 422) && UNKNOWN_FIELD.test(error);
}
