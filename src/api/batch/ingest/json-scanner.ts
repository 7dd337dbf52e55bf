import { isUtf8 } from 'node:buffer';
import { MillraceError } from '../../../errors.ts';
import { quote } from '../../../tensors/refusal.ts';
import { PendingBytes } from './pending-bytes.ts';

/** Elements of the array that ended in one piece of the body: element n is bytes[ranges[2n], ranges[2n + 1]). */
export interface ElementBlock {
  readonly bytes: Buffer;
  readonly ranges: readonly number[];
}

export interface ScannerOptions {
  /** The member whose value is an array to be cut. */
  readonly array: string;
  /** Of one element. */
  readonly elementBytesMax: number;
  /** Of the value of any other member. */
  readonly memberBytesMax: number;
  /** Called with each other member as soon as it has come; may throw. */
  readonly onMember: (name: string, value: unknown) => void;
}

type State =
  | 'object'
  | 'first name'
  | 'name'
  | 'in name'
  | 'colon'
  | 'value'
  | 'in value'
  | 'after value'
  | 'in array'
  | 'end';

const quoteMark = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
/** Brackets and braces differ in this bit only. */
const braceBit = 0x20;

const byteOrderMark = [0xef, 0xbb, 0xbf] as const;

/**
 * Reads a JSON object in pieces, of any length, without holding it: cuts the elements of one array out and gives the
 * other members parsed. It looks at strings, brackets and commas only; whether what lies between is JSON is for whoever
 * parses the elements: a body is JSON exactly when the scanner takes it and each element parses.
 *
 * object → name → colon → value → after value → name … → end, with `in array` in place of `in value` for the array.
 * Throws `invalid_input` for what cannot be JSON or is no such object, `payload_too_large` beyond its bounds.
 */
export class JsonScanner {
  readonly #options: ScannerOptions;
  readonly #pending = new PendingBytes();
  readonly #names = new Set<string>();
  #state: State = 'object';
  #name = '';
  /** Within a name, value or element: nesting below it, and where in a string. */
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Where what is being cut begins, in the bytes at work; -1 when nothing is. */
  #mark = -1;
  /** Bytes of a byte order mark so far. */
  #markedBytes = 0;
  #elementCount = 0;

  constructor(options: ScannerOptions) {
    this.#options = options;
  }

  get heldBytes(): number {
    return this.#pending.length;
  }

  get elementCount(): number {
    return this.#elementCount;
  }

  /** Whether a member of this name has begun. */
  has(name: string): boolean {
    return this.#names.has(name);
  }

  push(piece: Buffer): ElementBlock {
    const joined = this.#pending.length > 0;
    const from = this.#pending.length;
    const bytes = joined ? this.#pending.append(piece) : piece;
    const ranges: number[] = [];
    for (let at = from; at < bytes.byteLength; ) at = this.#step(bytes, at, ranges);
    return this.#keep(joined, bytes, ranges);
  }

  /** Throws unless the object has ended. */
  end(): void {
    if (this.#state !== 'end') throw notJson('the rest of the body', 'its end');
  }

  /** What has not ended stays for the next piece. */
  #keep(joined: boolean, bytes: Buffer, ranges: readonly number[]): ElementBlock {
    const mark = this.#mark;
    if (mark >= 0) this.#checkLength(bytes.byteLength - mark);
    if (mark === 0 && joined) return { bytes, ranges };
    if (joined) this.#pending.take();
    if (mark < 0) return { bytes, ranges };
    if (mark < bytes.byteLength) this.#pending.append(bytes.subarray(mark));
    this.#mark = 0;
    return { bytes, ranges };
  }

