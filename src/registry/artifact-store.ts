/**
 * Port: bytes by content digest (SHA-256, lower-case hex). A folder here, S3 in production. Immutable: what
 * a digest names never changes.
 */
export interface ArtifactStore {
  /** Stores the bytes and returns their digest. Idempotent; never leaves a partial artifact behind. */
  put(bytes: Uint8Array): Promise<string>;
  /** The verified bytes. Throws `not_found`, or `bad_gateway` when the stored bytes do not hash to the digest. */
  get(digest: string): Promise<Uint8Array>;
  has(digest: string): Promise<boolean>;
  /** Idempotent. Never called for what a model version names: versions are for ever, chunks of batches are not. */
  remove(digest: string): Promise<void>;
}
