import type { Tensor } from '../../tensors/tensor.ts';
import { lastAxis } from './last-axis.ts';

/** Over the last axis of a float tensor, less the greatest first, so that no exponential overflows. */
export function softmax(tensor: Tensor): Tensor {
  const data = (tensor.data as Float32Array | Float64Array).slice();
  const width = lastAxis(tensor);
  for (let from = 0; from < data.length; from += width) {
    let greatest = Number.NEGATIVE_INFINITY;
    for (let i = from; i < from + width; i++) greatest = Math.max(greatest, data[i] as number);
    let sum = 0;
    for (let i = from; i < from + width; i++) sum += Math.exp((data[i] as number) - greatest);
    for (let i = from; i < from + width; i++) data[i] = Math.exp((data[i] as number) - greatest) / sum;
  }
  return { datatype: tensor.datatype, shape: tensor.shape, data };
}
