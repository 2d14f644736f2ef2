/** Which gateway key a request brings: in any of the places where clients put one, and never passed on. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Refusal } from '#shared/errors.ts';
import { hashOf, keyStatus, type Key, type Keys } from '../config/keys.ts';

/** What a connection sent last of the credentials, and their hashes. */
interface Presented {
  authorization: string | undefined;
  apiKey: unknown;
  googleKey: unknown;
  query: string;
  hashes: readonly string[];
}

/** A connection sends the same credential with each request: it is hashed once, and forgotten with the connection. */
const presented = new WeakMap<Socket, Presented>();

/** Hashes of all the credentials that the request brings, on any route. */
export function credentialsOf({ headers, socket }: IncomingMessage, query: string): readonly string[] {
  const { authorization, 'x-api-key': apiKey, 'x-goog-api-key': googleKey } = headers;
  const last = presented.get(socket);
  if (
    last !== undefined &&
    last.authorization === authorization &&
    last.apiKey === apiKey &&
    last.googleKey === googleKey &&
    last.query === query
  )
    return last.hashes;
  const hashes: string[] = [];
  const add = (given: unknown) => {
    if (typeof given === 'string' && given !== '') hashes.push(hashOf(given.trim()));
  };
  if (authorization !== undefined) add(/^Bearer\s+(.+)$/i.exec(authorization)?.[1]);
  add(apiKey);
  add(googleKey);
  if (query !== '') add(new URLSearchParams(query).get('key'));
  presented.set(socket, { authorization, apiKey, googleKey, query, hashes });
  return hashes;
}

/** The first that is a key in use counts. @throws Refusal `invalid_key` where none is. */
export function authenticate(
  { keys, now }: { keys: Keys; now: () => number },
  hashes: readonly string[],
): Key {
  if (hashes.length === 0) {
    throw new Refusal(
      'invalid_key',
      'No gateway key was sent. Use a key from Faregate, API Keys, as the API key of this tool.',
    );
  }
  let key: Key | undefined;
  for (const hash of hashes) {
    const found = keys.find(hash);
    if (found !== undefined && keyStatus(found, now()) === 'active') return found;
    key ??= found;
  }
  if (!key) {
    throw new Refusal(
      'invalid_key',
      'This is not a gateway key of Faregate. Use one from Faregate, API Keys; they start with sk-fg-.',
    );
  }
  const mend =
    keyStatus(key, now()) === 'disabled' ? 'is disabled. Enable it' : 'has expired. Change its expiry';
  throw new Refusal('invalid_key', `The key "${key.name}" ${mend} in Faregate, API Keys.`);
}
