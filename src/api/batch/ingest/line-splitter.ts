import { isUtf8 } from 'node:buffer';
import { MillraceError } from '../../../errors.ts';
import { PendingBytes } from './pending-bytes.ts';

export interface Line {
  /** Without its end; null when its bytes are not UTF-8. */
  readonly text: string | null;
  /** From 1. */
  readonly number: number;
}

const newline = 0x0a;
const carriageReturn = 0x0d;
const byteOrderMark = '\ufeff';
/** Bytes of UTF-8 that one UTF-16 unit can take. */
const unitBytesMax = 3;

/**
 * Cuts bytes into lines that end with LF or CRLF, the last one with the bytes. A byte order mark before the first is
 * taken off. Throws `payload_too_large` for a line of more than `lineBytesMax`, also before its end has come.
 */
export class LineSplitter {
  readonly #lineBytesMax: number;
  readonly #pending = new PendingBytes();
  #number = 0;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** Bytes of the line that has not come whole. */
  get heldBytes(): number {
    return this.#pending.length;
  }

  /** The lines that end in these bytes. They must be taken before the next call. */
  push(bytes: Buffer): Iterable<Line> {
    const last = bytes.lastIndexOf(newline);
    if (last < 0) {
      this.#pending.append(bytes);
      this.#checkPending();
      return [];
    }
    let whole = bytes.subarray(0, last);
    if (this.#pending.length > 0) {
      this.#pending.append(whole);
      whole = this.#pending.take();
    }
    const lines = this.#cut(whole);
    if (last + 1 < bytes.byteLength) this.#pending.append(bytes.subarray(last + 1));
    return lines;
  }

  /** The line that the end of the bytes ends, if there is one. */
  end(): Iterable<Line> {
    return this.#pending.length === 0 ? [] : this.#cut(this.#pending.take());
  }

  /** One byte more may be a CR that belongs to the end of the line. */
  #checkPending(): void {
    if (this.#pending.length > this.#lineBytesMax + 1) throw this.#tooLong(this.#number + 1);
  }

  #cut(block: Buffer): Iterable<Line> {
    return isUtf8(block) ? this.#cutText(block.toString('utf8')) : this.#cutBytes(block);
  }

  *#cutText(text: string): Generator<Line> {
    const certain = Math.floor(this.#lineBytesMax / unitBytesMax);
    for (let from = 0; from <= text.length; ) {
      const end = text.indexOf('\n', from);
      const to = end < 0 ? text.length : end;
      const line = text.slice(from, to);
      if (line.length > certain) this.#check(line);
      yield this.#line(line);
      from = to + 1;
    }
  }

  #check(text: string): void {
    const bytes = Buffer.byteLength(text) - (text.endsWith('\r') ? 1 : 0);
    if (bytes > this.#lineBytesMax) throw this.#tooLong(this.#number + 1);
  }

  /** The slow way, for blocks in which some line is not UTF-8. */
  *#cutBytes(block: Buffer): Generator<Line> {
    for (let from = 0; from <= block.byteLength; ) {
      const end = block.indexOf(newline, from);
      const to = end < 0 ? block.byteLength : end;
      const bytes = block.subarray(from, to);
      if (bytes.byteLength - (bytes.at(-1) === carriageReturn ? 1 : 0) > this.#lineBytesMax)
        throw this.#tooLong(this.#number + 1);
      yield this.#line(isUtf8(bytes) ? bytes.toString('utf8') : null);
      from = to + 1;
    }
  }

  #line(text: string | null): Line {
    this.#number += 1;
    if (text === null) return { text, number: this.#number };
    const from = this.#number === 1 && text.startsWith(byteOrderMark) ? 1 : 0;
    const to = text.endsWith('\r') ? text.length - 1 : text.length;
    return { text: from === 0 && to === text.length ? text : text.slice(from, to), number: this.#number };
  }

  #tooLong(line: number): MillraceError {
    return new MillraceError('payload_too_large', `Line ${line} is too long`, {
      details: [{ path: `line ${line}`, expected: `at most ${this.#lineBytesMax} bytes`, found: 'more' }],
    });
  }
}
