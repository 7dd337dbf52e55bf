import { MillraceError } from '../../errors.ts';
import { compilePacker } from '../../processing/pack-instance.ts';
import { compilePostprocess } from '../../processing/postprocess/compile.ts';
import type { OutputFacts } from '../../processing/postprocess/compile.ts';
import { compilePreprocess } from '../../processing/preprocess/compile.ts';
import { compileRenderer } from '../../processing/render.ts';
import { inferRoles } from '../../processing/roles.ts';
import type { NamedTensors } from '../../tensors/tensor.ts';
import { describe } from '../../validation.ts';
import type { ManifestExample } from '../manifest.ts';
import { refuseOnnx } from '../onnx-refusal.ts';
import { completeSignature } from '../signature.ts';
import type { BatchAxis } from '../signature.ts';
import { isGuesswork, makeTrialInputs } from './trial-inputs.ts';
import type { TrialRequest } from './trial-request.ts';
import { fromOneRow, toRows } from './trial-rows.ts';

/** What a trial needs of a session. */
export interface TrialSession {
  checkSignature(declared: TrialRequest['declared']): void;
  run(inputs: NamedTensors): Promise<NamedTensors>;
}

type Ranks = ReadonlyMap<string, number>;

/**
 * Runs a model on made-up inputs (one row, and two where rows are free) and on the manifest's examples, and reads
 * the outputs as an answer would. Throws `invalid_input` for the first thing that is wrong. Returns the rank of
 * each output.
 */
export async function runTrial(request: TrialRequest, session: TrialSession): Promise<Ranks> {
  const { declared, batch, manifest } = request;
  session.checkSignature(declared);
  const examples = manifest.examples ?? [];
  let ranks: Ranks = new Map();
  // With examples at hand, guesses that may mean nothing to the model are not held against it.
  if (examples.length === 0 || !isGuesswork(declared.inputs, batch)) {
    for (const rows of batch.kind === 'dynamic' ? [1, 2] : [1]) {
      const raw = await session.run(makeTrialInputs(declared.inputs, batch, rows));
      ranks = ranksOf(raw);
      read(request, raw, rows);
    }
  }
  for (const [index, example] of examples.entries())
    ranks = await runExample(request, session, example, `examples[${index}]`);
  return ranks;
}

async function runExample(
  request: TrialRequest,
  session: TrialSession,
  example: ManifestExample,
  path: string,
): Promise<Ranks> {
  const { declared, batch, manifest } = request;
  const facts = { manifest, signature: completeSignature(declared, batch, new Map()) };
  const packed = compilePacker(facts)(example.inputs, `${path}.inputs`);
  const raw = await session.run(fromOneRow(compilePreprocess(facts)(packed), batch));
  const { result, outputFacts } = read(request, raw, 1);
  const options = { id: '', returnProbability: false, topK: null, outputs: null };
  const { output } = compileRenderer(outputFacts)(result, 0, options);
  if (example.output !== undefined && !isSameOutput(example.output, output))
    throw new MillraceError('invalid_input', 'The model does not give the output of its example', {
      details: [{ path: `${path}.output`, expected: describe(example.output), found: describe(output) }],
    });
  return ranksOf(raw);
}

/** Raw outputs to result tensors. */
function read(
  request: TrialRequest,
  raw: NamedTensors,
  rows: number,
): { readonly result: NamedTensors; readonly outputFacts: OutputFacts } {
  const { declared, batch, manifest, labels } = request;
  checkRows(raw, batch, rows);
  const signature = completeSignature(declared, batch, ranksOf(raw));
  const roles = inferRoles(manifest, signature);
  const version = manifest.version ?? '(new)';
  const outputFacts = { model: manifest.name, version, manifest, signature, labels, roles };
  try {
    const result = compilePostprocess(outputFacts).apply(toRows(raw, batch, rows), rows, null);
    return { result, outputFacts };
  } catch (error) {
    // What would be our fault on a version's request is the file's or the manifest's here.
    if (!MillraceError.is(error)) throw error;
    throw refuseOnnx('outputs that fit the manifest', error.message);
  }
}

/** A model that mixes rows, drops or adds some would give callers each other's answers. */
function checkRows(outputs: NamedTensors, batch: BatchAxis, rows: number): void {
  if (batch.kind === 'none') return;
  const expected = batch.kind === 'fixed' ? batch.size : rows;
  for (const [name, { shape }] of outputs)
    if (shape[0] !== expected)
      throw refuseOnnx(
        `as many rows of ${JSON.stringify(name)} as go in (${expected}), since its first dimension is the batch axis`,
        `the shape [${shape.join(', ')}]`,
      );
}

function ranksOf(outputs: NamedTensors): Ranks {
  return new Map([...outputs].map(([name, { shape }]) => [name, shape.length]));
}

/** People write examples with a few digits. */
const relativeTolerance = 1e-3;

function isSameOutput(expected: string | number, found: unknown): boolean {
  if (expected === found) return true;
  if (typeof expected !== 'number' || typeof found !== 'number') return false;
  return Math.abs(expected - found) <= relativeTolerance * Math.max(Math.abs(expected), Math.abs(found));
}
