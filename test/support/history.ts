/**
 * A ledger with a history: as many usage rows as asked for over the days before `until`, of keys, models and clients
 * that are used unevenly, mostly in working hours, in sessions of some dozens of requests. The same rows every time.
 */
import { requestColumns, type StoredRequest } from '../../electron/gateway/ledger/requests.ts';
import { createRollup } from '../../electron/gateway/ledger/rollup.ts';
import type { Store } from '../../electron/gateway/store/store.ts';
import { seededRandom } from './random.ts';

export interface History {
  keyIds: string[];
  /** A session with several agents. */
  session: string;
}

const models = [
  ['anthropic', 'claude-sonnet-4-5', 'claude-sonnet-4-5-20250929'],
  ['anthropic', 'claude-haiku-4-5', 'claude-haiku-4-5-20251001'],
  ['openai', 'gpt-5.4', 'gpt-5.4'],
  ['openai', 'gpt-5.4-mini', 'gpt-5.4-mini'],
  ['gemini', 'gemini-3.8-flash', 'gemini-3.8-flash'],
  ['anthropic', 'claude-opus-4-5', 'claude-opus-4-5-20251101'],
  ['openrouter', 'deepseek/deepseek-v4', 'deepseek/deepseek-v4'],
  ['ollama', 'qwen3:32b', 'qwen3:32b'],
] as const;
const clients = ['claude-code', 'codex', 'opencode', 'gemini-cli', 'openai-node', null] as const;

export function fillHistory(
  store: Store,
  { rows, days = 365, until, keys = 25 }: { rows: number; days?: number; until: number; keys?: number },
): History {
  const { db } = store;
  const random = seededRandom(42);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() ** 2 * list.length)] as T;
  const keyIds = Array.from(
    { length: keys },
    (_, index) => `key_00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
  );
  const addKey = db.prepare(
    "INSERT OR IGNORE INTO keys (id, name, secret_hash, masked, created_at) VALUES (?, ?, randomblob(32), 'sk-fg-test…test', ?)",
  );
  const insert = db.prepare(
    `INSERT INTO requests (${requestColumns.join(', ')}) VALUES (${requestColumns.map(() => '?').join(', ')})`,
  );
  const price =
    '{"source":"genai-prices 0.1.8: anthropic/claude-sonnet-4-5","guessed":false,"rates":{"input":{"base":3000000000,"steps":[]},"cachedInput":{"base":300000000,"steps":[]},"output":{"base":15000000000,"steps":[]}},"webSearches":null,"requests":null}';
  // Each key is one or two tools with a few models, as keys are in use.
  const habits = keyIds.map((_, index) => ({
    clients: [clients[index % clients.length] ?? null, pick(clients)],
    models: [models[index % models.length] ?? models[0], pick(models), pick(models)],
  }));
  const rollup = createRollup(store, () => []);
  const sessions = keyIds.map(() => ({ id: '', left: 0 }));
  let [example, sessionCount] = ['', 0];

  store.write(() => {
    for (const [index, id] of keyIds.entries()) addKey.run(id, `key ${index + 1}`, until - days * 86_400_000);
    for (let index = 0; index < rows; index += 1) {
      const progress = (index + random()) / rows;
      const day = Math.floor(progress * days);
      // Four fifths between eight and twenty o'clock UTC.
      const hour = (progress * days - day) * 24;
      const worked = 8 + hour / 2;
      const at = Math.floor(until - days * 86_400_000 + (day + worked / 24) * 86_400_000);
      const which = Math.floor(random() ** 2 * keys);
      const habit = habits[which] ?? habits[0];
      const session = sessions[which];
      if (!habit || !session) throw new Error('no such key');
      const client = habit.clients[random() < 0.85 ? 0 : 1] ?? null;
      const [provider, asked, model] = pick(habit.models);
      if (session.left === 0) {
        session.id = `session-${(sessionCount += 1)}`;
        session.left = 10 + Math.floor(random() * 80);
      }
      session.left -= 1;
      const inSession = client !== null && client !== 'openai-node';
      const agent = inSession && random() < 0.2 ? `agent-${session.id}-${Math.floor(random() * 3)}` : null;
      if (agent !== null) example = session.id;
      const input = Math.floor(2000 + random() * 90_000);
      const cached = Math.floor(input * random() * 0.9);
      const output = Math.floor(50 + random() * 1500);
      const cost = (input - cached) * 3000 + cached * 300 + output * 15_000;
      const odd = random();
      const unpriced = odd > 0.9995;
      const flags =
        odd < 0.005 ? 'estimated,interrupted' : odd < 0.0052 ? 'overrun' : unpriced ? 'unpriced' : '';
      const status = odd > 0.98 && !unpriced ? (odd > 0.998 ? 500 : 429) : 200;
      const row: StoredRequest = {
        id: index + 1,
        key_id: keyIds[which] ?? '',
        at,
        settled_at: at + 4000,
        provider,
        provider_id: `provider-${provider}`,
        billing: provider === 'ollama' ? 'free' : provider === 'openrouter' ? 'credits' : 'own-key',
        dialect: provider === 'anthropic' ? 'anthropic-messages' : 'openai-chat',
        model_asked: asked,
        model,
        status,
        stream: 1,
        input_tokens: input,
        cached_input_tokens: cached,
        cache_write_tokens: 0,
        cache_write_1h_tokens: 0,
        output_tokens: output,
        reasoning_tokens: Math.floor(output / 3),
        web_searches: 0,
        cost_nano: unpriced ? null : provider === 'ollama' ? 0 : cost,
        cost_own_key_nano: unpriced || provider === 'ollama' || provider === 'openrouter' ? 0 : cost,
        reported_cost_nano: null,
        computed_cost_nano: unpriced ? null : cost,
        held_nano: cost * 2,
        price: unpriced ? null : price,
        price_source: unpriced ? null : 'genai-prices 0.1.8: anthropic/claude-sonnet-4-5',
        flags,
        first_byte_ms: 412.5,
        duration_ms: 4000.25,
        client,
        session: inSession ? session.id : null,
        agent,
        parent_agent: null,
        saved_nano: cached * 2700,
        series: 0,
      };
      row.series = rollup.seriesOf(row);
      insert.run(requestColumns.map((name) => row[name]));
    }
    db.exec(`UPDATE keys SET (usage_credits_nano, usage_own_key_nano, requests, unpriced_requests, input_tokens, output_tokens, last_used_at) =
      (SELECT coalesce(sum(coalesce(cost_nano, 0) - cost_own_key_nano), 0), coalesce(sum(cost_own_key_nano), 0), count(*),
        coalesce(sum(cost_nano IS NULL), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), max(at) FROM requests WHERE key_id = keys.id)`);
  });
  rollup.catchUp();
  return { keyIds, session: example };
}
