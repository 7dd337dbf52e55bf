const firstCapacity = 4096;

/** Bytes that wait for more, in one growing buffer: however small the pieces are, little more than their length is held. */
export class PendingBytes {
  #buffer: Buffer | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** All bytes so far; valid until the next call. */
  append(bytes: Buffer): Buffer {
    const length = this.#length + bytes.byteLength;
    let buffer = this.#buffer;
    if (buffer === undefined || buffer.byteLength < length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(firstCapacity, 2 ** Math.ceil(Math.log2(length))));
      if (buffer !== undefined) buffer.copy(grown, 0, 0, this.#length);
      buffer = grown;
      this.#buffer = grown;
    }
    bytes.copy(buffer, this.#length);
    this.#length = length;
    return buffer.subarray(0, length);
  }

  /** All bytes, which are the caller's from now on. */
  take(): Buffer {
    const bytes = this.#buffer?.subarray(0, this.#length) ?? Buffer.alloc(0);
    this.#buffer = undefined;
    this.#length = 0;
    return bytes;
  }
}
