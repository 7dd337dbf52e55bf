import type { Scope } from './scopes.ts';

/** What is kept of an API key. The key itself is not. */
export interface KeyRecord {
  readonly id: string;
  /** SHA-256 of the secret, 32 bytes. */
  readonly secretDigest: Uint8Array;
  /** For people: who or what uses it. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Requests a minute in place of the general limit; 0 for no limit; null for the general one. */
  readonly ratePerMinute: number | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

/**
 * Port: API keys, shared by all API processes of a deployment. SQLite here. Methods throw
 * `service_unavailable` when the store is out of reach; absence is `undefined`.
 */
export interface KeyStore {
  /** Throws `conflict` when the id is taken. */
  create(record: KeyRecord): Promise<void>;
  get(id: string): Promise<KeyRecord | undefined>;
  /** All keys, revoked ones too, oldest first. */
  list(): Promise<readonly KeyRecord[]>;
  /** The first revocation counts; a later one changes nothing. */
  revoke(id: string, atMs: number): Promise<'revoked' | 'already_revoked' | 'unknown'>;
  close(): Promise<void>;
}
