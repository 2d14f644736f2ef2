/** What the README promises to be able to copy, is what the window gives and what the project has. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { DEFAULT_PORT, LOOPBACK } from '#shared/defaults.ts';
import { refusals } from '#shared/errors.ts';
import { SERVED } from '../electron/gateway/proxy/routes.ts';
import { toolSnippets } from '../renderer/keys/snippets.ts';

const root = resolve(import.meta.dirname, '..');
const readme = readFileSync(resolve(root, 'README.md'), 'utf8');
/** JSON is laid out as the page allows; what it says is compared. */
const squeeze = (text: string) => text.replaceAll(/\s+/g, ' ');

const snippets = toolSnippets(`http://${LOOPBACK}:${DEFAULT_PORT}`, 'KEY', 'posix', new Set(['openai-chat']))
  .filter(({ id }) => id !== 'openai')
  .flatMap((tool) => tool.snippets.map(({ title, text }) => [`${tool.label}: ${title}`, text] as const))
  .filter(([name]) => !name.includes('costs nothing'));

test.each(snippets)('the snippet of the window stands in the README: %s', (_, text) => {
  expect(squeeze(readme)).toContain(squeeze(text));
});

test('every script it names exists', () => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(
    readFileSync(resolve(root, 'package.json'), 'utf8'),
  );
  const named = [...readme.matchAll(/`?npm (?:run )?([a-z]+)/g)].map(([, name]) => name ?? '');
  const own = named.filter((name) => !['ci', 'run'].includes(name));
  expect(own.filter((name) => !(name in scripts))).toEqual([]);
  expect(own.length).toBeGreaterThan(4);
});

test('every file and folder it names exists', () => {
  const named = [...readme.matchAll(/(?:`|\(|"|^)((?:electron|renderer|shared|test)\/[\w./-]*)/gm)].map(
    ([, path]) => path ?? '',
  );
  expect(named.filter((path) => !existsSync(resolve(root, path)))).toEqual([]);
  expect(named.length).toBeGreaterThan(8);
});

test('every route it lists as served is served, and none is left out', () => {
  const paths = [...SERVED.matchAll(/\/v1(?:beta)?\/[\w{}/]+/g)].map(([path]) => path);
  expect(paths.filter((path) => !readme.includes(path))).toEqual([]);
});

test('the refusals it describes have the status it gives', () => {
  expect([
    refusals.limit_reached.status,
    refusals.not_enough_left.status,
    refusals.held_by_others.status,
  ]).toEqual([402, 402, 429]);
});
