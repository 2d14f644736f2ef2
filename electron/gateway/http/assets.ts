/** The built renderer as answers to paths, with the headers that keep the page to itself. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface AssetResponse {
  status: 200 | 404;
  headers: Record<string, string>;
  body: Buffer;
}

export interface Assets {
  /** `pathname` as in a URL: percent-encoded, starting with `/`. */
  respond(pathname: string): AssetResponse;
}

const NONCE_PLACEHOLDER = '__CSP_NONCE__';

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

/**
 * Reads the whole folder once: a rebuild under a running gateway changes nothing for its window, and a path that is
 * not the name of a file read here cannot reach any other file of the machine. Throws where there is no index.html.
 */
export function loadAssets(folder: string): Assets {
  const files = new Map<string, Buffer>();
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    files.set(`/${path.relative(folder, file).split(path.sep).join('/')}`, readFileSync(file));
  }
  const index = files.get('/index.html')?.toString('utf8');
  if (index === undefined) throw new Error(`${folder} holds no index.html; build the renderer first`);

  return {
    respond(pathname) {
      const name = decode(pathname);
      if (name === '/' || name === '/index.html') return page(index);
      const body = name === null ? undefined : files.get(name);
      if (!body || name === null) {
        return { status: 404, headers: headersOf('.txt', 'no-store'), body: Buffer.from('Not found.\n') };
      }
      // Vite puts a hash of the content into the names below /assets/.
      const cache = name.startsWith('/assets/') ? 'private, max-age=31536000, immutable' : 'no-cache';
      return { status: 200, headers: headersOf(path.extname(name), cache), body };
    },
  };
}

/** The nonce lets the style elements through that the components insert; it is new for every page. */
function page(index: string): AssetResponse {
  const nonce = randomBytes(16).toString('base64');
  return {
    status: 200,
    headers: headersOf('.html', 'no-store', `'nonce-${nonce}'`),
    body: Buffer.from(index.replaceAll(NONCE_PLACEHOLDER, nonce)),
  };
}

function headersOf(extension: string, cache: string, styleNonce?: string): Record<string, string> {
  return {
    'content-type': contentTypes[extension] ?? 'application/octet-stream',
    'cache-control': cache,
    'content-security-policy': [
      "default-src 'none'",
      "script-src 'self'",
      `style-src 'self'${styleNonce ? ` ${styleNonce}` : ''}`,
      "img-src 'self' data:",
      "font-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  };
}

function decode(pathname: string): string | null {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return null;
  }
}
