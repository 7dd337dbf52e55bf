import type { onnx } from 'onnx-proto';
import { allNodes, domainOf } from './onnx-nodes.ts';
import { refuseOnnx } from './onnx-refusal.ts';

/** One call is one native frame or more in onnxruntime: 3,000 deep kills the process, 128 is safe. */
const functionDepthMax = 128;
/** Functions are inlined before a run, so calls multiply: two calls each, twenty deep, are a million nodes. */
const inlinedNodesMax = 1_000_000n;

interface Body {
  readonly key: string;
  /** Operators that are functions of this model, once for each call. */
  readonly calls: readonly string[];
  readonly nodeCount: number;
}

interface Measure {
  readonly depth: number;
  readonly nodes: bigint;
}

/**
 * Refuses calls between model-local functions that are too deep, too many or recursive. Callees are measured
 * first, on a stack of our own. Overloads of one name count as one function, which can only make figures larger.
 */
export function checkFunctionCalls(model: onnx.IModelProto): void {
  if ((model.functions ?? []).length === 0) return;
  const bodies = readBodies(model);
  const measured = new Map<string, Measure>();
  for (const body of bodies.values()) {
    const path: { readonly body: Body; next: number }[] = [{ body, next: 0 }];
    const onPath = new Set([body.key]);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const callee = bodies.get(top.body.calls[top.next] ?? '');
      top.next += 1;
      if (callee === undefined) {
        measured.set(top.body.key, measure(top.body, measured));
        onPath.delete(top.body.key);
        path.pop();
      } else if (!measured.has(callee.key)) {
        if (onPath.has(callee.key)) throw refuseOnnx('functions that do not call themselves', callee.key);
        onPath.add(callee.key);
        path.push({ body: callee, next: 0 });
        checkDepth(path.length);
      }
    }
  }
}

function readBodies(model: onnx.IModelProto): ReadonlyMap<string, Body> {
  const nodes = new Map<string, onnx.INodeProto[]>();
  for (const declared of model.functions ?? []) {
    const key = `${domainOf(declared.domain)}:${declared.name}`;
    nodes.set(key, [...(nodes.get(key) ?? []), ...allNodes({ functions: [declared] })]);
  }
  const mainKey = '(graph)';
  nodes.set(mainKey, [...allNodes(model.graph ? { graph: model.graph } : {})]);
  const bodies = new Map<string, Body>();
  for (const [key, own] of nodes) {
    const calls = own.map(calledBy).filter((called) => called !== mainKey && nodes.has(called));
    bodies.set(key, { key, calls, nodeCount: own.length });
  }
  return bodies;
}

function calledBy(node: onnx.INodeProto): string {
  return `${domainOf(node.domain)}:${node.opType}`;
}

function measure(body: Body, measured: ReadonlyMap<string, Measure>): Measure {
  let depth = 0;
  let nodes = BigInt(body.nodeCount);
  for (const call of body.calls) {
    const callee = measured.get(call);
    depth = Math.max(depth, callee?.depth ?? 0);
    nodes += callee?.nodes ?? 0n;
  }
  checkDepth(depth + 1);
  if (nodes > inlinedNodesMax)
    throw refuseOnnx(`at most ${inlinedNodesMax} nodes once functions are inlined`, `${nodes}`);
  return { depth: depth + 1, nodes };
}

function checkDepth(depth: number): void {
  if (depth > functionDepthMax)
    throw refuseOnnx(`function calls at most ${functionDepthMax} deep`, `${depth} or more`);
}
