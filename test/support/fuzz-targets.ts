/**
 * What is read from the outside, and what must hold whatever stands in it. Each target draws inputs that are nearly
 * right, since those get furthest in; `test/gateway/fuzz.test.ts` draws a few of each, `npm run fuzz` for as long as told.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { methods } from '#shared/contract.ts';
import { applyEntries } from '../../electron/connect/edit.ts';
import { ConfigConflictError, ConfigSyntaxError, type Path } from '../../electron/connect/format.ts';
import { dialects } from '../../electron/gateway/dialects/index.ts';
import { ExportError, readExport } from '../../electron/gateway/exports.ts';
import { applyEdits, scanObject } from '../../electron/gateway/json.ts';
import { createMeter } from '../../electron/gateway/meter.ts';
import { readPriceFile } from '../../electron/gateway/price-file.ts';
import { matchRoute } from '../../electron/gateway/routes.ts';
import { send } from './client.ts';
import { addProvider, startCore, usd, type CoreGateway } from './gateway.ts';
import { stream, streamNames } from './streams.ts';
import { startUpstream, type Upstream } from './upstream.ts';

export interface FuzzTarget {
  name: string;
  run(parameters: fc.Parameters<unknown>): Promise<{ failed: boolean; numRuns: number; report: string }>;
}

/** A real gateway before a real provider, for the targets that come in over the wire. */
export interface FuzzWorld {
  upstream: Upstream;
  gateway: CoreGateway;
  secret: string;
  close(): Promise<void>;
}

export async function openFuzzWorld(): Promise<FuzzWorld> {
  const upstream = await startUpstream();
  const gateway = await startCore({ waitMs: 100 });
  for (const kind of ['openai', 'anthropic', 'gemini'] as const) {
    const { id } = await addProvider(gateway, upstream, kind);
    await gateway.call('prices.set', { providerId: id, model: 'acme', input: '1', output: '10' });
  }
  await gateway.call('settings.set', { loopBrake: null });
  const { secret } = await gateway.call('keys.create', { name: 'fuzz', limitNano: usd('1000000') });
  return {
    upstream,
    gateway,
    secret,
    async close() {
      await gateway.dispose();
      await upstream.close();
    },
  };
}

// What the inputs are made of.

const hostileNames = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '',
  '\u0000',
  '\ud800',
];
const fieldNames =
  'model messages input contents max_tokens max_completion_tokens max_output_tokens stream stream_options include_usage n tools type content text role usage prompt_tokens completion_tokens input_tokens output_tokens total_tokens cost cost_details prompt_tokens_details cached_tokens usageMetadata promptTokenCount candidatesTokenCount thoughtsTokenCount modelVersion candidates parts choices delta message response output cache_creation_input_tokens server_tool_use iterations service_tier system thinking budget_tokens generationConfig maxOutputTokens source data url image_url data: web_search_requests error id'.split(
    ' ',
  );
const aName = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...fieldNames) },
  { weight: 1, arbitrary: fc.constantFrom(...hostileNames) },
);
const aLongRun = fc
  .tuple(
    fc.constantFrom('a', ' ', '"', '\\', '[', '{', '\n', '#', '=', '.', '0', '-', '\t', '%'),
    fc.nat(5_000),
  )
  .map(([piece, times]) => piece.repeat(times));
const aText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    'acme',
    'true',
    'text/event-stream',
    'web_search',
    'high',
    'priority',
    'data:image/png;base64,AAAA',
  ),
  fc.constantFrom(...hostileNames),
);
const aNumber = fc.oneof(
  fc.constantFrom(-1, 0, -0, 0.5, 1, 7, 1e6, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e21, 1e308, -1e308, 5e-324),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const aValue = fc.letrec<{ value: unknown; object: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    aNumber,
    aText,
    fc.constantFrom(true, false, null),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('object'),
  ),
  object: fc.dictionary(aName, tie('value'), { maxKeys: 6 }),
}));
const anObject = aValue.object;

/** A text with pieces taken out, doubled, or put in. */
const mutated = (texts: fc.Arbitrary<string>) =>
  fc
    .tuple(
      texts,
      fc.array(
        fc.tuple(
          fc.nat(),
          fc.nat(12),
          fc.oneof(aText, aLongRun, fc.constantFrom('"', '}', ']', ',', ':', '\n', '\r')),
        ),
        { maxLength: 4 },
      ),
    )
    .map(([text, changes]) =>
      changes.reduce((now, [place, length, put]) => {
        const at = now.length === 0 ? 0 : place % now.length;
        return now.slice(0, at) + put + now.slice(at + length);
      }, text),
    );
