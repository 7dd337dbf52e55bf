import type { Tensor } from '../../tensors/tensor.ts';

/** Of every element of a float tensor. */
export function sigmoid(tensor: Tensor): Tensor {
  const data = (tensor.data as Float32Array | Float64Array).slice();
  for (let i = 0; i < data.length; i++) data[i] = 1 / (1 + Math.exp(-(data[i] as number)));
  return { datatype: tensor.datatype, shape: tensor.shape, data };
}
