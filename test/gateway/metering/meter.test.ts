import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonFields } from '../../../electron/gateway/base/json.ts';
import type { AnswerFacts, AnswerReader, EventVerdict } from '../../../electron/gateway/dialects/dialect.ts';
import { dialects } from '../../../electron/gateway/dialects/index.ts';
import type { Framing, Meter } from '../../../electron/gateway/metering/framing.ts';
import { createMeter } from '../../../electron/gateway/metering/meter.ts';
import { anyCharacter } from '../../support/characters.ts';

/** Notes what it is given; hides events whose data starts with `hide`, takes `last` for the last. */
class NotingReader implements AnswerReader {
  readonly facts: AnswerFacts = dialects['openai-chat'].reader({ hideUsage: false, vendor: 'openai' }).facts;
  finished = false;
  readonly events: [data: string, type: string | undefined][] = [];
  readonly answers: JsonFields[] = [];

  event(data: string, type: string | undefined): EventVerdict {
    this.events.push([data, type]);
    if (data === 'end') this.finished = true;
    return data.startsWith('hide') ? 'hide' : data === 'last' ? 'last' : 'pass';
  }

  answer(fields: JsonFields): void {
    this.answers.push(fields);
  }

  ending(message: string): string {
    return `data: ${message}\n\n`;
  }
}

function meterOf(framing: Framing, hideUsage = false) {
  const reader = new NotingReader();
  return { reader, meter: createMeter({ reader, framing, hideUsage }) };
}

function pushAll(meter: Meter, body: Buffer, cuts: readonly number[]): string {
  const out: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts.map((one) => one % (body.length + 1)).toSorted((a, b) => a - b), body.length]) {
    out.push(meter.push(body.subarray(from, cut)));
    from = cut;
  }
  out.push(meter.end());
  return Buffer.concat(out).toString();
}

const cuts = fc.array(fc.nat(), { maxLength: 30 });
const lineEnd = fc.constantFrom('\n', '\r\n', '\r');

