import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { generateKey, parseKey, secretMatches } from '../api/keys/key-format.ts';
import type { KeyStore } from '../api/keys/key-store.ts';
import { scopes } from '../api/keys/scopes.ts';
import { devKeyFile } from '../run-file.ts';

/**
 * The development key in plain text: every scope, no rate limit. The one in the file when the store still honours
 * it, else a new one, written to the file for its owner alone.
 */
export async function prepareDevKey(home: string, store: KeyStore, nowMs: number): Promise<string> {
  const file = devKeyFile(home);
  const kept = readKey(file);
  if (kept !== undefined && (await isHonoured(kept, store))) {
    chmodSync(file, ownerOnly);
    return kept;
  }
  const { key, id, secretDigest } = generateKey('dev');
  await store.create({
    id,
    secretDigest,
    name: 'development key',
    scopes,
    ratePerMinute: 0,
    createdAtMs: nowMs,
    expiresAtMs: null,
    revokedAtMs: null,
  });
  writeFileSync(file, `${key}\n`, { mode: ownerOnly });
  // The mode above counts only where the file is new.
  chmodSync(file, ownerOnly);
  return key;
}

const ownerOnly = 0o600;

async function isHonoured(key: string, store: KeyStore): Promise<boolean> {
  const parsed = parseKey(key);
  if (parsed === undefined) return false;
  const record = await store.get(parsed.id);
  if (record === undefined || record.revokedAtMs !== null || record.expiresAtMs !== null) return false;
  return secretMatches(parsed.secret, record.secretDigest);
}

function readKey(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
