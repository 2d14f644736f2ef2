/** The connection to a provider: where a request goes, which headers travel, and what a failure to reach it means. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { Refusal } from '#shared/errors.ts';
import { providerKindFacts } from '../config/provider-kinds.ts';
import type { Provider } from '../config/providers.ts';
import { isProxyRefusal } from './upstream-agent.ts';

/**
 * Of a connection, not of a message: never passed on (RFC 9110, section 7.6.1, and the older proxy-* family).
 */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The gateway's own business: the client's credential, the address, the framing and the encoding of the body. */
const REQUEST_OWN = new Set([
  'host',
  'content-length',
  'content-encoding',
  'expect',
  'authorization',
  'x-api-key',
  'x-goog-api-key',
  'cookie',
  'accept-encoding',
  'origin',
  'referer',
]);

/** True of the provider's own address only, or an invitation to web pages. */
const RESPONSE_OWN = new Set(['set-cookie', 'strict-transport-security', 'alt-svc']);

const travelsOut = rememberingNames(
  (lower) =>
    !HOP_BY_HOP.has(lower) &&
    !REQUEST_OWN.has(lower) &&
    !lower.startsWith('proxy-') &&
    !lower.startsWith('sec-'),
);

const travelsBack = rememberingNames(
  (lower) =>
    !HOP_BY_HOP.has(lower) &&
    !RESPONSE_OWN.has(lower) &&
    // A local port that answers pages of any origin is how such gateways were abused: no CORS headers, whoever sent them.
    !lower.startsWith('access-control-') &&
    // Another gateway of this kind behind this one speaks of its own money.
    !lower.startsWith('x-faregate-'),
);

/** A header's name is decided on once: every request brings the same few. Whoever sends ever new ones fills no memory. */
function rememberingNames(decide: (lower: string) => boolean): (name: string) => boolean {
  const decided = new Map<string, boolean>();
  return (name) => {
    let answer = decided.get(name);
    if (answer === undefined) {
      answer = decide(name.toLowerCase());
      if (decided.size < 500 && name.length <= 100) decided.set(name, answer);
    }
    return answer;
  };
}

/** `path` starts with a slash and follows the version segment, such as `/chat/completions`; the query travels but for `key`. */
export function upstreamAddress(
  provider: Provider,
  path: string,
  query: string,
): { origin: string; path: string } {
  const base = addressOf(provider.baseUrl);
  if (query === '') return { origin: base.origin, path: base.path + path };
  const parameters = query
    .split('&')
    // Textually, so that what is kept stays byte for byte what the client sent.
    .filter((parameter) => parameter !== '' && !/^key(=|$)/i.test(decodeLoosely(parameter)))
    .join('&');
  return {
    origin: base.origin,
    path: `${base.path}${path}${parameters === '' ? '' : `?${parameters}`}`,
  };
}

const addresses = new Map<string, { origin: string; path: string }>();

/** Parsed once a base URL: a request should not pay for it. */
function addressOf(baseUrl: string): { origin: string; path: string } {
  let address = addresses.get(baseUrl);
  if (address === undefined) {
    const { origin, pathname } = new URL(baseUrl);
    address = { origin, path: pathname.replace(/\/+$/, '') };
    addresses.set(baseUrl, address);
  }
  return address;
}

function decodeLoosely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The client's headers as they came, in order and spelling, without those of the connection and the gateway key, with
 * the provider's credential. `accept-encoding` is limited to what the meter reads without unpacking.
 */
export function requestHeaders(
  rawHeaders: readonly string[],
  headers: IncomingHttpHeaders,
  provider: Provider,
): string[] {
  const named = connectionNamed(headers.connection);
  const kept: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (travelsOut(name) && (named === namesNothing || !named.has(name.toLowerCase())))
      kept.push(name, rawHeaders[index + 1] ?? '');
  }
  kept.push('accept-encoding', 'identity');
  kept.push(...credentialHeaders(provider, headers));
  return kept;
}

/** Added after the client's own headers were filtered, so that no `Connection` header can take them away again. */
function credentialHeaders(provider: Provider, headers: IncomingHttpHeaders = {}): string[] {
  const { credential: form } = providerKindFacts[provider.kind];
  const added: string[] = [];
  if (provider.credential !== null) {
    added.push(
      ...(form === 'bearer'
        ? ['authorization', `Bearer ${provider.credential}`]
        : [form, provider.credential]),
    );
  }
  if (form === 'x-api-key' && headers['anthropic-version'] === undefined)
    added.push('anthropic-version', '2023-06-01');
  return added;
}

