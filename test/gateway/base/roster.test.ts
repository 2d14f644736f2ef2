import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ABSENT, Roster, type Member } from '../../../electron/gateway/base/roster.ts';

test('a roster has what was added and not removed, each once', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 60 }), (turns) => {
      const members: Member[] = Array.from({ length: 10 }, () => ({ place: ABSENT }));
      const roster = new Roster<Member>();
      const expected = new Set<Member>();
      for (const turn of turns) {
        const member = members[turn] ?? { place: ABSENT };
        if (expected.delete(member)) roster.remove(member);
        else {
          roster.add(member);
          expected.add(member);
        }
        // Twice is once.
        if (!expected.has(member)) roster.remove(member);
        expect(members.filter((each) => roster.has(each))).toHaveLength(expected.size);
        expect(roster.has(member)).toBe(expected.has(member));
        const present = [...roster];
        expect(present).toHaveLength(expected.size);
        expect(new Set(present)).toEqual(expected);
      }
    }),
  );
});

test('what has left a roster does not outlive the next minor collection', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (how: { type: 'minor' | 'major' }) => void;
  const bytes = 50_000;
  const roster = new Roster<Member & { held: number[] }>();
  const churn = (times: number) => {
    const running: (Member & { held: number[] })[] = [];
    for (let count = 0; count < times; count += 1) {
      const member = { place: ABSENT, held: Array.from({ length: bytes / 8 }, () => 0.5) };
      roster.add(member);
      running.push(member);
      const oldest = running.length > 8 ? running.shift() : undefined;
      if (oldest) roster.remove(oldest);
    }
    for (const member of running) roster.remove(member);
  };
  churn(20);
  // All that is alive is old from here on: what it points to outlives a minor collection.
  collect({ type: 'major' });
  const before = process.memoryUsage().heapUsed;
  const times = 400;
  churn(times);
  collect({ type: 'minor' });
  collect({ type: 'minor' });
  expect(process.memoryUsage().heapUsed - before).toBeLessThan((times * bytes) / 4);
});
