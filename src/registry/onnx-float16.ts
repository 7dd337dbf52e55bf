import type { onnx } from 'onnx-proto';
import { float16ElementType, float32ElementType } from './onnx-datatypes.ts';
import { freshName, renameValue } from './onnx-rename.ts';

const float = float32ElementType;
const float16 = float16ElementType;
/** AttributeProto.AttributeType.INT. */
const integerAttribute = 2;

/**
 * Puts casts between float16 inputs and outputs and the rest of the graph: the binding cannot take float16
 * inputs, so values cross it as float32, which holds each float16 exactly. Names stay. Returns the names of the
 * inputs and outputs that were float16.
 */
export function castFloat16(graph: onnx.IGraphProto): ReadonlySet<string> {
  const constants = new Set(graph.initializer?.map((tensor) => tensor.name));
  const inputs = (graph.input ?? []).filter((input) => isFloat16(input) && !constants.has(input.name));
  const outputs = (graph.output ?? []).filter(isFloat16);
  const inputNames = new Set(inputs.map((input) => input.name ?? ''));
  for (const input of inputs) {
    const name = input.name ?? '';
    const inner = freshName(graph, `${name}_float16`);
    renameValue(graph, name, inner);
    graph.node = [cast(name, inner, float16), ...(graph.node ?? [])];
    setElementType(input, float);
  }
  for (const output of outputs) {
    const name = output.name ?? '';
    setElementType(output, float);
    // An input that is also an output passes through as it is.
    if (inputNames.has(name)) continue;
    const inner = freshName(graph, `${name}_float16`);
    if (constants.has(name)) renameConstant(graph, name, inner);
    renameValue(graph, name, inner);
    graph.node = [...(graph.node ?? []), cast(inner, name, float)];
  }
  return new Set([...inputNames, ...outputs.map((output) => output.name ?? '')]);
}

function isFloat16(info: onnx.IValueInfoProto): boolean {
  return info.type?.tensorType?.elemType === float16;
}

function setElementType(info: onnx.IValueInfoProto, elemType: number): void {
  if (info.type?.tensorType) info.type.tensorType.elemType = elemType;
}

function renameConstant(graph: onnx.IGraphProto, from: string, to: string): void {
  for (const tensor of graph.initializer ?? []) if (tensor.name === from) tensor.name = to;
}

function cast(input: string, output: string, to: number): onnx.INodeProto {
  return {
    opType: 'Cast',
    input: [input],
    output: [output],
    name: output,
    attribute: [{ name: 'to', type: integerAttribute, i: to }],
  };
}
