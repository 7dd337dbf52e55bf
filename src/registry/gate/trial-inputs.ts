import { carrierOf, makeArray } from '../../tensors/datatype.ts';
import { elementCount } from '../../tensors/shape.ts';
import type { NamedTensors, Tensor } from '../../tensors/tensor.ts';
import type { TensorSpec } from '../../tensors/tensor-spec.ts';
import type { BatchAxis } from '../signature.ts';

/**
 * Zeros and empty strings of the declared shapes. Dynamic dimensions other than the batch axis are 1: the least
 * that any model can mean by them.
 */
export function makeTrialInputs(inputs: readonly TensorSpec[], batch: BatchAxis, rows: number): NamedTensors {
  return new Map(
    inputs.map((spec): [string, Tensor] => {
      const datatype = carrierOf(spec.datatype);
      const shape = spec.shape.map((size, axis) =>
        trialSize(size, axis === 0 && batch.kind === 'dynamic', rows),
      );
      const count = elementCount(shape);
      const data =
        datatype === 'BYTES' ? Array.from({ length: count }, () => '') : makeArray(datatype, count);
      return [spec.name, { datatype, shape, data }];
    }),
  );
}

function trialSize(size: number, isRows: boolean, rows: number): number {
  if (isRows) return rows;
  return size === -1 ? 1 : size;
}

/** Whether made-up inputs may be none that the model can run on: free dimensions, or strings of unknown meaning. */
export function isGuesswork(inputs: readonly TensorSpec[], batch: BatchAxis): boolean {
  return inputs.some(
    (spec) =>
      spec.datatype === 'BYTES' ||
      spec.shape.some((size, axis) => size === -1 && !(axis === 0 && batch.kind === 'dynamic')),
  );
}
