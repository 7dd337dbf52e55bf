import type { onnx } from 'onnx-proto';
import { float32ElementType } from './onnx-datatypes.ts';
import { labelsOf } from './onnx-labels.ts';
import { domainOf } from './onnx-nodes.ts';
import { renameValue } from './onnx-rename.ts';

/**
 * Cuts ZipMap nodes that make graph outputs: scikit-learn's default exports end in one, and the binding cannot
 * return its sequence of maps. The tensor that went in comes out under the output's own name, shape [N, C].
 * Returns whether the graph was changed.
 */
export function cutZipMaps(graph: onnx.IGraphProto): boolean {
  let changed = false;
  for (const output of graph.output ?? []) {
    const node = graph.node?.find(
      (candidate) => isZipMap(candidate) && candidate.output?.[0] === output.name,
    );
    const input = node?.input?.[0];
    if (node === undefined || input === undefined || !output.name) continue;
    const classCount = labelsOf(node).length;
    if (isMadeInside(graph, input)) {
      graph.node = graph.node?.filter((candidate) => candidate !== node) ?? [];
      renameValue(graph, input, output.name);
    } else {
      // Its name is part of the model's face and must stay.
      Object.assign(node, { opType: 'Identity', domain: '', attribute: [] });
    }
    output.type = probabilities(rowDimension(graph), classCount);
    changed = true;
  }
  return changed;
}

function isZipMap(node: onnx.INodeProto): boolean {
  return node.opType === 'ZipMap' && domainOf(node.domain) === 'ai.onnx.ml';
}

/** Made by a node, and not itself an output. */
function isMadeInside(graph: onnx.IGraphProto, name: string): boolean {
  const isOutput = graph.output?.some((output) => output.name === name) ?? false;
  return !isOutput && (graph.node?.some((node) => node.output?.includes(name)) ?? false);
}

/** Rows in are rows out: the first dimension of the first input that has one. */
function rowDimension(graph: onnx.IGraphProto): onnx.TensorShapeProto.IDimension {
  const constants = new Set(graph.initializer?.map((tensor) => tensor.name));
  const inputs = graph.input?.filter((input) => !constants.has(input.name)) ?? [];
  return inputs[0]?.type?.tensorType?.shape?.dim?.[0] ?? {};
}

function probabilities(rows: onnx.TensorShapeProto.IDimension, classCount: number): onnx.ITypeProto {
  const classes = classCount === 0 ? {} : { dimValue: classCount };
  return { tensorType: { elemType: float32ElementType, shape: { dim: [{ ...rows }, classes] } } };
}
