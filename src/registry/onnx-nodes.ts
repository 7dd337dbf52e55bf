import type { onnx } from 'onnx-proto';

/** Every graph below these, itself included: subgraphs hang in the attributes of nodes. No recursion. */
export function graphsBelow(roots: readonly onnx.IGraphProto[]): readonly onnx.IGraphProto[] {
  const found: onnx.IGraphProto[] = [];
  const pending = [...roots];
  for (let graph = pending.pop(); graph !== undefined; graph = pending.pop()) {
    found.push(graph);
    for (const node of graph.node ?? [])
      for (const attribute of node.attribute ?? []) {
        if (attribute.g !== null && attribute.g !== undefined) pending.push(attribute.g);
        for (const inner of attribute.graphs ?? []) pending.push(inner);
      }
  }
  return found;
}

/** Graphs of the model, with the bodies of its functions as graphs. */
function allGraphs(model: onnx.IModelProto): readonly onnx.IGraphProto[] {
  const bodies = (model.functions ?? []).map((declared) => ({ node: declared.node ?? [] }));
  return graphsBelow([...(model.graph ? [model.graph] : []), ...bodies]);
}

export function allNodes(model: onnx.IModelProto): readonly onnx.INodeProto[] {
  return allGraphs(model).flatMap((graph) => graph.node ?? []);
}

/** Constants of every graph: initializers, sparse ones, and tensors in attributes. */
export function* tensorsOf(model: onnx.IModelProto): Generator<onnx.ITensorProto> {
  for (const graph of allGraphs(model)) {
    yield* graph.initializer ?? [];
    for (const sparse of graph.sparseInitializer ?? []) yield* sparseParts(sparse);
    for (const attribute of (graph.node ?? []).flatMap((node) => node.attribute ?? [])) {
      if (attribute.t) yield attribute.t;
      yield* attribute.tensors ?? [];
      for (const sparse of [attribute.sparseTensor, ...(attribute.sparseTensors ?? [])])
        if (sparse) yield* sparseParts(sparse);
    }
  }
}

function* sparseParts(sparse: onnx.ISparseTensorProto): Generator<onnx.ITensorProto> {
  if (sparse.values) yield sparse.values;
  if (sparse.indices) yield sparse.indices;
}

export function findAttribute(node: onnx.INodeProto, name: string): onnx.IAttributeProto | undefined {
  return node.attribute?.find((attribute) => attribute.name === name);
}

/** `ai.onnx` is another way to write the empty domain. */
export function domainOf(domain: string | null | undefined): string {
  return domain === null || domain === undefined || domain === 'ai.onnx' ? '' : domain;
}

export function nameDomain(domain: string | null | undefined): string {
  return domainOf(domain) === '' ? 'ai.onnx' : domainOf(domain);
}
