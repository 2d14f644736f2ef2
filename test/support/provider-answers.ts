/**
 * What a model provider answers to a well-formed request, made here in the shape of each provider's documented
 * protocol: enough for the vendors' own SDKs to read it. Used by the replay upstream where a test scripts nothing.
 */

export interface AnswerTokens {
  inputTokens: number;
  outputTokens: number;
  text: string;
}

/** A whole JSON answer, or the pieces of a stream as a provider would write them. */
export type ProviderAnswer =
  | { status: number; json: unknown }
  | { status: number; contentType: string; pieces: string[] };

export interface AskedFor {
  method: string;
  /** Without the query. */
  path: string;
  query: URLSearchParams;
  body: unknown;
}

/** The answer of whichever provider speaks the route; null where no provider does. */
export function answerAsProvider(asked: AskedFor, tokens: AnswerTokens): ProviderAnswer | null {
  const { method, path, body, query } = asked;
  const gemini = /^\/v1(?:beta)?\/models\/([^/:]+):(\w+)$/.exec(path);
  if (method === 'GET') return models(path);
  if (method !== 'POST') return null;
  if (gemini) return geminiAnswer(gemini[1] ?? '', gemini[2] ?? '', query, tokens);
  const model = field(body, 'model');
  const stream = field(body, 'stream') === true;
  const name = typeof model === 'string' ? model : 'unknown';
  if (path.endsWith('/chat/completions')) {
    const includeUsage = field(field(body, 'stream_options'), 'include_usage') === true;
    return stream ? chatStream(name, tokens, includeUsage) : { status: 200, json: chatAnswer(name, tokens) };
  }
  if (path.endsWith('/completions')) return { status: 200, json: completionAnswer(name, tokens) };
  if (path.endsWith('/responses')) {
    return stream
      ? responsesStream(name, tokens)
      : { status: 200, json: responseObject(name, tokens, 'completed') };
  }
  if (path.endsWith('/embeddings')) return { status: 200, json: embeddingsAnswer(name, tokens) };
  if (path.endsWith('/messages/count_tokens'))
    return { status: 200, json: { input_tokens: tokens.inputTokens } };
  if (path.endsWith('/messages')) {
    return stream ? messagesStream(name, tokens) : { status: 200, json: messageObject(name, tokens) };
  }
  return null;
}

/** Server-sent events as the vendors write them: an `event` line only where the protocol has one. */
export function sse(data: unknown, event?: string): string {
  const payload = typeof data === 'string' ? data : JSON.stringify(data);
  return `${event === undefined ? '' : `event: ${event}\n`}data: ${payload}\n\n`;
}

function eventStream(pieces: string[]): ProviderAnswer {
  return { status: 200, contentType: 'text/event-stream; charset=utf-8', pieces };
}

/** Two halves, so that a stream has more than one piece of text. */
function halves(text: string): [string, string] {
  const middle = Math.ceil(text.length / 2);
  return [text.slice(0, middle), text.slice(middle)];
}

// OpenAI, Chat Completions: platform.openai.com/docs/api-reference/chat

function chatUsage(tokens: AnswerTokens) {
  return {
    prompt_tokens: tokens.inputTokens,
    completion_tokens: tokens.outputTokens,
    total_tokens: tokens.inputTokens + tokens.outputTokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  };
}

function chatAnswer(model: string, tokens: AnswerTokens) {
  const message = { role: 'assistant', content: tokens.text, refusal: null };
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_790_000_000,
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
    usage: chatUsage(tokens),
    service_tier: 'default',
  };
}

function chatStream(model: string, tokens: AnswerTokens, includeUsage: boolean): ProviderAnswer {
  const base = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_790_000_000, model };
  const chunk = (delta: object, finish: string | null) =>
    sse({
      ...base,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
      ...(includeUsage ? { usage: null } : {}),
    });
  const [first, second] = halves(tokens.text);
  return eventStream([
    chunk({ role: 'assistant', content: '', refusal: null }, null),
    chunk({ content: first }, null),
    chunk({ content: second }, null),
    chunk({}, 'stop'),
    ...(includeUsage ? [sse({ ...base, choices: [], usage: chatUsage(tokens) })] : []),
    sse('[DONE]'),
  ]);
}

function completionAnswer(model: string, tokens: AnswerTokens) {
  return {
    id: 'cmpl-1',
    object: 'text_completion',
    created: 1_790_000_000,
    model,
    choices: [{ index: 0, text: tokens.text, logprobs: null, finish_reason: 'stop' }],
    usage: {
      prompt_tokens: tokens.inputTokens,
      completion_tokens: tokens.outputTokens,
      total_tokens: tokens.inputTokens + tokens.outputTokens,
    },
  };
}

function embeddingsAnswer(model: string, tokens: AnswerTokens) {
  return {
    object: 'list',
    data: [{ object: 'embedding', index: 0, embedding: [0.25, -0.5, 0.125] }],
    model,
    usage: { prompt_tokens: tokens.inputTokens, total_tokens: tokens.inputTokens },
  };
}

// OpenAI, Responses: platform.openai.com/docs/api-reference/responses

function responseObject(model: string, tokens: AnswerTokens, status: 'in_progress' | 'completed') {
  const done = status === 'completed';
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_790_000_000,
    status,
    error: null,
    incomplete_details: null,
    instructions: null,
    model,
    output: done ? [outputMessage(tokens, 'completed')] : [],
    parallel_tool_calls: true,
    tool_choice: 'auto',
    tools: [],
    service_tier: 'default',
    usage: done
      ? {
          input_tokens: tokens.inputTokens,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: tokens.outputTokens,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: tokens.inputTokens + tokens.outputTokens,
        }
      : null,
  };
}

