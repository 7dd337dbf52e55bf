import { isDeepStrictEqual } from 'node:util';
import type { Model, ModelVersion } from './model-version.ts';

export type PutVersionOutcome =
  | { readonly kind: 'created'; readonly version: ModelVersion }
  /** The same digest and manifest are already a version of this model. */
  | { readonly kind: 'exists'; readonly version: ModelVersion }
  /** The version name is taken by another file. */
  | { readonly kind: 'conflict'; readonly version: ModelVersion };

/**
 * Port: metadata of models. SQLite here, DynamoDB in production. Every method may throw MillraceError
 * `bad_gateway` (the store answered wrongly) or `service_unavailable` (out of reach); absence is `undefined`.
 */
export interface ModelStore {
  /**
   * Adds a version under its model, creating the model. Atomic over processes: of two racing calls one is
   * `created`. A version without a name gets the next number (1, 2, …). The first version of a model becomes
   * the target of its alias `default` in the same atomic step.
   */
  putVersion(draft: VersionDraft): Promise<PutVersionOutcome>;
  getModel(name: string): Promise<Model | undefined>;
  /** All models by name, ascending. */
  listModels(): Promise<readonly Model[]>;
  /** Points an alias at an existing version: last writer wins. Throws `not_found` without that version. */
  setAlias(model: string, alias: string, version: string): Promise<void>;
  /** Grows with every change: a process that polls re-reads only when it differs. */
  revision(): Promise<number>;
  close(): Promise<void>;
}

export type VersionDraft = Omit<ModelVersion, 'version'> & { readonly version: string | null };

/** What makes two registrations one version: the same bytes under the same manifest, whatever its key order. */
export function isSameVersion(
  known: Pick<ModelVersion, 'digest' | 'manifest'>,
  other: Pick<ModelVersion, 'digest' | 'manifest'>,
): boolean {
  return known.digest === other.digest && isDeepStrictEqual(known.manifest, other.manifest);
}
