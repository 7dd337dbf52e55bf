import { env, InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { MillraceError } from '../../errors.ts';
import type { Datatype } from '../../tensors/datatype.ts';
import { datatypeOfOnnxType, onnxTypes } from '../../tensors/onnx-type.ts';
import type { NamedTensors, Tensor, TensorData } from '../../tensors/tensor.ts';
import type { TensorSpec } from '../../tensors/tensor-spec.ts';
import type { Session, SessionOptions } from './session.ts';

env.logLevel = 'error';

const toDatatype = new Map<string, Datatype>([...datatypeOfOnnxType, ['float16', 'FP16']]);

/** ORT counts 0 verbose to 4 fatal: 3 is errors, which run() throws as well. */
const errorSeverity = 3;
const messageLengthMax = 300;

/**
 * Threads: exactly what is asked for inside an operator, none between operators, and none that spin while
 * idle: by itself ORT takes every core of the machine, whatever the container may use.
 */
export async function createOnnxSession(bytes: Uint8Array, options: SessionOptions): Promise<Session> {
  const session = await create(bytes, options);
  return {
    inputs: session.inputMetadata.map(toSpec),
    outputs: session.outputMetadata.map(toSpec),
    run: (feeds, outputs) => run(session, feeds, outputs),
    release: () => session.release(),
  };
}

async function create(bytes: Uint8Array, options: SessionOptions): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(bytes, {
      executionProviders: ['cpu'],
      executionMode: 'sequential',
      intraOpNumThreads: options.intraOpThreads,
      interOpNumThreads: 1,
      logSeverityLevel: errorSeverity,
      extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
    });
  } catch (error) {
    throw new MillraceError('invalid_input', `The model cannot be loaded: ${publicMessage(error)}`, {
      cause: error,
    });
  }
}

async function run(
  session: InferenceSession,
  tensors: NamedTensors,
  outputs: readonly string[] | null,
): Promise<NamedTensors> {
  const feeds: Record<string, OrtTensor> = {};
  for (const [name, tensor] of tensors) feeds[name] = toOrt(tensor);
  try {
    const fetched = await session.run(feeds, outputs ?? session.outputNames);
    const named = new Map<string, Tensor>();
    for (const [name, value] of Object.entries(fetched)) named.set(name, fromOrt(name, value));
    return named;
  } catch (error) {
    throw MillraceError.is(error) ? error : toRunError(error);
  }
}

function toOrt(tensor: Tensor): OrtTensor {
  return new OrtTensor(onnxTypes[tensor.datatype], tensor.data as OrtTensor.DataType, tensor.shape);
}

function fromOrt(name: string, value: OrtTensor): Tensor {
  const datatype = toDatatype.get(value.type);
  if (datatype === undefined || datatype === 'FP16')
    throw new MillraceError(
      'internal_error',
      `Output ${name} has type ${value.type}, which cannot be carried`,
    );
  return { datatype, shape: value.dims, data: value.data as TensorData };
}

function toSpec(metadata: InferenceSession.ValueMetadata): TensorSpec {
  const datatype = metadata.isTensor ? toDatatype.get(metadata.type) : undefined;
  if (!metadata.isTensor || datatype === undefined)
    throw new MillraceError(
      'invalid_input',
      `${metadata.name} is not a tensor of a type that can be carried`,
    );
  const shape = metadata.shape.map((dimension) => (typeof dimension === 'number' ? dimension : -1));
  return { name: metadata.name, datatype, shape };
}

/**
 * ORT's errors have neither class nor code, so the message decides whose fault it was. What names an index,
 * a bound or an argument of the input's making is the row's; all else (memory, a broken kernel) is ours.
 */
const inputFaults = [
  /out of (?:data )?bounds/i,
  /out of range/i,
  /must be within the inclusive range/i,
  /invalid (?:argument|dimensions|rank|feed)/i,
  /unexpected input data type/i,
  /is missing in 'feeds'/i,
  /(?:cannot be reshaped|divide by zero|division by zero)/i,
];

function toRunError(error: unknown): MillraceError {
  const message = publicMessage(error);
  return inputFaults.some((fault) => fault.test(message))
    ? new MillraceError('invalid_input', `The model refused the input: ${message}`, { cause: error })
    : new MillraceError('internal_error', `The model failed: ${message}`, { cause: error });
}

/** What ORT says, without the names of source files, C++ signatures and paths. */
function publicMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const status = text.split('Status Message:').at(-1) ?? text;
  return status
    .replace(/^\S+\.(?:cc|h):\d+ .*?\) (?=[A-Z])/s, '')
    .replaceAll(/\S+\.(?:cc|h):\d+ \S+ /g, '')
    .replaceAll(/"?(?:\/[\w.+-]+){2,}"?/g, '…')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(0, messageLengthMax);
}
