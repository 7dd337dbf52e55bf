import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactStore } from './artifact-store.ts';
import { digestOf, isDigest } from './digest.ts';
import { readIfPresent, writeWhole } from './whole-file.ts';

/**
 * Port: artifacts as files on this machine, for hosts that load them by path. The embedded folder store hands
 * out its own files; a remote store is put behind an ArtifactCache.
 */
export interface LocalArtifacts {
  /**
   * Path of a file with the bytes of this digest. It stays there until `release` was called as often as this.
   * Throws as `ArtifactStore.get` does.
   */
  ensureLocal(digest: string): Promise<string>;
  /** The file was loaded, or is not wanted any more. */
  release(digest: string): void;
}

export interface ArtifactCacheOptions {
  readonly store: ArtifactStore;
  /** Belongs to this process alone: another one would not know which files are in use. */
  readonly folder: string;
  /** Least recently used files are removed past this; files in use may exceed it. */
  readonly bytesMax: number;
}

interface CachedFile {
  bytes: number;
  useCount: number;
}

/** Copies of a remote store's artifacts on the local disk, each verified whenever it is asked for. */
export class ArtifactCache implements LocalArtifacts {
  readonly #options: ArtifactCacheOptions;
  /** In order of last use, oldest first. */
  readonly #files = new Map<string, CachedFile>();
  readonly #inFlight = new Map<string, Promise<void>>();
  #opened: Promise<void> | undefined;

  constructor(options: ArtifactCacheOptions) {
    this.#options = options;
  }

  async ensureLocal(digest: string): Promise<string> {
    this.#opened ??= this.#open();
    await this.#opened;
    const file = this.#touch(digest);
    // Counted before the first wait below, so that no other download evicts it meanwhile.
    file.useCount += 1;
    try {
      await this.#verifiedOnce(digest);
    } catch (error) {
      this.release(digest);
      throw error;
    }
    return this.#pathOf(digest);
  }

  release(digest: string): void {
    const file = this.#files.get(digest);
    if (file === undefined || file.useCount === 0) return;
    file.useCount -= 1;
    if (file.useCount === 0 && file.bytes === 0) this.#files.delete(digest);
  }

  /** What earlier runs left: whole files are kept, oldest use first; anything else is removed. */
  async #open(): Promise<void> {
    const { folder } = this.#options;
    await mkdir(folder, { recursive: true });
    const found: { readonly name: string; readonly bytes: number; readonly usedAtMs: number }[] = [];
    for (const name of await readdir(folder)) {
      if (!isDigest(name)) {
        await rm(join(folder, name), { recursive: true, force: true });
        continue;
      }
      const { size, mtimeMs } = await stat(join(folder, name));
      found.push({ name, bytes: size, usedAtMs: mtimeMs });
    }
    for (const { name, bytes } of found.toSorted((a, b) => a.usedAtMs - b.usedAtMs))
      this.#files.set(name, { bytes, useCount: 0 });
  }

  #touch(digest: string): CachedFile {
    const file = this.#files.get(digest) ?? { bytes: 0, useCount: 0 };
    this.#files.delete(digest);
    this.#files.set(digest, file);
    return file;
  }

  /** One check or download of a digest at a time: callers meanwhile share it. */
  #verifiedOnce(digest: string): Promise<void> {
    const running = this.#inFlight.get(digest);
    if (running !== undefined) return running;
    const started = this.#verified(digest).finally(() => this.#inFlight.delete(digest));
    this.#inFlight.set(digest, started);
    return started;
  }

  async #verified(digest: string): Promise<void> {
    const path = isDigest(digest) ? this.#pathOf(digest) : undefined;
    const present = path === undefined ? undefined : await readIfPresent(path);
    if (present !== undefined && digestOf(present) === digest) return;
    const bytes = await this.#options.store.get(digest);
    await this.#makeRoom(bytes.byteLength);
    await writeWhole(this.#pathOf(digest), bytes);
    this.#touch(digest).bytes = bytes.byteLength;
  }

  async #makeRoom(bytes: number): Promise<void> {
    let total = bytes;
    for (const file of this.#files.values()) total += file.bytes;
    for (const [digest, file] of this.#files) {
      if (total <= this.#options.bytesMax) return;
      if (file.useCount > 0) continue;
      this.#files.delete(digest);
      total -= file.bytes;
      await rm(this.#pathOf(digest), { force: true });
    }
  }

  #pathOf(digest: string): string {
    return join(this.#options.folder, digest);
  }
}
