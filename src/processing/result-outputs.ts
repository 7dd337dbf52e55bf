import { MillraceError } from '../errors.ts';
import type { ErrorPlace } from '../errors.ts';
import type { PostprocessStep } from '../registry/manifest.ts';
import type { ModelVersion } from '../registry/model-version.ts';
import { isFloat } from '../tensors/datatype.ts';
import type { Datatype } from '../tensors/datatype.ts';
import { printShape } from '../tensors/shape.ts';
import { unknownName } from './member-names.ts';
import { rowShapeOf } from './request-inputs.ts';

/** An output of the graph, or one that a post-processing step adds. */
export interface ResultOutput {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1 is a dynamic dimension. */
  readonly rowShape: readonly number[];
}

/**
 * Every output that a version has after post-processing, in the order of the graph and then of the steps.
 * Throws `invalid_input` for a step that does not fit the outputs.
 */
export function resultOutputs({
  manifest,
  signature,
}: Pick<ModelVersion, 'manifest' | 'signature'>): readonly ResultOutput[] {
  const outputs = new Map<string, ResultOutput>();
  for (const spec of signature.outputs)
    outputs.set(spec.name, {
      name: spec.name,
      datatype: spec.datatype,
      rowShape: rowShapeOf(spec, signature.batch),
    });
  for (const [index, step] of (manifest.postprocess ?? []).entries()) {
    if (step.op === 'top_k') continue;
    const path = `postprocess[${index}]`;
    const source = outputs.get(step.output);
    if (source === undefined)
      throw manifestError(unknownName(step.output, [...outputs.keys()], 'output', `${path}.output`));
    const place = misfit(step, source, `${path}.output`);
    if (place !== null) throw manifestError(place);
    if (!('to' in step)) continue;
    if (outputs.has(step.to))
      throw manifestError({ path: `${path}.to`, expected: 'the name of no output', found: step.to });
    const rowShape = step.op === 'argmax' ? source.rowShape.slice(0, -1) : [];
    outputs.set(step.to, { name: step.to, datatype: 'INT64', rowShape });
  }
  return [...outputs.values()];
}

function misfit(step: PostprocessStep, source: ResultOutput, path: string): ErrorPlace | null {
  const found = print(source);
  const { rowShape, datatype } = source;
  if (step.op === 'argmax') {
    if (datatype !== 'BYTES' && rowShape.length > 0) return null;
    return { path, expected: 'a numeric output with an axis besides the rows', found };
  }
  if (!isFloat(datatype)) return { path, expected: 'a float output', found };
  if (step.op === 'softmax' && rowShape.length === 0)
    return { path, expected: 'an output with an axis besides the rows', found };
  if (step.op === 'threshold' && (rowShape.length > 1 || (rowShape[0] ?? 1) > 2))
    return { path, expected: 'an output of one or two scores a row', found };
  return null;
}

/** For messages, as in `FP32 output "scores" of row shape [3]`. */
export function print({ name, datatype, rowShape }: ResultOutput): string {
  return `${datatype} output ${JSON.stringify(name)} of row shape ${printShape(rowShape)}`;
}

export function manifestError(place: ErrorPlace): MillraceError {
  return new MillraceError(
    'invalid_input',
    `manifest ${place.path}: expected ${place.expected}, found ${place.found}`,
    { details: [place] },
  );
}

/** Throws `invalid_input` unless `names` are different outputs of the version. `path` as in `parameters.outputs`. */
export function checkOutputs(
  version: Pick<ModelVersion, 'manifest' | 'signature'>,
  names: readonly string[],
  path: string,
): void {
  const known = resultOutputs(version).map((output) => output.name);
  const places: ErrorPlace[] = [];
  if (names.length === 0) places.push({ path, expected: 'at least one output', found: 'an empty array' });
  for (const [index, name] of names.entries()) {
    if (!known.includes(name)) places.push(unknownName(name, known, 'output', `${path}[${index}]`));
    else if (names.indexOf(name) !== index)
      places.push({ path: `${path}[${index}]`, expected: 'each output once', found: JSON.stringify(name) });
    if (places.length > 0) break;
  }
  const place = places[0];
  if (place === undefined) return;
  throw new MillraceError(
    'invalid_input',
    `${place.path}: expected ${place.expected}, found ${place.found}`,
    {
      details: places,
    },
  );
}