/** One event as lines without their ends; what of it the reader should be given; whether it is to be hidden. */
const event = fc.oneof(
  fc
    .record({
      data: fc.stringMatching(/^[a-z€𝄞" ]{0,20}$/u),
      type: fc.option(fc.constantFrom('ping', 'error'), { nil: undefined }),
    })
    .map(({ data, type }) => ({
      lines: [...(type ? [`event: ${type}`] : []), `data: x${data}`],
      given: [`x${data}`, type] as const,
      hidden: false,
    })),
  fc.stringMatching(/^[a-z€]{0,20}$/).map((rest) => ({
    lines: [`data: hide${rest}`],
    given: [`hide${rest}`, undefined] as const,
    hidden: true,
  })),
  fc.constant({ lines: [': keep-alive'], given: null, hidden: false }),
  fc.constant({ lines: ['data: x', 'id: 7', 'data: y'], given: ['x\ny', undefined] as const, hidden: false }),
  fc.constant({ lines: [] as string[], given: null, hidden: false }),
);

const stream = fc.record({
  events: fc.array(event, { maxLength: 8 }),
  end: lineEnd,
  bom: fc.boolean(),
  blankLast: fc.boolean(),
});

describe('a stream of events', () => {
  it('passes byte for byte, in any pieces, and reads every event', () => {
    fc.assert(
      fc.property(stream, cuts, ({ events, end, bom, blankLast }, places) => {
        let text = (bom ? '\ufeff' : '') + events.map(({ lines }) => lines.join(end) + end + end).join('');
        if (!blankLast) text = text.slice(0, -end.length);
        const { reader, meter } = meterOf('sse');
        expect(pushAll(meter, Buffer.from(text), places)).toBe(text);
        expect(reader.events).toEqual(events.flatMap(({ given }) => (given === null ? [] : [[...given]])));
      }),
      { numRuns: 500 },
    );
  });

  it('loses exactly the bytes of the hidden events', () => {
    fc.assert(
      fc.property(stream, cuts, ({ events, end, bom, blankLast }, places) => {
        // A byte order mark belongs to the first event, and goes where that goes.
        const pieces = events.map(
          ({ lines }, at) => (bom && at === 0 ? '\ufeff' : '') + lines.join(end) + end + end,
        );
        if (!blankLast) pieces.push(...pieces.splice(-1).map((last) => last.slice(0, -end.length)));
        const { reader, meter } = meterOf('sse', true);
        const kept = pieces.filter((_piece, at) => events[at]?.hidden !== true).join('');
        expect(pushAll(meter, Buffer.from(pieces.join('')), places)).toBe(kept);
        expect(reader.events).toHaveLength(events.filter(({ given }) => given !== null).length);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([false, true])(
    'reads the same where chunks are whole events, or half ones (hiding: %s)',
    (hiding) => {
      // Marked behind the start it is no byte order mark, and the line no data.
      const marked = { lines: ['\ufeffdata: x', 'event:x'], given: null, hidden: false };
      const bare = { lines: ['event:', 'data:x'], given: ['x', undefined] as const, hidden: false };
      const pieces = fc.array(
        fc.tuple(fc.oneof(event, fc.constantFrom(marked, bare)), fc.option(fc.nat(), { nil: null })),
        { maxLength: 8 },
      );
      fc.assert(
        fc.property(pieces, lineEnd, (cut, end) => {
          const { reader, meter } = meterOf('sse', hiding);
          // Before the first of them, so that the start of the stream is behind all.
          const out = [meter.push(Buffer.from('data: x\n\n'))];
          for (const [{ lines }, at] of cut) {
            const bytes = Buffer.from(lines.join(end) + end + end);
            const half = at === null ? bytes.length : at % bytes.length;
            for (const part of [bytes.subarray(0, half), bytes.subarray(half)]) out.push(meter.push(part));
          }
          out.push(meter.end());
          const events = cut.map(([one]) => one);
          const kept = events.filter(({ hidden }) => !(hidden && hiding));
          const text = kept.map(({ lines }) => lines.join(end) + end + end).join('');
          expect(Buffer.concat(out).toString()).toBe(`data: x\n\n${text}`);
          expect(reader.events.slice(1)).toEqual(
            events.flatMap(({ given }) => (given === null ? [] : [[...given]])),
          );
          expect(meter.midEvent).toBe(false);
        }),
        { numRuns: 1000 },
      );
    },
  );

  it('sends the chunk itself on where nothing is to be hidden', () => {
    const { meter } = meterOf('sse');
    const chunk = Buffer.from('data: {"half":');
    expect(meter.push(chunk)).toBe(chunk);
  });

  it.each([false, true])('is complete before the bytes of the last event are sent (hiding: %s)', (hiding) => {
    for (const end of ['\n', '\r\n', '\r']) {
      const { meter } = meterOf('sse', hiding);
      meter.push(Buffer.from(`data: x${end}${end}data: la`));
      expect(meter.complete).toBe(false);
      meter.push(Buffer.from(`st${end}${end}`));
      expect(meter.complete).toBe(true);
    }
  });

  it('is complete at its end where the reader has seen the protocol end, and not where it has not', () => {
    const finished = meterOf('sse');
    finished.meter.push(Buffer.from('data: end\n\n'));
    expect(finished.meter.complete).toBe(false);
    finished.meter.end();
    expect(finished.meter.complete).toBe(true);

    const cut = meterOf('sse');
    cut.meter.push(Buffer.from('data: x\n\n'));
    cut.meter.end();
    expect(cut.meter.complete).toBe(false);
  });

  it('passes a long event on while it comes, although events may be hidden', () => {
    const { meter, reader } = meterOf('sse', true);
    const long = 'x'.repeat(100_000);
    expect(meter.push(Buffer.from(`data: ${long}`)).length).toBe(100_006);
    expect(meter.midEvent).toBe(true);
    expect(meter.push(Buffer.from(long)).length).toBe(100_000);
    expect(meter.push(Buffer.from('\n\ndata: hide\n\ndata: y\n\n')).toString()).toBe('\n\ndata: y\n\n');
    expect(reader.events.map(([data]) => data.length)).toEqual([200_000, 4, 1]);
  });

  it('goes on behind an event too long to be read', () => {
    const { meter, reader } = meterOf('sse');
    const piece = Buffer.alloc(16 * 1024 * 1024, 'x');
    meter.push(Buffer.from('data: '));
    for (let sent = 0; sent < 6; sent++) expect(meter.push(piece)).toBe(piece);
    meter.push(Buffer.from('\n\ndata: after\n\n'));
    expect(reader.events).toEqual([['after', undefined]]);
  });

  it('ends a stream that stops inside an event so that the cut event is no event of its own', () => {
    const whole = meterOf('sse').meter;
    whole.push(Buffer.from('data: x\r\n\r\n'));
    expect([whole.midEvent, whole.ending('over', 'stopped').toString()]).toEqual([false, 'data: over\n\n']);

    const cut = meterOf('sse').meter;
    cut.push(Buffer.from('data: x\n\nevent: a\ndata: {"b'));
    expect([cut.midEvent, cut.ending('over', 'stopped').toString()]).toEqual([
      true,
      '\nevent: ping\n\ndata: over\n\n',
    ]);

    const held = meterOf('sse', true).meter;
    expect(held.push(Buffer.from('data: x\n\ndata: {"b')).toString()).toBe('data: x\n\n');
    expect([held.midEvent, held.ending('over', 'stopped').toString()]).toEqual([false, 'data: over\n\n']);
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), cuts, fc.boolean(), (bytes, places, hiding) => {
        const { meter } = meterOf('sse', hiding);
        const out: Buffer[] = [];
        const body = Buffer.from(bytes);
        let from = 0;
        for (const cut of [
          ...places.map((one) => one % (body.length + 1)).toSorted((a, b) => a - b),
          body.length,
        ]) {
          out.push(meter.push(body.subarray(from, cut)));
          from = cut;
        }
        out.push(meter.end());
        expect(Buffer.concat(out).equals(body)).toBe(true);
      }),
    );
  });
});

describe('a streamed array', () => {
  const elements = fc.array(
    fc.record({
      text: fc.string({ unit: anyCharacter }),
      deep: fc.array(fc.array(fc.constant({})), { maxLength: 2 }),
    }),
    { maxLength: 5 },
  );

  it('passes byte for byte and reads every element', () => {
    fc.assert(
      fc.property(elements, fc.constantFrom(',', ',\r\n', '\n , \n'), cuts, (parts, comma, places) => {
        const texts = parts.map((part) => JSON.stringify(part, null, 2));
        const body = ` [${texts.join(comma)}\n]\n`;
        const { reader, meter } = meterOf('json-array');
        expect(pushAll(meter, Buffer.from(body), places)).toBe(Buffer.from(body).toString());
        expect(reader.events.map(([data]) => data)).toEqual(
          texts.map((text) => Buffer.from(text).toString()),
        );
        expect(meter.complete).toBe(true);
      }),
    );
  });

  it('reads a single object, which is how an error comes', () => {
    const { reader, meter } = meterOf('json-array');
    meter.push(Buffer.from('{"error":{"code":4'));
    meter.push(Buffer.from('00}}\n'));
    expect(reader.events).toEqual([['{"error":{"code":400}}', undefined]]);
    expect([meter.complete, meter.end().length, meter.complete]).toEqual([false, 0, true]);
  });

  it.each(['{"error":', '[{"a":1}', '{"a":1}\n{"b":2}\n'])(
    'is not complete where it stops after %s',
    (sent) => {
      const { meter } = meterOf('json-array');
      meter.push(Buffer.from(sent));
      meter.end();
      expect(meter.complete).toBe(false);
    },
  );

  it.each([
    ['', '[{"error":1}]'],
    ['[', '{"error":1}]'],
    ['[{"a":1}', ',{"error":1}]'],
    ['[{"a":1}\n,', '{"error":1}]'],
    ['[{"a":1}]', ''],
    ['[{"a":', ''],
  ])('after %s an ending makes it valid JSON', (sent, ending) => {
    const { reader, meter } = meterOf('json-array');
    reader.ending = () => (reader.events.length === 0 ? '[' : ',') + '{"error":1}]';
    meter.push(Buffer.from(sent));
    expect(meter.ending('over', 'stopped').toString()).toBe(ending);
  });
});

describe('a JSON answer', () => {
  it('passes byte for byte, holding the last piece until the answer is read', () => {
    const { reader, meter } = meterOf('json');
    expect(meter.push(Buffer.from('{"usage":')).toString()).toBe('');
    expect(meter.push(Buffer.from('{"a":1}')).toString()).toBe('{"usage":');
    expect(meter.push(Buffer.alloc(0)).toString()).toBe('');
    expect(meter.push(Buffer.from('}\n')).toString()).toBe('{"a":1}');
    expect([meter.complete, reader.answers.length]).toEqual([false, 0]);
    expect(meter.end().toString()).toBe('}\n');
    expect([meter.complete, reader.answers[0]?.get('usage')]).toEqual([true, { a: 1 }]);
  });

  it.each(['', 'not JSON', '{"usage":{"prompt_to', '[1]'])(
    'is not complete, and passes, where it is %j',
    (body) => {
      const { reader, meter } = meterOf('json');
      expect(pushAll(meter, Buffer.from(body), [3])).toBe(body);
      expect([meter.complete, reader.answers]).toEqual([false, []]);
    },
  );
});

it('an answer of another kind passes unread, and what it may have cost goes by its length', () => {
  const { reader, meter } = meterOf('opaque');
  const chunk = Buffer.from('data: x\n\n{}');
  expect(meter.push(chunk)).toBe(chunk);
  expect(meter.end()).toHaveLength(0);
  expect([meter.complete, reader.events, reader.answers]).toEqual([true, [], []]);
  expect(reader.facts.outputChars).toBe(chunk.length);
});
