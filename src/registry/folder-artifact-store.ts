import { join } from 'node:path';
import { MillraceError } from '../errors.ts';
import type { LocalArtifacts } from './artifact-cache.ts';
import type { ArtifactStore } from './artifact-store.ts';
import { digestOf, isDigest } from './digest.ts';
import { isPresent, readIfPresent, removeWhole, writeWhole } from './whole-file.ts';

/**
 * ArtifactStore in a folder: `sha256/ab/cd/<digest>`. A file appears under its name only whole and on disk: it is
 * written aside, flushed, then renamed. Processes of one machine may share the folder.
 */
export class FolderArtifactStore implements ArtifactStore, LocalArtifacts {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async put(bytes: Uint8Array): Promise<string> {
    const digest = digestOf(bytes);
    const path = this.#pathOf(digest);
    // A damaged file does not count as present: putting its bytes again heals it.
    const present = await this.#read(path);
    if (present !== undefined && digestOf(present) === digest) return digest;
    try {
      await writeWhole(path, bytes);
    } catch (cause) {
      throw outOfReach(cause);
    }
    return digest;
  }

  async get(digest: string): Promise<Uint8Array> {
    const bytes = isDigest(digest) ? await this.#read(this.#pathOf(digest)) : undefined;
    if (bytes === undefined) throw new MillraceError('not_found', 'No such artifact');
    if (digestOf(bytes) !== digest)
      throw new MillraceError('bad_gateway', 'The stored artifact is damaged', { details: { digest } });
    return bytes;
  }

  async has(digest: string): Promise<boolean> {
    try {
      return isDigest(digest) && (await isPresent(this.#pathOf(digest)));
    } catch (cause) {
      throw outOfReach(cause);
    }
  }

  async remove(digest: string): Promise<void> {
    if (!isDigest(digest)) return;
    try {
      await removeWhole(this.#pathOf(digest));
    } catch (cause) {
      throw outOfReach(cause);
    }
  }

  /** The file itself, verified: no second copy on the same disk. Nothing is ever evicted. */
  async ensureLocal(digest: string): Promise<string> {
    await this.get(digest);
    return this.#pathOf(digest);
  }

  release(): void {
    // Files stay.
  }

  #pathOf(digest: string): string {
    if (!isDigest(digest)) throw new MillraceError('not_found', 'No such artifact');
    return join(this.#folder, 'sha256', digest.slice(0, 2), digest.slice(2, 4), digest);
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await readIfPresent(path);
    } catch (cause) {
      throw outOfReach(cause);
    }
  }
}

function outOfReach(cause: unknown): MillraceError {
  return new MillraceError('service_unavailable', 'The artifact store is out of reach', { cause });
}
