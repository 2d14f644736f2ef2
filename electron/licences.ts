/** The terms of other people's software that is in the app, as one text that the window can show. */
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Not bundled, so the bundler does not list them. */
const unbundled = ['better-sqlite3'] as const;

const INTRODUCTION = `Faregate contains the software below, under these terms.

Electron, which an installed Faregate runs in, and Chromium and Node.js within it, come with their terms in files beside
the program: LICENSE.electron.txt and LICENSES.chromium.html. SQLite is in the public domain.
`;

/**
 * Gathers what the bundler wrote beside each bundle (one section a package, headed `## name - version (licence)`) into
 * `licences.txt` of the built page. What was not built yet is added by the build that brings it.
 */
export function writeLicences(projectRoot: string, distFolder: string): void {
  const renderer = path.join(distFolder, 'renderer');
  if (!existsSync(renderer)) return;
  const lists = [distFolder, renderer].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => /(^|\.)licenses\.md$/.test(name))
      .map((name) => readFileSync(path.join(folder, name), 'utf8')),
  );
  const sections = new Map<string, string>();
  for (const list of lists) {
    for (const [heading = '', ...lines] of list
      .split(/^## /m)
      .slice(1)
      .map((part) => part.split('\n'))) {
      sections.set(heading.trim(), lines.join('\n').trim());
    }
  }
  for (const name of unbundled) {
    const folder = path.join(projectRoot, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    sections.set(
      `${name} - ${version} (${license})`,
      readFileSync(path.join(folder, 'LICENSE'), 'utf8').trim(),
    );
  }
  const text = [...sections]
    .toSorted(([a], [b]) => a.localeCompare(b, 'en'))
    .map(([heading, terms]) => `${heading}\n${'='.repeat(heading.length)}\n\n${terms}\n`)
    .join('\n\n');
  const file = path.join(renderer, 'licences.txt');
  writeFileSync(`${file}.new`, `${INTRODUCTION}\n\n${text}`);
  renameSync(`${file}.new`, file);
}
