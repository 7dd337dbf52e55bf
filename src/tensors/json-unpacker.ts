import { elementCount } from './shape.ts';
import type { Tensor } from './tensor.ts';

/** Values that JSON.stringify writes as the contract says. */
export type JsonValue = number | string | boolean | readonly JsonValue[];

/**
 * One row of a tensor (an index of axis 0) as nested arrays; the bare element for a tensor of rank 1. What
 * JSON numbers cannot say comes as strings: NaN, ±Infinity, 64-bit integers beyond ±(2^53 - 1).
 */
export function unpackRow(tensor: Tensor, row: number): JsonValue {
  const { shape } = tensor;
  if (shape.length === 1) return elementAt(tensor, row);
  if (shape.length === 2) {
    const length = shape[1] as number;
    return elements(tensor, row * length, length);
  }
  const rowElementCount = elementCount(shape) / (shape[0] as number);
  return nested(tensor, 1, row * rowElementCount, rowElementCount);
}

function nested(tensor: Tensor, axis: number, from: number, count: number): readonly JsonValue[] {
  const length = tensor.shape[axis] as number;
  if (axis === tensor.shape.length - 1) return elements(tensor, from, length);
  const parts: JsonValue[] = [];
  for (let i = 0; i < length; i++)
    parts.push(nested(tensor, axis + 1, from + (i * count) / length, count / length));
  return parts;
}

/** `count` elements from index `from` on. */
export function elements(tensor: Tensor, from: number, count: number): JsonValue[] {
  const values: JsonValue[] = [];
  if (tensor.datatype === 'FP32') {
    const floats = tensor.data as Float32Array;
    for (let i = 0; i < count; i++) values.push(jsonFloat32(floats[from + i] as number));
  } else {
    for (let i = 0; i < count; i++) values.push(elementAt(tensor, from + i));
  }
  return values;
}

export function elementAt(tensor: Tensor, index: number): JsonValue {
  const { datatype } = tensor;
  const element = tensor.data[index] as number | string | bigint;
  if (datatype === 'FP32') return jsonFloat32(element as number);
  if (datatype === 'FP64') return jsonFloat64(element as number);
  if (typeof element === 'bigint') return jsonWideInteger(element);
  return datatype === 'BOOL' ? element === 1 : element;
}

function jsonFloat64(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

function jsonWideInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

const powersOfTen = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent);
/** Digits that always tell a float32 from its neighbours are 9; 6 always survive. */
const digitsMin = 6;
const digitsMax = 9;

/**
 * A float32 as the double whose text is short: 0.1, not 0.10000000149011612. Rounds to 6 to 9 significant
 * digits until the result is the same float32 again; where the power of ten is not exact (below 1e-16) the
 * widened value itself. About 20 ns, and saves more when the shorter text is printed.
 */
export function jsonFloat32(value: number): number | string {
  if (Math.trunc(value) === value) return Number.isFinite(value) ? value : String(value);
  if (Number.isNaN(value)) return 'NaN';
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  for (let digits = digitsMin; digits <= digitsMax; digits++) {
    const decimals = digits - 1 - exponent;
    if (decimals < 0 || decimals > 22) continue;
    const power = powersOfTen[decimals] as number;
    const short = Math.round(value * power) / power;
    if (Math.fround(short) === value) return short;
  }
  return value;
}
