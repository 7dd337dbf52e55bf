import { MillraceError } from '../../errors.ts';
import type { Label, ModelVersion } from '../../registry/model-version.ts';
import type { Tensor } from '../../tensors/tensor.ts';
import { indexOfGreatest } from './argmax.ts';
import { lastAxis } from './last-axis.ts';

/** Label tensor of the model to INT32 indices into the version's labels, shape [N]. */
export type LabelIndexer = (tensor: Tensor) => Tensor;

/**
 * Strings are looked up among the labels. So are integers, but where all labels are strings an integer is the
 * index itself: names were given to classes 0, 1, 2, … Throws `internal_error` naming the model for what is
 * not among the labels.
 */
export function compileLabelIndexer({ model, version, labels }: LabelFacts): LabelIndexer {
  const known = labels ?? [];
  const byName = new Map(known.map((label, index) => [String(label), index]));
  const byIndex = known.every((label) => typeof label === 'string');
  const indexOf = (element: Label | bigint): number | undefined => {
    if (typeof element === 'string' || !byIndex) return byName.get(String(element));
    const index = Number(element);
    return index >= 0 && index < known.length ? index : undefined;
  };
  return (tensor) => {
    const data = new Int32Array(tensor.data.length);
    for (let row = 0; row < data.length; row++) {
      const element = tensor.data[row] as Label | bigint;
      const index = indexOf(element);
      if (index === undefined)
        throw new MillraceError(
          'internal_error',
          `Model ${model}/${version} returned a label that is not among its ${known.length} labels`,
        );
      data[row] = index;
    }
    return { datatype: 'INT32', shape: [data.length], data };
  };
}

type LabelFacts = Pick<ModelVersion, 'model' | 'version' | 'labels'>;

/** Index of the greatest probability of each row, INT32 [N]. */
export function greatestIndices(probabilities: Tensor): Tensor {
  const data = new Int32Array(probabilities.shape[0] as number);
  const width = lastAxis(probabilities);
  const values = probabilities.data as Float32Array | Float64Array;
  for (let row = 0; row < data.length; row++) data[row] = indexOfGreatest(values, row * width, width);
  return { datatype: 'INT32', shape: [data.length], data };
}

/** Probabilities as [N, C]: one score a row, p, becomes [1 - p, p]. */
export function classProbabilities(tensor: Tensor): Tensor {
  const scores = tensor.data as Float32Array | Float64Array;
  const rows = tensor.shape[0] as number;
  if (tensor.shape.length === 2 && tensor.shape[1] !== 1) return tensor;
  const data = tensor.datatype === 'FP32' ? new Float32Array(rows * 2) : new Float64Array(rows * 2);
  for (let row = 0; row < rows; row++) {
    const score = scores[row] as number;
    data[row * 2] = 1 - score;
    data[row * 2 + 1] = score;
  }
  return { datatype: tensor.datatype, shape: [rows, 2], data };
}
