import { MillraceError } from '../../errors.ts';
import type { PostprocessStep } from '../../registry/manifest.ts';
import type { ModelVersion } from '../../registry/model-version.ts';
import { printShape } from '../../tensors/shape.ts';
import type { NamedTensors, Tensor } from '../../tensors/tensor.ts';
import { perVersion } from '../per-version.ts';
import { resultOutputs } from '../result-outputs.ts';
import { argmax } from './argmax.ts';
import { classProbabilities, compileLabelIndexer, greatestIndices } from './classification.ts';
import type { LabelIndexer } from './classification.ts';
import { sigmoid } from './sigmoid.ts';
import { softmax } from './softmax.ts';
import { threshold } from './threshold.ts';

export type OutputFacts = Pick<
  ModelVersion,
  'model' | 'version' | 'manifest' | 'signature' | 'labels' | 'roles'
>;

/** `requested` are names of outputs (graph or post-processing), or null for what the version's task needs. */
export interface Postprocess {
  /** The graph outputs to fetch, in the order of the signature. */
  graphOutputs(requested: readonly string[] | null): readonly string[];
  /**
   * Raw outputs of a run of `rows` rows (axis 0 is rows in every one) to result tensors: those of
   * InferenceResult, or exactly the requested ones. Throws `internal_error` naming the model when rows, labels
   * or classes do not add up.
   */
  apply(outputs: NamedTensors, rows: number, requested: readonly string[] | null): NamedTensors;
}

type Step = Exclude<PostprocessStep, { readonly op: 'top_k' }>;

export const compilePostprocess: (version: OutputFacts) => Postprocess = perVersion((version) => {
  const inTask = planOf(version, taskOutputs(version));
  const planFor = (requested: readonly string[] | null): Plan =>
    requested === null ? inTask : planOf(version, requested);
  const toLabelIndices = compileLabelIndexer(version);
  return {
    graphOutputs: (requested) => planFor(requested).graphOutputs,
    apply: (outputs, rows, requested) => {
      const plan = planFor(requested);
      const tensors = runSteps(version, plan, outputs, rows);
      if (requested === null) return taskResult(version, tensors, toLabelIndices);
      return new Map(requested.map((name) => [name, tensorOf(version, tensors, name)]));
    },
  };
});

interface Plan {
  readonly graphOutputs: readonly string[];
  readonly steps: readonly Step[];
}

/** Back from what is needed to what it is made of: a step runs only if its result is needed. */
function planOf({ manifest, signature }: OutputFacts, names: readonly string[]): Plan {
  const needed = new Set(names);
  const steps: Step[] = [];
  for (const step of (manifest.postprocess ?? []).toReversed()) {
    if (step.op === 'top_k' || !needed.has('to' in step ? step.to : step.output)) continue;
    needed.add(step.output);
    steps.unshift(step);
  }
  const graphOutputs = signature.outputs.map((spec) => spec.name).filter((name) => needed.has(name));
  return { graphOutputs, steps };
}

function taskOutputs(version: OutputFacts): readonly string[] {
  const { roles } = version;
  if (roles.task === 'regression') return [roles.value];
  if (roles.task === 'tensor') return resultOutputs(version).map((output) => output.name);
  return [roles.label, roles.probabilities].filter((name) => name !== null);
}

function runSteps(version: OutputFacts, plan: Plan, outputs: NamedTensors, rows: number): NamedTensors {
  const tensors = new Map<string, Tensor>();
  for (const name of plan.graphOutputs) {
    const tensor = tensorOf(version, outputs, name);
    if (tensor.shape[0] !== rows)
      throw modelError(version, `returned ${tensor.shape[0] ?? 'no'} rows for ${rows} in output ${name}`);
    tensors.set(name, tensor);
  }
  for (const step of plan.steps) {
    const tensor = tensorOf(version, tensors, step.output);
    tensors.set('to' in step ? step.to : step.output, runStep(step, tensor));
  }
  return tensors;
}

function runStep(step: Step, tensor: Tensor): Tensor {
  switch (step.op) {
    case 'softmax':
      return softmax(tensor);
    case 'sigmoid':
      return sigmoid(tensor);
    case 'argmax':
      return argmax(tensor);
    case 'threshold':
      return threshold(tensor, step.at);
  }
}

function taskResult(version: OutputFacts, tensors: NamedTensors, toLabelIndices: LabelIndexer): NamedTensors {
  const { roles, labels } = version;
  if (roles.task === 'tensor') return tensors;
  if (roles.task === 'regression') return new Map([['value', tensorOf(version, tensors, roles.value)]]);
  const result = new Map<string, Tensor>();
  const probabilities =
    roles.probabilities === null ? null : probabilitiesOf(version, tensors, roles.probabilities);
  if (roles.label !== null) {
    const label = flatten(version, tensorOf(version, tensors, roles.label), roles.label);
    result.set('label', labels === null ? label : toLabelIndices(label));
  } else if (probabilities !== null) {
    result.set('label', greatestIndices(probabilities));
  }
  if (probabilities !== null) result.set('probabilities', probabilities);
  return result;
}

function probabilitiesOf(version: OutputFacts, tensors: NamedTensors, name: string): Tensor {
  const tensor = tensorOf(version, tensors, name);
  if (tensor.shape.length > 2)
    throw modelError(version, `returned probabilities of shape ${printShape(tensor.shape)}`);
  const probabilities = classProbabilities(tensor);
  const classCount = probabilities.shape[1];
  if (version.labels !== null && classCount !== version.labels.length)
    throw modelError(version, `returned ${classCount} probabilities for ${version.labels.length} labels`);
  return probabilities;
}

/** [N, 1] to [N]. */
function flatten(version: OutputFacts, tensor: Tensor, name: string): Tensor {
  if (tensor.data.length !== tensor.shape[0])
    throw modelError(version, `returned ${tensor.data.length} labels for ${tensor.shape[0]} rows in ${name}`);
  return { datatype: tensor.datatype, shape: [tensor.data.length], data: tensor.data };
}

function tensorOf(version: OutputFacts, tensors: NamedTensors, name: string): Tensor {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw modelError(version, `returned no output ${name}`);
  return tensor;
}

function modelError({ model, version }: OutputFacts, what: string): MillraceError {
  return new MillraceError('internal_error', `Model ${model}/${version} ${what}`);
}
