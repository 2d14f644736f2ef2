/** The real clients: where they come from, how each is run without a person, and how often it may call when refused. */
import path from 'node:path';
import type { ToolId } from '#shared/connect.ts';

export interface TestedClient {
  id: string;
  name: string;
  /** Folder of the cache. */
  from: string;
  packages: readonly string[];
  /** How it is led to the gateway: as the Connect page does it, or by the environment that `faregate run` sets. */
  tool: ToolId | null;
  provider: 'openai' | 'anthropic' | 'gemini';
  model: string;
  /** Program and arguments; `folder` is where its packages lie. */
  command(folder: string, asked: { prompt: string; model: string }): readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Calls of one prompt: some ask a small model for a title or a route as well. */
  callsPerPrompt: number;
  /** It asks for the model of its configuration alone. */
  fixedModel?: true;
  /** Its requests say of which session they are. */
  namesSession?: true;
  /** It stops at an error in a stream, and has a sentence of its own for it. */
  hidesStreamErrors?: true;
}

/** A model that neither the catalogue nor the person has a price for. */
export const UNKNOWN_MODEL = 'acme-unheard-of-1';
/** Not in the catalogue either, but priced by hand: its price can be taken away. */
const OWN_MODEL = 'acme-large-1';

/** Where npm puts the programs of what is installed in `folder`. */
const bin = (folder: string, name: string) => path.join(folder, 'node_modules', '.bin', name);
const script = (folder: string, name: string) => [process.execPath, bin(folder, name)];

/** It asks only for models that it knows. */
const knownToOpencode = Object.fromEntries(
  ['anthropic', 'openai', 'google'].map((id) => [id, { models: { [UNKNOWN_MODEL]: {} } }]),
);

const opencode = {
  from: 'opencode',
  packages: ['opencode-ai@1.18.33'],
  tool: 'opencode',
  callsPerPrompt: 2,
  namesSession: true,
  env: { OPENCODE_CONFIG_CONTENT: JSON.stringify({ provider: knownToOpencode }) },
} as const satisfies Partial<TestedClient>;