function outputMessage(tokens: AnswerTokens, status: 'in_progress' | 'completed') {
  const content = status === 'completed' ? [{ type: 'output_text', text: tokens.text, annotations: [] }] : [];
  return { id: 'msg_1', type: 'message', status, role: 'assistant', content };
}

function responsesStream(model: string, tokens: AnswerTokens): ProviderAnswer {
  const at = { item_id: 'msg_1', output_index: 0, content_index: 0 };
  const part = (text: string) => ({ type: 'output_text', text, annotations: [] });
  const events: [type: string, data: object][] = [
    ['response.created', { response: responseObject(model, tokens, 'in_progress') }],
    ['response.output_item.added', { output_index: 0, item: outputMessage(tokens, 'in_progress') }],
    ['response.content_part.added', { ...at, part: part('') }],
    ...halves(tokens.text).map((delta): [string, object] => ['response.output_text.delta', { ...at, delta }]),
    ['response.output_text.done', { ...at, text: tokens.text }],
    ['response.content_part.done', { ...at, part: part(tokens.text) }],
    ['response.output_item.done', { output_index: 0, item: outputMessage(tokens, 'completed') }],
    ['response.completed', { response: responseObject(model, tokens, 'completed') }],
  ];
  return eventStream(
    events.map(([type, data], index) => sse({ type, sequence_number: index, ...data }, type)),
  );
}

// Anthropic, Messages: platform.claude.com/docs/en/api/messages

function messageUsage(tokens: AnswerTokens) {
  return {
    input_tokens: tokens.inputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: tokens.outputTokens,
    service_tier: 'standard',
  };
}

function messageObject(model: string, tokens: AnswerTokens) {
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model,
    content: [{ type: 'text', text: tokens.text }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: messageUsage(tokens),
  };
}

function messagesStream(model: string, tokens: AnswerTokens): ProviderAnswer {
  // The first count of output tokens is a placeholder with the real provider too.
  const usage = { ...messageUsage(tokens), output_tokens: 1 };
  const message = { ...messageObject(model, tokens), content: [], stop_reason: null, usage };
  const delta = (text: string) =>
    sse(
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
      'content_block_delta',
    );
  const block = { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } };
  const end = {
    type: 'message_delta',
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: tokens.outputTokens },
  };
  return eventStream([
    sse({ type: 'message_start', message }, 'message_start'),
    sse(block, 'content_block_start'),
    sse({ type: 'ping' }, 'ping'),
    ...halves(tokens.text).map(delta),
    sse({ type: 'content_block_stop', index: 0 }, 'content_block_stop'),
    sse(end, 'message_delta'),
    sse({ type: 'message_stop' }, 'message_stop'),
  ]);
}

// Google, Gemini API: ai.google.dev/api/generate-content

function geminiAnswer(
  model: string,
  action: string,
  query: URLSearchParams,
  tokens: AnswerTokens,
): ProviderAnswer | null {
  const usageMetadata = (outputTokens: number) => ({
    promptTokenCount: tokens.inputTokens,
    candidatesTokenCount: outputTokens,
    totalTokenCount: tokens.inputTokens + outputTokens,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: tokens.inputTokens }],
  });
  const answer = (text: string, outputTokens: number, finish: string | null) => ({
    candidates: [
      {
        content: { parts: [{ text }], role: 'model' },
        ...(finish === null ? {} : { finishReason: finish }),
        index: 0,
      },
    ],
    usageMetadata: usageMetadata(outputTokens),
    modelVersion: model,
    responseId: 'response-1',
  });
  if (action === 'generateContent')
    return { status: 200, json: answer(tokens.text, tokens.outputTokens, 'STOP') };
  if (action === 'countTokens') return { status: 200, json: { totalTokens: tokens.inputTokens } };
  if (action === 'embedContent') return { status: 200, json: { embedding: { values: [0.25, -0.5, 0.125] } } };
  if (action !== 'streamGenerateContent') return null;
  const [first, second] = halves(tokens.text);
  const elements = [answer(first, 1, null), answer(second, tokens.outputTokens, 'STOP')];
  if (query.get('alt') === 'sse')
    return eventStream(elements.map((element) => sse(element).replaceAll('\n', '\r\n')));
  // Without `alt=sse` the same elements come as one JSON array, piece by piece.
  const pieces = elements.map(
    (element, index) => `${index === 0 ? '[' : ',\n'}${JSON.stringify(element, null, 2)}`,
  );
  return { status: 200, contentType: 'application/json; charset=UTF-8', pieces: [...pieces, '\n]\n'] };
}

function models(path: string): ProviderAnswer | null {
  if (path === '/v1beta/models') {
    const name = (model: string) => ({
      name: `models/${model}`,
      displayName: model,
      inputTokenLimit: 1_048_576,
    });
    return { status: 200, json: { models: ['gemini-2.5-flash', 'gemini-2.5-pro'].map(name) } };
  }
  if (!path.endsWith('/models')) return null;
  const ids = ['gpt-4o-mini', 'gpt-4o', 'claude-haiku-4-5'];
  return {
    status: 200,
    json: {
      object: 'list',
      data: ids.map((id) => ({
        id,
        object: 'model',
        type: 'model',
        created: 1_790_000_000,
        created_at: '2026-09-21T00:00:00Z',
        display_name: id,
        owned_by: 'upstream',
      })),
      has_more: false,
      first_id: ids[0],
      last_id: ids.at(-1),
    },
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
