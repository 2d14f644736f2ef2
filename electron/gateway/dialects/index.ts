/** Every wire protocol the gateway speaks. */
import type { DialectId } from '#shared/model.ts';
import { anthropicMessages } from './anthropic-messages.ts';
import type { Dialect } from './dialect.ts';
import { geminiInteractions } from './gemini-interactions.ts';
import { gemini, geminiEmbeddings } from './gemini.ts';
import { openaiChat, openaiCompletions } from './openai-chat.ts';
import { openaiEmbeddings } from './openai-embeddings.ts';
import { openaiResponses } from './openai-responses.ts';

export const dialects: Readonly<Record<DialectId, Dialect>> = {
  'openai-chat': openaiChat,
  'openai-completions': openaiCompletions,
  'openai-responses': openaiResponses,
  'openai-embeddings': openaiEmbeddings,
  'anthropic-messages': anthropicMessages,
  gemini,
  'gemini-embeddings': geminiEmbeddings,
  'gemini-interactions': geminiInteractions,
};
