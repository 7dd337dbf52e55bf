import { generateKey } from './key-format.ts';
import type { KeyRecord, KeyStore } from './key-store.ts';
import type { Scope } from './scopes.ts';

export interface KeyRequest {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Part of the key that says where it belongs: 1 to 12 lower-case letters. */
  readonly environment: string;
  readonly ratePerMinute: number | null;
  readonly expiresAtMs: number | null;
}

export interface IssuedKey {
  /** The only time that the key is seen. */
  readonly key: string;
  readonly record: KeyRecord;
}

/** Makes a key and stores what is needed to recognise it. */
export async function issueKey(store: KeyStore, request: KeyRequest, nowMs: number): Promise<IssuedKey> {
  const { key, id, secretDigest } = generateKey(request.environment);
  const record: KeyRecord = {
    id,
    secretDigest,
    name: request.name,
    scopes: request.scopes,
    ratePerMinute: request.ratePerMinute,
    createdAtMs: nowMs,
    expiresAtMs: request.expiresAtMs,
    revokedAtMs: null,
  };
  await store.create(record);
  return { key, record };
}
