/**
 * The contract and the dashboard on a loopback port of their own: what the window has through its bridge, for a browser
 * and for programs. Any page that the person's browser shows can send requests here, so nothing is answered without the
 * token.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { LOOPBACK } from '#shared/defaults.ts';
import type { Assets } from './assets.ts';
import {
  answer,
  createContractHttp,
  randomToken,
  readJson,
  refuse,
  type ContractHost,
} from './contract-http.ts';

/** How long a link that opens the dashboard once may wait for its click. */
const LINK_MS = 60_000;

export interface WebOptions {
  gateway: ContractHost;
  /** null = only the contract, without the dashboard. */
  assets: Assets | null;
  /** 0 or nothing = any free one. */
  port?: number;
}

export interface Web {
  /** Carries the token in the fragment, which a browser sends to nobody. null without assets. */
  dashboardUrl: string | null;
  apiUrl: string;
  token: string;
  /** A dashboard address that works once, within a minute: it may lie in a shell's or a browser's history. null without assets. */
  oneTimeLink(): string | null;
  /** Ends the event streams, lets running calls finish for a moment, and frees the port. */
  close(): Promise<void>;
}

/** Rejects with the system's error where the port cannot be had. */
export async function createWeb({ gateway, assets, port: wanted = 0 }: WebOptions): Promise<Web> {
  const contract = createContractHttp(gateway);
  /** Codes of links that were given out, and when they end. */
  const links = new Map<string, number>();

  const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, (request, response) => {
    serve(request, response).catch(() => {
      // The client went away while it was sending or reading; there is nobody left to tell.
      response.destroy();
    });
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = refuseForeign(request);
    if (refusal) return refuse(request, response, 403, 'unauthorized', refusal);
    if (request.method !== 'GET' && request.method !== 'POST') {
      response.setHeader('allow', 'GET, POST');
      return refuse(request, response, 405, 'invalid_input', 'Only GET and POST are served here.');
    }
    const { pathname } = new URL(request.url ?? '/', 'http://local.invalid');
    if (await contract.serve(request, response, pathname)) return;
    if (assets && pathname === '/api/session' && request.method === 'POST')
      return exchange(request, response);
    if (!assets || request.method !== 'GET') {
      return refuse(request, response, 404, 'not_found', 'Served here: POST /api/call and GET /api/events.');
    }
    const asset = assets.respond(pathname);
    response
      .writeHead(asset.status, { ...asset.headers, 'content-length': asset.body.length })
      .end(asset.body);
  }

  /** The code of a link for the token, once. */
  async function exchange(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const input = await readJson(request, response);
    if (input === undefined) return;
    const code = typeof input === 'object' && input !== null && 'code' in input ? String(input.code) : '';
    const ends = links.get(code);
    links.delete(code);
    if (ends === undefined || ends < performance.now()) {
      const message = 'This link was used already or is too old. Ask for another one with `faregate open`.';
      return refuse(request, response, 401, 'unauthorized', message);
    }
    answer(response, 200, { ok: true, value: { token: contract.token } });
  }

  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen(wanted, LOOPBACK, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : wanted);
    });
  }).catch((error: unknown) => {
    contract.close();
    throw error;
  });
  const origin = `http://${LOOPBACK}:${port}`;

  return {
    dashboardUrl: assets ? `${origin}/#token=${contract.token}` : null,
    apiUrl: `${origin}/api`,
    token: contract.token,
    oneTimeLink() {
      if (!assets) return null;
      for (const [code, ends] of links) if (ends < performance.now()) links.delete(code);
      const code = randomToken();
      links.set(code, performance.now() + LINK_MS);
      return `${origin}/#once=${code}`;
    },
    async close() {
      contract.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const force = setTimeout(() => server.closeAllConnections(), 500);
      await closed;
      clearTimeout(force);
    },
  };
}

/**
 * Why a request is not one of our own page or of a program on this machine; null where it may be. `Host` names another
 * machine when a name was pointed at the loopback address (DNS rebinding); `Origin` and `Sec-Fetch-Site` are set by the
 * browser and cannot be forged by a page (Fetch Metadata, W3C). Any port is taken: behind an SSH tunnel the browser
 * knows the tunnel's port, not ours, and a page from another port still has another origin.
 */
function refuseForeign(request: IncomingMessage): string | null {
  const { host, origin, 'sec-fetch-site': site } = request.headers;
  if (host === undefined || !/^(127\.0\.0\.1|localhost|\[::1\]):\d{1,5}$/i.test(host))
    return 'This address is not served here.';
  if (origin !== undefined && origin !== `http://${host}`) return 'Requests of other pages are not served.';
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return 'Requests of other sites are not served.';
  return null;
}
