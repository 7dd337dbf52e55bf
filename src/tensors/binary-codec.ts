import { Buffer, isUtf8 } from 'node:buffer';
import { endianness } from 'node:os';
import { MillraceError } from '../errors.ts';
import { byteWidth, viewArray } from './datatype.ts';
import type { CarriedDatatype, NumericArray, NumericDatatype } from './datatype.ts';
import { elementCount } from './shape.ts';
import type { NamedTensors, Tensor } from './tensor.ts';

/*
 * Tensors as bytes, format 1. Little-endian throughout.
 *
 *   u8 format, u8 zero, u16 tensor count, u32 bytes of all (this word included)
 *   per tensor: u8 datatype, u8 rank, u16 bytes of the name, u32 bytes of the data, u32 per dimension, name in UTF-8
 *   zeros up to a multiple of 8
 *   per tensor: data, zeros up to a multiple of 8
 *
 * Numbers lie as in memory, so that decoding makes views. BYTES: for each element u32 length and UTF-8.
 */

export const binaryFormat = 1;
const prefixBytes = 8;
const tensorHeaderBytes = 8;
const alignmentBytes = 8;

/** More than any model has outputs; it bounds what a damaged count can cost. */
export const tensorCountMax = 1024;
/** As many as NumPy allows. */
export const rankMax = 64;
/** u16 allows 65,535; names in real graphs stay below 300. */
export const nameBytesMax = 4096;
/** 1 GiB: a quarter of what a u32 counts, and below the greatest Buffer. */
export const encodedBytesMax = 2 ** 30;

const datatypeCodes: Readonly<Record<CarriedDatatype, number>> = {
  BOOL: 1,
  UINT8: 2,
  UINT16: 3,
  UINT32: 4,
  UINT64: 5,
  INT8: 6,
  INT16: 7,
  INT32: 8,
  INT64: 9,
  FP32: 11,
  FP64: 12,
  BYTES: 13,
};
const datatypesByCode: ReadonlyMap<number, CarriedDatatype> = new Map(
  Object.entries(datatypeCodes).map(([datatype, code]) => [code, datatype as CarriedDatatype]),
);

if (endianness() !== 'LE')
  throw new Error('tensors travel as they lie in memory: this needs a little-endian CPU');

/** Length of `encodeTensors(tensors)`. */
export function encodedBytes(tensors: NamedTensors): number {
  let data = 0;
  for (const tensor of tensors.values()) data += align(dataBytes(tensor));
  return headBytes(tensors) + data;
}

function headBytes(tensors: NamedTensors): number {
  let bytes = prefixBytes;
  for (const [name, tensor] of tensors)
    bytes += tensorHeaderBytes + 4 * tensor.shape.length + Buffer.byteLength(name);
  return align(bytes);
}

/**
 * With `room` bytes, a multiple of 8, left in front for a header of the caller's. Throws RangeError beyond the limits
 * above: callers bound their batches far below.
 */
export function encodeTensors(tensors: NamedTensors, room = 0): Buffer {
  return encodeWhole(tensors, checkedBytes(tensors), room);
}

function encodeWhole(tensors: NamedTensors, total: number, room: number): Buffer {
  const bytes = Buffer.allocUnsafe(room + total);
  let at = writeHead(bytes, room, total, tensors);
  for (const tensor of tensors.values()) at = pad(bytes, writeData(bytes, at, tensor));
  return bytes;
}

/** Less is copied in the time that it takes to write one part more. */
const partBytesMin = 64 * 1024;

/**
 * The same bytes in parts that follow each other; numbers of large tensors lie in the memory of the tensors, uncopied.
 * Throws as `encodeTensors` does.
 */
