import type { TensorSpec } from '../tensors/tensor-spec.ts';

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
