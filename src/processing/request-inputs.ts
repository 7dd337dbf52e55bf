import type { FeatureSpec } from '../registry/manifest.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import type { BatchAxis } from '../registry/signature.ts';
import { isFloat } from '../tensors/datatype.ts';
import type { Datatype } from '../tensors/datatype.ts';
import type { TensorSpec } from '../tensors/tensor-spec.ts';

/** What packing and pre-processing need of a version: also known at registration, before the version exists. */
export type InputFacts = Pick<ModelVersion, 'manifest' | 'signature'>;

/** One tensor of a request, before pre-processing. It is carried as `carrierOf(datatype)`, with a row axis before `rowShape`. */
export interface RequestInput {
  readonly name: string;
  /** FP16 keeps its range. */
  readonly datatype: Datatype;
  /** -1 is a dynamic dimension. */
  readonly rowShape: readonly number[];
  /** For a feature model: one element a feature, NaN where it is missing, a one-hot feature's category as its index. */
  readonly features: readonly FeatureSpec[] | null;
}

/**
 * What callers send. A feature model takes ONE tensor under the graph input's name, FP32 or FP64, of shape
 * [number of features]; others take one tensor for each graph input.
 */
export function requestInputs({ manifest, signature }: InputFacts): readonly RequestInput[] {
  const { features } = manifest;
  return signature.inputs.map((spec) => {
    if (features !== undefined)
      return {
        name: spec.name,
        datatype: featureCarrier(spec.datatype),
        rowShape: [features.length],
        features,
      };
    return {
      name: spec.name,
      datatype: spec.datatype,
      rowShape: rowShapeOf(spec, signature.batch),
      features: null,
    };
  });
}

/** The shape of one row of an input or output: without the batch axis where there is one. */
export function rowShapeOf(spec: TensorSpec, batch: BatchAxis): readonly number[] {
  return batch.kind === 'none' ? spec.shape : spec.shape.slice(1);
}

/** Floats, because NaN marks what is missing; FP64 for integer graphs, whose values it holds up to 2^53. */
function featureCarrier(datatype: Datatype): 'FP32' | 'FP64' {
  return isFloat(datatype) && datatype !== 'FP64' ? 'FP32' : 'FP64';
}
