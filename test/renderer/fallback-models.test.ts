import { expect, test } from 'vitest';
import { modelsFrom, modelsText } from '../../renderer/keys/fallback-models.ts';

test('models of a fallback are read as they are written', () => {
  const models = [
    { from: 'claude-sonnet-4-5', to: 'anthropic/claude-sonnet-4.5' },
    { from: 'a', to: 'b:free' },
  ];
  expect(modelsFrom(modelsText(models))).toEqual(models);
  expect(modelsFrom('\n  a=b:free  \n\n')).toEqual([{ from: 'a', to: 'b:free' }]);
  expect(modelsFrom('')).toEqual([]);
});

test.each(['a', 'a =', '= b', 'a = b = c'])('"%s" is no pair of names', (text) => {
  expect(modelsFrom(text)).toBeNull();
});
