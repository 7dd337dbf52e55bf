import { MillraceError } from '../errors.ts';
import { makeArray } from './datatype.ts';
import type { NumericArray } from './datatype.ts';
import { elementCount, printShape, sameRowShape } from './shape.ts';
import type { NamedTensors, Tensor, TensorData } from './tensor.ts';

/** Rows of a batch: the length of axis 0, which all tensors share. 0 without tensors. Throws `internal_error`. */
export function rowCount(tensors: NamedTensors): number {
  let rows: number | undefined;
  for (const [name, tensor] of tensors) {
    const length = tensor.shape[0];
    if (length === undefined) throw mismatch(`${name} has no row axis`);
    if (rows !== undefined && rows !== length) throw mismatch(`${name} has ${length} rows beside ${rows}`);
    rows = length;
  }
  return rows ?? 0;
}

/**
 * Joins along axis 0, in order. All parts must have the same names, datatypes and row shapes, which
 * compatibility keys see to. Throws `internal_error` otherwise.
 */
export function joinRows(parts: readonly NamedTensors[]): NamedTensors {
  const first = parts[0];
  if (first === undefined) throw mismatch('nothing to join');
  if (parts.length === 1) return first;
  let rows = 0;
  for (const part of parts) {
    if (part.size !== first.size) throw mismatch(`${part.size} tensors joined to ${first.size}`);
    rows += rowCount(part);
  }
  const joined = new Map<string, Tensor>();
  for (const [name, like] of first) joined.set(name, joinTensors(name, like, parts, rows));
  return joined;
}

function joinTensors(name: string, like: Tensor, parts: readonly NamedTensors[], rows: number): Tensor {
  const shape = [rows, ...like.shape.slice(1)];
  const strings: string[] = [];
  const numbers = like.datatype === 'BYTES' ? undefined : makeArray(like.datatype, elementCount(shape));
  let at = 0;
  for (const part of parts) {
    const tensor = part.get(name);
    if (tensor === undefined || tensor.datatype !== like.datatype || !sameRowShape(tensor.shape, like.shape))
      throw mismatch(`${name}: ${print(tensor)} joined to ${print(like)}`);
    if (numbers === undefined) for (const text of tensor.data as readonly string[]) strings.push(text);
    else copyInto(numbers, tensor.data as NumericArray, at);
    at += tensor.data.length;
  }
  if (at !== elementCount(shape))
    throw mismatch(`${name}: ${at} elements joined for shape ${printShape(shape)}`);
  return { datatype: like.datatype, shape, data: numbers ?? strings };
}

/**
 * Splits a batch back into parts of `rowCounts` rows each. The parts share the batch's memory. Throws
 * `internal_error` unless the counts add up to the rows of the batch: rows out must be rows in.
 */
export function splitRows(batch: NamedTensors, rowCounts: readonly number[]): readonly NamedTensors[] {
  let expected = 0;
  for (const count of rowCounts) expected += count;
  const rows = rowCount(batch);
  if (rows !== expected) throw mismatch(`${rows} rows to be split into ${expected}`);
  let from = 0;
  return rowCounts.map((count) => {
    const part = sliceUnchecked(batch, from, count);
    from += count;
    return part;
  });
}

/** `count` rows from row `from` on, in the batch's memory. Throws `internal_error` outside the batch. */
export function sliceRows(tensors: NamedTensors, from: number, count: number): NamedTensors {
  const rows = rowCount(tensors);
  if (from < 0 || count < 0 || from + count > rows)
    throw mismatch(`rows ${from} to ${from + count} of ${rows}`);
  return from === 0 && count === rows ? tensors : sliceUnchecked(tensors, from, count);
}

/** The given rows, in the given order, copied. Throws `internal_error` outside the batch. */
export function selectRows(tensors: NamedTensors, rows: readonly number[]): NamedTensors {
  const total = rowCount(tensors);
  for (const row of rows) if (!(row >= 0 && row < total)) throw mismatch(`row ${row} of ${total}`);
  const selected = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) selected.set(name, selectTensorRows(tensor, rows));
  return selected;
}

function selectTensorRows(tensor: Tensor, rows: readonly number[]): Tensor {
  const { datatype } = tensor;
  const shape = [rows.length, ...tensor.shape.slice(1)];
  const width = elementCount(tensor.shape.slice(1));
  if (datatype === 'BYTES') {
    const texts = tensor.data as readonly string[];
    return { datatype, shape, data: rows.flatMap((row) => texts.slice(row * width, (row + 1) * width)) };
  }
  const data = makeArray(datatype, elementCount(shape));
  const source = tensor.data as NumericArray;
  for (let i = 0; i < rows.length; i++) {
    const from = (rows[i] as number) * width;
    copyInto(data, source.subarray(from, from + width), i * width);
  }
  return { datatype, shape, data };
}

function sliceUnchecked(tensors: NamedTensors, from: number, count: number): NamedTensors {
  const part = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const { datatype, shape } = tensor;
    const width = shape.length === 1 ? 1 : elementCount(shape) / Math.max(1, shape[0] as number);
    const data = sliceData(tensor.data, from * width, (from + count) * width);
    part.set(name, { datatype, shape: [count, ...shape.slice(1)], data });
  }
  return part;
}

function sliceData(data: TensorData, from: number, to: number): TensorData {
  return 'subarray' in data ? data.subarray(from, to) : data.slice(from, to);
}

/** Both are of one datatype, which the types cannot say. */
function copyInto(target: NumericArray, source: NumericArray, at: number): void {
  (target as Float64Array).set(source as Float64Array, at);
}

function print(tensor: Tensor | undefined): string {
  return tensor === undefined ? 'nothing' : `${tensor.datatype} ${printShape(tensor.shape)}`;
}

function mismatch(what: string): MillraceError {
  return new MillraceError('internal_error', `Rows do not add up: ${what}`);
}
