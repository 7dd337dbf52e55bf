import type { IncomingMessage } from 'node:http';
import { isUtf8 } from 'node:buffer';
import { MillraceError } from '../../errors.ts';
import { checkDepth, parseJson } from '../../tensors/exact-json.ts';
import type { Exchange } from './exchange.ts';
import { Refusal } from './refusal.ts';

export interface BodyReaderOptions {
  readonly bytesMax: number;
  readonly depthMax: number;
  /**
   * Bytes of the bodies of all requests that are at work, counted as they come and until the answer. Without it,
   * in_flight_max bodies of bytesMax each could hold 4096 × 4 MiB = 16 GiB.
   */
  readonly bufferedBytesMax: number;
}

export interface JsonBody {
  readonly value: unknown;
  /** The text behind the value, for whoever needs numbers that a double cannot hold. */
  readonly text: string;
}

/** `application/json` with nothing or UTF-8 as charset; the parameter may be quoted and in any case. */
const jsonMediaType = /^application\/json\s*(?:;\s*(?:charset\s*=\s*(?:"utf-?8"|utf-?8)\s*)?)*$/i;

/**
 * Chunks that are kept apart. Each costs some 400 bytes however little it holds: a body of 4 MiB that comes byte
 * by byte would hold 1.6 GB. Joined by so many, it holds little more than its length.
 */
const looseChunksMax = 1024;

/** Reads and parses JSON bodies, in place of express.json: each step refuses with the status it deserves. */
export class BodyReader {
  readonly #options: BodyReaderOptions;
  #bufferedBytes = 0;

  constructor(options: BodyReaderOptions) {
    this.#options = options;
  }

  /**
   * Throws `unsupported_media_type`, `payload_too_large` or `invalid_input`, and `service_unavailable` when
   * too many bytes are being read already.
   */
  async readJson(exchange: Exchange): Promise<JsonBody> {
    const { request } = exchange;
    const { bytesMax, depthMax } = this.#options;
    const length = declaredLength(request);
    if (length === 0) throw emptyBody();
    checkMediaType(request.headers['content-type']);
    checkCoding(request.headers['content-encoding']);
    if (length !== undefined && length > bytesMax) throw tooLarge(bytesMax, `${length} bytes`);
    exchange.continue();
    const bytes = await this.#collect(exchange);
    if (bytes.byteLength === 0) throw emptyBody();
    const text = decode(bytes);
    checkDepth(bytes, depthMax);
    return { value: parseJson(text), text };
  }

  #collect(exchange: Exchange): Promise<Buffer> {
    const { request } = exchange;
    const { bytesMax, bufferedBytesMax } = this.#options;
    return new Promise((resolve, reject) => {
      // The client left while its key was looked up.
      if (!exchange.open) return reject(cutShort());
      const joined: Buffer[] = [];
      let loose: Buffer[] = [];
      let bytes = 0;
      const release = (): void => {
        this.#bufferedBytes -= bytes;
      };
      const refuse = (error: MillraceError): void => {
        release();
        request.off('data', onData).off('end', onEnd);
        exchange.onOver = null;
        reject(error);
      };
      const onData = (chunk: Buffer): void => {
        bytes += chunk.byteLength;
        this.#bufferedBytes += chunk.byteLength;
        if (bytes > bytesMax) return refuse(tooLarge(bytesMax, 'more'));
        if (this.#bufferedBytes > bufferedBytesMax) return refuse(tooBusy());
        if (loose.push(chunk) < looseChunksMax) return;
        joined.push(Buffer.concat(loose));
        loose = [];
      };
      const onEnd = (): void => {
        exchange.onOver = release;
        const parts = [...joined, ...loose];
        resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts));
      };
      // Cut short: nobody is to be told any more, but whoever waits holds a permit and must give it back.
      exchange.onOver = () => refuse(cutShort());
      request.on('data', onData);
      request.once('end', onEnd);
    });
  }
}

/** Undefined for a chunked body; 0 when there is no body. */
function declaredLength(request: IncomingMessage): number | undefined {
  const { headers } = request;
  if (headers['transfer-encoding'] !== undefined) return undefined;
  return Number(headers['content-length'] ?? 0);
}

function checkMediaType(type: string | undefined): void {
  if (type === 'application/json' || (type !== undefined && jsonMediaType.test(type))) return;
  throw new Refusal('unsupported_media_type', 'The media type of the body is not supported', {
    details: [
      {
        path: 'header Content-Type',
        expected: 'application/json, in UTF-8',
        found: type === undefined ? 'nothing' : type.slice(0, 80),
      },
    ],
    headers: ['Accept-Post', 'application/json'],
  });
}

function checkCoding(coding: string | undefined): void {
  if (coding === undefined || coding.trim().toLowerCase() === 'identity') return;
  throw new Refusal('unsupported_media_type', 'The content coding of the body is not supported', {
    details: [{ path: 'header Content-Encoding', expected: 'identity', found: coding.slice(0, 80) }],
    headers: ['Accept-Encoding', 'identity'],
  });
}

function decode(bytes: Buffer): string {
  if (!isUtf8(bytes))
    throw refused('The body is not valid UTF-8', 'JSON in UTF-8', 'bytes that are not UTF-8');
  const text = bytes.toString('utf8');
  // A byte order mark is tolerated (RFC 8259 §8.1).
  return text.charCodeAt(0) === 0xfe_ff ? text.slice(1) : text;
}

function emptyBody(): MillraceError {
  return refused('The body is empty', 'a JSON object', 'nothing');
}

function cutShort(): MillraceError {
  return refused('The body was cut short', 'the whole body', 'a part of it');
}

function refused(message: string, expected: string, found: string): MillraceError {
  return new MillraceError('invalid_input', message, { details: [{ path: '(root)', expected, found }] });
}

function tooLarge(bytesMax: number, found: string): Refusal {
  return new Refusal('payload_too_large', undefined, {
    details: [{ path: '(root)', expected: `at most ${bytesMax} bytes`, found }],
    closes: true,
  });
}

function tooBusy(): Refusal {
  return new Refusal('service_unavailable', 'Too many bytes of request bodies are at work', { closes: true });
}
