import { describe, refusal } from '../tensors/refusal.ts';
import type { NamedTensors, Tensor } from '../tensors/tensor.ts';
import { compileInputs } from './input-packer.ts';
import type { InputPacker } from './input-packer.ts';
import { isObject, namesRefusal } from './member-names.ts';
import type { JsonObject } from './member-names.ts';
import { perVersion } from './per-version.ts';
import type { InputFacts } from './request-inputs.ts';

/**
 * The value of `inputs` (ONE instance, as API.md says) to request tensors with a leading row axis of 1.
 * `path` is where the value stands, as in `inputs` or `inputs[17]`. Throws `invalid_input` that names place,
 * expected and found.
 */
export type InstancePacker = (inputs: unknown, path: string) => NamedTensors;

export const compilePacker: (version: InputFacts) => InstancePacker = perVersion((version) => {
  const { read } = compileReader(version);
  return (instance, path) => {
    const tensors = new Map<string, Tensor>();
    read(instance, path, (input, value, place) => tensors.set(input.name, packPresent(input, value, place)));
    return tensors;
  };
});

/** `index` counts the inputs. A value of null stands for an input that is left out. */
export type TakeValue = (input: InputPacker, value: unknown, path: string, index: number) => void;

export interface InstanceReader {
  readonly inputs: readonly InputPacker[];
  /** Says which value of an instance is which input's: each input once, in order. Throws as `take` and packing do. */
  readonly read: (instance: unknown, path: string, take: TakeValue) => void;
}

export const compileReader: (version: InputFacts) => InstanceReader = perVersion((version) => {
  const inputs = compileInputs(version);
  const only = inputs.length === 1 ? inputs[0] : undefined;
  return { inputs, read: only === undefined ? readByName(inputs) : readOne(only) };
});

/** A model with one input takes the value as it is, or under the input's name. */
function readOne(input: InputPacker): InstanceReader['read'] {
  const { name, suffix, absent } = input;
  return (inputs, path, take) => {
    if (!isObject(inputs)) take(input, inputs, path, 0);
    else if (isUnderItsName(input, inputs)) take(input, inputs[name], path + suffix, 0);
    else if (input.featureNames !== null) take(input, inputs, path, 0);
    else if (absent !== null && Object.keys(inputs).length === 0) take(input, null, path, 0);
    else throw namesRefusal(inputs, { known: [name], required: [name], what: 'input' }, path);
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

function readByName(inputs: readonly InputPacker[]): InstanceReader['read'] {
  const known = inputs.map((input) => input.name);
  const required = inputs.filter((input) => input.absent === null).map((input) => input.name);
  const names = { known, required, what: 'input' };
  return (instance, path, take) => {
    if (!isObject(instance))
      throw refusal(
        path,
        `an object with a value for each of the ${known.length} inputs`,
        describe(instance),
      );
    let present = 0;
    for (let index = 0; index < inputs.length; index++) {
      const input = inputs[index] as InputPacker;
      if (Object.hasOwn(instance, input.name)) {
        present++;
        take(input, instance[input.name], path + input.suffix, index);
      } else if (input.absent !== null) {
        take(input, null, path + input.suffix, index);
      } else {
        throw namesRefusal(instance, names, path);
      }
    }
    if (present !== Object.keys(instance).length) throw namesRefusal(instance, names, path);
  };
}

function packPresent(input: InputPacker, value: unknown, path: string): Tensor {
  return value === null && input.absent !== null ? input.absent : input.pack(value, path);
}
