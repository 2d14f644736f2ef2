/** What kinds of providers there are: where each is reached, what it speaks, how it is paid. */
import type { Billing, DialectId, ProviderKind } from '#shared/model.ts';

/** How a kind of provider is reached and billed unless the person says otherwise. */
export interface KindFacts {
  name: string;
  /** Up to and including the version segment; empty where it has to be given. */
  baseUrl: string;
  dialects: readonly DialectId[];
  credential: 'bearer' | 'x-api-key' | 'x-goog-api-key';
  /** Without a credential every request would be refused upstream. */
  needsCredential: boolean;
  /** Vendor id in the price catalogue; null where the model's name has to tell. */
  vendor: string | null;
  billing: Billing;
}

const openaiDialects = [
  'openai-chat',
  'openai-completions',
  'openai-responses',
  'openai-embeddings',
] as const;
const chatDialects = ['openai-chat', 'openai-completions', 'openai-embeddings'] as const;

export const providerKindFacts: Readonly<Record<ProviderKind, KindFacts>> = {
  openai: hosted('OpenAI', 'https://api.openai.com/v1', 'openai', openaiDialects),
  anthropic: {
    ...hosted('Anthropic', 'https://api.anthropic.com/v1', 'anthropic', ['anthropic-messages']),
    credential: 'x-api-key',
  },
  gemini: {
    ...hosted('Google Gemini', 'https://generativelanguage.googleapis.com/v1beta', 'google', [
      'gemini',
      'gemini-embeddings',
      'gemini-interactions',
    ]),
    credential: 'x-goog-api-key',
  },
  openrouter: {
    ...hosted('OpenRouter', 'https://openrouter.ai/api/v1', 'openrouter', [
      ...openaiDialects,
      'anthropic-messages',
    ]),
    billing: 'credits',
  },
  llmgateway: {
    ...hosted('LLM Gateway', 'https://api.llmgateway.io/v1', null, [...openaiDialects, 'anthropic-messages']),
    billing: 'credits',
  },
  deepseek: hosted('DeepSeek', 'https://api.deepseek.com', 'deepseek', openaiDialects),
  mistral: hosted('Mistral', 'https://api.mistral.ai/v1', 'mistral', chatDialects),
  groq: hosted('Groq', 'https://api.groq.com/openai/v1', 'groq', openaiDialects),
  xai: hosted('xAI', 'https://api.x.ai/v1', 'x-ai', openaiDialects),
  ollama: local('Ollama', 'http://127.0.0.1:11434/v1'),
  lmstudio: local('LM Studio', 'http://127.0.0.1:1234/v1'),
  'openai-compatible': { ...hosted('OpenAI-compatible', '', null, openaiDialects), needsCredential: false },
  'anthropic-compatible': {
    ...hosted('Anthropic-compatible', '', null, ['anthropic-messages']),
    credential: 'x-api-key',
    needsCredential: false,
  },
};

function hosted(
  name: string,
  baseUrl: string,
  vendor: string | null,
  dialects: readonly DialectId[],
): KindFacts {
  return { name, baseUrl, dialects, credential: 'bearer', needsCredential: true, vendor, billing: 'own-key' };
}

/** Runs on this machine: costs nothing, and says so. */
function local(name: string, baseUrl: string): KindFacts {
  return {
    ...hosted(name, baseUrl, null, [...openaiDialects, 'anthropic-messages']),
    needsCredential: false,
    billing: 'free',
  };
}
