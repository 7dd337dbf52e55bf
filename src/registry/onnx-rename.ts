import type { onnx } from 'onnx-proto';
import { graphsBelow } from './onnx-nodes.ts';

/**
 * Gives a value of the graph another name wherever nodes make or use it, subgraphs included (names are unique
 * over a graph and what hangs below it). Declarations of graph inputs and outputs stay as they are.
 */
export function renameValue(graph: onnx.IGraphProto, from: string, to: string): void {
  const swap = (name: string): string => (name === from ? to : name);
  for (const inner of graphsBelow([graph])) {
    for (const node of inner.node ?? []) {
      node.input = (node.input ?? []).map(swap);
      node.output = (node.output ?? []).map(swap);
    }
    for (const info of inner.valueInfo ?? []) info.name = swap(info.name ?? '');
    for (const note of inner.quantizationAnnotation ?? []) note.tensorName = swap(note.tensorName ?? '');
    if (inner !== graph) for (const info of inner.output ?? []) info.name = swap(info.name ?? '');
  }
}

/** A name that nothing in the graph has yet. */
export function freshName(graph: onnx.IGraphProto, wanted: string): string {
  const taken = new Set<string>();
  for (const inner of graphsBelow([graph])) {
    for (const node of inner.node ?? [])
      for (const name of [...(node.input ?? []), ...(node.output ?? [])]) taken.add(name);
    for (const named of [...(inner.input ?? []), ...(inner.output ?? []), ...(inner.initializer ?? [])])
      taken.add(named.name ?? '');
  }
  let name = wanted;
  for (let count = 2; taken.has(name); count++) name = `${wanted}_${count}`;
  return name;
}
