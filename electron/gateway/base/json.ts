/**
 * Reads and edits a JSON object as bytes, without building it: a request of five megabytes is scanned once for the
 * few fields that matter, and an edit replaces those bytes alone.
 */
import { noteSign, type Sign } from './signs.ts';
import { Words } from './words.ts';

/** The top-level fields of a JSON object that lies in `bytes`. */
export interface JsonFields {
  readonly bytes: Buffer;
  has(name: string): boolean;
  /** The parsed value of a top-level field; undefined where it is absent or cannot be parsed. */
  get(name: string): unknown;
  /** Whether this stands anywhere as a name or a value: a cheap over-approximation of "this feature is used". */
  contains(sign: Sign): boolean;
}

/**
 * Sets the value at `path` to the JSON text `json`, adding objects on the way where they are missing. A number is the
 * index of an element that is there.
 */
export interface JsonEdit {
  path: readonly [string, ...(string | number)[]];
  json: string;
}

/** What `scanObject` returns: the fields, and what a parser would hide. */
export interface JsonObject extends JsonFields {
  /** Names that stand more than once at the top level: parsers disagree about which of the values counts. */
  readonly duplicates: ReadonlySet<string>;
  /** Names at the top level, each once. */
  names(): Iterable<string>;
  /** A field that is an object itself, scanned in turn; null where it is none. */
  object(name: string): JsonObject | null;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Where a call of the native search begins to cost less than a loop. */
const NEAR = 128;

/** No protocol has a hundred fields. A name is made of each, and millions of them would keep everyone else waiting. */
export const MAX_MEMBERS = 10_000;

/** Not found, or not JSON: the scanners below return an index, and this where there is none. */
const NONE = -1;

/**
 * The top-level fields of the JSON object that is all of `bytes` (a byte order mark and white space around it are
 * allowed), in one pass; null where it is no object, does not end, or has more than MAX_MEMBERS fields. What lies inside
 * a value is not checked: `get` gives undefined for a value that cannot be parsed. Where a name is repeated the last
 * value counts, as in JSON.parse.
 */
export function scanObject(bytes: Buffer): JsonObject | null {
  const start = objectStart(bytes);
  if (start === NONE) return null;
  const scanned = new ScannedObject(bytes);
  const end = scanMembers(bytes, start, scanned, scanned.signs, MAX_MEMBERS);
  return end === NONE || skipSpace(bytes, end) !== bytes.length ? null : scanned;
}

const noNames: ReadonlySet<string> = new Set();

/** A class and no closures: there are two for each request, and their functions are then shared. */
class ScannedObject implements JsonObject, Visitor {
  readonly bytes: Buffer;
  readonly signs = new Set<Sign>();
  readonly #spans = new Map<string, Span>();
  #duplicates: Set<string> | undefined;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  member(name: string, start: number, end: number): void {
    if (this.#spans.has(name)) (this.#duplicates ??= new Set()).add(name);
    this.#spans.set(name, { start, end });
  }

  get duplicates(): ReadonlySet<string> {
    return this.#duplicates ?? noNames;
  }

  names(): Iterable<string> {
    return this.#spans.keys();
  }

  has(name: string): boolean {
    return this.#spans.has(name);
  }

  get(name: string): unknown {
    const span = this.#spans.get(name);
    return span === undefined
      ? undefined
      : parseOr(this.bytes.toString('utf8', span.start, span.end), undefined);
  }

  contains(sign: Sign): boolean {
    return this.signs.has(sign);
  }

