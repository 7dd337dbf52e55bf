import type { FeatureSpec, InputSpec } from '../../registry/manifest.ts';
import { carrierOf, isFloat, makeArray } from '../../tensors/datatype.ts';
import type { CarriedDatatype, NumericDatatype } from '../../tensors/datatype.ts';
import type { NamedTensors, Tensor } from '../../tensors/tensor.ts';
import { perVersion } from '../per-version.ts';
import { requestInputs } from '../request-inputs.ts';
import type { InputFacts } from '../request-inputs.ts';
import { copyColumn } from './column.ts';
import type { Column } from './column.ts';
import { impute } from './impute.ts';
import { oneHot } from './one-hot.ts';
import { scale } from './scale.ts';

/*
 * One file here for each operation. An image pre-processor (decode, resize, normalise) is another: image.ts
 * beside these, chosen by a key of its own in the manifest's `inputs.<name>`, with its request input (BYTES,
 * shape []) in request-inputs.ts.
 */

/** Request tensors of any number of rows to graph inputs. */
export type Preprocess = (batch: NamedTensors) => NamedTensors;

type Transform = (tensor: Tensor) => Tensor;

/** Where there is nothing to do, the result is the very batch. */
export const compilePreprocess: (version: InputFacts) => Preprocess = perVersion((version) => {
  const transforms = new Map<string, Transform>();
  for (const input of requestInputs(version)) {
    const spec = version.signature.inputs.find(({ name }) => name === input.name);
    if (spec === undefined) continue;
    const inputs = version.manifest.inputs;
    const own = inputs !== undefined && Object.hasOwn(inputs, input.name) ? inputs[input.name] : undefined;
    const transform =
      input.features === null
        ? inputTransform(own, isFloat(spec.datatype))
        : featureTransform(input.features, carrierOf(input.datatype), carrierOf(spec.datatype));
    if (transform !== null) transforms.set(input.name, transform);
  }
  if (transforms.size === 0) return (batch) => batch;
  return (batch) => {
    const processed = new Map<string, Tensor>();
    for (const [name, tensor] of batch) {
      const transform = transforms.get(name);
      processed.set(name, transform === undefined ? tensor : transform(tensor));
    }
    return processed;
  };
});

function inputTransform(spec: InputSpec | undefined, float: boolean): Transform | null {
  const fill = spec?.missing;
  const scaling = spec?.scale;
  if (!float || (fill === undefined && scaling === undefined)) return null;
  return (tensor) => {
    const values = (tensor.data as Float32Array | Float64Array).slice();
    const all: Column = { values, offset: 0, stride: 1, count: values.length };
    if (fill !== undefined) impute(all, Number(fill));
    if (scaling !== undefined) scale(all, scaling.mean, scaling.std);
    return { datatype: tensor.datatype, shape: tensor.shape, data: values };
  };
}

function featureTransform(
  features: readonly FeatureSpec[],
  carrier: CarriedDatatype,
  graph: CarriedDatatype,
): Transform | null {
  const width = features.reduce((columns, feature) => columns + columnCount(feature), 0);
  const plain = features.every(
    ({ missing, scale: scaling, one_hot }) =>
      missing === undefined && scaling === undefined && one_hot === undefined,
  );
  if (plain && carrier === graph) return null;
  return (tensor) => {
    const source = tensor.data as Float32Array | Float64Array;
    const rows = tensor.shape[0] as number;
    const values = carrier === 'FP32' ? new Float32Array(rows * width) : new Float64Array(rows * width);
    let offset = 0;
    for (let i = 0; i < features.length; i++) {
      const feature = features[i] as FeatureSpec;
      const from: Column = { values: source, offset: i, stride: features.length, count: rows };
      fillColumns(feature, from, { values, offset, stride: width, count: rows });
      offset += columnCount(feature);
    }
    const data = carrier === graph ? values : cast(values, graph as NumericDatatype);
    return { datatype: graph, shape: [rows, width], data };
  };
}

function columnCount(feature: FeatureSpec): number {
  return feature.one_hot?.length ?? 1;
}

function fillColumns(
  { missing, scale: scaling, one_hot }: FeatureSpec,
  source: Column,
  target: Column,
): void {
  if (one_hot !== undefined) {
    const index = typeof missing === 'string' ? one_hot.indexOf(missing) : null;
    oneHot(source, target, one_hot.length, index);
    return;
  }
  copyColumn(source, target);
  if (missing !== undefined) impute(target, Number(missing));
  if (scaling !== undefined) scale(target, scaling.mean, scaling.std);
}

/** For graphs that take integers; packing saw to it that the values are such. */
function cast(values: Float32Array | Float64Array, datatype: NumericDatatype): Tensor['data'] {
  const data = makeArray(datatype, values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    data[i] = data instanceof BigInt64Array || data instanceof BigUint64Array ? BigInt(value) : value;
  }
  return data;
}
