import onnxProto from 'onnx-proto';
import type { onnx } from 'onnx-proto';
import { readFileSync } from 'node:fs';

export const float = 1;
export const int64 = 7;
export const float16 = 10;

/** An input or output; `null` dimensions are open, strings symbolic, a null shape leaves the rank open. */
export function value(
  name: string,
  elemType: number,
  dims: readonly (number | string | null)[] | null,
): onnx.IValueInfoProto {
  const shape = dims === null ? {} : { shape: { dim: dims.map(dimension) } };
  return { name, type: { tensorType: { elemType, ...shape } } };
}

function dimension(size: number | string | null): onnx.TensorShapeProto.IDimension {
  if (size === null) return {};
  return typeof size === 'number' ? { dimValue: size } : { dimParam: size };
}

export function node(
  opType: string,
  input: string[],
  output: string[],
  more: Partial<onnx.INodeProto> = {},
): onnx.INodeProto {
  return { opType, input, output, ...more };
}

export function model(graph: onnx.IGraphProto, more: onnx.IModelProto = {}): Uint8Array {
  return encode({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'ai.onnx.ml', version: 3 },
    ],
    graph: { name: 'g', ...graph },
    ...more,
  });
}

export function encode(message: onnx.IModelProto): Uint8Array {
  return onnxProto.onnx.ModelProto.encode(message).finish();
}

export function encodeGraph(graph: onnx.IGraphProto): Uint8Array {
  return onnxProto.onnx.GraphProto.encode(graph).finish();
}

export function decode(bytes: Uint8Array): onnx.ModelProto {
  return onnxProto.onnx.ModelProto.decode(bytes);
}

/** `y` = `x`, FP32 [N,2]. */
export function identity(more: onnx.IModelProto = {}): Uint8Array {
  return model(
    {
      node: [node('Identity', ['x'], ['y'])],
      input: [value('x', float, ['N', 2])],
      output: [value('y', float, ['N', 2])],
    },
    more,
  );
}

/** A length-delimited protobuf field, for what no encoder would write. */
export function lengthDelimited(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Uint8Array.from([...bytes, rest]);
}

export function fixture(name: string): Uint8Array {
  return readFileSync(new URL(`../fixtures/models/${name}.onnx`, import.meta.url));
}
