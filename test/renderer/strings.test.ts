/** Every word of the window stands in strings.ts and strings/, so that a translation is made in one place. */
import { globSync, readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { parseSync } from 'vite';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..', '..', 'renderer');
const spoken = new Set([
  'label',
  'title',
  'placeholder',
  'description',
  'alt',
  'aria-label',
  'error',
  'text',
]);
/** Words, as opposed to signs such as `$`, `·` and units of a drawing. */
const hasWord = (text: string) => /\p{Letter}{2}/u.test(text);

test('no component has words of its own', () => {
  const found: string[] = [];
  for (const file of globSync('**/*.tsx', { cwd: root })) {
    const source = readFileSync(resolve(root, file), 'utf8');
    const visit = (node: unknown): void => {
      if (Array.isArray(node)) return node.forEach(visit);
      if (typeof node !== 'object' || node === null) return;
      const { type } = node as { type?: unknown };
      const told = type === 'JSXText' ? textOf(node) : type === 'JSXAttribute' ? spokenValue(node) : null;
      if (told !== null && hasWord(told))
        found.push(`${relative(root, resolve(root, file))}: ${told.trim()}`);
      Object.values(node).forEach(visit);
    };
    visit(parseSync(file, source).program);
  }
  expect(found).toEqual([]);
});

const textOf = (node: object) => ('value' in node && typeof node.value === 'string' ? node.value : null);

function spokenValue(node: object): string | null {
  const { name, value } = node as { name?: { name?: unknown }; value?: object | null };
  return typeof name?.name === 'string' && spoken.has(name.name) && value ? textOf(value) : null;
}
