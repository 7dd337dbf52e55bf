import type { CarriedDatatype, NumericArray } from './datatype.ts';
import { elementCount, printShape } from './shape.ts';

/**
 * Elements in row-major order. BOOL is one byte an element, 0 or 1. BYTES is an array of strings (UTF-8 when
 * encoded). 64-bit integers are BigInts, so that they stay exact.
 */
export type TensorData = NumericArray | readonly string[];

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

/** A tensor whose invariant is checked. Throws RangeError: data that does not fill its shape is our own slip. */
export function makeTensor(datatype: CarriedDatatype, shape: readonly number[], data: TensorData): Tensor {
  if (data.length !== elementCount(shape))
    throw new RangeError(`shape ${printShape(shape)} cannot hold ${data.length} elements`);
  return { datatype, shape, data };
}
