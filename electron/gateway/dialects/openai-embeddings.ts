/** OpenAI Embeddings: input only, one JSON answer. */
import type { JsonFields } from '../base/json.ts';
import type { AnswerFacts, AnswerReader, Dialect, EventVerdict, RequestFacts } from './dialect.ts';
import { chatUsage } from './openai-chat.ts';
import { commonFacts, modelEdit } from './openai-request.ts';
import { openaiRefusal } from './refusal.ts';
import { emptyFacts, isTold, readReportedCost } from './usage.ts';
import { isRecord, modelName } from './values.ts';

export const openaiEmbeddings: Dialect = {
  id: 'openai-embeddings',
  read,
  edits: modelEdit,
  reader: (options) => new EmbeddingsReader(options.vendor),
  refusal: (refusal, request) => openaiRefusal(refusal, request),
};

function read(body: JsonFields): RequestFacts {
  return { ...commonFacts(body), stream: false, maxOutputTokens: 0, cacheWrites: 'none' };
}

class EmbeddingsReader implements AnswerReader {
  readonly facts: AnswerFacts = emptyFacts();
  finished = false;
  readonly #vendor: string;

  constructor(vendor: string) {
    this.#vendor = vendor;
  }

  event(): EventVerdict {
    return 'pass';
  }

  answer(fields: JsonFields): void {
    this.facts.model = modelName(fields.get('model'));
    this.facts.failed = isRecord(fields.get('error'));
    const usage = fields.get('usage');
    if (isTold(usage)) {
      readReportedCost(this.facts, usage);
      this.facts.usage = chatUsage(usage, this.#vendor, this.facts.model);
      this.facts.usageIsFinal = true;
    }
    this.finished = true;
  }

  ending(message: string): string {
    return JSON.stringify({ error: { message, type: 'server_error', param: null, code: 'server_error' } });
  }
}
