/** What every client is put through, and what has to come of it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RequestRow } from '#shared/model.ts';
import { send } from '../support/client.ts';
import { usd } from '../support/gateway.ts';
import { answerAsProvider } from '../support/provider-answers.ts';
import { gate, type Gate, type Reply, type UpstreamRequest } from '../support/upstream.ts';
import { UNKNOWN_MODEL } from './clients.ts';
import type { Ran, Stage } from './stage.ts';

export interface Outcome {
  /** Calls of the client that can cost money, refused ones included. */
  calls: number;
  /** Our sentence, or the model's text where one is served, was on its screen. */
  shown: boolean;
  /** What is wrong; empty where all is as it should be. */
  faults: string[];
  /** For the table. */
  cell: string;
  screen: string;
}

export interface Scenario {
  id: string;
  title: string;
  play(stage: Stage): Promise<Outcome>;
}

const PROMPT = 'Say hello in one short sentence, without any tools.';
const TEXT = 'Morning-greetings from the scripted provider, evening-farewell included.';

/** After its limit, a bad key or a stop, one more call per request that was under way is the most anybody should make. */
const mostCalls = ({ client }: Stage) => client.callsPerPrompt;

const told = (screen: string, sentence: string) => {
  const squeezed = (text: string) => text.replaceAll(/[\s\\"'|]+/g, '').toLowerCase();
  return squeezed(screen).includes(squeezed(sentence));
};

const served: Scenario = {
  id: 'works',
  title: 'works, streams, metered',
  async play(stage) {
    let calls = 0;
    stage.upstream.answers(() => {
      calls += 1;
      return { inputTokens: 1000 + calls, outputTokens: 100 + calls, text: TEXT };
    });
    const ran = await stage.run({ prompt: PROMPT });
    const rows = await stage.rows();
    const paid = stage.upstream.requests.filter(isPaid);
    const faults = [
      ...(told(ran.screen, TEXT) ? [] : ['the answer is not on its screen']),
      ...(ran.timedOut ? ['it did not end'] : []),
      ...(rows.some(({ stream }) => stream) ? [] : ['it did not stream']),
      ...metering(rows, paid.length, stage.client.namesSession === true),
    ];
    const tokens = rows.reduce((sum, row) => sum + row.inputTokens + row.outputTokens, 0);
    return outcome(stage, ran, told(ran.screen, TEXT), faults, `${stage.tap.calls} · ${tokens} tokens`);
  },
};

/** Each call has its own number of tokens, so the sums are right only where each was counted once. */
function metering(rows: readonly RequestRow[], calls: number, namesSession: boolean): string[] {
  const inOrder = (pick: (row: RequestRow) => number) =>
    rows
      .map(pick)
      .toSorted((a, b) => a - b)
      .join();
  const from = (first: number) => Array.from({ length: calls }, (_, index) => first + index + 1).join();
  return [
    ...(inOrder((row) => row.inputTokens) === from(1000) ? [] : ['the input tokens are not those reported']),
    ...(inOrder((row) => row.outputTokens) === from(100) ? [] : ['the output tokens are not those reported']),
    ...rows.filter((row) => row.flags.length > 0).map((row) => `a row is ${row.flags.join(', ')}`),
    ...rows.filter((row) => row.costNano === null).map((row) => `${row.model} was not priced`),
    ...rows.filter((row) => row.client === null).map(() => 'a row does not say which client asked'),
    ...rows
      .filter((row) => row.session === null && namesSession)
      .map(() => 'a row does not say of which session it is'),
  ];
}

function refused(
  id: string,
  title: string,
  sentence: string,
  prepare: (stage: Stage) => Promise<{ model?: string; restore?: () => Promise<void> }>,
): Scenario {
  return {
    id,
    title,
    async play(stage) {
      const { model, restore } = await prepare(stage);
      const ran = await stage.run({ prompt: PROMPT, ...(model === undefined ? {} : { model }) });
      await restore?.();
      const { calls } = stage.tap;
      const shown = told(ran.screen, sentence);
      const faults = [
        ...(shown ? [] : ['our sentence is not on its screen']),
        ...(calls === 0 ? ['it called nobody'] : []),
        ...(calls > mostCalls(stage) ? [`it called ${calls} times`] : []),
        ...(ran.timedOut ? ['it did not end'] : []),
        ...(stage.upstream.requests.some((request) => isPaid(request) && asksFor(request, model))
          ? ['it was sent to the provider']
          : []),
      ];
      return outcome(stage, ran, shown, faults);
    },
  };
}

const limitReached = refused('limit', 'limit reached', 'Usage limit reached for key', async (stage) => {
  await stage.call('keys.setLimit', { id: stage.keyId, limitNano: 1, recurring: null });
  const restore = async () => {
    await stage.call('keys.setLimit', { id: stage.keyId, limitNano: usd('5'), recurring: null });
  };
  return { restore };
});

const unpriced = refused('unpriced', 'model without a price', 'has no price, and key', async (stage) => {
  const { client, providerId } = stage;
  if (!client.fixedModel) return { model: UNKNOWN_MODEL };
  await stage.call('prices.remove', { providerId, model: client.model });
  return { restore: stage.setPrice };
});

const badKey = refused('bad-key', 'bad key', 'not a gateway key of Faregate', async (stage) => {
  await stage.call('keys.rotate', { id: stage.keyId });
  return {};
});

function wholeAnswer({ method, path, query, json }: UpstreamRequest): Reply {
  const tokens = { inputTokens: 1, outputTokens: 1, text: TEXT };
  const answer = answerAsProvider({ method, path, query, body: json }, tokens);
  return answer !== null && 'json' in answer ? { body: answer.json } : { status: 404 };
}

/** Half an answer, and then whatever `then` says; the gate opens once a test lets it. */
function halfAnswer(request: UpstreamRequest, wait: Gate, then: Partial<Reply>): Reply {
  const { method, path, query, json } = request;
  const tokens = { inputTokens: 1000, outputTokens: 100, text: TEXT };
  const answer = answerAsProvider({ method, path, query, body: json }, tokens);
  if (answer === null) return { status: 404 };
  if ('json' in answer) return { status: 200, body: answer.json };
  const half = answer.pieces.findIndex((piece) => piece.includes(HALF)) + 1;
  return {
    headers: { 'content-type': answer.contentType },
    chunks: [...answer.pieces.slice(0, half), wait],
    ...then,
  };
}
/** In the first half of the text, which is one piece of every stream. */
const HALF = 'Morning-greetings';

const stopped: Scenario = {
  id: 'stopped',
  title: 'stopped in mid-stream',
  async play(stage) {
    const never = gate();
    stage.upstream.reply(/./, (request) => halfAnswer(request, never, { hang: true }));
    const begun = stage.tap.seen(HALF);
    const running = stage.run({ prompt: PROMPT });
    await Promise.race([begun, running]);
    // What a client does with the first half takes it a moment; some ask a second model meanwhile.
    await delay(500);
    await stage.call('keys.update', { id: stage.keyId, enabled: false });
    const ran = await running;
    never.open();
    await stage.call('keys.update', { id: stage.keyId, enabled: true });
    // Either the end of the stream or the refusal of what it sent next.
    const shown = told(ran.screen, 'was disabled in Faregate') || told(ran.screen, 'is disabled. Enable it');
    const { calls } = stage.tap;
    const faults = [
      ...(shown || stage.client.hidesStreamErrors ? [] : ['our sentence is not on its screen']),
      // One that was stopped, and one more that finds out.
      ...(calls > mostCalls(stage) + 1 ? [`it called ${calls} times`] : []),
      ...(ran.timedOut ? ['it did not end'] : []),
    ];
    return outcome(stage, ran, shown, faults);
  },
};

const dying: Scenario = {
  id: 'dying',
  title: 'provider dies in mid-stream',
  async play(stage) {
    const open = gate();
    open.open();
    stage.upstream.reply(/./, (request) => halfAnswer(request, open, { reset: true }));
    const ran = await stage.run({ prompt: PROMPT, timeoutMs: 90_000 });
    const { calls } = stage.tap;
    const shown = told(ran.screen, 'provider ended the answer before it was complete');
    const faults = [
      ...(shown || stage.client.hidesStreamErrors ? [] : ['our sentence is not on its screen']),
      // Each answer that broke off is billed, so sending the request again is for the person to decide.
      ...(calls > mostCalls(stage) ? [`it called ${calls} times`] : []),
      ...(ran.timedOut ? ['it did not end'] : []),
    ];
    return outcome(stage, ran, shown, faults);
  },
};

const heldByOthers: Scenario = {
  id: 'held',
  title: 'money held by another, then served',
  async play(stage) {
    // Another key's request holds all that is left under the limit over all keys, until the client was told of it.
    const finish = gate();
    const { global } = await stage.call('limits.get', {});
    const limitNano = global.usageNano + usd('1');
    await stage.call('limits.set', { scope: { kind: 'global' }, limitNano });
    const { key, secret } = await stage.call('keys.create', { name: 'other' });
    stage.upstream.answers({ inputTokens: 1001, outputTokens: 101, text: TEXT });
    stage.upstream.reply(/./, (request) => ({ ...wholeAnswer(request), before: finish }), 1);
    const other = askForMuch(stage, secret);
    await stage.upstream.nthRequest(1);
    const refusal = stage.tap.status(429).then(() => finish.open());
    const ran = await stage.run({ prompt: PROMPT });
    finish.open();
    await Promise.all([other, Promise.race([refusal, delay(0)])]);
    await stage.call('limits.set', { scope: { kind: 'global' }, limitNano: null });
    await stage.call('keys.delete', { id: key.id });
    const shown = told(ran.screen, TEXT);
    // Some never try anything again.
    const sentence = told(ran.screen, 'is held by 1 running request');
    const faults = [
      ...(shown || sentence ? [] : ['neither the answer nor our sentence is on its screen']),
      ...(stage.tap.statuses.includes(429) ? [] : ['it was never told to wait']),
      ...(ran.timedOut ? ['it did not end'] : []),
    ];
    return outcome(stage, ran, shown, faults, `${stage.tap.calls} ${shown ? '✓' : 'told'}`);
  },
};

/** A request that could cost far more than is left, so that all of it is set aside for it. */
async function askForMuch({ call, client, gatewayUrl, providerId }: Stage, secret: string): Promise<void> {
  const model = 'acme-dear-1';
  await call('prices.set', { providerId, model, input: '0', output: '1000' });
  const messages = [{ role: 'user', content: 'Hello' }];
  const bound = 1_000_000;
  const asked = {
    openai: ['/v1/chat/completions', { model, messages, max_tokens: bound }],
    anthropic: ['/v1/messages', { model, messages, max_tokens: bound }],
    gemini: [
      `/v1beta/models/${model}:generateContent`,
      { contents: [], generationConfig: { maxOutputTokens: bound } },
    ],
  } as const;
  const [path, body] = asked[client.provider];
  await send(`${gatewayUrl}${path}`, { headers: { authorization: `Bearer ${secret}` }, body });
}

function outcome(stage: Stage, ran: Ran, shown: boolean, faults: string[], cell?: string): Outcome {
  const { calls } = stage.tap;
  return { calls, shown, faults, cell: cell ?? `${calls}${shown ? ' ✓' : ''}`, screen: ran.screen };
}

/** Where a model is named, a request to another one, for a title, is rightly served. */
function asksFor({ url, body }: UpstreamRequest, model: string | undefined): boolean {
  return model === undefined || url.includes(model) || body.includes(model);
}

function isPaid({ method, path }: UpstreamRequest): boolean {
  return method === 'POST' && !/count_?tokens/i.test(path);
}

/** The last one leaves a key that the client does not have. */
export const scenarios: readonly Scenario[] = [
  served,
  limitReached,
  unpriced,
  stopped,
  dying,
  heldByOthers,
  badKey,
];
