import type { ErrorPlace } from '../errors.ts';
import { describe } from '../validation.ts';
import type { FeatureSpec, Manifest, PostprocessStep } from './manifest.ts';
import { taskOf } from './manifest.ts';
import { reservedModelNames, reservedVersionNames } from './model-ref.ts';

/** What no JSON Schema can say: rules between the fields of a manifest that fits the schema. */
export function checkManifestRules(manifest: Manifest): readonly ErrorPlace[] {
  return [
    ...reservedNames(manifest),
    ...featureRules(manifest),
    ...taskRules(manifest),
    ...labelRules(manifest),
    ...stepRules(manifest.postprocess ?? [], taskOf(manifest)),
  ];
}

function* reservedNames({ name, version }: Manifest): Generator<ErrorPlace> {
  if (reservedModelNames.includes(name)) yield reserved('name', name);
  if (version !== undefined && reservedVersionNames.includes(version)) yield reserved('version', version);
}

function reserved(path: string, found: string): ErrorPlace {
  return { path, expected: 'a name that is not reserved', found: describe(found) };
}

function* featureRules({ features, inputs }: Manifest): Generator<ErrorPlace> {
  if (features !== undefined && inputs !== undefined)
    yield { path: 'inputs', expected: 'absent where features are declared', found: 'both' };
  const names = features?.map((feature) => feature.name) ?? [];
  yield* duplicates('features', names, '.name');
  for (const [index, feature] of (features ?? []).entries()) yield* oneFeature(`features[${index}]`, feature);
}

function* oneFeature(path: string, feature: FeatureSpec): Generator<ErrorPlace> {
  const { one_hot: categories, missing, scale } = feature;
  if (categories === undefined) {
    if (typeof missing === 'string')
      yield { path: `${path}.missing`, expected: 'a number', found: describe(missing) };
    return;
  }
  yield* duplicates(`${path}.one_hot`, categories);
  if (scale !== undefined)
    yield { path: `${path}.scale`, expected: 'absent from a one-hot feature', found: 'both' };
  if (missing !== undefined && !categories.some((category) => category === missing))
    yield { path: `${path}.missing`, expected: 'one of its categories', found: describe(missing) };
}

function* taskRules(manifest: Manifest): Generator<ErrorPlace> {
  const task = taskOf(manifest);
  const allowed = { classification: ['label', 'probabilities'], regression: ['value'], tensor: [] }[task];
  for (const role of Object.keys(manifest.outputs ?? {}))
    if (!allowed.some((name) => name === role))
      yield { path: `outputs.${role}`, expected: `absent for the task ${task}`, found: 'present' };
  if (task === 'tensor')
    for (const [index, example] of (manifest.examples ?? []).entries())
      if (example.output !== undefined)
        yield { path: `examples[${index}].output`, expected: 'absent for the task tensor', found: 'present' };
}

function* labelRules({ labels, task }: Manifest): Generator<ErrorPlace> {
  if (labels === undefined) return;
  if (task !== 'classification')
    yield { path: 'labels', expected: 'the task classification', found: describe(task) };
  // As text: probabilities are listed by label, where 1 and "1" would be the same name.
  yield* duplicates('labels', labels.map(String));
}

const stepKeys: Record<PostprocessStep['op'], readonly string[]> = {
  softmax: ['output'],
  sigmoid: ['output'],
  argmax: ['output', 'to'],
  threshold: ['output', 'at', 'to'],
  top_k: ['k'],
};

function* stepRules(steps: readonly PostprocessStep[], task: string): Generator<ErrorPlace> {
  for (const [index, step] of steps.entries()) {
    const path = `postprocess[${index}]`;
    const keys = stepKeys[step.op];
    const present = Object.keys(step).filter((key) => key !== 'op');
    for (const key of keys)
      if (!present.includes(key))
        yield { path: `${path}.${key}`, expected: `a value for ${step.op}`, found: 'nothing' };
    for (const key of present)
      if (!keys.includes(key))
        yield { path: `${path}.${key}`, expected: `absent from ${step.op}`, found: 'present' };
    if (step.op === 'top_k' && task !== 'classification')
      yield { path, expected: 'the task classification', found: `the task ${task}` };
  }
  const added = steps.map((step) => ('to' in step ? step.to : undefined));
  yield* duplicates('postprocess', added, '.to');
}

function* duplicates(
  path: string,
  values: readonly (string | undefined)[],
  suffix = '',
): Generator<ErrorPlace> {
  const seen = new Set<string>();
  for (const [index, value] of values.entries()) {
    if (value === undefined) continue;
    if (seen.has(value))
      yield { path: `${path}[${index}]${suffix}`, expected: 'a name used once', found: describe(value) };
    seen.add(value);
  }
}
