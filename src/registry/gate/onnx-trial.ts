import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node';
import { carrierOf } from '../../tensors/datatype.ts';
import type { CarriedDatatype } from '../../tensors/datatype.ts';
import { datatypeOfOnnxType, onnxTypes } from '../../tensors/onnx-type.ts';
import type { NamedTensors, Tensor, TensorData } from '../../tensors/tensor.ts';
import type { TensorSpec } from '../../tensors/tensor-spec.ts';
import { refuseOnnx } from '../onnx-refusal.ts';
import type { OutputDeclaration, SignatureDeclaration } from '../signature.ts';

/**
 * One session as a host would make it, for trial runs. The only import of onnxruntime-node outside workers/host: it runs
 * in the gate's child alone.
 */
export class OnnxTrial {
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.#session = session;
  }

  /** Throws `invalid_input` when onnxruntime refuses the bytes. */
  static async load(bytes: Uint8Array): Promise<OnnxTrial> {
    try {
      const session = await InferenceSession.create(bytes, {
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        logSeverityLevel: 4,
        extra: { session: { intra_op: { allow_spinning: '0' } } },
      });
      return new OnnxTrial(session);
    } catch (error) {
      throw refuseOnnx('a model that onnxruntime loads', reasonOf(error));
    }
  }

  /** Throws `invalid_input` where the session sees another signature than we read from the file. */
  checkSignature(declared: SignatureDeclaration): void {
    compare('inputs', declared.inputs, this.#session.inputMetadata);
    compare('outputs', declared.outputs, this.#session.outputMetadata);
  }

  /** Throws `invalid_input` when the run fails. Does not return before the native run has ended. */
  async run(inputs: NamedTensors): Promise<NamedTensors> {
    const feeds: Record<string, OnnxTensor> = {};
    for (const [name, { datatype, data, shape }] of inputs)
      feeds[name] = new OnnxTensor(onnxTypes[datatype], data as OnnxTensor['data'], shape);
    let results: InferenceSession.OnnxValueMapType;
    try {
      results = await this.#session.run(feeds);
    } catch (error) {
      throw refuseOnnx('a model that runs on its trial inputs', reasonOf(error));
    }
    const outputs = this.#session.outputNames.map((name): [string, Tensor] => {
      const value = results[name] as OnnxTensor;
      const datatype = datatypeOfOnnxType.get(value.type) as CarriedDatatype;
      return [name, { datatype, shape: value.dims, data: value.data as TensorData }];
    });
    return new Map(outputs);
  }
}

function compare(
  what: string,
  ours: readonly (OutputDeclaration | TensorSpec)[],
  theirs: readonly InferenceSession.ValueMetadata[],
): void {
  const names = (specs: readonly { readonly name: string }[]): string =>
    specs.map((spec) => spec.name).join(', ');
  if (names(ours) !== names(theirs)) throw refuseOnnx(`the ${what} ${names(ours)}`, names(theirs));
  for (const [index, { name, datatype, shape }] of ours.entries()) {
    const seen = theirs[index];
    if (seen?.isTensor !== true) throw refuseOnnx(`a tensor as ${name}`, 'another type');
    if (seen.type !== onnxTypes[carrierOf(datatype)]) throw refuseOnnx(`${datatype} for ${name}`, seen.type);
    if (shape !== null && !isCompatible(shape, seen.shape))
      throw refuseOnnx(`the shape [${shape.join(', ')}] for ${name}`, `[${seen.shape.join(', ')}]`);
  }
}

/** onnxruntime may know more of a shape than the file declares, never something else. */
function isCompatible(ours: readonly number[], theirs: readonly (number | string)[]): boolean {
  return (
    ours.length === theirs.length &&
    ours.every((size, axis) => {
      const seen = theirs[axis];
      return size === -1 || typeof seen !== 'number' || seen < 0 || seen === size;
    })
  );
}

/** onnxruntime's own words name nodes and shapes, which help; its source paths do not. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message
    .replaceAll(/\S*onnxruntime\S*\.(?:cc|h)\S*/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
