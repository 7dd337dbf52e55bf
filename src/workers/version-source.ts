import { MillraceError } from '../errors.ts';
import type { ModelVersion } from '../registry/model-version.ts';

/** What a worker needs of the registry's resolver. */
export interface VersionSource {
  /** Throws `not_found`. */
  resolve(model: string, version: string): ModelVersion;
  refresh(): Promise<void>;
}

/**
 * The very file that the API saw: a version name is never bound to another, so a difference is a mix-up. Throws
 * `not_found` for a version that does not exist (any more), `conflict` for another file.
 */
export async function resolveServed(
  versions: VersionSource,
  { model, version, servedDigest }: Pick<ModelVersion, 'model' | 'version' | 'servedDigest'>,
): Promise<ModelVersion> {
  let known: ModelVersion;
  try {
    known = versions.resolve(model, version);
  } catch {
    await versions.refresh();
    known = versions.resolve(model, version);
  }
  if (known.servedDigest !== servedDigest)
    throw new MillraceError(
      'conflict',
      `${model}/${version} is another file here than where the job was made`,
    );
  return known;
}
