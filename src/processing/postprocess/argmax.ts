import type { NumericArray } from '../../tensors/datatype.ts';
import type { Tensor } from '../../tensors/tensor.ts';
import { lastAxis } from './last-axis.ts';

/** INT64 index of the greatest element over the last axis, which falls away; the first of equals. */
export function argmax(tensor: Tensor): Tensor {
  const width = lastAxis(tensor);
  const values = tensor.data as NumericArray;
  const data = new BigInt64Array(values.length / width);
  for (let row = 0; row < data.length; row++) data[row] = BigInt(indexOfGreatest(values, row * width, width));
  return { datatype: 'INT64', shape: tensor.shape.slice(0, -1), data };
}

/** Relative to `from`. NaN is never the greatest; 0 where all are NaN. */
export function indexOfGreatest(values: NumericArray, from: number, width: number): number {
  let greatest = Number.NEGATIVE_INFINITY as number | bigint;
  let index = 0;
  for (let i = 0; i < width; i++) {
    const value = values[from + i] as number | bigint;
    if (value > greatest) {
      greatest = value;
      index = i;
    }
  }
  return index;
}