  /** Takes one byte, or several that cannot matter; returns where to go on. */
  #step(bytes: Buffer, at: number, ranges: number[]): number {
    const state = this.#state;
    if (state === 'in array') return this.#inArray(bytes, at, ranges);
    if (state === 'in value') return this.#inValue(bytes, at);
    if (state === 'in name') return this.#inName(bytes, at);
    const byte = bytes[at] as number;
    return isWhiteSpace(byte) ? at + 1 : this.#between(state, byte, at);
  }

  #between(state: Exclude<State, 'in array' | 'in value' | 'in name'>, byte: number, at: number): number {
    switch (state) {
      case 'object':
        if (byte === byteOrderMark[this.#markedBytes]) {
          this.#markedBytes += 1;
          return at + 1;
        }
        this.#expect(byte === openBrace && this.#markedBytes % byteOrderMark.length === 0, byte, 'an object');
        this.#state = 'first name';
        return at + 1;
      case 'first name':
      case 'name':
        if (byte === closeBrace && state === 'first name') this.#state = 'end';
        else {
          this.#expect(byte === quoteMark, byte, 'the name of a member');
          this.#begin('in name', at);
          this.#inString = true;
        }
        return at + 1;
      case 'colon':
        this.#expect(byte === colon, byte, 'a colon');
        this.#state = 'value';
        return at + 1;
      case 'value':
        if (this.#name === this.#options.array && byte === openBracket) {
          this.#begin('in array', at + 1);
          return at + 1;
        }
        this.#begin('in value', at);
        return at;
      case 'after value':
        this.#expect(byte === comma || byte === closeBrace, byte, 'a comma or the end of the object');
        this.#state = byte === comma ? 'name' : 'end';
        return at + 1;
      case 'end':
        throw notJson('nothing behind the object', shown(byte));
    }
  }

  #begin(state: State, mark: number): void {
    this.#state = state;
    this.#mark = mark;
    this.#depth = 0;
    this.#inString = false;
    this.#escaped = false;
  }

  #inName(bytes: Buffer, at: number): number {
    const end = this.#pastString(bytes, at);
    if (this.#inString) return end;
    this.#name = String(parse(utf8(bytes, this.#mark, end)));
    if (this.#names.has(this.#name)) throw notJson('each member once', `${quote(this.#name)} twice`);
    this.#names.add(this.#name);
    this.#mark = -1;
    this.#state = 'colon';
    return end;
  }

  #inValue(bytes: Buffer, at: number): number {
    const end = this.#pastValue(bytes, at);
    if (end === bytes.byteLength) return end;
    this.#checkLength(end - this.#mark);
    const value = parse(utf8(bytes, this.#mark, end));
    this.#mark = -1;
    this.#state = 'after value';
    this.#options.onMember(this.#name, value);
    return end;
  }

  #inArray(bytes: Buffer, at: number, ranges: number[]): number {
    const end = this.#pastValue(bytes, at);
    if (end === bytes.byteLength) return end;
    const closes = bytes[end] === closeBracket;
    this.#expect(bytes[end] !== closeBrace, closeBrace, 'a comma or the end of the array');
    if (!(closes && this.#elementCount === 0 && isBlank(bytes, this.#mark, end))) {
      this.#checkLength(end - this.#mark);
      ranges.push(this.#mark, end);
      this.#elementCount += 1;
    }
    this.#mark = closes ? -1 : end + 1;
    if (closes) this.#state = 'after value';
    return end + 1;
  }

  /** Index of the comma, bracket or brace that ends a value at depth 0, or the length. */
  #pastValue(bytes: Buffer, from: number): number {
    let depth = this.#depth;
    let at = from;
    if (this.#inString) at = this.#pastString(bytes, at);
    for (; at < bytes.byteLength; at++) {
      const byte = bytes[at] as number;
      if (byte < openBracket) {
        if (byte === comma && depth === 0) break;
        if (byte !== quoteMark) continue;
        this.#inString = true;
        at = this.#pastString(bytes, at + 1) - 1;
        continue;
      }
      const brace = byte | braceBit;
      if (brace === openBrace) depth += 1;
      else if (brace === closeBrace) {
        if (depth === 0) break;
        depth -= 1;
      }
    }
    this.#depth = depth;
    return at;
  }

  /** Index behind the quote that ends the string at work, or the length while it goes on. */
  #pastString(bytes: Buffer, from: number): number {
    let escaped = this.#escaped;
    for (let at = from; at < bytes.byteLength; at++) {
      if (escaped) {
        escaped = false;
        continue;
      }
      const byte = bytes[at];
      if (byte === backslash) escaped = true;
      else if (byte === quoteMark) {
        this.#inString = false;
        this.#escaped = false;
        return at + 1;
      }
    }
    this.#escaped = escaped;
    return bytes.byteLength;
  }

  #checkLength(length: number): void {
    const { array, elementBytesMax, memberBytesMax } = this.#options;
    const isElement = this.#state === 'in array';
    const bytesMax = isElement ? elementBytesMax : memberBytesMax;
    if (length <= bytesMax) return;
    const path = isElement ? `${array}[${this.#elementCount}]` : this.#name || '(root)';
    throw new MillraceError('payload_too_large', `${path} is too long`, {
      details: [{ path, expected: `at most ${bytesMax} bytes`, found: 'more' }],
    });
  }

  #expect(holds: boolean, byte: number, expected: string): void {
    if (!holds) throw notJson(expected, shown(byte));
  }
}

function isBlank(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (!isWhiteSpace(bytes[at] as number)) return false;
  return true;
}

function isWhiteSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function utf8(bytes: Buffer, from: number, to: number): string {
  const part = bytes.subarray(from, to);
  if (!isUtf8(part)) throw notUtf8();
  return part.toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notJson('JSON (RFC 8259)', error instanceof Error ? error.message : String(error));
  }
}

function shown(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? quote(String.fromCharCode(byte)) : `byte ${byte}`;
}

export function notUtf8(): MillraceError {
  return new MillraceError('invalid_input', 'The body is not valid UTF-8', {
    details: [{ path: '(root)', expected: 'JSON in UTF-8', found: 'bytes that are not UTF-8' }],
  });
}

export function notJson(expected: string, found: string): MillraceError {
  return new MillraceError('invalid_input', 'The body is not valid JSON', {
    details: [{ path: '(root)', expected, found }],
  });
}