/** The provider's headers for the client. `bodyChanged`: length and encoding no longer hold. */
export function responseHeaders(raw: readonly (Buffer | string)[], bodyChanged: boolean): string[] {
  const text = raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')));
  let named = namesNothing;
  for (let index = 0; index + 1 < text.length; index += 2) {
    if (text[index]?.length === 'connection'.length && text[index]?.toLowerCase() === 'connection')
      named = new Set([...named, ...connectionNamed(text[index + 1])]);
  }
  const kept: string[] = [];
  for (let index = 0; index + 1 < text.length; index += 2) {
    const name = text[index] ?? '';
    if (!travelsBack(name) || (named !== namesNothing && named.has(name.toLowerCase()))) continue;
    if (bodyChanged && /^content-(length|encoding)$/i.test(name)) continue;
    kept.push(name, text[index + 1] ?? '');
  }
  return kept;
}

const namesNothing: ReadonlySet<string> = new Set();

function connectionNamed(value: string | undefined): ReadonlySet<string> {
  if (value === undefined || value === 'keep-alive') return namesNothing;
  return new Set((value ?? '').split(',').map((name) => name.trim().toLowerCase()));
}

/** The request could not even be written. */
export class NotSent extends Error {
  constructor(cause: unknown) {
    super('the request could not be sent', { cause });
    this.name = 'NotSent';
  }
}

/**
 * Whether this error alone says that the request cannot have reached the provider, so that it cannot be billed: there
 * was no connection. The same codes come from one that breaks while the provider works (EHOSTUNREACH when the network
 * changes, EPROTO in the middle of TLS), so what the system was asked for decides.
 */
export function neverArrived(error: unknown): boolean {
  if (error instanceof NotSent || isProxyRefusal(error)) return true;
  if (!(error instanceof Error)) return false;
  const syscall = 'syscall' in error ? error.syscall : undefined;
  if (syscall === 'connect' || syscall === 'getaddrinfo') return true;
  if (errorCode(error) === 'UND_ERR_CONNECT_TIMEOUT') return true;
  // One for each address of the name that was tried.
  if (error instanceof AggregateError) return error.errors.every(neverArrived);
  return error.cause !== undefined && neverArrived(error.cause);
}

/** What to tell the person when there is no answer to pass on. */
export function unreachable(provider: Provider, error: unknown): Refusal {
  const { host } = new URL(provider.baseUrl);
  const code = errorCode(error);
  const where = `${provider.name} (${host})`;
  if (isProxyRefusal(error)) {
    return new Refusal(
      'upstream_unreachable',
      `${where} cannot be reached: the proxy of HTTP_PROXY or HTTPS_PROXY refused the connection. Check the proxy, or list the provider in NO_PROXY.`,
      { cause: error },
    );
  }
  if (
    code === 'UND_ERR_HEADERS_TIMEOUT' ||
    code === 'UND_ERR_BODY_TIMEOUT' ||
    code === 'UND_ERR_CONNECT_TIMEOUT'
  ) {
    return new Refusal('upstream_timeout', `${where} did not answer in time. Check the connection to it.`, {
      cause: error,
    });
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return new Refusal(
      'upstream_unreachable',
      `${where} cannot be reached: too many files and connections are open (${code}). Send fewer requests at once, or start Faregate with a higher limit of open files (ulimit -n).`,
      { cause: error },
    );
  }
  const reason =
    code === 'ECONNREFUSED'
      ? 'nothing listens there'
      : code === 'ENOTFOUND' || code === 'EAI_AGAIN'
        ? 'the name cannot be resolved'
        : isTlsFault(code)
          ? `its certificate is not accepted (${code})`
          : `the connection failed (${code || 'unknown reason'})`;
  return new Refusal(
    'upstream_unreachable',
    `${where} cannot be reached: ${reason}. Check its address in Faregate, Providers.`,
    {
      cause: error,
    },
  );
}

function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.cause === undefined ? '' : errorCode(error.cause);
}

function isTlsFault(code: string): boolean {
  return (
    // Plain HTTP where TLS was expected is one of them.
    /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_)/.test(code) || code.includes('SELF_SIGNED') || code === 'EPROTO'
  );
}

/** A whole small answer, for the gateway's own free calls (lists of models). */
export async function fetchJson(
  agent: Dispatcher,
  provider: Provider,
  path: string,
): Promise<{ status: number; body: unknown }> {
  const address = upstreamAddress(provider, path, '');
  const { statusCode, body } = await agent.request({
    ...address,
    method: 'GET',
    headers: ['accept', 'application/json', ...credentialHeaders(provider)],
    signal: AbortSignal.timeout(15_000),
  });
  return { status: statusCode, body: await jsonOf(body) };
}

/** Far more than any list of models has. */
const MAX_OWN_ANSWER = 32 * 1024 * 1024;

/** The answer to a call of the gateway's own; undefined where it is no JSON, or longer than such an answer can be. */
export async function jsonOf(body: AsyncIterable<Buffer>): Promise<unknown> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    // Leaving the loop ends the connection: an answer without end does not fill the memory.
    if (length > MAX_OWN_ANSWER) return undefined;
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    return undefined;
  }
}