  object(name: string): JsonObject | null {
    const span = this.#spans.get(name);
    return span === undefined ? null : scanObject(this.bytes.subarray(span.start, span.end));
  }
}

/**
 * `bytes` with the edits made and every other byte as it was. A value on the way that is no object is replaced by one;
 * a missing field is added at the end of its object; where a name is repeated every one of its values is set, so that
 * no parser can read another. Bytes that are no JSON object come back unchanged.
 */
export function applyEdits(bytes: Buffer, edits: readonly JsonEdit[]): Buffer {
  if (edits.length === 0) return bytes;
  const start = objectStart(bytes);
  if (start === NONE) return bytes;
  const changes: Change[] = [];
  if (planChanges(bytes, start, editTree(edits), changes) === NONE) return bytes;

  const pieces: Buffer[] = [];
  let copied = 0;
  for (const change of changes) {
    pieces.push(bytes.subarray(copied, change.start), Buffer.from(change.text));
    copied = change.end;
  }
  pieces.push(bytes.subarray(copied));
  return Buffer.concat(pieces);
}

interface Span {
  start: number;
  end: number;
}

/** Told of the members of an object in turn, each with where its value lies. */
interface Visitor {
  member(name: string, start: number, end: number): void;
}

interface Change extends Span {
  text: string;
}

/** Edits by name: JSON text where a path ends, the edits of the next level where it goes on. */
type EditTree = Map<string | number, string | EditTree>;

function editTree(edits: readonly JsonEdit[]): EditTree {
  const root: EditTree = new Map();
  for (const { path, json } of edits) {
    let level = root;
    for (const name of path.slice(0, -1)) {
      const next = level.get(name);
      const branch: EditTree = next instanceof Map ? next : new Map();
      level.set(name, branch);
      level = branch;
    }
    level.set(path.at(-1) ?? path[0], json);
  }
  return root;
}

/** Collects the changes of one object and those inside it, in the order of the bytes; returns where the object ends. */
function planChanges(bytes: Buffer, open: number, edits: EditTree, changes: Change[]): number {
  const missing = new Map(edits);
  let lastEnd = open + 1;
  let empty = true;
  const member: Visitor['member'] = (name, valueStart, valueEnd) => {
    empty = false;
    lastEnd = valueEnd;
    const edit = edits.get(name);
    if (edit === undefined) return;
    missing.delete(name);
    if (edit instanceof Map && bytes[valueStart] === OPEN_BRACE)
      planChanges(bytes, valueStart, edit, changes);
    else if (edit instanceof Map && bytes[valueStart] === OPEN_BRACKET && hasIndex(edit))
      planElements(bytes, valueStart, edit, changes);
    else changes.push({ start: valueStart, end: valueEnd, text: editText(edit) });
  };
  const end = scanMembers(bytes, open, { member });
  if (end === NONE || missing.size === 0) return end;
  const added = [...missing]
    .map(([name, edit]) => `${JSON.stringify(String(name))}:${editText(edit)}`)
    .join(',');
  changes.push({ start: lastEnd, end: lastEnd, text: empty ? added : `,${added}` });
  return end;
}

const hasIndex = (edits: EditTree) => [...edits.keys()].some((key) => typeof key === 'number');

/** The changes inside the elements of an array; an element that is missing or no object stays so. */
function planElements(bytes: Buffer, open: number, edits: EditTree, changes: Change[]): void {
  let at = skipSpace(bytes, open + 1);
  for (let index = 0; bytes[at] !== CLOSE_BRACKET; index++) {
    const end = skipValue(bytes, at);
    if (end === NONE) return;
    const edit = edits.get(index);
    if (edit instanceof Map && bytes[at] === OPEN_BRACE) planChanges(bytes, at, edit, changes);
    at = skipSpace(bytes, end);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
}

function editText(edit: string | EditTree): string {
  if (typeof edit === 'string') return edit;
  return `{${[...edit].map(([name, inner]) => `${JSON.stringify(String(name))}:${editText(inner)}`).join(',')}}`;
}

function objectStart(bytes: Buffer): number {
  // RFC 8259, section 8.1: a parser may ignore a byte order mark.
  const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const start = skipSpace(bytes, marked ? 3 : 0);
  return bytes[start] === OPEN_BRACE ? start : NONE;
}

/**
 * Tells of the members of the object that opens at `open`; returns the index behind its end. `signs`: see skipValue.
 * Nobody but scanObject sets `most`: an edit that stopped half-way would leave what it is to change as it was.
 */
function scanMembers(
  bytes: Buffer,
  open: number,
  visitor: Visitor,
  signs: Set<Sign> | null = null,
  most = Infinity,
): number {
  let at = skipSpace(bytes, open + 1);
  if (bytes[at] === CLOSE_BRACE) return at + 1;
  for (let members = 0; members < most; members++) {
    if (bytes[at] !== QUOTE) return NONE;
    const nameEnd = skipString(bytes, at);
    if (nameEnd === NONE) return NONE;
    if (signs !== null) noteSign(signs, bytes, at + 1, nameEnd - 1);
    const name = commonNames.find(bytes, at + 1, nameEnd - 1) ?? memberName(bytes, at, nameEnd);
    at = skipSpace(bytes, nameEnd);
    if (bytes[at] !== COLON) return NONE;
    const start = skipSpace(bytes, at + 1);
    const end = skipValue(bytes, start, signs);
    if (end === NONE) return NONE;
    visitor.member(name, start, end);
    at = skipSpace(bytes, end);
    if (bytes[at] === CLOSE_BRACE) return at + 1;
    if (bytes[at] !== COMMA) return NONE;
    at = skipSpace(bytes, at + 1);
  }
  return NONE;
}

/** Top-level names of most requests and answers: no string is made of them each time. */
const commonNames = new Words([
  'model',
  'messages',
  'input',
  'contents',
  'system',
  'instructions',
  'tools',
  'tool_choice',
  'stream',
  'stream_options',
  'temperature',
  'top_p',
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'metadata',
  'store',
  'id',
  'type',
  'role',
  'object',
  'created',
  'choices',
  'content',
  'output',
  'candidates',
  'usage',
  'usageMetadata',
  'service_tier',
  'stop_reason',
  'error',
]);

/** The name with its escapes read: `"mod\u0065l"` is `model`, and must not get past whoever looks for that. */
function memberName(bytes: Buffer, start: number, end: number): string {
  const inner = bytes.toString('utf8', start + 1, end - 1);
  if (!inner.includes('\\')) return inner;
  const parsed = parseOr(`"${inner}"`, inner);
  return typeof parsed === 'string' ? parsed : inner;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  for (; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
  }
  return at;
}

/** From the opening quote to behind the closing one. */
function skipString(bytes: Buffer, open: number): number {
  const { length } = bytes;
  let at = open + 1;
  for (;;) {
    // Byte by byte as long as quotes are near, as in source code; the native search for what is far, as in images.
    for (const near = Math.min(at + NEAR, length); at < near; at++) {
      const byte = bytes[at];
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) return at + 1;
    }
    if (at >= length) return NONE;
    const quote = bytes.indexOf(QUOTE, at);
    if (quote === NONE) return NONE;
    let slashes = 0;
    while (quote - 1 - slashes >= at && bytes[quote - 1 - slashes] === BACKSLASH) slashes++;
    at = quote + 1;
    if (slashes % 2 === 0) return at;
  }
}

/** The index behind the value. The signs among its strings are added to `signs`. */
function skipValue(bytes: Buffer, start: number, signs: Set<Sign> | null = null): number {
  const first = bytes[start];
  if (first === QUOTE) {
    const end = skipString(bytes, start);
    if (signs !== null && end !== NONE) noteSign(signs, bytes, start + 1, end - 1);
    return end;
  }
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return skipNested(bytes, start, signs);
  let at = start;
  for (; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte <= 0x20 || byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET) break;
  }
  return at === start ? NONE : at;
}

/** A counter and not a call for each level: a body of a million brackets must not end the process. */
function skipNested(bytes: Buffer, start: number, signs: Set<Sign> | null): number {
  const { length } = bytes;
  let depth = 0;
  for (let at = start; at < length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      const open = at;
      at = skipString(bytes, open) - 1;
      if (at < start) return NONE;
      if (signs !== null) noteSign(signs, bytes, open + 1, at);
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at + 1;
  }
  return NONE;
}

function parseOr(text: string, otherwise: string | undefined): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return otherwise;
  }
}
