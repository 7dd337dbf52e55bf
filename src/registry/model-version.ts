import type { Manifest } from './manifest.ts';
import type { Signature } from './signature.ts';

/** A class label: a string, or an integer as scikit-learn's default exports have it. */
export type Label = string | number;

export type VersionStatus = 'ready' | 'archived';

/** An immutable version of a model. Everything that inference needs to know about it, without its bytes. */
export interface ModelVersion {
  readonly model: string;
  readonly version: string;
  /** SHA-256 (lower-case hex) of the file as it was registered: the identity of the version. */
  readonly digest: string;
  /** SHA-256 of the file that is loaded: differs from `digest` when the graph was edited (ZipMap cut, float16 casts). */
  readonly servedDigest: string;
  readonly artifactBytes: number;
  readonly manifest: Manifest;
  /** Signature of the served file, with FP16 shown where the casts stand. */
  readonly signature: Signature;
  /** Class labels, from the manifest or else from the ZipMap or classifier node of the graph; null when unknown. */
  readonly labels: readonly Label[] | null;
  readonly roles: OutputRoles;
  readonly status: VersionStatus;
  readonly createdAtMs: number;
  readonly createdBy: string;
}

/**
 * Which output of the graph (after post-processing) plays which part, by task. Filled at registration from
 * the manifest or, where it is silent, from names, datatypes and shapes.
 */
export type OutputRoles =
  | { readonly task: 'classification'; readonly label: string | null; readonly probabilities: string | null }
  | { readonly task: 'regression'; readonly value: string }
  | { readonly task: 'tensor' };

export interface Model {
  readonly name: string;
  /** Alias to version. `default` is what predict uses. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly versions: readonly ModelVersion[];
}
