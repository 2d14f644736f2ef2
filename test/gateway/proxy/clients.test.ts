/** Who sent a request: what real clients send, and what a stranger could. */
import { describe, expect, test } from 'vitest';
import { scanObject } from '../../../electron/gateway/base/json.ts';
import { senderOf, type Sender } from '../../../electron/gateway/proxy/clients.ts';

const nobody: Sender = { client: null, session: null, agent: null, parentAgent: null };
const id = '0f8e9c1a-5b1f-4a57-9a30-0c2b8e1d7f11';

describe('the client', () => {
  test.each([
    ['claude-cli/2.1.330 (external, sdk-cli)', 'claude-code'],
    ['codex_exec/0.169.0 (Ubuntu 24.4.0; x86_64) unknown', 'codex'],
    ['GeminiCLI-tui/0.61.0/gemini-3.8-flash (linux; x64; terminal)', 'gemini-cli'],
    ['opencode/1.18.33 ai-sdk/provider-utils/4.0.21 runtime/bun/1.3.13', 'opencode'],
    ['Kilo-Code/7.7.7', 'kilo'],
    ['Cline/3.0.65', 'cline'],
    ['OpenAI/JS 7.57.0', 'openai-node'],
    ['AsyncOpenAI/Python 1.99.7', 'openai-python'],
    ['AzureOpenAI/Python 1.14.3', 'openai-python'],
    ['Anthropic/JS 1.12.0', 'anthropic-sdk'],
    ['AsyncAnthropic/Python 0.49.0', 'anthropic-sdk'],
    ['google-genai-sdk/3.1.0 gl-node/v24.21.0', 'google-genai'],
    ['ai/7.0.173 ai-sdk/anthropic/4.0.105 runtime/node.js/24', 'ai-sdk'],
    ['langchainjs-openai/1.0.0 ((node/v24.16.0; linux; x64))', 'langchain'],
    ['litellm/1.90.1', 'litellm'],
    ['Zed/0.200.0 (linux; x86_64)', 'zed'],
    ['curl/8.11.1', 'curl'],
    ['Faraday v2.14.3', 'faraday'],
    ['', null],
    ['\u0000\u0001', null],
  ])('%j is %j', (agent, client) => {
    expect(senderOf({ 'user-agent': agent }, null)).toEqual({ ...nobody, client });
  });

  test('is what calls itself so where a library speaks for it', () => {
    expect(senderOf({ 'user-agent': 'OpenAI/JS 7.57.0', 'x-title': 'Cline' }, null).client).toBe('cline');
    expect(senderOf({ 'user-agent': 'x', originator: 'codex-tui' }, null).client).toBe('codex');
    expect(senderOf({ 'user-agent': 'OpenAI/JS 7.57.0', 'x-title': 'My diary' }, null).client).toBe(
      'openai-node',
    );
  });

  test('has a name of bounded length, whatever is sent', () => {
    expect(senderOf({ 'user-agent': 'x'.repeat(10_000) }, null).client).toHaveLength(40);
  });
});

describe('sessions and agents', () => {
  test('of Claude Code, from its headers', () => {
    const headers = { 'user-agent': 'claude-cli/2.1.330', 'x-claude-code-session-id': id };
    const main = { client: 'claude-code', session: id, agent: null, parentAgent: null };
    expect(senderOf(headers, null)).toEqual(main);
    const agents = { 'x-claude-code-agent-id': 'a1', 'x-claude-code-parent-agent-id': 'a0' };
    expect(senderOf({ ...headers, ...agents }, null)).toEqual({ ...main, agent: 'a1', parentAgent: 'a0' });
  });

  test.each([
    [`user_0123abcd_account__session_${id}`],
    [JSON.stringify({ device_id: 'd', account_uuid: 'u', session_id: id })],
  ])('of Claude Code without headers, from its body: %s', (user) => {
    const body = scanObject(Buffer.from(JSON.stringify({ model: 'm', metadata: { user_id: user } })));
    expect(senderOf({ 'user-agent': 'claude-cli/1.0.0' }, body).session).toBe(id);
    // Another program's user id is nobody's business.
    expect(senderOf({ 'user-agent': 'Anthropic/JS 1.12.0' }, body).session).toBeNull();
  });

  test('of Codex: each agent is a thread, and the first one is the session', () => {
    const headers = { originator: 'codex_exec', 'session-id': 's', 'thread-id': 's' };
    expect(senderOf(headers, null)).toEqual({ ...nobody, client: 'codex', session: 's' });
    const child = { ...headers, 'thread-id': 't', 'x-codex-parent-thread-id': 's' };
    expect(senderOf(child, null)).toEqual({ ...nobody, client: 'codex', session: 's', agent: 't' });
    const grandchild = { ...child, 'thread-id': 'u', 'x-codex-parent-thread-id': 't' };
    expect(senderOf(grandchild, null)).toMatchObject({ session: 's', agent: 'u', parentAgent: 't' });
  });

  test('of opencode: a subagent is a session below another', () => {
    const headers = {
      'user-agent': 'opencode/1.18.33',
      'x-session-id': 'ses_b',
      'x-session-affinity': 'ses_b',
    };
    const main = { ...nobody, client: 'opencode', session: 'ses_b' };
    expect(senderOf(headers, null)).toEqual(main);
    expect(senderOf({ ...headers, 'x-parent-session-id': 'ses_a' }, null)).toEqual({
      ...main,
      session: 'ses_a',
      agent: 'ses_b',
    });
  });

  test('that are no plain ids are kept as a hash, so that no text of a person is stored', () => {
    const { session } = senderOf({ 'x-session-id': 'jane@example.com, my tax return' }, null);
    expect(session).toMatch(/^hash-[0-9a-f]{32}$/);
    expect(senderOf({ 'x-session-id': 'x'.repeat(5_000) }, null).session).toMatch(/^hash-/);
    expect(senderOf({ 'x-session-id': '  ' }, null).session).toBeNull();
  });
});
