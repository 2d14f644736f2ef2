/**
 * The tools that can be connected: where each keeps its configuration, and which entries lead it to the gateway. What
 * they read was measured with the real clients or looked up in their documentation and sources.
 */
import path from 'node:path';
import type { ToolId } from '#shared/connect.ts';
import type { DialectId } from '#shared/model.ts';
import type { FormatName } from './edit.ts';
import type { Entry, Path } from './format.ts';
import { executable, exists, firstExisting, packageVersion, type Machine } from './machine-view.ts';

/** What goes into the configuration. */
export interface Target {
  /** Origin of the gateway. */
  base: string;
  secret: string;
  /** Only of tools that need one; null = the one that is configured stays. */
  model: string | null;
  /** What the enabled providers speak; empty where there are none yet. */
  dialects: ReadonlySet<DialectId>;
  now: string;
}

export interface FileEdit {
  path: string;
  format: FormatName;
  entries: readonly Entry[];
}

export interface Tool {
  id: ToolId;
  name: string;
  /** Its program, where it has one that can be looked for. */
  program?: string;
  /** A folder or file that only an installed tool leaves behind. */
  traces(machine: Machine): string[];
  files(machine: Machine, target: Target): FileEdit[];
  /** Which of the three lists of models its check asks for. */
  probe: 'openai' | 'anthropic' | 'gemini';
  /** What the gateway has to speak for it. */
  needs: readonly DialectId[];
  /** The entry of the first file that names its model; only of tools that cannot do without one. */
  modelPath?: Path;
  /** The secret is not in a file: the person enters it into the tool. */
  entersKey?: true;
  notes: readonly string[];
}

const restart = (name: string) => `${name} reads its configuration when it starts: start it again.`;

