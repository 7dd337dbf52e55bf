import { carrierOf, isFloat } from '../tensors/datatype.ts';
import type { Fill } from '../tensors/element-writer.ts';
import { compileJsonPacker, compileJsonWriter, packWith } from '../tensors/json-packer.ts';
import type { JsonPacker, JsonWriter } from '../tensors/json-packer.ts';
import { memberSuffix } from '../tensors/refusal.ts';
import { isFixed } from '../tensors/shape.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { compileFeatureWriter } from './feature-packer.ts';
import { requestInputs } from './request-inputs.ts';
import type { InputFacts, RequestInput } from './request-inputs.ts';

/** One input of an instance. */
export interface InputPacker {
  readonly name: string;
  /** What follows the instance's path in messages. */
  readonly suffix: string;
  /** To a tensor with a row axis of 1. Throws `invalid_input`. */
  readonly pack: JsonPacker;
  /** Null where rows can differ in shape. */
  readonly rows: RowWriter | null;
  /** Stands for an input that is left out; shared, since tensors are not changed. */
  readonly absent: Tensor | null;
  readonly featureNames: readonly string[] | null;
}

/** For rows that lie one behind the other in one array. */
export interface RowWriter extends JsonWriter {
  readonly rowShape: readonly number[];
}

export function compileInputs(version: InputFacts): readonly InputPacker[] {
  return requestInputs(version).map((input) => compileInput(input, version));
}

function compileInput(input: RequestInput, { manifest, signature }: InputFacts): InputPacker {
  const { name, datatype, rowShape, features } = input;
  const common = { name, suffix: memberSuffix(name) };
  if (features !== null) {
    const graphDatatype = signature.inputs.find((spec) => spec.name === name)?.datatype ?? datatype;
    const rows: RowWriter = {
      datatype: carrierOf(datatype),
      rowShape,
      elementCount: features.length,
      write: compileFeatureWriter(features, graphDatatype) as JsonWriter['write'],
    };
    const featureNames = features.map((feature) => feature.name);
    return { ...common, pack: packWith(rows, [1, ...rowShape]), rows, absent: null, featureNames };
  }
  const missing = ownMember(manifest.inputs, name)?.missing;
  // Floats travel as NaN where missing and are filled by pre-processing; no other datatype has such a mark.
  const fill: Fill | undefined = missing !== undefined && isFloat(datatype) ? Number.NaN : missing;
  if (!isFixed(rowShape)) {
    const pack = compileJsonPacker({ datatype, shape: rowShape, rowAxis: true, fill });
    return { ...common, pack, rows: null, absent: null, featureNames: null };
  }
  const rows: RowWriter = { ...compileJsonWriter({ datatype, shape: rowShape, fill }), rowShape };
  const pack = packWith(rows, [1, ...rowShape]);
  const nothing = () => Array.from({ length: rows.elementCount }, () => null);
  const absent = fill === undefined ? null : pack(nothing(), name);
  return { ...common, pack, rows, absent, featureNames: null };
}

function ownMember<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
}
