/**
 * The environment that leads SDKs and agents to the gateway. Which variables, base paths and headers each of them reads
 * was measured with the real clients, or read in their sources.
 */
import path from 'node:path';

export interface Target {
  /** Origin of the gateway. */
  gatewayUrl: string;
  secret: string;
  env: NodeJS.ProcessEnv;
}

/** Would win over ours, lead around the gateway, or name an account that is not the provider's. */
const conflicting = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_CUSTOM_HEADERS',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'CLAUDE_CODE_USE_BEDROCK',
  'CLAUDE_CODE_USE_VERTEX',
  'CODEX_API_KEY',
  'GOOGLE_API_KEY',
  'GOOGLE_GENAI_USE_VERTEXAI',
  'OPENAI_ORG_ID',
  'OPENAI_ORGANIZATION',
  'OPENAI_PROJECT',
  'OPENAI_PROJECT_ID',
] as const;

export function environmentFor(command: string, { gatewayUrl, secret, env }: Target): NodeJS.ProcessEnv {
  const base = gatewayUrl.replace(/\/+$/, '');
  const set: NodeJS.ProcessEnv = { ...env };
  for (const name of conflicting) delete set[name];
  Object.assign(set, {
    FAREGATE_URL: base,
    FAREGATE_API_KEY: secret,
    OPENAI_BASE_URL: `${base}/v1`,
    // What LiteLLM, and aider through it, look for.
    OPENAI_API_BASE: `${base}/v1`,
    OPENAI_API_KEY: secret,
    ANTHROPIC_BASE_URL: base,
    ANTHROPIC_API_BASE: base,
    ANTHROPIC_AUTH_TOKEN: secret,
    GOOGLE_GEMINI_BASE_URL: base,
    GEMINI_API_KEY: secret,
    OPENROUTER_BASE_URL: `${base}/v1`,
    // A tool that passes the base URL over is refused there, rather than served past the meter.
    OPENROUTER_API_KEY: secret,
  });
  // Claude Code asks about a second credential; LangChain and the AI SDK know no other.
  if (programName(command) !== 'claude') set['ANTHROPIC_API_KEY'] = secret;
  for (const name of ['NO_PROXY', 'no_proxy']) {
    set[name] = [set[name], '127.0.0.1', 'localhost'].filter(Boolean).join(',');
  }
  return set;
}

/**
 * Codex takes a provider from its configuration alone. The key stays out of the arguments, which every user of the
 * machine can read: Codex gets the name of the variable.
 */
export function argumentsFor(command: string, args: readonly string[], gatewayUrl: string): string[] {
  if (programName(command) !== 'codex') return [...args];
  const provider = `{name="Faregate",base_url="${gatewayUrl}/v1",env_key="FAREGATE_API_KEY",wire_api="responses"}`;
  return ['-c', 'model_provider="faregate"', '-c', `model_providers.faregate=${provider}`, ...args];
}

function programName(command: string): string {
  return path.basename(command).replace(/\.(exe|cmd|bat)$/i, '');
}
