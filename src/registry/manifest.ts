/**
 * The declared facts of a version: what the file cannot say of itself. JSON Schema in manifest-schema.ts,
 * documented in docs/manifest.md.
 */
export interface Manifest {
  readonly schema_version: 1;
  /** [A-Za-z0-9][A-Za-z0-9._-]{0,63}. */
  readonly name: string;
  /** A name such as `v1.2.3`; without it the registry numbers the version. */
  readonly version?: string;
  readonly description?: string;
  /** How outputs are read; `tensor` returns them as they are. Default `tensor`. */
  readonly task?: Task;
  /**
   * Columns of the last axis of the model's ONE numeric input, in order. Callers may then send an object by
   * feature name, or a flat array in this order. A one-hot feature takes one column per category.
   */
  readonly features?: readonly FeatureSpec[];
  /** For models with several inputs: pre-processing per input, by input name. */
  readonly inputs?: Readonly<Record<string, InputSpec>>;
  /** Class labels in the order of the probabilities. */
  readonly labels?: readonly (string | number)[];
  /** Which output plays which part; guessed from names and shapes where absent. */
  readonly outputs?: OutputRoleNames;
  /** Steps on the raw outputs, in order, before roles are read. */
  readonly postprocess?: readonly PostprocessStep[];
  readonly batching?: BatchingPolicy;
  /** Deadline of a predict that names none, in milliseconds. */
  readonly timeout_ms?: number;
  readonly cache?: CachePolicy;
  /** Pool of workers that serves the version. Default `default`. */
  readonly pool?: string;
  /** Batch sizes that are run once after loading, before the version counts as loaded. Default [1]. */
  readonly warmup?: { readonly batch_sizes: readonly number[] };
  /** Instances that the file must run on before it is accepted; with `output`, that must come out. */
  readonly examples?: readonly ManifestExample[];
}

export type Task = 'classification' | 'regression' | 'tensor';

/** `missing` is the value used where the caller sends null or leaves the feature out; without it that is an error. */
export interface FeatureSpec {
  readonly name: string;
  readonly description?: string;
  /** For a one-hot feature one of its categories, else a number. */
  readonly missing?: number | string;
  /** (x - mean) / std, after filling missing values. */
  readonly scale?: { readonly mean: number; readonly std: number };
  /** Categories: the caller sends one of them, the model gets one column for each, 1 or 0. */
  readonly one_hot?: readonly string[];
}

export interface InputSpec {
  readonly description?: string;
  readonly missing?: number | string | boolean;
  readonly scale?: { readonly mean: number; readonly std: number };
}

export interface OutputRoleNames {
  readonly label?: string;
  readonly probabilities?: string;
  readonly value?: string;
}

/** `output` names the tensor that the step reads and replaces (softmax, sigmoid, threshold) or adds to (argmax). */
export type PostprocessStep =
  /** Over the last axis. */
  | { readonly op: 'softmax'; readonly output: string }
  | { readonly op: 'sigmoid'; readonly output: string }
  /** Adds output `to`: INT64 index of the greatest element over the last axis. */
  | { readonly op: 'argmax'; readonly output: string; readonly to: string }
  /** One score a row ([N] or [N,1]), or the last of two: adds output `to`, INT64 1 where it reaches `at`, else 0. */
  | { readonly op: 'threshold'; readonly output: string; readonly at: number; readonly to: string }
  /** Number of classes that an answer lists when the request has no `top_k` of its own. */
  | { readonly op: 'top_k'; readonly k: number };

export interface BatchingPolicy {
  /** Most rows in one run. Default: the setting coalescer.batch_rows_max. 1 switches coalescing off. */
  readonly max_batch_size?: number;
  /** Most packed input bytes in one run. */
  readonly max_batch_bytes?: number;
  /** A model whose first dimension is a fixed n > 1: fill up to n rows with copies of the last. */
  readonly pad?: boolean;
}

export interface CachePolicy {
  /** How long a result may stand for equal requests, in seconds. 0: every request is run. Default: the setting cache.ttl_ms. */
  readonly ttl_s: number;
}

export interface ManifestExample {
  readonly inputs: unknown;
  readonly output?: string | number;
}

export const defaultPool = 'default';

export function poolOf(manifest: Manifest): string {
  return manifest.pool ?? defaultPool;
}

export function taskOf(manifest: Manifest): Task {
  return manifest.task ?? 'tensor';
}
