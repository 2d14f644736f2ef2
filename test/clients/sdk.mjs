/**
 * One prompt by one SDK, streamed to the screen; run from the folder where the SDKs lie. The address and the key come
 * from the environment wherever the SDK reads it there.
 */
const [, , name, model, prompt] = process.argv;
const { FAREGATE_URL: base, FAREGATE_API_KEY: apiKey } = process.env;
const messages = [{ role: 'user', content: prompt }];

const sdks = {
  async *'openai-chat'() {
    const { default: OpenAI } = await import('openai');
    const stream = await new OpenAI().chat.completions.create({ model, messages, stream: true });
    for await (const chunk of stream) yield chunk.choices[0]?.delta.content;
  },
  async *'openai-responses'() {
    const { default: OpenAI } = await import('openai');
    const stream = await new OpenAI().responses.create({ model, input: prompt, stream: true });
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') yield event.delta;
      // An event like any other to this SDK.
      if (event.type === 'response.failed') throw new Error(event.response.error?.message);
    }
  },
  async *anthropic() {
    const { default: Anthropic } = await import('@anthropic-ai/sdk');
    const stream = await new Anthropic().messages.create({ model, messages, max_tokens: 1000, stream: true });
    for await (const event of stream) if (event.type === 'content_block_delta') yield event.delta.text;
  },
  async *genai() {
    const { GoogleGenAI } = await import('@google/genai');
    const stream = await new GoogleGenAI({ apiKey }).models.generateContentStream({
      model,
      contents: prompt,
    });
    for await (const chunk of stream) yield chunk.text;
  },
  async *'ai-openai'() {
    const { openai } = await import('@ai-sdk/openai');
    yield* generated(openai(model));
  },
  async *'ai-compatible'() {
    const { createOpenAICompatible } = await import('@ai-sdk/openai-compatible');
    yield* generated(createOpenAICompatible({ name: 'faregate', baseURL: `${base}/v1`, apiKey })(model));
  },
  async *'ai-anthropic'() {
    // Its own default would be the address without the version, as Claude Code has it in the same variable.
    const { createAnthropic } = await import('@ai-sdk/anthropic');
    yield* generated(createAnthropic({ baseURL: `${base}/v1`, apiKey })(model));
  },
  async *'ai-google'() {
    const { createGoogleGenerativeAI } = await import('@ai-sdk/google');
    yield* generated(createGoogleGenerativeAI({ baseURL: `${base}/v1beta`, apiKey })(model));
  },
  async *'langchain-openai'() {
    const { ChatOpenAI } = await import('@langchain/openai');
    yield* chained(new ChatOpenAI({ model }));
  },
  async *'langchain-anthropic'() {
    const { ChatAnthropic } = await import('@langchain/anthropic');
    yield* chained(new ChatAnthropic({ model }));
  },
  async *'langchain-google'() {
    const { ChatGoogleGenerativeAI } = await import('@langchain/google-genai');
    yield* chained(new ChatGoogleGenerativeAI({ model, apiKey, baseUrl: base }));
  },
};

async function* generated(languageModel) {
  const { streamText } = await import('ai');
  const { fullStream } = streamText({ model: languageModel, prompt, onError() {} });
  for await (const part of fullStream) {
    if (part.type === 'text-delta') yield part.text;
    if (part.type === 'error') throw part.error;
  }
}

async function* chained(chat) {
  for await (const chunk of await chat.stream(prompt)) yield String(chunk.content ?? '');
}

try {
  for await (const text of sdks[name]()) process.stdout.write(text ?? '');
} catch (error) {
  console.error(`${error?.name}: ${error?.message}`);
  process.exitCode = 1;
}