export const tools: readonly Tool[] = [
  {
    id: 'claude-code',
    name: 'Claude Code',
    program: 'claude',
    traces: (machine) => [claudeFolder(machine)],
    probe: 'anthropic',
    needs: ['anthropic-messages'],
    // https://code.claude.com/docs/en/llm-gateway: the address without /v1; the token goes out as Bearer.
    files: (machine, { base, secret }) => [
      {
        path: path.join(claudeFolder(machine), 'settings.json'),
        format: 'json',
        entries: [
          { path: ['env', 'ANTHROPIC_AUTH_TOKEN'], value: secret },
          { path: ['env', 'ANTHROPIC_BASE_URL'], value: base },
          // A second credential makes it ask which one is meant.
          { path: ['env', 'ANTHROPIC_API_KEY'], value: undefined },
          { path: ['apiKeyHelper'], value: undefined },
        ],
      },
    ],
    notes: [restart('Claude Code'), 'While it is connected, it uses this key and not a claude.ai login.'],
  },
  {
    id: 'codex',
    name: 'Codex',
    program: 'codex',
    traces: (machine) => [codexFolder(machine)],
    probe: 'openai',
    needs: ['openai-responses'],
    // A provider of its own: with the built-in one Codex opens a WebSocket first and may send a ChatGPT login. The
    // bearer token stands in the file because Codex looks nowhere else but in the environment it was started in.
    files: (machine, { base, secret }) => [
      {
        path: path.join(codexFolder(machine), 'config.toml'),
        format: 'toml',
        entries: [
          {
            path: ['model_providers', 'faregate'],
            value: {
              name: 'Faregate',
              base_url: `${base}/v1`,
              wire_api: 'responses',
              experimental_bearer_token: secret,
            },
          },
          { path: ['model_provider'], value: 'faregate' },
        ],
      },
    ],
    notes: [
      restart('Codex'),
      'A profile that names a provider of its own keeps it. Background sessions keep the key they were started with.',
    ],
  },
  {
    id: 'gemini-cli',
    name: 'Gemini CLI',
    program: 'gemini',
    traces: (machine) => [geminiFolder(machine)],
    probe: 'gemini',
    needs: ['gemini'],
    files: (machine, { base, secret }) => [
      {
        path: path.join(geminiFolder(machine), '.env'),
        format: 'dotenv',
        entries: [
          { path: ['GOOGLE_GEMINI_BASE_URL'], value: base },
          { path: ['GEMINI_API_KEY'], value: secret },
          // Wins over the other.
          { path: ['GOOGLE_API_KEY'], value: undefined },
        ],
      },
      {
        path: path.join(geminiFolder(machine), 'settings.json'),
        format: 'json',
        entries: [{ path: ['security', 'auth', 'selectedType'], value: 'gemini-api-key' }],
      },
    ],
    notes: [
      restart('Gemini CLI'),
      'A .env of a project comes before this one, and variables of the shell before both.',
    ],
  },
  {
    id: 'opencode',
    name: 'opencode',
    program: 'opencode',
    traces: (machine) => [opencodeFolder(machine)],
    probe: 'openai',
    needs: ['anthropic-messages', 'openai-responses', 'openai-chat', 'gemini'],
    files: (machine, { base, secret, dialects }) => [
      {
        path:
          machine.env['OPENCODE_CONFIG'] ??
          firstExisting(opencodeFolder(machine), ['opencode.jsonc', 'opencode.json'], 'opencode.json'),
        format: 'json',
        entries: opencodeProviders
          .filter(({ speaks }) => dialects.size === 0 || speaks.some((dialect) => dialects.has(dialect)))
          .flatMap(({ id, version }) => [
            { path: ['provider', id, 'options', 'apiKey'], value: secret },
            { path: ['provider', id, 'options', 'baseURL'], value: `${base}/${version}` },
          ]),
      },
    ],
    notes: [restart('opencode'), 'A login of `opencode auth` to the same provider is not used meanwhile.'],
  },
  {
    id: 'cline',
    name: 'Cline CLI',
    program: 'cline',
    traces: (machine) => [clineFolder(machine)],
    probe: 'openai',
    needs: ['openai-chat'],
    modelPath: ['providers', 'openai-compatible', 'settings', 'model'],
    files: (machine, { base, secret, model, now }) => [
      {
        path: path.join(clineFolder(machine), 'settings', 'providers.json'),
        format: 'json',
        entries: [
          { path: ['providers', 'openai-compatible', 'updatedAt'], value: now },
          { path: ['providers', 'openai-compatible', 'tokenSource'], value: 'manual' },
          ...(model === null
            ? []
            : [{ path: ['providers', 'openai-compatible', 'settings', 'model'], value: model }]),
          { path: ['providers', 'openai-compatible', 'settings', 'baseUrl'], value: `${base}/v1` },
          { path: ['providers', 'openai-compatible', 'settings', 'apiKey'], value: secret },
          { path: ['providers', 'openai-compatible', 'settings', 'provider'], value: 'openai-compatible' },
          { path: ['lastUsedProvider'], value: 'openai-compatible' },
          { path: ['version'], value: 1 },
        ],
      },
    ],
    notes: [
      'Cline in VS Code keeps its settings elsewhere: choose "OpenAI Compatible" there and enter the address and a key.',
      'Its background service keeps the key it was started with: end it with `cline kill` or start it again.',
    ],
  },
  {
    id: 'continue',
    name: 'Continue',
    program: 'cn',
    traces: (machine) => [continueFolder(machine)],
    probe: 'openai',
    needs: ['openai-chat'],
    modelPath: ['models', { named: 'Faregate' }, 'model'],
    files: (machine, { base, secret, model }) => {
      const file = firstExisting(continueFolder(machine), ['config.yaml', 'config.yml'], 'config.yaml');
      // The three that the schema requires, where the file is new.
      const frame = exists(file)
        ? []
        : [
            { path: ['name'], value: 'Local Assistant' },
            { path: ['version'], value: '1.0.0' },
            { path: ['schema'], value: 'v1' },
          ];
      const value = {
        name: 'Faregate',
        provider: 'openai',
        model: model ?? '',
        apiBase: `${base}/v1`,
        apiKey: secret,
      };
      return [
        {
          path: file,
          format: 'yaml',
          entries: [...frame, { path: ['models', { named: 'Faregate' }], value }],
        },
      ];
    },
    notes: ['It is added as a model named "Faregate": choose it in Continue.'],
  },
  {
    id: 'aider',
    name: 'aider',
    program: 'aider',
    traces: ({ home }) => [path.join(home, '.aider.conf.yml')],
    probe: 'openai',
    needs: ['openai-chat'],
    modelPath: ['model'],
    // LiteLLM takes `openai/…` for whatever speaks OpenAI's protocol at this address.
    files: ({ home }, { base, secret, model }) => [
      {
        path: path.join(home, '.aider.conf.yml'),
        format: 'yaml',
        entries: [
          { path: ['openai-api-base'], value: `${base}/v1` },
          { path: ['openai-api-key'], value: secret },
          ...(model === null
            ? []
            : [{ path: ['model'], value: model.startsWith('openai/') ? model : `openai/${model}` }]),
        ],
      },
    ],
    notes: ['A .aider.conf.yml or .env of a project comes before this one.'],
  },
  {
    id: 'zed',
    name: 'Zed',
    program: 'zed',
    traces: (machine) => [zedFolder(machine)],
    probe: 'openai',
    needs: ['openai-chat'],
    modelPath: ['language_models', 'openai_compatible', 'Faregate', 'available_models'],
    entersKey: true,
    files: (machine, { base, model }) => [
      {
        path: path.join(zedFolder(machine), 'settings.json'),
        format: 'json',
        entries: [
          {
            path: ['language_models', 'openai_compatible', 'Faregate'],
            value: {
              api_url: `${base}/v1`,
              available_models: [{ name: model ?? '', max_tokens: 200_000 }],
            },
          },
        ],
      },
    ],
    notes: [
      "Zed keeps keys in the system's keychain: enter the key under Agent Settings, LLM Providers, Faregate.",
      'Change max_tokens where your model reads more or less than 200,000 tokens.',
    ],
  },
];

