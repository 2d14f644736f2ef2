/**
 * Who sent a request: the program, its session, and the agent within the session, as far as it says so itself. Ids
 * only: they group rows, and where the person set a limit per session they say which session pays. A client can send
 * what it likes, so what must hold whatever it sends is the key's own limit. What each client sends was measured or read
 * in its source; a client that is not known is named by the first word of its user agent.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { JsonFields } from '../base/json.ts';

/** All null where the request does not say. */
export interface Sender {
  /** Without its version. */
  client: string | null;
  session: string | null;
  /** A subagent; null for the session's main agent. */
  agent: string | null;
  parentAgent: string | null;
}

/** Tried in order on the user agent: tools before the libraries they are built on. */
const clients: readonly (readonly [RegExp, string])[] = [
  [/^claude-cli\/|\bclaude-code\b/i, 'claude-code'],
  [/^codex[-_/]/i, 'codex'],
  [/^geminicli/i, 'gemini-cli'],
  [/^qwencode\//i, 'qwen-code'],
  [/\bopencode\//i, 'opencode'],
  [/\bkilo[-_ ]?(code|cli)?\//i, 'kilo'],
  [/\broo[-_ ]?code\//i, 'roo-code'],
  [/\bcline\b/i, 'cline'],
  [/^continue\b|\bcontinue-?dev\b/i, 'continue'],
  [/\baider\b/i, 'aider'],
  [/^zed\//i, 'zed'],
  [/^cursor\//i, 'cursor'],
  [/\bgithubcopilot/i, 'github-copilot'],
  [/\blangchain/i, 'langchain'],
  [/\blitellm\b/i, 'litellm'],
  [/\bgoogle-genai-sdk\//i, 'google-genai'],
  [/\bai-sdk\/|^ai\/\d/i, 'ai-sdk'],
  [/^(async)?(azure)?openai\/js\b/i, 'openai-node'],
  [/^(async)?(azure)?openai\/python\b/i, 'openai-python'],
  [/^(async)?anthropic\b/i, 'anthropic-sdk'],
];

/** Titles that tools built on a plain library give themselves (openrouter.ai/docs, "App attribution"). */
const titles: readonly (readonly [RegExp, string])[] = [
  [/^kilo/i, 'kilo'],
  [/^roo/i, 'roo-code'],
  [/^cline/i, 'cline'],
  [/^aider/i, 'aider'],
  [/^continue/i, 'continue'],
  [/^opencode/i, 'opencode'],
];

// A program sends the same user agent with every request.
const known = new Map<string, string | null>();
const MAX_KNOWN = 500;

export function senderOf(headers: IncomingHttpHeaders, body: JsonFields | null): Sender {
  const client = clientOf(headers);
  const first = (...names: string[]): string | null => {
    for (const name of names) {
      const value = headers[name];
      const id = typeof value === 'string' ? toId(value) : null;
      if (id !== null) return id;
    }
    return null;
  };
  if (client === 'claude-code' || headers['x-claude-code-session-id'] !== undefined) {
    return {
      client,
      session: first('x-claude-code-session-id') ?? claudeSession(body),
      agent: first('x-claude-code-agent-id'),
      parentAgent: first('x-claude-code-parent-agent-id'),
    };
  }
  if (client === 'codex') {
    // Each agent is a thread; the session has the id of the thread that began it.
    const [session, thread] = [first('session-id', 'session_id', 'conversation_id'), first('thread-id')];
    const parent = first('x-codex-parent-thread-id');
    return {
      client,
      session: session ?? parent ?? thread,
      agent: thread === (session ?? parent ?? thread) ? null : thread,
      parentAgent: parent === session ? null : parent,
    };
  }
  // opencode and its kin: a subagent has a session of its own that names the one it belongs to.
  const session = first(
    'x-session-id',
    'x-session-affinity',
    'x-opencode-session',
    'x-litellm-session-id',
    'helicone-session-id',
    'session-id',
  );
  const parent = session === null ? null : first('x-parent-session-id');
  return { client, session: parent ?? session, agent: parent === null ? null : session, parentAgent: null };
}

function clientOf(headers: IncomingHttpHeaders): string | null {
  const { originator } = headers;
  if (typeof originator === 'string' && /^codex/i.test(originator)) return 'codex';
  const agent = headers['user-agent'] ?? '';
  const title = headers['x-title'];
  if (typeof title === 'string') {
    const titled = titles.find(([pattern]) => pattern.test(title))?.[1];
    if (titled !== undefined) return titled;
  }
  let name = known.get(agent);
  if (name === undefined) {
    name = nameOf(agent);
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(agent, name);
  }
  return name;
}

function nameOf(userAgent: string): string | null {
  const found = clients.find(([pattern]) => pattern.test(userAgent))?.[1];
  if (found !== undefined) return found;
  // RFC 9110, section 10.1.5: product tokens, each a name and a version, the most significant first.
  const product = /^[A-Za-z][\w.+-]{0,39}/.exec(userAgent)?.[0];
  return product === undefined ? null : product.toLowerCase();
}

/**
 * An id as it is stored: a plain one as it was sent; anything else (a name, an address, a text of any length) as a hash,
 * which still tells one from another.
 */
function toId(value: string): string | null {
  const text = value.trim();
  if (text === '') return null;
  if (/^[\w.:-]{1,100}$/.test(text)) return text;
  return `hash-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}

/**
 * Claude Code without its headers: `metadata.user_id` carries the session, as JSON or at the end of a text. The rest of
 * that value identifies the person and is left alone.
 */
function claudeSession(body: JsonFields | null): string | null {
  const metadata = body?.get('metadata');
  if (typeof metadata !== 'object' || metadata === null || !('user_id' in metadata)) return null;
  const { user_id: user } = metadata;
  if (typeof user !== 'string' || user.length > 2000) return null;
  const session = /"session_id"\s*:\s*"([\w-]{1,100})"|_session_([\w-]{1,100})$/.exec(user);
  return session?.[1] ?? session?.[2] ?? null;
}
