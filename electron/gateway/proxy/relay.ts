/**
 * The pass-through of one answer: bytes from the provider to the client as they came, with back-pressure both ways,
 * through the meter, to exactly one settlement however it ends.
 */
import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Transform } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { Dispatcher } from 'undici';
import type { AnswerReader } from '../dialects/dialect.ts';
import { nothing, type EndingCode, type Framing, type Meter } from '../metering/framing.ts';
import { createMeter } from '../metering/meter.ts';
import type { Withheld } from '../upstream/fallback.ts';
import { neverArrived, responseHeaders } from '../upstream/upstream.ts';
import { COST_HEADER } from './answer-headers.ts';
import { writeChunk } from './chunked.ts';
import { cutOff } from './connection.ts';
import type { Ending } from './settlement.ts';

export interface RelayOptions {
  response: ServerResponse;
  /** null for a free call: passed through, not metered. */
  reader: AnswerReader | null;
  /** Asked once the answer begins: the gateway asked for the usage, and what carries it alone is not the client's. */
  hideUsage: () => boolean;
  /** The client asked for a stream; decides whether an answer nobody waits for is read to its end. */
  stream: boolean;
  /** Gemini streams a JSON array unless asked for events. */
  jsonArray: boolean;
  /** Of an answer with this status nothing is sent on until all of it is there, and then it is for `withheld` alone. */
  withholds: (status: number) => boolean;
  withheld(answer: Withheld): void;
  /** Headers the gateway adds to the answer. */
  extraHeaders: readonly string[];
  /** The client takes trailers (RFC 9110, section 6.5.1): what is known only at the end goes there. */
  trailers: boolean;
  /** How long a stream is read on after its client has gone: clients close right after the last event. */
  graceMs: number;
  now: () => number;
  /** Asked while a stream runs: a sentence for the person once it has gone beyond what it was allowed; else null. */
  overspent: () => string | null;
  /**
   * Called exactly once, before the client can have seen the end of a complete answer. Returns headers that are known
   * only now; where that takes time, the end waits for it. Never rejects.
   */
  settle(ending: Ending): readonly string[] | Promise<readonly string[]>;
  /** No answer to pass on: the provider failed before its headers. */
  fail(error: Error): void;
  /** Called once everything is over. */
  done(): void;
}

/** How long the end of a stream may follow its last event. */
const END_FOLLOWS_MS = 20;

/**
 * How long the headers of an answer in one piece wait for its body, so that they can say what it cost. The body follows
 * at once, but for providers that send blanks while the model works: those are passed on as they come.
 */
const HEAD_WAITS_MS = 30;

/** An answer that is longer or takes longer than a provider's refusal does is not withheld after all. */
const MAX_WITHHELD_BYTES = 65_536;
const MAX_WITHHELD_MS = 5_000;

/**
 * Up to here the end of an answer is given to Node as text of one byte a character, which are the same bytes: text
 * leaves in one string with the headers, bytes in a list of two. What does not fit on Node's stack (16 KB in
 * StreamBase::WriteString) would be copied once more.
 */
const MAX_TEXT_BYTES = 12 * 1024;

/** Where an ending starts with JSON. */
const BRACE = 0x7b;
/** How far apart two writes are not read as one. */
const APART_MS = 30;

/** Thrown into the upstream request to end it; never shown. */
class Ended extends Error {}

