/**
 * Finds a key that sends the same request over and over. A loop is one request after the other, each sent when the one
 * before was answered: the same request many times at once is a load, an answer that failed is tried again, and neither
 * counts. Nothing of a request is kept but a checksum, in memory.
 */
import { crc32 } from 'node:zlib';
import type { LoopBrakeSettings } from '#shared/model.ts';

/** What makes two requests the same. */
export interface Sent {
  keyId: string;
  /** Where it goes, such as `/chat/completions`. */
  path: string;
  body: Buffer;
  /** As the steps of an agent do. */
  declaresTools: boolean;
}

export interface Step {
  /** `inFull`: with a complete answer. The first call counts. */
  ended(inFull: boolean): void;
}

export interface LoopBrake {
  /** A billable request is about to be sent. `loop`: how often the same was answered before it, where that is too often. */
  enter(sent: Sent): { loop: number } | { step: Step };
  forget(keyId: string): void;
}

interface Repeated {
  answered: number;
  since: number;
  running: number;
  /** Goes up whenever the row is broken, so that requests of the old row do not count in the new one. */
  row: number;
}

const uncounted: Step = { ended: () => {} };

/** Requests remembered of one key: a loop of several steps in turn is found as well. */
const REMEMBERED = 16;

/** No model on a network answers sooner: what does is a stand-in for one, and its requests are a test's. */
const MODEL_MS = 50;

export function createLoopBrake(options: {
  settings(): LoopBrakeSettings | null;
  now: () => number;
}): LoopBrake {
  const { settings, now } = options;
  const seen = new Map<string, Map<string, Repeated>>();

  function repeated({ keyId, path, body }: Sent): Repeated {
    let ofKey = seen.get(keyId);
    if (ofKey === undefined) seen.set(keyId, (ofKey = new Map<string, Repeated>()));
    const signature = `${path} ${body.length} ${crc32(body)}`;
    const found = ofKey.get(signature) ?? { answered: 0, since: now(), running: 0, row: 0 };
    ofKey.delete(signature);
    ofKey.set(signature, found);
    const [oldest] = ofKey.keys();
    if (ofKey.size > REMEMBERED && oldest !== undefined) ofKey.delete(oldest);
    return found;
  }

  return {
    enter(sent) {
      const brake = settings();
      if (brake === null || (brake.agentsOnly && !sent.declaresTools)) return { step: uncounted };
      const same = repeated(sent);
      const at = now();
      if (same.running > 0 || at - same.since > brake.seconds * 1000) {
        same.row += 1;
        same.answered = 0;
        same.since = at;
      }
      if (same.answered >= brake.requests) return { loop: same.answered };
      const { row } = same;
      same.running += 1;
      let over = false;
      const ended = (inFull: boolean) => {
        if (over) return;
        over = true;
        same.running -= 1;
        const slowEnough = !brake.agentsOnly || now() - at >= MODEL_MS;
        if (inFull && slowEnough && same.row === row) same.answered += 1;
      };
      return { step: { ended } };
    },
    forget: (keyId) => void seen.delete(keyId),
  };
}
