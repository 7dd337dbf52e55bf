import type { onnx } from 'onnx-proto';
import type { MillraceError } from '../errors.ts';
import { checkFunctionCalls } from './onnx-functions.ts';
import { toBigInt } from './onnx-integer.ts';
import { allNodes, domainOf, nameDomain, tensorsOf } from './onnx-nodes.ts';
import { refuseOnnx } from './onnx-refusal.ts';
import type { WireFacts, WireLimits } from './onnx-wire.ts';

/** What a file may ask of the process that reads it, before onnxruntime sees it. */
export const wireLimits: WireLimits = {
  // The largest exports in use (unrolled transformers) have some 20,000 nodes.
  nodesMax: 100_000,
  graphDepthMax: 32,
  // A subgraph is three messages deep (node, attribute, graph): 32 of them, and a dozen for what hangs below.
  // onnxruntime itself stops at protobuf's own 100, which is then the bound.
  messageDepthMax: 100,
  // The decoder makes an object of up to 64 bytes from each: 2^23 × 64 B = 512 MiB at most.
  objectsMax: 2 ** 23,
};

/** IR 3 came with ONNX 1.0; onnxruntime 1.30 reads up to 13. */
const irVersions = { min: 3n, max: 13n };

/** Newest operator sets that onnxruntime 1.30 takes as released, by domain; older than 7 it never supported. */
const opsets: ReadonlyMap<string, { readonly min: bigint; readonly max: bigint }> = new Map([
  ['', { min: 7n, max: 26n }],
  ['ai.onnx.ml', { min: 1n, max: 5n }],
  ['com.microsoft', { min: 1n, max: 1n }],
]);

/** 2^62 elements of 8 bytes overflow 64 bits; no real tensor is near 2^40. */
const tensorElementsMax = 2n ** 40n;

/** Throws `invalid_input` naming the limit. The model must come from bytes that `walkOnnx` has passed. */
export function checkOnnxLimits(model: onnx.IModelProto, facts: WireFacts): void {
  if (model.graph === null || model.graph === undefined || facts.nodeCount === 0)
    throw refuseOnnx('a model with a graph', 'no node');
  within('IR version', toBigInt(model.irVersion ?? 0), irVersions);
  const functionDomains = new Set((model.functions ?? []).map((declared) => domainOf(declared.domain)));
  checkOpsets(model.opsetImport ?? [], functionDomains);
  for (const declared of model.functions ?? []) checkOpsets(declared.opsetImport ?? [], functionDomains);
  checkOperators(model, functionDomains);
  checkFunctionCalls(model);
  for (const tensor of tensorsOf(model)) checkElements(tensor);
}

function checkOpsets(imports: readonly onnx.IOperatorSetIdProto[], functionDomains: Set<string>): void {
  for (const { domain, version } of imports) {
    const known = opsets.get(domainOf(domain));
    if (known !== undefined) within(`opset of ${nameDomain(domain)}`, toBigInt(version ?? 0), known);
    else if (!functionDomains.has(domainOf(domain))) throw unknownDomain(domain);
  }
}

function checkOperators(model: onnx.IModelProto, functionDomains: Set<string>): void {
  for (const node of allNodes(model)) {
    const domain = domainOf(node.domain);
    if (!opsets.has(domain) && !functionDomains.has(domain)) throw unknownDomain(node.domain);
  }
}

function checkElements(tensor: onnx.ITensorProto): void {
  let elements = 1n;
  for (const dimension of tensor.dims ?? []) {
    const size = toBigInt(dimension);
    if (size < 0n) throw refuseOnnx('tensors without negative dimensions', tensor.name ?? '');
    elements *= size;
    if (elements > tensorElementsMax)
      throw refuseOnnx(`at most ${tensorElementsMax} elements in a tensor`, tensor.name ?? '');
  }
  if (tensor.dataLocation === 1) throw refuseOnnx('no external data', tensor.name ?? '');
}

function within(what: string, found: bigint, range: { readonly min: bigint; readonly max: bigint }): void {
  if (found < range.min || found > range.max)
    throw refuseOnnx(`${what} from ${range.min} to ${range.max}`, `${found}`);
}

function unknownDomain(domain: string | null | undefined): MillraceError {
  return refuseOnnx(`operators of ${[...opsets.keys()].map(nameDomain).join(', ')}`, nameDomain(domain));
}
