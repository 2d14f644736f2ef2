/**
 * Two months of a developer's requests, made by sending them through the real gateway under a clock that is moved: what
 * the pages show of them is what the ledger holds. The same every time.
 */
import type { RecurringLimit } from '#shared/model.ts';
import { fakeClock, startCore, usd, type CoreGateway, type FakeClock } from '../support/gateway.ts';
import { seededRandom } from '../support/random.ts';
import { startUpstream, type Upstream, type UpstreamRequest } from '../support/upstream.ts';

const DAY = 86_400_000;
const HOUR = 3_600_000;
const WORK_STARTS = 7 * HOUR;
const WORK_LASTS = 11 * HOUR;

interface Tool {
  key: string;
  model: string;
  path: '/v1/messages' | '/v1/chat/completions';
  /** Requests of a working day, and tokens of one request. */
  perDay: number;
  input: number;
  output: number;
  /** Part of the input that comes from the provider's cache. */
  cached: number;
  headers: (day: number, n: number) => Record<string, string>;
}

/** From the start, so that they count what was spent in their period. */
const recurring: Readonly<Record<string, RecurringLimit>> = {
  'claude-code': { amountNano: usd('20'), every: 'day' },
  editor: { amountNano: usd('10'), every: 'month' },
};

const plain = (agent: string) => () => ({ 'user-agent': agent });

const tools: readonly Tool[] = [
  {
    key: 'claude-code',
    model: 'claude-sonnet-4-5',
    path: '/v1/messages',
    perDay: 9,
    input: 62_000,
    output: 2_900,
    cached: 0.86,
    headers: (day, n) => ({
      'user-agent': 'claude-cli/2.0.14 (external, cli)',
      'x-claude-code-session-id': `5f0c${day.toString(16).padStart(4, '0')}-7b1e-4c55-9a51-0e1f2a3b4c5d`,
      ...(n % 3 === 2 ? { 'x-claude-code-agent-id': `explore-${day}` } : {}),
    }),
  },
  {
    key: 'codex',
    model: 'gpt-4o',
    path: '/v1/chat/completions',
    perDay: 5,
    input: 31_000,
    output: 3_400,
    cached: 0.52,
    headers: plain('codex_cli_rs/0.61.0'),
  },
  {
    key: 'nightly-eval',
    model: 'gpt-4o-mini',
    path: '/v1/chat/completions',
    perDay: 6,
    input: 140_000,
    output: 36_000,
    cached: 0,
    headers: plain('OpenAI/Python 2.7.1'),
  },
  {
    key: 'editor',
    model: 'claude-haiku-4-5',
    path: '/v1/messages',
    perDay: 4,
    input: 9_500,
    output: 600,
    cached: 0.3,
    headers: plain('Zed/0.212.4'),
  },
  {
    key: 'scripts',
    model: 'gpt-4o-mini',
    path: '/v1/chat/completions',
    perDay: 1,
    input: 2_400,
    output: 350,
    cached: 0,
    headers: plain('curl/8.15.0'),
  },
];

/** Sends the history into `dataDir`, up to now, and closes the gateway again. */
export async function makeHistory(dataDir: string, days = 62): Promise<void> {
  const upstream = await startUpstream();
  const clock = fakeClock(new Date(Date.now() - days * DAY).toISOString());
  const core = await startCore({ dataDir, clock });
  const random = seededRandom(7);
  try {
    answerLike(upstream, random, clock);
    await core.call('providers.create', {
      kind: 'anthropic',
      baseUrl: `${upstream.url}/v1`,
      credential: 'sk-a',
    });
    await core.call('providers.create', {
      kind: 'openai',
      baseUrl: `${upstream.url}/v1`,
      credential: 'sk-o',
    });
    const secrets = new Map<string, string>();
    for (const { key } of [...tools].toReversed()) {
      secrets.set(
        key,
        (await core.call('keys.create', { name: key, recurring: recurring[key] ?? null })).secret,
      );
      clock.advance(6 * 60_000);
    }
    const start = Math.ceil(clock.now() / DAY) * DAY;
    for (let day = 0; day < days; day += 1) {
      const weekend = [0, 6].includes(new Date(start + day * DAY).getUTCDay());
      const planned = tools.flatMap((tool) => {
        const count = Math.round(tool.perDay * (weekend ? 0.3 : 0.6 + random()));
        return Array.from({ length: count }, (_, n) => ({
          tool,
          n,
          at: start + day * DAY + WORK_STARTS + ((n + random()) / count) * WORK_LASTS,
        }));
      });
      for (const { tool, n, at } of planned.toSorted((a, b) => a.at - b.at)) {
        if (at > Date.now() - 60_000) continue;
        clock.set(new Date(Math.max(at, clock.now())).toISOString());
        await send(core, tool, secrets.get(tool.key) ?? '', day, n);
      }
    }
    clock.set(new Date().toISOString());
    await setLimits(core);
  } finally {
    await core.gateway.close({ graceMs: 0 });
    await upstream.close();
  }
}