/** A class and no closures: there is one for each request, and its functions are then shared. */
export class Relay implements Dispatcher.DispatchHandler {
  readonly #options: RelayOptions;
  readonly #response: ServerResponse;
  readonly #reader: AnswerReader | null;
  readonly #startedAt: number;
  #controller: Dispatcher.DispatchController | undefined;
  #meter: Meter | undefined;
  #decoder: Transform | undefined;
  #status = 0;
  #reason = '';
  #firstByteAt: number | null = null;
  #settled = false;
  #settling: Promise<void> | undefined;
  #finished = false;
  #clientGone = false;
  #grace: NodeJS.Timeout | undefined;
  /** Of what looks like the last event, until the cost is on record. */
  #last: Buffer | undefined;
  #lastTimer: NodeJS.Timeout | undefined;
  /** What `settle` returned: headers that were not known before. */
  #lateHeaders: readonly string[] = [];
  /** The answer's headers as long as they wait, and the bytes that wait behind them. */
  #head: string[] | undefined;
  #behindHead: Buffer[] = [];
  #headIsOut = false;
  /** What is left of the length that the headers announce; Infinity where they announce none. */
  #owed = Infinity;
  #headTimer: NodeJS.Timeout | undefined;
  #trailing = false;
  #withholding = false;
  #withheldBytes = 0;
  readonly #onClose = () => this.#clientClosed();
  readonly #onDrain = () => this.#resume();

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#response = options.response;
    this.#reader = options.reader;
    this.#startedAt = options.now();
    // The response's close, not the request's: that one fires as soon as the body is read.
    this.#response.on('close', this.#onClose);
    this.#response.on('drain', this.#onDrain);
  }

  onRequestStart(started: Dispatcher.DispatchController): void {
    this.#controller = started;
    if (this.#finished) started.abort(new Ended('stopped before it was sent'));
  }

  onResponseStart(
    started: Dispatcher.DispatchController,
    statusCode: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    statusMessage?: string,
  ): void {
    // 1xx are not the answer.
    if (statusCode < 200 || this.#finished) return;
    const options = this.#options;
    this.#status = statusCode;
    this.#reason = reasonOf(statusCode, statusMessage);
    const encoding = String(headers['content-encoding'] ?? 'identity')
      .trim()
      .toLowerCase();
    this.#decoder = decoderFor(encoding);
    const hideUsage = options.hideUsage();
    const contentType = String(headers['content-type'] ?? '').toLowerCase();
    // A refused request costs nothing, but for a provider that says in the error what it used before it failed.
    if (this.#reader !== null && (statusCode < 300 || (statusCode >= 400 && contentType.includes('json')))) {
      // An encoding that cannot be read is passed on unread; the cost is then an estimate, and says so.
      const readable = encoding === 'identity' || this.#decoder !== undefined;
      const expected = { contentType, stream: options.stream, jsonArray: options.jsonArray };
      const framing = readable ? expected : 'opaque';
      this.#meter = createMeter({ reader: this.#reader, framing, hideUsage });
    }
    if (this.#decoder) this.#readDecoded(this.#decoder);
    if (this.#clientGone) return;
    const raw = Array.isArray(started.rawHeaders) ? started.rawHeaders : [];
    const bodyChanged = hideUsage || this.#decoder !== undefined;
    this.#head = [...responseHeaders(raw, bodyChanged), ...options.extraHeaders];
    this.#withholding = options.withholds(statusCode);
    const inOnePiece = this.#meter !== undefined && !options.stream && contentType.includes('json');
    if (this.#withholding) this.#headTimer = setTimeout(() => this.#sendHead(), MAX_WITHHELD_MS);
    else if (inOnePiece) this.#headTimer = setTimeout(() => this.#sendHead(), HEAD_WAITS_MS);
    else this.#sendHead();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#firstByteAt ??= this.#options.now();
    if (this.#finished) return;
    if (this.#decoder === undefined) this.#deliver(chunk);
    else if (!this.#decoder.write(chunk)) this.#controller?.pause();
  }

  onResponseEnd(): void {
    if (this.#decoder === undefined) this.#complete();
    else this.#decoder.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }

  /** The provider's side broke. */
  fail(error: Error): void {
    if (this.#finished) return;
    // Asked for first: what an end of the bytes makes of the last event was not sent.
    const ending = this.#endingOf('The provider ended the answer before it was complete.', 'upstream');
    const rest = this.#meter?.end() ?? nothing;
    // A connection that breaks behind the end of an answer takes nothing from it.
    if (this.#meter?.complete === true && this.#meter.framing !== 'opaque') return this.#finishWhole(rest);
    this.#settle('upstream-gone', error);
    this.#afterSettling(() => {
      // An answer that has begun is cut where it broke: no other one takes its place.
      this.#sendHead();
      if (!this.#clientGone) {
        if (this.#response.headersSent) this.#endEarly(ending);
        else this.#options.fail(error);
      }
      this.#finish();
    });
  }

  /** Ends the request now, with the dialect's own ending where the client already has a part of the answer. */
  stop(message: string): void {
    this.#stop(message, 'stopped');
  }

  #readDecoded(decoder: Transform): void {
    decoder.on('data', (chunk: Buffer) => this.#deliver(chunk));
    decoder.on('end', () => this.#complete());
    decoder.on('error', (error) => {
      this.fail(error);
      this.#controller?.abort(new Ended('the answer cannot be decoded'));
    });
    decoder.on('drain', () => {
      if (this.#clientGone || !this.#response.writableNeedDrain) this.#controller?.resume();
    });
  }

  #settle(how: Ending['how'], error?: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    const { now } = this.#options;
    const headers = this.#options.settle({
      status: this.#status,
      how,
      // Without a controller it has not been written to any connection.
      neverArrived: error !== undefined && (this.#controller === undefined || neverArrived(error)),
      firstByteMs: this.#firstByteAt === null ? null : this.#firstByteAt - this.#startedAt,
      durationMs: now() - this.#startedAt,
    });
    if (headers instanceof Promise)
      this.#settling = headers.then((known) => void (this.#lateHeaders = known));
    else this.#lateHeaders = headers;
  }

  /** At once where the settlement took no time; otherwise unless everything is over by then. */
  #afterSettling(act: () => void): void {
    if (this.#settling === undefined) act();
    else void this.#settling.then(() => (this.#finished ? undefined : act()));
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#grace);
    clearTimeout(this.#lastTimer);
    clearTimeout(this.#headTimer);
    this.#response.off('close', this.#onClose);
    this.#response.off('drain', this.#onDrain);
    this.#decoder?.destroy();
    if (this.#settling === undefined) this.#options.done();
    else void this.#settling.then(() => this.#options.done());
  }

  #send(bytes: Buffer): void {
    if (this.#clientGone || bytes.length === 0) return;
    if (this.#head !== undefined) {
      this.#behindHead.push(bytes);
      this.#withheldBytes += bytes.length;
      if (this.#withholding && this.#withheldBytes > MAX_WITHHELD_BYTES) this.#sendHead();
      return;
    }
    this.#owed -= bytes.length;
    if (!(this.#headIsOut ? writeChunk(this.#response, bytes) : this.#response.write(bytes))) {
      this.#controller?.pause();
      // What is unpacked can be a thousand times as long as what has arrived.
      this.#decoder?.pause();
    }
  }

  /** Where the end follows at once they leave with it, in one write to the socket. */
  #sendHead(endFollows = false): void {
    clearTimeout(this.#headTimer);
    this.#withholding = false;
    const head = this.#head;
    if (head === undefined || this.#clientGone) return;
    const hasBody = this.#status !== 204 && this.#status !== 304;
    const named = head.findIndex((text, index) => index % 2 === 0 && text.toLowerCase() === 'content-length');
    if (named !== -1 && hasBody) this.#owed = Number(head[named + 1]);
    // Node throws where trailers are announced for what it does not send in chunks.
    const inPieces = named === -1 && hasBody && this.#response.req.httpVersion !== '1.0';
    const announced = this.#options.trailers && this.#reader !== null && !this.#settled && inPieces;
    this.#response.writeHead(
      this.#status,
      this.#reason,
      announced ? [...head, 'trailer', COST_HEADER] : [...head, ...this.#lateHeaders],
    );
    this.#head = undefined;
    if (!endFollows) {
      this.#response.flushHeaders();
      this.#headIsOut = true;
    }
    if (announced) this.#trailing = true;
    for (const bytes of this.#behindHead) this.#send(bytes);
    this.#behindHead = [];
  }

  #end(bytes: Buffer): void {
    const response = this.#response;
    if (this.#trailing) response.addTrailers(pairsOf(this.#lateHeaders));
    this.#owed -= bytes.length;
    // A client that keeps the connection would wait for the rest of what was announced, or take the next answer for it.
    if (this.#owed > 0 && this.#owed !== Infinity)
      response.prependOnceListener('finish', () => response.req.socket.destroySoon());
    if (bytes.length > MAX_TEXT_BYTES) response.end(bytes);
    else response.end(bytes.toString('latin1'), 'latin1');
  }

  #resume(): void {
    this.#decoder?.resume();
    this.#controller?.resume();
  }

  #clientClosed(): void {
    if (this.#finished || this.#response.writableFinished) return;
    this.#clientGone = true;
    // Nobody takes the bytes any more, so nothing may hold the provider back.
    this.#resume();
    const { reader, stream, graceMs } = this.#options;
    if (reader !== null && !this.#settled && !stream) return;
    this.#grace = setTimeout(
      () => {
        this.#settle('client-gone');
        this.#finish();
        this.#controller?.abort(new Ended('the client has gone'));
      },
      reader === null || this.#settled ? 0 : graceMs,
    );
  }

  /**
   * The cost is on record before the client has the end of the answer: the bytes of what looks like the last event
   * wait for the provider to end the stream, which it does at once, or for a blink.
   */
  #releaseLast(): void {
    clearTimeout(this.#lastTimer);
    const bytes = this.#last;
    this.#last = undefined;
    if (bytes) this.#send(bytes);
  }

  #deliver(chunk: Buffer): void {
    const meter = this.#meter;
    if (meter === undefined) return this.#send(chunk);
    const bytes = meter.push(chunk);
    this.#releaseLast();
    const tooMuch =
      meter.complete || this.#settled || !isStream(meter.framing) ? null : this.#options.overspent();
    if (tooMuch !== null) {
      this.#send(bytes);
      return this.#stop(tooMuch, 'limit_reached');
    }
    if (!meter.complete || this.#settled) return this.#send(bytes);
    this.#last = bytes;
    this.#lastTimer = setTimeout(() => {
      this.#settle('complete');
      this.#afterSettling(() => this.#releaseLast());
    }, END_FOLLOWS_MS);
  }

  #complete(): void {
    if (this.#finished) return;
    const rest = this.#meter?.end() ?? nothing;
    if (this.#meter?.complete === false && isStream(this.#meter.framing)) {
      // The end of the file, but not of the stream.
      this.#send(rest);
      this.fail(new Error('the stream has no end'));
    } else this.#finishWhole(rest);
  }

  #finishWhole(rest: Buffer): void {
    this.#settle('complete');
    this.#afterSettling(() => {
      if (this.#withholding && this.#head !== undefined) {
        this.#releaseLast();
        this.#options.withheld({
          status: this.#status,
          headers: [...this.#head, ...this.#lateHeaders],
          body: Buffer.concat([...this.#behindHead, rest]),
        });
        return this.#finish();
      }
      this.#sendHead(true);
      this.#releaseLast();
      if (!this.#clientGone) this.#end(rest);
      this.#finish();
    });
  }

  /** Never a bare end of file: some agents take it for an answer to go on from, for ever. */
  #endEarly(ending: Buffer): void {
    if (this.#owed === 0) return this.#end(nothing);
    // What is too long for the length that was announced would be read as the start of the next answer.
    if (ending.length === 0 || ending.length > this.#owed) return cutOff(this.#response);
    const bare = ending[0] === BRACE ? ending.indexOf('\n\n') + 2 : 0;
    if (bare === 0) return this.#end(ending);
    this.#settling = this.#endInPieces(ending.subarray(0, bare), ending.subarray(bare), this.#settling);
  }

  /** An error that is no event is seen only by who reads it alone: Gemini CLI parses what one read brings. */
  async #endInPieces(bare: Buffer, rest: Buffer, before: Promise<void> | undefined): Promise<void> {
    await before;
    await delay(APART_MS);
    this.#owed -= bare.length;
    this.#response.write(bare);
    await delay(APART_MS);
    this.#end(rest);
  }

  #endingOf(message: string, code: EndingCode): Buffer {
    return this.#meter?.ending(message, code) ?? nothing;
  }

  #stop(message: string, code: EndingCode): void {
    if (this.#finished) return;
    if (this.#meter?.complete === true && isStream(this.#meter.framing)) this.#finishWhole(nothing);
    this.#settle('stopped');
    if (!this.#clientGone && !this.#finished) {
      if (this.#response.headersSent) this.#endEarly(this.#endingOf(message, code));
      else this.#options.fail(new Stopped(message));
    }
    this.#finish();
    this.#controller?.abort(new Ended(message));
  }
}

/** The request was ended on purpose, with a sentence for the person. */
export class Stopped extends Error {}

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index + 1 < flat.length; index += 2)
    pairs.push([flat[index] ?? '', flat[index + 1] ?? '']);
  return pairs;
}

/** The provider's own words behind the status, where they are ASCII: others are not given as bytes. */
function reasonOf(status: number, words: string | undefined): string {
  return words === undefined || !/^[\t\x20-\x7e]*$/.test(words) ? (STATUS_CODES[status] ?? '') : words;
}

function isStream(framing: Framing): boolean {
  return framing === 'sse' || framing === 'json-array';
}

function decoderFor(encoding: string): Transform | undefined {
  switch (encoding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'br':
      return createBrotliDecompress();
    case 'deflate':
      return createInflate();
    case 'zstd':
      return createZstdDecompress();
    default:
      return undefined;
  }
}
