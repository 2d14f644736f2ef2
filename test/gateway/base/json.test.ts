import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyEdits, scanObject, type JsonEdit } from '../../../electron/gateway/base/json.ts';
import type { Sign } from '../../../electron/gateway/base/signs.ts';
import { anyCharacter } from '../../support/characters.ts';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const scan = (text: string) => scanObject(Buffer.from(text));

/**
 * Names that collide often, need escapes, or are not ASCII. None holds a backslash: the JSON.parse of V8 13.6 that the
 * results are compared with takes the name `"\""` for `"\\"` where it has parsed that one in the same place before.
 */
const name = fc.oneof(
  fc.constantFrom('model', 'stream_options', 'include_usage', 'a', '', 'é', '"', 'a\nb'),
  fc.string({ unit: anyCharacter }).filter((one) => one !== '__proto__' && !one.includes('\\')),
);
const value = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.string({ unit: anyCharacter }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(name, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;
const object = fc.dictionary(name, value, { maxKeys: 6, noNullPrototype: true });

/** The same value as text: spaced at random, with names and strings escaped at random. */
const layout = fc.record({ indent: fc.constantFrom(undefined, 1, '\t', '\r\n '), escaped: fc.boolean() });
function write(
  json: Json,
  { indent, escaped }: { indent: string | number | undefined; escaped: boolean },
): string {
  const text = JSON.stringify(json, null, indent);
  return escaped
    ? text.replaceAll(/[^\x20-\x7e]/g, (one) =>
        one < ' ' ? one : `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
      )
    : text;
}

describe('scanObject', () => {
  it('reads the top-level fields of any object as JSON.parse does', () => {
    fc.assert(
      fc.property(object, layout, (json, how) => {
        const fields = scan(write(json, how));
        expect(fields?.duplicates.size).toBe(0);
        for (const [field, expected] of Object.entries(json)) {
          expect(fields?.has(field)).toBe(true);
          expect(fields?.get(field)).toEqual(expected);
        }
        expect(fields?.has('no such field')).toBe(false);
        expect(fields?.get('no such field')).toBeUndefined();
      }),
    );
  });

  it('gives null for what is no JSON object, and never throws', () => {
    for (const text of [
      '',
      ' ',
      '[]',
      '"a"',
      'null',
      '{',
      '{"a":1',
      '{"a" 1}',
      '{"a":1,}',
      '{"a":}',
      '{,}',
      '{a:1}',
      '{"a":1} x',
      '{"a":"',
    ]) {
      expect(scan(text), text).toBeNull();
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => scanObject(Buffer.concat([Buffer.from('{"a":'), bytes]))).not.toThrow();
      }),
    );
  });

  it('accepts a byte order mark and white space', () => {
    expect(scan('\ufeff \r\n\t{ "a" : 1 } \n')?.get('a')).toBe(1);
  });

  it('reads escaped names and tells of names given twice', () => {
    const fields = scan('{"mod\\u0065l":"cheap","x":1,"model":"dear"}');
    expect([...(fields?.duplicates ?? [])]).toEqual(['model']);
    expect(fields?.get('model')).toBe('dear');
  });

  it('gives undefined for a value that cannot be parsed', () => {
    const fields = scan('{"a":tru,"b":[1,],"c":"\\x","d":2}');
    expect([fields?.get('a'), fields?.get('b'), fields?.get('c'), fields?.get('d')]).toEqual([
      undefined,
      undefined,
      undefined,
      2,
    ]);
  });

  it('finds text however it is escaped', () => {
    const fields = scan('{"content":[{"cache_contro\\u006c":{"ttl":"1h"}}],"b":"cache_control"}');
    expect(fields?.contains('cache_control')).toBe(true);
    expect(fields?.contains('1h')).toBe(true);
    expect(fields?.contains('video')).toBe(false);
    // Text that speaks of a feature does not use it.
    expect(
      scan('{"content":"write \\"cache_control\\" here, or cache_control"}')?.contains('cache_control'),
    ).toBe(false);
  });

  it('finds every name and value that is a sign, at any depth, and nothing else', () => {
    const escaped = (text: string) =>
      text
        .split('')
        .map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
        .join('');
    const word = fc.constantFrom<Sign>('cache_control', '1h', 'image_url', 'file', 'audio', 'uri');
    const other = fc.constantFrom('files', 'image', 'cache_contro', 'x"1h"', '\\', '');
    const text = fc.oneof(word, other);
    const { node } = fc.letrec<{ node: unknown }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        text,
        fc.integer(),
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(text, tie('node'), { maxKeys: 3 }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(text, node, { maxKeys: 4 }), word, (body, sought) => {
        const stands = (one: unknown): boolean =>
          one === sought ||
          (typeof one === 'object' &&
            one !== null &&
            [Object.keys(one), Object.values(one)].flat().some(stands));
        const json = JSON.stringify(body);
        expect(scan(json)?.contains(sought)).toBe(stands(body));
        expect(scan(json.replaceAll(`"${sought}"`, `"${escaped(sought)}"`))?.contains(sought)).toBe(
          stands(body),
        );
      }),
    );
  });

  it('is not brought down by depth', () => {
    const deep = `{"a":${'[{"b":'.repeat(200_000)}1${'}]'.repeat(200_000)},"z":1}`;
    expect(scan(deep)?.get('z')).toBe(1);
    expect(scan(`{"a":${'['.repeat(1_000_000)}`)).toBeNull();
  });

  it('finds the end of long strings, whatever they hold', () => {
    const long = fc.array(fc.constantFrom('"', '\\', '\\"', 'x'.repeat(127), 'x'.repeat(300), '}', 'é'), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(long, (parts) => {
        const json = { a: parts.join(''), b: [parts.join('')], z: 1 };
        const fields = scan(JSON.stringify(json));
        expect([fields?.get('a'), fields?.get('b'), fields?.get('z')]).toEqual([json.a, json.b, 1]);
        expect(scan(JSON.stringify(json).slice(0, -7))).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it('takes time in proportion to the body', () => {
    const took = (size: number) => {
      const body = Buffer.from(
        JSON.stringify({ messages: [{ content: 'a "quoted"\\\n line'.repeat(size) }], model: 'm' }),
      );
      const times = [1, 2, 3, 4, 5].map(() => {
        const start = process.threadCpuUsage();
        expect(scanObject(body)?.has('model')).toBe(true);
        return process.threadCpuUsage(start).user;
      });
      return Math.min(...times);
    };
    took(10_000);
    // A scan that were quadratic would take a hundred times as long; the bound leaves room for a busy machine.
    expect(took(250_000)).toBeLessThan(Math.max(1_000, took(25_000)) * 50);
  });
});

describe('applyEdits', () => {
  const edit: fc.Arbitrary<JsonEdit> = fc.record({
    path: fc.oneof(fc.tuple(name), fc.tuple(name, name), fc.tuple(name, name, name)),
    json: value.map((json) => JSON.stringify(json)),
  });

  function set(target: Record<string, Json>, [first, ...rest]: readonly string[], json: Json): void {
    if (first === undefined) return;
    if (rest.length === 0) {
      target[first] = json;
      return;
    }
    const inner = target[first];
    const next = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {};
    target[first] = next;
    set(next, rest, json);
  }

  it('means what parsing, setting and writing would mean', () => {
    fc.assert(
      fc.property(object, layout, edit, (json, how, one) => {
        const before = Buffer.from(write(json, how));
        const expected = structuredClone(json);
        set(expected, one.path.map(String), JSON.parse(one.json) as Json);
        expect(JSON.parse(applyEdits(before, [one]).toString())).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('makes edits of different fields in one go', () => {
    const body = Buffer.from('{"model":"a/b", "stream_options":null ,"max_tokens":9}');
    const edits: JsonEdit[] = [
      { path: ['max_tokens'], json: '5' },
      { path: ['stream_options', 'include_usage'], json: 'true' },
      { path: ['model'], json: '"b"' },
      { path: ['n'], json: '1' },
      { path: ['x', 'y'], json: '2' },
    ];
    expect(applyEdits(body, edits).toString()).toBe(
      '{"model":"b", "stream_options":{"include_usage":true} ,"max_tokens":5,"n":1,"x":{"y":2}}',
    );
  });

  it('edits the last of more fields than are looked at', () => {
    const others = Array.from({ length: 20_000 }, (_, at) => `"k${at}":${at}`).join(',');
    const body = (bound: number) => `{"a":{${others},"b":${bound}}}`;
    const edited = applyEdits(Buffer.from(body(65_536)), [{ path: ['a', 'b'], json: '4' }]);
    expect(edited.toString()).toBe(body(4));
  });

  it('leaves every other byte as it was', () => {
    fc.assert(
      fc.property(object, object, layout, (before, after, how) => {
        const [head, tail] = [write(before, how).slice(1, -1), write(after, how).slice(1, -1)];
        const around = (inner: string) =>
          `{${[head, inner, tail].filter((part) => part.trim() !== '').join(' ,\t')}}\n`;
        // A name that no generated object has, so that it stands once.
        const body = Buffer.from(around('"the edited one" :  {"deep":[1, 2 ],"b":"\\u00e9"}'));
        const edited = applyEdits(body, [{ path: ['the edited one', 'b'], json: '7' }]);
        expect(edited.toString()).toBe(around('"the edited one" :  {"deep":[1, 2 ],"b":7}'));
      }),
    );
  });

  it.each([
    ['{}', '{"a":{"b":1}}'],
    ['{ }', '{"a":{"b":1} }'],
    ['{"a":null}', '{"a":{"b":1}}'],
    ['{"a":{}}', '{"a":{"b":1}}'],
    ['{"a":[1]}', '{"a":{"b":1}}'],
    ['{"a":{"b":{"c":2}, "d":"}"}}', '{"a":{"b":1, "d":"}"}}'],
    ['{"x":1\n}', '{"x":1,"a":{"b":1}\n}'],
    ['{"a":{"b":5},"\\u0061":{"b":6}}', '{"a":{"b":1},"\\u0061":{"b":1}}'],
    ['\ufeff{"a":{"b":5}}', '\ufeff{"a":{"b":1}}'],
  ])('%s becomes %s', (before, after) => {
    expect(applyEdits(Buffer.from(before), [{ path: ['a', 'b'], json: '1' }]).toString()).toBe(after);
  });

  it('returns what is no object unchanged', () => {
    for (const text of ['[1]', '{"a":', '']) {
      expect(applyEdits(Buffer.from(text), [{ path: ['a'], json: '1' }]).toString()).toBe(text);
    }
    const body = Buffer.from('{"a":1}');
    expect(applyEdits(body, [])).toBe(body);
  });
});
