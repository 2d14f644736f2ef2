/**
 * The pass-through of one answer: bytes from the provider to the client as they came, with back-pressure both ways,
 * through the meter, to exactly one settlement however it ends.
 */
import type { ServerResponse } from 'node:http';
import type { Transform } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { Dispatcher } from 'undici';
import { COST_HEADER } from './answer-headers.ts';
import type { AnswerReader } from './dialects/dialect.ts';
import { nothing, type EndingCode, type Framing, type Meter } from './framing.ts';
import { createMeter } from './meter.ts';
import type { Withheld } from './fallback.ts';
import type { Ending } from './settlement.ts';
import { neverArrived, responseHeaders } from './upstream.ts';

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

export interface Relay extends Dispatcher.DispatchHandler {
  /** Ends the request now, with the dialect's own ending where the client already has a part of the answer. */
  stop(message: string): void;
  /** The provider's side broke. */
  fail(error: Error): void;
}

/** How long the end of a stream may follow its last event. */
const LAST_EVENT_MS = 20;

/**
 * How long the headers of an answer in one piece wait for its body, so that they can say what it cost. The body follows
 * at once, but for providers that send blanks while the model works: those are passed on as they come.
 */
const WHOLE_MS = 30;

/** An answer that is longer or takes longer than a provider's refusal does is not withheld after all. */
const WITHHELD_BYTES = 65_536;
const WITHHELD_MS = 5_000;

/** Where an ending starts with JSON. */
const BRACE = 0x7b;
/** How far apart two writes are not read as one. */
const ALONE_MS = 30;

/** Thrown into the upstream request to end it; never shown. */
class Ended extends Error {}

