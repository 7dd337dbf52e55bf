import type { NumericArray } from '../../tensors/datatype.ts';
import type { Tensor } from '../../tensors/tensor.ts';
import { lastAxis } from './last-axis.ts';

/** INT64 1 for rows whose score (the only one, or the last of two) reaches `at`, else 0. */
export function threshold(tensor: Tensor, at: number): Tensor {
  const rows = tensor.shape[0] as number;
  const width = lastAxis(tensor);
  const scores = tensor.data as NumericArray;
  const data = new BigInt64Array(rows);
  for (let row = 0; row < rows; row++) data[row] = (scores[(row + 1) * width - 1] as number) >= at ? 1n : 0n;
  return { datatype: 'INT64', shape: [rows], data };
}
