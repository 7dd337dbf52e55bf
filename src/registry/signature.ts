import type { TensorSpec } from '../tensors/tensor-spec.ts';
import type { Manifest } from './manifest.ts';

/** What the file says of itself. */
export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly batch: BatchAxis;
}

/**
 * How instances map to the first dimension.
 * - `dynamic`: the first dimension of every input and output is dynamic: any number of rows in one run.
 * - `fixed`: the first dimension of every input and output is `size`, and `size` is 1 or the manifest says
 *   `batching.pad`: runs of exactly `size` rows, the last one padded.
 * - `none`: no batch axis: an instance is the whole input, one run each.
 */
export type BatchAxis =
  | { readonly kind: 'dynamic' }
  | { readonly kind: 'fixed'; readonly size: number }
  | { readonly kind: 'none' };

/** A graph may leave the rank of an output open: `shape` is then null until the gate has seen a run. */
export type OutputDeclaration = Omit<TensorSpec, 'shape'> & { readonly shape: readonly number[] | null };

export interface SignatureDeclaration {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly OutputDeclaration[];
}

/** An output of open rank says nothing against a batch axis; the gate's runs then prove it. */
export function batchAxisOf(declared: SignatureDeclaration, manifest: Manifest): BatchAxis {
  if (declared.inputs.length === 0) return { kind: 'none' };
  const known = [...declared.inputs, ...declared.outputs].flatMap((spec) =>
    spec.shape === null ? [] : [spec.shape],
  );
  const first = known[0]?.[0];
  if (first === undefined || known.some((shape) => shape[0] !== first)) return { kind: 'none' };
  if (first === -1) return { kind: 'dynamic' };
  if (first === 1 || (first > 1 && manifest.batching?.pad === true)) return { kind: 'fixed', size: first };
  return { kind: 'none' };
}

/** Fills in ranks that only a run could show. `ranks` are by output name. Dimensions stay dynamic. */
export function completeSignature(
  declared: SignatureDeclaration,
  batch: BatchAxis,
  ranks: ReadonlyMap<string, number>,
): Signature {
  const outputs = declared.outputs.map((spec) => ({
    name: spec.name,
    datatype: spec.datatype,
    shape: spec.shape ?? openShape(ranks.get(spec.name) ?? 0, batch),
  }));
  return { inputs: declared.inputs, outputs, batch };
}

function openShape(rank: number, batch: BatchAxis): number[] {
  const shape = Array.from({ length: rank }, () => -1);
  if (rank > 0 && batch.kind === 'fixed') shape[0] = batch.size;
  return shape;
}
