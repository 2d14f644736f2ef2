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
  /** Of each text. */
  counts: number[];
}

/** Long words without a break take time that grows with their square; a cut adds a token at the most. */
const SLICE_CHARS = 1_024;

const vocabularies = {
  o200k_base: () => import('gpt-tokenizer/encoding/o200k_base'),
  cl100k_base: () => import('gpt-tokenizer/encoding/cl100k_base'),
};

parentPort?.on('message', (task: CountTask) => {
  void count(task).then((counts) =>
    parentPort?.postMessage({ id: task.id, counts } satisfies CountResult, []),
  );
});

async function count({ vocabulary, texts }: CountTask): Promise<number[]> {
  const { countTokens } = await vocabularies[vocabulary]();
  // What looks like a special token is text here: the provider encodes it so, and as one token it is fewer.
  const options = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };
  return texts.map((text) => {
    let tokens = 0;
    for (let start = 0, end = 0; start < text.length; start = end) {
      end = sliceEnd(text, start);
      tokens += countTokens(text.slice(start, end), options);
    }
    return tokens;
  });
}

/** In front of a space where there is one: words are tokens together with it, so that such a cut adds none. */
function sliceEnd(text: string, start: number): number {
  if (text.length - start <= SLICE_CHARS) return text.length;
  const space = text.lastIndexOf(' ', start + SLICE_CHARS);
  return space > start ? space : start + SLICE_CHARS;
}
