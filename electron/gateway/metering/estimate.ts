/**
 * Tokens of an answer that was cut before its provider said what it used: counted with the model's own vocabulary where
 * that is public, else by a ratio that was measured. What comes of it is always flagged as an estimate.
 */
import type { AnswerFacts } from '../dialects/dialect.ts';
import { record } from '../dialects/values.ts';
import type { Vocabulary } from '../workers/token-worker.ts';
import type { VocabularyCounter } from './vocabulary-counter.ts';

export interface Estimate {
  inputTokens: number;
  outputTokens: number;
}

/**
 * Characters of text, thinking and tool arguments to an output token, by family of models: sums over recorded streams
 * that report their usage and hide nothing of what they generated (number of streams and tokens behind each). Where the
 * recordings have less than 500 tokens of a family, it is left to the last line.
 */
const CHARS_PER_TOKEN: readonly [models: RegExp, ratio: number][] = [
  [/claude/, 2.9], // 97 streams, 35,413 tokens
  [/deepseek/, 3.9], // 19 streams, 7,692 tokens (median; their sum is 4.5)
  [/mistral|magistral|ministral|codestral|devstral|voxtral/, 4.0], // 12 streams, 2,714 tokens (median)
  [/qwen|qwq/, 3.0], // 3 streams, 3,241 tokens, thinking shown
  [/llama/, 3.8], // 4 streams, 881 tokens
  [/gpt|davinci|babbage|^o\d/, 3.7], // 60 streams, 8,980 tokens (median)
  [/./, 4.0], // 30 streams of Gemini, Grok, GLM and others
];

/** Text of prompts, which is less dense than answers: 75 requests of OpenAI's models of more than 200 tokens. */
const INPUT_CHARS_PER_TOKEN = 4.5;

/** What a message costs beside its text, and a request (OpenAI cookbook, "How to count tokens with tiktoken"). */
const MESSAGE_TOKENS = 4;
const REQUEST_TOKENS = 3;

/**
 * What a call of a tool costs beside its name and arguments: 7 tokens in each of 25 recorded streams of gpt-4o that end
 * in one call, 31 to 33 in 11 that end in two.
 */
const CALL_TOKENS = 7;
const PARALLEL_CALL_TOKENS = 16;

/** What a tool costs beside its names and descriptions: 5.7 each in recorded requests of gpt-4o with 19 and 21 of them. */
const TOOL_TOKENS = 6;

/** An image of 1024 by 1024 at high detail is 765 tokens of gpt-4o and about 1,100 to 1,500 elsewhere. */
const ATTACHMENT_TOKENS = 1_000;

/** A body longer than this is not taken apart while others wait for this process. */
const MAX_PARSED_BYTES = 8 * 1024 * 1024;
/** The most that one request can have had. */
const MAX_INPUT_TOKENS = 1_050_000;

/** By ratio, at once. */
export function roughEstimate(model: string, body: Buffer, answer: AnswerFacts): Estimate {
  const input = inputOf(body);
  const inputTokens = Math.ceil(input.text.length / INPUT_CHARS_PER_TOKEN) + input.otherTokens;
  return {
    inputTokens: Math.min(inputTokens, MAX_INPUT_TOKENS),
    outputTokens: Math.ceil(answer.outputChars / outputRatio(answer.model ?? model)) + callTokens(answer),
  };
}

/** With the vocabulary; by ratio where the counter does not answer. */
export async function countedEstimate(
  vocabulary: Vocabulary,
  { model, body, answer }: { model: string; body: Buffer; answer: AnswerFacts },
  counter: VocabularyCounter,
): Promise<Estimate> {
  const rough = roughEstimate(model, body, answer);
  const input = inputOf(body);
  const seen = answer.outputText?.toString() ?? '';
  const counts = await counter.count(vocabulary, [input.text, seen]);
  if (counts === null) return rough;
  const [inputTokens = 0, outputTokens = 0] = counts;
  // What was not kept, or is no text, goes by the ratio.
  const unseen = Math.max(0, answer.outputChars - seen.length);
  return {
    inputTokens: Math.min(inputTokens + input.otherTokens, MAX_INPUT_TOKENS),
    outputTokens: outputTokens + callTokens(answer) + Math.ceil(unseen / outputRatio(answer.model ?? model)),
  };
}

function callTokens({ outputCalls }: AnswerFacts): number {
  return outputCalls > 1 ? outputCalls * PARALLEL_CALL_TOKENS : outputCalls * CALL_TOKENS;
}

function outputRatio(model: string): number {
  const name = model.toLowerCase();
  return CHARS_PER_TOKEN.find(([models]) => models.test(name))?.[1] ?? 4;
}

/** Fields that hold what a model reads; the others steer the request. */
const PROMPT_FIELDS = [
  'messages',
  'input',
  'prompt',
  'instructions',
  'system',
  'contents',
  'systemInstruction',
  'system_instruction',
  'tools',
];

/** Values that are names, references and encoded bytes, not text that a model reads. */
const NO_TEXT = new Set([
  'id',
  'type',
  'role',
  'model',
  'data',
  'url',
  'image_url',
  'file_data',
  'signature',
  'thoughtSignature',
  'encrypted_content',
  'call_id',
  'tool_call_id',
  'tool_use_id',
  'media_type',
  'mimeType',
  'cache_control',
]);

const ATTACHMENTS = new Set([
  'image',
  'image_url',
  'input_image',
  'document',
  'file',
  'input_file',
  'input_audio',
]);

/** The text of a request's messages and tools, and the tokens of what is none. */
function inputOf(body: Buffer): { text: string; otherTokens: number } {
  const fields = body.length > MAX_PARSED_BYTES ? null : parsed(body);
  if (fields === null)
    return { text: '', otherTokens: Math.ceil(body.length / INPUT_CHARS_PER_TOKEN) + REQUEST_TOKENS };
  const texts: string[] = [];
  const { tools } = fields;
  let otherTokens = REQUEST_TOKENS + (Array.isArray(tools) ? tools.length * TOOL_TOKENS : 0);
  const left: unknown[] = PROMPT_FIELDS.map((name) => fields[name]).toReversed();
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next === 'string') texts.push(next);
    if (typeof next !== 'object' || next === null) continue;
    // Of a tool's schema a model reads the names and descriptions; the words of the schema language it does not.
    if ('properties' in next) texts.push(...Object.keys(record(next.properties)));
    if ('role' in next) otherTokens += MESSAGE_TOKENS;
    if ('inlineData' in next || 'fileData' in next || ('type' in next && ATTACHMENTS.has(String(next.type))))
      otherTokens += ATTACHMENT_TOKENS;
    for (const [name, value] of Object.entries(next).toReversed()) if (!NO_TEXT.has(name)) left.push(value);
  }
  return { text: texts.join('\n'), otherTokens };
}

function parsed(body: Buffer): Record<string, unknown> | null {
  try {
    return record(JSON.parse(body.toString('utf8')));
  } catch {
    return null;
  }
}
