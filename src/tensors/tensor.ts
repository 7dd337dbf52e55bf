import type { CarriedDatatype } from './datatype.ts';

/**
 * Elements in row-major order. BOOL is one byte an element, 0 or 1. BYTES is an array of strings (UTF-8 when
 * encoded). 64-bit integers are BigInts, so that they stay exact.
 */
export type TensorData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array
  | readonly string[];

/**
 * A value of known datatype and shape. Invariant: `data.length` is the product of `shape`. Shapes are
 * concrete (no -1). Where a batch axis exists it is axis 0. Tensors are not changed after they are made.
 */
export interface Tensor {
  readonly datatype: CarriedDatatype;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** Tensors by input or output name; insertion order is the order of the signature. */
export type NamedTensors = ReadonlyMap<string, Tensor>;
