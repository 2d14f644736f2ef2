/** `.env` files: one variable a line. */
import { parseEnv } from 'node:util';
import { ConfigConflictError, type Format, type Path } from './format.ts';

export const dotenvFormat: Format = {
  read: (text) => ({ ...parseEnv(text) }),

  set(text, path, value, eol) {
    const name = nameOf(path);
    const line = `${name}=${String(value)}`;
    const place = lineOf(text, name);
    if (place) return text.slice(0, place.start) + line + text.slice(place.end);
    return `${text}${text === '' || text.endsWith('\n') ? '' : eol}${line}${eol}`;
  },

  remove(text, path) {
    const place = lineOf(text, nameOf(path));
    if (!place) return text;
    const after = text.slice(place.end).replace(/^\r?\n/, '');
    return text.slice(0, place.start) + after;
  },
};

function nameOf([segment]: Path): string {
  if (typeof segment !== 'string') throw new ConfigConflictError('has no lists');
  return segment;
}

/** The last line that sets it, which is the one that counts, without its line end. */
function lineOf(text: string, name: string): { start: number; end: number } | null {
  const line = new RegExp(`^[ \\t]*(?:export[ \\t]+)?${name}[ \\t]*=[^\\r\\n]*`, 'gm');
  const last = [...text.matchAll(line)].at(-1);
  return last ? { start: last.index, end: last.index + last[0].length } : null;
}
