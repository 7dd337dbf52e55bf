import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { MillraceError } from '../../../errors.ts';

/** A piece of what comes out: the reads from a socket are of this size too. */
const pieceBytes = 65_536;
/** Of what is compressed: it may stand for a thousand times as much. */
const readAheadBytes = 16_384;

/**
 * What a gzip coding (RFC 1952) stands for, as it comes and no faster than it is asked for: however much a few bytes
 * expand to, a piece of it is in memory. Throws `invalid_input` for bytes that are not gzip or end too early.
 */
export async function* gunzipped(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let failure: unknown;
  async function* guarded(): AsyncGenerator<Buffer> {
    try {
      yield* bytes;
    } catch (error) {
      failure = error;
      throw error;
    }
  }
  const gunzip = createGunzip({ chunkSize: pieceBytes });
  const source = Readable.from(guarded(), { objectMode: false, highWaterMark: readAheadBytes });
  const plain = pipeline(source, gunzip, () => undefined);
  try {
    yield* plain as AsyncIterable<Buffer>;
  } catch (error) {
    throw failure ?? notGzip(error);
  } finally {
    plain.destroy();
  }
}

/** Passes bytes on and throws `payload_too_large` once there are more than `bytesMax`. */
export async function* bounded(bytes: AsyncIterable<Buffer>, bytesMax: number): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const piece of bytes) {
    length += piece.byteLength;
    if (length > bytesMax) throw tooLarge(bytesMax);
    yield piece;
  }
}

export function tooLarge(bytesMax: number): MillraceError {
  return new MillraceError('payload_too_large', undefined, {
    details: [{ path: '(root)', expected: `at most ${bytesMax} bytes, expanded`, found: 'more' }],
  });
}

function notGzip(cause: unknown): MillraceError {
  return new MillraceError('invalid_input', 'The body is not valid gzip', {
    details: [{ path: '(root)', expected: 'gzip (RFC 1952), to its end', found: 'something else' }],
    cause,
  });
}
