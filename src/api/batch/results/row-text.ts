import { compileRenderer } from '../../../processing/render.ts';
import type { Prediction, Renderer } from '../../../processing/render.ts';
import type { OutputFacts } from '../../../processing/postprocess/compile.ts';
import type { RenderChoice } from '../../../queues/batch/batch.ts';
import { jsonFloat32, elementAt } from '../../../tensors/json-unpacker.ts';
import type { NamedTensors, Tensor } from '../../../tensors/tensor.ts';

/**
 * Text of what a row of a chunk says, by its row in the tensors. A million rows go through here, so the common models
 * have their text written straight from the tensors; the others are rendered as for predict and made text afterwards.
 */
export type RowText = (row: number) => string;

/** Of a chunk's tensors. */
export type RowTextOf = (tensors: NamedTensors) => RowText;

/** Members of a JSON object without its braces: `"output":"class_1","score":0.7`. */
export function compileMembers(facts: OutputFacts, render: RenderChoice): RowTextOf {
  const { labels, roles } = facts;
  const generic = compileGeneric(facts, render);
  const members: RowTextOf = (tensors) => {
    const prediction = generic(tensors);
    // `{"id":"",` in front and `}` behind.
    return (row) => JSON.stringify(prediction(row)).slice(9, -1);
  };
  if (render.outputs !== null) return members;
  if (roles.task === 'classification' && labels !== null && topKOf(facts, render) === null) {
    const outputs = labels.map((label) => `"output":${JSON.stringify(label)}`);
    return (tensors) => classMembers(tensors, outputs, render.returnProbability);
  }
  if (roles.task !== 'regression') return members;
  return (tensors) => {
    const value = tensors.get('value');
    if (value === undefined || value.data.length !== value.shape[0]) return members(tensors);
    const text = numberText(value);
    return (row) => `"output":${text(row)}`;
  };
}

/** The prediction of a row as an object, whose `id` is empty. */
export function compileGeneric(
  facts: OutputFacts,
  render: RenderChoice,
): (tensors: NamedTensors) => (row: number) => Prediction {
  const options = { id: '', ...render };
  const renderer: Renderer = compileRenderer(facts);
  return (tensors) => (row) => renderer(tensors, row, options);
}

/** How many classes are listed; null for none. */
export function topKOf({ manifest }: OutputFacts, { topK }: RenderChoice): number | null {
  const step = manifest.postprocess?.findLast((candidate) => candidate.op === 'top_k');
  return topK ?? (step?.op === 'top_k' ? step.k : null);
}

function classMembers(tensors: NamedTensors, outputs: readonly string[], listed: boolean): RowText {
  const label = tensors.get('label')?.data ?? [];
  const probabilities = tensors.get('probabilities');
  if (probabilities === undefined) return (row) => outputs[Number(label[row])] as string;
  const classCount = probabilities.shape[1] as number;
  const text = numberText(probabilities);
  if (!listed)
    return (row) => {
      const index = label[row] as number;
      return `${outputs[index] as string},"score":${text(row * classCount + index)}`;
    };
  return (row) => {
    const index = label[row] as number;
    const from = row * classCount;
    let list = text(from);
    for (let i = 1; i < classCount; i++) list += `,${text(from + i)}`;
    return `${outputs[index] as string},"probabilities":[${list}],"score":${text(from + index)}`;
  };
}

/** JSON text of single elements of a numeric tensor. */
export function numberText(tensor: Tensor): (index: number) => string {
  if (tensor.datatype !== 'FP32') return (index) => JSON.stringify(elementAt(tensor, index));
  const data = tensor.data as Float32Array;
  return (index) => {
    const value = jsonFloat32(data[index] as number);
    return typeof value === 'number' ? `${value}` : `"${value}"`;
  };
}
