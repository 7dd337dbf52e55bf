import type { ErrorRecord } from '../../errors.ts';
import type { Manifest } from '../manifest.ts';
import type { Label } from '../model-version.ts';
import type { BatchAxis, SignatureDeclaration } from '../signature.ts';

/** What the parent leaves in the child's folder. */
export const requestFile = 'request.json';
export const modelFile = 'model.onnx';
/** Where the child answers: one line of JSON, then the end. */
export const reportFd = 3;

export interface TrialRequest {
  readonly manifest: Manifest;
  readonly declared: SignatureDeclaration;
  readonly batch: BatchAxis;
  readonly labels: readonly Label[] | null;
}

export type TrialReport =
  /** Rank of every output, as it came out. */
  | { readonly kind: 'passed'; readonly ranks: readonly (readonly [string, number])[] }
  | { readonly kind: 'refused'; readonly error: ErrorRecord };
