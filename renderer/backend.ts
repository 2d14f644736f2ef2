/**
 * The window's only way to the gateway: the contract over one of two transports. In the desktop the preload exposes
 * `window.faregate`; in a browser the same calls go over loopback HTTP with a token. Nothing above this file knows which.
 */
import { createParser } from 'eventsource-parser';
import type { Answer, ContractError, Input, MethodName, Output } from '#shared/contract.ts';
import { readAnswer, readEvent, type EventMessage, type WindowBridge } from '#shared/wire.ts';
import { strings } from './strings.ts';

/** `refused`: the gateway is there but does not accept this page's token; trying again cannot help. */
export type Connection = 'connecting' | 'online' | 'offline' | 'refused';

export interface Listener {
  event(message: EventMessage): void;
  connection(state: Connection): void;
}

export interface Backend {
  desktop: boolean;
  /** Never rejects: a fault on the way is an answer with `ok: false` too. */
  call<N extends MethodName>(name: N, input: Input<N>): Promise<Answer<Output<N>>>;
  /** Returns the function that ends the subscription. */
  subscribe(listener: Listener): () => void;
}

declare global {
  interface Window {
    faregate?: WindowBridge;
  }
}

interface Transport {
  desktop: boolean;
  send(name: string, input: unknown): Promise<unknown>;
  listen(
    onEvent: (name: string, data: unknown) => void,
    onConnection: (state: Connection) => void,
  ): () => void;
}

export function openBackend(): Backend {
  return overTransport(window.faregate ? bridgeTransport(window.faregate) : httpTransport(takeToken()));
}

export function overTransport(transport: Transport): Backend {
  return {
    desktop: transport.desktop,
    async call(name, input) {
      try {
        return (
          readAnswer(name, await transport.send(name, input)) ?? failure(strings.connection.notUnderstood)
        );
      } catch {
        return failure(strings.connection.callFailed);
      }
    },
    subscribe(listener) {
      return transport.listen(
        (name, data) => {
          const message = readEvent(name, data);
          if (message) listener.event(message);
        },
        (state) => listener.connection(state),
      );
    },
  };
}

function failure(message: string): { ok: false; error: ContractError } {
  return { ok: false, error: { code: 'internal', message } };
}

function bridgeTransport(bridge: WindowBridge): Transport {
  return {
    desktop: true,
    send: (name, input) => bridge.call(name, input),
    listen(onEvent, onConnection) {
      const end = bridge.subscribe(onEvent);
      onConnection('online');
      return end;
    },
  };
}

const TOKEN_ITEM = 'faregate-token';

/**
 * The token, or the code of a one-time link that is given for it, arrives in the fragment, which is never sent to a
 * server, and leaves the address (and history) at once.
 */
async function takeToken(): Promise<string> {
  // The address of a gateway that was started again, opened in this very tab, changes the fragment and loads nothing.
  window.addEventListener('hashchange', () => {
    const arrived = new URLSearchParams(location.hash.slice(1));
    if (arrived.has('token') || arrived.has('once')) location.reload();
  });
  const fragment = new URLSearchParams(location.hash.slice(1));
  const code = fragment.get('once');
  if (code || fragment.has('token')) history.replaceState(null, '', location.pathname + location.search);
  const token = code ? await redeem(code) : fragment.get('token');
  if (token) sessionStorage.setItem(TOKEN_ITEM, token);
  return token ?? sessionStorage.getItem(TOKEN_ITEM) ?? '';
}

/** null where the link was used before or is too old. */
async function redeem(code: string): Promise<string | null> {
  try {
    const response = await fetch('./api/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code }),
    });
    const answer: unknown = await response.json();
    const value = typeof answer === 'object' && answer !== null && 'value' in answer ? answer.value : null;
    const token = typeof value === 'object' && value !== null && 'token' in value ? value.token : null;
    return typeof token === 'string' ? token : null;
  } catch {
    return null;
  }
}

class TokenRefused extends Error {}

const FIRST_RETRY_MS = 300;
const LAST_RETRY_MS = 5_000;

function httpTransport(token: Promise<string>): Transport {
  const reach = async (path: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${await token}`);
    const response = await fetch(path, { cache: 'no-store', ...init, headers });
    if (response.status === 401 || response.status === 403) throw new TokenRefused();
    return response;
  };

  return {
    desktop: false,
    async send(name, input) {
      const response = await reach('./api/call', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name, input }),
      });
      return response.json();
    },
    listen(onEvent, onConnection) {
      const ended = new AbortController();
      const follow = async () => {
        let delay = FIRST_RETRY_MS;
        while (!ended.signal.aborted) {
          try {
            const response = await reach('./api/events', {
              headers: { accept: 'text/event-stream' },
              signal: ended.signal,
            });
            if (!response.ok || !response.body) throw new Error(`events answered ${response.status}`);
            delay = FIRST_RETRY_MS;
            onConnection('online');
            await readEvents(response.body, onEvent);
          } catch (error) {
            if (error instanceof TokenRefused) return onConnection('refused');
          }
          if (ended.signal.aborted) return;
          onConnection('offline');
          await retryPause(delay, ended.signal);
          delay = Math.min(delay * 2, LAST_RETRY_MS);
        }
      };
      void follow();
      return () => ended.abort();
    },
  };
}

async function readEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  onEvent: (name: string, data: unknown) => void,
) {
  const parser = createParser({
    onEvent(event) {
      const data = parseJson(event.data);
      if (data !== undefined) onEvent(event.event ?? '', data);
    },
  });
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.feed(value);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Ends early when the machine says it is back, so that waking a laptop does not wait out the back-off. */
function retryPause(ms: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      window.removeEventListener('focus', finish);
      ended.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    window.addEventListener('focus', finish);
    ended.addEventListener('abort', finish);
  });
}