export function createRelay(options: RelayOptions): Relay {
  const { response, reader } = options;
  const startedAt = options.now();
  let controller: Dispatcher.DispatchController | undefined;
  let meter: Meter | undefined;
  let decoder: Transform | undefined;
  let status = 0;
  let firstByteAt: number | null = null;
  let settled = false;
  let settling: Promise<void> | undefined;
  let finished = false;
  let clientGone = false;
  let grace: NodeJS.Timeout | undefined;
  let last: Buffer | undefined;
  let lastTimer: NodeJS.Timeout | undefined;
  let late: readonly string[] = [];
  /** The answer's headers as long as they wait, and the bytes that wait behind them. */
  let head: string[] | undefined;
  let behindHead: Buffer[] = [];
  let headTimer: NodeJS.Timeout | undefined;
  let trailing = false;
  let withholding = false;
  let withheldBytes = 0;

  const settle = (how: Ending['how'], error?: Error) => {
    if (settled) return;
    settled = true;
    const headers = options.settle({
      status,
      how,
      neverArrived: error !== undefined && neverArrived(error),
      firstByteMs: firstByteAt === null ? null : firstByteAt - startedAt,
      durationMs: options.now() - startedAt,
    });
    if (headers instanceof Promise) settling = headers.then((known) => void (late = known));
    else late = headers;
  };

  /** At once where the settlement took no time; otherwise unless everything is over by then. */
  const afterSettling = (act: () => void) => {
    if (settling === undefined) act();
    else void settling.then(() => (finished ? undefined : act()));
  };

  const finish = () => {
    if (finished) return;
    finished = true;
    clearTimeout(grace);
    clearTimeout(lastTimer);
    clearTimeout(headTimer);
    response.off('close', onClientClose);
    response.off('drain', onDrain);
    decoder?.destroy();
    if (settling === undefined) options.done();
    else void settling.then(() => options.done());
  };

  const send = (bytes: Buffer) => {
    if (clientGone || bytes.length === 0) return;
    if (head !== undefined) {
      behindHead.push(bytes);
      withheldBytes += bytes.length;
      if (withholding && withheldBytes > WITHHELD_BYTES) sendHead();
    } else if (!response.write(bytes)) {
      controller?.pause();
      // What is unpacked can be a thousand times as long as what has arrived.
      decoder?.pause();
    }
  };

  /** Where the end follows at once they leave with it, in one write to the socket. */
  const sendHead = (endFollows = false) => {
    clearTimeout(headTimer);
    withholding = false;
    if (head === undefined || clientGone) return;
    const inPieces = !head.some((text, index) => index % 2 === 0 && text.toLowerCase() === 'content-length');
    const announced = options.trailers && reader !== null && !settled && inPieces;
    response.writeHead(status, announced ? [...head, 'trailer', COST_HEADER] : [...head, ...late]);
    head = undefined;
    if (!endFollows) response.flushHeaders();
    if (announced) trailing = true;
    for (const bytes of behindHead) send(bytes);
    behindHead = [];
  };

  const end = (bytes: Buffer) => {
    if (trailing) response.addTrailers(pairsOf(late));
    response.end(bytes);
  };
  const onDrain = () => {
    decoder?.resume();
    controller?.resume();
  };

  // The response's close, not the request's: that one fires as soon as the body is read.
  const onClientClose = () => {
    if (finished || response.writableFinished) return;
    clientGone = true;
    // Nobody takes the bytes any more, so nothing may hold the provider back.
    onDrain();
    if (reader !== null && !settled && !options.stream) return;
    grace = setTimeout(
      () => {
        settle('client-gone');
        finish();
        controller?.abort(new Ended('the client has gone'));
      },
      reader === null || settled ? 0 : options.graceMs,
    );
  };
  response.on('close', onClientClose);
  response.on('drain', onDrain);

  /**
   * The cost is on record before the client has the end of the answer: the bytes of what looks like the last event
   * wait for the provider to end the stream, which it does at once, or for a blink.
   */
  const releaseLast = () => {
    clearTimeout(lastTimer);
    const bytes = last;
    last = undefined;
    if (bytes) send(bytes);
  };

  const deliver = (chunk: Buffer) => {
    if (meter === undefined) return send(chunk);
    const bytes = meter.push(chunk);
    releaseLast();
    const tooMuch = meter.complete || settled || !isStream(meter.framing) ? null : options.overspent();
    if (tooMuch !== null) {
      send(bytes);
      return stop(tooMuch, 'limit_reached');
    }
    if (!meter.complete || settled) return send(bytes);
    last = bytes;
    lastTimer = setTimeout(() => {
      settle('complete');
      afterSettling(releaseLast);
    }, LAST_EVENT_MS);
  };

  const complete = () => {
    if (finished) return;
    const rest = meter?.end() ?? nothing;
    if (meter?.complete === false && isStream(meter.framing)) {
      // The end of the file, but not of the stream.
      send(rest);
      fail(new Error('the stream has no end'));
    } else finishWhole(rest);
  };

  const finishWhole = (rest: Buffer) => {
    settle('complete');
    afterSettling(() => {
      if (withholding && head !== undefined) {
        releaseLast();
        options.withheld({ status, headers: [...head, ...late], body: Buffer.concat([...behindHead, rest]) });
        return finish();
      }
      sendHead(true);
      releaseLast();
      if (!clientGone) end(rest);
      finish();
    });
  };

  const fail = (error: Error) => {
    if (finished) return;
    // Asked for first: what an end of the bytes makes of the last event was not sent.
    const ending = endingOf('The provider ended the answer before it was complete.', 'upstream');
    const rest = meter?.end() ?? nothing;
    // A connection that breaks behind the end of an answer takes nothing from it.
    if (meter?.complete === true && meter.framing !== 'opaque') return finishWhole(rest);
    settle('upstream-gone', error);
    afterSettling(() => {
      // An answer that has begun is cut where it broke: no other one takes its place.
      sendHead();
      if (!clientGone) {
        if (response.headersSent) endEarly(ending);
        else options.fail(error);
      }
      finish();
    });
  };

  /** Never a bare end of file: some agents take it for an answer to go on from, for ever. */
  const endEarly = (ending: Buffer) => {
    if (ending.length === 0) return response.destroy();
    const bare = ending[0] === BRACE ? ending.indexOf('\n\n') + 2 : 0;
    if (bare === 0) return end(ending);
    settling = endInPieces(ending.subarray(0, bare), ending.subarray(bare), settling);
  };

  /** An error that is no event is seen only by who reads it alone: Gemini CLI parses what one read brings. */
  const endInPieces = async (bare: Buffer, rest: Buffer, before: Promise<void> | undefined) => {
    await before;
    await delay(ALONE_MS);
    response.write(bare);
    await delay(ALONE_MS);
    end(rest);
  };
  const endingOf = (message: string, code: EndingCode): Buffer => meter?.ending(message, code) ?? nothing;

  const stop = (message: string, code: EndingCode) => {
    if (finished) return;
    if (meter?.complete === true && isStream(meter.framing)) finishWhole(nothing);
    settle('stopped');
    if (!clientGone && !finished) {
      if (response.headersSent) endEarly(endingOf(message, code));
      else options.fail(new Stopped(message));
    }
    finish();
    controller?.abort(new Ended(message));
  };

  return {
    onRequestStart(started) {
      controller = started;
      if (finished) started.abort(new Ended('stopped before it was sent'));
    },

    onResponseStart(started, statusCode, headers) {
      // 1xx are not the answer.
      if (statusCode < 200 || finished) return;
      status = statusCode;
      const encoding = String(headers['content-encoding'] ?? 'identity').toLowerCase();
      decoder = decoderFor(encoding);
      const hideUsage = options.hideUsage();
      const contentType = String(headers['content-type'] ?? '').toLowerCase();
      // A refused request costs nothing, but for a provider that says in the error what it used before it failed.
      if (reader !== null && (statusCode < 300 || (statusCode >= 400 && contentType.includes('json')))) {
        // An encoding that cannot be read is passed on unread; the cost is then an estimate, and says so.
        const readable = encoding === 'identity' || decoder !== undefined;
        const expected = { contentType, stream: options.stream, jsonArray: options.jsonArray };
        meter = createMeter({ reader, framing: readable ? expected : 'opaque', hideUsage });
      }
      if (decoder) {
        decoder.on('data', deliver);
        decoder.on('end', complete);
        decoder.on('error', (error) => {
          fail(error);
          controller?.abort(new Ended('the answer cannot be decoded'));
        });
        decoder.on('drain', () => {
          if (clientGone || !response.writableNeedDrain) controller?.resume();
        });
      }
      if (clientGone) return;
      const raw = Array.isArray(started.rawHeaders) ? started.rawHeaders : [];
      head = [...responseHeaders(raw, hideUsage || decoder !== undefined), ...options.extraHeaders];
      withholding = options.withholds(statusCode);
      const inOnePiece = meter !== undefined && !options.stream && contentType.includes('json');
      if (withholding) headTimer = setTimeout(() => sendHead(), WITHHELD_MS);
      else if (inOnePiece) headTimer = setTimeout(() => sendHead(), WHOLE_MS);
      else sendHead();
    },

    onResponseData(_controller, chunk) {
      firstByteAt ??= options.now();
      if (finished) return;
      if (decoder === undefined) deliver(chunk);
      else if (!decoder.write(chunk)) controller?.pause();
    },

    onResponseEnd() {
      if (decoder === undefined) complete();
      else decoder.end();
    },

    onResponseError(_controller, error) {
      fail(error);
    },

    fail,

    stop: (message) => stop(message, 'stopped'),
  };
}

/** The request was ended on purpose, with a sentence for the person. */
export class Stopped extends Error {}

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index + 1 < flat.length; index += 2)
    pairs.push([flat[index] ?? '', flat[index + 1] ?? '']);
  return pairs;
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
