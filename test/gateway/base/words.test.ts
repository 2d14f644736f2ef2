import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Words } from '../../../electron/gateway/base/words.ts';

test('a word is found where it is all that stands between two places, and nothing else is', () => {
  const word = fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom('a', 'b', 'é') });
  fc.assert(
    fc.property(fc.uniqueArray(word), word, word, fc.nat(9), (all, before, sought, behind) => {
      const words = new Words(all);
      const start = Buffer.byteLength(before);
      const end = start + Buffer.byteLength(sought);
      const bytes = Buffer.from(before + sought + 'a'.repeat(behind));
      expect(words.find(bytes, start, end)).toBe(all.includes(sought) ? sought : null);
    }),
  );
});

test('nothing is found at the end of the bytes, nor in none', () => {
  const words = new Words(['a', 'model']);
  expect(words.find(Buffer.from('mode'), 0, 5)).toBeNull();
  expect(words.find(Buffer.alloc(0), 0, 0)).toBeNull();
  expect(words.find(Buffer.alloc(0), 0, 100)).toBeNull();
});
