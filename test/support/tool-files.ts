/** Configuration files of the tools that can be connected, as people have them. */
import type { ToolId } from '#shared/connect.ts';
import type { FormatName } from '../../electron/connect/edit.ts';

/** One of each tool, and what stands in it once the tool is connected. */
export const everyTool: [tool: ToolId, file: string, text: string, written: RegExp[]][] = [
  [
    'claude-code',
    '.claude/settings.json',
    '{\n  // mine\n  "permissions": { "allow": ["Bash"] }, // yes\n  "env": { "ANTHROPIC_API_KEY": "sk-ant-of-the-person" }\n}\n',
    [
      /"ANTHROPIC_BASE_URL": "http:\/\/127\.0\.0\.1:\d+"/,
      /"ANTHROPIC_AUTH_TOKEN": "sk-fg-\w{43}"/,
      /"Bash"\] \}, \/\/ yes/,
    ],
  ],
  [
    'codex',
    '.codex/config.toml',
    'model = "gpt-5" # mine\n\n[projects."/x"]\ntrust_level = "trusted"\n',
    [
      /^model_provider = "faregate"$/m,
      /experimental_bearer_token = "sk-fg-\w{43}"/,
      /base_url = "http:\/\/127\.0\.0\.1:\d+\/v1"/,
      /"gpt-5" # mine/,
    ],
  ],
  [
    'gemini-cli',
    '.gemini/.env',
    'GOOGLE_API_KEY=AIzaOfThePerson\n# mine\n',
    [/^GEMINI_API_KEY=sk-fg-\w{43}$/m, /^GOOGLE_GEMINI_BASE_URL=http:\/\/127\.0\.0\.1:\d+$/m, /^# mine$/m],
  ],
  [
    'opencode',
    '.config/opencode/opencode.jsonc',
    '{\n\t"$schema": "https://opencode.ai/config.json", // s\n}\n',
    [
      /"anthropic": \{\s+"options": \{\s+"baseURL": "http:\/\/127\.0\.0\.1:\d+\/v1",\s+"apiKey": "sk-fg-\w{43}"/,
      /"openai"/,
      /\/v1beta"/,
    ],
  ],
  [
    'cline',
    '.cline/data/settings/providers.json',
    '{"version":1,"lastUsedProvider":"anthropic","providers":{"anthropic":{"settings":{"apiKey":"sk-ant-of-the-person"}}}}',
    [
      /"lastUsedProvider":"openai-compatible"/,
      /"apiKey": "sk-fg-\w{43}"/,
      /"model":"gpt-4o"/,
      /sk-ant-of-the-person/,
    ],
  ],
  [
    'continue',
    '.continue/config.yaml',
    'name: Mine   # c\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: Local\n    provider: ollama\n    model: x\n',
    [
      / {2}- name: Faregate\n {4}provider: openai\n {4}model: gpt-4o\n/,
      /apiKey: sk-fg-\w{43}/,
      /^name: Mine {3}# c$/m,
    ],
  ],
  [
    'aider',
    '.aider.conf.yml',
    'dark-mode: true # mine\nmodel: sonnet\n',
    [/^openai-api-key: sk-fg-\w{43}$/m, /^model: openai\/gpt-4o$/m, /^dark-mode: true # mine$/m],
  ],
  [
    'zed',
    '.config/zed/settings.json',
    '{\n  "theme": "One", // t\n}\n',
    [/"api_url": "http:\/\/127\.0\.0\.1:\d+\/v1"/, /"name": "gpt-4o"/],
  ],
];

/** Of each format, with what a person keeps beside our entries. */
export const filesOfEveryFormat = [
  [
    'claude-code',
    '.claude/settings.json',
    'json',
    '{\n  // c\n  "env": { "ANTHROPIC_API_KEY": "x", "A": "1" }\n}\n',
  ],
  ['claude-code', '.claude/settings.json', 'json', '{}'],
  [
    'codex',
    '.codex/config.toml',
    'toml',
    'model_provider = "mine" # c\n\n[model_providers.mine]\nname = "M"\n# end\n',
  ],
  ['codex', '.codex/config.toml', 'toml', '# only\n'],
  ['gemini-cli', '.gemini/.env', 'dotenv', '# c\nGEMINI_API_KEY=x\n'],
  ['aider', '.aider.conf.yml', 'yaml', 'model: a # c\nlist:\n- x\n'],
  [
    'continue',
    '.continue/config.yaml',
    'yaml',
    'name: N\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: A\n    model: b\n',
  ],
] as const satisfies readonly (readonly [ToolId, string, FormatName, string])[];
