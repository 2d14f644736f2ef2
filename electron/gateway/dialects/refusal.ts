/** Refusals in each protocol's own error shape: what SDKs show, and do not try again. */
import { refusals, type Refusal, type RefusalCode } from '#shared/errors.ts';
import type { RefusalAnswer } from './dialect.ts';

export interface RefusedRequest {
  id: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Refusals that a request with more money behind it would not get. */
const outOfMoney: ReadonlySet<RefusalCode> = new Set(['limit_reached', 'not_enough_left']);

/** Shape of the OpenAI protocols. `responses` turns on the form that Codex understands. */
export function openaiRefusal(refusal: Refusal, request: RefusedRequest, responses = false): RefusalAnswer {
  const { status } = refusal;
  if (responses && !refusals[refusal.code].retry && isCodex(request)) return codexRefusal(refusal, request);
  // The type `invalid_request_error` makes LiteLLM, and aider on it, stop at a 402; any other type is tried again.
  const type = status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error';
  return answer(refusal, 'x-request-id', request, status, {
    error: { message: refusal.message, type, param: null, code: openaiCode(refusal) },
  });
}

function openaiCode({ code }: Refusal): string {
  if (outOfMoney.has(code) || code === 'ledger_unavailable') return 'insufficient_quota';
  return code === 'invalid_key' ? 'invalid_api_key' : code;
}

/**
 * Codex tries everything but a 400 and one kind of 429 six times, a 401 too. That 429 it shows at once, with the
 * sentence of the header; of a 400 it prints the body.
 */
function codexRefusal(refusal: Refusal, request: RefusedRequest): RefusalAnswer {
  const error = {
    message: refusal.message,
    type: 'invalid_request_error',
    param: null,
    code: openaiCode(refusal),
  };
  if (!outOfMoney.has(refusal.code)) return answer(refusal, 'x-request-id', request, 400, { error });
  const refused = answer(refusal, 'x-request-id', request, 429, {
    error: { ...error, type: 'usage_limit_reached' },
  });
  // Codex goes on with ", or try again later." behind the sentence.
  refused.headers['x-codex-promo-message'] = headerText(refusal.message.replace(/\.\s*$/, ''));
  return refused;
}

function isCodex({ headers }: RefusedRequest): boolean {
  return [headers['originator'], headers['user-agent']].some((value) => /^codex/i.test(String(value ?? '')));
}

/** Error types of the Messages API by status: platform.claude.com/docs/en/api/errors. Never `overloaded_error`. */
const anthropicTypes: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
};

/** Claude Code sends what got a 400 up to six times, and has a sentence of its own for a 404. */
const anotherStatusForClaudeCode: ReadonlySet<RefusalCode> = new Set([
  'unpriced_model',
  'not_metered',
  'no_provider',
]);

export function anthropicRefusal(refusal: Refusal, request: RefusedRequest): RefusalAnswer {
  const { message, code } = refusal;
  const claudeCode = /^claude-cli\b/i.test(String(request.headers['user-agent'] ?? ''));
  const status = claudeCode && anotherStatusForClaudeCode.has(code) ? 402 : refusal.status;
  const type = anthropicTypes[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
  const errorCode = code === 'limit_reached' ? 'key_spend_limit_reached' : code;
  return answer(refusal, 'request-id', request, status, {
    type: 'error',
    error: { type, message, details: { error_code: errorCode } },
    request_id: request.id,
  });
}

/** Canonical codes of google.rpc by status. */
const googleStatuses: Record<number, string> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  402: 'FAILED_PRECONDITION',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNIMPLEMENTED',
  413: 'INVALID_ARGUMENT',
  424: 'FAILED_PRECONDITION',
  426: 'FAILED_PRECONDITION',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

export function geminiRefusal(refusal: Refusal, request: RefusedRequest): RefusalAnswer {
  const { status, message, code } = refusal;
  const reason = code === 'limit_reached' ? 'KEY_SPEND_LIMIT_REACHED' : code.toUpperCase();
  return answer(refusal, 'x-request-id', request, status, geminiError(status, message, reason));
}

export function geminiError(status: number, message: string, reason: string): object {
  return {
    error: {
      code: status,
      message,
      status: googleStatuses[status] ?? 'UNKNOWN',
      details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason, domain: 'faregate' }],
    },
  };
}

function answer(
  refusal: Refusal,
  idHeader: string,
  request: RefusedRequest,
  status: number,
  body: object,
): RefusalAnswer {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    [idHeader]: headerText(request.id),
  };
  // The SDKs of OpenAI and Anthropic, and Claude Code, obey it; a `retry-after` on a refusal that stays one would make
  // others wait for it in silence.
  if (!refusals[refusal.code].retry) headers['x-should-retry'] = 'false';
  else if (refusal.retryAfter !== undefined)
    headers['retry-after'] = String(Math.max(1, Math.ceil(refusal.retryAfter)));
  return { status, headers, body: JSON.stringify(body) };
}

/** RFC 9110, section 5.5: printable ASCII is what every party can read in a header; names of keys can be anything. */
function headerText(value: string): string {
  return value
    .normalize('NFKD')
    .replaceAll(/[\u2010-\u2015]/g, '-')
    .replaceAll(/[\u2018\u2019]/g, "'")
    .replaceAll(/[\u201c\u201d]/g, '"')
    .replaceAll(/[\u0300-\u036f]/g, '')
    .replaceAll(/[^\x20-\x7e]+/g, '?')
    .trim()
    .slice(0, 1000);
}
