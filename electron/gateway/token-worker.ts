/** Counts tokens of text in a thread of its own: loading a vocabulary and a large text would hold up every stream. */
import { parentPort } from 'node:worker_threads';

export type Vocabulary = 'o200k_base' | 'cl100k_base';

export interface CountTask {
  id: number;
  vocabulary: Vocabulary;
  texts: readonly string[];
}

export interface CountResult {
  id: number;
  tokens: number;
}

/** Long words without a break take time that grows with their square; a cut adds a token at the most. */
const SLICE_CHARS = 1_024;

const vocabularies = {
  o200k_base: () => import('gpt-tokenizer/encoding/o200k_base'),
  cl100k_base: () => import('gpt-tokenizer/encoding/cl100k_base'),
};

parentPort?.on('message', (task: CountTask) => {
  void count(task).then((tokens) =>
    parentPort?.postMessage({ id: task.id, tokens } satisfies CountResult, []),
  );
});

async function count({ vocabulary, texts }: CountTask): Promise<number> {
  const { countTokens } = await vocabularies[vocabulary]();
  let tokens = 0;
  for (const text of texts) {
    for (let start = 0; start < text.length; start += SLICE_CHARS) {
      // What looks like a special token is text here: the provider encodes it so, and as one token it is fewer.
      tokens += countTokens(text.slice(start, start + SLICE_CHARS), {
        allowedSpecial: new Set(),
        disallowedSpecial: new Set(),
      });
    }
  }
  return tokens;
}
