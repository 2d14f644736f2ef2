/** The connections to providers: directly, or through the proxy that the environment names. */
import { Agent, EnvHttpProxyAgent, type Dispatcher } from 'undici';
import { codeOf } from '#shared/caught.ts';

/** Thirty minutes to the first byte: a model may think for long, a dead connection is found by TCP keep-alive. */
const FIRST_BYTE_MS = 30 * 60_000;
const CONNECT_MS = 15_000;
/** As long as a client's may be. */
const MAX_HEADER_BYTES = 64 * 1024;

/** A proxy would look for a provider on this machine on its own machine. */
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]'];

/** What the environment says of proxies: addresses, empty where there is none. */
export interface ProxySettings {
  http: string;
  https: string;
  /** Names that are reached directly, separated by commas. */
  except: string;
}

/** The address of a proxy cannot be used; the message says which variable to mend. */
export class ProxySettingError extends Error {
  constructor(name: string, cause?: unknown) {
    // The value is not repeated: it may hold a password.
    super(
      `${name} is not the address of an HTTP proxy, such as http://127.0.0.1:8080. Correct it or unset it, then start Faregate again.`,
      { cause },
    );
    this.name = 'ProxySettingError';
  }
}

/** HTTP_PROXY, HTTPS_PROXY and NO_PROXY; the lower-case spelling wins, as in curl. @throws ProxySettingError */
export function proxySettings(environment: Readonly<Record<string, string | undefined>>): ProxySettings {
  const read = (name: string) => environment[name.toLowerCase()] || environment[name] || '';
  const address = (name: string) => {
    const value = read(name);
    if (value === '') return '';
    let url: URL;
    try {
      url = new URL(/^[a-z\d+.-]+:\/\//i.test(value) ? value : `http://${value}`);
    } catch (cause) {
      throw new ProxySettingError(name, cause);
    }
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new ProxySettingError(name);
    return url.href;
  };
  return {
    http: address('HTTP_PROXY'),
    https: address('HTTPS_PROXY'),
    except: [...LOOPBACK_NAMES, read('NO_PROXY')].join(','),
  };
}

/** `https:` goes by the proxy for `http:` where it has none of its own. */
export function createUpstreamAgent(proxies: ProxySettings): Dispatcher {
  const options = {
    // No cap on connections: undici queues silently what is beyond one, and a queued stream has no first byte.
    pipelining: 1,
    headersTimeout: FIRST_BYTE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    // An answer that has begun may fall silent for as long as its client waits for it.
    bodyTimeout: 0,
    // One stream per connection keeps a slow reader from holding up its neighbours.
    allowH2: false,
  };
  const connect = { timeout: CONNECT_MS, keepAlive: true };
  const { http, https, except } = proxies;
  if (http === '' && https === '') return new Agent({ ...options, connect });
  return new ProxiedAgent({
    ...options,
    connect,
    requestTls: connect,
    proxyTls: connect,
    httpProxy: http,
    httpsProxy: https,
    noProxy: except,
  });
}

/** Of a flat list of headers the way through a proxy keeps one of each name: it is given all of a name at once. */
class ProxiedAgent extends EnvHttpProxyAgent {
  override dispatch(options: Agent.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { headers } = options;
    return super.dispatch(
      Array.isArray(headers) ? { ...options, headers: byName(headers) } : options,
      handler,
    );
  }
}

function byName(headers: readonly string[]): Record<string, string[]> {
  // Without a prototype: a header may be called __proto__.
  const grouped: Record<string, string[]> = Object.create(null);
  for (let index = 0; index + 1 < headers.length; index += 2)
    (grouped[headers[index] ?? ''] ??= []).push(headers[index + 1] ?? '');
  return grouped;
}

/** The proxy refused to connect to the provider, which has not been asked anything. */
export function isProxyRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // undici has a code of its own for some of these only.
  const code = codeOf(error);
  if (code === 'UND_ERR_PRX_CONN' || code === 'UND_ERR_PRX_TLS') return true;
  return /when HTTP Tunneling|Proxy Authentication Required/.test(error.message);
}
