import type { Tensor } from '../../tensors/tensor.ts';

/** Length of the last axis; 1 for a tensor of one element a row, so that loops over rows hold. */
export function lastAxis({ shape }: Tensor): number {
  return shape.length < 2 ? 1 : Math.max(1, shape[shape.length - 1] as number);
}
