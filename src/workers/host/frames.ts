import type { Writable } from 'node:stream';

/**
 * A frame: u32 LE length of the whole frame, u32 LE length of the header, the header (JSON, padded with
 * spaces), the body (raw bytes, to the end of the frame).
 */
export interface Frame {
  readonly header: unknown;
  /** A view on the bytes that were received, at a multiple of eight from the start of the frame. */
  readonly body: Uint8Array;
}

/** 64 rows (a full run) of 4 MiB (the greatest request body) each: a longer frame is garbage, not work. */
export const frameBytesMax = 64 * 4 * 1024 * 1024;

const prefixBytes = 8;
/** Of the widest element: where the body starts aligned, tensors are read in place. */
const alignment = 8;
const space = 0x20;

/**
 * Writes a frame without copying its body; `parts` are written one after the other and must not be changed
 * before the stream has taken them. Throws RangeError past `frameBytesMax`.
 */
export function writeFrame(stream: Writable, header: object, parts: readonly Uint8Array[] = []): void {
  const head = encodeHead(header, parts);
  stream.cork();
  stream.write(head);
  for (const part of parts) if (part.byteLength > 0) stream.write(part);
  stream.uncork();
}

/** Prefix and header of a frame whose body is `parts`. */
export function encodeHead(header: object, parts: readonly Uint8Array[]): Uint8Array {
  const json = JSON.stringify(header);
  const jsonBytes = Buffer.byteLength(json);
  const headerBytes = Math.ceil((prefixBytes + jsonBytes) / alignment) * alignment - prefixBytes;
  const totalBytes = parts.reduce((sum, part) => sum + part.byteLength, prefixBytes + headerBytes);
  if (totalBytes > frameBytesMax)
    throw new RangeError(`a frame of ${totalBytes} bytes is longer than ${frameBytesMax}`);
  const head = Buffer.allocUnsafe(prefixBytes + headerBytes);
  head.writeUInt32LE(totalBytes, 0);
  head.writeUInt32LE(headerBytes, 4);
  head.write(json, prefixBytes);
  head.fill(space, prefixBytes + jsonBytes);
  return head;
}

/**
 * Cuts a byte stream into frames. Each byte is copied at most once: a frame that lies within one chunk is a
 * view on it; a longer one is gathered in a buffer of its final size. After a throw the stream is lost.
 */
export class FrameDecoder {
  /** Prefix bytes of the next frame, while fewer than eight have come. */
  readonly #prefix = Buffer.alloc(prefixBytes);
  #prefixFilled = 0;
  /** The frame being gathered; undefined between frames. */
  #frame: Buffer | undefined;
  #frameFilled = 0;

  /** The frames that `chunk` completes, in order. Throws RangeError or SyntaxError on bytes that are no frames. */
  push(chunk: Buffer): readonly Frame[] {
    const frames: Frame[] = [];
    let rest = chunk;
    while (rest.byteLength > 0) {
      const whole = this.#wholeFrame(rest);
      if (whole === undefined) {
        rest = this.#gather(rest, frames);
      } else {
        frames.push(toFrame(whole));
        rest = rest.subarray(whole.byteLength);
      }
    }
    return frames;
  }

  /** True between frames: the stream may end here without loss. */
  get idle(): boolean {
    return this.#frame === undefined && this.#prefixFilled === 0;
  }

  #wholeFrame(bytes: Buffer): Buffer | undefined {
    if (!this.idle || bytes.byteLength < prefixBytes) return undefined;
    const totalBytes = checkedLength(bytes);
    return bytes.byteLength < totalBytes ? undefined : bytes.subarray(0, totalBytes);
  }

  /** Takes what the frame in progress lacks; returns the rest. */
  #gather(bytes: Buffer, frames: Frame[]): Buffer {
    if (this.#frame === undefined) {
      const taken = bytes.copy(this.#prefix, this.#prefixFilled, 0, prefixBytes - this.#prefixFilled);
      this.#prefixFilled += taken;
      if (this.#prefixFilled === prefixBytes) this.#begin();
      return bytes.subarray(taken);
    }
    const taken = bytes.copy(this.#frame, this.#frameFilled);
    this.#frameFilled += taken;
    if (this.#frameFilled === this.#frame.byteLength) frames.push(this.#end(this.#frame));
    return bytes.subarray(taken);
  }

  #begin(): void {
    const frame = Buffer.allocUnsafeSlow(checkedLength(this.#prefix));
    this.#frameFilled = this.#prefix.copy(frame);
    this.#prefixFilled = 0;
    this.#frame = frame;
  }

  #end(bytes: Buffer): Frame {
    this.#frame = undefined;
    this.#frameFilled = 0;
    return toFrame(bytes);
  }
}

/** A header has two bytes at least (`{}`), padded to eight: so a frame always ends after its prefix. */
function checkedLength(prefix: Buffer): number {
  const totalBytes = prefix.readUInt32LE(0);
  const headerBytes = prefix.readUInt32LE(4);
  if (totalBytes > frameBytesMax || headerBytes === 0 || headerBytes > totalBytes - prefixBytes)
    throw new RangeError(`not a frame: ${totalBytes} bytes with a header of ${headerBytes}`);
  return totalBytes;
}

function toFrame(bytes: Buffer): Frame {
  const bodyOffset = prefixBytes + bytes.readUInt32LE(4);
  const header: unknown = JSON.parse(bytes.toString('utf8', prefixBytes, bodyOffset));
  return { header, body: bytes.subarray(bodyOffset) };
}
