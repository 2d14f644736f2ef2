/**
 * What runs inside the page: the preload script in an isolated world of Chromium, as Electron runs it, and the two ends
 * of a `contextBridge` between that world and the page's own.
 */

export const WORLD = 'faregate-standin';
export const BINDING = 'faregateStandinSend';
/** Installed in the isolated world; the stand-in calls it to answer and to send. */
export const RECEIVER = 'faregateStandinReceive';

/** A message from the isolated world to the main process. */
export type FromPage = { invoke: number; channel: string; args: unknown[] };
/** And back. */
export type ToPage =
  | { answer: number; ok: true; value: unknown }
  | { answer: number; ok: false; message: string }
  | { emit: string; args: unknown[] };

type Value = unknown;
type Peer = {
  call(id: number, args: Value[]): Value;
  encode(value: Value): Value;
  decode(value: Value): Value;
};

/**
 * One end of the bridge. Values cross as JSON in the detail of DOM events, which both worlds see and which are
 * dispatched synchronously; functions and promises cross as handles. Nothing else of one world reaches the other.
 */
function makePeer(mine: string, theirs: string): Peer {
  let last = 0;
  const functions = new Map<number, (...args: Value[]) => Value>();
  const pending = new Map<number, { resolve(value: Value): void; reject(error: Error): void }>();

  const send = (message: Record<string, Value>): Value => {
    const replyTo = `${mine}-reply-${(last += 1)}`;
    let reply: string | null = null;
    const onReply = (event: Event) => {
      if (event instanceof CustomEvent) reply = String(event.detail);
    };
    document.addEventListener(replyTo, onReply);
    document.dispatchEvent(new CustomEvent(theirs, { detail: JSON.stringify({ ...message, replyTo }) }));
    document.removeEventListener(replyTo, onReply);
    return reply === null ? undefined : decode(JSON.parse(reply).value);
  };

  const encode = (value: Value): Value => {
    if (typeof value === 'function') {
      const id = (last += 1);
      functions.set(id, value as (...args: Value[]) => Value);
      return { $function: id };
    }
    if (value instanceof Promise) {
      const id = (last += 1);
      value.then(
        (settled: Value) => send({ settle: id, ok: true, value: encode(settled) }),
        (error: Value) =>
          send({ settle: id, ok: false, value: error instanceof Error ? error.message : String(error) }),
      );
      return { $promise: id };
    }
    if (Array.isArray(value)) return value.map(encode);
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item)]));
    }
    return value;
  };

  const decode = (value: Value): Value => {
    if (Array.isArray(value)) return value.map(decode);
    if (typeof value !== 'object' || value === null) return value;
    if ('$function' in value) {
      const id = Number(value.$function);
      return (...args: Value[]) => send({ call: id, args: args.map(encode) });
    }
    if ('$promise' in value) {
      const id = Number(value.$promise);
      return new Promise((resolve, reject) => pending.set(id, { resolve, reject }));
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item)]));
  };

  const call = (id: number, args: Value[]): Value => functions.get(id)?.(...args.map(decode));

  document.addEventListener(mine, (event) => {
    if (!(event instanceof CustomEvent)) return;
    const message = JSON.parse(String(event.detail));
    if ('settle' in message) {
      const waiting = pending.get(message.settle);
      pending.delete(message.settle);
      if (message.ok) waiting?.resolve(decode(message.value));
      else waiting?.reject(new Error(message.value));
      return;
    }
    const value = encode(call(message.call, message.args));
    document.dispatchEvent(new CustomEvent(message.replyTo, { detail: JSON.stringify({ value }) }));
  });
  return { call, encode, decode };
}

/** The page's own world: puts what the preload exposes on `window`, frozen, as Electron does. */
function mainWorld(peer: Peer): void {
  document.addEventListener('standin-expose', (event) => {
    if (!(event instanceof CustomEvent)) return;
    const { name, value } = JSON.parse(String(event.detail));
    if (Object.hasOwn(window, name)) return;
    const exposed = Object.freeze(peer.decode(value));
    Object.defineProperty(window, name, {
      value: exposed,
      writable: false,
      configurable: false,
      enumerable: true,
    });
  });
  // Whichever of the two worlds is set up last makes the exposure happen.
  document.dispatchEvent(new CustomEvent('standin-ready'));
}

/** The `electron` that a sandboxed preload script can require. */
function preloadElectron(peer: Peer, binding: string, receiver: string) {
  const scope = globalThis as unknown as Record<string, (text: string) => void>;
  let last = 0;
  const waiting = new Map<number, { resolve(value: Value): void; reject(error: Error): void }>();
  const listeners = new Map<string, Set<(event: object, ...args: Value[]) => void>>();

  scope[receiver] = (text) => {
    const message: ToPage = JSON.parse(text);
    if ('emit' in message) {
      for (const listener of listeners.get(message.emit) ?? []) listener({}, ...message.args);
      return;
    }
    const call = waiting.get(message.answer);
    waiting.delete(message.answer);
    if (message.ok) call?.resolve(message.value);
    else call?.reject(new Error(message.message));
  };

  return {
    contextBridge: {
      exposeInMainWorld(name: string, value: Value) {
        const detail = JSON.stringify({ name, value: peer.encode(value) });
        const expose = () => document.dispatchEvent(new CustomEvent('standin-expose', { detail }));
        document.addEventListener('standin-ready', expose, { once: true });
        expose();
      },
    },
    ipcRenderer: {
      invoke: (channel: string, ...args: Value[]) =>
        new Promise<Value>((resolve, reject) => {
          const invoke = (last += 1);
          waiting.set(invoke, { resolve, reject });
          scope[binding]?.(JSON.stringify({ invoke, channel, args }));
        }),
      on(channel: string, listener: (event: object, ...args: Value[]) => void) {
        const known = listeners.get(channel) ?? new Set();
        listeners.set(channel, known.add(listener));
      },
      off(channel: string, listener: (event: object, ...args: Value[]) => void) {
        listeners.get(channel)?.delete(listener);
      },
    },
  };
}

/** Text of the script for the page's own world. */
export function mainWorldScript(): string {
  return `(${mainWorld.toString()})((${makePeer.toString()})('standin-main', 'standin-isolated'));`;
}

/**
 * Text of the script for the isolated world. The preload's text stands in it as it was built, so that the page's
 * Content-Security-Policy has no `eval` to forbid. Electron runs it in the main frame alone.
 */
export function isolatedWorldScript(preload: string, { everyFrame }: { everyFrame: boolean }): string {
  return `(() => {
  if (window !== window.top && !${everyFrame}) return;
  const electron = (${preloadElectron.toString()})((${makePeer.toString()})('standin-isolated', 'standin-main'), '${BINDING}', '${RECEIVER}');
  const require = (name) => {
    if (name !== 'electron') throw new Error('a sandboxed preload script cannot require ' + name);
    return electron;
  };
  ((require, module, exports) => {
${preload}
  })(require, { exports: {} }, {});
})();`;
}