export function encodeTensorsInParts(tensors: NamedTensors): readonly Uint8Array[] {
  const total = checkedBytes(tensors);
  if (total < partBytesMin) return [encodeWhole(tensors, total, 0)];
  const head = Buffer.allocUnsafe(headBytes(tensors));
  writeHead(head, 0, total, tensors);
  const parts: Uint8Array[] = [head];
  for (const tensor of tensors.values()) {
    const bytes = dataBytes(tensor);
    if (tensor.datatype === 'BYTES' || bytes < partBytesMin) {
      const part = Buffer.allocUnsafe(align(bytes));
      pad(part, writeData(part, 0, tensor));
      parts.push(part);
    } else {
      const { buffer, byteOffset } = tensor.data as NumericArray;
      parts.push(new Uint8Array(buffer, byteOffset, bytes));
      if (align(bytes) > bytes) parts.push(Buffer.alloc(align(bytes) - bytes));
    }
  }
  return parts;
}

function checkedBytes(tensors: NamedTensors): number {
  const total = encodedBytes(tensors);
  if (total > encodedBytesMax) throw new RangeError(`${total} bytes of tensors: at most ${encodedBytesMax}`);
  if (tensors.size > tensorCountMax)
    throw new RangeError(`${tensors.size} tensors: at most ${tensorCountMax}`);
  return total;
}

/** Prefix and headers, padded; returns where the data begin. */
function writeHead(bytes: Buffer, start: number, total: number, tensors: NamedTensors): number {
  bytes[start] = binaryFormat;
  bytes[start + 1] = 0;
  bytes.writeUInt16LE(tensors.size, start + 2);
  bytes.writeUInt32LE(total, start + 4);
  let at = start + prefixBytes;
  for (const [name, tensor] of tensors) at = writeHeader(bytes, at, name, tensor);
  return pad(bytes, at);
}

function writeHeader(bytes: Buffer, start: number, name: string, tensor: Tensor): number {
  const { shape } = tensor;
  let at = start + tensorHeaderBytes;
  for (const dimension of shape) at = bytes.writeUInt32LE(dimension, at);
  const nameBytes = bytes.write(name, at);
  if (nameBytes > nameBytesMax || shape.length > rankMax)
    throw new RangeError(`tensor ${name.slice(0, 40)}: name of ${nameBytes} bytes, rank ${shape.length}`);
  bytes[start] = datatypeCodes[tensor.datatype];
  bytes[start + 1] = shape.length;
  bytes.writeUInt16LE(nameBytes, start + 2);
  bytes.writeUInt32LE(dataBytes(tensor), start + 4);
  return at + nameBytes;
}

function writeData(bytes: Buffer, start: number, tensor: Tensor): number {
  if (tensor.datatype !== 'BYTES') {
    const { buffer, byteOffset, byteLength } = tensor.data as NumericArray;
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), start);
    return start + byteLength;
  }
  let at = start;
  for (const text of tensor.data as readonly string[]) {
    const written = bytes.write(text, at + 4);
    bytes.writeUInt32LE(written, at);
    at += 4 + written;
  }
  return at;
}

/** The zeros matter: memory of other requests must not travel along, and equal tensors give equal bytes. */
function pad(bytes: Buffer, at: number): number {
  const end = align(at);
  for (let i = at; i < end; i++) bytes[i] = 0;
  return end;
}

/**
 * Tensors whose data are views of `bytes` (or of one copy, when `bytes` does not begin at a multiple of 8 of
 * its memory): they keep it alive, and `bytes` must not be written afterwards. Throws `internal_error` for
 * anything that `encodeTensors` did not make.
 */
export function decodeTensors(bytes: Uint8Array): NamedTensors {
  const buffer = alignedBuffer(bytes);
  if (buffer.length < prefixBytes) throw malformed('is shorter than its prefix');
  if (buffer[0] !== binaryFormat) throw malformed(`has format ${buffer[0]}, not ${binaryFormat}`);
  const tensorCount = buffer.readUInt16LE(2);
  if (tensorCount > tensorCountMax) throw malformed(`claims ${tensorCount} tensors`);
  if (buffer.readUInt32LE(4) !== buffer.length) throw malformed('has not the length it claims');

  const headers: TensorHeader[] = [];
  let at = prefixBytes;
  for (let i = 0; i < tensorCount; i++) {
    const header = readHeader(buffer, at);
    headers.push(header);
    at = header.end;
  }
  at = align(at);
  const tensors = new Map<string, Tensor>();
  for (const header of headers) {
    if (at + header.dataBytes > buffer.length) throw malformed(`ends within the data of ${header.name}`);
    tensors.set(header.name, readTensor(buffer, at, header));
    at = align(at + header.dataBytes);
  }
  if (tensors.size !== tensorCount) throw malformed('names a tensor twice');
  if (at !== buffer.length) throw malformed('is longer than its tensors');
  return tensors;
}

