import { isFixed } from '../tensors/shape.ts';
import type { NamedTensors } from '../tensors/tensor.ts';
import { perVersion } from './per-version.ts';
import { requestInputs } from './request-inputs.ts';
import type { InputFacts } from './request-inputs.ts';

/** Equal for two instances of a version iff they may share a run. */
export type CompatibilityKey = (instance: NamedTensors, outputs: readonly string[] | null) => string;

/**
 * Instances share a run when each input has the same row shape in both and both want the same outputs, in
 * whatever order. '' wherever the signature fixes every row shape and no outputs are named.
 */
export const compileCompatibilityKey: (version: InputFacts) => CompatibilityKey = perVersion((version) => {
  const open = requestInputs(version)
    .filter((input) => !isFixed(input.rowShape))
    .map((input) => input.name);
  return (instance, outputs) => {
    if (open.length === 0 && outputs === null) return '';
    const shapes = open.map((name) => instance.get(name)?.shape.slice(1));
    return JSON.stringify([shapes, outputs?.toSorted() ?? null]);
  };
});