const agents: readonly TestedClient[] = [
  {
    id: 'claude-code',
    name: 'Claude Code 2.1.330',
    from: 'claude-code',
    packages: ['@anthropic-ai/claude-code@2.1.330'],
    tool: 'claude-code',
    provider: 'anthropic',
    model: 'claude-sonnet-4-5',
    command: (folder, { prompt, model }) => [bin(folder, 'claude'), '-p', prompt, '--model', model],
    env: { DISABLE_AUTOUPDATER: '1', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' },
    callsPerPrompt: 1,
    namesSession: true,
  },
  {
    id: 'codex',
    name: 'Codex 0.169.0',
    from: 'codex',
    packages: ['@openai/codex@0.169.0'],
    tool: 'codex',
    provider: 'openai',
    model: 'gpt-5.4',
    command: (folder, { prompt, model }) => [
      ...script(folder, 'codex'),
      ...['exec', '--skip-git-repo-check', '-m', model, prompt],
    ],
    callsPerPrompt: 1,
    namesSession: true,
  },
  {
    id: 'gemini-cli',
    name: 'Gemini CLI 0.61.0',
    from: 'gemini-cli',
    packages: ['@google/gemini-cli@0.61.0'],
    tool: 'gemini-cli',
    provider: 'gemini',
    model: 'gemini-2.5-flash',
    command: (folder, { prompt, model }) => [
      ...script(folder, 'gemini'),
      ...['--skip-trust', '-m', model, '-p', prompt],
    ],
    callsPerPrompt: 2,
  },
  {
    ...opencode,
    id: 'opencode-anthropic',
    name: 'opencode 1.18.33 (Messages)',
    provider: 'anthropic',
    model: 'claude-sonnet-4-5',
    command: (folder, { prompt, model }) => [
      bin(folder, 'opencode'),
      'run',
      '-m',
      `anthropic/${model}`,
      prompt,
    ],
  },
  {
    ...opencode,
    id: 'opencode-openai',
    name: 'opencode 1.18.33 (Responses)',
    provider: 'openai',
    model: 'gpt-5.4',
    command: (folder, { prompt, model }) => [bin(folder, 'opencode'), 'run', '-m', `openai/${model}`, prompt],
  },
  {
    ...opencode,
    id: 'opencode-google',
    name: 'opencode 1.18.33 (Gemini)',
    provider: 'gemini',
    model: 'gemini-2.5-flash',
    command: (folder, { prompt, model }) => [bin(folder, 'opencode'), 'run', '-m', `google/${model}`, prompt],
  },
  {
    id: 'cline',
    name: 'Cline 3.0.65',
    from: 'cline',
    packages: ['cline@3.0.65'],
    tool: 'cline',
    provider: 'openai',
    model: 'gpt-4.1',
    command: (folder, { prompt, model }) => [
      ...[bin(folder, 'cline'), '-P', 'openai-compatible', '-m', model, prompt],
    ],
    callsPerPrompt: 1,
  },
  {
    id: 'continue',
    name: 'Continue 1.5.47',
    from: 'continue',
    packages: ['@continuedev/cli@1.5.47'],
    tool: 'continue',
    provider: 'openai',
    model: OWN_MODEL,
    fixedModel: true,
    command: (folder, { prompt }) => [...script(folder, 'cn'), '-p', prompt],
    env: { CONTINUE_TELEMETRY_ENABLED: '0' },
    callsPerPrompt: 1,
  },
];

const sdkPackages = [
  'openai@7.57.0',
  '@anthropic-ai/sdk@1.12.0',
  '@google/genai@3.1.0',
  'ai@7.0.173',
  '@ai-sdk/openai@4.0.118',
  '@ai-sdk/anthropic@4.0.105',
  '@ai-sdk/google@4.0.121',
  '@ai-sdk/openai-compatible@3.0.92',
  '@langchain/core@1.4.0',
  '@langchain/openai@1.6.0',
  '@langchain/anthropic@1.5.11',
  '@langchain/google-genai@2.3.2',
];

const models = { openai: 'gpt-4.1', anthropic: 'claude-sonnet-4-5', gemini: 'gemini-2.5-flash' } as const;

function sdk(id: string, name: string, provider: keyof typeof models): TestedClient {
  return {
    id,
    name,
    from: 'sdks',
    packages: sdkPackages,
    tool: null,
    provider,
    model: models[provider],
    command: (folder, { prompt, model }) => [
      process.execPath,
      path.join(folder, 'sdk.mjs'),
      id,
      model,
      prompt,
    ],
    callsPerPrompt: 1,
  };
}

export const clients: readonly TestedClient[] = [
  ...agents,
  sdk('openai-chat', 'openai 7.57.0 (Chat)', 'openai'),
  sdk('openai-responses', 'openai 7.57.0 (Responses)', 'openai'),
  sdk('anthropic', '@anthropic-ai/sdk 1.12.0', 'anthropic'),
  sdk('genai', '@google/genai 3.1.0', 'gemini'),
  sdk('ai-openai', 'AI SDK 7.0.173 (openai)', 'openai'),
  sdk('ai-compatible', 'AI SDK 7.0.173 (openai-compatible)', 'openai'),
  sdk('ai-anthropic', 'AI SDK 7.0.173 (anthropic)', 'anthropic'),
  sdk('ai-google', 'AI SDK 7.0.173 (google)', 'gemini'),
  sdk('langchain-openai', 'LangChain 1.6.0 (openai)', 'openai'),
  sdk('langchain-anthropic', 'LangChain 1.5.11 (anthropic)', 'anthropic'),
  { ...sdk('langchain-google', 'LangChain 2.3.2 (google-genai)', 'gemini'), hidesStreamErrors: true },
];
