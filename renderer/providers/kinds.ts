/** The kinds of provider as the dialog offers them. The gateway fills in what is left empty; these are the same defaults, shown. */
import type { Billing, ProviderKind } from '#shared/model.ts';

export interface Kind {
  label: string;
  /** Empty where a person has to give it. */
  baseUrl: string;
  needsCredential: boolean;
  billing: Billing;
}

export const kinds: Readonly<Record<ProviderKind, Kind>> = {
  openai: hosted('OpenAI', 'https://api.openai.com/v1'),
  anthropic: hosted('Anthropic', 'https://api.anthropic.com/v1'),
  gemini: hosted('Google Gemini', 'https://generativelanguage.googleapis.com/v1beta'),
  openrouter: { ...hosted('OpenRouter', 'https://openrouter.ai/api/v1'), billing: 'credits' },
  llmgateway: { ...hosted('LLM Gateway', 'https://api.llmgateway.io/v1'), billing: 'credits' },
  deepseek: hosted('DeepSeek', 'https://api.deepseek.com/v1'),
  mistral: hosted('Mistral', 'https://api.mistral.ai/v1'),
  groq: hosted('Groq', 'https://api.groq.com/openai/v1'),
  xai: hosted('xAI', 'https://api.x.ai/v1'),
  ollama: local('Ollama', 'http://127.0.0.1:11434/v1'),
  lmstudio: local('LM Studio', 'http://127.0.0.1:1234/v1'),
  'openai-compatible': { ...hosted('OpenAI-compatible endpoint', ''), needsCredential: false },
  'anthropic-compatible': { ...hosted('Anthropic-compatible endpoint', ''), needsCredential: false },
};

function hosted(label: string, baseUrl: string): Kind {
  return { label, baseUrl, needsCredential: true, billing: 'own-key' };
}

function local(label: string, baseUrl: string): Kind {
  return { label, baseUrl, needsCredential: false, billing: 'free' };
}
