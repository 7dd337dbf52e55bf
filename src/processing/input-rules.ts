import type { ErrorPlace } from '../errors.ts';
import type { InputSpec } from '../registry/manifest.ts';
import { carrierOf, isFloat, makeArray } from '../tensors/datatype.ts';
import { elementWriter, expectedElement } from '../tensors/element-writer.ts';
import { describe, memberPath } from '../tensors/refusal.ts';
import { printShape } from '../tensors/shape.ts';
import type { TensorSpec } from '../tensors/tensor-spec.ts';
import { unknownName } from './member-names.ts';
import { rowShapeOf } from './request-inputs.ts';
import type { InputFacts } from './request-inputs.ts';

/**
 * Where the manifest's `features` and `inputs` do not fit the signature. Empty when they do: for registration,
 * since packing and pre-processing take the fit for granted.
 */
export function checkInputRules(facts: InputFacts): readonly ErrorPlace[] {
  return [...featureRules(facts), ...inputRules(facts)];
}

function* featureRules({ manifest, signature }: InputFacts): Generator<ErrorPlace> {
  const { features } = manifest;
  if (features === undefined) return;
  const [input, ...others] = signature.inputs;
  if (input === undefined || others.length > 0 || input.datatype === 'BYTES' || input.datatype === 'BOOL') {
    const found = signature.inputs.map((spec) => `${spec.name} (${spec.datatype})`).join(', ');
    yield { path: 'features', expected: 'a model with one numeric input', found: found || 'no input' };
    return;
  }
  const shape = rowShapeOf(input, signature.batch);
  const columns = features.reduce((sum, feature) => sum + (feature.one_hot?.length ?? 1), 0);
  const fits = shape.length === 1 && ((shape[0] as number) < 0 || shape[0] === columns);
  if (!fits)
    yield {
      path: 'features',
      expected: `as many columns as the input's row shape ${printShape(shape)}`,
      found: `${columns} columns`,
    };
  if (isFloat(input.datatype)) return;
  for (const [index, feature] of features.entries())
    if (feature.scale !== undefined)
      yield { path: `features[${index}].scale`, expected: 'a float input', found: input.datatype };
}

function* inputRules({ manifest, signature }: InputFacts): Generator<ErrorPlace> {
  for (const [name, own] of Object.entries(manifest.inputs ?? {})) {
    const path = memberPath('inputs', name);
    const spec = signature.inputs.find((candidate) => candidate.name === name);
    const known = signature.inputs.map((candidate) => candidate.name);
    if (spec === undefined) yield unknownName(name, known, 'input', path);
    else yield* oneInput(path, own, spec);
  }
}

function* oneInput(
  path: string,
  { missing, scale }: InputSpec,
  { datatype }: TensorSpec,
): Generator<ErrorPlace> {
  if (scale !== undefined && !isFloat(datatype))
    yield { path: `${path}.scale`, expected: 'a float input', found: datatype };
  if (missing === undefined) return;
  const carrier = carrierOf(datatype);
  const scratch = carrier === 'BYTES' ? [] : makeArray(carrier, 1);
  if (elementWriter(datatype)(scratch, 0, [missing]) >= 0)
    yield { path: `${path}.missing`, expected: expectedElement(datatype), found: describe(missing) };
}
