import { MillraceError } from '../errors.ts';
import type { Label } from '../registry/model-version.ts';
import type { NumericArray } from '../tensors/datatype.ts';
import { elementAt, elements, unpackRow } from '../tensors/json-unpacker.ts';
import type { JsonValue } from '../tensors/json-unpacker.ts';
import type { NamedTensors, Tensor } from '../tensors/tensor.ts';
import { perVersion } from './per-version.ts';
import { indexOfGreatest } from './postprocess/argmax.ts';
import type { OutputFacts } from './postprocess/compile.ts';

/** One element of `predictions`, with the document's fields in the document's order. */
export interface Prediction {
  readonly id: string;
  readonly output: JsonValue | Readonly<Record<string, JsonValue>>;
  /** In the order of the labels. */
  readonly probabilities?: JsonValue;
  /** Probability of `output`; absent when the model gives none. */
  readonly score?: JsonValue;
  /** The likeliest classes, greatest first. */
  readonly top_k?: readonly LabelScore[];
}

export interface LabelScore {
  readonly label: JsonValue;
  readonly score: JsonValue;
}

export interface RenderOptions {
  readonly id: string;
  readonly returnProbability: boolean;
  /** Null: the manifest's, if it has one. */
  readonly topK: number | null;
  /** The outputs that were asked for by name: `output` is then these, and there is nothing else. */
  readonly outputs: readonly string[] | null;
}

/** One row of result tensors as JSON values; JSON.stringify does the rest. */
export type Renderer = (result: NamedTensors, row: number, options: RenderOptions) => Prediction;

export const compileRenderer: (version: OutputFacts) => Renderer = perVersion((version) => {
  const inTask = taskRenderer(version);
  return (result, row, options) =>
    options.outputs === null
      ? inTask(result, row, options)
      : { id: options.id, output: renderOutputs(result, row, options.outputs) };
});

function taskRenderer(version: OutputFacts): Renderer {
  const { roles, labels, manifest } = version;
  if (roles.task === 'classification') {
    const step = manifest.postprocess?.findLast((candidate) => candidate.op === 'top_k');
    const topK = step?.op === 'top_k' ? step.k : null;
    return (result, row, options) => renderClass(labels, topK, result, row, options);
  }
  if (roles.task === 'regression')
    return (result, row, { id }) => ({ id, output: renderValue(tensorOf(result, 'value'), row) });
  return (result, row, { id }) => ({ id, output: renderOutputs(result, row, [...result.keys()]) });
}

function renderClass(
  labels: readonly Label[] | null,
  topKDefault: number | null,
  result: NamedTensors,
  row: number,
  options: RenderOptions,
): Prediction {
  const { id, returnProbability } = options;
  const label = tensorOf(result, 'label');
  const index = Number(label.data[row]);
  const output = labels === null ? elementAt(label, row) : (labels[index] as Label);
  const probabilities = result.get('probabilities');
  if (probabilities === undefined) return { id, output };
  const classCount = probabilities.shape[1] as number;
  const from = row * classCount;
  // Without labels a label may stand for any class: then its probability is the greatest.
  const column =
    labels === null ? indexOfGreatest(probabilities.data as NumericArray, from, classCount) : index;
  const score = elementAt(probabilities, from + column);
  const k = options.topK ?? topKDefault;
  if (k !== null) {
    const top_k = topClasses(labels, probabilities, from, Math.min(k, classCount));
    return returnProbability
      ? { id, output, probabilities: elements(probabilities, from, classCount), score, top_k }
      : { id, output, score, top_k };
  }
  return returnProbability
    ? { id, output, probabilities: elements(probabilities, from, classCount), score }
    : { id, output, score };
}

/** Equal scores stay in the order of the labels; NaN comes last. */
function topClasses(
  labels: readonly Label[] | null,
  probabilities: Tensor,
  from: number,
  k: number,
): readonly LabelScore[] {
  const classCount = probabilities.shape[1] as number;
  const scoreOf = (index: number): number => {
    const score = probabilities.data[from + index] as number;
    return Number.isNaN(score) ? Number.NEGATIVE_INFINITY : score;
  };
  return Array.from({ length: classCount }, (_, index) => index)
    .sort((a, b) => scoreOf(b) - scoreOf(a) || a - b)
    .slice(0, k)
    .map((index) => ({ label: labels?.[index] ?? index, score: elementAt(probabilities, from + index) }));
}

/** One value a row is a number, several are an array. */
function renderValue(value: Tensor, row: number): JsonValue {
  const isOneElement = value.data.length === value.shape[0];
  return isOneElement ? elementAt(value, row) : unpackRow(value, row);
}

/** fromEntries makes own members of any name, `__proto__` too. */
function renderOutputs(result: NamedTensors, row: number, names: readonly string[]): Prediction['output'] {
  const only = names[0];
  if (names.length === 1 && only !== undefined) return unpackRow(tensorOf(result, only), row);
  return Object.fromEntries(names.map((name) => [name, unpackRow(tensorOf(result, name), row)]));
}

function tensorOf(result: NamedTensors, name: string): Tensor {
  const tensor = result.get(name);
  if (tensor === undefined) throw new MillraceError('internal_error', `The result has no tensor ${name}`);
  return tensor;
}
