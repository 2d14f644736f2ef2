/** The page's own scheme: where the window loads the renderer from, instead of from files or from the network. */
import { net, protocol, type Session } from 'electron';
import type { Assets } from './gateway/gateway.ts';

const SCHEME = 'faregate-app';
const HOST = 'window';
export const PAGE_ORIGIN = `${SCHEME}://${HOST}`;
export const PAGE_URL = `${PAGE_ORIGIN}/`;

/** Has to be called before the app is ready. */
export function registerPageScheme(): void {
  // The page gets an origin of its own, relative addresses, a secure context, and may fetch from itself. Nothing more.
  protocol.registerSchemesAsPrivileged([
    { scheme: SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
}

export function servePage(session: Session, assets: Assets): void {
  session.protocol.handle(SCHEME, (request) => {
    const url = new URL(request.url);
    if (request.method !== 'GET' || url.host !== HOST) return new Response('Not found.\n', { status: 404 });
    const { status, headers, body } = assets.respond(url.pathname);
    return new Response(new Uint8Array(body), { status, headers });
  });
}

/** The same page from Vite's server, for work on it. Its scripts are not all files, so it has no policy. */
export function servePageFrom(session: Session, server: string): void {
  session.protocol.handle(SCHEME, (request) => {
    const { pathname, search } = new URL(request.url);
    return net.fetch(new URL(pathname + search, server).href);
  });
}

/** Whether a navigation stays on the page. `URL.origin` is of no use for a scheme that is not the web's own. */
export function isPageUrl(address: string): boolean {
  const url = URL.parse(address);
  return url !== null && url.protocol === `${SCHEME}:` && url.host === HOST;
}
