import { describe, expect, test } from 'vitest';
import type { DialectId } from '#shared/model.ts';
import { toolSnippets, type Shell, type Tool } from '../../renderer/keys/snippets.ts';

const address = 'http://127.0.0.1:3273';
const secret = 'sk-fg-secret';

function texts(id: Tool['id'], shell: Shell = 'posix', dialects: DialectId[] = ['openai-chat']): string {
  const tool = toolSnippets(address, secret, shell, new Set(dialects)).find((each) => each.id === id);
  return tool?.snippets.map((snippet) => snippet.text).join('\n\n') ?? '';
}

describe('each client gets the base address in the form it expects', () => {
  test('OpenAI SDKs: with /v1', () => {
    expect(texts('openai')).toContain('export OPENAI_BASE_URL="http://127.0.0.1:3273/v1"');
    expect(texts('openai')).toContain('export OPENAI_API_KEY="sk-fg-secret"');
  });

  test('Claude Code: without /v1, as a bearer token', () => {
    expect(texts('claude')).toContain('export ANTHROPIC_BASE_URL="http://127.0.0.1:3273"');
    expect(texts('claude')).toContain('export ANTHROPIC_AUTH_TOKEN="sk-fg-secret"');
  });

  test('Gemini CLI: the bare origin, and told to use an API key', () => {
    expect(texts('gemini')).toContain('export GOOGLE_GEMINI_BASE_URL="http://127.0.0.1:3273"');
    expect(texts('gemini')).toContain('export GEMINI_API_KEY="sk-fg-secret"');
    expect(texts('gemini')).toContain('"selectedType": "gemini-api-key"');
  });

  test('Codex: a provider of its own over HTTP, the key from the environment and not in the file', () => {
    const [file = '', environment = ''] =
      toolSnippets(address, secret, 'posix', new Set())
        .find((tool) => tool.id === 'codex')
        ?.snippets.map((each) => each.text) ?? [];
    expect(file).toContain('base_url = "http://127.0.0.1:3273/v1"');
    expect(file).toContain('wire_api = "responses"');
    expect(file).not.toContain(secret);
    const variable = /env_key = "(\w+)"/.exec(file)?.[1];
    expect(environment).toBe(`export ${variable}="sk-fg-secret"`);
  });
});

describe('the example request is one the providers can answer', () => {
  test.each<[DialectId[], string]>([
    [[], '/v1/chat/completions'],
    [['openai-chat', 'anthropic-messages'], '/v1/chat/completions'],
    [['anthropic-messages'], '/v1/messages'],
    [['gemini'], ':generateContent'],
  ])('providers that speak %j: %s', (dialects, path) => {
    expect(texts('curl', 'posix', dialects)).toContain(path);
  });

  test('its body is JSON', () => {
    const body = /-d '(.*)'/.exec(texts('curl'))?.[1] ?? '';
    expect(JSON.parse(body)).toHaveProperty('model');
  });
});

test('on Windows the variables are set the way PowerShell does', () => {
  expect(texts('claude', 'powershell')).toContain('$env:ANTHROPIC_BASE_URL = "http://127.0.0.1:3273"');
  expect(texts('curl', 'powershell')).toContain('Invoke-RestMethod http://127.0.0.1:3273/v1/key');
});

test('an address with a slash at its end makes no double slash', () => {
  const tools = toolSnippets(`${address}/`, secret, 'posix', new Set());
  const all = tools.flatMap((tool) => tool.snippets.map((snippet) => snippet.text)).join('\n');
  expect(all.replaceAll('http://', '')).not.toContain('//');
});
