/** The body of a client's request, whole and unpacked, within what is taken. */
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib';
import { codeOf } from '#shared/caught.ts';
import { Refusal } from '#shared/errors.ts';
import { entryOf } from '../base/entry.ts';

/** As large as the largest request a provider takes (Gemini: 100 MB with inline data), and no larger. */
const MAX_BODY_BYTES = 128 * 1024 * 1024;

/** A socket is read in pieces of this size: a body no longer than that is one piece or two. */
const SOCKET_READ_BYTES = 64 * 1024;
/** Up to here memory is taken by the length that is announced; whoever announces more has to send it first. */
const MAX_TAKEN_AHEAD_BYTES = 16 * 1024 * 1024;

const decoders: Readonly<
  Record<string, (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>
> = {
  gzip: promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip),
  'x-gzip': promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip),
  deflate: promisify<Buffer, { maxOutputLength: number }, Buffer>(inflate),
  br: promisify<Buffer, { maxOutputLength: number }, Buffer>(brotliDecompress),
  zstd: promisify<Buffer, { maxOutputLength: number }, Buffer>(zstdDecompress),
};

function tooLarge(): Refusal {
  return new Refusal(
    'body_too_large',
    `The request is larger than ${MAX_BODY_BYTES / 1024 / 1024} MB. Send less in one request.`,
  );
}

/** The whole body, unpacked: what is metered must be what is sent. @throws Refusal also before the promise. */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > MAX_BODY_BYTES) throw tooLarge();
  const body = collect(request, announced);
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  return encoding === 'identity' || encoding === '' ? body : decoded(body, encoding);
}

async function decoded(packed: Promise<Buffer>, encoding: string): Promise<Buffer> {
  const body = await packed;
  const decode = entryOf(decoders, encoding);
  if (!decode)
    throw new Refusal(
      'bad_request',
      `The content encoding "${encoding}" is not understood. Send gzip, deflate, br, zstd or none.`,
    );
  try {
    return await decode(body, { maxOutputLength: MAX_BODY_BYTES });
  } catch (cause) {
    if (codeOf(cause) === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw new Refusal('bad_request', `The body is not valid ${encoding}.`, { cause });
  }
}

/** Listeners and no iterator: that costs more than the rest of reading a small body. */
function collect(request: IncomingMessage, announced: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Filled as the pieces come, which are garbage at once: kept until the end they are as long as the body again.
    const whole =
      announced > SOCKET_READ_BYTES && announced <= MAX_TAKEN_AHEAD_BYTES
        ? Buffer.allocUnsafeSlow(announced)
        : null;
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      if (whole === null) chunks.push(chunk);
      else chunk.copy(whole, length);
      length += chunk.length;
      if (length <= MAX_BODY_BYTES) return;
      reject(tooLarge());
      request.destroy();
    });
    request.on('end', () => {
      if (whole !== null) resolve(whole.subarray(0, length));
      else resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, length));
    });
    request.on('error', reject);
  });
}
