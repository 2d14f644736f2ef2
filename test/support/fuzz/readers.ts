/** What reads bytes and texts of others without sending anything: JSON, streams, requests, addresses, files. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { applyEntries } from '../../../electron/connect/edit.ts';
import { ConfigConflictError, ConfigSyntaxError, type Path } from '../../../electron/connect/format.ts';
import { applyEdits, scanObject } from '../../../electron/gateway/base/json.ts';
import { dialects } from '../../../electron/gateway/dialects/index.ts';
import { createMeter } from '../../../electron/gateway/metering/meter.ts';
import { readPriceFile } from '../../../electron/gateway/pricing/price-file.ts';
import { matchRoute } from '../../../electron/gateway/proxy/routes.ts';
import { ExportError, readExport } from '../../../electron/gateway/reports/provider-exports.ts';
import { stream, streamNames } from '../streams.ts';
import { anObject, aText, mutated, nearJson } from './inputs.ts';
import { expectCount, expectUnpolluted, target, type FuzzTarget } from './target.ts';

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const readerTargets: FuzzTarget[] = [
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
