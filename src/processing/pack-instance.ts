import { carrierOf, isFloat } from '../tensors/datatype.ts';
import type { Fill } from '../tensors/element-writer.ts';
import { compileJsonPacker } from '../tensors/json-packer.ts';
import type { JsonPacker } from '../tensors/json-packer.ts';
import { describe, memberSuffix, refusal } from '../tensors/refusal.ts';
import { elementCount, isFixed } from '../tensors/shape.ts';
import type { NamedTensors, Tensor } from '../tensors/tensor.ts';
import { compileFeaturePacker } from './feature-packer.ts';
import { isObject, namesRefusal } from './member-names.ts';
import type { JsonObject } from './member-names.ts';
import { perVersion } from './per-version.ts';
import { requestInputs } from './request-inputs.ts';
import type { InputFacts, RequestInput } from './request-inputs.ts';

/**
 * The value of `inputs` (ONE instance, as API.md says) to request tensors with a leading row axis of 1.
 * `path` is where the value stands, as in `inputs` or `inputs[17]`. Throws `invalid_input` that names place,
 * expected and found.
 */
export type InstancePacker = (inputs: unknown, path: string) => NamedTensors;

export const compilePacker: (version: InputFacts) => InstancePacker = perVersion((version) => {
  const inputs = requestInputs(version).map((input) => compileInput(input, version));
  const only = inputs.length === 1 ? inputs[0] : undefined;
  return only === undefined ? packByName(inputs) : packOne(only);
});

interface InputPacker {
  readonly name: string;
  /** What follows the instance's path in messages. */
  readonly suffix: string;
  readonly pack: JsonPacker;
  /** Stands for an input that is left out; shared, since tensors are not changed. */
  readonly absent: Tensor | null;
  readonly featureNames: readonly string[] | null;
}

function compileInput(input: RequestInput, { manifest, signature }: InputFacts): InputPacker {
  const { name, datatype, rowShape, features } = input;
  const common = { name, suffix: memberSuffix(name) };
  if (features !== null) {
    const graphDatatype = signature.inputs.find((spec) => spec.name === name)?.datatype ?? datatype;
    const pack = compileFeaturePacker(features, graphDatatype, carrierOf(datatype) as 'FP32' | 'FP64');
    return { ...common, pack, absent: null, featureNames: features.map((feature) => feature.name) };
  }
  const missing = ownMember(manifest.inputs, name)?.missing;
  // Floats travel as NaN where missing and are filled by pre-processing; no other datatype has such a mark.
  const fill: Fill | undefined = missing !== undefined && isFloat(datatype) ? Number.NaN : missing;
  const pack = compileJsonPacker({ datatype, shape: rowShape, rowAxis: true, fill });
  const absent =
    fill !== undefined && isFixed(rowShape)
      ? pack(
          Array.from({ length: elementCount(rowShape) }, () => null),
          name,
        )
      : null;
  return { ...common, pack, absent, featureNames: null };
}

/** A model with one input takes the value as it is, or under the input's name. */
function packOne(input: InputPacker): InstancePacker {
  const { name, pack, suffix, absent } = input;
  return (inputs, path) => {
    if (!isObject(inputs)) return new Map([[name, packPresent(input, inputs, path)]]);
    if (isUnderItsName(input, inputs))
      return new Map([[name, packPresent(input, inputs[name], path + suffix)]]);
    if (input.featureNames !== null) return new Map([[name, pack(inputs, path)]]);
    if (absent !== null && Object.keys(inputs).length === 0) return new Map([[name, absent]]);
    throw namesRefusal(inputs, { known: [name], required: [name], what: 'input' }, path);
  };
}

/** A feature may bear the input's name: then the object is by feature. */
function isUnderItsName({ name, featureNames }: InputPacker, inputs: JsonObject): boolean {
  return (
    Object.hasOwn(inputs, name) &&
    Object.keys(inputs).length === 1 &&
    (featureNames === null || !featureNames.includes(name))
  );
}

function packByName(inputs: readonly InputPacker[]): InstancePacker {
  const known = inputs.map((input) => input.name);
  const required = inputs.filter((input) => input.absent === null).map((input) => input.name);
  const names = { known, required, what: 'input' };
  return (instance, path) => {
    if (!isObject(instance))
      throw refusal(
        path,
        `an object with a value for each of the ${known.length} inputs`,
        describe(instance),
      );
    const tensors = new Map<string, Tensor>();
    let present = 0;
    for (const input of inputs) {
      if (Object.hasOwn(instance, input.name)) {
        present++;
        tensors.set(input.name, packPresent(input, instance[input.name], path + input.suffix));
      } else if (input.absent !== null) {
        tensors.set(input.name, input.absent);
      } else {
        throw namesRefusal(instance, names, path);
      }
    }
    if (present !== Object.keys(instance).length) throw namesRefusal(instance, names, path);
    return tensors;
  };
}

function packPresent(input: InputPacker, value: unknown, path: string): Tensor {
  return value === null && input.absent !== null ? input.absent : input.pack(value, path);
}

function ownMember<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
}
