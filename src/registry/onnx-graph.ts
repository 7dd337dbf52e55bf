import onnxProto from 'onnx-proto';
import type { onnx } from 'onnx-proto';
import type { TensorSpec } from '../tensors/tensor-spec.ts';
import type { Label } from './model-version.ts';
import { datatypeOf } from './onnx-datatypes.ts';
import { castFloat16 } from './onnx-float16.ts';
import { toBigInt } from './onnx-integer.ts';
import { readLabels } from './onnx-labels.ts';
import { checkOnnxLimits, wireLimits } from './onnx-limits.ts';
import { domainOf } from './onnx-nodes.ts';
import { refuseOnnx } from './onnx-refusal.ts';
import { walkOnnx } from './onnx-wire.ts';
import type { WireFacts } from './onnx-wire.ts';
import { cutZipMaps } from './onnx-zipmap.ts';
import type { OutputDeclaration, SignatureDeclaration } from './signature.ts';

/** What registration learns from a file, and the bytes to load in its place. */
export interface OnnxGraph {
  /** FP16 is shown where the casts stand; the served bytes take and give FP32 there. */
  readonly declared: SignatureDeclaration;
  readonly labels: readonly Label[] | null;
  /** The very bytes that were given when nothing had to be edited. */
  readonly served: Uint8Array;
}

/**
 * Walks, reads and where need be edits an ONNX file. Throws `invalid_input` for whatever cannot be served.
 * Synchronous; a 250 MB file takes about as long as copying it once.
 */
export function readOnnxGraph(bytes: Uint8Array): OnnxGraph {
  const facts = walkOnnx(bytes, wireLimits);
  const model = decode(bytes);
  checkOnnxLimits(model, facts);
  const graph = model.graph;
  if (!graph) throw refuseOnnx('a model with a graph', 'none');
  const labels = readLabels(model);
  const cut = cutZipMaps(graph);
  const float16 = castFloat16(graph);
  const declared = readSignature(graph, float16);
  const edited = cut || float16.size > 0;
  return { declared, labels, served: edited ? encode(model, facts) : bytes };
}

function decode(bytes: Uint8Array): onnx.ModelProto {
  try {
    return onnxProto.onnx.ModelProto.decode(bytes);
  } catch {
    throw refuseOnnx('a readable ONNX model', 'bytes that do not decode');
  }
}

/** The decoder drops fields that it does not know: a model that needs them cannot be edited. */
function encode(model: onnx.ModelProto, facts: WireFacts): Uint8Array {
  const [lossy] = facts.lossyFields;
  if (lossy !== undefined)
    throw refuseOnnx('a model that can be edited (it has a ZipMap or float16 inputs or outputs)', lossy);
  // Identity and Cast stand in the default domain, which a model of ai.onnx.ml alone need not import.
  if (!model.opsetImport.some((entry) => domainOf(entry.domain) === ''))
    model.opsetImport = [...model.opsetImport, { domain: '', version: 7 }];
  return onnxProto.onnx.ModelProto.encode(model).finish();
}

function readSignature(graph: onnx.IGraphProto, float16: ReadonlySet<string>): SignatureDeclaration {
  const constants = new Set([
    ...(graph.initializer ?? []).map((tensor) => tensor.name),
    ...(graph.sparseInitializer ?? []).map((sparse) => sparse.values?.name),
  ]);
  const inputs = (graph.input ?? [])
    .filter((input) => !constants.has(input.name))
    .map((input) => readInput(input, float16));
  const outputs = (graph.output ?? []).map((output) => readOutput(output, 'output', float16));
  if (outputs.length === 0) throw refuseOnnx('a model with an output', 'none');
  return { inputs, outputs };
}

function readInput(info: onnx.IValueInfoProto, float16: ReadonlySet<string>): TensorSpec {
  const { name, datatype, shape } = readOutput(info, 'input', float16);
  if (shape === null) throw refuseOnnx(`a shape for the input ${JSON.stringify(name)}`, 'none');
  return { name, datatype, shape };
}

function readOutput(
  info: onnx.IValueInfoProto,
  what: 'input' | 'output',
  float16: ReadonlySet<string>,
): OutputDeclaration {
  const name = info.name ?? '';
  const place = `the ${what} ${JSON.stringify(name)}`;
  const tensor = info.type?.tensorType;
  if (!tensor) throw refuseOnnx(`a tensor as ${place}`, kindOf(info.type));
  const datatype = float16.has(name) ? 'FP16' : datatypeOf(tensor.elemType ?? 0);
  if (datatype === undefined)
    throw refuseOnnx(`a supported datatype for ${place}`, `data type ${tensor.elemType}`);
  return { name, datatype, shape: tensor.shape?.dim?.map(readDimension) ?? null };
}

function readDimension(dimension: onnx.TensorShapeProto.IDimension): number {
  if (!Object.hasOwn(dimension, 'dimValue')) return -1;
  const size = Number(toBigInt(dimension.dimValue ?? -1));
  return size >= 0 && Number.isSafeInteger(size) ? size : -1;
}

function kindOf(type: onnx.ITypeProto | null | undefined): string {
  if (type?.sequenceType) return 'a sequence';
  if (type?.mapType) return 'a map';
  if (type?.optionalType) return 'an optional';
  if (type?.sparseTensorType) return 'a sparse tensor';
  return 'no type';
}
