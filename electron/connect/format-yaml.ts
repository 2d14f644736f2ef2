/**
 * YAML, block style. The library's own writer lays the whole document out anew, so what is set is spliced into the text
 * at the places that the library's parser found.
 */
import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  stringify,
  type Document,
  type YAMLSeq,
} from 'yaml';
import { ConfigConflictError, ConfigSyntaxError, isTable, type Format, type Path } from './format.ts';

export const yamlFormat: Format = {
  read: (text): unknown => open(text).toJS() ?? {},

  set(text, path, value, eol) {
    const document = open(text);
    const [first, second, third] = path;
    if (typeof first !== 'string' || path.length > 3) throw new ConfigConflictError('has nothing that deep');
    if (second === undefined) return setKey(text, document, first, value, eol);
    if (third !== undefined) return setInPlace(text, document, path, value);
    if (typeof second === 'string' || !isTable(value)) throw new ConfigConflictError('has nothing that deep');
    const list = document.get(first, true);
    if (list == null) {
      const block = [`${first}:`, ...itemLines(value, '  ')].join(eol);
      return `${withLineEnd(text, eol)}${block}${eol}`;
    }
    if (!isSeq(list) || list.flow === true || !list.range)
      throw new ConfigConflictError(`has "${first}" in a form that cannot be added to`);
    const place = itemPlace(text, list, second.named);
    const indent = indentOf(text, list);
    const at = place?.start ?? list.range[1];
    const before = withLineEnd(text.slice(0, at), eol);
    return `${before}${itemLines(value, indent).join(eol)}${eol}${text.slice(place?.end ?? at)}`;
  },

  remove(text, path) {
    const document = open(text);
    const [first, second] = path;
    if (typeof first !== 'string') return text;
    const list = document.get(first, true);
    const place =
      second === undefined
        ? pairPlace(text, document, first)
        : typeof second !== 'string' && isSeq(list)
          ? itemPlace(text, list, second.named)
          : null;
    return place ? text.slice(0, place.start) + text.slice(place.end) : text;
  },
};

interface Place {
  start: number;
  end: number;
}

function open(text: string): Document.Parsed {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  const [error] = document.errors;
  if (error) throw new ConfigSyntaxError(lineCounter.linePos(error.pos[0]).line, error);
  return document;
}

function setKey(text: string, document: Document, name: string, value: unknown, eol: string): string {
  const root = document.contents;
  if (root !== null && (!isMap(root) || root.flow === true)) {
    if (!isScalar(root) || root.value !== null)
      throw new ConfigConflictError('is not a plain list of settings');
  }
  const node = document.get(name, true);
  if (isScalar(node) && node.range && node.value !== null) {
    return text.slice(0, node.range[0]) + scalar(value) + text.slice(node.range[1]);
  }
  if (node != null) {
    const place = pairPlace(text, document, name);
    if (!place || (isScalar(node) ? node.value !== null : true))
      throw new ConfigConflictError(`has something else where "${name}" would go`);
    return `${text.slice(0, place.start)}${name}: ${scalar(value)}${eol}${text.slice(place.end)}`;
  }
  return `${withLineEnd(text, eol)}${name}: ${scalar(value)}${eol}`;
}

/** A single value in an item of a list, which has to be there. */
function setInPlace(text: string, document: Document, [first, second, third]: Path, value: unknown): string {
  const list = document.get(first, true);
  const named = typeof second === 'object' && isSeq(list) ? itemNamed(list, second.named) : undefined;
  const node = isMap(named) && typeof third === 'string' ? named.get(third, true) : undefined;
  if (!isScalar(node) || !node.range) throw new ConfigConflictError('has nothing that deep');
  return text.slice(0, node.range[0]) + scalar(value) + text.slice(node.range[1]);
}

/** The lines of `name: value` at the root. */
function pairPlace(text: string, document: Document, name: string): Place | null {
  const root = document.contents;
  if (!isMap(root)) return null;
  const pair = root.items.find(({ key }) => isScalar(key) && key.value === name);
  const key = pair?.key;
  if (!isScalar(key) || !key.range) return null;
  const value: unknown = pair?.value;
  const end =
    isScalar(value) || isSeq(value) || isMap(value) ? (value.range?.[1] ?? key.range[1]) : key.range[1];
  return { start: lineStart(text, key.range[0]), end: lineEnd(text, end) };
}

const itemNamed = (list: YAMLSeq, name: string) =>
  list.items.find((each) => isMap(each) && each.get('name') === name);

/** The lines of the item of this name. */
function itemPlace(text: string, list: YAMLSeq, name: string): Place | null {
  const item = itemNamed(list, name);
  if (!isMap(item) || !item.range) return null;
  return { start: lineStart(text, item.range[0]), end: lineEnd(text, item.range[1]) };
}

function indentOf(text: string, list: YAMLSeq): string {
  const [item] = list.items;
  const at = isMap(item) || isScalar(item) ? item.range?.[0] : undefined;
  return at === undefined ? '  ' : (/^[ \t]*/.exec(text.slice(lineStart(text, at)))?.[0] ?? '');
}

function itemLines(value: Record<string, unknown>, indent: string): string[] {
  return Object.entries(value).map(
    ([name, inner], index) => `${indent}${index === 0 ? '- ' : '  '}${name}: ${scalar(inner)}`,
  );
}

/** On one line, plain where that is safe. */
const scalar = (value: unknown) => stringify(value, { lineWidth: 0 }).trimEnd();

const lineStart = (text: string, at: number) => text.lastIndexOf('\n', at - 1) + 1;

/** Behind the line end; a collection's own end stands there already. */
function lineEnd(text: string, at: number): number {
  if (text[at - 1] === '\n') return at;
  const next = text.indexOf('\n', at);
  return next === -1 ? text.length : next + 1;
}

const withLineEnd = (text: string, eol: string) => (text === '' || text.endsWith('\n') ? text : text + eol);
