/** How each client is pointed at the gateway. Which variable, base path and header each one reads was measured with the real clients. */
import type { DialectId } from '#shared/model.ts';
import { strings } from '../strings.ts';

export type Shell = 'posix' | 'powershell';

export interface Snippet {
  title: string;
  text: string;
}

export interface Tool {
  id: 'curl' | 'openai' | 'claude' | 'codex' | 'gemini';
  label: string;
  note: string;
  snippets: readonly Snippet[];
}

/** `dialects`: what the enabled providers speak, so that the example request is one that can be answered. */
export function toolSnippets(
  gatewayUrl: string,
  secret: string,
  shell: Shell,
  dialects: ReadonlySet<DialectId>,
): Tool[] {
  const words = strings.snippets;
  const base = gatewayUrl.replace(/\/+$/, '');
  const variables = (values: Record<string, string>) =>
    Object.entries(values)
      .map(([name, value]) => (shell === 'posix' ? `export ${name}="${value}"` : `$env:${name} = "${value}"`))
      .join('\n');

  return [
    {
      id: 'curl',
      label: shell === 'posix' ? 'curl' : 'PowerShell',
      note: words.curlNote,
      snippets: [
        { title: words.checkKey, text: getRequest(`${base}/v1/key`, secret, shell) },
        { title: words.request, text: exampleRequest(base, secret, shell, dialects) },
      ],
    },
    {
      id: 'openai',
      label: 'OpenAI SDK',
      note: words.openaiNote,
      snippets: [
        {
          title: words.environment,
          text: variables({ OPENAI_BASE_URL: `${base}/v1`, OPENAI_API_KEY: secret }),
        },
      ],
    },
    {
      id: 'claude',
      label: 'Claude Code',
      note: words.claudeNote,
      // Claude Code adds /v1 itself.
      snippets: [
        {
          title: words.environment,
          text: variables({ ANTHROPIC_BASE_URL: base, ANTHROPIC_AUTH_TOKEN: secret }),
        },
      ],
    },
    {
      id: 'codex',
      label: 'Codex',
      note: words.codexNote,
      snippets: [
        {
          title: words.file('~/.codex/config.toml'),
          // A provider of its own: with the built-in one Codex opens a WebSocket first and may send a ChatGPT login.
          text: [
            'model_provider = "faregate"',
            '',
            '[model_providers.faregate]',
            'name = "Faregate"',
            `base_url = "${base}/v1"`,
            'env_key = "FAREGATE_API_KEY"',
            'wire_api = "responses"',
          ].join('\n'),
        },
        { title: words.environment, text: variables({ FAREGATE_API_KEY: secret }) },
      ],
    },
    {
      id: 'gemini',
      label: 'Gemini CLI',
      note: words.geminiNote,
      snippets: [
        {
          title: words.environment,
          text: variables({ GOOGLE_GEMINI_BASE_URL: base, GEMINI_API_KEY: secret }),
        },
        {
          title: words.file('~/.gemini/settings.json'),
          text: JSON.stringify({ security: { auth: { selectedType: 'gemini-api-key' } } }, null, 2),
        },
      ],
    },
  ];
}

function exampleRequest(
  base: string,
  secret: string,
  shell: Shell,
  dialects: ReadonlySet<DialectId>,
): string {
  const messages = [{ role: 'user', content: 'Hello' }];
  if (dialects.has('openai-chat') || dialects.size === 0) {
    return postRequest(`${base}/v1/chat/completions`, secret, shell, { model: 'gpt-5.4-mini', messages });
  }
  if (dialects.has('anthropic-messages')) {
    return postRequest(`${base}/v1/messages`, secret, shell, {
      model: 'claude-haiku-4-5',
      max_tokens: 100,
      messages,
    });
  }
  return postRequest(`${base}/v1beta/models/gemini-3.5-flash-lite:generateContent`, secret, shell, {
    contents: [{ parts: [{ text: 'Hello' }] }],
  });
}

function getRequest(url: string, secret: string, shell: Shell): string {
  if (shell === 'powershell')
    return `Invoke-RestMethod ${url} -Headers @{ Authorization = "Bearer ${secret}" }`;
  return [`curl ${url} \\`, `  -H "Authorization: Bearer ${secret}"`].join('\n');
}

function postRequest(url: string, secret: string, shell: Shell, body: object): string {
  const json = JSON.stringify(body);
  if (shell === 'powershell') {
    return [
      `Invoke-RestMethod ${url} -Method Post -ContentType "application/json" \``,
      `  -Headers @{ Authorization = "Bearer ${secret}" } \``,
      `  -Body '${json}'`,
    ].join('\n');
  }
  return [
    `curl ${url} \\`,
    `  -H "Authorization: Bearer ${secret}" \\`,
    '  -H "Content-Type: application/json" \\',
    `  -d '${json}'`,
  ].join('\n');
}
