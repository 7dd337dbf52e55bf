import type { MillraceError } from '../errors.ts';
import { refuseOnnx } from './onnx-refusal.ts';
import { varint } from './onnx-varint.ts';
import { onnxMessages } from './onnx-wire-schema.ts';
import type { FieldSchema } from './onnx-wire-schema.ts';

/**
 * A walk over the raw bytes of an ONNX file, before anything decodes them. The generated decoder recurses
 * once a level, allocates an object for each element and trusts wire types; onnxruntime reads the same bytes
 * by other rules (it merges a field that comes twice, the decoder keeps the last). So this walk holds a stack of its
 * own, counts, and refuses whatever the two could read differently.
 */
export interface WireFacts {
  readonly nodeCount: number;
  /** Graphs within graphs: 1 for a model without subgraphs. */
  readonly graphDepth: number;
  /** The first few fields that bear meaning and would be lost if the file were decoded and encoded again. */
  readonly lossyFields: readonly string[];
}

export interface WireLimits {
  readonly nodesMax: number;
  readonly graphDepthMax: number;
  readonly messageDepthMax: number;
  readonly objectsMax: number;
}

interface Frame {
  readonly message: string;
  readonly end: number;
  readonly depth: number;
  readonly graphDepth: number;
  /** Single message fields that were met in this message. */
  readonly seen: Set<number>;
}

/** A message names one. A file may have millions that are not known, each of another number. */
const lossyFieldsMax = 16;

/** Throws `invalid_input` when the bytes are not a well-formed ONNX model within the limits. */
export function walkOnnx(bytes: Uint8Array, limits: WireLimits): WireFacts {
  return new Walk(bytes, limits).run();
}

class Walk {
  private readonly bytes: Uint8Array;
  private readonly limits: WireLimits;
  private readonly stack: Frame[] = [];
  private readonly lossyFields = new Set<string>();
  private position = 0;
  private nodeCount = 0;
  private objectCount = 0;
  private graphDepth = 0;

  constructor(bytes: Uint8Array, limits: WireLimits) {
    this.bytes = bytes;
    this.limits = limits;
  }

  run(): WireFacts {
    this.stack.push({ message: 'Model', end: this.bytes.length, depth: 1, graphDepth: 0, seen: new Set() });
    for (let frame = this.stack.at(-1); frame !== undefined; frame = this.stack.at(-1)) {
      if (this.position === frame.end) this.stack.pop();
      else this.field(frame);
    }
    return {
      nodeCount: this.nodeCount,
      graphDepth: this.graphDepth,
      lossyFields: [...this.lossyFields],
    };
  }

  private field(frame: Frame): void {
    const tag = this.varint(frame.end);
    const number = Math.floor(tag / 8);
    if (number === 0 || tag >= 2 ** 32) throw malformed('a field without a number');
    const field = onnxMessages[frame.message]?.[number];
    if (field === undefined) {
      this.count(1);
      this.noteLossy(`${frame.message}.${number}`);
      this.skip(tag % 8, frame.end);
      return;
    }
    if (field.lost === true) this.noteLossy(`${frame.message}.${field.name}`);
    if (field.refused === true)
      throw refuseOnnx(`a model without ${frame.message}.${field.name}`, 'one with it');
    this.known(frame, number, field, tag % 8);
  }

  private known(frame: Frame, number: number, field: FieldSchema, wireType: number): void {
    if (wireType !== field.wire && !(wireType === 2 && field.packed === true))
      throw malformed(`${frame.message}.${field.name} has the wrong wire type`);
    if (wireType !== 2) {
      if (field.packed === true) this.count(1);
      this.skip(wireType, frame.end);
      return;
    }
    this.count(1);
    const end = this.length(frame.end);
    if (field.message === undefined) {
      if (field.packed === true) this.count(this.elements(field.wire, end));
      this.position = end;
      return;
    }
    if (field.repeated !== true) {
      if (frame.seen.has(number)) throw malformed(`${frame.message}.${field.name} comes twice`);
      frame.seen.add(number);
    }
    this.enter(frame, field.message, end);
  }

  private noteLossy(field: string): void {
    if (this.lossyFields.size < lossyFieldsMax) this.lossyFields.add(field);
  }

  private enter(frame: Frame, message: string, end: number): void {
    const depth = frame.depth + 1;
    if (depth > this.limits.messageDepthMax)
      throw tooMuch('messages nested', this.limits.messageDepthMax, depth);
    const graphDepth = frame.graphDepth + (message === 'Graph' ? 1 : 0);
    if (graphDepth > this.limits.graphDepthMax)
      throw tooMuch('subgraphs nested', this.limits.graphDepthMax, graphDepth);
    this.graphDepth = Math.max(this.graphDepth, graphDepth);
    if (message === 'Node' && ++this.nodeCount > this.limits.nodesMax)
      throw tooMuch('nodes', this.limits.nodesMax, this.nodeCount);
    this.stack.push({ message, end, depth, graphDepth, seen: new Set() });
  }

  /** Elements of a packed field that ends at `end`: varints are counted by their last bytes. */
  private elements(wire: number, end: number): number {
    if (wire === 5) return 0;
    if (wire === 1) return 0;
    let count = 0;
    for (let index = this.position; index < end; index++) if ((this.bytes[index] as number) < 0x80) count++;
    return count;
  }

  private count(added: number): void {
    this.objectCount += added;
    if (this.objectCount > this.limits.objectsMax)
      throw tooMuch('elements', this.limits.objectsMax, this.objectCount);
  }

  private skip(wireType: number, end: number): void {
    if (wireType === 0) this.varint(end);
    else if (wireType === 1) this.advance(8, end);
    else if (wireType === 5) this.advance(4, end);
    else if (wireType === 2) this.position = this.length(end);
    else throw malformed(`wire type ${wireType}`);
  }

  private length(end: number): number {
    const length = this.varint(end);
    if (length > end - this.position) throw malformed('a length beyond its message');
    return this.position + length;
  }

  private advance(count: number, end: number): void {
    if (count > end - this.position) throw malformed('a value beyond its message');
    this.position += count;
  }

  private varint(end: number): number {
    const read = varint(this.bytes, this.position, end);
    if (read === undefined) throw malformed('a broken number');
    this.position = read.next;
    return read.value;
  }
}

function malformed(found: string): MillraceError {
  return refuseOnnx('a readable ONNX model', found);
}

function tooMuch(what: string, most: number, found: number): MillraceError {
  return refuseOnnx(`at most ${most} ${what}`, `${found} or more`);
}