function alignedBuffer(bytes: Uint8Array): Buffer {
  if (bytes.byteOffset % alignmentBytes === 0)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // From Node's pool, whose slices begin at multiples of 8: memory of its own would cost more than the copy.
  const copy = Buffer.allocUnsafe(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

interface TensorHeader {
  readonly datatype: CarriedDatatype;
  readonly name: string;
  readonly shape: readonly number[];
  readonly dataBytes: number;
  readonly end: number;
}

function readHeader(buffer: Buffer, start: number): TensorHeader {
  if (start + tensorHeaderBytes > buffer.length) throw malformed('ends within a header');
  const datatype = datatypesByCode.get(buffer[start] as number);
  if (datatype === undefined) throw malformed(`has datatype code ${buffer[start]}`);
  const rank = buffer[start + 1] as number;
  const nameBytes = buffer.readUInt16LE(start + 2);
  const nameStart = start + tensorHeaderBytes + 4 * rank;
  const end = nameStart + nameBytes;
  if (rank > rankMax || nameBytes > nameBytesMax)
    throw malformed(`has rank ${rank}, name of ${nameBytes} bytes`);
  if (end > buffer.length) throw malformed('ends within a header');
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++)
    shape.push(buffer.readUInt32LE(start + tensorHeaderBytes + 4 * axis));
  const name = readText(buffer, nameStart, end);
  return { datatype, name, shape, dataBytes: buffer.readUInt32LE(start + 4), end };
}

/** The element count is compared before memory is taken: a damaged shape costs nothing. */
function readTensor(buffer: Buffer, start: number, header: TensorHeader): Tensor {
  const { datatype, shape } = header;
  const count = elementCount(shape);
  if (datatype === 'BYTES') return { datatype, shape, data: readTexts(buffer, start, header, count) };
  if (count * byteWidth(datatype) !== header.dataBytes)
    throw malformed(`has ${header.dataBytes} bytes for ${count} elements of ${header.name}`);
  const data = viewArray(datatype as NumericDatatype, buffer, start, count);
  if (datatype === 'BOOL' && (data as Uint8Array).some((byte) => byte > 1))
    throw malformed(`has a BOOL that is neither 0 nor 1 in ${header.name}`);
  return { datatype, shape, data };
}

function readTexts(buffer: Buffer, start: number, header: TensorHeader, count: number): readonly string[] {
  if (count * 4 > header.dataBytes)
    throw malformed(`has too few bytes for ${count} strings of ${header.name}`);
  const end = start + header.dataBytes;
  const texts: string[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    if (at + 4 > end) throw malformed(`ends within the strings of ${header.name}`);
    const from = at + 4;
    at = from + buffer.readUInt32LE(at);
    if (at > end) throw malformed(`ends within a string of ${header.name}`);
    texts.push(readText(buffer, from, at));
  }
  if (at !== end) throw malformed(`has bytes left after the strings of ${header.name}`);
  return texts;
}

function readText(buffer: Buffer, from: number, to: number): string {
  const text = buffer.toString('utf8', from, to);
  // What is not UTF-8 becomes U+FFFD, which may also have been there: only then is it looked at again.
  if (text.includes('\ufffd') && !isUtf8(buffer.subarray(from, to)))
    throw malformed('has text that is not UTF-8');
  return text;
}

function dataBytes(tensor: Tensor): number {
  if (tensor.datatype !== 'BYTES') return (tensor.data as NumericArray).byteLength;
  let bytes = 0;
  for (const text of tensor.data as readonly string[]) bytes += 4 + Buffer.byteLength(text);
  return bytes;
}

function align(bytes: number): number {
  return Math.ceil(bytes / alignmentBytes) * alignmentBytes;
}

function malformed(what: string): MillraceError {
  return new MillraceError('internal_error', `Packed tensors are damaged: the buffer ${what}`);
}