/** Known, and known not to work. */
export const impossible = [
  {
    id: 'cursor',
    name: 'Cursor',
    program: 'cursor',
    why: 'Cursor sends requests from its own servers, even with a base URL of yours, and those cannot reach this machine.',
  },
] as const satisfies readonly { id: ToolId; name: string; program: string; why: string }[];

const opencodeProviders = [
  { id: 'google', version: 'v1beta', speaks: ['gemini'] },
  { id: 'openai', version: 'v1', speaks: ['openai-responses', 'openai-chat'] },
  { id: 'anthropic', version: 'v1', speaks: ['anthropic-messages'] },
] as const satisfies readonly { id: string; version: string; speaks: readonly DialectId[] }[];

export function toolOf(id: ToolId): Tool | undefined {
  return tools.find((tool) => tool.id === id);
}

export function findInstalled(tool: Tool, machine: Machine): { found: boolean; version: string | null } {
  const program = tool.program === undefined ? null : executable(machine, tool.program);
  return {
    found: program !== null || tool.traces(machine).some(exists),
    version: program === null ? null : packageVersion(program),
  };
}

/** An absolute path of the variable, else the folder below the home. */
function folder({ env, home }: Machine, variable: string, ...below: string[]): string {
  const given = env[variable];
  return given !== undefined && path.isAbsolute(given) ? given : path.join(home, ...below);
}

const configFolder = (machine: Machine) => folder(machine, 'XDG_CONFIG_HOME', '.config');
const claudeFolder = (machine: Machine) => folder(machine, 'CLAUDE_CONFIG_DIR', '.claude');
const codexFolder = (machine: Machine) => folder(machine, 'CODEX_HOME', '.codex');
// GEMINI_CLI_HOME stands for the home folder, not for the one with the dot.
const geminiFolder = (machine: Machine) => path.join(folder(machine, 'GEMINI_CLI_HOME'), '.gemini');
const opencodeFolder = (machine: Machine) => path.join(configFolder(machine), 'opencode');
const clineFolder = (machine: Machine) => {
  const data = machine.env['CLINE_DATA_DIR'];
  return data !== undefined && path.isAbsolute(data)
    ? data
    : path.join(folder(machine, 'CLINE_DIR', '.cline'), 'data');
};
const continueFolder = (machine: Machine) => folder(machine, 'CONTINUE_GLOBAL_DIR', '.continue');
const zedFolder = (machine: Machine) =>
  machine.platform === 'win32'
    ? path.join(machine.env['APPDATA'] ?? path.join(machine.home, 'AppData', 'Roaming'), 'Zed')
    : path.join(
        machine.platform === 'darwin' ? path.join(machine.home, '.config') : configFolder(machine),
        'zed',
      );