async function setLimits(core: CoreGateway): Promise<void> {
  const rows = await core.call('keys.list', {});
  const limit = (name: string, share: number) => {
    const row = rows.find((each) => each.name === name);
    if (!row) throw new Error(`no key ${name}`);
    const limitNano = Math.round(row.usageNano / share / usd('1')) * usd('1');
    return core.call('keys.setLimit', { id: row.id, limitNano });
  };
  await limit('claude-code', 0.55);
  await limit('codex', 0.88);
  const reached = rows.find((each) => each.name === 'nightly-eval');
  if (reached)
    await core.call('keys.setLimit', {
      id: reached.id,
      limitNano: Math.floor(reached.usageNano / usd('0.01')) * usd('0.01'),
    });
}

async function send(core: CoreGateway, tool: Tool, secret: string, day: number, n: number): Promise<void> {
  const response = await fetch(`${core.url}${tool.path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${secret}`,
      'content-type': 'application/json',
      ...tool.headers(day, n),
    },
    body: JSON.stringify({
      model: tool.model,
      max_tokens: 60_000,
      messages: [{ role: 'user', content: `${tool.key} ${day} ${n} ${'.'.repeat(tool.input * 1.7)}` }],
    }),
  });
  await response.text();
}

/** Answers with the tokens of the tool that asks, some of them from the cache; now and then with an error. */
function answerLike(upstream: Upstream, random: () => number, clock: FakeClock): void {
  const toolOf = (request: UpstreamRequest) =>
    tools.find(({ key }) => request.body.includes(`"${key} `)) ?? tools[0];
  upstream.reply(/\/v1\/(messages|chat\/completions)$/, (request) => {
    const tool = toolOf(request);
    if (!tool) return { status: 404 };
    if (random() < 0.02) {
      return {
        status: 529,
        body: { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
      };
    }
    clock.advance(Math.round(700 + random() * 9_000));
    const size = 0.4 + random() * 1.2;
    const input = Math.round(tool.input * size);
    const cached = Math.round(input * tool.cached);
    const output = Math.round(tool.output * (0.4 + random() * 1.2));
    return {
      body:
        tool.path === '/v1/messages'
          ? message(tool, input, cached, output)
          : completion(tool, input, cached, output),
    };
  });
}

function message(tool: Tool, input: number, cached: number, output: number) {
  const written = Math.round((input - cached) * 0.6);
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: tool.model,
    content: [{ type: 'text', text: 'Done.' }],
    stop_reason: 'end_turn',
    usage: {
      input_tokens: input - cached - written,
      cache_read_input_tokens: cached,
      cache_creation_input_tokens: written,
      output_tokens: output,
    },
  };
}

function completion(tool: Tool, input: number, cached: number, output: number) {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_790_000_000,
    model: tool.model,
    choices: [{ index: 0, message: { role: 'assistant', content: 'Done.' }, finish_reason: 'stop' }],
    usage: {
      prompt_tokens: input,
      completion_tokens: output,
      total_tokens: input + output,
      prompt_tokens_details: { cached_tokens: cached },
    },
  };
}