const nearJson = fc.oneof(
  anObject.map((value) => JSON.stringify(value)),
  mutated(anObject.map((value) => JSON.stringify(value))),
);

function target<T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  holds: (input: T) => void | Promise<void>,
): FuzzTarget {
  let last: Promise<unknown> = Promise.resolve();
  const property = fc.asyncProperty(inputs, async (input) => {
    const before = process.cpuUsage();
    const run = (async () => holds(input))();
    last = run.catch(() => undefined);
    await run;
    // A pattern that backtracks without end would take minutes. Work is counted and not time, which a busy machine takes.
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 10_000_000, 'one input took more than ten seconds of work');
  });
  return {
    name,
    async run(parameters) {
      const details = await fc.check(property, parameters as fc.Parameters<[T]>);
      // At its time limit the input that is being tried is left alone: the next target must not meet what it does.
      await last;
      const report = details.failed
        ? `${fc.defaultReportMessage(details) ?? 'failed'}\n${String(details.errorInstance)}`
        : '';
      return { failed: details.failed, numRuns: details.numRuns, report };
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** No input may leave anything behind in what every object inherits. */
function expectUnpolluted(): void {
  assert.deepEqual(Object.keys(Object.prototype), []);
  assert.equal(Reflect.get({}, 'polluted'), undefined);
}

const expectCount = (value: number, what: string) =>
  assert.ok(Number.isSafeInteger(value) && value >= 0, `${what} is ${value}`);

// Pure readers.

const pureTargets: FuzzTarget[] = [
  target('JSON scanner', nearJson, (text) => {
    const bytes = Buffer.from(text);
    const meant = parsed(bytes.toString());
    const fields = scanObject(bytes);
    if (!isObject(meant)) return;
    assert.ok(fields, 'an object was not read as one');
    for (const name of Object.keys(meant)) assert.deepEqual(fields.get(name), meant[name]);
    const edited: unknown = JSON.parse(applyEdits(bytes, [{ path: ['model'], json: '"edited"' }]).toString());
    assert.deepEqual(edited, { ...meant, model: 'edited' });
  }),

  target(
    'streams and answers, every dialect',
    fc.record({
      dialect: fc.constantFrom(...Object.values(dialects)),
      contentType: fc.constantFrom('', 'text/event-stream', 'application/json', 'application/x-ndjson'),
      hideUsage: fc.boolean(),
      pieces: fc.array(
        fc.oneof(
          nearJson.map((json) => `data: ${json}\n\n`),
          nearJson.map((json) => `event: error\r\ndata: ${json}\r\n\r\n`),
          nearJson,
          mutated(fc.constantFrom(...streamNames.flatMap((name) => stream(name).pieces))),
          fc.constantFrom('data: [DONE]\n\n', ': ping\n\n', '\ufeff', '\r', '[', ',', ']'),
        ),
        { maxLength: 6 },
      ),
      cuts: fc.array(fc.nat(), { maxLength: 6 }),
    }),
    ({ dialect, contentType, hideUsage, pieces, cuts }) => {
      const reader = dialect.reader({ hideUsage, vendor: 'openai', keepText: true });
      const meter = createMeter({
        reader,
        framing: { contentType, stream: true, jsonArray: false },
        hideUsage,
      });
      const bytes = Buffer.from(pieces.join(''));
      const places = [...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
      const out: Buffer[] = [];
      let from = 0;
      for (const to of places) {
        out.push(meter.push(bytes.subarray(from, to)));
        from = to;
      }
      const ending = meter.ending('Stopped.', 'stopped');
      out.push(meter.end());
      if (!hideUsage) assert.ok(Buffer.concat(out).equals(bytes), 'bytes were changed');
      assert.ok(ending.length < 10_000_000);
      const { usage, reportedCostNano, reportedOwnKeyNano, outputChars, extraPasses } = reader.facts;
      for (const [what, value] of Object.entries(usage ?? {})) expectCount(value, what);
      for (const pass of extraPasses)
        for (const [what, value] of Object.entries(pass.usage)) expectCount(value, what);
      expectCount(outputChars, 'outputChars');
      expectCount(reportedCostNano ?? 0, 'the cost reported');
      expectCount(reportedOwnKeyNano, 'the cost reported for the own key');
      expectUnpolluted();
    },
  ),

  target(
    'requests, every dialect',
    fc.tuple(fc.constantFrom(...Object.values(dialects)), nearJson),
    ([dialect, text]) => {
      const fields = scanObject(Buffer.from(text));
      if (fields === null) return;
      const facts = dialect.read(fields, { model: null, stream: false });
      if (facts.maxOutputTokens !== null) expectCount(facts.maxOutputTokens, 'maxOutputTokens');
      for (const name of ['choices', 'leastOutputTokens', 'hostedInputTokens', 'webSearches'] as const)
        expectCount(facts[name], name);
      assert.ok(Number.isFinite(facts.extraInputTokens));
      expectUnpolluted();
    },
  ),

  target(
    'addresses',
    fc.tuple(
      fc.constantFrom('GET', 'POST', 'DELETE', 'HEAD', 'PUT'),
      fc.array(
        fc.oneof(
          fc.constantFrom(
            'v1',
            'v1beta',
            'models',
            'chat',
            'completions',
            'responses',
            'messages',
            'mine',
            'resp_1',
          ),
          fc.constantFrom(
            '..',
            '.',
            '%2e%2e',
            '%2F',
            '\\',
            'a:generateContent',
            'a%2F..%2Fb:generateContent',
            '',
          ),
          fc.constantFrom(
            'x%0d%0ay:generateContent',
            'x?y',
            'x#y:generateContent',
            '%',
            '%zz',
            'input_items',
          ),
          aText,
        ),
        { maxLength: 6 },
      ),
    ),
    ([method, segments]) => {
      const route = matchRoute(method, `/${segments.join('/')}`, new Set(['mine']));
      if (!('path' in route)) return;
      const path = route.path.replace('{model}', () => route.model ?? '');
      assert.match(path, /^(\/[\w.@:-]+)+$/);
      assert.ok(!path.split('/').includes('..'));
    },
  ),

  target(
    'configuration files',
    fc.record({
      format: fc.constantFrom('json', 'toml', 'yaml', 'dotenv'),
      text: mutated(
        fc.oneof(
          fc.constantFrom(
            '{\n  // mine\n  "env": { "A": "b" },\n}\n',
            'model = "x"\n[model_providers.faregate]\nname = "F"\n\n[other]\na = 1\n',
            'models:\n  - name: Faregate\n    apiBase: http://x\n# mine\nother: true\n',
            '# mine\nA=1\nexport OPENAI_BASE_URL="x"\n',
          ),
          anObject.map((value) => JSON.stringify(value, null, 2)),
        ),
      ),
      path: fc.constantFrom<Path>(
        ['OPENAI_BASE_URL'],
        ['env', 'A'],
        ['model_providers', 'faregate'],
        ['__proto__', 'polluted'],
      ),
      value: fc.constantFrom<unknown>('http://127.0.0.1:3273', 'a "quoted" \\ one', true, undefined),
    }),
    ({ format, text, path, value }) => {
      const used = format === 'dotenv' ? path.slice(-1) : path;
      try {
        const once = applyEntries(format, text, [{ path: used, value }]);
        // What is there already is left as it is.
        assert.equal(applyEntries(format, once, [{ path: used, value }]), once);
      } catch (error) {
        if (!(error instanceof ConfigSyntaxError || error instanceof ConfigConflictError)) throw error;
      }
      expectUnpolluted();
    },
  ),

  target(
    "providers' exports",
    mutated(
      fc.constantFrom(
        'start_time,start_time_iso,amount_value,amount_currency,line_item\n1760000000,2025-10-09T00:00:00Z,0.5,usd,"gpt-5, input"\n',
        'start_time,model,num_model_requests,input_tokens,input_cached_tokens,output_tokens\n1760000000,gpt-5,3,10,5,7\n',
        'usage_date_utc,model,token_type,cost_usd,cost_type\n2025-10-09,Claude Haiku 4.5,input_tokens,0.25,token\n',
        'created_at,cost_total,byok_usage_inference,tokens_prompt,tokens_completion,model_permaslug\n2025-10-09 10:00:00,0.1,0,5,6,openai/gpt-5\n',
        '{"data":[{"start_time":1760000000,"results":[{"amount":{"value":1,"currency":"usd"},"line_item":null}]}]}',
      ),
    ),
    async (text) => {
      try {
        const { groups } = await readExport(text);
        for (const { nano, requests, classes } of groups) {
          assert.ok(Number.isSafeInteger(nano ?? 0));
          assert.ok(Number.isSafeInteger(requests ?? 0));
          for (const { tokens } of classes.values()) assert.ok(Number.isSafeInteger(tokens ?? 0));
        }
      } catch (error) {
        if (!(error instanceof ExportError)) throw error;
      }
      expectUnpolluted();
    },
  ),

  target(
    'price data',
    fc.oneof(
      nearJson,
      nearJson.map((json) => `[${json}]`),
    ),
    (text) => {
      assert.equal(typeof readPriceFile(parsed(text), []), 'object');
      expectUnpolluted();
    },
  ),
];

// Over the wire.

const paths = [
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/messages',
  '/v1/embeddings',
  '/v1beta/models/acme:generateContent',
  '/v1beta/models/acme:streamGenerateContent',
] as const;

/** Nothing is held, and whatever reached a provider is on the books. */
async function expectBalanced({ gateway, upstream }: FuzzWorld, rowsBefore: number): Promise<void> {
  const account = async () => {
    const [key] = await gateway.call('keys.list', {});
    return { held: key?.heldNano, rows: (key?.requests ?? 0) - rowsBefore };
  };
  const paid = upstream.requests.filter(({ method }) => method === 'POST').length;
  // What a client did not wait for is settled all the same, a moment later.
  const wanted = { held: 0, rows: paid };
  for (let round = 0; round < 100 && !isDeepStrictEqual(await account(), wanted); round += 1) await delay(50);
  assert.deepEqual(await account(), wanted);
}

async function rowsOf({ gateway }: FuzzWorld): Promise<number> {
  const [key] = await gateway.call('keys.list', {});
  return key?.requests ?? 0;
}

export function fuzzTargets(world: FuzzWorld): FuzzTarget[] {
  const { gateway, upstream, secret } = world;
  return [
    ...pureTargets,

    target(
      'whole requests: no way past the meter',
      fc.record({
        path: fc.constantFrom(...paths),
        // With a model that has a price more often than not, so that it gets past admission.
        body: fc.oneof(
          nearJson,
          anObject.map((value) => JSON.stringify({ ...value, model: 'acme', messages: [], n: 1 })),
        ),
        answer: nearJson,
      }),
      async ({ path, body, answer }) => {
        const before = await rowsOf(world);
        upstream.reset();
        upstream.reply(/./, { headers: { 'content-type': 'application/json' }, body: answer });
        const { status } = await send(`${gateway.url}${path}`, {
          headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
          body,
        });
        assert.ok([200, 400, 402, 404, 413, 429, 502].includes(status), `answered with ${status}`);
        await expectBalanced(world, before);
      },
    ),

    target(
      'bytes on the listener',
      mutated(
        fc.constantFrom(...paths).map((path) => {
          const body = '{"model":"acme","messages":[],"max_tokens":5}';
          return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${secret}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
        }),
      ),
      async (text) => {
        const before = await rowsOf(world);
        upstream.reset();
        await new Promise<void>((resolve) => {
          const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
          socket.on('error', () => {}).on('close', () => resolve());
          socket.resume().end(text, 'latin1');
        });
        assert.equal((await send(gateway.url, { method: 'GET' })).status, 200);
        await expectBalanced(world, before);
      },
    ),

    target(
      'inputs of the contract',
      fc.tuple(
        fc.oneof(
          // What changes the machine, asks the network or ends the run is not for here.
          fc.constantFrom(
            ...Object.keys(methods).filter(
              (name) => !/^(connect|backups|providers|prices\.refresh|gateway|keys)/.test(name),
            ),
          ),
          fc.constantFrom(
            'keys.list',
            'keys.setLimit',
            'keys.update',
            'keys.topUp',
            'providers.list',
            'providers.update',
          ),
          aText,
        ),
        fc.oneof(
          aValue.value,
          fc.dictionary(
            fc.constantFrom(
              'id',
              'limit',
              'before',
              'keyId',
              'from',
              'to',
              'groupBy',
              'query',
              'csv',
              'model',
              'costNano',
              'reason',
              'port',
              'thresholds',
              'limitNano',
              'recurring',
              'name',
              '__proto__',
            ),
            fc.oneof(aValue.value, fc.constantFrom('2026-01-01T00:00:00Z', 'day', 'model', 1)),
            { maxKeys: 5 },
          ),
        ),
      ),
      async ([name, input]) => {
        const answer = await gateway.gateway.dispatch(name, input);
        assert.ok(answer.ok || answer.error.code !== 'internal', 'an unexpected fault');
        expectUnpolluted();
      },
    ),
  ];
}
